"""Designs by products: norms of groups of coefficients, and singular values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import DeclarationError, DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.graph.shapes import as_size, dims
from symtheory.inverse_design.confirm_fibre import confirm_fibre
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.power import product_length, require_power
from symtheory.inverse_design.target import Target
from symtheory.rendering import plain

LONGEST = 6  # factors of a product

STATEMENTS = {
    "label_noise": "label noise minimises κ Σ R({what}) along zero loss",
    "weight_decay": "weight decay λ adds λ/2 Σ R({what}) to the loss",
}
SMALL = {"groups": (1, 3), "singular_values": (3, 2)}
"""Sizes at which a design is confirmed."""


def design_groups(target: Target, mechanism: str, shape: Sequence[object] | None) -> Design:
    """R(‖w_g‖) for groups w_g of k coefficients: w_g = c a_g … v_g with scalars a_g and a vector v_g."""
    _require_mechanism(mechanism, "groups")
    factor, power = require_power(target, "a product for groups")
    length = product_length(mechanism, power, LONGEST)

    def declare(groups: object, size: object) -> Node:
        node: Node = functions.param("v", groups, size)
        for name in reversed("abcdef"[: length - 1]):
            node = functions.param(name, groups, 1) * node
        # JJᵀ of one group has the k rows of v: its factor is k^(1/L) where that of weight decay is 1.
        return node * _scale(mechanism, factor, length, as_size(size))

    sizes = dims("g k") if shape is None else shape
    return _confirmed(target, mechanism, "groups", declare, sizes, length)


def design_singular_values(target: Target, mechanism: str, shape: Sequence[object] | None) -> Design:
    """Σ R(σ_i) over the singular values of W = c W_1 … W_L, with as many inner columns as W has rank at most."""
    _require_mechanism(mechanism, "singular_values")
    factor, power = require_power(target, "a product of matrices")
    length = product_length(mechanism, power, LONGEST)
    if mechanism == "label_noise" and length > 2:
        raise DerivationError(f"a product of {length} matrices has no power of its singular values under label_noise")

    def declare(rows: object, columns: object) -> Node:
        n, m = as_size(rows), as_size(columns)
        inner = sp.Min(n, m) if n.is_Integer and m.is_Integer else dims("h")
        return _chain(length, rows, inner, columns) * _scale(mechanism, factor, length, n * m)

    sizes = dims("n m") if shape is None else shape
    return _confirmed(target, mechanism, "singular_values", declare, sizes, length)


def _chain(length: int, rows: object, inner: object, columns: object) -> Node:
    if length == 1:
        return functions.param("W", rows, columns)
    if length == 2:
        return functions.param("G", rows, inner) @ functions.param("H", columns, inner).T
    sizes = [rows, *[inner] * (length - 1), columns]
    node = functions.param("W1", sizes[0], sizes[1])
    for place in range(1, length):
        node = node @ functions.param(f"W{place + 1}", sizes[place], sizes[place + 1])
    return node


def _scale(mechanism: str, factor: sp.Expr, length: int, rows: sp.Expr) -> sp.Expr:
    """c: the bias of c times a product is c^(2/L) L rows^(1/L) r^(2 − 2/L) under label noise, c^(−2/L) L r^(2/L) under
    weight decay."""
    power = sp.Rational(length, 2)
    if mechanism == "weight_decay":
        return (factor / length) ** -power
    return (factor / length) ** power / sp.sqrt(rows)


def _confirmed(
    target: Target,
    mechanism: str,
    of: str,
    declare: Callable[[object, object], Node],
    sizes: Sequence[object],
    length: int,
) -> Design:
    """The design at the sizes asked for, confirmed at small ones."""
    if len(sizes) != 2:
        raise DeclarationError(f"{of} have two sizes, and shape = {tuple(sizes)} has {len(sizes)}")
    assumptions = [f"{plain(target.expression)} is a power, met with its factor by a product of {length}"]
    if mechanism == "label_noise":
        assumptions.append("the features of all entries of w (of one group) have one mean square κ")
    if of == "singular_values":
        assumptions.append("h is at least the smaller size of W, so that every W can be reached")
    node, small = declare(*sizes), declare(*SMALL[of])
    design = Design(
        target=target,
        mechanism=mechanism,
        of=of,
        predictor=node,
        core=node,
        function=None,
        domain="every real w" if of == "groups" else "every real matrix",
        statement=STATEMENTS[mechanism].format(what="‖w_g‖" if of == "groups" else "σ_i"),
        assumptions=tuple(assumptions),
    )
    return replace(design, confirmation=confirm_fibre(design, small))


def _require_mechanism(mechanism: str, of: str) -> None:
    if mechanism == "mirror":
        raise DerivationError(
            f"mirror is designed for coordinates and the simplex: for {of} the gradient fields of the entries of w do "
            "not commute, and there is no potential of w"
        )
    if mechanism not in STATEMENTS:
        raise DerivationError(f"{mechanism} is designed for coordinates and for singular values, not for {of}")
