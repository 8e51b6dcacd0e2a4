"""The commutator test of gradient fields against brackets of SymPy's own derivatives."""

from __future__ import annotations

import pytest
import sympy as sp

import symtheory as st
from symtheory import catalog
from symtheory.errors import CertificateError
from symtheory.symmetry.certificate import commutator

n, m, d = st.dims("n m d")
u, v = st.param("u", d), st.param("v", d)
M = st.constant("M", n, d)

COMMUTING = {
    "readout_of_two_nodes": M @ (u * u) - M @ (v * v),
    "coordinates": u * u * v,
    "total_variation": st.cumsum(u * v),
    "rotated_squares": (st.constant("A", d, d) @ u).sum(0) ** 2,
    "scalar": (u * v).sum(0) ** 3,
}
NOT_COMMUTING = {
    "matrix_vector": st.param("G", n, d) @ u,
    "shared_factor": u * st.param("s", 1),
    "coordinates_of_tanh": st.tanh(M @ u) * st.param("s", n),
    "mixed_squares": (M @ u) ** 2,
}


def brackets(graph: st.Parametrization) -> list[sp.Matrix]:
    """[∇w_i, ∇w_j] of a bound graph in explicit components."""
    entries = list(graph.components().ravel())
    symbols = [
        symbol
        for name, shape in graph.parameters.items()
        for symbol in st.param(name, *shape).operation.components().ravel()
    ]
    fields = [sp.Matrix([sp.diff(entry, symbol) for symbol in symbols]) for entry in entries]
    return [
        (second.jacobian(symbols) * first - first.jacobian(symbols) * second).expand()
        for place, first in enumerate(fields)
        for second in fields[place + 1 :]
    ]


@pytest.mark.parametrize("name", COMMUTING)
def test_fields_that_commute(name: str) -> None:
    graph = st.Parametrization(COMMUTING[name], name=name)
    assert commutator(graph).commutes
    small = graph.bind(**{str(size): 2 for size in graph.free_sizes})
    assert all(bracket.is_zero_matrix for bracket in brackets(small))


@pytest.mark.parametrize("name", NOT_COMMUTING)
def test_fields_that_do_not_commute_with_a_pair(name: str) -> None:
    graph = st.Parametrization(NOT_COMMUTING[name], name=name)
    found = commutator(graph)
    assert not found.commutes
    small = graph.bind(**{str(size): 2 for size in graph.free_sizes})
    assert not all(bracket.is_zero_matrix for bracket in brackets(small))
    assert found.exact == (name != "coordinates_of_tanh")
    assert str(found).endswith(
        f"[∇{found.pair[0]}, ∇{found.pair[1]}] ≠ 0 (tested "
        f"{'exactly, modulo a prime' if found.exact else 'in floating point'})"
    )


def test_low_rank_has_no_mirror_flow_and_says_which_pair_shows_it() -> None:
    reason = catalog.load("low_rank").predictions().not_applicable["mirror"]
    assert reason.startswith("no mirror flow of w: the gradient fields do not commute at h = 3, m = 3, n = 3: ")
    assert "[∇w[0, 0], ∇w[0, 1]] ≠ 0" in reason
    bound = catalog.load("low_rank").bind(n=2, m=2, h=1)
    assert not brackets(bound)[0].is_zero_matrix  # that of w[0, 0] and w[0, 1]


def test_fields_that_commute_without_a_potential_are_said_to() -> None:
    graph = st.Parametrization(COMMUTING["readout_of_two_nodes"], name="two_nodes")
    assert "so that w follows a mirror flow" in graph.predictions().not_applicable["mirror"]


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(CertificateError, match="too many to test"):
        commutator(catalog.load("low_rank").bind(n=40, m=40, h=4))
