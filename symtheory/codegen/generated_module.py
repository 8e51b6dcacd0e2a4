"""A generated module: its text, a way to save it, a way to load it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType

from symtheory.codegen.load import load_source
from symtheory.errors import CodegenError


@dataclass(frozen=True)
class GeneratedModule:
    """Plain Python source that imports torch and nothing else.

    name: the declaration's name; source: the text; omitted: function name → why it could not be generated.
    """

    name: str
    source: str = field(repr=False)
    omitted: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _module(self) -> ModuleType:
        return load_source(self.source, self.name)

    def load(self) -> ModuleType:
        """The source as a live module (imports torch); the same object at every call."""
        return self._module

    def save(self, path: str | Path) -> Path:
        """Write the source to ``path`` under a temporary name first, so that no half file is ever seen.

        Raises ``CodegenError`` when the folder does not exist or cannot be written, or ``path`` is a folder.
        """
        target = Path(path)
        try:
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self.source)
                os.chmod(temporary, 0o644)
                os.replace(temporary, target)
            finally:
                # After the move there is nothing left to remove; after a failure there is.
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise CodegenError(
                f"cannot write {target}: {error.strerror}; name a file in a folder that exists and can be written"
            ) from None
        return target
