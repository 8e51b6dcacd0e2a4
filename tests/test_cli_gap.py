"""symtheory gap: a user's model trained, forecast and answered; and the file of functions it stands on."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from symtheory.cli.app import main

ROOT = Path(__file__).resolve().parents[1]
USER = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

@dataclass
class Size:
    width: int = 4

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, Size().width), nn.Tanh(), nn.Linear(4, 1))

def data():
    x = torch.randn(20, 3)
    return [(x[:12], x[:12].sum(1, keepdim=True)), (x[12:], x[12:].sum(1, keepdim=True))]

def sum_of_squares(output, target):
    return (output - target).square().sum(1).mean()
"""


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["symtheory", "gap", *arguments])
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_an_answer_with_its_conditions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "user.py"
    file.write_text(USER, encoding="utf-8")
    words = ["--model", f"{file}:model", "--data", f"{file}:data", "--loss", f"{file}:sum_of_squares", "--lr", "0.01"]
    words += ["--batch-size", "5", "--steps", "150", "--every", "7", "--device", "cpu", "-o", str(tmp_path / "out")]
    words += ["--dynamics", "4"]
    status, out, err = run(capsys, monkeypatch, *words, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert record["answer"] == "not at the edge"
    assert record["sentence"].startswith("not at the edge: ")
    assert set(record["forecasts"]) == {"leading", "corrected", "identity"}
    assert record["units_of_a_measurement"] > 10
    assert len(record["files"]) == 4
    assert all(Path(path).is_file() for path in record["files"])
    assert record["dynamics"]["first_step"] == 150
    assert record["dynamics"]["cubic"]["steps_within_half"] == 4
    torch.manual_seed(1)  # the user's functions draw what --seed says
    again = run(capsys, monkeypatch, *words)
    assert again[0] == 0
    assert again[1].splitlines()[0] == record["sentence"]
    assert record["dynamics"]["sentence"] in again[1].splitlines()
    words[words.index("-o") + 1] = str(tmp_path / "two")
    record = json.loads(run(capsys, monkeypatch, *words, "--directions", "2", "--json")[1])
    assert record["directions"]["directions"] == 2
    assert record["directions"]["simulated_gap"]["value"] > 0
    assert run(capsys, monkeypatch, *words, "--directions", "0")[0] == 2


def test_ctrl_c_leaves_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(asked: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symtheory.cli.gap.forecast_gap", stopped)
    words = ["--model", "a:b", "--data", "a:b", "--lr", "1", "-o", str(tmp_path)]
    said = f"symtheory: interrupted: the same call goes on from {tmp_path}\n"
    assert run(capsys, monkeypatch, *words) == (130, "", said)


def test_what_cannot_be_answered_is_not_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--model", "a:b", "--data", "a:b", "--lr", "0.1", "-o", str(tmp_path / "out")]
    for more, remedy in (
        (["--steps", "1000", "--every", "90"], "measure every 50 steps at most"),
        (["--window", "2"], "at most 1"),
        (["--lr", "0"], "choose a positive step"),
    ):
        status, out, err = run(capsys, monkeypatch, *words, *more)
        assert (status, out) == (2, "")
        assert remedy in err
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, missing in (
        ([], "--model"),
        (["--model", "a:b"], "--data"),
        (["--model", "a:b", "--data", "a:b"], "--lr"),
    ):
        status, out, err = run(capsys, monkeypatch, *words)
        assert (status, out) == (2, "")
        assert missing in err


def test_the_committed_functions_are_those_of_the_declaration(tmp_path: Path) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "stability" / "edge_declaration.py"))
    assert example["GENERATED"] == ROOT / "numeric" / "stability" / "generated"  # where it writes without arguments
    example["main"](tmp_path)
    committed = ROOT / "numeric" / "stability" / "generated" / "sharpness_gap.py"
    assert (tmp_path / "sharpness_gap.py").read_bytes() == committed.read_bytes()
