"""What an experiment leaves: its runs, and the data they were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from numeric.training.runs import Runs
from numeric.training.store import write_tensors


@dataclass(frozen=True)
class Experiment:
    """runs: the training runs, in the order in which they were made. data: what they were trained on, on the CPU."""

    runs: tuple[Runs, ...]
    data: dict[str, Tensor]

    def save(self, folder: str | Path) -> Path:
        """Write run_1, run_2, … (see Runs.save) and data.safetensors into `folder`; return the folder."""
        folder = Path(folder)
        for number, run in enumerate(self.runs, 1):
            run.save(folder / f"run_{number}")
        write_tensors(folder / "data.safetensors", self.data, {})
        return folder
