"""Generated source as a live Python module."""

from __future__ import annotations

import hashlib
import linecache
from types import ModuleType


def load_source(source: str, name: str) -> ModuleType:
    """Execute source text as a module that was never written to disk; tracebacks still show its lines.

    The text is what this package generated, nothing a user passed in. Importing torch happens here, in the
    executed text.
    """
    # Part of the file name, so that the lines of two modules of one declaration are not mixed up in tracebacks.
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    filename = f"<generated {name} {digest}>"
    module = ModuleType(name)
    module.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), module.__dict__)
    return module
