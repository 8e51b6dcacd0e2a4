"""The command line, in process, and once as a real process where that is the point."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from symtheory.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error of one command."""
    sys.argv = ["symtheory", *arguments]
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(autouse=True)
def keep_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)


def assert_one_clear_line(status: int, out: str, err: str, *words: str) -> None:
    assert status == 2
    assert out == ""
    assert err.startswith("symtheory: ") and err.count("\n") == 1
    for word in words:
        assert word in err


def test_list_names_every_catalog_entry_with_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert rows["hadamard"]["group"] == "rescaling" and rows["hadamard"]["dimension"] == "d"
    assert rows["squared_difference"]["group"] == "isometry"
    assert rows["low_rank"]["group"] == "GL" and rows["low_rank"]["dimension"] == "h**2"


def test_derive_prints_charges_geometry_and_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "derive", "hadamard")
    assert status == 0 and err == ""
    assert "u**2 - v**2" in out
    assert "Metric mixed (invariant under the group)" in out
    assert "Metric euclidean (not invariant under the group)" in out
    for mechanism in ("discrete_noether", "mirror", "label_noise", "stationary_density", "weight_decay"):
        assert f"({mechanism})" in out


def test_derive_json_and_latex_carry_the_same_record(capsys: pytest.CaptureFixture[str]) -> None:
    plain = json.loads(run(capsys, "derive", "hadamard", "--json")[1])
    latex = json.loads(run(capsys, "derive", "hadamard", "--json", "--latex")[1])
    assert [p["mechanism"] for p in plain["predictions"]] == [p["mechanism"] for p in latex["predictions"]]
    assert plain["symmetry"][0]["charges"] == {"rescaling": "u**2 - v**2"}
    assert latex["symmetry"][0]["charges"] == {"rescaling": "u^{2} - v^{2}"}


def test_derive_lists_what_applies_and_every_reason_against_the_others_once(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "derive", "shallow_relu")
    reason = "'shallow_relu' is not elementwise: input 'x' makes coordinates differ"
    assert status == 0
    assert out.count(reason) == 1
    assert f"no stationary_density, joint_stationary_density: {reason}" in out
    assert re.search(r"derived: discrete_noether,.* sharpness_gap\n", out)


def test_generate_writes_a_module_that_stands_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "geometry.py"
    status, out, _ = run(capsys, "generate", "hadamard", "--metric", "invariant", "-o", str(target))
    assert status == 0 and out.strip() == str(target)
    program = (
        "import sys, torch, geometry; p = {'u': torch.ones(2, 3), 'v': torch.full((2, 3), 2.0)};"
        "print(geometry.predictor(p).tolist()); print('sympy' in sys.modules, 'symtheory' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [str([[2.0] * 3] * 2), "False False"]


def test_user_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import symtheory as st\nd = st.dims('d')\na, b = st.param('a', d), st.param('b', d)\n"
        "model = st.Parametrization(a * a * b, name='mine')\nnothing = 3\n"
    )
    status, out, _ = run(capsys, "derive", f"{file}:model", "--json")
    assert status == 0
    assert json.loads(out)["symmetry"][0]["charges"] == {"rescaling": "a**2 - 2*b**2"}
    assert_one_clear_line(*run(capsys, "derive", f"{file}:other"), "other", "model")
    assert_one_clear_line(*run(capsys, "derive", f"{file}:nothing"), "int", "Parametrization")
    assert_one_clear_line(*run(capsys, "derive", f"{tmp_path / 'absent.py'}:model"), "absent.py")
    assert_one_clear_line(*run(capsys, "derive", str(file)), "variable")


def test_a_file_that_does_not_import(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import symtheory as st\nu + 1\n")
    assert_one_clear_line(*run(capsys, "derive", f"{broken}:model"), "broken.py", "NameError")
    broken.write_text("import symtheory as st\nst.param('u', 3) * st.param('v', 4)\n")
    assert_one_clear_line(*run(capsys, "derive", f"{broken}:model"), "u (3,)", "v (4,)")


def test_a_parameter_of_the_file_that_is_used_nowhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    declared = "import symtheory as st\nu, v, z = st.param('u', 3), st.param('v', 3), st.param('z', 3)\n"
    file.write_text(declared + "P = st.Parametrization(u * v)\n")
    assert_one_clear_line(*run(capsys, "derive", f"{file}:P"), "'z'", "used nowhere")
    file.write_text(declared + "P = st.Parametrization(u * v)\nQ = st.Parametrization(u * z)\n")
    assert run(capsys, "derive", f"{file}:P", "--json")[0] == 0


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_clear_line(*run(capsys, "derive", "nonsense"), "nonsense", "hadamard")
    assert_one_clear_line(*run(capsys, "generate", "hadamard", "--metric", "nonsense"), "nonsense", "mixed")
    assert_one_clear_line(*run(capsys, "check", "hadamard", "--mechanism", "nonsense"), "nonsense", "mirror")
    assert_one_clear_line(*run(capsys, "check", "hadamard", "--device", "nonsense"), "nonsense")


def test_generate_into_a_missing_folder_leaves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "absent" / "geometry.py"
    assert_one_clear_line(*run(capsys, "generate", "hadamard", "-o", str(target)), "absent")
    assert list(tmp_path.iterdir()) == []


def test_derive_never_imports_torch() -> None:
    program = (
        "import sys; sys.argv = ['symtheory', 'derive', 'hadamard', '--json']\n"
        "from symtheory.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules or 'numeric' in sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["derive"], "name"),
        (["nonsense"], "nonsense"),
        (["derive", "hadamard", "more"], "more"),
        (["check", "hadamard", "--seed", "x"], "--seed"),
    ],
)
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], word: str) -> None:
    assert_one_clear_line(*run(capsys, *arguments), word, "--help")


def test_results_that_cannot_be_written_are_refused_before_training(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    for command in ("check", "report"):
        assert_one_clear_line(*run(capsys, command, "hadamard", "-o", str(occupied)), "file", "--output")


def test_check_needs_a_coefficient_for_every_column(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import symtheory as st\nP = st.Parametrization(st.param('a', 5) * st.param('b', 5), name='mine')\n"
    )
    assert_one_clear_line(*run(capsys, "check", f"{file}:P"), "(5,)", "64 columns", "st.dims")


def test_formulas_stay_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A formula per line, however long: what a pipe reads must parse."""
    _, out, _ = run(capsys, "derive", "squared_difference", "--latex")
    lines = [line for line in out.splitlines() if "\\begin" in line]
    assert lines and all("\\end" in line for line in lines) and max(map(len, lines)) > 120
