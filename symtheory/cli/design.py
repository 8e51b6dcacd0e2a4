"""Design a parametrization for a bias, write it, and let training compare it with the explicit problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import DerivationError, OutputError
from symtheory.inverse_design import DesignedParametrization
from symtheory.inverse_design.target import SIZE, Target
from symtheory.parametrization import Parametrization
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.symbols import PREDICTOR
from symtheory.rendering import plain

if TYPE_CHECKING:
    from numeric.experiments import Decision


def design_record(designed: DesignedParametrization) -> dict[str, Any]:
    """The design as JSON."""
    made = designed.design
    return {
        "name": designed.name,
        "target": plain(made.target.expression),
        "mechanism": made.mechanism,
        "of": made.of,
        "phi": None if made.function is None else plain(made.function),
        "domain": made.domain,
        "numeric": made.is_numeric,
        "statement": made.statement,
        "assumptions": list(made.assumptions),
        "confirmation": made.confirmation,
        "source": designed.source(),
    }


def write_source(designed: DesignedParametrization, path: Path) -> Path:
    """The declaration as a file for ``symtheory check path:name``. ``OutputError`` where it cannot be written."""
    try:
        path.write_text(designed.source(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another file with --output") from None
    return path


def check_design(designed: DesignedParametrization, *, device: str, seed: int) -> Decision:
    """Train the design on the diabetes regression under its mechanism, against the explicit problem for the target.

    Raises ``DerivationError`` for a mechanism without such a check.
    """
    import torch

    from numeric import datasets
    from numeric.device import resolve
    from numeric.experiments.design import SIDE, Design, decide_design
    from symtheory.generation import generate

    made = designed.design
    if made.mechanism == "orbit_volume":
        raise DerivationError(
            "orbit_volume designs have no training check against an explicit problem: leave --check out"
        )
    target = resolve(device)
    if target.type == "cpu":
        torch.set_num_threads(1)  # batches of replicas are small: a second thread costs more than it brings
    data = datasets.diabetes()
    core = designed.core
    if made.of in ("groups", "singular_values"):
        core = core.bind(**{str(size): SIDE for size in core.free_sizes})
    elif made.core is not made.predictor:
        data = _of_differences(data)
    functions = target_functions(core, made.target, made.mechanism, made.of).load()
    settings = Design(made.mechanism, made.of, made.signs, functions)
    return decide_design(settings, generate(core).load(), data, seed=seed, device=target)


def _of_differences(data: dict[str, Any]) -> dict[str, Any]:
    """The regression on the differences z of w = cumsum(z), its features scaled so that the smallest solution has as
    large an entry as before."""
    import torch

    summed = data["x"].flip(-1).cumsum(-1).flip(-1)
    before, after = ((torch.linalg.pinv(x) @ data["y"]).abs().max() for x in (data["x"], summed))
    return {**data, "x": summed * (after / before)}


def target_functions(core: Parametrization, target: Target, mechanism: str, of: str) -> Prediction:
    """The target's functions under the names that the checks read, with the norms and kernels of the declaration."""
    positive = target.positive
    slope, curvature = sp.diff(positive, SIZE), sp.diff(positive, SIZE, 2)
    back = {SIZE: PREDICTOR}
    argument = {"w": PREDICTOR}
    formulas: dict[str, Any] = {
        "design_penalty": Formula(positive.subs(back), "The target for w > 0.", argument),
        "design_slope": Formula(slope.subs(back), "Its derivative for w > 0.", argument),
        "design_curvature": Formula(sp.simplify(curvature).subs(back), "Its second derivative for w > 0.", argument),
    }
    bare = Prediction(
        mechanism, "Target", sp.true, "", (), "", "the target of the design", formulas, parametrization=core.name
    )
    if mechanism == "mirror" or of != "coordinates":
        return bare
    derived = core.predictions()[mechanism]
    constant = sp.limit(positive, SIZE, 0, "+") if mechanism == "weight_decay" else sp.Integer(0)
    size = sp.Abs(PREDICTOR)
    own = {
        mechanism: Formula(positive.subs(SIZE, size) - constant, "The target.", argument),
        f"{mechanism}_slope": Formula(sp.sign(PREDICTOR) * slope.subs(SIZE, size), "Its derivative.", argument),
    }
    return replace(bare, formulas={**derived.formulas, **own, **formulas})
