"""Certificates: what they compare, what they say, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sympy as sp
from certificate_cases import deep_linear, deep_relu

import symtheory.graph.functions as st
from symtheory import catalog
from symtheory.errors import CertificateError, DeclarationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate import Certificate, certify
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
    assert relu.complete
    chain = certificate(deep_linear(3, 4, 2, 4))
    assert (chain.group_dimension, chain.affine_dimension, chain.conservation_laws) == (20, 20, 13)


def test_null_directions_without_affine_symmetry_are_reported() -> None:
    """Rank 2 through width 3: the fibre has dimension 11, GL(3) has 9, the rest moves with the kernel of W_1."""
    found = certificate(deep_linear(5, 3, 2))
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
    half = certificate(ComputationGraph(st.param("u") * st.param("v") - st.param("w") * 2))
    assert half.missed == ("δu = 1, δw = 1/2·v", "δv = 1, δw = 1/2·u")


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
        certificate(large)
