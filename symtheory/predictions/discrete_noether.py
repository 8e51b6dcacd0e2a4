"""Discrete Noether law: how one step of SGD changes a conserved quantity, exactly."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.symbols import ETA, LAMBDA, gradient_symbols

MECHANISM = "discrete_noether"


def discrete_noether(model: ElementwiseModel, charges: Mapping[str, sp.Expr], name: str) -> Prediction:
    """C' = (1 − ηλ)² C + η² C(g) for every quadratic charge C, per coordinate.

    Derived by inserting θ' = (1 − ηλ) θ − η g into C; the term linear in η g vanishes because the gradient of any
    loss of φ annihilates the generator's field, which is verified for the declared φ. Raises ``DerivationError``
    when there is no charge. Source: Kunin et al. 2020 (2012.04728), in the discrete, exact form.
    """
    if not charges:
        raise DerivationError(f"'{name}' has no conserved charge: none of its generators is symmetric")
    theta = dict(zip(map(str, model.coordinates), model.coordinates, strict=True))
    gradient = gradient_symbols(theta)
    decay = 1 - ETA * LAMBDA
    laws, scales = {}, {}
    for charge_name, charge in charges.items():
        at_gradient = _at(charge, model, gradient)
        laws[charge_name] = decay**2 * charge + ETA**2 * at_gradient
        scales[charge_name] = _absolute_terms(charge) * decay**2 + ETA**2 * _absolute_terms(at_gradient)
        _verify(charge, laws[charge_name], model, theta, gradient)
    relations = [equation(sp.Symbol(f"C'_{charge_name}"), law) for charge_name, law in laws.items()]
    numbers = {"eta": ETA, "weight_decay": LAMBDA}
    dictionaries = {"point": theta, "gradient": gradient}
    formulas = {
        MECHANISM: Formula(
            laws,
            "Charges after one step, from the point and the gradient of the batch loss.",
            numbers=numbers,
            dictionaries=dictionaries,
        ),
        f"{MECHANISM}_scale": Formula(
            scales,
            "Sum of the absolute terms of the law: what its residual is measured against.",
            numbers=numbers,
            dictionaries=dictionaries,
        ),
        f"{MECHANISM}_charges": Formula(dict(charges), "Charges of a point.", dictionaries={"point": theta}),
    }
    return Prediction(
        mechanism=MECHANISM,
        title="Discrete Noether law",
        statement=relations[0] if len(relations) == 1 else sp.Tuple(*relations),
        observable="charges before and after every step, with the gradient of the batch loss",
        assumptions=(
            Assumption("plain SGD step θ' = (1 − ηλ)θ − ηg: no momentum, no preconditioner", True),
            Assumption("g is the gradient of a loss that depends on θ through the predictor alone", True),
        ),
        order="exact, for any batch and any step size",
        source="Kunin et al. 2020 (2012.04728), in discrete time",
        formulas=formulas,
        parametrization=name,
        notes=(
            *(f"C_{key} = {charge} before the step, C' after it" for key, charge in charges.items()),
            "g_i is the entry of g that belongs to the parameter i",
        ),
    )


def _at(charge: sp.Expr, model: ElementwiseModel, values: Mapping[str, sp.Expr]) -> sp.Expr:
    return charge.subs({symbol: values[str(symbol)] for symbol in model.coordinates}, simultaneous=True)


def _verify(
    charge: sp.Expr,
    law: sp.Expr,
    model: ElementwiseModel,
    theta: Mapping[str, sp.Symbol],
    gradient: Mapping[str, sp.Symbol],
) -> None:
    """C(θ') − law must vanish for g = ℓ ∇φ with an arbitrary scalar ℓ."""
    step = {key: (1 - ETA * LAMBDA) * theta[key] - ETA * gradient[key] for key in theta}
    slope = sp.Dummy("ell", real=True)
    chain_rule = {gradient[str(symbol)]: slope * sp.diff(model.predictor, symbol) for symbol in model.coordinates}
    remainder = (_at(charge, model, step) - law).subs(chain_rule)
    if remainder.has(sp.Max):
        # A ReLU cancels against its derivative only when both are written as steps.
        remainder = remainder.rewrite(sp.Heaviside)
    remainder = sp.expand(remainder)
    if remainder != 0 and sp.simplify(remainder) != 0:
        raise DerivationError(
            f"SymPy could not confirm that gradient flow of w = {model.predictor} conserves {charge}: no discrete law"
        )


def _absolute_terms(expression: sp.Expr) -> sp.Expr:
    return sp.Add(*(sp.Abs(term) for term in sp.Add.make_args(sp.expand(expression))))
