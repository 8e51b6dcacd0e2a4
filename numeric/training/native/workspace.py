"""Where the arrays of the generated code lie: two that are never needed together may share their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Span:
    """An array of `size` vectors that is needed from operation `first` to operation `last`."""

    size: int
    first: float
    last: float

    @classmethod
    def always(cls, size: int) -> Span:
        """An array that keeps its place."""
        return cls(size, -math.inf, math.inf)

    def until(self, operation: int) -> Span:
        """The same, needed until then at least."""
        return replace(self, last=max(self.last, operation))


def arranged(spans: Mapping[str, Span]) -> tuple[dict[str, int], int]:
    """Each array's place, the first gap that is wide enough, and the vectors that are needed in all."""
    places: dict[str, int] = {}
    for name, span in sorted(spans.items(), key=lambda item: item[1].first):
        taken = sorted((places[other], spans[other]) for other in places if spans[other].last >= span.first)
        place = 0
        for start, neighbour in taken:
            if place + span.size <= start:
                break
            place = max(place, start + neighbour.size)
        places[name] = place
    return places, max(place + spans[name].size for name, place in places.items())
