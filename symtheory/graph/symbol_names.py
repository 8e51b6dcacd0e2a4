"""Names of auxiliary symbols, kept apart from the names of parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from symtheory.errors import DeclarationError


def free_name(wish: str, taken: Collection[str]) -> str:
    """The wish, with as many underscores appended as it takes to differ from all names in ``taken``."""
    name = wish
    while name in taken:
        name += "_"
    return name


def prefixed_names(prefix: str, names: Iterable[str], meaning: str) -> dict[str, str]:
    """Name → prefix + name, such as u → xi_u; ``meaning`` says what these stand for.

    Raises ``DeclarationError`` when one of these is itself among the names, so that two things would be one symbol.
    """
    prefixed = {name: prefix + name for name in names}
    for name, longer in prefixed.items():
        if longer in prefixed:
            raise DeclarationError(f"parameter '{longer}' is named as the {meaning} of '{name}': rename one of them")
    return prefixed
