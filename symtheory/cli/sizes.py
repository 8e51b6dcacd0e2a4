"""Values for the free sizes of a graph that is to be trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

from symtheory.errors import DeclarationError, ShapeError
from symtheory.parametrization import Parametrization

CYCLE = (3, 4, 5)
"""Small and different, so that no two axes are mistaken for each other and a step takes little time. None is 2, at
which a layer normalisation gives ±1 whatever it reads, so that nothing before it is trained."""

SMALLEST = 2
"""Where sizes of the cycle do not fit, as when windows follow each other."""

MOST_TRIES = 1_000


def parse_sizes(options: Sequence[str]) -> dict[str, int]:
    """``NAME=VALUE`` texts as a mapping. Raises ``DeclarationError`` for another form, and for a name given twice."""
    sizes: dict[str, int] = {}
    for option in options:
        name, equals, text = (part.strip() for part in option.partition("="))
        if not equals or not name or not text.removeprefix("-").isdecimal():
            raise DeclarationError(f"--size {option}: write NAME=VALUE with a whole number, as in --size h=4")
        if name in sizes:
            raise DeclarationError(f"--size names '{name}' twice: give it one value")
        sizes[name] = int(text)
    return sizes


def with_sizes(parametrization: Parametrization, given: Mapping[str, int]) -> tuple[Parametrization, dict[str, int]]:
    """The graph with a value for every free size, and the values: those given, and small ones for the others.

    Raises ``DeclarationError`` for a name that is no free size and where no small values fit together, ``ShapeError``
    for a value that does not fit.
    """
    started = parametrization.bind(**given) if given else parametrization
    free = [str(size) for size in started.free_sizes]
    if not free:
        return started, dict(given)
    for values in islice(_candidates(len(free)), MOST_TRIES):
        chosen = {**given, **dict(zip(free, values, strict=True))}
        sizes = {str(size): chosen[str(size)] for size in parametrization.free_sizes}
        try:
            return parametrization.bind(**sizes), sizes
        except ShapeError:  # such as a window that is longer than what it slides over
            continue
    fixed = f" with {show_sizes(given)}" if given else ""
    raise DeclarationError(
        f"no small values of {', '.join(free)} fit '{parametrization.name}'{fixed}: choose them with --size"
    )


def sizes_for_certificate(parametrization: Parametrization, given: Mapping[str, int]) -> dict[str, int]:
    """Values for all free sizes as in ``with_sizes``, those not given cut down until a certificate takes them.

    Where those given are too large by themselves they stay, and the certificate says which would do.
    """
    from symtheory.symmetry.certificate import fitting_sizes

    _, sizes = with_sizes(parametrization, given)
    fitting = fitting_sizes(parametrization, sizes)
    return fitting if fitting and all(fitting[name] == size for name, size in given.items()) else sizes


def show_sizes(sizes: Mapping[str, int]) -> str:
    """Sizes as one reads them: ``d=3, h=4``."""
    return ", ".join(f"{name}={value}" for name, value in sizes.items())


def _candidates(count: int) -> Iterator[tuple[int, ...]]:
    for start in range(len(CYCLE)):
        yield tuple(CYCLE[(start + place) % len(CYCLE)] for place in range(count))
    for count_small in range(count + 1):
        for small in combinations(range(count), count_small):
            yield tuple(SMALLEST if place in small else max(CYCLE) for place in range(count))
