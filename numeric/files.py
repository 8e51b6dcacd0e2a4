"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from numeric.errors import StoreError


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write `content` under a temporary name beside `path`, then move it there; text is UTF-8. Returns `path`.

    Missing folders are made. Raises StoreError when the place cannot be written; nothing half-written is left.
    """
    path = Path(path)
    make_folder(path.parent)
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            # mkstemp makes private files; results are as readable as any other new file.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
        finally:
            # After the move there is nothing left to remove; after a failure there is.
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}): choose a place that can be written") from error
    return path


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing. Raises StoreError when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {folder} ({error.strerror}): choose a place that can be written") from error
