"""Inverse design: parametrizations made for a bias, and confirmed by deriving that bias from them."""

from symtheory.inverse_design.design import design
from symtheory.inverse_design.designed import DesignedParametrization

__all__ = ["DesignedParametrization", "design"]
