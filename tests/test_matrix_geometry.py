"""Geometry of every catalog entry that is made of matrices, against dense matrices and complex steps."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from array_cases import Arrays, arrays
from matrix_cases import (
    ALL_CASES,
    CATALOG_SIZES,
    NAMES,
    QUOTIENT_METRICS,
    Dense,
    algebra_basis,
    declared,
    dense,
    derived_christoffel,
    geometry,
    gram_applied,
    number,
    part_field,
    products,
    projection,
    shift_fields,
    written_out,
)
from numpy.testing import assert_allclose

import symtheory as st
from symtheory import catalog
from symtheory.errors import CalculusError, DerivationError, MetricError
from symtheory.geometry import MatrixGeometry
from symtheory.geometry.matrix.invariance import broken_factor
from symtheory.geometry.matrix.vertical import VerticalPart, moment_of_covector
from symtheory.matrix_calculus.evaluate import evaluate, evaluate_definitions
from symtheory.matrix_calculus.polynomial import letter
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.translation import Translation

EXACT = 1e-9
"""Relative to the largest entry. Both sides are exact but for rounding, which the inverses of Gram matrices of random
points enlarge by their condition numbers; the largest deviation over all cases here is 2e-14."""

all_cases = pytest.mark.parametrize(("name", "metric"), ALL_CASES)


def close(actual: np.ndarray, desired: np.ndarray, tolerance: float = EXACT) -> None:
    assert_allclose(actual, desired, rtol=0, atol=tolerance * max(1.0, float(np.abs(desired).max(initial=0.0))))


def declared_point(name: str, seed: int = 1) -> Arrays:
    return arrays(declared(name).parameters, seed)


# -- Which graphs ------------------------------------------------------------------------------------------------------


def test_every_catalog_entry_that_is_no_product_of_coordinates_is_tested():
    of_matrices = {
        name for name in catalog.NAMES if isinstance(catalog.load(name).geometry("euclidean"), MatrixGeometry)
    }
    assert of_matrices == set(CATALOG_SIZES)


@all_cases
def test_the_metric_is_symmetric_and_positive(name, metric):
    own = dense(name, metric)
    matrix = own.matrix(own.random(1))
    close(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize("metric", ("euclidean", *QUOTIENT_METRICS))
@pytest.mark.parametrize("name", ("low_rank", "deep_linear", "residual", "layer_norm", "transformer"))
def test_the_metric_as_an_expression_is_the_inner_product(name, metric):
    own = dense(name, metric)
    point, xi, zeta = (own.random(seed) for seed in range(3))
    values = own.point_values(point) | own.tangent_values(xi) | own.tangent_values(zeta, "zeta")
    close(number(geometry(name, metric).metric, values), own.inner(point, xi, zeta))


@pytest.mark.parametrize("metric", QUOTIENT_METRICS)
@pytest.mark.parametrize("name", ("low_rank", "attention", "layer_norm", "mixture_of_experts", "transformer"))
def test_the_connection_at_symbolic_sizes_is_that_at_bound_ones(name, metric):
    own, at_any_size = dense(name, metric), catalog.load(name).geometry(metric)
    point, xi = own.random(1), own.random(2)
    parts = {
        **{at_any_size.symbols[key]: value for key, value in own.split(point).items()},
        **{at_any_size.velocity[key]: value for key, value in own.split(xi).items()},
    }
    values = evaluate_definitions(at_any_size.connection.definitions, parts)
    gamma = own.joined({key: evaluate(value, values) for key, value in at_any_size.connection.values.items()})
    close(gamma, derived_christoffel(own, geometry(name, metric).connection, point, xi))


# -- The connection ----------------------------------------------------------------------------------------------------


@all_cases
def test_christoffel_form_is_that_of_the_dense_metric(name, metric):
    own = dense(name, metric)
    point, xi = own.random(1), own.random(2)
    close(derived_christoffel(own, geometry(name, metric).connection, point, xi), own.christoffel(point, xi))


@all_cases
def test_christoffel_form_written_out_is_the_same(name, metric):
    own = dense(name, metric)
    point, xi = own.random(3), own.random(4)
    values = own.point_values(point) | own.tangent_values(xi)
    close(written_out(own, geometry(name, metric).christoffel_form(), values), own.christoffel(point, xi))


def test_a_wrong_sign_in_the_connection_is_found():
    own, found = dense("low_rank", "mixed"), geometry("low_rank", "mixed").connection
    wrong = replace(found, first_kind={**found.first_kind, "G": found.first_kind["G"] * -1})
    point, xi = own.random(1), own.random(2)
    assert np.abs(derived_christoffel(own, wrong, point, xi) - own.christoffel(point, xi)).max() > 0.1


def _bilinear(name: str, metric: str, point: np.ndarray, xi: np.ndarray, eta: np.ndarray) -> np.ndarray:
    own = dense(name, metric)
    values = own.point_values(point) | own.tangent_values(xi) | own.tangent_values(eta, "eta")
    return written_out(own, geometry(name, metric).christoffel(), values)


@all_cases
def test_bilinear_christoffel_form_is_symmetric_and_has_the_quadratic_one_on_its_diagonal(name, metric):
    own = dense(name, metric)
    point, xi, eta = own.random(1), own.random(2), own.random(3)
    close(_bilinear(name, metric, point, xi, xi), own.christoffel(point, xi))
    close(_bilinear(name, metric, point, xi, eta), _bilinear(name, metric, point, eta, xi))


@all_cases
def test_the_connection_is_metric(name, metric):
    """D_ζ⟨ξ, η⟩ = ⟨Γ(ζ, ξ), η⟩ + ⟨ξ, Γ(ζ, η)⟩ for constant ξ and η."""
    own = dense(name, metric)
    point, xi, eta, zeta = (own.random(seed) for seed in range(1, 5))
    along_xi, along_eta = (_bilinear(name, metric, point, zeta, other) for other in (xi, eta))
    right = own.inner(point, along_xi, eta) + own.inner(point, xi, along_eta)
    close(right, own.inner_rate(point, zeta, xi, eta))


def test_christoffel_takes_expressions_for_tangents():
    own, found = dense("low_rank", "mixed"), geometry("low_rank", "mixed")
    doubled = {key: 2 * symbol for key, symbol in found.velocity.items()}
    point, xi = own.random(1), own.random(2)
    values = own.point_values(point) | own.tangent_values(xi)
    gamma = own.christoffel(point, xi)
    close(written_out(own, found.christoffel_form(doubled), values), 4 * gamma)
    close(written_out(own, found.christoffel(found.velocity, doubled), values), 2 * gamma)


@all_cases
def test_the_gradient_has_the_differential_as_its_covector(name, metric):
    own = dense(name, metric)
    point, covector = own.random(1), own.random(2)
    values = own.point_values(point) | own.tangent_values(covector, "d")
    close(own.lower(point, written_out(own, geometry(name, metric).gradient(), values)), covector)


# -- Published forms ---------------------------------------------------------------------------------------------------


def _published(metric: str, G, H, xi_G, xi_H):
    """THEORY.md, section 2; what is said of G holds of H with both exchanged."""
    if metric == "invariant":
        S = np.linalg.inv(G.T @ G)
        return -xi_G @ S @ (xi_G.T @ G + G.T @ xi_G) + G @ S @ xi_G.T @ xi_G
    return (xi_G @ (xi_H.T @ H + H.T @ xi_H) - G @ xi_H.T @ xi_H) @ np.linalg.inv(H.T @ H)


@pytest.mark.parametrize("metric", QUOTIENT_METRICS)
def test_low_rank_has_the_published_christoffel_form(metric):
    own = dense("low_rank", metric)
    point, xi = own.random(1), own.random(2)
    (G, H), (xi_G, xi_H) = own.split(point).values(), own.split(xi).values()
    published = {"G": _published(metric, G, H, xi_G, xi_H), "H": _published(metric, H, G, xi_H, xi_G)}
    close(derived_christoffel(own, geometry("low_rank", metric).connection, point, xi), own.joined(published))


# By factor of each published form. invariant: −ξ S (…) 2, ξᵀG and Gᵀξ 2, G S ξᵀξ 3, GᵀG 1. mixed: ξ_G (…) 1, ξ_HᵀH
# and Hᵀξ_H 2, G ξ_Hᵀξ_H 2, […] (HᵀH)⁻¹ 1, HᵀH 1.
PUBLISHED_PRODUCTS = {"invariant": 2 * (2 + 2 + 3 + 1), "mixed": 2 * (1 + 2 + 2 + 1 + 1)}


@pytest.mark.parametrize("metric", QUOTIENT_METRICS)
def test_low_rank_takes_no_more_products_than_the_published_form(metric):
    connection = geometry("low_rank", metric).connection
    assert products(connection.values, connection.definitions) <= PUBLISHED_PRODUCTS[metric]


# -- Invariance --------------------------------------------------------------------------------------------------------


def _deviation(own: Dense, name: str) -> float:
    """Relative change of ⟨ξ, ζ⟩ under a random element of every factor, the largest of three."""
    worst = 0.0
    for seed in range(3):
        point, xi, zeta = (declared_point(name, 10 * seed + k) for k in range(3))
        g = declared(name).symmetries().sample(np.random.default_rng(seed), condition=4.0)
        after, moved_xi = own.moved(g, point, xi)
        _, moved_zeta = own.moved(g, point, zeta)
        before_inner = own.inner(own.straight(point), *(own.straight_tangent(point, t) for t in (xi, zeta)))
        after_inner = own.inner(own.straight(after), *(own.straight_tangent(after, t) for t in (moved_xi, moved_zeta)))
        scale = np.sqrt(
            np.prod(
                [own.inner(own.straight(point), t, t) for t in (own.straight_tangent(point, u) for u in (xi, zeta))]
            )
        )
        worst = max(worst, float(abs(after_inner - before_inner) / scale))
    return worst


@all_cases
def test_the_group_leaves_the_metric_as_it_is(name, metric):
    assert geometry(name, metric).is_invariant()
    assert _deviation(dense(name, metric), name) < EXACT


@pytest.mark.parametrize("name", NAMES)
def test_the_euclidean_metric_is_invariant_where_the_group_acts_by_isometries(name):
    is_isometric = _deviation(dense(name, "euclidean"), name) < EXACT
    assert geometry(name, "euclidean").is_invariant() == is_isometric


def test_both_answers_occur_for_the_euclidean_metric():
    isometric = {name for name in NAMES if geometry(name, "euclidean").is_invariant()}
    assert isometric == {"tied_product", "softmax_classifier", "superposition", "tanh_net", "fixed_layer"}


def test_blocks_in_exchanged_places_are_found_not_invariant():
    square = catalog.load("low_rank").bind(n=4, m=4, h=2).geometry("mixed").blocks
    wrong = replace(square, blocks={"G": square.blocks["H"], "H": square.blocks["G"]})
    assert broken_factor(square) is None
    broken = broken_factor(wrong)
    assert broken is not None
    assert broken[0].name == "GL"


@pytest.mark.parametrize("name", ("shallow_relu", "residual", "deep_linear", "attention", "transformer", "layer_norm"))
def test_one_block_left_euclidean_is_found_not_invariant(name):
    mixed, plain = geometry(name, "mixed").blocks, geometry(name, "euclidean").blocks
    for key, block in mixed.blocks.items():
        wrong = replace(mixed, blocks={**mixed.blocks, key: plain.blocks[key]})
        assert (broken_factor(wrong) is None) == (block == plain.blocks[key]), key


# -- Straightened coordinates ------------------------------------------------------------------------------------------

STRAIGHTENED = ("deep_linear", "attention", "layer_norm_affine")


@pytest.mark.parametrize("name", STRAIGHTENED)
def test_straightened_coordinates_are_the_polynomials_that_are_shown(name):
    own, found = dense(name, "mixed"), geometry(name, "mixed")
    assert found.straightened
    point = declared_point(name)
    values = {found.symbols[key]: own._family(key, value) for key, value in point.items()}
    shown = own.joined({key: number(found.straightened.get(key, s), values) for key, s in found.symbols.items()})
    close(own.straight(point), shown)


@pytest.mark.parametrize("name", (*STRAIGHTENED, "multihead_attention", "heads_with_an_axis", "fixed_layer"))
def test_in_straightened_coordinates_a_shift_moves_its_own_parameter_alone(name):
    own, point = dense(name, "mixed"), declared_point(name)
    shifts = [factor for factor in own.model.factors.values() if isinstance(factor, Translation)]
    assert any(shift.compensation for shift in shifts)
    for shift in shifts:
        for field in own.fields(point)[shift.name]:
            moved = {key for key, value in own.split(field).items() if np.abs(value).max() > EXACT}
            assert moved == {shift.parameter}


# -- The vertical space ------------------------------------------------------------------------------------------------


def _values(own: Dense, name: str, metric: str, point: np.ndarray, xi: np.ndarray) -> dict:
    space = geometry(name, metric).vertical_space
    return evaluate_definitions(space.definitions, own.point_values(point) | own.tangent_values(xi))


def _part_fields(own: Dense, part: VerticalPart, point: np.ndarray) -> np.ndarray:
    rows = [part_field(own, part, point, a) for a in algebra_basis(part.factor)]
    return np.stack(rows) if rows else np.zeros((0, own.dimension))


def _paired(own: Dense, covector: np.ndarray, a: np.ndarray, part: VerticalPart) -> float:
    """⟨covector, a⟩ on the Lie algebra, both given as values of the part's element or as arrays of the group."""
    if covector.shape == a.shape or isinstance(part.factor, EdgeGroup):
        return float((covector.reshape(a.shape) * a).sum())
    return float((np.diagonal(covector, axis1=-2, axis2=-1).reshape(a.shape) * a).sum())


@all_cases
def test_gram_operators_are_the_inner_products_of_fields(name, metric):
    own = dense(name, metric)
    point, xi = own.random(1), own.random(2)
    values = _values(own, name, metric, point, xi)
    for part in geometry(name, metric).vertical_space.parts:
        basis, fields = algebra_basis(part.factor), _part_fields(own, part, point)
        found = [[_paired(own, gram_applied(own, part, values, a), b, part) for b in basis] for a in basis]
        close(np.array(found), fields @ own.matrix(point) @ fields.T)


@all_cases
def test_moments_are_the_inner_products_with_fields(name, metric):
    own = dense(name, metric)
    point, xi = own.random(1), own.random(2)
    values = _values(own, name, metric, point, xi)
    eta = {key: own.model.tangent("eta")[key] for key in own.model.views}
    covector = own.tangent_values(own.lower(point, xi), "eta")
    for part in geometry(name, metric).vertical_space.parts:
        expected = _part_fields(own, part, point) @ own.lower(point, xi)
        for moment, known in ((part.moment, values), (moment_of_covector(part, eta), values | covector)):
            value = evaluate(moment, known)
            close(np.array([_paired(own, value, a, part) for a in algebra_basis(part.factor)]), expected)


def _not_orthogonal(name: str, metric: str) -> set[tuple[str, str]]:
    """Pairs of factors whose cross Gram matrix is not zero at a random point."""
    own, space = dense(name, metric), geometry(name, metric).vertical_space
    point = own.random(1)
    matrix = own.matrix(point)
    found = set()
    for place, first in enumerate(space.parts):
        for second in space.parts[place + 1 :]:
            rows = [_part_fields(own, part, point) for part in (first, second)]
            lengths = [np.sqrt(np.einsum("ij,jk,ik->i", r, matrix, r)).max() for r in rows]
            if np.abs(rows[0] @ matrix @ rows[1].T).max() > EXACT * np.prod(lengths):
                found.add((first.factor.name, second.factor.name))
    return found


@all_cases
def test_factors_that_are_not_orthogonal_are_among_the_coupled_pairs(name, metric):
    assert set(geometry(name, metric).vertical_space.coupled) >= _not_orthogonal(name, metric)


@all_cases
def test_coupled_pairs_are_those_whose_fields_are_not_orthogonal(name, metric):
    assert set(geometry(name, metric).vertical_space.coupled) == _not_orthogonal(name, metric)


def _horizontal(own: Dense, name: str, metric: str, point: np.ndarray, xi: np.ndarray) -> np.ndarray:
    """ξ without its shifts, less field(a) with gram(a) = moment; between coupled factors gram has inner products."""
    space = geometry(name, metric).vertical_space
    values = _values(own, name, metric, point, xi)
    tangent = {key: own.model.centred(key, own_letter) for key, own_letter in _letters(own).items()}
    centred = own.joined({key: evaluate(value, values) for key, value in tangent.items()})
    if not space.parts:
        return centred
    fields = [_part_fields(own, part, point) for part in space.parts]
    names = [part.factor.name for part in space.parts]
    blocks = [[np.zeros((len(first), len(second))) for second in fields] for first in fields]
    moments = []
    for i, part in enumerate(space.parts):
        basis, moment = algebra_basis(part.factor), evaluate(part.moment, values)
        moments += [_paired(own, moment, a, part) for a in basis]
        for j in range(len(fields)):
            if i == j:
                rows = [[_paired(own, gram_applied(own, part, values, a), b, part) for b in basis] for a in basis]
                blocks[i][i] = np.array(rows).reshape(len(basis), len(basis))
            elif (names[i], names[j]) in space.coupled or (names[j], names[i]) in space.coupled:
                blocks[i][j] = fields[i] @ own.matrix(point) @ fields[j].T
    solution = np.linalg.lstsq(np.block(blocks), np.array(moments), rcond=1e-10)[0]
    return centred - solution @ np.concatenate(fields)


def _letters(own: Dense) -> dict:
    return {key: letter(symbol) for key, symbol in own.model.tangent("xi").items()}


@all_cases
def test_the_horizontal_part_is_orthogonal_to_the_orbit(name, metric):
    """Against the projection built from the group's own action on arrays, shifts and all."""
    own, arrays_at = dense(name, metric), declared_point(name)
    point, xi = own.straight(arrays_at), own.random(2)
    vertical = projection(
        np.concatenate([np.zeros((0, own.dimension)), *own.fields(arrays_at).values()]), own.matrix(point)
    )
    close(_horizontal(own, name, metric, point, xi), xi - vertical @ xi, 1e-8)


@all_cases
def test_parts_and_shifts_span_what_the_group_spans(name, metric):
    own, arrays_at = dense(name, metric), declared_point(name)
    point = own.straight(arrays_at)
    matrix = own.matrix(point)
    none = np.zeros((0, own.dimension))
    parts = [_part_fields(own, part, point) for part in geometry(name, metric).vertical_space.parts]
    derived = np.concatenate([none, *parts, shift_fields(own, arrays_at)])
    P = projection(derived, matrix)
    close(P, projection(np.concatenate([none, *own.fields(arrays_at).values()]), matrix), 1e-8)
    close(P @ P, P, 1e-8)
    close(matrix @ P, (matrix @ P).T, 1e-8)
    close(derived @ P.T, derived, 1e-8)
    assert np.abs(np.concatenate([none, *parts]) @ matrix @ shift_fields(own, arrays_at).T).max(initial=0.0) < 1e-8


KINDS = {
    ("low_rank", "invariant"): ["sylvester"],
    ("low_rank", "mixed"): ["product"],
    ("tied_product", "mixed"): ["sylvester"],
    ("chain4", "mixed"): ["product", "product", "product"],
    ("state_space", "mixed"): ["general"],
    ("attention", "mixed"): ["product", "product"],
}


@pytest.mark.parametrize(("name", "metric"), KINDS)
def test_how_gram_operators_are_inverted(name, metric):
    space = geometry(name, metric).vertical_space
    assert [part.gram.kind for part in space.parts] == KINDS[name, metric]
    assert space.is_closed == (not space.coupled and "general" not in KINDS[name, metric])


def test_neighbouring_layers_are_coupled_and_others_are_not():
    coupled = {name: geometry(name, "mixed").vertical_space.coupled for name in ("chain2", "chain3", "chain5")}
    assert coupled["chain2"] == ()
    assert coupled["chain3"] == (("GL1", "GL2"),)
    assert coupled["chain5"] == (("GL1", "GL2"), ("GL2", "GL3"), ("GL3", "GL4"))


def test_two_layers_are_a_product_of_low_rank():
    """W2 W1 with W2 = G and W1 = Hᵀ."""
    pair = dense("chain2", "mixed")
    low_rank = catalog.load("low_rank").bind(n=4, m=5, h=2).geometry("mixed")
    own = Dense(low_rank.blocks, catalog.load("low_rank").bind(n=4, m=5, h=2))
    parts = {key: own.split(own.random(seed)) for seed, key in enumerate(("point", "xi"))}
    turned = {key: pair.joined({"W2": value["G"], "W1": value["H"].T}) for key, value in parts.items()}
    gamma = own.split(derived_christoffel(own, low_rank.connection, *(own.joined(value) for value in parts.values())))
    found = derived_christoffel(pair, geometry("chain2", "mixed").connection, turned["point"], turned["xi"])
    close(found, pair.joined({"W2": gamma["G"], "W1": gamma["H"].T}))


# -- Bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "gram"), (({"n": 2, "m": 4, "h": 3}, "G.T*G"), ({"n": 4, "m": 2, "h": 3}, "H.T*H")))
@pytest.mark.parametrize("metric", QUOTIENT_METRICS)
def test_an_inner_size_that_is_too_large_is_refused_with_the_gram_matrix(sizes, gram, metric):
    with pytest.raises(MetricError, match=re.escape(f"the {metric} metric is singular: {gram} is 3×3 and has rank 2")):
        catalog.load("low_rank").bind(**sizes).geometry(metric)


def test_the_euclidean_metric_takes_any_inner_size():
    assert catalog.load("low_rank").bind(n=2, m=2, h=3).geometry("euclidean").blocks


def test_an_unknown_metric_is_refused_with_the_names_there_are():
    with pytest.raises(MetricError, match=r"no metric is called 'mixd'.*mixed"):
        catalog.load("low_rank").geometry("mixd")


def test_a_euclidean_quotient_is_refused_with_the_factor():
    found = catalog.load("low_rank").geometry("euclidean")
    assert not found.is_invariant()
    with pytest.raises(MetricError, match="the euclidean metric is not invariant along 'GL'"):
        found.require_invariance()
    with pytest.raises(MetricError, match="'GL'"):
        _ = found.vertical_space


def test_two_convolutions_are_refused_with_the_kernel_that_three_axes_would_take():
    c1, c2, k, channels, height, width, s = st.dims("c1 c2 k channels height width s")
    x = st.input("x", channels, height, width)
    hidden = st.relu(st.conv(st.param("K1", c1, channels, s, s), x))
    top = st.relu(st.conv(st.param("K2", c2, c1, s, s), hidden)).sum(axis=(1, 2))
    with pytest.raises(CalculusError, match=r"the group acts on 2 .*axes of 'K2'"):
        st.Parametrization(st.param("V", k, c2) @ top, name="two_convolutions").geometry("mixed")


@pytest.mark.parametrize("order", (0, 4))
def test_a_taylor_geodesic_of_another_order_is_refused(order):
    with pytest.raises(DerivationError, match=f"order {order}"):
        geometry("low_rank", "mixed").geodesic().taylor(order)
