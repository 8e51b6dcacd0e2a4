"""What is taken for every sample by itself: said where torch cannot map over samples, raised where the model fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import SharpnessError
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.fisher.sharpness import FisherSharpness
from numeric.sharpness.gradient_noise.alignment import NoiseAlignment
from numeric.sharpness.measure import Measure

MEASURES = [NoiseAlignment(), FisherSharpness()]


class Branching(nn.Module):
    """A linear model that looks at its samples' numbers, which torch.func.vmap does not let it."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        if float(x[0].abs().max()) > self.limit:
            raise ValueError("an input is out of range")
        out: Tensor = self.layer(x)
        return out


def objective(model: nn.Module) -> Objective:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Objective.of(model, nn.CrossEntropyLoss(), (x, torch.arange(16) % 2))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_model_that_cannot_be_mapped_is_measured_and_the_notes_say_so(measure: Measure) -> None:
    model = Branching(float("inf"))
    found = evaluate(measure, objective(model), seed=0)
    assert any("one at a time (vmap: " in note for note in found.notes)
    plain = evaluate(measure, objective(model.layer), seed=0)
    assert found.value == pytest.approx(plain.value, rel=1e-9)
    assert not any("one at a time" in note for note in plain.notes)


@pytest.mark.parametrize("measure", MEASURES)
def test_an_error_of_the_model_is_raised_and_not_swallowed(measure: Measure) -> None:
    """The first sample, all that a batch shows of itself, is in range; another is not."""
    at = objective(Branching(1.5))
    x = next(at.batches()).inputs
    assert float(x[0].abs().max()) < 1.5 < float(x.abs().max())
    with pytest.raises(SharpnessError, match="ValueError: an input is out of range"):
        evaluate(measure, at, seed=0)


def test_an_error_of_the_loss_on_single_samples_is_raised() -> None:
    def loss(output: Tensor, target: Any) -> Tensor:
        if len(target) == 1 and target.ndim:
            raise RuntimeError("my loss wants two samples")
        return torch.nn.functional.cross_entropy(output, target)

    model: Callable[[Tensor], Tensor] = nn.Linear(3, 2).double()
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    at = Objective.of(model, loss, (x, torch.arange(16) % 2))  # type: ignore[arg-type]
    with pytest.raises(SharpnessError, match="my loss wants two samples"):
        evaluate(NoiseAlignment(), at, seed=0)
