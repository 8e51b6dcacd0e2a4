"""What torch computes for the laws: a user's function as a predictor, and the functions of a generated module.

The one file of the symbolic layer that imports torch, inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtheory.errors import DeclarationError
from symtheory.testing.predictor import Arrays


@dataclass(frozen=True)
class TorchFunction:
    """``function(point: dict[str, Tensor], **inputs) -> Tensor``, called with tensors of the dtype of the arrays."""

    function: Callable[..., Any]

    def value(self, point: Arrays, data: Arrays) -> np.ndarray:
        import torch

        with torch.no_grad():
            return np.asarray(self._call(_tensors(point), data).cpu().numpy())

    def gradient(self, point: Arrays, data: Arrays, weights: np.ndarray) -> dict[str, np.ndarray]:
        """By automatic differentiation; zero for a parameter that the function does not use."""
        import torch

        tensors = {name: tensor.requires_grad_() for name, tensor in _tensors(point).items()}
        value = self._call(tensors, data)
        if not value.requires_grad:
            return {name: np.zeros_like(array) for name, array in point.items()}
        functional = (value * torch.from_numpy(weights).to(value)).sum()
        gradients = torch.autograd.grad(functional, list(tensors.values()), allow_unused=True)
        return {
            name: np.zeros_like(array) if gradient is None else gradient.cpu().numpy()
            for (name, array), gradient in zip(point.items(), gradients, strict=True)
        }

    def _call(self, tensors: dict[str, Any], data: Arrays) -> Any:
        import torch

        value = self.function(tensors, **_tensors(data))
        if not isinstance(value, torch.Tensor):
            raise DeclarationError(f"the function must return a torch.Tensor, not {type(value).__name__}")
        return value


@dataclass(frozen=True)
class TorchGeometry:
    """The functions of a generated module, called with arrays and differentiated by torch.func.

    module: the loaded module. Points, tangents and covectors are parameter → array, of one point without batch axes.
    """

    module: Any

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Any function of the module, with arrays and dicts of them for tensors."""
        import torch

        with torch.no_grad():
            return _arrays(getattr(self.module, name)(*map(_tensors, arguments), **_options(options)))

    def inner(self, point: Arrays, xi: Arrays, zeta: Arrays) -> float:
        """⟨ξ, ζ⟩."""
        return float(self.call("inner", point, xi, zeta))

    def lowered(self, point: Arrays, xi: Arrays) -> dict[str, np.ndarray]:
        """⟨ξ, ·⟩: the gradient of ⟨ξ, ζ⟩ with respect to ζ."""
        return _arrays(self._lower(_tensors(point), _tensors(xi)))

    def lowered_rate(self, point: Arrays, xi: Arrays, direction: Arrays) -> dict[str, np.ndarray]:
        """The derivative of ⟨ξ, ·⟩ by the point along a direction."""
        import torch

        tangent = _tensors(xi)
        at, along = _tensors(point), _tensors(direction)
        return _arrays(torch.func.jvp(lambda theta: self._lower(theta, tangent), (at,), (along,))[1])

    def inner_rate(self, point: Arrays, xi: Arrays, zeta: Arrays, direction: Arrays) -> float:
        """The derivative of ⟨ξ, ζ⟩ by the point along a direction."""
        import torch

        tangents = _tensors(xi), _tensors(zeta)
        at, along = _tensors(point), _tensors(direction)
        return float(torch.func.jvp(lambda theta: self.module.inner(theta, *tangents), (at,), (along,))[1])

    def energy_gradient(self, point: Arrays, xi: Arrays) -> dict[str, np.ndarray]:
        """½ ∇_θ ⟨ξ, ξ⟩."""
        import torch

        tangent = _tensors(xi)
        energy = torch.func.grad(lambda theta: self.module.inner(theta, tangent, tangent) / 2)
        return _arrays(energy(_tensors(point)))

    def metric_matrix(self, point: Arrays) -> np.ndarray:
        """Products of all pairs of coordinate directions, parameter by parameter."""
        import torch

        at = _tensors(point)
        sizes = [value.numel() for value in at.values()]
        basis = torch.eye(sum(sizes), dtype=next(iter(at.values())).dtype)

        def row(direction: Any) -> Any:
            parts = zip(at.items(), direction.split(sizes), strict=True)
            covector = self._lower(at, {name: part.reshape(value.shape) for (name, value), part in parts})
            return torch.cat([covector[name].reshape(-1) for name in at])

        return np.asarray(torch.func.vmap(row)(basis).detach().numpy())

    def connection(self, point: Arrays, xi: Arrays, eta: Arrays) -> dict[str, np.ndarray]:
        """½ d/ds christoffel_form(θ, ξ + s η) at s = 0: Γ(ξ, η), where that is a quadratic form."""
        import torch

        at = _tensors(point)
        velocity, along = (_tensors(xi),), (_tensors(eta),)
        rate = torch.func.jvp(lambda tangent: self.module.christoffel_form(at, tangent), velocity, along)[1]
        return {name: value / 2 for name, value in _arrays(rate).items()}

    def moved(self, point: Arrays, g: Arrays, tangents: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        """g·θ, then the tangents pushed forward by the differential of the action."""
        import torch

        at, element = _tensors(point), _tensors(g)
        pushed = [torch.func.jvp(lambda p: self.module.act(p, element), (at,), (_tensors(t),))[1] for t in tangents]
        return [self.call("act", point, g), *map(_arrays, pushed)]

    def differential(self, point: Arrays, xi: Arrays, data: Arrays) -> np.ndarray:
        """Dφ[ξ] of the predictor φ."""
        import torch

        inputs = _tensors(data)
        at, along = _tensors(point), _tensors(xi)
        return np.asarray(_arrays(torch.func.jvp(lambda p: self.module.predictor(p, **inputs), (at,), (along,))[1]))

    def functional(self, data: Arrays, linear: np.ndarray, quadratic: np.ndarray) -> TorchFunctional:
        """Σ linear ⊙ φ + ½ (Σ quadratic ⊙ φ)², a function that is constant on orbits."""
        return TorchFunctional(self.module, data, linear, quadratic)

    def _lower(self, point: dict[str, Any], xi: dict[str, Any]) -> Any:
        import torch

        zeros = {name: torch.zeros_like(value) for name, value in xi.items()}
        return torch.func.grad(lambda zeta: self.module.inner(point, xi, zeta))(zeros)


@dataclass(frozen=True)
class TorchFunctional:
    """Σ linear ⊙ φ + ½ (Σ quadratic ⊙ φ)² of a generated module's predictor φ."""

    module: Any
    data: Arrays
    linear: np.ndarray
    quadratic: np.ndarray

    def __call__(self, point: dict[str, Any]) -> Any:
        import torch

        value = self.module.predictor(point, **_tensors(self.data))
        linear, quadratic = (torch.from_numpy(weights).to(value) for weights in (self.linear, self.quadratic))
        return (linear * value).sum() + (quadratic * value).sum() ** 2 / 2

    def value(self, point: Arrays) -> float:
        """Its value at the point."""
        return float(_arrays(self(_tensors(point))))

    def gradient(self, point: Arrays) -> dict[str, np.ndarray]:
        """The Euclidean gradient."""
        import torch

        return _arrays(torch.func.grad(self)(_tensors(point)))

    def along_geodesic(self, point: Arrays, xi: Arrays) -> tuple[float, float]:
        """Its first and second derivative along the module's ``geodesic`` of order 2, at t = 0."""
        import torch

        start, velocity = _tensors(point), _tensors(xi)
        zero = torch.zeros((), dtype=next(iter(start.values())).dtype)
        one = torch.ones_like(zero)

        def slope(time: Any) -> Any:
            return torch.func.jvp(lambda t: self(self.module.geodesic(start, velocity, t)), (time,), (one,))[1]

        derivatives = torch.func.jvp(slope, (zero,), (one,))
        return float(derivatives[0]), float(derivatives[1])

    def hessian(self, point: Arrays, xi: Arrays, zeta: Arrays) -> float:
        """What the module's ``riemannian_hessian`` says of it."""
        return float(_arrays(self.module.riemannian_hessian(self, *map(_tensors, (point, xi, zeta)))))

    def hessian_trace(self, point: Arrays) -> float:
        """What the module's ``hessian_trace`` says of it."""
        return float(_arrays(self.module.hessian_trace(self, _tensors(point))))


def _tensors(arrays: Any) -> Any:
    """Arrays as tensors of their own, also those in a dict; anything else as it is."""
    import torch

    if isinstance(arrays, Mapping):
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    return torch.from_numpy(arrays.copy()) if isinstance(arrays, np.ndarray) else arrays


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tensors(value) for name, value in options.items()}


def _arrays(tensors: Any) -> Any:
    """Tensors as arrays, also those in a dict."""
    if isinstance(tensors, Mapping):
        return {name: _arrays(tensor) for name, tensor in tensors.items()}
    return np.asarray(tensors.detach().cpu().numpy())
