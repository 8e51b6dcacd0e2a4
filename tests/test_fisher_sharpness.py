"""tr(F⁺H) and λ_max(F⁺H): against dense oracles, and what leaves them as they are."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from fisher_cases import (
    Reparametrized,
    change_basis,
    dense_covariant_hessian,
    dense_fisher,
    inputs,
    linear_pair,
    outputs_of,
    pseudo_inverse,
    relu_network,
    rescale,
    tanh_network,
)
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Measurement, Objective, evaluate, find_blocks
from numeric.sharpness.fisher import covariant, estimators, rows
from numeric.sharpness.fisher import fisher_range as fisher_range_module
from numeric.sharpness.fisher.fisher_range import FisherRange, fisher_range
from numeric.sharpness.fisher.predictive import predictive
from numeric.sharpness.fisher.sharpness import FisherSharpness, fisher_sharpness
from numeric.sharpness.parameters import flatten

CLASSES = torch.arange(20) % 3
NUMBERS = inputs(20, 3, seed=2)
LOSSES = {
    "categorical": (nn.CrossEntropyLoss(), CLASSES, 1.0),
    "gaussian": (nn.MSELoss(), NUMBERS, 2 / 3),
    "bernoulli": (nn.BCEWithLogitsLoss(), (NUMBERS > 0).double(), 1 / 3),
}
# The oracle inverts F, whose condition here is up to 1e7; the measure works on its root.
DENSE = 1e-5
# Rounding through the same condition numbers, on both sides of a map.
ROUNDING = 1e-7


def objective(model: nn.Module, family: str, n: int = 20, d: int = 2) -> Objective:
    loss, target, _ = LOSSES[family]
    x = inputs(20, d)
    half = n // 2
    return Objective.of(model, loss, [(x[:half], target[:half]), (x[half:n], target[half:n])])


def measured(at: Objective, seed: int = 0, **options: object) -> tuple[float, dict[str, Any]]:
    found = evaluate(FisherSharpness(**options), at, seed=seed)  # type: ignore[arg-type]
    return found.value, dict(found.details)


@pytest.mark.parametrize("family", LOSSES)
@pytest.mark.parametrize("n", [20, 4])
def test_the_range_of_f_is_that_of_the_dense_fisher(family: str, n: int) -> None:
    at = objective(tanh_network(), family, n)
    found = fisher_range(at, predictive(at), estimators.exact, torch.Generator())
    theta = flatten(at.parameters)
    dense = dense_fisher(outputs_of(at, inputs(20, 2)[:n]), family, LOSSES[family][2])(theta)
    torch.testing.assert_close(found.vectors.mT @ torch.diag(found.singular**2) @ found.vectors, dense)
    # Rank by hand: the logits' common shift is no information (one output's worth, 4 weights, or n of the rows).
    outputs = 2 if family == "categorical" else 3
    assert found.rank == min(n * outputs, theta.numel() - (4 if family == "categorical" else 0))


@pytest.mark.parametrize("family", LOSSES)
@pytest.mark.parametrize("n", [20, 4])
def test_trace_and_largest_eigenvalue_against_christoffel_symbols(family: str, n: int) -> None:
    loss, target, scale = LOSSES[family][0], LOSSES[family][1][:n], LOSSES[family][2]
    at = objective(tanh_network(), family, n)
    theta, outputs = flatten(at.parameters), outputs_of(at, inputs(20, 2)[:n])
    fisher = dense_fisher(outputs, family, scale)
    inverse = pseudo_inverse(fisher(theta))
    covariant = dense_covariant_hessian(lambda t: loss(outputs(t), target), fisher, theta, inverse)
    raised = torch.linalg.eigvals(inverse @ covariant).real
    value, details = measured(at)
    assert value == pytest.approx(float((inverse * covariant).sum()), rel=DENSE)
    assert details["lambda_max"] == pytest.approx(float(raised.max()), rel=DENSE)
    assert measured(at, statistic="lambda_max")[0] == pytest.approx(float(raised.max()), rel=DENSE)
    # The covariant Hessian is that of the loss on the manifold of functions: nothing along the kernel of F.
    kernel = torch.eye(theta.numel()).to(theta) - inverse @ fisher(theta)
    assert float(torch.linalg.matrix_norm(covariant @ kernel)) < DENSE * float(torch.linalg.matrix_norm(covariant))
    # In the coordinates of another estimate of F, and sample by sample or not.
    diagonal = measured(at, estimator="diagonal", covariant=True)[0]
    assert diagonal == pytest.approx(float((covariant.diagonal() / fisher(theta).diagonal()).sum()), rel=DENSE)
    # At this slope the plain Hessian is another number altogether.
    assert measured(at, covariant=False)[0] != pytest.approx(value, rel=0.1)


@pytest.mark.parametrize("family", LOSSES)
@pytest.mark.parametrize("n", [20, 4])
@pytest.mark.parametrize("statistic", ["trace", "lambda_max"])
def test_a_nonlinear_reparametrization_changes_nothing_away_from_critical_points(
    family: str, n: int, statistic: str
) -> None:
    value, details = measured(objective(tanh_network(), family, n), statistic=statistic)
    other, _ = measured(objective(Reparametrized(tanh_network()), family, n), statistic=statistic)
    assert details["gradient_norm"] > 0.05
    assert other == pytest.approx(value, rel=ROUNDING)
    plain, moved = (
        measured(objective(model, family, n), statistic=statistic, covariant=False)[0]
        for model in (tanh_network(), Reparametrized(tanh_network()))
    )
    assert moved != pytest.approx(plain, rel=1e-3)


def change(at: Objective, move: object, **options: object) -> float:
    found = evaluate(FisherSharpness(**options), at, seed=0, move=move)  # type: ignore[arg-type]
    assert found.change_along_orbit is not None
    return found.change_along_orbit


def test_which_estimates_move_along_which_orbits() -> None:
    relu = objective(relu_network(), "categorical", d=3)
    pair = objective(linear_pair(), "categorical", d=3)
    for at, move in ((relu, rescale), (pair, change_basis)):
        assert change(at, move) < ROUNDING
        assert change(at, move, probes=20) < ROUNDING
        assert change(at, move, covariant=False) > 0.01
    # The empirical Fisher is a tensor too, but where its rank is below F's, its pseudo-inverse is none.
    assert measured(relu, estimator="empirical")[1]["rank"] < measured(relu)[1]["rank"]
    assert change(relu, rescale, estimator="empirical", covariant=True) > 0.01
    assert change(pair, change_basis, estimator="empirical", covariant=True) < ROUNDING
    # A diagonal is a tensor under maps that are diagonal themselves, and under no others.
    assert change(relu, rescale, estimator="diagonal") < ROUNDING
    assert change(pair, change_basis, estimator="diagonal", statistic="lambda_max") > 0.01
    assert change(pair, change_basis, estimator="empirical_diagonal") > 0.01


def test_the_diagonal_trace_of_a_relu_network_counts_its_parameters() -> None:
    """∂²f/∂θ_i² = 0 for one weight at a time, so that H_ii = F_ii under a canonical link, whatever was learned."""
    for family in LOSSES:
        value, details = measured(objective(relu_network(), family, d=3), estimator="diagonal")
        assert value == pytest.approx(31, rel=ROUNDING)
        assert details["rank"] == 31


@pytest.mark.parametrize("n", [20, 4])
@pytest.mark.parametrize("family", ["categorical", "gaussian"])
def test_at_zero_residual_the_trace_is_the_rank(family: str, n: int) -> None:
    model, x = tanh_network(), inputs(20, 2)[:n]
    out = model(x).detach()
    target = out.softmax(1) if family == "categorical" else out
    at = Objective.of(model, LOSSES[family][0], (x, target))
    value, details = measured(at)
    assert value == pytest.approx(details["rank"], rel=ROUNDING)
    assert details["lambda_max"] == pytest.approx(1, rel=ROUNDING)
    assert 1 <= details["effective_rank"] < details["rank"]
    # Nothing is left of the labels' own gradients there: the empirical Fisher is no Fisher information.
    with pytest.raises(SharpnessError, match="vanishes"):
        measured(at, estimator="empirical")


def test_near_interpolation_the_empirical_fisher_is_far_from_the_rank() -> None:
    model, x = tanh_network(), inputs(20, 2)
    at = Objective.of(model, nn.MSELoss(), (x, model(x).detach() + 1e-4 * NUMBERS))
    value, details = measured(at)
    assert value == pytest.approx(details["rank"], rel=0.05)
    assert measured(at, estimator="empirical")[0] > 1e3 * value


def test_probes_and_lanczos_agree_with_the_whole_form() -> None:
    at = objective(tanh_network(), "bernoulli")
    exact, details = measured(at)
    found = evaluate(FisherSharpness(probes=400), at, seed=1)
    assert found.standard_error is not None
    assert abs(found.value - exact) < 4 * found.standard_error
    assert measured(at, statistic="lambda_max", probes=1)[0] == pytest.approx(details["lambda_max"], rel=1e-3)


def test_drawn_labels_give_the_fisher_information_on_average() -> None:
    at = objective(tanh_network(), "categorical")
    distribution = predictive(at)
    exact = fisher_range(at, distribution, estimators.exact, torch.Generator())
    drawn = fisher_range(at, distribution, estimators.sampled(4000), torch.Generator().manual_seed(0))
    dense, estimate = (found.vectors.mT @ torch.diag(found.singular**2) @ found.vectors for found in (exact, drawn))
    # 80000 draws of products whose spread is below three times the largest entry; five standard errors.
    assert float((dense - estimate).abs().max()) < 5 * 3 * float(dense.abs().max()) / math.sqrt(80_000)


def test_models_that_cannot_be_mapped_go_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    at = objective(relu_network(), "categorical", d=3)
    value, _ = measured(at)

    def refuse(*arguments: object) -> Tensor:
        raise RuntimeError("no batching rule")

    monkeypatch.setattr(rows, "_mapped", refuse)
    assert measured(at)[0] == pytest.approx(value, rel=ROUNDING)


def test_attention_in_both_precisions() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.layer(x).mean(1))
            return out

    x, y = inputs(6, 12).reshape(6, 3, 4), torch.arange(6) % 2
    values = [
        fisher_sharpness(model, nn.CrossEntropyLoss(), (x, y), tolerance=1e-4).value
        for model in (Tagger().double().eval(), Reparametrized(Tagger().double().eval()), Tagger().eval())
    ]
    assert values[1] == pytest.approx(values[0], rel=ROUNDING)
    assert values[2] == pytest.approx(values[0], rel=1e-2)


def test_options_out_of_range() -> None:
    for options in ({"statistic": "mean"}, {"estimator": "guess"}, {"draws": 0}, {"probes": 0}):
        with pytest.raises(OptionError):
            FisherSharpness(**options)  # type: ignore[arg-type]


def test_a_rank_without_a_gap_is_said() -> None:
    at = objective(tanh_network(), "gaussian")
    span = fisher_range(at, predictive(at), estimators.exact, torch.Generator())
    between = float((span.singular[20] + span.singular[21]) / 2 / span.singular[0]) if span.rank > 21 else None
    threshold = between or float((span.singular[-1] + span.singular[-2]) / 2 / span.singular[0])
    found = evaluate(FisherSharpness(tolerance=threshold), at, seed=0)
    assert any("matter of the threshold" in note for note in found.notes)


@pytest.mark.parametrize("confidence", [1.0, 30.0])
def test_hard_labels_end_at_half_the_rank_on_the_sphere_of_distributions(confidence: float) -> None:
    """Closed form: in the metric of the sphere p = cos²φ, −log p has the curvatures 1/(2p) and c − 2 times ½."""
    model, x = tanh_network(), inputs(4, 2)
    with torch.no_grad():
        model[2].weight.mul_(confidence)
    labels = model(x).argmax(1)
    own = model(x).softmax(1).gather(1, labels.unsqueeze(1)).detach()
    value, details = measured(Objective.of(model, nn.CrossEntropyLoss(), (x, labels)))
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    assert details["rank"] == 8
    assert value == pytest.approx(float((1 / (2 * own) + 0.5).sum()), rel=ROUNDING)
    assert details["lambda_max"] == pytest.approx(float((1 / (2 * own)).max()), rel=ROUNDING)
    assert details["lambda_min"] == pytest.approx(0.5, rel=ROUNDING)


def test_memory_is_bounded_by_chunks_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    at = objective(tanh_network(), "bernoulli")
    value, _ = measured(at)
    seen: list[int] = []
    whole = rows.pulled_rows

    def watched(objective: Objective, *arguments: Any) -> Tensor:
        found = whole(objective, *arguments)
        seen.append(found.numel())
        return found

    monkeypatch.setattr(fisher_range_module, "pulled_rows", watched)
    monkeypatch.setattr(fisher_range_module, "CHUNK_ENTRIES", 300)
    assert measured(at)[0] == pytest.approx(value, rel=ROUNDING)
    assert max(seen) <= 300
    monkeypatch.setattr(fisher_range_module, "FACTOR_ENTRIES", 200)
    with pytest.raises(SharpnessError, match="fewer samples"):
        measured(at)


def test_rounding_is_said_where_directions_of_f_are_small() -> None:
    x = inputs(20, 2)
    notes = {}
    for dtype in (torch.float32, torch.float64):
        model = tanh_network()
        at = Objective.of(model.to(dtype), nn.CrossEntropyLoss(), (x, CLASSES))
        notes[dtype] = evaluate(FisherSharpness(), at, seed=0).notes
    assert "measure in float64" in notes[torch.float32][0]
    assert notes[torch.float64] == ()


def moved_networks() -> list[tuple[float, float]]:
    """(change of S_R along an orbit, the rounding stated) of ReLU networks in which S_R loses up to six digits."""
    found = []
    for seed in range(12):
        torch.manual_seed(seed)
        layers = [nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)]
        model = nn.Sequential(*layers).double()
        at = Objective.of(model, nn.MSELoss(), (inputs(40, 2, seed), inputs(40, 2, seed + 100)))
        one = evaluate(FisherSharpness(), at, seed=0, move=find_blocks(model).move(1, 30.0))
        assert one.change_along_orbit is not None
        found.append((one.change_along_orbit * abs(one.value), one.rounding))
    return found


def test_changes_along_an_orbit_are_the_rounding_stated_and_less_with_a_refined_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refined = moved_networks()
    ratios = sorted(change / rounding for change, rounding in refined)
    assert ratios[-1] <= 1
    assert ratios[6] > 0.01  # and not by leaving everything open

    def once(at: Objective, distribution: object, exact: FisherRange, slope: Tensor) -> Tensor:
        return exact.lift(exact.lower(slope.unsqueeze(0)))[0]

    monkeypatch.setattr(covariant, "natural_gradient", once)
    digits = [math.log10(plain / new) for (plain, _), (new, _) in zip(moved_networks(), refined, strict=True)]
    assert sum(digits) / len(digits) > 0.4


def test_parameters_of_different_size_lose_no_digits() -> None:
    """Units rescaled by up to 1e4: the equilibrated factor is as well conditioned as before."""
    at = objective(relu_network(), "categorical", d=3)
    far = at.at(rescale(rescale(rescale(at.parameters))))
    spans = [
        fisher_range(point, predictive(point), estimators.exact, torch.Generator(), equilibrated=way)
        for point in (at, far)
        for way in (False, True)
    ]
    plain, equilibrated, far_plain, far_equilibrated = (span.condition for span in spans)
    assert far_plain > 30 * plain
    assert far_equilibrated == pytest.approx(equilibrated, rel=1e-9)
    assert spans[3].effective_rank == pytest.approx(spans[2].effective_rank, rel=1e-9)


def test_a_change_within_rounding_is_neither_invariant_nor_not() -> None:
    change = {"change_along_orbit": 0.05}
    assert Measurement("m", 2.0, None, 1.0, **change, rounding=0.11).invariant is None
    assert Measurement("m", 2.0, None, 1.0, **change, rounding=0.09).invariant is False
    assert Measurement("m", 2.0, None, 1.0, **change, rounding=0.07, random_error=0.01).invariant is None


@pytest.mark.parametrize("seed", [13, 38, 56])
def test_a_rank_that_rounding_decides_leaves_the_value_open(seed: int) -> None:
    """In float32 a singular value near rounding counts at one point of an orbit and not at the other."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    at = Objective.of(model, nn.MSELoss(), (inputs(40, 2, seed).float(), inputs(40, 2, seed + 100).float()))
    found = evaluate(FisherSharpness(), at, seed=0, move=find_blocks(model).move(1, 100.0))
    assert found.change_along_orbit is not None
    assert found.change_along_orbit > 0.1
    assert found.invariant is None
    assert found.details["rounding"] == 1.0
    assert any("rounding may move the value" in note for note in found.notes)
