"""Training of ensembles: thousands of independent replicas in one batched tensor program."""

from __future__ import annotations

from numeric.training import observables
from numeric.training.gradient_descent import GradientDescent
from numeric.training.langevin import Langevin
from numeric.training.optimizer import Optimizer
from numeric.training.runs import Runs
from numeric.training.sgd import SGD
from numeric.training.step import Step
from numeric.training.train import train

__all__ = ["SGD", "GradientDescent", "Langevin", "Optimizer", "Runs", "Step", "observables", "train"]
