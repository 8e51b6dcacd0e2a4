"""Every formula of every prediction in a generated module against SymPy in 50-digit arithmetic."""

from __future__ import annotations

import pytest
import torch
from generation_cases import DECLARATIONS, declaration, generated, module
from oracles import mpmath_value

from symtheory.predictions.formula import Formula

PRINTED = 1e-12
"""Relative agreement of float64 with 50 digits that the generated code owes its readers."""

SAMPLES = 3

MECHANISMS = ("discrete_noether", "mirror", "label_noise", "stationary_density", "weight_decay")


def _draw(generator: torch.Generator, low: float, high: float) -> torch.Tensor:
    return low + (high - low) * torch.rand(SAMPLES, generator=generator, dtype=torch.float64)


def _arguments(formula: Formula) -> tuple[dict, list[dict]]:
    """Keyword arguments for the generated function, and the values of the symbols for every sample.

    Scales stay near 1 and dual variables below 0.3, where the potentials of all declarations are defined.
    """
    generator = torch.Generator().manual_seed(3)
    keywords: dict = {}
    values: list[dict] = [{} for _ in range(SAMPLES)]

    def bind(symbol: object, drawn: torch.Tensor) -> torch.Tensor:
        for sample, value in zip(values, drawn.tolist(), strict=True):
            sample[symbol] = value
        return drawn

    for argument, entries in formula.dictionaries.items():
        keywords[argument] = {key: bind(symbol, _draw(generator, 0.6, 1.4)) for key, symbol in entries.items()}
    for argument, symbol in {**formula.tensors, **formula.numbers}.items():
        low, high = (0.05, 0.3) if argument in ("tau", "eta", "weight_decay") else (0.6, 1.4)
        keywords[argument] = bind(symbol, _draw(generator, low, high))
    return keywords, values


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", DECLARATIONS)
def test_every_formula_equals_sympy(name: str, mechanism: str) -> None:
    for function, formula in declaration(name).predictions()[mechanism].formulas.items():
        keywords, values = _arguments(formula)
        computed = getattr(module(name), function)(**keywords)
        expected = formula.results if isinstance(formula.results, dict) else {"": formula.results}
        computed = computed if isinstance(computed, dict) else {"": computed}
        assert list(computed) == list(expected)
        for key, expression in expected.items():
            assert computed[key].shape == (SAMPLES,)
            for sample, value in zip(values, computed[key].tolist(), strict=True):
                assert value == pytest.approx(float(mpmath_value(expression, sample)), rel=PRINTED, abs=1e-300), (
                    function
                )


@pytest.mark.parametrize("name", DECLARATIONS)
def test_no_two_functions_of_a_module_share_a_name(name: str) -> None:
    formulas = [function for prediction in declaration(name).predictions().values() for function in prediction.formulas]
    assert len(set(formulas)) == len(formulas)
    for function in (*formulas, "predictor", "act", "conserved", "inner", "geodesic", "check_domain"):
        assert generated(name, "mixed").source.count(f"\ndef {function}(") == 1
