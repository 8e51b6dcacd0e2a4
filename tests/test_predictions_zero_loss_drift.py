"""The drift of label noise at zero loss: its objective against dense Jacobians and quadrature, and its balance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import symtheory as st
from symtheory import catalog
from symtheory.predictions.jacobian_trace import jacobian_trace
from symtheory.rendering import plain


def drawn(P: st.Parametrization, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn([int(size) for size in shape], generator=generator, dtype=torch.float64)
        for name, shape in P.parameters.items()
    }


def dense_trace(P: st.Parametrization, point: dict[str, torch.Tensor], *arguments: torch.Tensor) -> float:
    """‖J‖² at one sample, by reverse mode output by output."""
    module = st.generate(P).load()
    leaves = {name: leaf.clone().requires_grad_() for name, leaf in point.items()}
    total = 0.0
    for output in module.predictor(leaves, *arguments).reshape(-1):
        slopes = torch.autograd.grad(output, tuple(leaves.values()), retain_graph=True, materialize_grads=True)
        total += sum(float(slope.square().sum()) for slope in slopes)
    return total


def gauss_hermite(size: int, order: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights for the mean over standard normal vectors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    points = np.array(list(product(nodes, repeat=size)))
    return torch.from_numpy(points), torch.from_numpy(
        np.array([np.prod(w) for w in product(weights / weights.sum(), repeat=size)])
    )


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("attention", {"n": 3, "d": 2, "h": 2}),
        ("swiglu", {"d": 2, "h": 3, "k": 2}),
        ("lora", {"d": 3, "k": 2, "r": 2}),
        ("cp_decomposition", {"n": 2, "m": 2, "k": 3, "h": 2}),
        ("quadratic", {"d": 2, "h": 3}),
    ],
)
def test_the_trace_is_the_mean_squared_jacobian(name: str, sizes: dict[str, int]) -> None:
    P = catalog.load(name).bind(**sizes)
    functions, point = P.predictions()["label_noise"].load(), drawn(P)
    generator = torch.Generator().manual_seed(9)

    def normal(shape: tuple, *samples: int) -> torch.Tensor:
        return torch.randn(*samples, *map(int, shape), generator=generator, dtype=torch.float64)

    inputs = [normal(shape, 3) for shape in P.inputs.values()]
    constants = [normal(shape) for shape in P.constants.values()]
    cases = range(3) if inputs else range(1)
    expected = np.mean([dense_trace(P, point, *(x[case] for x in inputs), *constants) for case in cases])
    assert float(functions.label_noise_trace(point, *inputs, *constants)) == pytest.approx(expected, rel=1e-12)
    both = {key: torch.stack([leaf, 1.1 * leaf]) for key, leaf in point.items()}
    traces = functions.label_noise_trace(both, *inputs, *constants)
    assert traces.shape == (2,) and float(traces[0]) == pytest.approx(expected, rel=1e-12)


def test_the_drift_is_the_slope_of_the_trace() -> None:
    P = catalog.load("swiglu").bind(d=2, h=3, k=2)
    functions, point = P.predictions()["label_noise"].load(), drawn(P)
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drift = functions.label_noise_drift(point, x, eta=0.1, sigma=0.5)
    along = drawn(P, seed=7)
    step = 1e-5
    ends = [
        functions.label_noise_trace({key: leaf + sign * step * along[key] for key, leaf in point.items()}, x)
        for sign in (1, -1)
    ]
    slope = float(ends[0] - ends[1]) / (2 * step)
    found = sum(float((drift[key] * along[key]).sum()) for key in point)
    assert found == pytest.approx(-(0.1**2) * 0.5**2 / 4 * slope, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("low_rank", {"n": 3, "m": 4, "h": 2}),
        ("tied_product", {"n": 3, "h": 2}),
        ("deep_linear", {"d": 2, "h1": 2, "h2": 3, "k": 2}),
        ("quadratic", {"d": 2, "h": 3}),
        ("monomial", {"d": 2, "h": 2, "k": 2}),
        ("lora", {"d": 2, "k": 3, "r": 2}),
    ],
)
def test_a_closed_trace_is_the_mean_over_normal_inputs(name: str, sizes: dict[str, int]) -> None:
    """Quadrature that is exact for these polynomials of the inputs."""
    P = catalog.load(name).bind(**sizes)
    functions, point = P.predictions()["label_noise"].load(), drawn(P)
    constants = [torch.ones([int(size) for size in shape], dtype=torch.float64) for shape in P.constants.values()]
    if P.inputs:
        nodes, weights = gauss_hermite(2)
        expected = sum(
            float(weight) * float(functions.label_noise_trace(point, x.unsqueeze(0), *constants))
            for x, weight in zip(nodes, weights, strict=True)
        )
    else:
        expected = float(functions.label_noise_trace(point))
    assert float(functions.label_noise(point)) == pytest.approx(expected, rel=1e-10)


def test_the_closed_trace_of_a_relu_net() -> None:
    """Sums over x and −x make every unit active once: then d standard basis vectors times √d have unit moments."""
    P = catalog.load("shallow_relu").bind(d=3, h=4, k=2)
    functions, point = P.predictions()["label_noise"].load(), drawn(P)
    basis = torch.eye(3, dtype=torch.float64) * 3**0.5
    x = torch.cat([basis, -basis])
    found = functions.label_noise_trace(point, x)
    torch.testing.assert_close(functions.label_noise(point), found, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "trace", "minimum", "balance"),
    [
        (
            "low_rank",
            "m*Trace(G*G.T) + n*Trace(H*H.T)",
            "2*sqrt(m)*sqrt(n)*Trace(((H*G.T)*(G*H.T))**(1/2))",
            "m*G.T*G = n*H.T*H",
        ),
        (
            "shallow_relu",
            "d*Trace(V*V.T)/2 + k*Trace(W*W.T)/2",
            "2*Trace(DiagonalMatrix((d/2)*V.T*V)**(1/2)*DiagonalMatrix((k/2)*W*W.T)**(1/2))",
            "DiagonalMatrix((d/2)*V.T*V) = DiagonalMatrix((k/2)*W*W.T)",
        ),
    ],
)
def test_the_statement_at_symbolic_size(name: str, trace: str, minimum: str, balance: str) -> None:
    """With one output the balance of a ReLU net is |v_j|/‖w_j‖ = 1/√d."""
    shown = [plain(relation) for relation in catalog.load(name).predictions()["label_noise"].relations]
    assert shown == ["drift = -eta**2*grad_T*sigma**2/4", f"T(theta) = {trace}", f"min_T = {minimum}", balance]


@pytest.mark.parametrize("name", ["low_rank", "shallow_relu", "lora"])
def test_the_balance_of_label_noise_has_the_smallest_trace(name: str) -> None:
    P = catalog.load(name)
    P = P.bind(**{str(size): value for size, value in zip(P.free_sizes, (3, 4, 2), strict=True)})
    functions, point = P.predictions()["label_noise"].load(), drawn(P)
    balanced, group = functions.label_noise_balanced(point), P.symmetries()
    smallest = float(functions.label_noise_minimum(point))
    assert float(functions.label_noise(balanced)) == pytest.approx(smallest, rel=1e-12)
    arrays = {key: leaf.numpy() for key, leaf in balanced.items()}
    for seed in range(5):
        moved = group.act(group.sample(np.random.default_rng(seed), condition=1.5), arrays)
        nearby = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in moved.items()}
        assert float(functions.label_noise(nearby)) > smallest


def test_graphs_without_a_closed_trace_have_the_drift_alone() -> None:
    prediction = catalog.load("tanh_net").predictions()["label_noise"]
    assert jacobian_trace(catalog.load("tanh_net")) is None
    assert list(prediction.formulas) == ["label_noise_trace", "label_noise_drift"]
    assert "no closed form" in str(prediction)


def test_a_linear_predictor_does_not_drift() -> None:
    d, k = st.dims("d k")
    linear = st.Parametrization(st.param("W", k, d) @ st.input("x", d) + st.param("b", k), name="linear")
    assert "'linear' is linear in its parameters" in linear.predictions().not_applicable["label_noise"]


def test_numbers_among_the_parameters_leave_the_trace_to_generated_code() -> None:
    """A factor a of GHᵀ is in no product of matrices, and ∂φ/∂a must not be forgotten."""
    P = st.Parametrization(st.param("a") * (st.param("G", 2, 2) @ st.param("H", 3, 2).T), name="scaled")
    assert jacobian_trace(P) is None
    point = drawn(P)
    functions = P.predictions()["label_noise"].load()
    assert float(functions.label_noise_trace(point)) == pytest.approx(dense_trace(P, point), rel=1e-12)


def test_products_that_stretch_a_factor_have_no_matrix_form() -> None:
    P = st.Parametrization(st.param("a", 3).reshape(3, 1) * st.param("V", 3, 2), name="groups")
    assert jacobian_trace(P) is None and "label_noise" in P.predictions()


def test_an_input_with_the_name_of_the_step_is_refused() -> None:
    P = st.Parametrization(st.param("V", 2, 3) @ st.tanh(st.input("eta", 3) * st.param("w", 3)), name="mine")
    assert "'eta' is the name of another argument" in P.predictions().not_applicable["label_noise"]
