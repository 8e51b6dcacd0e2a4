"""All blocks of a model: what they cover, how they move it along orbits, and whether its function stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.blocks.block import Block
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point

# The condition number of the group elements that a binding is tested with, and by how much outputs may change, in units
# of the dtype's epsilon and relative to the largest output: what rounding makes of a dozen layers of such factors. A
# wrong binding changes them by a tenth and more.
TEST_CONDITION = 3.0
TEST_ROUNDING = 1e3


@dataclass(frozen=True)
class Blocks:
    """Bound blocks, which must not overlap; ``+`` joins two collections.

    Raises OptionError where two views see the same entries of a parameter.
    """

    blocks: tuple[Block, ...]

    def __add__(self, other: Blocks) -> Blocks:
        return Blocks((*self.blocks, *other.blocks))

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def names(self) -> tuple[str, ...]:
        """The copies of all blocks, as messages show them."""
        return tuple(name for block in self.blocks for name in block.copies)

    def free_entries(self, point: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
        """What no block covers: parameter → mask of its free entries, None where all of them are free.

        Parameters that are covered wholly are left out. Raises OptionError where blocks overlap, or see a parameter
        that the point lacks.
        """
        masks: dict[str, Tensor] = {}
        for block in self.blocks:
            for view in block.views():
                if view.name not in point:
                    raise OptionError(
                        f"a block sees the parameter '{view.name}', which is not among those measured: "
                        f"it may be frozen, tied, or left out by keep="
                    )
                mask = masks.setdefault(view.name, torch.ones_like(point[view.name], dtype=torch.bool))
                region = view.region(mask)
                if not bool(region.all()):
                    raise OptionError(f"two blocks see the same entries of '{view.name}': leave one of them out")
                region.fill_(False)
        free: dict[str, Tensor | None] = dict.fromkeys(point)
        for name, mask in masks.items():
            if bool(mask.any()):
                free[name] = mask
            else:
                del free[name]
        return free

    def move(self, seed: int | torch.Generator, condition: float = 100.0) -> Callable[[Point], Point]:
        """A map θ -> gθ along the orbits of all blocks, for a random group element: the same one at every call.

        condition: of every matrix in the group element, 1 to 100 (dimensionless; beyond that float32 gives way).
        Raises OptionError for another condition.
        """
        if not 1 <= condition <= 100:
            raise OptionError(f"the condition number is {condition}: choose one from 1 to 100")
        if isinstance(seed, torch.Generator):
            seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))

        def moved(point: Point) -> Point:
            generator = torch.Generator().manual_seed(seed)
            for block in self.blocks:
                point = block.move(point, condition, generator)
            return point

        return moved

    def check_invariance(self, objective: Objective, seed: int = 0) -> None:
        """Move the model along every block's orbit and compare its output on the first batch.

        Raises SharpnessError naming the first copy whose symmetry the model's function does not have, OptionError as
        `free_entries` does.
        """
        self.free_entries(objective.parameters)
        batch = next(objective.batches())
        bound = TEST_ROUNDING * torch.finfo(objective.dtype).eps
        with torch.no_grad():
            before = _outputs(objective.output(objective.parameters, batch))
            for block in self.blocks:
                for name, views in block.copies.items():
                    alone = Block(block.functions, {name: views}, block.part)
                    moved = alone.move(objective.parameters, TEST_CONDITION, torch.Generator().manual_seed(seed))
                    change = _relative_change(before, _outputs(objective.output(moved, batch)))
                    if not change <= bound:
                        raise SharpnessError(
                            f"block '{name}' ({block.module.NAME}) is no symmetry of this model: moving along it "
                            f"changes the output by {change:.2g} of its size (rounding explains {bound:.1g}); correct "
                            "its views, or leave the block out"
                        )


def _relative_change(before: list[Tensor], after: list[Tensor]) -> float:
    """The largest change of an entry, relative to the largest entry."""
    scale = max((float(leaf.abs().max()) for leaf in before), default=0.0)
    change = max((float((b - a).abs().max()) for b, a in zip(before, after, strict=True)), default=0.0)
    return change / max(scale, torch.finfo(torch.float32).tiny)


def _outputs(output: object) -> list[Tensor]:
    """The floating tensors of a model's output; entries that are not numbers (masked positions) as zero."""
    return [
        leaf.nan_to_num()
        for leaf in pytree.tree_leaves(output)
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
    ]
