"""What may be said about a run at the edge of stability: never a number without its conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from numeric.comparison.estimate import Estimate
from numeric.stability.directions_forecast import DirectionsForecast
from numeric.stability.forecast import Forecast
from numeric.stability.trail import FEWEST as SHORTEST

Outcome = Literal["not at the edge", "forecast holds", "forecast off", "undecided"]

# S stands still where it moves by less than this part of what α alone gives. It is the oscillation along u that holds
# it where that takes back α within this factor, as the leading order has it. Something else may hold it anywhere: at
# the edge then means within this part of it.
RISE, BALANCE, NEAR = 0.5, 2.0, 0.25
# Relative deviation from the forecast up to which it holds, known to as much at 95 %; without noise, of the sharpness
# from the edge itself. Off is a deviation that is larger beyond its own error.
HOLDS, HOLDS_AT_EDGE = 0.25, 0.05
# What the leading order takes to be small counts as violated from here on.
SMALL = 0.3
Z = 1.96
# Smallest cosine between the spans of consecutive measurements from which they are one span.
SAME_SPAN = 0.5

CONDITIONS = {
    "corrections": "the next order of the forecast adds {value:.0%}",
    "second_direction": "a second eigenvalue comes as near to the edge as {value:.0%} of the size of y",
    "alpha_with_y": "α varies together with S, which changes the gap by {value:.0%}",
    "drift_noise": "the noise along ∇S widens the gap by {value:.0%}",
    "next_direction": "the eigenvalue after the {size} directions comes as near to the edge as {value:.0%} of the "
    "size of y",
    "rest": "what fluctuates across the directions takes {value:.0%} of α",
    "unsettled": "the window starts away from where the gap settles, which changes it by {value:.0%}",
}
"""Measured condition → what is said where it is violated, the gravest first."""


@dataclass(frozen=True)
class Answer:
    """outcome, and one sentence that says it in full; reasons: what is violated, one sentence each, also where the
    forecast holds in spite of it. normal_form: whether the exact identity, with the moments of the run in it, gives the
    measured gap (None: it cannot be said)."""

    outcome: Outcome
    sentence: str
    reasons: tuple[str, ...]
    normal_form: bool | None
    forecast: Forecast

    def to_json(self) -> dict[str, Any]:
        """The answer with all numbers behind it."""
        return {
            "answer": self.outcome,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "normal_form_holds": self.normal_form,
            **self.forecast.to_json(),
        }


def answer(found: Forecast) -> Answer:
    """Read a forecast: at the edge or not, and if so, whether it holds. All limits stand at the head of this file."""
    alpha = found.alpha
    if abs(alpha.value) <= Z * alpha.standard_error:
        unknown = f"α = {_shown(alpha.value, alpha.standard_error)} is not known to differ from zero: train longer"
        return Answer("undecided", f"undecided: {unknown}", (unknown,), None, found)
    absent = _why_not_at_edge(found)
    if absent:
        return Answer("not at the edge", f"not at the edge: {absent}", (absent,), None, found)
    unbalanced = _unbalanced(found)
    if unbalanced and abs(found.gap.value) > NEAR * found.edge:
        side = "below" if found.gap.value > 0 else "above"
        sentence = f"S stands still, {abs(found.gap.value) / found.edge:.0%} {side} the edge, and {unbalanced[0]}"
        return Answer("undecided", f"undecided: {sentence}", unbalanced, None, found)
    several = _several(found)
    referee = _agrees(found.ratios.get("identity") if several is None else several.referee)
    if found.noise.value == 0:
        return _without_noise(found, referee)
    ratio = found.ratios[found.best] if several is None else several.ratio
    deviation, width = abs(ratio.value - 1), Z * ratio.standard_error
    measured = f"gap {_shown(found.gap.value, found.gap.standard_error)} of an edge at {found.edge:.4g}"
    said = f"{measured}, forecast {found.forecasts[found.best].value:.3g}"
    if several is not None:
        together = "no forecast" if math.isnan(ratio.value) else f"forecast {several.simulated_gap.value:.3g}"
        said = (
            f"{measured}, {together} of {several.size} critical directions together, {several.alone.value:.3g} of one "
            "alone, from where the window starts"
        )
    if deviation - width > HOLDS:
        reasons = tuple(_violations(found, referee))
        return Answer(
            "forecast off",
            f"at the edge, forecast off by {deviation:.0%} ({said}): leading-order regime violated because "
            + ("; ".join(reasons) or "of something that was not measured"),
            reasons,
            referee,
            found,
        )
    doubts = tuple(_violations(found, None))
    if deviation > HOLDS or width > HOLDS or unbalanced:
        longer = f"measured over forecast is {_shown(ratio.value, ratio.standard_error)}, train longer"
        settled = math.isnan(ratio.value) or max(deviation, width) <= HOLDS
        why = doubts if settled else (longer, *doubts)
        return Answer("undecided", f"at the edge, undecided ({said}): {'; '.join(why)}", why, referee, found)
    sentence = f"at the edge, forecast holds to {deviation:.0%} ± {width:.0%} ({said})"
    if doubts:
        sentence += f", although {'; '.join(doubts)}"
    return Answer("forecast holds", sentence, doubts, referee, found)


def _why_not_at_edge(found: Forecast) -> str | None:
    alpha = found.alpha
    if not alpha.value > 0:
        return f"training does not sharpen, α = {_shown(alpha.value, alpha.standard_error)}"
    if abs(found.rise) <= RISE:
        return None
    taken = f"the oscillation takes back {max(_balance(found), 0):.0%} of it"
    return f"S still moves at {found.rise:+.0%} of the rate that α alone gives, {taken}"


def _balance(found: Forecast) -> float:
    several = _several(found)
    return found.balance.value if several is None else several.balance.value


def _unbalanced(found: Forecast) -> tuple[str, ...]:
    """What is said, or nothing, where it is not the oscillation that was measured which takes back the sharpening."""
    balance, several = _balance(found), _several(found)
    where = "along u" if several is None else f"in {several.size} directions"
    if not balance >= 1 / BALANCE:
        return (f"the oscillation {where} takes back {max(balance, 0):.0%} of the sharpening, something else the rest",)
    if balance > BALANCE:
        return (f"the oscillation {where} takes back {balance:.3g} times what the sharpening gives",)
    return ()


def _several(found: Forecast) -> DirectionsForecast | None:
    """The forecast of several directions, where they were measured and a second one is near."""
    near = abs(found.conditions.get("second_direction", 0.0)) > SMALL
    return found.directions if near else None


def _agrees(ratio: Estimate | None) -> bool | None:
    """Whether a statement agrees with the measured gap, as the limits have it; None where that cannot be said."""
    if ratio is None:
        return None
    if abs(ratio.value - 1) - Z * ratio.standard_error > HOLDS:
        return False
    return True if Z * ratio.standard_error <= HOLDS else None


def _violations(found: Forecast, referee: bool | None) -> list[str]:
    several = _several(found)
    said = _of_referee(found, referee) if several is None else _of_span(several, referee)
    return [*_unbalanced(found), *said] + [
        text.format(value=value, size="" if several is None else several.size)
        for name, text in CONDITIONS.items()
        if abs(value := _conditions(found).get(name, 0.0)) > SMALL
    ]


def _conditions(found: Forecast) -> dict[str, float]:
    """Those of the forecast that is held against the run: a simulation has neither order nor a forgotten direction."""
    several = _several(found)
    return found.conditions if several is None else several.conditions


def _of_referee(found: Forecast, referee: bool | None) -> list[str]:
    identity = found.forecasts.get("identity")
    said = []
    if referee is True and identity is not None:
        extra = identity.value / found.forecasts["leading"].value - 1
        said.append(f"Var(x²) and the other moments, as measured, add {extra:.0%} in the exact identity, which holds")
    if referee is False and identity is not None:
        said.append(f"the normal form itself fails: its exact identity gives {identity.value:.3g}")
    return said


def _of_span(several: DirectionsForecast, referee: bool | None) -> list[str]:
    said = []
    if math.isnan(several.ratio.value):
        said.append("the normal form with what was measured diverges")
    if referee is False:
        measured = _shown(several.referee.value, several.referee.standard_error)
        said.append(f"the normal form itself fails: tr(ΓX) is {measured} times what its exact identity gives")
    if math.isnan(several.rest):
        said.append(f"what fluctuates across the directions was not measured, which takes {SHORTEST} steps in between")
    if several.overlap < SAME_SPAN:
        said.append(f"the critical directions change on the way, to a cosine of {several.overlap:.2g}")
    return said


def _without_noise(found: Forecast, referee: bool | None) -> Answer:
    deviation, width = abs(found.gap.value) / found.edge, Z * found.gap.standard_error / found.edge
    said = f"E S = {_shown(found.edge - found.gap.value, found.gap.standard_error)}, edge {found.edge:.4g}, no noise"
    if deviation - width > HOLDS_AT_EDGE:
        reasons = tuple(_violations(found, referee))
        why = "; ".join(reasons) or "of something that was not measured"
        sentence = f"at the edge, forecast off by {deviation:.1%} ({said}): leading-order regime violated because {why}"
        return Answer("forecast off", sentence, reasons, referee, found)
    if deviation > HOLDS_AT_EDGE or width > HOLDS_AT_EDGE:
        return Answer("undecided", f"at the edge, undecided ({said}): train longer", ("train longer",), referee, found)
    sentence = f"at the edge, forecast S = edge holds to {deviation:.1%} ± {width:.1%} ({said})"
    doubts = _unbalanced(found)  # which do not matter to it
    if doubts:
        sentence += f", although {'; '.join(doubts)}"
    return Answer("forecast holds", sentence, doubts, referee, found)


def _shown(value: float, error: float) -> str:
    return f"{value:.3g} ± {error:.2g}" if error < float("inf") else f"{value:.3g} (error unknown)"
