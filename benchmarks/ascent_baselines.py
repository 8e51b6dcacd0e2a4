"""What bench_ascent.py times numeric's ascent against: one plain gradient, and a step in the published manner."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

Clock = Callable[[], float]
LOSS = nn.CrossEntropyLoss()


def plain_seconds(model: nn.Module, data: tuple[Tensor, Tensor], clock: Clock, repeats: int) -> float:
    """Seconds for one forward and one backward pass that gives the gradient of all parameters."""
    parameters = list(model.parameters())
    begin = clock()
    for _ in range(repeats):
        torch.autograd.grad(LOSS(model(data[0]), data[1]), parameters)
    return (clock() - begin) / repeats


def published_seconds(
    model: nn.Module, data: tuple[Tensor, Tensor], clock: Clock, *, steps: int, radius: float, adaptive: bool
) -> float:
    """Seconds for one l2 step as the code of Andriushchenko et al. (2302.07011) organizes it, momentum included.

    Tensor by tensor, with copies; the loss by a forward pass of its own; each new maximum copied as a state dict; the
    adaptive ball entered by bisection for the nearest point in the Euclidean norm. Halving of the step is left out.
    """
    model = copy.deepcopy(model)
    start = [leaf.detach().clone() for leaf in model.parameters()]
    units = [leaf.abs() for leaf in start] if adaptive else [torch.ones_like(leaf) for leaf in start]
    draw = [unit * torch.randn_like(leaf) for leaf, unit in zip(start, units, strict=True)]
    length = weighted_norm(draw, units)
    delta = [leaf * (radius / length) for leaf in draw]
    before, highest = [leaf.clone() for leaf in delta], float("-inf")
    _place(model, start, delta)
    begin = clock()
    for _ in range(steps):
        kept = [leaf.clone() for leaf in delta]
        model.zero_grad()
        LOSS(model(data[0]), data[1]).backward()
        slopes = [leaf.grad for leaf in model.parameters()]
        size = sum(slope.norm() ** 2 for slope in slopes) ** 0.5 + 1e-12
        delta = [d + 2 * radius / size * slope * u for d, slope, u in zip(delta, slopes, units, strict=True)]
        delta = enter_by_bisection(delta, units, radius) if adaptive else _enter_plainly(delta, radius)
        delta = [0.75 * d + 0.25 * b for d, b in zip(delta, before, strict=True)]
        before = kept
        _place(model, start, delta)
        with torch.no_grad():
            height = LOSS(model(data[0]), data[1]).item()
        if height > highest:
            highest, _ = height, copy.deepcopy(model.state_dict())
    return (clock() - begin) / steps


def weighted_norm(delta: list[Tensor], units: list[Tensor]) -> Tensor:
    """|delta/units|, a scalar tensor."""
    total = torch.stack([((leaf / unit) ** 2).sum() for leaf, unit in zip(delta, units, strict=True)]).sum()
    return total.sqrt()


def enter_by_bisection(delta: list[Tensor], units: list[Tensor], radius: float) -> list[Tensor]:
    """The nearest point, in the Euclidean norm, of the ellipsoid |delta/units| <= radius, to 1e-5 in that length."""
    low, high, result = 0.0, 10.0, delta
    length = weighted_norm(result, units)
    if length <= radius:
        return delta
    while abs(length - radius) > 1e-5 and high - low > 1e-12:
        middle = (low + high) / 2
        result = [leaf / (1 + 2 * middle / unit**2) for leaf, unit in zip(delta, units, strict=True)]
        length = weighted_norm(result, units)
        low, high = (middle, high) if length > radius else (low, middle)
    return result


def _enter_plainly(delta: list[Tensor], radius: float) -> list[Tensor]:
    length = sum((leaf**2).sum() for leaf in delta) ** 0.5
    return [leaf * (radius / length) for leaf in delta] if length > radius else delta


def _place(model: nn.Module, start: list[Tensor], delta: list[Tensor]) -> None:
    for leaf, origin, step in zip(model.parameters(), start, delta, strict=True):
        leaf.data = origin + step
