"""A prediction as a text to read, as LaTeX and as torch functions; and the mapping that holds them."""

from __future__ import annotations

import inspect
import re

import pytest
import sympy as sp
import torch
from oracles import mpmath_value
from prediction_cases import CASES, predictions

import symtheory as st
from symtheory.errors import DerivationError
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.predictions import MECHANISMS

DOUBLE = 1e-12
"""Relative error that the project allows generated code in float64, against 50 digits."""

SINGLE = 2e-4
"""The same in float32: 1e-7 times the condition of tan and of powers at the points below."""

PAIRS = [(case, mechanism) for case in CASES for mechanism in predictions(case)]
SOURCES = {
    "2505.05409",
    "2601.06597",
    "2606.20469",
    "2604.21016",
    "2209.15594",
    "2103.00065",
    "2307.00144",
    "2405.12888",
    "2012.04728",
    "2402.07193",
    "2002.09277",
    "2207.04036",
    "2110.06914",
    "2106.09524",
    "2102.11600",
    "2302.07011",
    "2001.00939",
    "1209.0430",
    "2009.11162",
    "2101.12176",
    "2412.20553",
}
"""Numbers that a prediction may cite."""

OF_COORDINATES = ("discrete_noether", "mirror", "label_noise", "stationary_density", "weight_decay")
"""Mechanisms whose reach over declarations is tabulated below."""


def inputs(formula: Formula, dtype: torch.dtype) -> tuple[dict, dict[sp.Symbol, list[float]]]:
    """Arguments of a generated function, and the same values by symbol."""
    generator = torch.Generator().manual_seed(4)
    values: dict[sp.Symbol, list[float]] = {}

    def draw(symbol: sp.Symbol) -> torch.Tensor:
        tensor = (0.2 + 0.5 * torch.rand(5, generator=generator, dtype=torch.float32)).to(dtype)
        values[symbol] = tensor.double().tolist()
        return tensor

    arguments: dict = {
        name: {key: draw(symbol) for key, symbol in entries.items()} for name, entries in formula.dictionaries.items()
    }
    arguments |= {name: draw(symbol) for name, symbol in {**formula.tensors, **formula.numbers}.items()}
    return arguments, values


def results(value: object) -> dict:
    return dict(value) if isinstance(value, dict) else {"": value}


@pytest.mark.parametrize(("case", "mechanism"), PAIRS)
def test_torch_functions_equal_sympy(case: str, mechanism: str) -> None:
    prediction = predictions(case)[mechanism]
    module = prediction.load()
    for name, formula in prediction.formulas.items():
        if not isinstance(formula, Formula):
            continue  # written as source: each has an oracle of its own
        for dtype, tolerance in ((torch.float64, DOUBLE), (torch.float32, SINGLE)):
            arguments, values = inputs(formula, dtype)
            computed = results(getattr(module, name)(**arguments))
            for key, expression in results(formula.results).items():
                assert computed[key].dtype == dtype
                shape = computed[key].expand(5)
                for index in range(5):
                    oracle = mpmath_value(expression, {symbol: entries[index] for symbol, entries in values.items()})
                    assert abs(float(shape[index]) - oracle) <= tolerance * max(abs(oracle), abs(oracle) + 1e-3)


@pytest.mark.parametrize(("case", "mechanism"), PAIRS)
def test_formulas_in_docstrings_parse_back(case: str, mechanism: str) -> None:
    prediction = predictions(case)[mechanism]
    module = prediction.load()
    expressions = {name: formula for name, formula in prediction.formulas.items() if isinstance(formula, Formula)}
    for name, formula in expressions.items():
        # getdoc removes the indentation, as the compiler does from Python 3.13 on.
        text = inspect.getdoc(getattr(module, name)).split("::\n\n")[1].split("\n\n")[0]
        stated = dict(line.split(" = ", 1) for line in re.sub(r"\n\s{8,}", " ", text).strip().splitlines())
        parts = [*formula.dictionaries.values(), formula.tensors, formula.numbers]
        symbols = {key: symbol for part in parts for key, symbol in part.items()}
        symbols |= {str(symbol): symbol for part in formula.dictionaries.values() for symbol in part.values()}
        for key, expression in results(formula.results).items():
            left = f'result["{key}"]' if key else name
            written = next(right for term, right in stated.items() if term.strip() == left)
            assert sp.simplify(sp.sympify(written, locals=symbols) - expression) == 0


def test_a_spoiled_docstring_would_be_noticed() -> None:
    text = predictions("hadamard")["weight_decay"].load().weight_decay.__doc__
    assert "2*Abs(w)" in text
    assert sp.sympify("2*Abs(w)", locals={"w": sp.Symbol("w", real=True)}) != 2 * sp.Symbol("w", real=True)


@pytest.mark.parametrize(("case", "mechanism"), PAIRS)
def test_prints_like_a_theorem(case: str, mechanism: str) -> None:
    prediction = predictions(case)[mechanism]
    text = str(prediction)
    headings = ["Assume", "Then", "Order:", "Observable:", "Source:"]
    positions = [text.index(f"  {heading}") for heading in headings]
    assert positions == sorted(positions)
    assert text.splitlines()[0].endswith(f"({mechanism}, {case})")
    assert not re.search(r"Eq\(|Derivative\(|Abs\(|Tuple\(", text)
    densities = {"stationary_density", "orbit_volume", "sharpness_gap"}
    densities |= {"joint_stationary_density"} if prediction.measure else set()
    assert (mechanism in densities) == ("  Measure: " in text)
    assert set(re.findall(r"\d{4}\.\d{5}", prediction.source)) <= SOURCES
    assert all(str(assumption) in text for assumption in prediction.assumptions)


@pytest.mark.parametrize(("case", "mechanism"), PAIRS)
def test_latex_is_balanced(case: str, mechanism: str) -> None:
    prediction = predictions(case)[mechanism]
    source = prediction.latex()
    depth = 0
    for character in source.replace(r"\{", "").replace(r"\}", ""):
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert source.count(r"\left") - source.count(r"\leftarrow") == source.count(r"\right") - source.count(
        r"\rightarrow"
    )
    assert re.findall(r"\\begin\{(\w+)\}", source) == re.findall(r"\\end\{(\w+)\}", source)
    assert source.count(r"\\" + "\n") == max(len(prediction.relations) - 1, 0)


def test_mapping_gives_predictions_and_reasons() -> None:
    found = predictions("hadamard")
    assert [name for name in MECHANISMS if name in OF_COORDINATES] == [name for name in found if name in OF_COORDINATES]
    assert set(OF_COORDINATES) <= set(found) and not set(OF_COORDINATES) & set(found.not_applicable)
    assert all(isinstance(value, Prediction) for value in found.values())
    assert "mirror" in found and "tides" not in found
    with pytest.raises(DerivationError, match=r"no such mechanism; known are discrete_noether, mirror"):
        found["tides"]
    cubic = st.Parametrization(st.param("u", 3) ** 3, name="cubic").predictions()
    assert cubic.get("mirror") is None and "mirror" not in cubic
    with pytest.raises(DerivationError, match=r"no prediction 'mirror' for 'cubic': .*no start"):
        cubic["mirror"]
    assert set(cubic) | set(cubic.not_applicable) == set(MECHANISMS)


def odd_declarations() -> dict[str, tuple[st.Parametrization, set[str]]]:
    """Declarations beside the catalogue's, and the mechanisms that must be derived for them."""
    u, v, z, q = (st.param(name, 3) for name in "uvzq")
    minima = {"label_noise", "stationary_density", "weight_decay"}
    table = {
        "cube": (u**3, minima),
        "exponential": (st.exp(u), {"label_noise", "weight_decay"}),
        "product_and_square": (u * v + z * z, {"discrete_noether"}),
        "sum": (u + v, {"discrete_noether", "mirror", "label_noise", "weight_decay"}),
        "times_cube": (u * v**3, set(OF_COORDINATES)),
        "absolute": (st.abs(u), {"label_noise", "weight_decay"}),
        "absolute_factor": (st.abs(u) * v, {"discrete_noether", "mirror"}),
        "relu_factor": (st.relu(u) * v, {"discrete_noether", "mirror"}),
        "sum_of_squares": (u * u + v * v, set()),
        "ratio": (u * v**-1, {"discrete_noether"}),
        "two_products": (u * v - z * q, {"discrete_noether"}),
        "depth_5": (u * v * z * q * st.param("r", 3), {"discrete_noether", *minima}),
        "mixed_powers": (u * v * v * z, set(OF_COORDINATES)),
        "negative_square": (-u * u, set()),
        "square": (u * u, minima),
        "negative": (-u, {"mirror", "label_noise", "weight_decay"}),
        "quadratic": (u * u + u, {"mirror"}),
        "tanh_factor": (st.tanh(u) * v, set()),
        "difference_of_cubes": (u**3 - v**3, {"mirror", "label_noise", "weight_decay"}),
        "square_difference_times": (u * u * z - v * v * z, {"discrete_noether", *minima}),
    }
    return {name: (st.Parametrization(node, name=name), expected) for name, (node, expected) in table.items()}


@pytest.mark.parametrize("name", list(odd_declarations()))
def test_every_declaration_gets_predictions_or_reasons(name: str) -> None:
    graph, expected = odd_declarations()[name]
    found = graph.predictions()
    assert set(found) & set(OF_COORDINATES) == expected
    assert set(found.not_applicable) == set(MECHANISMS) - set(found)
    for reason in found.not_applicable.values():
        assert "\n" not in reason and len(reason) > 20
    for prediction in found.values():
        prediction.load()
        assert not prediction.statement.has(sp.I, sp.Integral, sp.zoo, sp.nan)
