"""Loading parametrizations and functions from a user's Python files and modules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from symtheory.errors import DeclarationError, SymtheoryError
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Parameter
from symtheory.parametrization import Parametrization

FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""What executing somebody's file raises when the file is wrong."""


def load_variable(path: Path, variable: str) -> Parametrization:
    """The parametrization bound to ``variable`` in the file; the file is executed as an import would.

    Raises ``DeclarationError`` when the file is missing or does not import, when there is no such variable, when it is
    something else, and when a parameter of the file is used nowhere.
    """
    module = execute(path)
    if not hasattr(module, variable):
        known = ", ".join(name for name, value in vars(module).items() if isinstance(value, Parametrization))
        raise DeclarationError(f"{path} has no variable '{variable}'; its parametrizations: {known or 'none'}")
    value = getattr(module, variable)
    if not isinstance(value, Parametrization):
        raise DeclarationError(
            f"{path}:{variable} is a {type(value).__name__}, not a Parametrization: wrap it in st.Parametrization(...)"
        )
    _require_used_parameters(module, path)
    return value


def _require_used_parameters(module: ModuleType, path: Path) -> None:
    """A parameter that the file binds to a variable must occur in one of its parametrizations."""
    values = vars(module).values()
    used = {name for value in values if isinstance(value, Parametrization) for name in value.parameters}
    for value in values:
        if isinstance(value, Node) and isinstance(value.operation, Parameter) and value.title not in used:
            raise DeclarationError(f"parameter '{value.title}' of {path} is used nowhere: drop it or use it")


def load_function(name: str, option: str) -> Callable[..., Any]:
    """The callable that ``module:function`` or ``path/to/file.py:function`` names; ``option`` is what asked for it.

    The module is imported, with the working directory on the path as ``python -m`` has it.
    Raises ``DeclarationError`` for another form, a module that does not import, and what is missing or not callable.
    """
    place, _, variable = name.rpartition(":")
    if not place:
        raise DeclarationError(f"{option} {name}: write module:function or path/to/file.py:function")
    module = execute(Path(place)) if place.endswith(".py") else _import(place)
    value = getattr(module, variable, None)
    if value is None:
        raise DeclarationError(f"{option}: {place} has no '{variable}'")
    if not callable(value):
        raise DeclarationError(f"{option}: {name} is a {type(value).__name__}, not a function")
    function: Callable[..., Any] = value
    return function


def _import(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except FAILURES as error:
        raise DeclarationError(f"module {name} does not import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)


def execute(path: Path) -> ModuleType:
    """The file as a module, executed as an import would; ``DeclarationError`` where that fails."""
    if not path.is_file():
        raise DeclarationError(f"there is no file {path}: write path/to/file.py:name")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{path} is no Python file: its name must end in .py")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    # A dataclass whose annotations are text looks its module up while it is made.
    registered = sys.modules.setdefault(spec.name, module) is module
    try:
        spec.loader.exec_module(module)
    except SymtheoryError as error:
        raise DeclarationError(f"{path} does not import: {error}") from error
    except FAILURES as error:
        raise DeclarationError(f"{path} does not import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
        if registered:
            sys.modules.pop(spec.name, None)
    return module
