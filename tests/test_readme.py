"""The README's example is the file it names, and does what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "first_steps.py"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_readme_shows_the_example_that_runs() -> None:
    assert EXAMPLE.read_text(encoding="utf-8").endswith(block("python"))


def test_the_design_prints_what_the_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    section = README.split("## Inverse design")[1].split("\n## ")[0]
    source, shown = (section.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "text"))
    exec(source, {"__name__": "readme"})
    assert capsys.readouterr().out == shown


def test_the_example_prints_what_the_readme_says() -> None:
    result = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True, cwd=ROOT)
    printed, shown = result.stdout.splitlines(), block("text").splitlines()
    assert printed[:-1] == shown[:-1]
    # The verdict's digits depend on the processor's vector units; its word does not.
    assert printed[-1].split(": measured")[0] == shown[-1].split(": measured")[0] == "stationary_density: confirmed"
