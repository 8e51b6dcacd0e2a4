"""Figures as data URIs, so that a report is one file."""

from __future__ import annotations

import base64
from pathlib import Path

from numeric.errors import StoreError

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def data_uri(path: Path) -> str:
    """The SVG or PNG file at `path` as a data URI. StoreError when it is missing or of another type."""
    path = Path(path)
    if path.suffix not in TYPES:
        raise StoreError(f"figure {path} is neither SVG nor PNG; save it as one of these")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"figure {path} cannot be read ({error.strerror}); draw it before the report") from error
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(content).decode('ascii')}"
