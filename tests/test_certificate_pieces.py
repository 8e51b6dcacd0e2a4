"""Certificates where units lie on kinks, samples see one piece only, or a shift depends on a constant."""

from __future__ import annotations

import warnings

import pytest

import symtheory as st
from symtheory.errors import CertificateError
from symtheory.graph.node import Node


def certified(node: Node) -> st.Parametrization:
    return st.Parametrization(node, name="pieces")


@pytest.mark.parametrize("outer", [st.relu, st.abs], ids=lambda operation: operation.__name__)
def test_a_kink_behind_a_unit_that_is_off(outer) -> None:
    """Where the inner unit is off, the outer one sits on its kink for every sample: such points are passed over."""
    certificate = certified(outer(st.relu(st.param("u", 2)))).certify()
    assert certificate.complete
    assert certificate.jacobian_nullity == 0


def test_samples_that_see_one_piece_give_no_certificate() -> None:
    """The sixth power of a small product leaves the unit on the side of its bias for every sample drawn."""
    x = st.input("x")
    with pytest.raises(CertificateError, match="random samples do not reach every piece of 'pieces'"):
        certified(st.relu((st.param("u") * x) ** 6 * x + st.constant("c"))).certify()


def test_a_shift_that_a_constant_makes_up_for() -> None:
    certificate = certified(st.param("u", 2) * st.constant("c", 2) + st.param("v", 2)).certify()
    assert certificate.complete
    assert certificate.group_dimension == 2


def test_division_by_zero_at_a_random_point_stays_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certified(st.rms_norm(st.abs(st.param("u", 2)) * st.input("y", 1))).certify()
