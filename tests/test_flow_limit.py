"""The limit of a stiff gradient flow, against the flow in small steps and against gradient descent in small steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import symtheory as st
from numeric.comparison.flow import flow
from numeric.experiments.zero_loss_drift import Plan, _problem
from numeric.flat_points import flattened
from numeric.flow_limit import flow_limit
from numeric.training.model import Point, as_model
from symtheory import catalog


@pytest.mark.parametrize("name", ["low_rank", "attention"])
def test_the_limit_is_that_of_the_flow_in_small_steps(name: str) -> None:
    """Classical Runge–Kutta steps of half the fastest relaxation time, of the loss's own gradient."""
    sizes = {"low_rank": {"n": 3, "m": 2, "h": 2}, "attention": {"n": 2, "d": 2, "h": 1}}[name]
    model = as_model(st.generate(catalog.load(name).bind(**sizes)).load())
    problem, start, found = _problem(model, Plan(draws=64, spread=30.0), 7)
    fixed = replace(model, fixed=problem.constants)
    generator = torch.Generator().manual_seed(1)
    points = {
        key: leaf + 0.02 * torch.randn(4, *leaf.shape, generator=generator, dtype=torch.float64)
        for key, leaf in start.items()
    }
    time = 12 / found.slowest

    def downhill(point: Point) -> Point:
        leaves = {key: leaf.detach().requires_grad_() for key, leaf in point.items()}
        batch = {key: leaf.expand(4, *leaf.shape) for key, leaf in problem.data.items()}
        loss = problem.loss(fixed.predict(leaves, batch), batch).mean(-1).sum()
        slopes = torch.autograd.grad(loss, tuple(leaves.values()))
        return {key: -slope for key, slope in zip(leaves, slopes, strict=True)}

    wanted = flattened(flow(downhill, points, time, round(2 * time * found.largest_sample)), 1)
    limit = flattened(flow_limit(fixed, points, problem.data, time), 1)
    way = (wanted - flattened(points, 1)).norm(dim=1)
    assert float(((limit - wanted).norm(dim=1) / way).max()) < 5e-4
    # The nearest point, where Newton's steps would go, is another one.
    assert float(way.min()) > 0
