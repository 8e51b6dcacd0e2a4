"""Commands that train: the whole job on one parametrization, and what becomes of unhappy runs."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import symtheory as st
from symtheory import catalog
from symtheory.cli.app import main
from symtheory.cli.report import _declaration

MECHANISMS = ["discrete_noether", "mirror", "label_noise", "stationary_density", "weight_decay", "noise_equilibrium"]


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
    chosen = [word for mechanism in MECHANISMS for word in ("--mechanism", mechanism)]
    status, out, err = run(capsys, monkeypatch, "report", "hadamard", *chosen, "-o", str(tmp_path), "--json")
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

    honest = discrete_noether.derive

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


def test_a_mechanism_that_does_not_apply_is_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {"discrete_noether": "no generator is symmetric", "mirror": "gradient fields do not commute"}
    for mechanism, reason in reasons.items():
        status, out, err = run(capsys, monkeypatch, "check", "tanh_net", "-m", mechanism)
        assert status == 2 and out == ""
        assert err.count("\n") == 1 and reason in err


def test_check_trains_a_network_on_synthetic_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ("-m", "discrete_noether", "-o", str(tmp_path))
    status, out, err = run(capsys, monkeypatch, "check", "shallow_relu", "--size", "h=5", *options)
    assert status == 0 and err == ""
    assert "confirmed" in out and "sizes d=3, h=5, k=4; synthetic data" in out
    saved = tmp_path / "shallow_relu" / "discrete_noether" / "runs"
    assert load_file(saved / "run_1" / "tensors.safetensors")["initial/W"].shape == (2, 5, 3)
    assert set(load_file(saved / "data.safetensors")) == {"x", "y"}


def test_json_of_a_network_names_data_and_sizes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("-m", "discrete_noether", "--size", "n=2", "--size", "h=2", "--json")
    status, out, _ = run(capsys, monkeypatch, "check", "low_rank", *options)
    (verdict,) = json.loads(out)
    assert status == 0 and verdict["verdict"] == "confirmed"
    assert verdict["measured"] < 1e-14 and verdict["n"] == 5_000
    assert verdict["data"] == "synthetic" and list(verdict["sizes"]) == ["h", "m", "n"]
    assert verdict["sizes"]["h"] == verdict["sizes"]["n"] == 2 <= verdict["sizes"]["m"]


def test_a_wrong_law_of_a_network_exits_with_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from symtheory.predictions import discrete_noether

    honest = discrete_noether._law_source

    def doubled(*arguments: object, **options: object) -> str:
        source = honest(*arguments, **options)  # type: ignore[arg-type]
        assert "eta**2 * step" in source
        return source.replace("eta**2 * step", "2 * eta**2 * step")

    monkeypatch.setattr(discrete_noether, "_law_source", doubled)
    status, out, _ = run(capsys, monkeypatch, "check", "low_rank", "-m", "discrete_noether", "--json")
    (verdict,) = json.loads(out)
    assert status == 1
    assert verdict["verdict"] == "refuted" and verdict["measured"] > 1e-6


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("q=3", "'shallow_relu' has no size 'q': its free sizes are d, h, k"),
        ("h=3.5", "--size h=3.5: write NAME=VALUE with a whole number"),
        ("h", "--size h: write NAME=VALUE"),
        ("=4", "--size =4: write NAME=VALUE"),
        ("h=0", "size 0 is not a positive integer"),
        ("h=-2", "size -2 is not a positive integer"),
    ],
)
def test_sizes_that_are_none_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, size: str, words: str
) -> None:
    status, out, err = run(capsys, monkeypatch, "check", "shallow_relu", "--size", size)
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and words in err


def test_a_size_has_one_value(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = run(capsys, monkeypatch, "check", "shallow_relu", "--size", "h=2", "--size", "h=3")
    assert status == 2 and err.count("\n") == 1 and "names 'h' twice" in err


def test_sizes_of_coefficients_are_those_of_the_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = run(capsys, monkeypatch, "check", "hadamard", "--size", "d=5")
    assert status == 2 and "(5,)" in err and "64 columns" in err
    status, out, _ = run(capsys, monkeypatch, "check", "hadamard", "--size", "d=64", "-m", "discrete_noether", "--json")
    (verdict,) = json.loads(out)
    assert status == 0 and verdict["verdict"] == "confirmed" and "sizes" not in verdict


def test_a_product_of_matrices_entry_by_entry_has_a_law_that_can_be_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other mechanisms need one coefficient for each column of the data, and say so."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import symtheory as st\nn, m = st.dims('n m')\n"
        "mine = st.Parametrization(st.param('a', n, m) * st.param('b', n, m), name='mine')\n"
    )
    status, _, err = run(capsys, monkeypatch, "check", f"{file}:mine")
    assert status == 2 and "has shape (n, m)" in err
    status, out, _ = run(capsys, monkeypatch, "check", f"{file}:mine", "-m", "discrete_noether", "--json")
    (verdict,) = json.loads(out)
    assert status == 0 and verdict["verdict"] == "confirmed" and verdict["sizes"] == {"m": 3, "n": 4}


def test_report_of_graphs_that_are_not_elementwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("multihead_attention", "softmax_classifier")
    chosen = ("--mechanism", "discrete_noether")
    status, out, err = run(capsys, monkeypatch, "report", *names, *chosen, "-o", str(tmp_path), "--json")
    assert status == 0 and err == ""
    verdicts = json.loads(out)["verdicts"]
    assert [(verdict["parametrization"], verdict["verdict"]) for verdict in verdicts] == [
        (name, "confirmed") for name in names
    ]
    assert verdicts[1]["details"]["sizes"] == {"d": 3, "k": 4}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for words in (
        "delta_bv = t, delta_bo = -(t @ Wo)",  # a generator without a matrix expression
        "one for each index of (heads,)",
        "synthetic, d = 3, k = 4",
        "Where a verdict names synthetic data",
        "stationary_density, joint_stationary_density: 'softmax_classifier' is not elementwise",
        "def discrete_noether_charges",
        "def predictor(point: dict[str, Tensor], X: Tensor)",
    ):
        assert words in text
    assert page.count("<figure") >= 4


def test_a_declaration_by_the_name_of_a_catalog_entry_is_shown_as_it_is() -> None:
    d = st.dims("d")
    mine = st.Parametrization(st.param("a", d) * st.param("b", d), name="hadamard")
    assert _declaration(mine, "the lines of the graph") == "the lines of the graph"
    assert "u, v = st.param" in _declaration(catalog.load("hadamard"), "the lines of the graph")


def test_check_of_scalar_parameters(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run(capsys, monkeypatch, "check", "curved_valley", "-m", "modified_loss", "--json")
    assert status == 0
    assert [verdict["verdict"] for verdict in json.loads(out)] == ["confirmed"]
