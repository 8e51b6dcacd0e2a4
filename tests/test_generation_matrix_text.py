"""Generated geometry of matrices as text and as a file: formulas, line lengths, what is refused, standing alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from catalog_cases import CLAIMS

import symtheory as st
from symtheory import catalog
from symtheory.codegen.generated_module import GeneratedModule
from symtheory.errors import MetricError
from symtheory.geometry import MatrixGeometry
from symtheory.testing.arrays import generic_arrays

METRICS = ("mixed", "invariant", "euclidean")
LINE_LENGTH = 100
ROUNDING = 1e-11
REPOSITORY = Path(st.__file__).parents[1]


@cache
def bound(name: str) -> st.Parametrization:
    return catalog.load(name).bind(**CLAIMS[name].sizes)


@cache
def made(name: str, metric: str) -> GeneratedModule:
    return st.generate(bound(name), metric)


MATRICES = [name for name in catalog.NAMES if isinstance(bound(name).geometry("mixed"), MatrixGeometry)]
whole_catalog = pytest.mark.parametrize("name", MATRICES)

Arrays = dict[str, np.ndarray]
Tensors = dict[str, torch.Tensor]


def tensors(arrays: Mapping[str, np.ndarray]) -> Tensors:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def tangent_of(name: str, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {key: rng.standard_normal([int(s) for s in shape]) for key, shape in bound(name).parameters.items()}


# The text


@whole_catalog
def test_no_line_is_longer_than_one_hundred_characters(name: str) -> None:
    for metric in METRICS:
        source = made(name, metric).source
        code = source[source.index("from __future__") :]
        assert [line for line in code.splitlines() if len(line) > LINE_LENGTH] == []


PRINT_DIGESTS = """
import hashlib, sys
import symtheory as st
from symtheory import catalog
for name in sys.argv[1:]:
    for metric in ("mixed", "invariant"):
        print(name, metric, hashlib.sha256(st.generate(catalog.load(name), metric).source.encode()).hexdigest())
"""
REPEATED = ["low_rank", "deep_linear", "cp_decomposition", "attention", "residual_layer_norm"]


def test_the_text_is_the_same_in_every_process() -> None:
    outputs = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_DIGESTS, *REPEATED],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=REPOSITORY,
            check=True,
        )
        outputs.append(done.stdout)
    assert len(outputs[0].splitlines()) == 2 * len(REPEATED)
    assert outputs[0] == outputs[1]


# Formulas of docstrings


def formulas_of(docstring: str) -> tuple[bool, list[tuple[str, str]]]:
    """Whether they hold in straightened coordinates, and the lines ``label = formula``, folded ones joined."""
    found = re.search(r"Formula([^\n]*)::\n\n((?:        [^\n]*\n)+)", docstring)
    assert found is not None, docstring
    text = re.sub(r"\n {12}\s*", " ", found.group(2))
    pairs = [line.strip().split(" = ", 1) for line in text.splitlines() if line.strip()]
    return "_straighten" in found.group(1), [(label, formula) for label, formula in pairs]


TOKEN = re.compile(r"\s*(Tr\(|diag\(|[A-Za-z_][A-Za-z0-9_]*|\d+(?:/\d+)?|⁻¹|⁻ᵀ|ᵀ|[-+*/()])")
Known = Mapping[str, Any]


class Formula:
    """Evaluates what ``as_formula`` writes: sums of products of matrices, with numbers in front, Tr and diag."""

    def __init__(self, text: str, known: Known) -> None:
        self.tokens = TOKEN.findall(text)
        assert "".join(self.tokens) == text.replace(" ", ""), text
        self.known = known

    def value(self) -> Any:
        result = self.sum()
        assert not self.tokens
        return result

    def next_is(self, *wanted: str) -> bool:
        return bool(self.tokens) and self.tokens[0] in wanted

    def sum(self) -> Any:
        total = -self.product() if self.next_is("-") and self.tokens.pop(0) else self.product()
        while self.next_is("+", "-"):
            sign = -1.0 if self.tokens.pop(0) == "-" else 1.0
            total = total + sign * self.product()
        return total

    def product(self) -> Any:
        total: Any = 1.0
        while self.tokens and not self.next_is("+", "-", ")"):
            factor = self.factor()
            if self.next_is("*", "/"):  # numbers in brackets: powers, products and quotients as Python writes them
                raise AssertionError("a scalar formula outside of its brackets")
            matrices = np.ndim(total) >= 2 and np.ndim(factor) >= 2
            total = total @ factor if matrices else total * factor
        return total

    def factor(self) -> Any:
        token = self.tokens.pop(0)
        if token in ("Tr(", "diag("):
            inner = self.sum()
            assert self.tokens.pop(0) == ")"
            return np.trace(inner) if token == "Tr(" else np.diag(np.diag(inner))
        if token == "(":
            return self.scalar()
        if token[0].isdigit():
            return float(Fraction(token))
        value = self.known[token]
        if self.next_is("⁻¹", "⁻ᵀ"):
            inverse = np.linalg.inv(value)
            return inverse.T if self.tokens.pop(0) == "⁻ᵀ" else inverse
        if self.next_is("ᵀ"):
            self.tokens.pop(0)
            return value.T
        return value

    def scalar(self) -> float:
        depth, text = 1, ""
        while depth:
            token = self.tokens.pop(0)
            depth += {"(": 1, ")": -1}.get(token, 0)
            text += token if depth else ""
        return float(eval(text, {"__builtins__": {}}, dict(self.known)))


def as_matrix(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return value.reshape(shape)


FORMULAS = [
    name for name in MATRICES if not any(view.batch for view in bound(name).geometry("mixed").model.views.values())
]
"""Entries of one copy, whose formulas are those of the whole."""


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_docstrings_say_what_the_code_computes(name: str) -> None:
    for metric in METRICS:
        m = made(name, metric).load()
        model = bound(name).geometry(metric).model
        given = {
            "point": generic_arrays(bound(name).parameters, 1),
            "xi": tangent_of(name, 2),
            "zeta": tangent_of(name, 3),
        }
        for function in ("inner", "flat", "sharp", "christoffel_form"):
            straight, lines = formulas_of(getattr(m, function).__doc__)
            if straight:
                continue  # the coordinates of those are the matter of test_generation_laws
            arguments = ["point", "xi", "zeta"] if function == "inner" else ["point", "xi"]
            prefixes = {"point": "", "xi": "d_" if function == "sharp" else "xi_", "zeta": "zeta_"}
            shapes = {key: tuple(int(size) for size in view.shape) for key, view in model.views.items()}
            known: dict[str, Any] = {
                prefixes[group] + key: as_seen(model.views[key], given[group][key])
                for group in arguments
                for key in shapes
            }
            for _, (rows, columns) in shapes.items():
                for size in {rows, columns}:
                    known[f"centring_{size}"] = np.eye(size) - np.ones((size, size)) / size
            named = [(label, formula) for label, formula in lines if label.isidentifier() and label != function]
            for label, formula in named:
                known[label] = Formula(formula, known).value()
            found = getattr(m, function)(*(tensors(given[group]) for group in arguments))
            results = {"inner": found} if function == "inner" else {f'result["{k}"]': v for k, v in found.items()}
            assert [label for label, _ in lines if label in results] == list(results)
            for label, formula in lines:
                if label in results:
                    key = label[8:-2]
                    value = Formula(formula, known).value()
                    code = results[label].numpy()
                    code = code if function == "inner" else as_seen(model.views[key], code)
                    np.testing.assert_allclose(
                        code,
                        np.broadcast_to(value, np.shape(code)),
                        rtol=0,
                        atol=ROUNDING * max(1.0, np.abs(code).max()),
                    )


def as_seen(view: Any, value: np.ndarray) -> np.ndarray:
    """A parameter's array as the matrix that formulas speak of."""
    split = value.reshape([int(size) for size in view.layout.sizes])
    return split.transpose(*view.rows, *view.columns).reshape([int(size) for size in view.shape])


def test_the_reader_of_formulas_sees_a_wrong_one() -> None:
    known = {"G": np.array([[1.0, 2.0], [3.0, 5.0]]), "s": 2.0}
    assert np.array_equal(Formula("Gᵀ G - 2 G", known).value(), known["G"].T @ known["G"] - 2 * known["G"])
    assert np.allclose(
        Formula("-(1/s) G⁻ᵀ + diag(G Gᵀ)", known).value(), np.diag([5.0, 34.0]) - np.linalg.inv(known["G"]).T / 2
    )
    assert Formula("2 Tr(G Gᵀ)", known).value() == 2 * (known["G"] ** 2).sum()
    assert not np.array_equal(Formula("G Gᵀ", known).value(), Formula("Gᵀ G", known).value())


# A file of its own


ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"symtheory", "numeric"}:
            raise ModuleNotFoundError(f"{name} is not here")

sys.meta_path.insert(0, Absent())
sys.path = [entry for entry in sys.path if entry not in ("", "REPOSITORY")] + [sys.argv[1]]
import torch
before = set(sys.modules)
import geometry
print(sorted({name.split(".")[0] for name in set(sys.modules) - before} - {"geometry"}))
torch.manual_seed(0)
point = {"G": torch.randn(2, 5, 3, dtype=torch.float64), "H": torch.randn(2, 4, 3, dtype=torch.float64)}
xi = {key: 0.1 * torch.randn_like(value) for key, value in point.items()}
geometry.check_domain(point)
kept = geometry.project_horizontal(point, xi)
again = geometry.project_horizontal(point, kept)
print(all(torch.allclose(kept[key], again[key]) for key in kept))
moved = geometry.geodesic(point, kept, order=3)
print(sorted(moved), moved["G"].shape == point["G"].shape, bool((geometry.norm(point, kept) > 0).all()))
"""


def test_the_command_line_writes_a_file_that_stands_alone(tmp_path: Path) -> None:
    target = tmp_path / "geometry.py"
    command = [sys.executable, "-m", "symtheory.cli", "generate", "low_rank", "--metric", "mixed", "-o", str(target)]
    written = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert written.returncode == 0, written.stderr
    assert target.read_text(encoding="utf-8") == st.generate(catalog.load("low_rank"), "mixed").source
    assert set(re.findall(r"^(?:import|from) ([\w.]+)", target.read_text(encoding="utf-8"), re.MULTILINE)) == {
        "__future__",
        "collections.abc",
        "torch",
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE.replace("REPOSITORY", str(REPOSITORY)), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "True", "['G', 'H'] True True"]


# What is refused


def low_rank_point(n: int = 3, m: int = 4, h: int = 2, batch: tuple[int, ...] = ()) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    return {
        "G": torch.randn(*batch, n, h, generator=generator, dtype=torch.float64),
        "H": torch.randn(*batch, m, h, generator=generator, dtype=torch.float64),
    }


TAKES_A_TANGENT = ("norm", "flat", "sharp", "project_horizontal", "christoffel_form", "geodesic")


@pytest.mark.parametrize("function", TAKES_A_TANGENT)
def test_tangents_that_do_not_fit_are_refused_in_one_line(function: str) -> None:
    call = getattr(st.generate(catalog.load("low_rank"), "mixed").load(), function)
    point = low_rank_point()
    wrong: list[tuple[Tensors, Tensors, str]] = [
        (point, {"G": point["G"]}, "the tangent has no entry 'H': it needs G, H"),
        ({"G": point["G"]}, point, "the point has no entry 'H': it needs G, H"),
        (point, {**point, "H": point["H"].mT}, "the tangent's 'H' is (2, 4) and the point's is (4, 2)"),
        (point, {**point, "G": point["G"][0]}, "the tangent's 'G' is (2,) and the point's is (3, 2)"),
        (point, {**point, "G": torch.tensor(1.0)}, "the tangent's 'G' is () and the point's is (3, 2)"),
        (point, {**point, "G": point["G"][:, :1]}, "the tangent's 'G' is (3, 1) and the point's is (3, 2)"),
    ]
    for at, xi, words in wrong:
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            call(at, xi)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", [0, 4, "exact", 2.5])
def test_another_order_is_refused(order: Any) -> None:
    m = st.generate(catalog.load("low_rank"), "mixed").load()
    with pytest.raises(ValueError, match="is not available: choose 1, 2 or 3"):
        m.geodesic(low_rank_point(), low_rank_point(), order=order)


@pytest.mark.parametrize("metric", ["mixed", "invariant"])
def test_a_singular_point_is_named_with_its_place(metric: str) -> None:
    m = st.generate(catalog.load("low_rank"), metric).load()
    point = low_rank_point(batch=(2, 3))
    m.check_domain(point)
    point["G"][1, 2, :, 1] = 2 * point["G"][1, 2, :, 0]
    with pytest.raises(ValueError, match=r"gram_G = Gᵀ G has eigenvalues from .* at index \(1, 2\): outside") as caught:
        m.check_domain(point)
    assert "\n" not in str(caught.value)
    assert "full rank" in str(caught.value)


def test_a_point_that_is_not_finite_is_refused() -> None:
    m = st.generate(catalog.load("shallow_relu"), "mixed").load()
    point = tensors(generic_arrays(bound("shallow_relu").parameters, 1))
    m.check_domain(point)
    point["W"][0, 0] = torch.nan
    with pytest.raises(ValueError, match="outside the domain of the mixed metric"):
        m.check_domain(point)


def test_inner_sizes_that_are_too_large_are_refused_when_bound_and_at_the_point() -> None:
    free = catalog.load("low_rank")
    left_out = st.generate(free.bind(n=2, m=5, h=3), "mixed").omitted
    for function in ("inner", "project_horizontal", "christoffel_form", "geodesic"):
        assert "G.T*G is 3×3 and has rank 2 at most" in left_out[function]
        assert "\n" not in left_out[function]
    m = st.generate(free, "mixed").load()
    with pytest.raises(ValueError, match=r"Gᵀ G has eigenvalues .* choose smaller inner sizes"):
        m.check_domain(low_rank_point(2, 5, 3))


def test_the_euclidean_metric_is_defined_everywhere() -> None:
    m = st.generate(catalog.load("low_rank"), "euclidean").load()
    m.check_domain({"G": torch.zeros(3, 2), "H": torch.zeros(4, 2)})
    with pytest.raises(MetricError, match="no metric is called 'hyperbolic'"):
        st.generate(catalog.load("low_rank"), "hyperbolic")


@whole_catalog
def test_check_domain_passes_generic_points_and_refuses_zero(name: str) -> None:
    for metric in ("mixed", "invariant"):
        m = made(name, metric).load()
        point = tensors(generic_arrays(bound(name).parameters, 1))
        m.check_domain(point)
        zeros = {key: torch.zeros_like(value) for key, value in point.items()}
        if "Nothing to check" in m.check_domain.__doc__:
            m.check_domain(zeros)
        else:
            with pytest.raises(ValueError, match=rf"outside the domain of the {metric} metric"):
                m.check_domain(zeros)
