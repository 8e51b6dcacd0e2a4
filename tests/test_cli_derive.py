"""What ``symtheory derive`` and ``list`` say of graphs that mix coordinates, and certificates on the command line."""

from __future__ import annotations

import io
import json

import pytest
from test_cli import assert_one_clear_line, keep_argv, run  # noqa: F401  the fixture restores sys.argv

from symtheory import catalog
from symtheory.cli.terminal import print_description
from symtheory.description import describe


def test_derive_shows_groups_charges_and_discrete_symmetries_of_attention(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "derive", "multihead_attention")
    assert (status, err) == (0, "")
    assert "f = softmax(1/sqrt(h)·(X @ Wq + bq) @ (X @ Wk + bk).T) @ (X @ Wv + bv) @ Wo + bo" in out
    assert "Symmetries, dimension 2*h**2*heads + 2*h*heads" in out
    assert "generator delta_bv = t, delta_bo = -(t @ Wo)" in out
    assert "with momentum, conserved exp(t*tau)*v_bk" in out
    assert "discrete: permutations of R^heads (Wq axis 1 part heads, " in out
    assert "shrinks a quadratic charge by exp(-2*lambda*t)" in out


@pytest.mark.parametrize("name", catalog.NAMES)
def test_every_entry_reads_within_100_columns(name: str) -> None:
    from rich.console import Console

    console = Console(width=100, record=True, force_terminal=True, file=io.StringIO(), highlight=False)
    print_description(describe(catalog.load(name)), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("Symmetries, dimension ") for line in lines)


def test_list_counts_factors_of_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in json.loads(run(capsys, "list", "--json")[1])}
    assert set(rows) == set(catalog.NAMES)
    assert rows["attention"]["group"] == "2 GL, 2 translation"
    assert rows["tanh_net"]["group"] == "none"


def test_certify_chooses_small_sizes_and_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "derive", "low_rank", "--certify", "--size", "h=2")
    assert status == 0
    assert "\nAt sizes h=2, " in out
    assert out.rstrip().endswith("complete")
    record = json.loads(run(capsys, "derive", "low_rank", "--certify", "--size", "h=2", "--json")[1])["certificate"]
    assert record["complete"] is True
    assert record["sizes"]["h"] == 2
    assert record["group_dimension"] == record["affine_dimension"] == 4
    assert record["conservation_laws"] == 3


def test_an_incomplete_certificate_is_said_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "derive", "quadratic", "--certify", "--size", "d=2", "--size", "h=2")
    assert status == 0
    assert "not complete: " in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "q=3"], ["low_rank", "no size 'q'", "h, m, n"]),
        (["--size", "h=two"], ["--size h=two", "NAME=VALUE"]),
        (["--size", "h=0"], ["h=0", "not a positive integer"]),
        (["--certify", "--size", "n=200", "--size", "m=100", "--size", "h=90"], ["27000 parameters are too many"]),
    ],
)
def test_bad_sizes_are_refused(capsys: pytest.CaptureFixture[str], options: list[str], words: list[str]) -> None:
    assert_one_clear_line(*run(capsys, "derive", "low_rank", *options), *words)


def test_sizes_that_nobody_gave_are_cut_down_to_what_a_certificate_takes(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "derive", "multihead_attention", "--certify")
    assert status == 0
    assert out.rstrip().endswith("complete")
    assert_one_clear_line(
        *run(capsys, "derive", "low_rank", "--certify", "--size", "h=90"), "parameters are too many", "try certify("
    )
