"""Settings that hold for every test: one thread a worker, no display, the same examples on every run."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

# Read by numpy and torch when they load, and inherited by the processes that tests start: with two pytest
# workers on two cores, more threads than this only get in each other's way.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

# derandomize: a failing example fails again on the next run. No deadline: the machine may be busy.
settings.register_profile("symtheory", derandomize=True, deadline=None)
settings.load_profile("symtheory")


@pytest.fixture(autouse=True)
def same_initial_weights() -> None:
    """Modules draw their first weights from torch's global generator: the same ones on every run, in every order."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)
