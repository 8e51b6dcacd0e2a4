"""Training that decides: for each mechanism, runs whose settings follow from the formulas of its prediction.

The settings were chosen by pilot runs with other seeds, so that each check can tell right from wrong; they are rules
for any parametrization (a start of given kernel, steps in units of the kernel), never looked up by a name.
"""

from __future__ import annotations

from numeric.experiments.decide import ANY_SHAPE, EXPERIMENTS, WITHOUT_DATA, Decision, decide
from numeric.experiments.experiment import Experiment

__all__ = ["ANY_SHAPE", "EXPERIMENTS", "WITHOUT_DATA", "Decision", "Experiment", "decide"]
