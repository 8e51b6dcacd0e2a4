"""The examples run, and show what the README says of them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_lengths_on_the_quotient_agree_where_euclidean_ones_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "quotient_geometry.py"), run_name="__main__")
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    shown = {label.strip(): (here, there) for label, here, there in (row for row in rows if len(row) == 3)}
    compared = {
        label: values for label, values in shown.items() if label.startswith(("euclidean", "invariant", "mixed"))
    }
    assert len(compared) == 12
    for label, (here, there) in compared.items():
        assert (here == there) is not label.startswith("euclidean"), label
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    norm, trace = compared["euclidean  gradient norm"], compared["euclidean  Hessian trace"]
    assert f"{float(norm[0]):.2f} to {float(norm[1]):.2f}" in text
    assert f"{float(trace[0]):.0f} to {float(trace[1]):.0f}" in text


def test_the_designed_penalty_has_the_solution_of_the_explicit_problem(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "inverse_design.py"), run_name="__main__")
    *_, trained, explicit = capsys.readouterr().out.splitlines()
    values = [[float(word) for word in line.split()[1:]] for line in (trained, explicit)]
    assert values[0] == pytest.approx(values[1], abs=2e-4)  # the grid of the explicit problem has step 1e-5


def test_the_study_of_the_gap_answers_for_every_run_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = EXAMPLES / "stability" / "gap_against_batch.py"
    options = ["--quick", "--workers", "1", "--case", "digits, tanh, squared", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [str(study), *options])
    monkeypatch.syspath_prepend(study.parent)
    said = []
    for _ in range(2):
        runpy.run_path(str(study), run_name="__main__")
        *lines, spent = capsys.readouterr().out.splitlines()
        assert spent.endswith("minutes of one processor")
        said.append(lines)
    (record,) = json.loads((tmp_path / "quick" / "answers.json").read_text(encoding="utf-8"))
    assert record["answer"] in ("not at the edge", "undecided")  # after 90 steps
    assert said[0] == said[1]
    assert len(list(tmp_path.glob("quick/*/*/figure/figure.svg"))) == 1


def test_the_dynamics_are_predicted_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = EXAMPLES / "stability" / "dynamics.py"
    monkeypatch.setattr(sys, "argv", [str(study), "--quick", "--folder", str(tmp_path)])
    monkeypatch.syspath_prepend(study.parent)
    runpy.run_path(str(study), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[::2]] == [
        "gradient descent",
        "batches of 64",
        "batches of 128, momentum 0.5",
    ]
    assert all(Path(line).is_file() for line in said[1::2])
    answers = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*/answer.json")]
    assert [found["cubic"]["steps_within_half"] for found in answers] == [4, 4, 4]
