"""Certificates: what they compare, what they say, and what they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import sympy as sp
from certificate_cases import deep_linear, deep_relu

import symtheory.graph.functions as st
from symtheory import catalog
from symtheory.errors import CertificateError, DeclarationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.shapes import dims
from symtheory.symmetry.certificate import Certificate, bound_for_certificate, certify, fitting_sizes
from symtheory.symmetry.certificate.size_limit import LARGEST_EXACT, parameter_count
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.find import find_symmetries
from symtheory.symmetry.group import SymmetryGroup


def certificate(graph: ComputationGraph, seed: int = 0) -> Certificate:
    return certify(graph, find_symmetries(graph), seed)


SIZES = {
    "hadamard": ({"d": 3}, 3, 3),
    "squared_difference": ({"d": 3}, 3, 3),
    "depth_product": ({"d": 2}, 4, 4),
    "low_rank": ({"n": 4, "m": 3, "h": 2}, 4, 3),
    "shallow_relu": ({"d": 3, "h": 2, "k": 2}, 2, 2),
}


@pytest.mark.parametrize("name", SIZES)
def test_catalog_is_complete(name: str) -> None:
    sizes, dimension, laws = SIZES[name]
    found = certificate(catalog.load(name).bind(**sizes))
    assert found.group_dimension == found.affine_dimension == found.orbit_dimension == found.jacobian_nullity
    assert (found.group_dimension, found.conservation_laws, found.complete, found.reasons) == (
        dimension,
        laws,
        True,
        (),
    )
    assert found.method == "exact modulo the prime 2^31 − 1"


def test_published_networks() -> None:
    relu = certificate(deep_relu(9, 7, 2))
    assert (relu.parameter_count, relu.lie_algebra_dimension, relu.conservation_laws) == (77, 70, 7)
    assert (relu.momentum_lie_dimension, relu.momentum_conservation_laws) == (155, 0)
    assert relu.complete
    chain = certificate(deep_linear(3, 4, 2, 4))
    assert (chain.group_dimension, chain.affine_dimension, chain.conservation_laws) == (20, 20, 13)


def test_null_directions_without_affine_symmetry_are_reported() -> None:
    """Rank 2 through width 3: the fibre has dimension 11, GL(3) has 9, the rest moves with the kernel of W_1."""
    found = certificate(deep_linear(5, 3, 2))
    assert found.momentum_conservation_laws == 3
    assert (found.affine_complete, found.complete) == (True, False)
    assert found.reasons == ("2 null directions of the Jacobian belong to no affine symmetry",)


def test_missed_fields_are_named() -> None:
    found = certificate(ComputationGraph(st.param("u", 2) @ st.param("v", 2), name="contraction"))
    assert found.missed == ("δu[0] = v[1], δu[1] = −v[0]", "δv[0] = u[1], δv[1] = −u[0]")
    assert not found.complete
    assert "missed: δu[0] = v[1], δu[1] = −v[0]" in str(found)


def test_shifts_are_affine_fields() -> None:
    found = certificate(ComputationGraph(st.exp(st.param("u", 1)) * st.param("v", 1)))
    assert found.missed == ("δu[0] = 1, δv[0] = −v[0]",)
    assert found.method.startswith("floating point, rank gap ")
    half = certify(ComputationGraph(st.param("u") * st.param("v") - st.param("w") * 2), SymmetryGroup(()))
    assert half.missed == ("δu = u, δv = −v", "δu = 1, δw = 1/2·v", "δv = 1, δw = 1/2·u")


def test_no_symmetry_is_a_complete_answer() -> None:
    W, V = st.param("W", 2, 2), st.param("V", 1, 2)
    found = certificate(ComputationGraph(V @ st.tanh(W @ st.input("x", 2))))
    assert (found.group_dimension, found.affine_dimension, found.conservation_laws, found.complete) == (0, 0, 0, True)


def test_a_wrong_factor_is_refuted() -> None:
    graph = ComputationGraph(st.param("u", 2) * st.param("v", 2))
    wrong = CoordinatewiseGroup("stretch", dict(graph.parameters), (sp.ImmutableMatrix(sp.diag(1, 1)),))
    found = certify(graph, SymmetryGroup((wrong,)))
    assert found.refuted == ("stretch",)
    assert not found.complete
    assert found.reasons[0] == "factor 'stretch' is no symmetry of the predictor"


def test_a_group_that_is_too_small_is_not_complete() -> None:
    graph = deep_linear(2, 2, 2)
    found = certify(graph, SymmetryGroup(()))
    assert (found.group_dimension, found.affine_dimension, len(found.missed)) == (0, 4, 4)
    assert found.reasons == ("the graph rules missed 4 affine fields",)


def test_equal_seeds_give_equal_certificates_and_others_the_same_dimensions() -> None:
    graph = deep_relu(3, 3, 2)
    first = certificate(graph)
    assert certificate(graph) == first
    W, V, x = st.param("W", 2, 2), st.param("V", 1, 2), st.input("x", 2)
    smooth = ComputationGraph(V @ st.tanh(W @ x))
    assert certificate(smooth) == certificate(smooth)  # the printed rank gap depends on every draw
    for seed in (1, 2, 3):
        assert replace(certificate(graph, seed), missed=()) == replace(first, missed=())


def test_json_holds_everything() -> None:
    found = certificate(deep_linear(2, 1, 2))
    data = json.loads(found.to_json())
    assert data["conservation_laws"] == found.conservation_laws == 1
    assert data["momentum_conservation_laws"] == found.momentum_conservation_laws == 0
    assert data["momentum_lie_dimension"] == 9
    assert data["translation_products"] == 0
    assert data["complete"] is True
    assert data["missed"] == []


def test_bad_input() -> None:
    symbolic = catalog.load("low_rank")
    with pytest.raises(DeclarationError, match="unbound"):
        certify(symbolic, symbolic.symmetries())
    with pytest.raises(CertificateError, match="find the group of the bound graph"):
        certify(symbolic.bind(n=3, m=3, h=2), symbolic.symmetries())
    large = symbolic.bind(n=50, m=50, h=3)
    with pytest.raises(CertificateError, match=r"300 parameters .* at most 200"):
        certify(large, SymmetryGroup(()))
    rounded = ComputationGraph(st.tanh(st.param("W", 15, 9) @ st.input("s", 9)))
    with pytest.raises(CertificateError, match=r"135 parameters .* in floating point: .* at most 128"):
        certify(rounded, SymmetryGroup(()))


def test_translations_bring_products_that_are_no_symmetries_missed() -> None:
    """softmax(A x): a column of A may be shifted, by any function of A too; the affine ones are 27 more fields."""
    graph = ComputationGraph(st.softmax(st.param("A", 3, 3) @ st.input("x", 3)), name="classifier")
    found = certify(graph, SymmetryGroup(()))
    assert (found.affine_dimension, found.translation_products, found.orbit_dimension) == (3, 27, 3)
    assert found.missed == tuple(", ".join(f"δA[{row}, {column}] = 1" for row in range(3)) for column in range(3))
    assert "affine symmetries                3 (and 27 products of translations and linear functions)" in str(found)
    with_shifts = certify(graph, find_symmetries(graph))
    assert with_shifts.complete
    assert (with_shifts.affine_dimension, with_shifts.translation_products) == (3, 27)


@pytest.mark.parametrize("outer", [lambda node: node, st.tanh], ids=["exact", "rounded"])
@pytest.mark.parametrize("speed", [1, 10**9])
def test_products_of_translations_in_the_group_are_counted(outer: Callable[[Node], Node], speed: int) -> None:
    """u + 3v: (u, v) ↦ (u + 3ε u, v − ε u) is a product of the coordinate u and the translation (3, −1)."""
    graph = ComputationGraph(outer(st.param("u", 2) + st.param("v", 2) * 3), name="sum")
    third = "−1/3" if outer is not st.tanh else "−0.3333"
    linear = CoordinatewiseGroup("shear", dict(graph.parameters), (speed * sp.ImmutableMatrix([[3, 0], [-1, 0]]),))
    found = certify(graph, SymmetryGroup((linear,)))
    assert (found.group_dimension, found.affine_dimension, found.translation_products) == (2, 4, 6)
    assert found.refuted == ()
    assert found.missed == (f"δu[0] = 1, δv[0] = {third}", f"δu[1] = 1, δv[1] = {third}")


@pytest.mark.parametrize(
    ("name", "asked", "fitting"),
    [
        ("low_rank", {"n": 100, "m": 100, "h": 50}, {"n": 10, "m": 10, "h": 10}),
        ("low_rank", {"n": 10**9, "m": 3, "h": 2}, {"n": 97, "m": 3, "h": 2}),
        ("low_rank", {"n": 11, "m": 10, "h": 10}, {"n": 10, "m": 10, "h": 10}),
        ("low_rank", {"n": 8, "m": 8, "h": 8}, {"n": 8, "m": 8, "h": 8}),
        ("hadamard", {"d": 1000}, {"d": 100}),
    ],
)
def test_sizes_that_fit(name: str, asked: dict[str, int], fitting: dict[str, int]) -> None:
    graph = catalog.load(name)
    assert fitting_sizes(graph, asked) == fitting
    assert parameter_count(graph.bind(**fitting)) <= LARGEST_EXACT
    if asked == fitting:
        assert bound_for_certificate(graph, asked).free_sizes == ()
        return
    advice = ", ".join(f"{size}={value}" for size, value in fitting.items())
    with pytest.raises(CertificateError, match=re.escape(f"at most 200 parameters in all; try certify({advice})")):
        bound_for_certificate(graph, asked)


def test_sizes_that_fit_floating_point() -> None:
    n, h = dims("n h")
    net = ComputationGraph(
        st.softmax(st.param("V", n, h) @ st.tanh(st.param("W", h, n) @ st.input("x", n))), name="net"
    )
    with pytest.raises(CertificateError, match=r"in floating point: .* at most 128 .*; try certify\(n=8, h=8\)"):
        bound_for_certificate(net, {"n": 9, "h": 9})
    assert bound_for_certificate(net, {"n": 8, "h": 8}).parameters.keys() == {"V", "W"}


def test_as_much_as_fits_is_proposed() -> None:
    n, h, m, k = dims("n h m k")
    chain = ComputationGraph(st.param("U", n, h) @ st.param("V", h, m) @ st.param("W", m, k))
    assert fitting_sizes(chain, {"n": 20, "h": 20, "m": 20, "k": 20}) == {"n": 9, "h": 8, "m": 8, "k": 8}


def test_sizes_that_the_operations_do_not_take_are_not_proposed() -> None:
    n, h = dims("n h")
    halves = st.param("U", n, h).reshape(2, n / 2, h)
    assert fitting_sizes(ComputationGraph(halves), {"n": 30, "h": 13}) == {"n": 14, "h": 13}


def test_no_sizes_are_proposed_where_none_fit() -> None:
    n = dims("n")
    fixed = ComputationGraph(st.param("V", 15, 20) @ st.param("U", 20, n), name="fixed")
    assert fitting_sizes(fixed, {"n": 3}) is None
    with pytest.raises(CertificateError, match=r"at most 200 parameters in all$"):
        bound_for_certificate(fixed, {"n": 3})
    with pytest.raises(CertificateError, match=r"at most 200 parameters in all$"):
        bound_for_certificate(fixed.bind(n=3), {})
    with pytest.raises(DeclarationError, match="unbound"):
        bound_for_certificate(fixed, {})
