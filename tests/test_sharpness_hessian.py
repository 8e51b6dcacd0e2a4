"""The Hessian's eigenvalues and trace against dense Hessians, with spectra that lead an iteration astray."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from numeric.errors import OptionError
from numeric.sharpness import Objective
from numeric.sharpness.cost import Cost
from numeric.sharpness.hessian.eigenvalues import eigenpairs, lambda_max, top_eigenvalues
from numeric.sharpness.hessian.lanczos import RISK, lanczos
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.hessian.trace import hessian_trace
from numeric.sharpness.hessian.upper_bound import upper_bound
from numeric.sharpness.parameters import flatten, unflatten
from numeric.sharpness.second_order import Kernels, SecondOrder, second_order

Data = list[tuple[Tensor, Tensor]]


class Once(torch.autograd.Function):
    """z² with a derivative that torch cannot differentiate."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, up: Tensor) -> Tensor:
        return 2 * up * ctx.saved_tensors[0]


class SquareOnce(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = Once.apply(z)
        return out


class Square(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z**2


class Attentive(nn.Module):
    """A small transformer with torch's own layers, LayerNorm and attention kernels included."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.encoder(x.reshape(len(x), -1, 4)).mean(1))
        return out


def network(square: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 5), square or nn.Tanh(), nn.Linear(5, 3)).double()


def transformer() -> nn.Module:
    torch.manual_seed(0)
    return Attentive().double().eval()


def samples(sizes: tuple[int, ...] = (10, 6, 9)) -> Data:
    generator = torch.Generator().manual_seed(1)
    n = sum(sizes)
    x = torch.randn(n, 8, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (n,), generator=generator)
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def whole(data: Data) -> tuple[Tensor, Tensor]:
    return torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])


def dense(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The Hessian (D, D), row by row, reverse over reverse: jvp(jacrev) is wrong through LayerNorm."""
    objective = Objective.of(model, cross_entropy, batch)
    x, y = batch

    def loss(flat: Tensor) -> Tensor:
        point = unflatten(flat, objective.parameters)
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return cross_entropy(torch.func.functional_call(model, point, (x,)), y)

    hessian: Tensor = torch.autograd.functional.hessian(loss, flatten(objective.parameters))
    return hessian


class Diagonal:
    """A matrix known by its eigenvalues."""

    def __init__(self, eigenvalues: Tensor) -> None:
        self.eigenvalues = eigenvalues
        self.dimension = len(eigenvalues)

    def product(self, block: Tensor) -> Tensor:
        return block * self.eigenvalues


def draws(seed: int, dimension: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(dimension, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("make", [network, transformer])
def test_eigenvalues_and_vectors_are_those_of_the_dense_hessian(make: object) -> None:
    model = make()  # type: ignore[operator]
    data = samples()
    hessian = dense(model, whole(data))
    expected = np.linalg.eigvalsh(hessian.numpy())[::-1]
    found = top_eigenvalues(model, cross_entropy, data, k=4, tolerance=1e-6)
    assert found.details["converged"]
    np.testing.assert_allclose(found.details["eigenvalues"], expected[:4], rtol=1e-6)
    assert found.value == pytest.approx(expected[:4].sum(), rel=1e-6)
    pair = eigenpairs(model, cross_entropy, data, tolerance=1e-6)[0]
    u = flatten(pair.vector)
    assert torch.linalg.vector_norm(hessian @ u - pair.value * u) == pytest.approx(pair.residual, abs=1e-9)
    assert pair.residual <= 1e-6 * pair.value


def test_standard_error_is_that_over_the_batches() -> None:
    model, data = network(), samples((8, 8, 8))
    found = lambda_max(model, cross_entropy, data, tolerance=1e-8)
    u = flatten(eigenpairs(model, cross_entropy, data, tolerance=1e-8)[0].vector)
    curvatures = [float(u @ dense(model, batch) @ u) for batch in data]
    assert found.standard_error == pytest.approx(np.std(curvatures, ddof=1) / np.sqrt(3), rel=1e-6)
    assert found.value == pytest.approx(np.mean(curvatures), rel=1e-6)
    assert lambda_max(model, cross_entropy, whole(data)).standard_error is None


def test_one_batch_keeps_its_graph_and_several_pay_for_it_again() -> None:
    model, data = network(), samples((8, 8))
    few = lambda_max(model, cross_entropy, whole(data))
    probe = 2 * 3 / 16  # two samples: their gradient and a product
    assert few.cost == pytest.approx(1 + 2 * few.details["products"], abs=probe)
    objective = Objective.of(model, cross_entropy, data)
    operator = HessianOperator(Objective(model, cross_entropy, data, objective.parameters, Cost()))
    before = operator.objective.cost.sample_units
    operator.product(torch.eye(operator.dimension, dtype=torch.float64)[:5])
    assert (operator.objective.cost.sample_units - before) / 16 == pytest.approx(1 + 2 * 5)


def test_float32_reaches_the_tolerance_too() -> None:
    data = samples()
    expected = np.linalg.eigvalsh(dense(network(), whole(data)).numpy())[-1]
    found = lambda_max(network().float(), cross_entropy, data)
    assert found.value == pytest.approx(expected, rel=1e-3)
    assert found.value - expected <= found.details["errors"][0]


@pytest.mark.parametrize(
    ("eigenvalues", "k"),
    [
        ([5.0, 5.0, 1.0] + [0.0] * 50, 3),
        ([5.0, 5.0, 5.0, 1.0], 4),
        ([-3.0, -1.0, -0.1] + [-2.0] * 30, 1),
        ([2.0] + [-100.0 + 3 * i for i in range(30)], 1),
        ([0.0] * 20, 2),
        ([7.0] * 20, 3),
        ([1.0 - 1e-3 * i for i in range(200)], 2),
    ],
)
def test_spectra_with_copies_clusters_and_more_curvature_down_than_up(eigenvalues: list[float], k: int) -> None:
    operator = Diagonal(torch.tensor(eigenvalues, dtype=torch.float64))
    stream = draws(0, operator.dimension)
    found = lanczos(operator, next(stream), lambda: next(stream), k=k, products=400)
    expected = sorted(eigenvalues, reverse=True)[:k]
    assert found.converged
    np.testing.assert_allclose([pair.value for pair in found.largest], expected, rtol=1e-3, atol=1e-12)
    assert found.spectral_radius <= max(map(abs, eigenvalues)) * (1 + 1e-9)


def test_a_full_basis_is_restarted() -> None:
    operator = Diagonal(torch.linspace(0, 1, 1000, dtype=torch.float64) ** 2)
    stream = draws(1, 1000)
    found = lanczos(operator, next(stream), lambda: next(stream), k=2, tolerance=1e-7, products=500)
    assert found.converged
    assert found.products > 64
    np.testing.assert_allclose(
        [pair.value for pair in found.largest], operator.eigenvalues.flip(0)[:2].numpy(), rtol=1e-6
    )
    u = found.largest[1].vector
    assert torch.linalg.vector_norm(operator.product(u) - found.largest[1].value * u) <= 1.01e-7


def test_the_residual_bounds_the_error_and_the_products_are_few() -> None:
    """On 100 random spectra with outliers: never above the residual but for starts without the leader (1 in 100)."""
    generator = torch.Generator().manual_seed(3)
    missed, products = 0, []
    for _ in range(100):
        eigenvalues = 0.05 * torch.randn(400, generator=generator, dtype=torch.float64)
        eigenvalues[:5] += 2 * torch.rand(5, generator=generator, dtype=torch.float64)

        def draw() -> Tensor:
            return torch.randn(400, generator=generator, dtype=torch.float64)

        found = lanczos(Diagonal(eigenvalues), draw(), draw)
        missed += abs(found.largest[0].value - float(eigenvalues.max())) > found.largest[0].residual
        products.append(found.products)
    assert missed <= 3
    assert np.mean(products) < 10


RUNS = 150  # of spectra with clusters


def clustered(generator: torch.Generator, width: float) -> Tensor:
    """Six leading eigenvalues within `width` below 1, six outliers further down, and a bulk."""

    def uniform(size: int) -> Tensor:
        return torch.rand(size, generator=generator, dtype=torch.float64)

    eigenvalues = 0.02 * torch.randn(800, generator=generator, dtype=torch.float64)
    eigenvalues[:6] = 1 - width * uniform(6)
    eigenvalues[6:12] += 0.9 * uniform(6)
    return eigenvalues


@pytest.mark.parametrize(("width", "weight"), [(3e-3, 1.0), (1e-2, 1.0), (0.5, 1.0), (0.5, 0.1)])
def test_a_stop_by_risk_misses_no_more_often_than_it_says(width: float, weight: float) -> None:
    """Clusters, gaps, and starts with a tenth of the leader that chance gives: at most 5 of 100 miss the tolerance."""
    generator = torch.Generator().manual_seed(11)
    missed = {"residual": 0, "risk": 0}
    for _ in range(RUNS):
        eigenvalues = clustered(generator, width)
        start = torch.randn(800, generator=generator, dtype=torch.float64)
        start[eigenvalues.argmax()] *= weight
        for stop in missed:
            found = lanczos(Diagonal(eigenvalues), start.clone(), start.clone, stop=stop)  # type: ignore[arg-type]
            missed[stop] += float(eigenvalues.max()) > found.largest[0].value * (1 + 1e-3)
    assert missed["risk"] <= RUNS * RISK
    if width < 0.01:
        assert missed["residual"] > RUNS * RISK  # what it is for


@pytest.mark.parametrize("vectors", [4, 6, 9])
def test_a_small_basis_reaches_the_same_eigenvalues_with_more_products(vectors: int) -> None:
    generator = torch.Generator().manual_seed(5)
    eigenvalues = torch.linspace(0, 1, 500, dtype=torch.float64) ** 2
    eigenvalues[:2] = torch.tensor([1.6, 1.4])

    def draw() -> Tensor:
        return torch.randn(500, generator=generator, dtype=torch.float64)

    start = draw()
    small = lanczos(Diagonal(eigenvalues), start.clone(), draw, k=2, tolerance=1e-6, products=300, vectors=vectors)
    large = lanczos(Diagonal(eigenvalues), start.clone(), draw, k=2, tolerance=1e-6, products=300)
    assert small.converged
    assert [pair.value for pair in small.largest] == pytest.approx([1.6, 1.4], rel=1e-6)
    assert large.products <= small.products <= 6 * large.products
    for pair in small.largest:
        residual = eigenvalues * pair.vector - pair.value * pair.vector
        assert torch.linalg.vector_norm(residual) == pytest.approx(pair.residual, abs=1e-10)
    with pytest.raises(OptionError, match="at least 4"):
        lanczos(Diagonal(eigenvalues), start, draw, k=2, vectors=3)


@pytest.mark.parametrize(("lean", "risk"), [(0.0, 0.1), (1.8, 0.1)])
def test_an_eigenvalue_beyond_the_upper_bound_is_as_rare_as_it_says(lean: float, risk: float) -> None:
    """400 spectra stopped early by the gap, half of the starts leaning to a wrong eigenvector: binomial, 4 sigma."""
    generator = torch.Generator().manual_seed(8)
    beyond, missed, slack = 0, 0, []
    for _ in range(400):
        eigenvalues = 0.1 * torch.randn(30, generator=generator, dtype=torch.float64)
        eigenvalues[:3] += 1 + torch.rand(3, generator=generator, dtype=torch.float64)

        def draw() -> Tensor:
            return torch.randn(30, generator=generator, dtype=torch.float64)

        start = draw()
        start = start / torch.linalg.vector_norm(start)
        start[1] += lean
        found = lanczos(Diagonal(eigenvalues), start, draw, stop="gap")
        assert found.log_couplings is not None
        bound = upper_bound(found.values, found.log_couplings, 30, 1 / (1 + lean), risk)
        truth = float(eigenvalues.max())
        beyond += truth > bound * (1 + 1e-12)
        missed += truth > found.largest[0].value * 1.01
        slack.append(bound / found.largest[0].value - 1)
    assert beyond <= 400 * risk + 4 * (400 * risk * (1 - risk)) ** 0.5
    assert missed > beyond
    assert 0 <= np.median(slack) < 0.5


def test_a_warm_start_takes_fewer_products_and_does_not_believe_in_it() -> None:
    model, data = network(), whole(samples())
    cold = lambda_max(model, cross_entropy, data, tolerance=1e-6)
    pairs = eigenpairs(model, cross_entropy, data, k=2, tolerance=1e-8)
    warm = lambda_max(model, cross_entropy, data, tolerance=1e-6, start=pairs[0].vector)
    assert warm.details["products"] < cold.details["products"]
    astray = lambda_max(model, cross_entropy, data, tolerance=1e-6, start=pairs[1].vector)
    assert astray.value == pytest.approx(cold.value, rel=1e-5)


@pytest.mark.parametrize("method", ["hutch++", "hutchinson"])
def test_the_trace_is_unbiased_and_its_standard_error_honest(method: str) -> None:
    """40 seeds: no bias beyond 4 standard errors, and scores of mean square near that of Student's t, 1.29 (±0.36).

    Linear regression on inputs of falling size: a Hessian without negative eigenvalues, some of which stand out.
    """
    x = whole(samples())[0] * torch.logspace(1, -1, 8, dtype=torch.float64)
    model = nn.Linear(8, 8).double()
    expected = 2 * float((x**2).sum() / len(x) + 1)
    found = [hessian_trace(model, mse_loss, (x, 0 * x), method=method, seed=seed) for seed in range(40)]  # type: ignore[arg-type]
    errors = np.array([each.value - expected for each in found])
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(len(errors))
    scores = errors / [each.standard_error for each in found]
    assert 0.3 < np.mean(scores**2) < 2.7


def test_enough_probes_make_the_trace_exact() -> None:
    model, data = network(), samples((8, 8))
    found = hessian_trace(model, cross_entropy, data, probes=1000)
    assert found.value == pytest.approx(float(dense(model, whole(data)).trace()), rel=1e-10)
    halves = [float(dense(model, batch).trace()) for batch in data]
    assert found.standard_error == pytest.approx(abs(halves[0] - halves[1]) / 2, rel=1e-8)


def test_attention_kernels_without_double_backward_are_replaced_with_a_note() -> None:
    found = lambda_max(transformer(), cross_entropy, samples())
    assert any("plain attention" in note and "attention" in note for note in found.notes)
    assert torch.backends.mha.get_fastpath_enabled()
    assert lambda_max(network(), cross_entropy, samples()).notes == ()


def test_differences_of_gradients_stand_in_for_a_missing_double_backward() -> None:
    """An operation marked once_differentiable: torch's own product skips it in silence and is far off."""
    data = whole(samples())
    how = second_order(Objective.of(network(SquareOnce()), cross_entropy, data))
    assert how.kernels is Kernels.FIRST_ORDER
    expected = lambda_max(network(Square()), cross_entropy, data, tolerance=1e-6)
    found = lambda_max(network(SquareOnce()), cross_entropy, data, tolerance=1e-6)
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    assert any("once_differentiable" in note and "float64" not in note for note in found.notes)
    single = lambda_max(network(SquareOnce()).float(), cross_entropy, data)
    assert single.value == pytest.approx(expected.value, rel=0.1)
    assert any("use float64" in note for note in single.notes)
    trusting = HessianOperator(Objective.of(network(SquareOnce()), cross_entropy, data), SecondOrder(Kernels.DEFAULT))
    u = flatten(eigenpairs(network(Square()), cross_entropy, data, tolerance=1e-6)[0].vector)
    assert abs(trusting.curvature(u)[0] / expected.value - 1) > 0.1


def test_products_through_layer_norm_and_attention_agree_with_differences_of_gradients() -> None:
    """Reverse over reverse against first derivatives alone, which share nothing with it beyond the gradient."""
    objective = Objective.of(transformer(), cross_entropy, samples())
    exact, differences = HessianOperator(objective), HessianOperator(objective, SecondOrder(Kernels.FIRST_ORDER))
    block = torch.randn(3, exact.dimension, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    left, right = exact.product(block), differences.product(block)
    assert torch.linalg.matrix_norm(left - right) < 1e-6 * torch.linalg.matrix_norm(left)


def test_a_model_linear_in_its_parameters_has_no_curvature() -> None:
    model = nn.Linear(8, 1, bias=False).double()
    x, _ = whole(samples())

    def linear(output: Tensor, target: Tensor) -> Tensor:
        return (output[:, 0] * target).mean()

    assert lambda_max(model, linear, (x, torch.ones(len(x), dtype=torch.float64))).value == 0
    quadratic = lambda_max(model, mse_loss, (x, torch.zeros(len(x), 1, dtype=torch.float64)), tolerance=1e-9)
    expected = np.linalg.eigvalsh((2 * x.mT @ x / len(x)).numpy())[-1]
    assert quadratic.value == pytest.approx(expected, rel=1e-9)


def test_options_out_of_range() -> None:
    data = samples()
    with pytest.raises(OptionError, match="tolerance"):
        lambda_max(network(), cross_entropy, data, tolerance=0.0)
    with pytest.raises(OptionError, match="choose one of residual"):
        lambda_max(network(), cross_entropy, data, stop="either")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"lacks '0\.weight'"):
        lambda_max(network(), cross_entropy, data, start={})
    with pytest.raises(OptionError, match="k=1000"):
        top_eigenvalues(network(), cross_entropy, data, k=1000)
    with pytest.raises(OptionError, match="probes=2"):
        hessian_trace(network(), cross_entropy, data, probes=2)
    few = lambda_max(network(), cross_entropy, data, tolerance=1e-9, products=3)
    assert not few.details["converged"]
    assert any("not converged within 3 products" in note for note in few.notes)
