"""A generated module as a file: stands alone, is saved whole or not at all, is deterministic, reads well."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
import sympy as sp
import torch
from generation_cases import CASES, close, declaration, generated, module, random_point, random_tangent

import symtheory as st
from symtheory import catalog
from symtheory.catalog.depth_product import product_of
from symtheory.codegen.generated_module import GeneratedModule
from symtheory.errors import CodegenError, MetricError
from symtheory.generation.group_functions import render_act

LINE_LENGTH = 100
"""Longest line of generated code; declared names may make a header line longer, code never is."""

FUNCTIONS = {
    "flat",
    "frame",
    "sharp",
    "riemannian_hessian",
    "hessian_trace",
    "predictor",
    "value_and_pullback",
    "act",
    "inverse",
    "compose",
    "conserved",
    "check_domain",
    "inner",
    "norm",
    "vertical",
    "project_horizontal",
    "christoffel_form",
    "geodesic",
    "exponential",
    "logarithm",
    "gauge_correction",
}

ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sympy", "symtheory", "numeric"}:
            raise ModuleNotFoundError(f"{name} is not here")

sys.meta_path.insert(0, Absent())
sys.path = [entry for entry in sys.path if entry not in ("", "REPOSITORY")] + [sys.argv[1]]
import torch
before = set(sys.modules)
import saved
new = {name.split(".")[0] for name in set(sys.modules) - before} - {"saved"}
point = {"u": torch.tensor([1.5, -2.0]), "v": torch.tensor([0.5, 1.0])}
xi = {"u": torch.tensor([0.1, 0.2]), "v": torch.tensor([0.3, -0.1])}
print(saved.predictor(point).tolist(), saved.geodesic(point, saved.project_horizontal(point, xi), 0.0)["u"].tolist())
print(sorted(new))
"""


def test_the_saved_file_needs_torch_and_nothing_else(tmp_path: Path) -> None:
    generated("hadamard", "mixed").save(tmp_path / "saved.py")
    done = subprocess.run(
        [sys.executable, "-c", ALONE.replace("REPOSITORY", str(Path(st.__file__).parents[1])), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[0.75, -2.0] [1.5, -2.0]", "[]"]


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_it_imports_torch_and_nothing_else(name: str, metric: str) -> None:
    tree = ast.parse(generated(name, metric).source)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    # The standard library has the type of a function as an argument.
    assert imported == {"__future__", "collections.abc", "torch"}


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_saved_and_loaded_modules_agree(tmp_path: Path) -> None:
    made = generated("squared_difference", "invariant")
    path = made.save(str(tmp_path / "a.py"))
    assert path.read_text(encoding="utf-8") == made.source
    point, xi = random_point("squared_difference"), random_tangent("squared_difference", 1)
    assert close(_import_file(path).geodesic(point, xi), made.load().geodesic(point, xi), 0.0)
    assert made.load() is made.load()


def test_saving_replaces_an_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("old", encoding="utf-8")
    generated("hadamard", "mixed").save(path)
    assert path.read_text(encoding="utf-8") == generated("hadamard", "mixed").source
    assert os.listdir(tmp_path) == ["a.py"]


def test_a_folder_that_does_not_exist_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"^cannot write .*missing/a\.py: No such file or directory; ") as caught:
        generated("hadamard", "mixed").save(tmp_path / "missing" / "a.py")
    assert "\n" not in str(caught.value)


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CodegenError, match=r"^cannot write .*folder: Is a directory; "):
        generated("hadamard", "mixed").save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.py").write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CodegenError, match=r"No space left on device"):
        generated("hadamard", "mixed").save(tmp_path / "a.py")
    assert sorted(os.listdir(tmp_path)) == ["a.py", "folder"]
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "old"


def test_the_source_is_the_same_in_every_process() -> None:
    program = (
        "import hashlib, symtheory as st\n"
        "from symtheory import catalog\n"
        "for name, metric in [('hadamard', 'mixed'), ('squared_difference', 'invariant'), ('low_rank', 'mixed')]:\n"
        "    source = st.generate(catalog.load(name), metric=metric).source\n"
        "    print(hashlib.sha256(source.encode()).hexdigest())\n"
    )

    def digests(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
        )
        return done.stdout

    first = digests("1")
    assert len(first.split()) == 3
    assert digests("2") == first


def _hash(parametrization: st.Parametrization) -> str:
    loaded = st.generate(parametrization, metric="euclidean").load()
    return str(loaded.DECLARATION_HASH)


def test_the_hash_follows_the_declaration_and_not_the_variables() -> None:
    d = st.dims("d")
    u, v = st.param("u", d), st.param("v", d)
    first, second = st.param("u", d), st.param("v", d)
    size = st.dims("d")
    base = _hash(st.Parametrization(u * v, name="one"))
    assert base == _hash(st.Parametrization(first * second, name="one"))
    assert base == _hash(st.Parametrization(st.param("u", size) * st.param("v", size), name="one"))
    others = [u * v * 2, u * u * v, u + v, st.param("a", d) * v, st.param("u", 3) * st.param("v", 3)]
    hashes = {_hash(st.Parametrization(predictor, name="one")) for predictor in others}
    assert base not in hashes
    assert len(hashes) == len(others)
    assert base in st.generate(st.Parametrization(u * v, name="one")).source.split('"""')[1]


def test_constants_of_a_module() -> None:
    m = module("matrices")
    assert m.NAME == "matrices"
    assert m.PARAMETERS == {"u": ("n", "m"), "v": ("n", "m")}
    assert (m.INPUTS, m.CONSTANTS) == ({}, {})
    assert declaration("matrices").declaration_hash == m.DECLARATION_HASH
    assert module("scalars").PARAMETERS == {"u": (), "v": ()}
    network = st.generate(catalog.load("shallow_relu").bind(d=3, h=4, k=1)).load()
    assert network.PARAMETERS == {"V": (1, 4), "W": (4, 3)}
    assert network.INPUTS == {"x": (3,)}


def test_fixed_arrays_and_inputs_are_arguments_of_the_predictor() -> None:
    d = st.dims("d")
    x, shift = st.input("x", d), st.constant("shift", d)
    m = st.generate(st.Parametrization(st.param("u", d) * x + shift, name="affine")).load()
    assert list(inspect.signature(m.predictor).parameters) == ["point", "x", "shift"]
    values = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])]
    assert m.predictor({"u": values[0]}, x=values[1], shift=values[2]).tolist() == [8.0, 14.0]
    assert m.CONSTANTS == {"shift": ("d",)}
    assert "x: one sample, tensor ``(*batch, d)``." in m.predictor.__doc__
    assert "shift: fixed, tensor ``(*batch, d)``." in m.predictor.__doc__


@pytest.mark.parametrize("name", ["hadamard", "squared_difference", "depth_product"])
def test_the_catalog_gets_every_function(name: str) -> None:
    made = generated(name, "mixed")
    assert made.omitted == declaration(name).predictions().not_applicable
    public = {key for key, value in vars(made.load()).items() if inspect.isfunction(value) and key[0] != "_"}
    formulas = {function for p in declaration(name).predictions().values() for function in p.formulas}
    assert public == FUNCTIONS | formulas


@pytest.mark.parametrize("name", ["low_rank", "shallow_relu"])
def test_what_is_left_out_is_named_with_its_reason(name: str) -> None:
    made = st.generate(catalog.load(name))
    present = {key for key, value in vars(made.load()).items() if inspect.isfunction(value) and key[0] != "_"}
    predictions = catalog.load(name).predictions()
    laws = {function for prediction in predictions.values() for function in prediction.formulas}
    assert present == (FUNCTIONS - {"exponential", "logarithm"}) | laws
    assert made.omitted == predictions.not_applicable
    assert {"mirror", "scale_equilibrium"} <= set(made.omitted)
    header = " ".join(made.source.split('"""')[1].split())
    assert "mirror: no mirror flow of w: the gradient fields do not commute" in header
    reason = f"stationary_density: '{name}' is not elementwise: "
    assert (reason in header) == (name == "shallow_relu")  # a product of two matrices has a law of its own
    assert "Metric: mixed." in header


def test_a_metric_that_is_singular_at_the_sizes_given_is_left_out_with_its_reason() -> None:
    made = st.generate(catalog.load("low_rank").bind(n=2, m=4, h=3))
    assert "act" not in made.omitted
    assert {"inner", "sharp", "christoffel_form"} <= set(made.omitted)
    assert made.omitted["inner"].startswith("the mixed metric is singular: G.T*G is 3×3 and has rank 2 at most; choose")
    assert "Metric:" not in made.source.split('"""')[1]


def test_a_declaration_without_symmetry_says_so() -> None:
    w = st.param("w", st.dims("d"))
    made = st.generate(st.Parametrization(w, name="plain"))
    assert {"act", "conserved", "vertical", "gauge_correction"} <= set(made.omitted)
    assert close(made.load().predictor({"w": torch.ones(2)}), torch.ones(2), 0.0)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(MetricError, match="no metric is called 'round': choose one of euclidean"):
        st.generate(declaration("hadamard"), metric="round")


@pytest.mark.parametrize("name", ['a"""b', "a\\b", "a\nb", "{a}"])
def test_a_name_that_would_break_the_source_is_refused(name: str) -> None:
    u, v = st.param("u", 2), st.param("v", 2)
    with pytest.raises(CodegenError, match="cannot stand in source text: leave out quotes"):
        st.generate(st.Parametrization(u * v, name=name))
    metric = st.Metric(sp.eye(2), sp.symbols("u v", real=True), name=name)
    with pytest.raises(CodegenError, match="cannot stand in source text: leave out quotes"):
        st.generate(declaration("hadamard"), metric=metric)


def test_parameters_may_be_called_like_arguments() -> None:
    d = st.dims("d")
    factors = [st.param(name, d) for name in ("point", "xi", "order")]
    m = st.generate(st.Parametrization(factors[0] * factors[1] * factors[2], name="odd")).load()
    point = {key: torch.tensor([value]) for key, value in {"point": 1.5, "xi": 0.5, "order": 0.8}.items()}
    assert m.predictor(point).tolist() == pytest.approx([0.6])
    xi = m.project_horizontal(point, {key: torch.ones(1) for key in point})
    near = m.geodesic(point, xi, 1e-3, order=3)
    assert close(near, m.geodesic(point, xi, 1e-3, order="exact"), 1e-6)


def test_a_parameter_may_be_called_as_the_time() -> None:
    d = st.dims("d")
    odd = st.Parametrization(st.param("t", d) * st.param("u", d), name="odd")
    assert st.generate(odd).omitted == odd.predictions().not_applicable


@pytest.mark.parametrize("name", ["point", "torch"])
def test_an_input_that_hides_what_the_code_needs_is_refused(name: str) -> None:
    d = st.dims("d")
    declared = st.Parametrization(st.param("u", d) * st.input(name, d), name="odd")
    with pytest.raises(CodegenError, match=f"^'{name}' cannot be an argument of the generated predictor: give it"):
        st.generate(declared)


def test_a_parameter_may_be_called_torch() -> None:
    m = st.generate(st.Parametrization(st.relu(st.param("torch", 2)) * st.param("Tensor", 2), name="odd")).load()
    point = {"torch": torch.tensor([-1.0, 2.0]), "Tensor": torch.tensor([3.0, 4.0])}
    assert m.predictor(point).tolist() == [0.0, 8.0]


def test_many_generators_keep_their_names() -> None:
    assert '"u12": u12 * torch.exp(-g_rescaling_11)' in render_act(product_of(12))


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_no_line_is_too_long_and_no_docstring_is_missing(name: str, metric: str) -> None:
    source = generated(name, metric).source
    assert max(map(len, source.splitlines())) <= LINE_LENGTH
    assert not any(line != line.rstrip() for line in source.splitlines())
    assert source.endswith("\n") and not source.endswith("\n\n")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        text = ast.get_docstring(function)
        assert text and text.splitlines()[0].endswith((".", "…"))


def test_functions_hold_no_data_dependent_control_flow() -> None:
    """Only ``geodesic``, which looks at ``order``, ``check_domain``, and what asks for shapes and devices branch."""
    for name, metric in CASES:
        for node in ast.parse(generated(name, metric).source).body:
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(part, ast.If | ast.While) for part in ast.walk(node)
            ):
                assert node.name in ("geodesic", "check_domain", "_require_alike", "_gram")


def test_tracebacks_and_inspect_show_the_generated_lines() -> None:
    mixed, invariant = module("hadamard", "mixed"), module("hadamard", "invariant")
    assert "u**2 * xi_v * zeta_v + v**2 * xi_u * zeta_u" in inspect.getsource(mixed.inner)
    assert "u**2 * xi_v * zeta_v + v**2 * xi_u * zeta_u" not in inspect.getsource(invariant.inner)
    with pytest.raises(KeyError) as caught:
        mixed.predictor({"u": torch.ones(2)})
    assert 'v = point["v"]' in "".join(traceback.format_exception(caught.value))


def test_the_object_prints_in_one_line() -> None:
    made = GeneratedModule("a", "text\n" * 100, {"act": "no symmetry"})
    assert repr(made) == "GeneratedModule(name='a', omitted={'act': 'no symmetry'})"
