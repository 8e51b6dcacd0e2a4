"""Commands that train: the whole job on one parametrization, and what becomes of unhappy runs."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path

import pytest

from symtheory.cli.app import main

MECHANISMS = ["discrete_noether", "mirror", "label_noise", "stationary_density", "weight_decay"]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["symtheory", *arguments])
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_report_does_the_whole_job(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, out, err = run(capsys, monkeypatch, "report", "hadamard", "-o", str(tmp_path), "--json")
    assert status == 0 and err == ""
    record = json.loads(out)
    assert [verdict["mechanism"] for verdict in record["verdicts"]] == MECHANISMS
    assert {verdict["verdict"] for verdict in record["verdicts"]} == {"confirmed"}
    page = Path(record["report"]).read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for words in (
        "Horizontal projection",
        "Christoffel symbols",
        "Geodesics",
        "Fixed beforehand",
        "def christoffel_form",
    ):
        assert words in text
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
    assert len(list(tmp_path.glob("hadamard/*/figures/*/figure.svg"))) >= 7
    assert not list(tmp_path.rglob("*.part"))


def test_check_of_a_false_law_exits_with_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A derivation that loses the term of order eta² must be refuted by the runs, and by the exit status."""
    from symtheory.predictions import discrete_noether
    from symtheory.predictions.symbols import ETA

    honest = discrete_noether.discrete_noether

    def forgetful(*arguments: object) -> object:
        from dataclasses import replace

        prediction = honest(*arguments)
        law = prediction.formulas["discrete_noether"]
        short = {name: value.subs(ETA**2, 0) for name, value in law.results.items()}
        return replace(prediction, formulas={**prediction.formulas, "discrete_noether": replace(law, results=short)})

    monkeypatch.setitem(sys.modules["symtheory.predictions.predictions"].MECHANISMS, "discrete_noether", forgetful)
    file = tmp_path / "mine.py"
    file.write_text(
        "import symtheory as st\nd = st.dims('d')\n"
        "mine = st.Parametrization(st.param('a', d) * st.param('b', d), name='mine')\n"
    )
    status, out, _ = run(capsys, monkeypatch, "check", f"{file}:mine", "-m", "discrete_noether", "--json")
    (verdict,) = json.loads(out)
    assert status == 1
    assert verdict["verdict"] == "refuted" and verdict["measured"] > 1e-6
    assert set(verdict) == {"mechanism", "verdict", "predicted", "measured", "standard_error", "z", "n"}


def test_graphs_without_predictions_are_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = run(capsys, monkeypatch, "check", "shallow_relu")
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and "not elementwise" in err
