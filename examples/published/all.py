"""All five experiments of Aladrah et al. 2026 (2601.06597), one report each, and the table of what they support.

python examples/published/all.py
"""

from __future__ import annotations

import argparse
import json
import time

import attention_head
import cosine_modes
import matrix_completion
import shallow_relu
import step_signal
from report import add_options, carry_out, options_of
from rich.console import Console
from rich.table import Table

from numeric.files import write_whole

EXPERIMENTS = {
    "shallow_relu": shallow_relu.experiment,
    "attention_head": attention_head.experiment,
    "matrix_completion": matrix_completion.experiment,
    "cosine_modes": cosine_modes.experiment,
    "step_signal": step_signal.experiment,
}


def main() -> None:
    """Carry them out one after the other."""
    parser = argparse.ArgumentParser(description="The published experiments, with many replicas instead of one run.")
    add_options(parser)
    options = options_of(parser.parse_args())
    begin = time.perf_counter()
    records = [carry_out(experiment, name, options) for name, experiment in EXPERIMENTS.items()]
    table = Table("experiment", "supported forecast", "cause", "miss", "seconds", box=None, pad_edge=False)
    for record in records:
        best = record["forecasts"].get(record["supported"], {})
        miss = f"{best['miss']:.2g}" if best else "–"
        table.add_row(record["name"], record["supported"], record["cause"], miss, f"{record['seconds']:.0f}")
    console = Console(highlight=False)
    console.print()
    console.print(table)
    console.print(f"{time.perf_counter() - begin:.0f} s in all; reports in {options.folder}")
    write_whole(options.folder / "summary.json", json.dumps(records, indent=2, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
