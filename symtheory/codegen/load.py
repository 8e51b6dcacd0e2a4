"""Generated source as a live Python module."""

from __future__ import annotations

import hashlib
import linecache
import re
import sys
from types import ModuleType


def load_source(source: str, name: str) -> ModuleType:
    """Execute source text as a module that was never written to disk; the same text gives the same module.

    The text is what this package generated, nothing a user passed in. Importing torch happens here, in the
    executed text. Tracebacks show the module's lines, and it can be found in ``sys.modules``, where torch.compile
    looks for the globals of a function that it inlines.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    module_name = f"generated_{re.sub(r'[^0-9A-Za-z_]', '_', name)}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    filename = f"<{module_name}>"
    module = ModuleType(module_name)
    module.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), module.__dict__)
    sys.modules[module_name] = module
    return module
