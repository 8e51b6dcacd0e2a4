"""The laws of symtheory.testing: they hold where they should, and each is seen to fail where it should not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as hs
from testing_cases import (
    DECLARED,
    assert_deviation,
    data_of,
    deep_linear,
    element_of,
    hadamard,
    layer_norm_net,
    low_rank,
    point_of,
    refused,
    relu_net,
    shift_by_a_constant,
)

import symtheory as st
from symtheory.errors import CertificateError, DeclarationError
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.translation import Translation
from symtheory.testing import (
    action_is_a_group_action,
    certificate_agrees,
    charge_is_conserved,
    data,
    generators_match_action,
    gradient_is_horizontal,
    group_elements,
    parametrizations,
    points,
    predictor_is_invariant,
)

P = st.Parametrization
names = pytest.mark.parametrize("name", DECLARED)
EXAMPLES = settings(max_examples=20)


# The laws hold.


@names
@EXAMPLES
@given(draw=hs.data(), seed=hs.integers(0, 100))
def test_the_laws_hold_on_declared_graphs(name: str, draw: hs.DataObject, seed: int) -> None:
    graph = DECLARED[name]()
    assert len(graph.symmetries()) > 0
    point, sample = draw.draw(points(graph)), draw.draw(data(graph))
    g, h = draw.draw(group_elements(graph)), draw.draw(group_elements(graph))
    predictor_is_invariant(graph, point, g, sample)
    action_is_a_group_action(graph, point, g, h)
    generators_match_action(graph, point, seed)
    gradient_is_horizontal(graph, point, sample, seed=seed)
    charge_is_conserved(graph, point, sample, seed=seed)


@names
def test_certificates_agree_on_declared_graphs(name: str) -> None:
    certificate_agrees(DECLARED[name]())


@settings(max_examples=100)
@given(draw=hs.data(), graph=parametrizations(), seed=hs.integers(0, 100))
def test_the_laws_hold_on_random_graphs(draw: hs.DataObject, graph: P, seed: int) -> None:
    point, sample = draw.draw(points(graph)), draw.draw(data(graph))
    g, h = draw.draw(group_elements(graph)), draw.draw(group_elements(graph))
    predictor_is_invariant(graph, point, g, sample)
    action_is_a_group_action(graph, point, g, h)
    generators_match_action(graph, point, seed)
    gradient_is_horizontal(graph, point, sample, seed=seed)
    charge_is_conserved(graph, point, sample, seed=seed)


@settings(max_examples=50)
@given(graph=parametrizations(exact=True, max_operations=4))
def test_no_factor_of_a_random_graph_is_refuted(graph: P) -> None:
    """What the rules of the graph miss is the matter of the certificate's own tests."""
    try:
        certificate_agrees(graph)
    except AssertionError as error:
        assert " misses " in str(error)


@names
def test_data_may_be_left_out(name: str) -> None:
    graph = DECLARED[name]()
    predictor_is_invariant(graph, point_of(graph), element_of(graph.symmetries()))
    gradient_is_horizontal(graph, point_of(graph))


def test_a_shift_may_depend_on_a_constant() -> None:
    graph = shift_by_a_constant()
    g, h = element_of(graph.symmetries()), element_of(graph.symmetries(), 4)
    predictor_is_invariant(graph, point_of(graph), g, data_of(graph))
    action_is_a_group_action(graph, point_of(graph), g, h)
    generators_match_action(graph, point_of(graph))
    gradient_is_horizontal(graph, point_of(graph), data_of(graph))


# A wrong object is refused, with the factor, the parameters and the deviation.


def with_wrong_exponent(graph: P, parameter: str, exponent: int) -> SymmetryGroup:
    """The graph's rescaling with another exponent at one site."""
    (factor,) = graph.symmetries()
    assert isinstance(factor, Rescaling)
    sites = tuple(
        replace(site, exponent=sp.Integer(exponent)) if site.parameter == parameter else site for site in factor.sites
    )
    return SymmetryGroup((replace(factor, sites=sites),))


def test_invariance_refuses_a_wrong_exponent() -> None:
    graph = relu_net()
    group = with_wrong_exponent(graph, "V", -2)
    with refused(
        "predictor_is_invariant", "'rescaling'", "V, W, b", "'relu_net'", "entry [", "V ", "W ", "b "
    ) as error:
        predictor_is_invariant(group, point_of(graph), element_of(group), data_of(graph), function=graph)
    assert_deviation(error)


def test_invariance_refuses_a_translation_without_its_compensation() -> None:
    graph = deep_linear()
    whole = graph.symmetries()["translation"]
    assert isinstance(whole, Translation)
    assert set(whole.compensation) == {"b2"}
    group = SymmetryGroup((replace(whole, compensation={}, shapes={"b1": whole.shapes["b1"]}),))
    with refused("predictor_is_invariant", "'translation'", "b1") as error:
        predictor_is_invariant(group, point_of(graph), element_of(group), data_of(graph), function=graph)
    assert_deviation(error)


def test_invariance_names_the_factor_that_is_wrong_among_others() -> None:
    graph = layer_norm_net()
    factors = [
        replace(factor, sites=(replace(factor.sites[0], exponent=sp.Integer(2)), *factor.sites[1:]))
        if factor.name == "rescaling"
        else factor
        for factor in graph.symmetries()
    ]
    group = SymmetryGroup(tuple(factors))
    assert len(group) > 2
    with refused("predictor_is_invariant", "'rescaling'", "V, gain"):
        predictor_is_invariant(group, point_of(graph), element_of(group), data_of(graph), function=graph)


@dataclass(frozen=True)
class NoIdentity(Rescaling):
    def identity(self) -> np.ndarray:
        return super().identity() * 2


@dataclass(frozen=True)
class WrongInverse(Rescaling):
    def inverse(self, g: Any) -> Any:
        return 1 / g**2


@dataclass(frozen=True)
class WrongOrder(EdgeGroup):
    def compose(self, g: Any, h: Any) -> Any:
        return h @ g


@dataclass(frozen=True)
class TouchesAll(Rescaling):
    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """Not the identity, which is examined before."""
        moved = super().act(g, point)
        return moved if np.array_equal(g, self.identity()) else {**moved, "c": 2 * point["c"]}


@dataclass(frozen=True)
class WrongField(EdgeGroup):
    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**super().field(a, point), "H": point["H"] @ a}


@dataclass(frozen=True)
class WrongCharge(EdgeGroup):
    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {self.name: sum(self._gram(site, point) for site in self.sites)}  # signs left out


def recast(kind: type[Factor], factor: Factor) -> SymmetryGroup:
    """The same factor with the methods of another class."""
    return SymmetryGroup((kind(**{name: getattr(factor, name) for name in factor.__dataclass_fields__}),))


@pytest.mark.parametrize(
    ("kind", "declare", "words"),
    [
        (NoIdentity, relu_net, ("'rescaling'", "identity", "'V'")),
        (WrongInverse, relu_net, ("'rescaling'", "g⁻¹", "'V'", "g = [")),
        (TouchesAll, relu_net, ("'rescaling'", "outside", "'c'")),
        (WrongOrder, low_rank, ("'GL'", "compose", "'G'", "h = [[")),
    ],
)
def test_the_group_laws_refuse_a_wrong_action(
    kind: type[Factor], declare: Callable[[], P], words: tuple[str, ...]
) -> None:
    graph = declare()
    (factor,) = graph.symmetries()
    group = recast(kind, factor)
    with refused("action_is_a_group_action", *words) as error:
        action_is_a_group_action(group, point_of(graph), element_of(group), element_of(group, 4))
    assert_deviation(error)


def test_generators_refuse_a_wrong_field() -> None:
    graph = low_rank()
    group = recast(WrongField, graph.symmetries()["GL"])
    with refused("generators_match_action", "'GL'", "'H'", "a = [[") as error:
        generators_match_action(group, point_of(graph))
    assert_deviation(error)


def test_horizontality_refuses_a_wrong_exponent() -> None:
    graph = relu_net()
    with refused("gradient_is_horizontal", "'rescaling'", "V, W, b", "contributions: V ") as error:
        gradient_is_horizontal(with_wrong_exponent(graph, "V", -2), point_of(graph), data_of(graph), function=graph)
    assert_deviation(error)


def test_conservation_refuses_a_wrong_charge() -> None:
    graph = low_rank()
    group = recast(WrongCharge, graph.symmetries()["GL"])
    with refused("charge_is_conserved", "'GL'", "'low_rank'", "the charge 'GL'", "G ", "H ") as error:
        charge_is_conserved(group, point_of(graph), function=graph)
    assert_deviation(error)


def test_conservation_refuses_the_charge_of_no_symmetry() -> None:
    graph = P(st.param("u", 2) * st.param("v", 2) ** 2, name="monomial")
    matrix = sp.ImmutableMatrix(sp.diag(1, -1))
    group = SymmetryGroup((CoordinatewiseGroup("rescaling", dict(graph.parameters), (matrix,)),))
    with refused("charge_is_conserved", "'rescaling'", "u ", "v ") as error:
        charge_is_conserved(group, point_of(graph), function=graph)
    assert_deviation(error)


def test_the_certificate_refutes_a_wrong_factor() -> None:
    graph = hadamard()
    wrong = CoordinatewiseGroup("stretch", dict(graph.parameters), (sp.ImmutableMatrix(sp.diag(1, 1)),))
    with refused("certificate_agrees", "'stretch' on u, v", "dimension 3, all affine symmetries 3"):
        certificate_agrees(SymmetryGroup((wrong,)), function=graph)


def test_the_certificate_sees_what_a_group_misses() -> None:
    graph = low_rank()
    with refused("certificate_agrees", "'low_rank' misses δG", "δH", "dimension 0, all affine symmetries 4"):
        certificate_agrees(SymmetryGroup(()), function=graph)
    certificate_agrees(SymmetryGroup((), lower_bound=("nothing was searched",)), function=graph)


def test_the_certificate_needs_a_declared_graph_of_a_size_it_can_do() -> None:
    with pytest.raises(DeclarationError, match="a declared graph"):
        certificate_agrees(low_rank().symmetries())
    with pytest.raises(CertificateError, match="400 parameters are too many"):
        certificate_agrees(P(st.param("u", 200) * st.param("v", 200)))
