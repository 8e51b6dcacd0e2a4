"""The results of training: plain tensors and a record, saved and read without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from numeric.errors import StoreError
from numeric.training.model import Point, as_model
from numeric.training.store import (
    join_groups,
    read_json,
    read_tensors,
    split_group,
    write_json,
    write_tensors,
)

TENSORS, CONFIG = "tensors.safetensors", "config.json"


@dataclass(frozen=True)
class Runs:
    """R replicas of one training configuration; all tensors on the CPU.

    module: what was trained (None after loading without it). config: everything that was chosen, as JSON
    would hold it. steps: indices of the recorded steps, (T,) int64. observables: name -> (T, R, ...).
    initial, final: points, leaves (R, *shape). diverged_steps: (R,) int64, a replica's first step with a loss
    that is not finite, or −1.
    """

    module: Any
    config: dict[str, Any]
    steps: Tensor
    observables: dict[str, Tensor]
    initial: Point
    final: Point
    diverged_steps: Tensor

    @property
    def status(self) -> str:
        """ "completed", or "diverged" if any replica diverged."""
        return "completed" if self.diverged_at is None else "diverged"

    @property
    def diverged_at(self) -> int | None:
        """The earliest step at which any replica's loss was not finite, or None."""
        diverged = self.diverged_steps[self.diverged_steps >= 0]
        return int(diverged.min()) if len(diverged) else None

    def save(self, folder: str | Path) -> Path:
        """Write tensors.safetensors and config.json into `folder` (made if absent); return the folder.

        Each file is written under a temporary name and then moved.
        """
        folder = Path(folder)
        tensors = join_groups(
            {
                "run": {"steps": self.steps, "diverged_steps": self.diverged_steps},
                "observable": self.observables,
                "initial": self.initial,
                "final": self.final,
            }
        )
        write_tensors(folder / TENSORS, tensors, {})
        write_json(folder / CONFIG, self.config)
        return folder

    @classmethod
    def load(cls, folder: str | Path, module: Any = None) -> Runs:
        """Read what `save` wrote; `module` is the generated module to attach.

        Raises StoreError if a file is missing or damaged, or if `module` has another declaration.
        """
        folder = Path(folder)
        config = read_json(folder / CONFIG)
        tensors, _ = read_tensors(folder / TENSORS)
        if module is not None:
            model = as_model(module)
            module = model.module
            if (model.name, model.declaration_hash) != (config.get("model"), config.get("declaration_hash")):
                raise StoreError(f"{folder} holds runs of {config.get('model')}, not of this {model.name}")
        run = split_group(tensors, "run")
        if {"steps", "diverged_steps"} - set(run):
            raise StoreError(f"{folder / TENSORS} holds no saved runs")
        return cls(
            module=module,
            config=config,
            steps=run["steps"],
            observables=split_group(tensors, "observable"),
            initial=split_group(tensors, "initial"),
            final=split_group(tensors, "final"),
            diverged_steps=run["diverged_steps"],
        )


def on_cpu(point: Point) -> Point:
    """A copy of a point on the CPU, cut from the graph of derivatives."""
    return {name: torch.empty_like(leaf, device="cpu").copy_(leaf).detach() for name, leaf in point.items()}
