"""From C++ text to a function."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from numeric.errors import NoCompilerError, OptionError

NAMES = ("g++", "clang++", "c++")
"""Looked for in this order, unless the environment's CXX names one."""

FLAGS = ("-std=c++17", "-O2", "-march=native", "-fno-math-errno", "-shared", "-fPIC", "-w")
"""No -ffast-math: a sum is taken in the order it is written in, and what is not a number stays so."""


@lru_cache(maxsize=64)
def library(text: str) -> ctypes.CDLL:
    """The compiled text, made once in a process. Raises NoCompilerError, or OptionError with its complaint."""
    compiler = shlex.split(os.environ.get("CXX", "")) or [found for found in map(shutil.which, NAMES) if found][:1]
    if not compiler:
        raise NoCompilerError("there is no C++ compiler")
    with tempfile.TemporaryDirectory(prefix="native_steps_") as folder:
        source, target = Path(folder) / "steps.cpp", Path(folder) / "steps.so"
        source.write_text(text, encoding="utf-8")
        try:
            command = [*compiler, *FLAGS, str(source), "-o", str(target)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OptionError(next(iter(done.stderr.splitlines()), f"{compiler[0]} failed"))
            return ctypes.CDLL(str(target))
        except OSError as error:
            raise OptionError(f"{compiler[0]}: {error}") from error
