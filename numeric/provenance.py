"""Which program made a result: versions and commit."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("symtheory", "torch", "numpy", "scipy", "matplotlib")


def provenance() -> dict[str, str | None]:
    """Versions of Python and of the packages, and the commit of this source (None outside git)."""
    return {**versions(), "commit": source_commit()}


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a result can depend on; None for one that is not installed."""
    record: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            record[name] = version(name)
        except PackageNotFoundError:
            record[name] = None
    return record


@cache
def source_commit() -> str | None:
    """The commit of this source when first asked, "-dirty" with uncommitted changes; None where git does not track it.

    Asked once in a process: it holds for the code that was loaded.
    """
    here = Path(__file__).parent
    # An installed copy may lie inside somebody else's repository: only a tracked file has a commit.
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
