"""Discrete Noether law: how one step of SGD changes a conserved quantity, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import sympy as sp

from symtheory.codegen.charge_functions import render_charges
from symtheory.codegen.statements import Statements, function_source
from symtheory.errors import CalculusError, DeclarationError, DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.shapes import Shape, show
from symtheory.graph.symbol_names import prefixed_names
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, LAMBDA, gradient_symbols
from symtheory.rendering import plain
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.translation import Translation

MECHANISM = "discrete_noether"
OBSERVABLE = "charges before and after every step, with the gradient of the batch loss"
ASSUMPTIONS = (
    Assumption("plain SGD step θ' = (1 − ηλ)θ − ηg: no momentum, no preconditioner", True),
    Assumption("g is the gradient of a loss that depends on θ through the predictor alone", True),
)
ORDER = "exact, for any batch and any step size"
SOURCE = "Kunin et al. 2020 (2012.04728), in discrete time"

SCALE, CHARGES = f"{MECHANISM}_scale", f"{MECHANISM}_charges"
ABSOLUTE_CHARGES = f"{MECHANISM}_absolute_charges"
FUNCTIONS = (MECHANISM, SCALE, CHARGES, ABSOLUTE_CHARGES)
"""What is generated for a group that acts on whole arrays."""


def derive(subject: Subject) -> Prediction:
    """The law for one coordinate where the graph acts on each by itself, else for the charges of the whole group."""
    try:
        model = subject.coordinate
    except CalculusError:
        return discrete_noether_of_group(subject.group, subject.graph.parameters, subject.name)
    return discrete_noether(model, subject.charges, subject.name)


def discrete_noether(model: ElementwiseModel, charges: Mapping[str, sp.Expr], name: str) -> Prediction:
    """C' = (1 − ηλ)² C + η² C(g) for every quadratic charge C, per coordinate, and C' = (1 − ηλ) C for a linear one.

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
        if sp.Poly(charge, *model.coordinates).total_degree() == 1:  # the field is constant: no term in ηg is left
            laws[charge_name] = decay * charge
            scales[charge_name] = _absolute_terms(charge) * sp.Abs(decay) + ETA * _absolute_terms(at_gradient)
        else:
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
        SCALE: Formula(
            scales,
            "Sum of the absolute terms of the law: what its residual is measured against.",
            numbers=numbers,
            dictionaries=dictionaries,
        ),
        CHARGES: Formula(dict(charges), "Charges of a point.", dictionaries={"point": theta}),
    }
    return Prediction(
        mechanism=MECHANISM,
        title="Discrete Noether law",
        statement=relations[0] if len(relations) == 1 else sp.Tuple(*relations),
        observable=OBSERVABLE,
        assumptions=ASSUMPTIONS,
        order=ORDER,
        source=SOURCE,
        formulas=formulas,
        parametrization=name,
        notes=(
            *(f"C_{key} = {charge} before the step, C' after it" for key, charge in charges.items()),
            "g_i is the entry of g that belongs to the parameter i",
        ),
    )


def discrete_noether_of_group(group: SymmetryGroup, parameters: Mapping[str, Shape], name: str) -> Prediction:
    """The law for a group that acts on whole arrays: one relation for each charge, of symbolic size.

    A charge is θᵀAθ with a symmetric generator A, or t·θ with a constant field t. Inserting θ' = (1 − ηλ) θ − η g,
    the term linear in ηg is −2η(1 − ηλ) g·Aθ, or −η g·t: it vanishes, because the predictor does not move along the
    field and so no gradient of a loss of it has a part there. What is left is exact. Raises ``DerivationError`` when
    there is no charge. A charge without torch source at symbolic size raises ``CodegenError`` when that is asked for.
    """
    factors = [factor for factor in group if factor.has_charge]
    if not factors:
        raise DerivationError(f"'{name}' has no conserved charge: no generator is symmetric or constant")
    try:
        prefixed_names("g_", parameters, "gradient")
    except DeclarationError as error:
        raise DerivationError(str(error)) from error
    relations = [equation(sp.Symbol(f"C'_{factor.name}"), _law_of(factor)) for factor in factors]
    sources = cache(partial(_sources, factors, parameters, name))
    return Prediction(
        mechanism=MECHANISM,
        title="Discrete Noether law",
        statement=relations[0] if len(relations) == 1 else sp.Tuple(*relations),
        observable=OBSERVABLE,
        assumptions=ASSUMPTIONS,
        order=ORDER,
        source=SOURCE,
        formulas={key: SourceFunction(key, partial(_entry, sources, key)) for key in FUNCTIONS},
        parametrization=name,
        notes=(
            *map(_note, factors),
            "g_W is the part of g that belongs to the parameter W",
        ),
    )


def _note(factor: Factor) -> str:
    """What C stands for; a formula is that of one copy of the group where there are several."""
    (charge,) = factor.charges.values()
    copies = factor.copies if isinstance(factor, EdgeGroup | Rescaling) else ()
    is_whole = isinstance(factor, Rescaling) and isinstance(charge, sp.MatrixExpr)
    each = f", one for each index of {show(copies)}" if copies and not is_whole else ""
    return f"C_{factor.name} = {plain(charge)} before the step, C' after it{each}"


def _law_of(factor: Factor) -> sp.Expr:
    """C' in C and the charge of the gradient, as matrix expressions for one copy of the group."""
    (charge,) = factor.charges.values()
    decay = 1 - ETA * LAMBDA
    if isinstance(factor, Translation):
        return decay * charge
    at_gradient = charge.subs({factor_symbol: _gradient_of(factor_symbol) for factor_symbol in _symbols_of(factor)})
    return decay**2 * charge + ETA**2 * at_gradient


def _symbols_of(factor: Factor) -> list[sp.Basic]:
    (charge,) = factor.charges.values()
    return [symbol for symbol in charge.free_symbols if symbol.name in factor.shapes]


def _gradient_of(symbol: Any) -> sp.Basic:
    if isinstance(symbol, sp.MatrixSymbol):
        return sp.MatrixSymbol(f"g_{symbol.name}", *symbol.shape)
    return sp.Symbol(f"g_{symbol.name}", real=True)


def _sources(factors: Sequence[Factor], parameters: Mapping[str, Shape], owner: str) -> dict[str, str]:
    """Function name → source of the law, of the sum of its absolute terms, and of the charges that both call."""
    charges = partial(render_charges, factors=factors, parameters=parameters, owner=owner)
    linear = [factor.name for factor in factors if isinstance(factor, Translation)]
    texts = (
        _law_source(MECHANISM, factors, linear, CHARGES, scale=False),
        _law_source(SCALE, factors, linear, ABSOLUTE_CHARGES, scale=True),
        charges(CHARGES, summary="Charges of a point."),
        charges(ABSOLUTE_CHARGES, summary="Charges of a point with all terms taken absolute.", absolute=True),
    )
    return dict(zip(FUNCTIONS, texts, strict=True))


def _entry(sources: Callable[[], dict[str, str]], key: str) -> str:
    return sources()[key]


def _law_source(name: str, factors: Sequence[Factor], linear: Sequence[str], charges: str, scale: bool) -> str:
    """The law, or the sum of its absolute terms, from the charges of the point and of the gradient."""
    body = Statements(("point", "gradient", "eta", "weight_decay"))
    body.assign("before", f"{charges}(point)")
    body.assign("step", f"{charges}(gradient)")
    body.assign("decay", "1 - eta * weight_decay")
    entries = {}
    for factor in factors:
        key = factor.name
        law = f'decay**2 * before["{key}"] + eta**2 * step["{key}"]'
        if key in linear:
            law = f'abs(decay) * before["{key}"] + eta * step["{key}"]' if scale else f'decay * before["{key}"]'
        entries[key] = law
    body.return_entries(entries)
    summary = (
        "Sum of the absolute terms of the law: what its residual is measured against."
        if scale
        else "Charges after one step, from the point and the gradient of the batch loss."
    )
    arguments = "point: dict[str, Tensor], gradient: dict[str, Tensor], eta: float, weight_decay: float"
    described = ["point: parameters by name.", "gradient: the gradient of the batch loss, same keys and shapes."]
    described += ["eta: step, a number.", "weight_decay: λ, a number."]
    returns = f"dict with {', '.join(f'{chr(34)}{factor.name}{chr(34)}' for factor in factors)}."
    return function_source(f"{name}({arguments})", summary, described, returns, body.lines, SOURCE)


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
