"""The drawn computation graph as a data URI."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numeric.reporting.embedding import data_uri
from numeric.reporting.figures import write_figure


def graph_uri(record: Mapping[str, Any]) -> str:
    """The graph of `record` (see draw_graph) drawn and embedded. CheckError for a record that is no graph."""
    with tempfile.TemporaryDirectory() as folder:
        return data_uri(write_figure("graph", record, Path(folder)))
