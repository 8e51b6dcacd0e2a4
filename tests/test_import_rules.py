"""The symbolic layer never loads torch, and no file of one layer imports from the other.

import-linter follows chains of imports as well (`make imports`); this is the part that every test run checks.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOADED = "import sys, {module}; print(*sorted({{'torch', 'numeric'}} & sys.modules.keys()))"
FORBIDDEN = {"symtheory": {"torch", "numeric"}, "numeric": {"sympy", "symtheory"}}
COMPOSITION_ROOT = ROOT / "symtheory" / "cli"
CALLS_TORCH = ROOT / "symtheory" / "testing" / "torch_function.py"
"""The one other file of the symbolic layer that may import torch, and only torch, inside functions."""


def imported_roots(source: str) -> set[str]:
    """Top-level names of everything that a source text imports, inside functions as well."""
    return roots_below(ast.parse(source))


def roots_below(tree: ast.AST) -> set[str]:
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


def imported_on_loading(source: str) -> set[str]:
    """The same without what stands inside functions, which runs when they are called."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return roots_below(tree)


def offenders(layer: str) -> list[str]:
    allowed = (COMPOSITION_ROOT, CALLS_TORCH)
    paths = [path for path in (ROOT / layer).rglob("*.py") if not {path, *path.parents} & set(allowed)]
    assert paths, f"no Python file found in {ROOT / layer}"
    return [
        str(path.relative_to(ROOT))
        for path in paths
        if imported_roots(path.read_text(encoding="utf-8")) & FORBIDDEN[layer]
    ]


@pytest.mark.parametrize("module", ["symtheory", "symtheory.cli", "symtheory.testing"])
def test_importing_the_symbolic_layer_leaves_torch_unloaded(module: str) -> None:
    command = [sys.executable, "-c", LOADED.format(module=module)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_probe_sees_torch_when_it_is_loaded() -> None:
    command = [sys.executable, "-c", LOADED.format(module="torch")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.split() == ["torch"]


@pytest.mark.parametrize("layer", sorted(FORBIDDEN))
def test_a_layer_imports_nothing_of_the_other(layer: str) -> None:
    assert offenders(layer) == []


def test_one_file_calls_torch_and_loads_it_only_then() -> None:
    source = CALLS_TORCH.read_text(encoding="utf-8")
    assert imported_roots(source) & FORBIDDEN["symtheory"] == {"torch"}
    assert not imported_on_loading(source) & FORBIDDEN["symtheory"]


def test_imports_are_found_wherever_they_stand() -> None:
    top = "import torch.func\nfrom sympy.core import Expr\nfrom . import graph\n"
    source = top + "def f():\n    from numeric import train\n"
    assert imported_roots(source) == {"torch", "sympy", "numeric"}
    assert imported_on_loading(source) == {"torch", "sympy"}
