"""Declared parametrizations, one small file each; they double as examples of how to declare."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from symtheory.errors import DeclarationError

if TYPE_CHECKING:
    from symtheory.parametrization import Parametrization

NAMES = (
    "hadamard",
    "squared_difference",
    "depth_product",
    "low_rank",
    "shallow_relu",
)


def load(name: str) -> Parametrization:
    """The catalog entry of that name; raises ``DeclarationError`` listing the names when there is none."""
    parametrization: Parametrization = getattr(_module(name), name)
    return parametrization


def summary(name: str) -> str:
    """The entry's one-line description."""
    return (_module(name).__doc__ or "").splitlines()[0]


def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise DeclarationError(f"the catalog has no '{name}': it has {', '.join(NAMES)}")
    return import_module(f"symtheory.catalog.{name}")
