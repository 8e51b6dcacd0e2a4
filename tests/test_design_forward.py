"""Designs by products, once more forward: the prediction of the declaration is the target on every point."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import symtheory as st

TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "groups": lambda w: w.norm(dim=-1).sum(-1),
    "singular_values": lambda w: torch.linalg.matrix_norm(w, ord="nuc"),
}


@pytest.mark.parametrize("of", list(TARGETS))
@pytest.mark.parametrize("factor", [1, 3])
def test_weight_decay_of_a_design_is_its_target(of: str, factor: int) -> None:
    designed = st.design(f"{factor}*abs(w)", mechanism="weight_decay", of=of, name="designed")
    sizes = {"g": 4, "k": 3} if of == "groups" else {"n": 4, "m": 3, "h": 3}
    module = st.generate(designed.bind(**sizes)).load()
    generator = torch.Generator().manual_seed(2)
    point = {
        name: torch.randn(5, *shape, generator=generator, dtype=torch.float64)
        for name, shape in module.PARAMETERS.items()
    }
    torch.testing.assert_close(
        module.weight_decay(point), factor * TARGETS[of](module.predictor(point)), rtol=1e-9, atol=0
    )
