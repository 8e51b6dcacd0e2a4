"""What was certified about the symmetries of a bound graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

LONGEST_LIST = 8


@dataclass(frozen=True)
class Certificate:
    """Dimensions found on independent roads, at given sizes; all are numbers without dimension.

    parameter_count: D, entries of all parameters; group_dimension: of the group that the graph rules found;
    affine_dimension: of all affine vector fields X(θ) = Mθ + b with Dφ(θ; x)[X] = 0 for all θ and x, where a product
    ℓ(θ) b of a translation b and a linear function ℓ, which adds no orbit, counts only if the group has it;
    translation_products: the number of the others; orbit_dimension: of the space that these fields span at a generic
    point; jacobian_nullity: D minus the rank of the Jacobian stacked over inputs at a generic point;
    lie_algebra_dimension: dim Lie(∇φ)(θ) at a generic point; momentum_lie_dimension: of the Lie algebra of drift and
    forces on (t, θ, v) that belongs to θ'' + τ θ' + ∇L = 0, at a generic point and for generic τ; missed: the affine
    fields outside the group, as text; refuted: factors of the group that are no symmetry; method: the arithmetic.
    Piecewise linear graphs: the dimensions at a point hold near one where units are on and off in as many ways as
    random points show, under data that reach all pieces there.
    Sources of the counts of laws: Marcotte, Gribonval, Peyré (2023), arXiv 2307.00144, and (2024), arXiv 2405.12888.
    """

    name: str
    parameter_count: int
    group_dimension: int
    affine_dimension: int
    translation_products: int
    orbit_dimension: int
    jacobian_nullity: int
    lie_algebra_dimension: int
    momentum_lie_dimension: int
    missed: tuple[str, ...]
    refuted: tuple[str, ...]
    method: str

    @property
    def conservation_laws(self) -> int:
        """Independent conservation laws of gradient flow, D − dim Lie."""
        return self.parameter_count - self.lie_algebra_dimension

    @property
    def momentum_conservation_laws(self) -> int:
        """Independent laws h(t, θ, v) of θ'' + τ θ' + ∇L = 0, 2D + 1 − dim Lie; in general they depend on t and τ."""
        return 2 * self.parameter_count + 1 - self.momentum_lie_dimension

    @property
    def affine_complete(self) -> bool:
        """Whether the group that the graph rules found has all affine symmetries."""
        return self.group_dimension == self.affine_dimension and not self.missed and not self.refuted

    @property
    def complete(self) -> bool:
        """Whether, besides, the orbits fill the null space of the Jacobian, so that no other symmetry is left."""
        return self.affine_complete and self.orbit_dimension == self.jacobian_nullity

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the certificate is not complete; empty when it is."""
        found = [f"factor '{factor}' is no symmetry of the predictor" for factor in self.refuted]
        if self.missed:
            found.append(f"the graph rules missed {_counted(len(self.missed), 'affine field')}")
        elif self.group_dimension != self.affine_dimension and not self.refuted:
            found.append("the stated dimension of the group is not the number of its independent fields")
        left = self.jacobian_nullity - self.orbit_dimension
        if left:
            belong = "belongs" if left == 1 else "belong"
            found.append(f"{_counted(left, 'null direction')} of the Jacobian {belong} to no affine symmetry")
        return tuple(found)

    def __str__(self) -> str:
        verdict = "complete" if self.complete else "not complete: " + "; ".join(self.reasons)
        lines = [
            f"certificate of {self.name}, {self.parameter_count} parameters ({self.method})",
            f"  group found by the graph rules   {self.group_dimension}",
            f"  affine symmetries                {self.affine_dimension}{self._products}",
            f"  dimension of their orbits        {self.orbit_dimension}",
            f"  nullity of the Jacobian          {self.jacobian_nullity}",
            f"  Lie algebra of the gradients     {self.lie_algebra_dimension}",
            f"  conservation laws                {self.conservation_laws}",
            f"  conservation laws with momentum  {self.momentum_conservation_laws}",
            f"  {verdict}",
        ]
        lines += [f"  missed: {field}" for field in self.missed[:LONGEST_LIST]]
        if len(self.missed) > LONGEST_LIST:
            lines.append(f"  … and {len(self.missed) - LONGEST_LIST} more")
        return "\n".join(lines)

    @property
    def _products(self) -> str:
        count = self.translation_products
        return f" (and {count} products of translations and linear functions)" if count else ""

    def to_json(self) -> str:
        """All fields, the numbers of conservation laws and the verdict, as a JSON object."""
        derived = {
            "conservation_laws": self.conservation_laws,
            "momentum_conservation_laws": self.momentum_conservation_laws,
            "affine_complete": self.affine_complete,
            "complete": self.complete,
            "reasons": self.reasons,
        }
        return json.dumps({**asdict(self), **derived}, ensure_ascii=False)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
