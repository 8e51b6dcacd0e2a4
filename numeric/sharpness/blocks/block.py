"""A declared parametrization bound to a module's parameters: one geometry for all copies of one shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.blocks.elements import identity_element, random_element
from numeric.sharpness.blocks.view import Absent, View
from numeric.sharpness.parameters import Point

Views = Mapping[str, View | Absent]


@dataclass(frozen=True)
class Block:
    """Copies of one declared parametrization among a module's parameters.

    functions: metric → generated module. copies: name of a copy, as messages show it → its views by declared
    parameter. Values are stacked: leaves (copies, *shape). part: what the first declared axis counts, for messages.
    """

    functions: Mapping[str, ModuleType]
    copies: Mapping[str, Views]
    part: str = "index"

    @property
    def module(self) -> ModuleType:
        """One of the generated modules: act, PARAMETERS and GROUP are the same in all."""
        return next(iter(self.functions.values()))

    def metric(self, name: str) -> ModuleType:
        """The generated module of a metric. Raises OptionError naming those that the block has."""
        if name not in self.functions:
            raise OptionError(
                f"the block '{self.module.NAME}' has no metric '{name}': it has {', '.join(self.functions)}; "
                f'generate it with st.generate(P, metric="{name}")'
            )
        return self.functions[name]

    def read(self, point: Mapping[str, Tensor]) -> Point:
        """The declared parameters' values, stacked: leaves (copies, *shape)."""
        return {
            name: torch.stack([views[name].read(point) for views in self.copies.values()])
            for name in self.module.PARAMETERS
        }

    def write(self, point: Point, values: Mapping[str, Tensor]) -> None:
        """Put values, stacked as `read` gives them, into `point`; its tensors are replaced, not changed."""
        for name in self.module.PARAMETERS:
            for views, value in zip(self.copies.values(), values[name].unbind(), strict=True):
                views[name].write(point, value)

    def views(self) -> list[View]:
        """All places in the module that the block sees."""
        return [view for views in self.copies.values() for view in views.values() if isinstance(view, View)]

    @property
    def absent(self) -> tuple[str, ...]:
        """The declared parameters that some copy lacks."""
        return tuple(
            name
            for name in self.module.PARAMETERS
            if any(isinstance(views[name], Absent) for views in self.copies.values())
        )

    def move(self, point: Point, condition: float, generator: torch.Generator) -> Point:
        """The point moved along the block's orbit by a random group element; the same function, up to rounding.

        Shifts are as large as the block's parameters (root mean square). A factor of the group that would move a
        parameter that the module lacks is left out.
        """
        before = {name: leaf.double() for name, leaf in self.read(point).items()}
        size = float(torch.stack([leaf.square().mean() for leaf in before.values()]).mean().sqrt())
        element = random_element(self.module, before, condition, size, generator)
        for name in element:
            if self._moves_absent(before, identity_element(self.module, element, name)):
                element = {
                    key: identity_element(self.module, element, "")[key] if key == name else value
                    for key, value in element.items()
                }
        moved = dict(point)
        after = self.module.act(before, element)
        self.write(moved, {name: leaf.to(next(iter(point.values())).dtype) for name, leaf in after.items()})
        return moved

    def _moves_absent(self, before: Point, element: dict[str, Tensor]) -> bool:
        absent = [
            (place, name)
            for place, views in enumerate(self.copies.values())
            for name, view in views.items()
            if isinstance(view, Absent)
        ]
        after = self.module.act(before, element) if absent else before
        return any(bool((after[name][place] != before[name][place]).any()) for place, name in absent)

    def check_domain(self, point: Mapping[str, Tensor], metric: str) -> None:
        """Raises SharpnessError, naming the copy and the head, where the metric is singular (lost rank).

        In float64: in float32 a point far out on its orbit would pass for singular.
        """
        values = {name: leaf.double() for name, leaf in self.read(point).items()}
        functions = self.metric(metric)
        for place, copy in enumerate(self.copies):
            try:
                functions.check_domain({name: leaf[place] for name, leaf in values.items()})
            except ValueError as error:
                found = re.search(r" at index \((\d+)", str(error))
                where = f", {self.part} {found.group(1)}" if found else ""
                raise SharpnessError(f"block '{copy}'{where}: {error}") from None
