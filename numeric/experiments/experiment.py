"""What an experiment leaves: its runs, and the data they were trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from numeric.training.runs import Runs
from numeric.training.store import write_tensors


@dataclass(frozen=True)
class Experiment:
    """runs: the training runs, in the order in which they were made. data: what they were trained on, on the CPU;
    constants: values of the model's constants, where it has any."""

    runs: tuple[Runs, ...]
    data: dict[str, Tensor]
    constants: dict[str, Tensor] = field(default_factory=dict)

    def save(self, folder: str | Path) -> Path:
        """Write run_1, run_2, … (see Runs.save), data.safetensors and, if there are any, constants.safetensors into
        `folder`; return the folder."""
        folder = Path(folder)
        for number, run in enumerate(self.runs, 1):
            run.save(folder / f"run_{number}")
        write_tensors(folder / "data.safetensors", self.data, {})
        if self.constants:
            write_tensors(folder / "constants.safetensors", self.constants, {})
        return folder
