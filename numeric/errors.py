"""Errors a user can meet in the torch layer; every message names the thing and the remedy in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numeric.training.runs import Runs


class NumericError(Exception):
    """Base of every error that the numeric layer raises on purpose."""


class DataError(NumericError):
    """Training data contain NaN or infinity, have unequal lengths, or lack a key the loss needs."""


class SizeError(NumericError):
    """Unbound sizes, or a starting point, input, loss or observable of the wrong shape."""


class CheckError(NumericError):
    """Runs and prediction do not belong together, or the runs lack an observable the check needs."""


class StoreError(NumericError):
    """A saved run cannot be read, or belongs to another configuration than the one that resumes it."""


class OptionError(NumericError):
    """An option is out of its range, contradicts another, or asks for a device that is not there."""


class SharpnessError(NumericError):
    """A loss, model or binding of which no sharpness can be measured: not finite, not a mean, not invariant."""


class NoCompilerError(OptionError):
    """Native steps need a C++ compiler, and there is none."""


class DivergedError(NumericError):
    """A loss stopped being finite. `runs` holds everything that was recorded before that step."""

    def __init__(self, message: str, runs: Runs) -> None:
        super().__init__(message)
        self.runs = runs
