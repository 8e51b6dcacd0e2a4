"""One function in two settings of its weights: Euclidean answers differ, those of the quotient do not."""

import torch
from torch import Tensor
from torch.func import grad, hessian

import symtheory as st

n, m, h = st.dims("n m h")
P = st.Parametrization(st.param("G", n, h) @ st.param("H", m, h).T, name="low_rank")
modules = {name: st.generate(P, metric=name).load() for name in ("euclidean", "invariant", "mixed")}
LENGTH = 0.1  # of the step along the gradient, in the metric at hand

torch.manual_seed(0)
point = {"G": torch.randn(6, 2, dtype=torch.float64), "H": torch.randn(5, 2, dtype=torch.float64)}
A = torch.tensor([[3.0, 1.0], [0.0, 0.4]], dtype=torch.float64)
moved = modules["mixed"].act(point, {"GL": A})  # (G A⁻¹, H Aᵀ): the same product
target = point["G"] @ point["H"].T + 0.3 * torch.randn(6, 5, dtype=torch.float64)


def loss(at: dict[str, Tensor]) -> Tensor:
    """½ ‖G Hᵀ − target‖²."""
    return (at["G"] @ at["H"].mT - target).square().sum() / 2


def euclidean_trace(at: dict[str, Tensor]) -> Tensor:
    """Trace of the Hessian in the parameters as they are."""
    blocks = hessian(loss)(at)
    return sum(blocks[key][key].flatten(2).flatten(0, 1).trace() for key in at)


def measured(metric: str, at: dict[str, Tensor]) -> dict[str, float]:
    """What a metric says about the loss at a point."""
    M = modules[metric]
    direction = M.sharp(at, grad(loss)(at))  # the gradient as a tangent; on a quotient it is horizontal
    length = M.norm(at, direction)
    step = {key: LENGTH * value / length for key, value in direction.items()}
    trace = euclidean_trace(at) if metric == "euclidean" else M.hessian_trace(loss, at)
    rises = {f"rise, order {order}": loss(M.geodesic(at, step, order=order)) - loss(at) for order in (1, 2)}
    return {key: float(value) for key, value in {"gradient norm": length, "Hessian trace": trace, **rises}.items()}


print(f"loss {loss(point):.6f} at (G, H), {loss(moved):.6f} at (G A⁻¹, H Aᵀ)")
print(f"{'metric':10} {'quantity':14} {'(G, H)':>11} {'(G A⁻¹, H Aᵀ)':>14}")
for metric in modules:
    here, there = measured(metric, point), measured(metric, moved)
    for quantity, value in here.items():
        print(f"{metric:10} {quantity:14} {value:11.5f} {there[quantity]:14.5f}")
