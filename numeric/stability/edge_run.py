"""What a run at the edge of stability leaves: its records, and where it can be taken up again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from numeric.errors import StoreError
from numeric.sharpness.parameters import Point
from numeric.stability.descent import Descent
from numeric.training.store import join_groups, read_tensors, split_group, write_tensors


@dataclass(frozen=True)
class EdgeRun:
    """steps: (T,) at which was measured. records: name → (T,), float64, see `run.MEASURED`. settings: of the run, as
    JSON. step, parameters, velocity, vectors, frame: where it stands. diverged_at: the step whose loss was not finite.
    directions: name → (T, …), the tensors of `CriticalDirections`, where several were measured. loss: of all samples at
    `parameters`, by which a file knows model, loss and data again (None: not in the file)."""

    settings: Mapping[str, Any]
    steps: Tensor
    records: Mapping[str, Tensor]
    step: int
    parameters: Point
    velocity: Point
    vectors: Tensor | None
    diverged_at: int | None = None
    directions: Mapping[str, Tensor] = field(default_factory=dict)
    frame: Tensor | None = None
    loss: float | None = None

    @property
    def descent(self) -> Descent:
        """How it was trained."""
        return Descent(**self.settings["descent"])

    @property
    def edge(self) -> float:
        """The sharpness from which an oscillation grows."""
        return self.descent.edge

    def save(self, path: Path) -> None:
        """Write everything to one file of safetensors, whole or not at all."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "parameters": self.parameters,
            "velocity": self.velocity,
            "records": {"steps": self.steps, **self.records},
        }
        standing = {"vectors": self.vectors, "frame": self.frame}
        groups["state"] = {name: value for name, value in standing.items() if value is not None}
        groups["directions"] = self.directions
        state = {"settings": self.settings, "step": self.step, "diverged_at": self.diverged_at, "loss": self.loss}
        write_tensors(path, join_groups(groups), {"edge_run": json.dumps(state)})


def load_edge_run(path: Path) -> EdgeRun:
    """Read what `EdgeRun.save` wrote. Raises StoreError for a file that is missing, not whole or something else."""
    tensors, metadata = read_tensors(path)
    if "edge_run" not in metadata:
        raise StoreError(f"{path} holds no run at the edge of stability: choose another file")
    state = json.loads(metadata["edge_run"])
    records = split_group(tensors, "records")
    steps = records.pop("steps")
    return EdgeRun(
        state["settings"],
        steps,
        records,
        state["step"],
        split_group(tensors, "parameters"),
        split_group(tensors, "velocity"),
        split_group(tensors, "state").get("vectors"),
        state["diverged_at"],
        split_group(tensors, "directions"),
        split_group(tensors, "state").get("frame"),
        state.get("loss"),
    )


def table(rows: list[dict[str, float]]) -> dict[str, Tensor]:
    """Rows of records as columns (T,), float64."""
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in (rows[0] if rows else ())}
