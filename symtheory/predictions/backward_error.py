"""Backward error analysis: the flow that a step of θ' = θ + η f(θ) follows, as a series in η for any field f.

Terms are elementary differentials, written as rooted trees: a tree with the branches t_1, …, t_k stands for the k-th
derivative of f applied to the vectors of its branches. So () is f, ((),) is f'f, (((),),) is f'f'f and ((), ()) is
f''(f, f). Coefficients are exact; nothing depends on the dimension of θ.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

Tree = tuple["Tree", ...]
Series = dict[Tree, sp.Rational]

FIELD: Tree = ()


def modified_field(order: int) -> list[Series]:
    """f_0, f_1, …, f_order with θ̇ = f_0 + η f_1 + … , whose flow over time η agrees with θ' up to η^(order + 2).

    The flow over η is Σ_i η^i/i! D^{i−1} F, D the derivative along F = Σ_j η^j f_j. Its coefficient of η^{j+1} has f_j
    alone at i = 1, and must be f for j = 0 and zero else. Derived here; compare Barrett and Dherin (2009.11162).
    """
    fields: list[Series] = [{FIELD: sp.Integer(1)}]
    for power in range(2, order + 2):
        found: Series = {}
        for count in range(2, power + 1):
            for parts in _compositions(power, count):
                term = fields[parts[-1] - 1]
                for part in reversed(parts[:-1]):
                    term = derivative(term, fields[part - 1])
                _add(found, term, -sp.Rational(1, sp.factorial(count)))
        fields.append(found)
    return fields


def derivative(series: Series, direction: Series) -> Series:
    """The derivative of a field along another one: every branch may sprout at every node."""
    found: Series = {}
    for tree, weight in series.items():
        for branch, other in direction.items():
            for grown in _grafted(tree, branch):
                _add(found, {grown: sp.Integer(1)}, weight * other)
    return found


def mean_epoch_term(replacement: bool) -> tuple[sp.Expr, sp.Expr]:
    """f_1 of the mean over the batches of an epoch, as coefficients of f̄'f̄ and of the mean of f_b'f_b over batches.

    An epoch of m steps moves θ by η Σ f_i + η² Σ_{i<j} f_j'f_i + O(η³). For independent batches E f_j'f_i = f̄'f̄. In a
    shuffled epoch every batch comes once, and of the m² pairs the m with i = j are left out. The flow over time mη
    gives m f_1 + m²/2 f̄'f̄ at the same order. Derived here; compare Smith et al. (2101.12176) for the shuffled epoch.
    """
    m = sp.Symbol("m", positive=True)
    both, own = sp.symbols("both own")
    pair = both if replacement else (m**2 * both - m * own) / (m * (m - 1))
    term = sp.expand(sp.cancel((m * (m - 1) / 2 * pair - m**2 / 2 * both) / m))
    return term.coeff(both), term.coeff(own)


def penalty_factor(coefficient: sp.Expr) -> sp.Expr:
    """c with f_1 = −∇(c ‖∇L‖²), from its coefficient of f'f where f = −∇L.

    Then f'f = ∇²L ∇L, of which ½ ‖∇L‖² is a potential because ∇²L is symmetric; this is verified for a generic L.
    """
    a, b = sp.symbols("a b", real=True)
    loss = sp.Function("L")(a, b)
    field = -sp.Matrix([loss.diff(a), loss.diff(b)])
    potential = field.dot(field) / 2
    if (field.jacobian([a, b]) * field - sp.Matrix([potential.diff(a), potential.diff(b)])).expand() != sp.zeros(2, 1):
        raise ArithmeticError("the field f'f of a gradient f is no gradient")
    return -coefficient / 2


def _grafted(tree: Tree, branch: Tree) -> Iterator[Tree]:
    """The trees that come from putting the branch on one node, as often as there are nodes."""
    yield _sorted((*tree, branch))
    for place, own in enumerate(tree):
        for grown in _grafted(own, branch):
            yield _sorted((*tree[:place], grown, *tree[place + 1 :]))


def _sorted(branches: Tree) -> Tree:
    return tuple(sorted(branches))


def _compositions(total: int, count: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as an ordered sum of positive ones."""
    if count == 1:
        yield (total,)
        return
    for first in range(1, total - count + 2):
        for rest in _compositions(total - first, count - 1):
            yield (first, *rest)


def _add(series: Series, other: Series, factor: sp.Expr) -> None:
    for tree, weight in other.items():
        total = series.get(tree, sp.Integer(0)) + factor * weight
        if total == 0:
            series.pop(tree, None)
        else:
            series[tree] = total
