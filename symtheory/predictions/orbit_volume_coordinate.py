"""Orbit volume where a graph acts coordinate by coordinate: on slices, on orbits, and in the coordinates (w, c)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.fibre_minimum import POSITIVE, fibre_minimum
from symtheory.predictions.formula import Formula
from symtheory.predictions.gauge_correction import field_determinant, gauge_correction
from symtheory.predictions.orbit_volume_terms import (
    AGREEMENT,
    CHARGE_VOLUME,
    CHARGES,
    DIFFERENCE,
    GENERATOR_VOLUME,
    GENERATORS,
    LANGEVIN,
    LOSS,
    MECHANISM,
    NARROW,
    OBSERVABLE,
    ORDER,
    REGULAR,
    SOURCE,
    STATIONARY,
    THETA,
    TITLE,
    slice_density,
)
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import LAMBDA, PREDICTOR, TEMPERATURE
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.weight_coordinates import weight_coordinates

SLOPE, DENSITY = f"{MECHANISM}_slope", f"{MECHANISM}_density"
MOST_COORDINATES, MOST_MONOMIALS = 4, 12
"""Parameters of a coordinate for which a Jacobian is written out, and products of w and the charges among which its
square is looked for; with more it would be too long to read."""

MOST_POWERS = 3
"""Powers of a ratio that are tried as a rational function of w: for w = ‖θ‖^p its p/2-th power is one."""


def orbit_volume_of_coordinate(model: ElementwiseModel, subject: Subject) -> Prediction:
    """V, U, and the law of (w, c) of one coordinate.

    ∇w is orthogonal to every ∇c_A = 2 X_A, since w does not change along X_A. So det of the Gram matrix of ∇w and ∇c
    is JJᵀ det(∇c ∇cᵀ), and where (w, c) are coordinates, |det ∂(w, c)/∂θ| is its root. Raises ``DerivationError``
    where nothing but constants would be added to the loss. Derived here; V as in Aladrah et al. 2026 (2601.06597).
    """
    law = _Coordinate(model, dict(subject.charges), _has_linear_fields(subject))
    if law.slice_volume is None and law.marginal is None:
        raise DerivationError(_refusal(law, subject.name))
    measures, relations = [], []
    formulas: dict[str, Formula] = {}
    theta = {"point": {str(symbol): symbol for symbol in model.coordinates}}
    if law.slice_volume is not None:
        relations += [equation(CHARGE_VOLUME(THETA), law.slice_volume), slice_density()]
        measures.append("the slice's own volume for p(theta)")
        formulas[MECHANISM] = Formula(law.slice_volume, "V of one coordinate.", dictionaries=theta)
        formulas[CHARGES] = Formula(dict(subject.charges), "Charges of a point.", dictionaries=theta)
    if law.orbit_volume is not None:
        relations.append(equation(GENERATOR_VOLUME(THETA), law.orbit_volume))
        formulas[GENERATORS] = Formula(law.orbit_volume, "U of one coordinate.", dictionaries=theta)
    formulas[SLOPE] = Formula(
        sp.log(law.kernel) / 2, "½ log JJᵀ, J = ∂w/∂θ: what it takes from length in θ to dw.", dictionaries=theta
    )
    for left, right, measure in law.laws:
        relations.append(equation(left, right))
        measures.append(f"{measure} for {left}")
    if law.closed_jacobian is not None:
        numbers = {"w": PREDICTOR, **law.charge_symbols}
        formulas[DENSITY] = Formula(
            -sp.log(law.closed_jacobian), "log p(w, c) + L/T up to a constant.", tensors=numbers
        )
    return Prediction(
        mechanism=MECHANISM,
        title=TITLE,
        statement=sp.Tuple(*relations),
        observable=OBSERVABLE,
        assumptions=(LANGEVIN, STATIONARY, *((NARROW, REGULAR) if law.slice_volume is not None else ())),
        order=ORDER,
        source=SOURCE,
        formulas=formulas,
        parametrization=subject.name,
        measure="; ".join(measures),
        notes=(
            *(f"{symbol} = {law.charges[name]}" for name, symbol in law.charge_symbols.items()),
            DIFFERENCE,
            AGREEMENT,
            *law.notes,
            "all of it for one coordinate: in the whole, V and U are sums over coordinates",
        ),
    )


def _has_linear_fields(subject: Subject) -> bool:
    return all(isinstance(factor, CoordinatewiseGroup) for factor in subject.group)


def _refusal(law: _Coordinate, name: str) -> str:
    if not law.charges:
        return f"'{name}' has no charge, so no gauge slice, and no compact orbits that fill the fibres of w"
    return f"the charges of '{name}' are linear: their slices are parallel, and the correction is a constant"


@dataclass(frozen=True)
class _Coordinate:
    """One coordinate θ ∈ R^k with its charges; is_linear: whether all generators are linear fields."""

    model: ElementwiseModel
    charges: Mapping[str, sp.Expr]
    is_linear: bool

    @cached_property
    def kernel(self) -> sp.Expr:
        """JJᵀ."""
        return sp.factor(sum(slope**2 for slope in self.model.gradient()))

    @cached_property
    def slice_volume(self) -> sp.Expr | None:
        """V; None without charges whose gradients vary."""
        if not self.charges:
            return None
        volume = gauge_correction(self.model, list(self.charges.values()))
        return None if not volume.free_symbols else volume

    @cached_property
    def orbit_volume(self) -> sp.Expr | None:
        """U; None where generators depend on each other at every point, unless the group is compact.

        Then it is half the logarithm of the product of the nonzero eigenvalues, the volume element of the orbit up to a
        constant: conjugation by rotations, which turns stabilizers into each other, preserves the metric of so(k).
        """
        generators = self.model.generators
        if not generators or not self.is_linear:
            return None
        fields = sp.Matrix.hstack(*(self.model.vector_field(matrix) for matrix in generators)).T
        rank, determinant = field_determinant(fields)
        if rank < len(generators) and not self.is_compact:
            return None
        return sp.log(sp.factor(determinant)) / 2

    @cached_property
    def is_compact(self) -> bool:
        """Whether all generators are antisymmetric: then orbits are compact, and there is no charge."""
        return bool(self.model.generators) and all(-matrix == matrix.T for matrix in self.model.generators)

    @cached_property
    def charge_symbols(self) -> dict[str, sp.Symbol]:
        """Charge → symbol: c, or c1, c2, …; parameters keep their names."""
        taken = {str(symbol) for symbol in self.model.coordinates} | {"w"}
        names = ["c"] if len(self.charges) == 1 else [f"c{place}" for place in range(1, len(self.charges) + 1)]
        while taken & set(names):
            names = [f"{name}_" for name in names]
        return {key: sp.Symbol(name, real=True) for key, name in zip(self.charges, names, strict=True)}

    @cached_property
    def jacobian(self) -> sp.Expr | None:
        """det ∂(w, c)/∂θ in θ; None where (w, c) are no coordinates, or too many for a short formula."""
        if not self.has_coordinates or self.model.dimension > MOST_COORDINATES:
            return None
        functions = sp.Matrix([self.model.predictor, *self.charges.values()])
        return sp.factor(functions.jacobian(self.model.coordinates).det(method="berkowitz"))

    @property
    def has_coordinates(self) -> bool:
        """Whether (w, c) are coordinates: as many as parameters; ∇w is orthogonal to the independent ∇c."""
        return self.slice_volume is not None and len(self.charges) == self.model.dimension - 1

    @cached_property
    def closed_jacobian(self) -> sp.Expr | None:
        """Its absolute value in w and c, where its square is a polynomial in them."""
        if self.jacobian is None or self.is_ambiguous:
            return None
        values = {PREDICTOR: self.model.predictor}
        values |= {self.charge_symbols[name]: charge for name, charge in self.charges.items()}
        squared = _in_terms_of(self.jacobian**2, values, self.model.coordinates)
        return None if squared is None else sp.sqrt(sp.factor(squared))

    @cached_property
    def marginal(self) -> sp.Expr | None:
        """exp(U)/√JJᵀ in w where compact orbits fill the fibres of w: what marginalization multiplies exp(−L/T) by."""
        if not self.is_compact or self.orbit_volume is None or self.charges or self.is_ambiguous:
            return None
        fields = sp.Matrix.hstack(*(self.model.vector_field(matrix) for matrix in self.model.generators)).T
        rank, determinant = field_determinant(fields)
        if rank != self.model.dimension - 1:
            return None
        for power in range(1, MOST_POWERS + 1):
            parts = sp.cancel((determinant / self.kernel) ** power).as_numer_denom()
            values = {PREDICTOR: self.model.predictor}
            top, bottom = (_in_terms_of(part, values, self.model.coordinates) for part in parts)
            if top is not None and bottom is not None:
                return sp.cancel(top / bottom) ** sp.Rational(1, 2 * power)
        return None

    @property
    def is_ambiguous(self) -> bool:
        """Whether a parameter is called w, so that laws of the predictor would name two things alike."""
        return PREDICTOR in self.model.coordinates

    @property
    def laws(self) -> list[tuple[sp.Expr, sp.Expr, str]]:
        """(p(…), its value, the reference measure) in other coordinates, up to normalization."""
        if self.is_ambiguous:
            return []
        weight = sp.exp(-LOSS(PREDICTOR) / TEMPERATURE) / sp.Symbol("Z", positive=True)
        density = sp.Function("p")
        found = []
        if self.jacobian is not None:
            arguments = (PREDICTOR, *self.charge_symbols.values())
            found.append((density(*arguments), weight / (self.closed_jacobian or sp.Abs(self.jacobian)), "dw dc"))
        if self.balanced_jacobian is not None:
            found.append((sp.Function("p_balanced")(PREDICTOR), weight / self.balanced_jacobian, "dw given c = 0"))
        if self.marginal is not None:
            found.append((density(PREDICTOR), weight * self.marginal, "dw"))
        if self.decayed is not None:
            found.append((sp.Function("p_decay")(PREDICTOR), weight * self.decayed, "dw"))
        return found

    @cached_property
    def balanced_jacobian(self) -> sp.Expr | None:
        """|det ∂(w, c)/∂θ| at zero charges, in w, where it is not closed elsewhere."""
        if not self.has_coordinates or self.slice_volume is None or self.closed_jacobian is not None:
            return None
        try:
            minimum = fibre_minimum(self.model, sp.Add(*(symbol**2 for symbol in self.model.coordinates)))
        except DerivationError:
            return None
        if any(sp.simplify(charge.subs(minimum.point)) != 0 for charge in self.charges.values()):
            return None
        squared = self.kernel.subs(minimum.point) * sp.exp(2 * self.slice_volume).subs(minimum.point)
        value = sp.sqrt(sp.powsimp(sp.expand(squared)))
        return value.subs(POSITIVE, sp.Abs(PREDICTOR) if minimum.symmetric else PREDICTOR)

    @cached_property
    def decayed(self) -> sp.Expr | None:
        """The factor of exp(−L/T) in the law of w alone with λ‖θ‖²/2 added to the loss, no charge held; None where it
        is not closed.

        For θ ∈ R² with weight coordinates p₁ ↦ e^{ωt} p₁, p₂ ↦ e^{−ωt} p₂ and w ∝ (p₁p₂)^e: dθ ∝ d(p₁p₂) dt, and along
        an orbit ‖θ‖² = R(w) cosh 2ω(t − t₀), R the smallest value. ∫ exp(−λR cosh(2ωt)/2T) dt ∝ K₀(λR/2T).
        """
        if self.model.dimension != 2 or len(self.model.generators) != 1 or not self.is_linear:
            return None
        try:
            weights = weight_coordinates(self.model)
            minimum = fibre_minimum(self.model, sp.Add(*(symbol**2 for symbol in self.model.coordinates)))
        except DerivationError:
            return None
        ((first, second),) = weights.weights
        inside = sp.Poly(
            self.model.predictor.subs(
                dict(zip(self.model.coordinates, weights.inverse, strict=True)), simultaneous=True
            ),
            *weights.symbols,
        )
        exponents, _ = inside.terms()[0]
        if first + second != 0 or len(inside.terms()) != 1 or exponents[0] != exponents[1]:
            return None
        size = sp.Abs(PREDICTOR) if minimum.symmetric else PREDICTOR
        power = size ** (sp.Rational(1, exponents[0]) - 1)
        return power * sp.besselk(0, LAMBDA * minimum.value_everywhere / (2 * TEMPERATURE))

    @property
    def is_singular(self) -> bool:
        """Whether the law at zero charges is seen to be 1/|w| or worse at w = 0."""
        at_zero = self.balanced_jacobian
        if self.closed_jacobian is not None:
            at_zero = sp.sqrt((self.closed_jacobian**2).subs(dict.fromkeys(self.charge_symbols.values(), 0)))
        if at_zero is None:
            return False
        near, nearer = (float(at_zero.subs(PREDICTOR, size)) for size in (1e-4, 1e-8))
        return math.log(nearer / near) / math.log(1e-4) > 1 - 1e-6

    @property
    def notes(self) -> tuple[str, ...]:
        """What the further laws need."""
        if self.is_ambiguous:
            return ("a parameter is called w, which stands for the predictor here: rename it for the laws of w",)
        found = []
        if self.jacobian is not None:
            found.append("p(w, c): |det ∂(w, c)/∂θ| is the root of JJᵀ det(∇c ∇cᵀ), since ∇w is orthogonal to every ∇c")
        if self.is_singular:
            found.append("at c = 0 the slice has a singular point over w = 0, where its law has no finite mass")
        if self.decayed is not None:
            found.append(
                "p_decay(w): for the loss L(w) + λ‖θ‖²/2 with λ > 0 and no charge held; it makes orbits finite"
            )
        return tuple(found)


def _in_terms_of(
    expression: sp.Expr, values: Mapping[sp.Symbol, sp.Expr], coordinates: Sequence[sp.Symbol]
) -> sp.Expr | None:
    """A homogeneous polynomial in θ as a polynomial in homogeneous functions of θ; None where it is not one."""
    inner = {symbol: sp.Poly(value, *coordinates) for symbol, value in values.items() if value.is_polynomial()}
    if len(inner) < len(values) or not all(poly.is_homogeneous for poly in inner.values()):
        return None
    wanted = sp.Poly(expression, *coordinates)
    if not wanted.is_homogeneous:
        return None
    degrees = {symbol: poly.total_degree() for symbol, poly in inner.items()}
    monomials = _monomials(degrees, wanted.total_degree())
    if not 0 < len(monomials) <= MOST_MONOMIALS:
        return None
    unknowns = sp.symbols(f"a:{len(monomials)}")
    products = [sp.prod([inner[symbol] for symbol in chosen], sp.Poly(1, *coordinates)) for chosen in monomials]
    rows: dict[tuple[int, ...], sp.Expr] = {powers: -value for powers, value in wanted.terms()}
    for unknown, product in zip(unknowns, products, strict=True):
        for powers, value in product.terms():
            rows[powers] = rows.get(powers, sp.S.Zero) + unknown * value
    solutions = sp.linsolve(list(rows.values()), *unknowns)
    if not solutions:
        return None
    (solution,) = solutions
    return sp.Add(*(a * sp.Mul(*chosen) for a, chosen in zip(solution, monomials, strict=True))).subs(
        dict.fromkeys(unknowns, 0)
    )


def _monomials(degrees: Mapping[sp.Symbol, int], degree: int) -> list[tuple[sp.Symbol, ...]]:
    """Products of symbols of given degrees, by their factors, that have a degree in total."""
    if not degrees:
        return [] if degree else [()]
    (symbol, own), *others = degrees.items()
    found = []
    for count in range(degree // own + 1):
        found += [((symbol,) * count) + rest for rest in _monomials(dict(others), degree - count * own)]
    return found
