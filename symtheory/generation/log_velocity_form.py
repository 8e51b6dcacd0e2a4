"""Connection and Taylor geodesics of a metric that scales with the parameters, written in log-velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import sympy as sp

from symtheory.codegen.nodes import Fused
from symtheory.generation.weight_form import WeightForm, whole

# Sums over all coordinates, kept whole: they are the same for every coordinate, so that code computes them once.
_SLOPE, _SPEED = sp.Dummy("S", real=True), sp.Dummy("Q", real=True)


@dataclass(frozen=True)
class LogVelocityForm:
    """Γ_i(ξ, ξ) = p_i G_i(b) with b_i = ξ_i/p_i, in weight coordinates p; and γ_i'''(0) = −p_i H_i(b).

    form, rate: G_i and H_i, polynomials in `b` with constant coefficients.
    sums: the slope S = d log √det g along b, per coordinate, and the squared speed Q at p = 1, in b. For a metric
        that is conformal to Σ κ_i (dp_i/p_i)², G_i and H_i are polynomials in b_i, S and Q.
    """

    weights: WeightForm
    b: tuple[sp.Symbol, ...]
    form: tuple[sp.Expr, ...]
    rate: tuple[sp.Expr, ...]
    sums: dict[sp.Symbol, sp.Expr]

    @classmethod
    def of(cls, weights: WeightForm) -> LogVelocityForm | None:
        """The form, or None where Γ does not scale so, or where a weight coordinate may be zero."""
        if not weights.needs_every_weight():
            return None
        p = weights.p
        b = tuple(sp.Dummy(f"b{index}", real=True) for index in range(len(p)))
        velocity = weights.coordinates.back([x * y for x, y in zip(p, b, strict=True)])
        components = weights.coordinates.of(weights.geometry.christoffel_form(velocity))
        form = tuple(sp.expand(sp.cancel(weights.at(value) / x)) for value, x in zip(components, p, strict=True))
        sums = _sums(weights.metric(), p, b)
        if any(value.free_symbols & set(p) for value in (*form, *sums.values())):
            return None
        return cls(weights, b, form, _rates(form, b), sums)

    def christoffel(self, xi: Sequence[sp.Expr]) -> list[list[sp.Expr]]:
        """The k components of Γ(ξ, ξ), once for every way of writing the polynomials."""
        return self._written(self.form, xi)

    def taylor(self, xi: Sequence[sp.Expr], order: int) -> list[list[sp.Expr]]:
        """The geodesic at t = 1 to order 2 or 3, once for every way of writing the polynomials.

        The polynomial at time t is that of tξ at time 1.
        """
        third = 0 if order == 2 else sp.Rational(1, 6)
        terms = zip(self.b, self.form, self.rate, strict=True)
        steps = self._written([b - form / 2 - third * rate for b, form, rate in terms], xi)
        # The point is added last: without a velocity it comes out as it is, to the last bit.
        point = self.weights.geometry.coordinates
        return [[Fused(x + step) for x, step in zip(point, way, strict=True)] for way in steps]

    def horizontal(self, xi: Sequence[sp.Expr]) -> list[sp.Expr] | None:
        """The k components of the horizontal part of ξ, or None where it depends on more than log-velocities.

        Raises MetricError where there is no projection.
        """
        scale, matrix = sp.diag(*self.weights.p), self.weights.coordinates.matrix
        projection = matrix * self.weights.geometry.horizontal_projection.applyfunc(self.weights.at) * matrix.inv()
        constant = (scale.inv() * projection * scale).applyfunc(sp.cancel)
        if constant.free_symbols:
            return None
        point = self.weights.point()
        b = [whole(v / x) for v, x in zip(self.weights.coordinates.of(xi), point, strict=True)]
        denominator = sp.ilcm(1, *(entry.q for entry in constant))
        parts = [whole(whole(sp.Add(*map(sp.Mul, row, b))) / denominator) for row in (constant * denominator).tolist()]
        return self.weights.back([whole(x) * part for x, part in zip(point, parts, strict=True)])

    def _written(self, polynomials: Sequence[sp.Expr], xi: Sequence[sp.Expr]) -> list[list[sp.Expr]]:
        point, velocity = self.weights.point(), self.weights.coordinates.of(xi)
        b = {symbol: whole(v / x) for symbol, v, x in zip(self.b, velocity, point, strict=True)}
        sums = {symbol: whole(value.xreplace(b)) for symbol, value in self.sums.items()}
        results = []
        for way in (polynomials, self._in_sums(polynomials)):
            if way is not None:
                scaled = [
                    _scaled(value, symbol, x, v).xreplace(b | sums)
                    for value, symbol, x, v in zip(way, self.b, map(whole, point), map(whole, velocity), strict=True)
                ]
                results.append(self.weights.back(scaled))
        return results

    def _in_sums(self, polynomials: Sequence[sp.Expr]) -> list[sp.Expr] | None:
        """The polynomials in b_i, S and Q, or None if one of them needs another b_j."""
        found = [_in_own(value, symbol, self.b, self.sums) for value, symbol in zip(polynomials, self.b, strict=True)]
        return None if None in found else found


def _rates(form: Sequence[sp.Expr], b: Sequence[sp.Symbol]) -> tuple[sp.Expr, ...]:
    """H_i from d/dt (p_i G_i), with p_i' = p_i b_i and b_i' = −G_i − b_i² along a geodesic."""
    slopes = [-value - symbol**2 for value, symbol in zip(form, b, strict=True)]
    return tuple(
        sp.expand(symbol * value + sum(sp.diff(value, x) * slope for x, slope in zip(b, slopes, strict=True)))
        for value, symbol in zip(form, b, strict=True)
    )


def _sums(metric: sp.MatrixBase, p: Sequence[sp.Symbol], b: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Expr]:
    """S and Q; they hold p where the metric does not scale."""
    volume = sp.cancel(metric.det(method="berkowitz") * sp.prod(p) ** 2)
    growth = [sp.cancel(x * sp.diff(volume, x) / volume) for x in p]
    slope = sum(y * value for y, value in zip(b, growth, strict=True)) / (2 * len(p))
    velocity = sp.Matrix(b)
    speed = sp.expand((velocity.T * metric.xreplace(dict.fromkeys(p, sp.S.One)) * velocity)[0])
    return {_SLOPE: slope, _SPEED: sp.Poly(speed, *b).primitive()[1].as_expr()}


def _in_own(
    polynomial: sp.Expr, own: sp.Symbol, b: Sequence[sp.Symbol], sums: dict[sp.Symbol, sp.Expr]
) -> sp.Expr | None:
    """The polynomial in one b_i, S and Q, by comparing coefficients with every product of the right degree, or None."""
    degree = sp.Poly(polynomial, *b).total_degree()
    powers = [(i, j, k) for i, j, k in product(range(degree + 1), repeat=3) if i + j + 2 * k <= degree]
    shapes = [own**i * _SLOPE**j * _SPEED**k for i, j, k in powers]
    unknown = sp.symbols(f"c:{len(shapes)}", cls=sp.Dummy)
    ansatz = sp.Add(*(c * shape for c, shape in zip(unknown, shapes, strict=True)))
    equations = sp.Poly(sp.expand(ansatz.xreplace(sums) - polynomial), *b).coeffs()
    solved = sp.solve(equations, unknown, dict=True)
    if not solved:
        return None
    # Where S or Q is zero or one depends on the other, more than one way fits: the free coefficients are left out.
    return ansatz.xreplace(solved[0]).xreplace(dict.fromkeys(unknown, sp.S.Zero))


def _scaled(polynomial: sp.Expr, own: sp.Symbol, p: sp.Expr, velocity: sp.Expr) -> sp.Expr:
    """p times the polynomial, in Horner's form in the coordinate's own log-velocity; p b is the velocity itself.

    Where no other coordinate takes part, the linear term is split off and the next one's coefficient taken out.
    """
    if polynomial.free_symbols == {own} and polynomial.subs(own, 0) == 0:
        linear, second = polynomial.coeff(own, 1), polynomial.coeff(own, 2)
        rest = sp.expand((polynomial - linear * own) / (second * own)) if second else sp.S.Zero
        return linear * velocity + second * velocity * whole(rest)
    if polynomial.subs(own, 0) == 0:
        return velocity * _nested(sp.expand(polynomial / own), own)
    return p * _nested(polynomial, own)


def _nested(polynomial: sp.Expr, own: sp.Symbol) -> sp.Expr:
    value = sp.S.Zero
    for coefficient in sp.Poly(polynomial, own).all_coeffs():
        value = value * own + sp.factor_terms(coefficient)
    return value
