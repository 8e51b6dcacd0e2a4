"""The exponential families whose negative log-likelihood a loss can be, in their natural parameters."""

from __future__ import annotations

from numeric.sharpness.fisher.likelihoods.bernoulli import Bernoulli
from numeric.sharpness.fisher.likelihoods.categorical import Categorical
from numeric.sharpness.fisher.likelihoods.family import Family
from numeric.sharpness.fisher.likelihoods.gaussian import Gaussian

# In the order in which a loss is compared with them.
FAMILIES: tuple[Family, ...] = (
    Gaussian(),
    Categorical(),
    Categorical(axis=-1),
    Bernoulli(),
    Categorical(log_probabilities=True),
    Bernoulli(probabilities=True),
)

__all__ = ["FAMILIES", "Bernoulli", "Categorical", "Family", "Gaussian"]
