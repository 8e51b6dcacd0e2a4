"""A training run under way: the loop over steps, with divergence, checkpoints and progress between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from numeric.errors import DivergedError
from numeric.training.advance import advance
from numeric.training.block import Block
from numeric.training.checkpoint import resume_checkpoint, write_checkpoint
from numeric.training.divergence import WINDOW, DivergenceWatch
from numeric.training.learning_rate import learning_rate_at
from numeric.training.model import Point
from numeric.training.program import Program
from numeric.training.progress import progress_bar
from numeric.training.recorder import Recorder
from numeric.training.runs import Runs, on_cpu
from numeric.training.state import State


@dataclass(frozen=True)
class Run:
    """The parts of one call of `train`; `complete` takes it to the end."""

    program: Program
    block: Block | None
    config: dict[str, Any]
    initial: Point
    state: State
    recorder: Recorder
    watch: DivergenceWatch
    steps: int
    keep_diverged: bool

    def complete(self, checkpoint: Path | None, checkpoint_every: int, progress: bool | None) -> Runs:
        """Take all remaining steps and return the results. Raises StoreError or DivergedError."""
        if checkpoint is not None:
            resume_checkpoint(checkpoint, self.config, self.state, self.recorder, self.watch)
        title = f"training {self.program.model.name}"
        with torch.no_grad(), progress_bar(title, self.steps, self.state.step, progress) as tell:
            while self.state.step < self.steps:
                self._advance_to(self._next_stop(checkpoint_every if checkpoint is not None else self.steps))
                tell(self.state.step)
                if checkpoint is not None and self._is_checkpoint(checkpoint_every):
                    write_checkpoint(checkpoint, self.config, self.state, self.recorder, self.watch)
        self.watch.look_at_end(self.state.point, self.steps)
        self._stop_if_diverged()
        return self._results()

    def _advance_to(self, stop: int) -> None:
        while self.state.step < stop:
            self.watch.note(advance(self.program, self.state, self.recorder, self.block, stop))
        self.watch.look(stop)
        self._stop_if_diverged()

    def _next_stop(self, checkpoint_every: int) -> int:
        """Where to look for divergence, or to write a checkpoint: always between blocks, never inside one."""
        step, unit = self.state.step, self._unit
        window = (step + WINDOW) // unit * unit
        checkpoint = -(-(step // checkpoint_every + 1) * checkpoint_every // unit) * unit
        return min(window, checkpoint, self.steps)

    @property
    def _unit(self) -> int:
        return 1 if self.block is None else self.block.unit

    def _is_checkpoint(self, checkpoint_every: int) -> bool:
        """At the first stop at or after a multiple of checkpoint_every, and at the end."""
        return self.state.step % checkpoint_every < self._unit or self.state.step == self.steps

    def _stop_if_diverged(self) -> None:
        found = self.watch.first()
        if found is None or self.keep_diverged:
            return
        step, replica = found
        rate = learning_rate_at(self.program.optimizer.lr, min(step, self.steps - 1))
        raise DivergedError(
            f"run diverged at step {step} (replica {replica}): loss not finite; lower lr (it was {rate:g})",
            self._results(before=step),
        )

    def _results(self, before: int | None = None) -> Runs:
        recorded, observables = self.recorder.recorded(before)
        return Runs(
            module=self.program.model.module,
            config=self.config,
            steps=recorded,
            observables=observables,
            initial=on_cpu(self.initial),
            final=on_cpu(self.state.point),
            diverged_steps=self.watch.first_steps.clone(),
        )
