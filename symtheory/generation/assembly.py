"""The functions of one module: those that could be made, and the reasons for those that could not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from symtheory.errors import CalculusError, CodegenError, DerivationError, MetricError

REFUSALS = (CalculusError, CodegenError, DerivationError, MetricError)
"""Reasons for which one function is left out of a module and named in its header."""


GEOMETRY: Mapping[str, tuple[str, ...]] = {
    "check_domain": (),
    "inner": (),
    "norm": ("inner",),
    "flat": (),
    "sharp": (),
    "frame": (),
    "vertical": (),
    "project_horizontal": ("flat",),
    "christoffel_form": (),
    "geodesic": ("christoffel_form",),
    "riemannian_hessian": ("christoffel_form",),
    "hessian_trace": ("riemannian_hessian", "project_horizontal", "sharp"),
}
"""Functions that every geometry with a connection has, each with those that it calls."""


class GeometrySources(Protocol):
    """Functions of one geometry; every one wanted is a method that returns its source, or sources by name."""

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """Function → the functions that it calls, in the order of the module."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """Function → why this kind of geometry has none."""


@dataclass
class Assembly:
    """Sources by name, and reasons for what is omitted."""

    sources: dict[str, str]
    omitted: dict[str, str] = field(default_factory=dict)

    def attempt_all(self, functions: GeometrySources) -> None:
        """All functions wanted; those that call an omitted one are omitted as well."""
        self.omitted |= functions.left_out
        for name, called in functions.wanted.items():
            missing = next((other for other in called if other in self.omitted), None)
            if missing is not None:
                self.omitted[name] = self.omitted[missing]
            else:
                self.attempt(name, getattr(functions, name))

    def attempt(self, name: str, make: Callable[[], str | dict[str, str]]) -> None:
        """One function, with the private ones that it comes with."""
        try:
            made = make()
        except REFUSALS as error:
            self.omitted[name] = str(error)
        else:
            self.sources.update(made if isinstance(made, dict) else {name: made})
