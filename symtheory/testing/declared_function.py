"""The predictor of a bound graph as a function of arrays, in float64 and without torch."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.shapes import Shape
from symtheory.symmetry.certificate.circuit import Circuit, compile_circuit
from symtheory.symmetry.certificate.gradient import Evaluation, pieces
from symtheory.symmetry.certificate.truncated_algebra import TruncatedAlgebra
from symtheory.testing.predictor import Arrays


@dataclass(frozen=True)
class DeclaredFunction:
    """The certificate's circuit of a graph, with the names of its leaves in the order of their entries."""

    circuit: Circuit
    shape: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]]
    inputs: tuple[str, ...]
    constants: tuple[str, ...]

    def value(self, point: Arrays, data: Arrays) -> np.ndarray:
        return self._outputs(self._forward(point, data))

    def gradient(self, point: Arrays, data: Arrays, weights: np.ndarray) -> dict[str, np.ndarray]:
        """At a kink the gradient of the piece that the values are on."""
        with np.errstate(all="ignore"):
            gates, _ = pieces(self.circuit, self._forward(point, data))
            flat = self._evaluation.gradients(*self._leaves(point, data), weights.reshape(1, -1, 1), gates)[0, :, 0]
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.parameters.values()])
        parts = np.split(flat, ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.parameters.items(), parts, strict=True)}

    @property
    def _evaluation(self) -> Evaluation:
        return Evaluation(self.circuit, TruncatedAlgebra(None))

    def _forward(self, point: Arrays, data: Arrays) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return self._evaluation.forward(*self._leaves(point, data), None)

    def _leaves(self, point: Arrays, data: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _flat(point, self.parameters), _flat(data, self.inputs), _flat(data, self.constants)

    def _outputs(self, values: list[np.ndarray]) -> np.ndarray:
        return np.array([values[position].item() for position in self.circuit.outputs]).reshape(self.shape)


def _flat(values: Arrays, names: dict[str, tuple[int, ...]] | tuple[str, ...]) -> np.ndarray:
    """Shape (1, entries, 1), as a circuit takes leaves."""
    parts = [np.asarray(values[name], dtype=np.float64).ravel() for name in names]
    return np.concatenate([np.empty(0), *parts])[None, :, None]


_KNOWN: WeakKeyDictionary[ComputationGraph, DeclaredFunction] = WeakKeyDictionary()


def declared_function(graph: ComputationGraph) -> DeclaredFunction:
    """The function that a bound graph declares; compiled once for each graph and kept as long as the graph."""
    if graph not in _KNOWN:
        _KNOWN[graph] = DeclaredFunction(
            compile_circuit(graph),
            bound_shape(graph.predictor.shape),
            {name: bound_shape(shape) for name, shape in graph.parameters.items()},
            tuple(graph.inputs),
            tuple(graph.constants),
        )
    return _KNOWN[graph]


def bound_shape(shape: Shape) -> tuple[int, ...]:
    """A shape without free sizes as ints."""
    return tuple(int(size) for size in shape)
