"""Figures drawn from saved data, tables for the terminal, and the HTML report."""

from __future__ import annotations

from numeric.provenance import provenance
from numeric.reporting.figure_data import load_figure_data, save_figure_data
from numeric.reporting.figures import FIGURES, draw_figure, write_figure
from numeric.reporting.report import write_report
from numeric.reporting.table import verdict_records, verdict_table

__all__ = [
    "FIGURES",
    "draw_figure",
    "load_figure_data",
    "provenance",
    "save_figure_data",
    "verdict_records",
    "verdict_table",
    "write_figure",
    "write_report",
]
