"""What the smallest weighted norm on an orbit is made of: plain squares, chains of matrices, products of powers.

Each quantity is a minimum of Σ c_P ‖θ_P‖² over the part of the group that acts on its parameters, homogeneous of degree
2 in them. It knows its expression at symbolic size, and writes torch statements for its value and for the point that
attains it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sympy as sp

from symtheory.geometry.matrix.model import ROWS, MatrixModel
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import trace
from symtheory.predictions.matrix_statements import MatrixStatements, transposed


class OrbitQuantity(ABC):
    """A minimum over part of an orbit."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """The parameters whose weighted squares it is the minimum of."""

    @property
    @abstractmethod
    def expression(self) -> sp.Expr:
        """For one copy of the group where there are several."""

    @property
    def sizes(self) -> set[sp.Symbol]:
        """Symbolic sizes that the source names."""
        return set()

    @abstractmethod
    def value(self, body: MatrixStatements) -> str:
        """Name of the variable that holds it, a tensor (*batch), summed over the copies."""

    @abstractmethod
    def balanced(self, body: MatrixStatements) -> dict[str, str]:
        """Parameter → name of its family of matrices where the minimum is attained."""

    @abstractmethod
    def degree_under(self, exponents: Mapping[str, sp.Rational]) -> sp.Rational | None:
        """c where θ_P ↦ s^{e_P} θ_P multiplies the quantity by s^{2c}; None where it is multiplied by no such power."""


@dataclass(frozen=True)
class Square(OrbitQuantity):
    """weight · ‖θ_P‖² of a parameter that nothing shrinks, without the part that shifts take away."""

    model: MatrixModel
    parameter: str
    weight: sp.Expr

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    @property
    def expression(self) -> sp.Expr:
        matrix = self.model.centred(self.parameter, letter(self.model.symbols[self.parameter]))
        return self.weight * trace(matrix.T @ matrix).expression()

    @property
    def sizes(self) -> set[sp.Symbol]:
        return set(self.weight.free_symbols)

    def value(self, body: MatrixStatements) -> str:
        squares = f"{body.matrix(self.parameter)}.square()"
        return body.summed(f"square_{self.parameter}", squares, self.parameter, 2, self.weight)

    def balanced(self, body: MatrixStatements) -> dict[str, str]:
        return {self.parameter: body.matrix(self.parameter)}

    def degree_under(self, exponents: Mapping[str, sp.Rational]) -> sp.Rational | None:
        return exponents.get(self.parameter, sp.Integer(0))


@dataclass(frozen=True)
class Link:
    """Parameters that one change of basis moves alike, side by side: an h×p matrix, or hᵢ×hⱼ in the middle of a chain.

    members: parameter → the side that the change of basis reaches first.
    """

    members: Mapping[str, int]
    weight: sp.Expr


@dataclass(frozen=True)
class Chain(OrbitQuantity):
    """k Σ σ_j^{2/k} for the singular values σ_j of the product of k matrices with GL(h) on every edge between them.

    A pair X, Y under X ↦ gX, Y ↦ g^{−T}Y: tr(MXXᵀ) + tr(M⁻¹YYᵀ), M = gᵀg, has its minimum 2 tr((XXᵀ YYᵀ)^½) where
    M XXᵀ M = YYᵀ, which is twice the nuclear norm of XᵀY. In a chain all neighbours are balanced at once: then all have
    the singular values σ^{1/k} of their product. For factors without full rank the minimum is that of the closed orbit
    in the closure of the orbit (Kempf and Ness).
    """

    model: MatrixModel
    links: tuple[Link, ...]
    name: str

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for link in self.links for name in link.members)

    @property
    def scale(self) -> sp.Expr:
        """The geometric mean of the weights."""
        return sp.Mul(*(link.weight for link in self.links)) ** sp.Rational(1, len(self.links))

    @property
    def word(self) -> Polynomial | None:
        """The product W, or None where several parameters lie side by side at an end."""
        parts = [self._oriented(link) for link in self.links]
        if any(len(part) > 1 for part in parts):
            return None
        return reduce(lambda left, right: left @ right, [parts[0][0].T, *(part[0] for part in parts[1:])])

    def _oriented(self, link: Link) -> list[Polynomial]:
        """The members with rows where the change of basis acts."""
        values = [
            (self.model.centred(name, letter(self.model.symbols[name])), side) for name, side in link.members.items()
        ]
        return [value if side == ROWS else value.T for value, side in values]

    @property
    def expression(self) -> sp.Expr:
        order, word = len(self.links), self.word
        if word is not None:
            matrix = word.expression()
            gram = sp.MatMul(matrix.T, matrix)
        else:
            first, last = (self._gram(self._oriented(link)) for link in (self.links[0], self.links[-1]))
            middle = [part for link in self.links[1:-1] for part in self._oriented(link)]
            for part in reversed(middle):
                last = part @ last @ part.T
            gram = sp.MatMul(first.expression(), last.expression())
        return order * self.scale * sp.Trace(sp.MatPow(gram, sp.Rational(1, order)))

    def _gram(self, parts: Sequence[Polynomial]) -> Polynomial:
        grams = [part @ part.T for part in parts]
        return sum(grams[1:], grams[0])

    def _product(self, body: MatrixStatements) -> str:
        first, *others = (body.side_by_side(self.name, link.members) for link in self.links)
        return " @ ".join([transposed(first), *others])

    @property
    def sizes(self) -> set[sp.Symbol]:
        return set(self.scale.free_symbols)

    def value(self, body: MatrixStatements) -> str:
        order = len(self.links)
        product = body.assign(f"product_{self.name}", self._product(body))
        values = body.assign(f"values_{self.name}", f"torch.linalg.svdvals({product})")
        width = body.smallest(self.links[1:])
        powers = f"{values}[..., :{width}]" + ("" if order == 2 else f".pow(2 / {order})")
        return body.summed(f"sum_{self.name}", powers, self.parameters[0], 1, order * self.scale)

    def balanced(self, body: MatrixStatements) -> dict[str, str]:
        order = len(self.links)
        product = body.assign(f"product_{self.name}", self._product(body))
        left, values, right = body.assign_several(
            [f"left_{self.name}", f"values_{self.name}", f"right_{self.name}"],
            f"torch.linalg.svd({product}, full_matrices=False)",
        )
        width = body.smallest(self.links[1:])
        # Beyond the width of an edge the singular values are rounding, which a root makes large.
        root = body.assign(f"root_{self.name}", f"{values}[..., :{width}, None].pow(1 / {order})")
        found: dict[str, str] = {}
        for place, link in enumerate(self.links):
            weight = sp.sqrt(self.scale / link.weight)
            if place == 0:
                source = f"{root} * {left}[..., :, :{width}].mT"
            elif place == order - 1:
                source = f"{root} * {right}[..., :{width}, :]"
            else:
                source = f"torch.diag_embed({root}[..., 0])"
            found |= body.taken_apart(self.name, link.members, source, weight)
        return found

    def degree_under(self, exponents: Mapping[str, sp.Rational]) -> sp.Rational | None:
        total = sp.Integer(0)
        for link in self.links:
            own = {exponents.get(name, sp.Integer(0)) for name in link.members}
            if len(own) > 1:
                return None
            total += own.pop()
        return total / len(self.links)


@dataclass(frozen=True)
class Powers(OrbitQuantity):
    """Σ_j S Π_g (q_gj/n_g)^{n_g/S}, S = Σ n_g: the minimum of Σ_g q_gj over rescalings of every index j by itself.

    parts: for every group of quantities that are rescaled alike, n_g and its members. Stationarity is Σ_g c_ag q_g = 0
    for every rescaling a; its only solution up to a factor is n. What all rescalings leave alone is Π q^n, and the
    inequality of the means gives the rest. side: parameter → the side along which it has the index j.
    """

    model: MatrixModel
    parts: tuple[tuple[sp.Rational, tuple[str, ...]], ...]
    sides: Mapping[str, int]
    weights: Mapping[str, sp.Expr]
    name: str

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for _, members in self.parts for name in members)

    @property
    def total(self) -> sp.Rational:
        return sp.Add(*(count for count, _ in self.parts))

    @property
    def factor(self) -> sp.Expr:
        """S Π n_g^{−n_g/S}."""
        return self.total * sp.Mul(*(count ** (-count / self.total) for count, _ in self.parts))

    @property
    def expression(self) -> sp.Expr:
        factors: list[Any] = []
        for count, members in self.parts:
            grams = [self._gram(name) for name in members]
            squares = sum(grams[1:], grams[0])
            diagonal = sp.DiagonalMatrix(squares.expression()) if squares.shape[0] != 1 else squares.expression()
            factors.append(sp.MatPow(diagonal, count / self.total))
        # Kept in order and apart: powers of equal matrices would be merged otherwise.
        return self.factor * sp.Trace(sp.MatMul(*factors))

    def _gram(self, name: str) -> Polynomial:
        value = self.model.centred(name, letter(self.model.symbols[name]))
        gram = value @ value.T if self.sides[name] == ROWS else value.T @ value
        return gram * self.weights[name]

    def _squares(self, body: MatrixStatements) -> list[str]:
        """Names of the q_g, tensors (*batch, *copies, size)."""
        found = []
        for _, members in self.parts:
            terms = [
                body.times(self.weights[name], f"{body.matrix(name)}.square().sum({-1 - self.sides[name]})")
                for name in members
            ]
            found.append(body.assign(f"squares_{'_'.join(members)}", " + ".join(terms)))
        return found

    def _means(self, body: MatrixStatements, squares: Sequence[str]) -> str:
        powers = [
            f"{square} ** {float(count / self.total)}" if count != self.total else square
            for (count, _), square in zip(self.parts, squares, strict=True)
        ]
        return " * ".join(powers)

    @property
    def sizes(self) -> set[sp.Symbol]:
        return set().union(*(self.weights[name].free_symbols for name in self.parameters))

    def value(self, body: MatrixStatements) -> str:
        means = self._means(body, self._squares(body))
        return body.summed(f"sum_{self.name}", f"({means})", self.parameters[0], 1, self.factor)

    def balanced(self, body: MatrixStatements) -> dict[str, str]:
        squares = self._squares(body)
        mean = body.assign(f"mean_{self.name}", body.times(self.factor / self.total, f"({self._means(body, squares)})"))
        found: dict[str, str] = {}
        for (count, members), square in zip(self.parts, squares, strict=True):
            # What is zero stays zero: its partners are then zero as well.
            ratio = body.times(count, f"{mean} / {square}")
            root = body.assign(f"root_{'_'.join(members)}", f"torch.where({square} > 0, {ratio}, 0.0).sqrt()")
            for name in members:
                index = "[..., :, None]" if self.sides[name] == ROWS else "[..., None, :]"
                found[name] = body.assign(f"balanced_{name}", f"{body.matrix(name)} * {root}{index}")
        return found

    def degree_under(self, exponents: Mapping[str, sp.Rational]) -> sp.Rational | None:
        total = sp.Integer(0)
        for count, members in self.parts:
            own = {exponents.get(name, sp.Integer(0)) for name in members}
            if len(own) > 1:
                return None
            total += count * own.pop()
        return total / self.total


@dataclass(frozen=True)
class PowersOfWholes(OrbitQuantity):
    """S Π_b (q_b/n_b)^{n_b/S} of other quantities q_b: their smallest sum over rescalings of whole parameters."""

    parts: tuple[tuple[sp.Rational, tuple[OrbitQuantity, ...]], ...]
    name: str

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for _, members in self.parts for quantity in members for name in quantity.parameters)

    @property
    def total(self) -> sp.Rational:
        return sp.Add(*(count for count, _ in self.parts))

    @property
    def expression(self) -> sp.Expr:
        sums = [(count, sp.Add(*(quantity.expression for quantity in members))) for count, members in self.parts]
        return self.total * sp.Mul(*((total / count) ** (count / self.total) for count, total in sums))

    @property
    def sizes(self) -> set[sp.Symbol]:
        return set().union(*(quantity.sizes for _, members in self.parts for quantity in members))

    def value(self, body: MatrixStatements) -> str:
        means = [
            f"({' + '.join(quantity.value(body) for quantity in members)}) ** {float(count / self.total)}"
            for count, members in self.parts
        ]
        factor = self.total * sp.Mul(*(count ** (-count / self.total) for count, _ in self.parts))
        return body.assign(f"sum_{self.name}", body.times(factor, " * ".join(means)))

    def balanced(self, body: MatrixStatements) -> dict[str, str]:
        value = self.value(body)
        found: dict[str, str] = {}
        for number, (count, members) in enumerate(self.parts, 1):
            own = " + ".join(quantity.value(body) for quantity in members)
            ratio = body.times(count / self.total, f"{value} / ({own})")
            root = body.assign(f"root_{self.name}_{number}", f"({ratio}).sqrt()")
            for quantity in members:
                for name, matrix in quantity.balanced(body).items():
                    found[name] = body.scaled_whole(name, matrix, root)
        return found

    def degree_under(self, exponents: Mapping[str, sp.Rational]) -> sp.Rational | None:
        return None
