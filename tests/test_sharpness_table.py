"""All measures on one small model, in the table and on the command line; what cannot be measured says why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import MEASURES, Settings, find_blocks, table
from symtheory.cli.app import main

AT_A_MINIMUM = {"stationary_loss"}
NEEDS_CURVLINOPS = "fisher_trace_kfac"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (16,), generator=generator)
    return [(x[:8], y[:8]), (x[8:], y[8:])]


INVARIANT = {
    "worst_case_adaptive", "worst_case_adaptive_linf", "average_adaptive", "worst_case_logit_normalized",
    "geodesic_mixed", "geodesic_invariant", "geodesic_average_mixed", "geodesic_average_invariant",
    "fisher_trace", "fisher_lambda_max", "noise_alignment_fisher", "fisher_trace_diagonal",
}  # fmt: skip
MOVES = {"lambda_max", "top_eigenvalues", "worst_case", "worst_case_linf", "batch_sharpness"}


def test_every_measure_stands_in_the_table_and_symmetries_fool_only_some() -> None:
    model = network()
    settings = Settings(0.1, find_blocks(model), eta=0.1, batch_size=4, prior_variance=0.1)
    rows = {row.name: row for row in table(model, nn.CrossEntropyLoss(), batches(), settings=settings)}
    assert list(rows) == list(MEASURES)
    for name, row in rows.items():
        if name in AT_A_MINIMUM:  # the network is untrained
            assert row.reason is not None and row.reason.startswith("no ")
        elif name != NEEDS_CURVLINOPS:
            assert row.reason is None, (name, row.reason)
            json.dumps(row.to_json(), allow_nan=False)
    measured = {name: row.measurement.invariant for name, row in rows.items() if row.measurement is not None}
    assert {name: measured[name] for name in INVARIANT} == dict.fromkeys(INVARIANT, True)
    assert {name: measured[name] for name in MOVES} == dict.fromkeys(MOVES, False)


def test_what_a_measure_lacks_stands_in_its_row() -> None:
    rows = {
        row.name: row
        for row in table(
            network(), nn.CrossEntropyLoss(), batches(), measures=("geodesic_mixed", "basin_mass", "pac_bayes")
        )
    }
    assert "no block" in str(rows["geodesic_mixed"].reason)
    assert "step and the batch size" in str(rows["basin_mass"].reason)
    assert "prior" in str(rows["pac_bayes"].reason)
    with pytest.raises(OptionError, match="no measure 'flatness'"):
        table(network(), nn.CrossEntropyLoss(), batches(), measures=("flatness",))
    with pytest.raises(SharpnessError, match="not a mean"):
        table(network(), nn.CrossEntropyLoss(reduction="sum"), batches(), measures=("lambda_max",))


def test_blocks_are_found_by_the_kind_of_module() -> None:
    assert find_blocks(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))) is None
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2, enable_nested_tensor=False
    )
    found = find_blocks(encoder)
    assert found is not None and len(found.names) == 4


USER = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(8, 5, generator=generator), torch.arange(8) % 3)]

def half(output, target):
    return nn.functional.cross_entropy(output, target) / 2

def fails():
    raise ValueError("no such file")

def number():
    return 3
"""


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["symtheory", "sharpness", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.fixture
def user(tmp_path: Path) -> str:
    path = tmp_path / "user.py"
    path.write_text(USER)
    return str(path)


def test_the_command_measures_a_checkpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str
) -> None:
    torch.manual_seed(1)
    saved = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    torch.save(saved.state_dict(), tmp_path / "model.pt")
    named = ("--model", f"{user}:model", "--data", f"{user}:data", "--dtype", "float64")
    chosen = ("--measures", "lambda_max, worst_case_adaptive", "--measures", "pac_bayes")
    status, out, err = run(capsys, monkeypatch, str(tmp_path / "model.pt"), *named, *chosen, "--json")
    rows = {row["measure"]: row for row in json.loads(out)}
    assert status == 0 and err == ""
    assert rows["lambda_max"]["invariant"] is False and rows["worst_case_adaptive"]["invariant"] is True
    assert "prior" in rows["pac_bayes"]["reason"] and rows["pac_bayes"]["value"] is None
    untrained = json.loads(run(capsys, monkeypatch, *named, "--measures", "lambda_max", "--json")[1])[0]
    assert untrained["value"] != pytest.approx(rows["lambda_max"]["value"], rel=1e-3)
    halved = json.loads(
        run(capsys, monkeypatch, *named, "--measures", "lambda_max", "--loss", f"{user}:half", "--json")[1]
    )[0]
    assert halved["value"] == pytest.approx(untrained["value"] / 2, rel=1e-5)
    status, out, err = run(capsys, monkeypatch, *named, *chosen, "--blocks", "none")
    assert status == 0 and err == ""
    assert "lambda_max" in out and "pac_bayes not measured:" in out and "moves" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "needs --model"),
        (("--model", "USER:model"), "needs --data"),
        (("--model", "model", "--data", "USER:data"), "write module:function"),
        (("--model", "USER:nothing", "--data", "USER:data"), "has no 'nothing'"),
        (("--model", "USER:fails", "--data", "USER:data"), "fails: ValueError: no such file"),
        (("--model", "USER:number", "--data", "USER:data"), "not a torch.nn.Module"),
        (("--model", "absent_module:make", "--data", "USER:data"), "does not import"),
        (("--model", "USER:model", "--data", "USER:data", "--loss", "hinge"), "choose cross_entropy"),
        (("--model", "USER:model", "--data", "USER:data", "--dtype", "int8"), "choose float32"),
        (("--model", "USER:model", "--data", "USER:data", "--measures", "flatness"), "no measure 'flatness'"),
        (("absent.pt", "--model", "USER:model", "--data", "USER:data"), "cannot read absent.pt"),
    ],
)
def test_what_the_command_cannot_use_is_said_in_one_line(
    arguments: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    user: str,
) -> None:
    status, out, err = run(capsys, monkeypatch, *(a.replace("USER", user) for a in arguments))
    assert status == 2 and out == ""
    assert err.startswith("symtheory: ") and err.count("\n") == 1 and words in err


def test_blocks_of_frozen_parameters_are_left_out_or_named() -> None:
    halves = [[nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)], [nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)]]
    model = nn.Sequential(*halves[0], nn.Tanh(), *halves[1])
    batch = (torch.randn(8, 4), torch.arange(8) % 2)
    bound = find_blocks(model)
    model[0].weight.requires_grad_(False)
    with pytest.raises(OptionError, match=r"'0\.weight', which is not among those measured: it may be frozen"):
        table(model, nn.CrossEntropyLoss(), batch, measures=("lambda_max",), settings=Settings(blocks=bound))
    found = find_blocks(model)
    assert found is not None
    assert found.names == ("4 → 6",)
    (row,) = table(model, nn.CrossEntropyLoss(), batch, measures=("lambda_max",), settings=Settings(blocks=found))
    assert row.measurement is not None
    model[6].weight.requires_grad_(False)
    assert find_blocks(model) is None
