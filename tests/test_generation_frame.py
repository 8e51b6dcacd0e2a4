"""Orthonormal frames that move with the group, modules cut down to named functions, and the committed ready blocks."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.codegen.load import load_source
from symtheory.errors import CodegenError

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "numeric" / "sharpness" / "generated"
ROUNDING = 1e-8
"""Of frames at well conditioned random points in float64."""

SIZES = {"a": 2, "d": 5, "h": 3, "k": 4, "n": 6, "m": 7, "r": 2, "dq": 5, "dk": 6, "dv": 7, "h1": 3, "h2": 4}
WANTED = ("act", "inner", "sharp", "frame")


def declarations() -> Any:
    spec = importlib.util.spec_from_file_location(
        "block_declarations", ROOT / "examples" / "sharpness" / "block_declarations.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READY = {declared.name: declared for declared in declarations().DECLARATIONS}
CASES = [
    (name, metric)
    for name in (*READY, "shallow_relu", "deep_relu", "lora", "squared_difference")
    for metric in ("mixed", "invariant")
]


def declared(name: str) -> st.Parametrization:
    return READY.get(name) or catalog.load(name)


def random_point(module: ModuleType, generator: torch.Generator) -> dict[str, Tensor]:
    shapes = {key: [SIZES.get(str(s), s) for s in shape] for key, shape in module.PARAMETERS.items()}
    return {key: torch.randn(2, *shape, generator=generator, dtype=torch.float64) for key, shape in shapes.items()}


def random_move(module: ModuleType, generator: torch.Generator) -> dict[str, Tensor]:
    element = {}
    for key, (kind, shape) in module.GROUP.items():
        draw = torch.randn(2, *(SIZES.get(str(s), s) for s in shape), generator=generator, dtype=torch.float64)
        element[key] = draw.exp() if kind == "rescaling" else draw
    return element


def frame_gap(module: ModuleType) -> tuple[float, float]:
    """By how much |frame(z)|² misses |z|², and the frame at a moved point the moved frame; relative."""
    generator = torch.Generator().manual_seed(0)
    point, z = random_point(module, generator), random_point(module, generator)
    element = random_move(module, generator)
    xi = module.frame(point, z)
    wanted = sum(leaf.flatten(1).square().sum(1) for leaf in z.values())
    length = float(((module.inner(point, xi, xi) - wanted) / wanted).abs().max())
    moved = torch.func.jvp(lambda at: module.act(at, element), (point,), (xi,))[1]
    there = module.frame(module.act(point, element), z)
    return length, max(float((there[key] - moved[key]).abs().max() / moved[key].abs().max()) for key in xi)


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_frames_are_orthonormal_and_move_with_the_group(name: str, metric: str) -> None:
    module = st.generate(declared(name), metric, only=WANTED).load()
    length, motion = frame_gap(module)
    assert length < ROUNDING
    assert motion < ROUNDING


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_a_frame_squared_is_the_inverse_metric(name: str, metric: str) -> None:
    module = st.generate(declared(name), metric, only=WANTED).load()
    generator = torch.Generator().manual_seed(0)
    point, covector = ({k: v[0] for k, v in random_point(module, generator).items()} for _ in range(2))
    zeros = {key: torch.zeros_like(leaf) for key, leaf in point.items()}
    _, transposed = torch.func.vjp(lambda z: module.frame(point, z), zeros)
    twice = module.frame(point, transposed(covector)[0])
    raised = module.sharp(point, covector)
    for key in point:
        torch.testing.assert_close(twice[key], raised[key], rtol=1e-8, atol=1e-8)


def test_the_laws_catch_a_triangular_root_and_a_wrong_side() -> None:
    source = st.generate(READY["low_rank"], only=WANTED).source
    triangular, found = re.subn(r"_root\((\w+), \w+\)", r"torch.linalg.cholesky(\1)", source)
    assert found == 2
    length, motion = frame_gap(load_source(triangular, "triangular"))
    assert length < ROUNDING
    assert motion > 0.1
    wrong = source.replace("z_G @ inverse_root_gram_H", "z_G @ root_gram_H")
    assert wrong != source
    assert frame_gap(load_source(wrong, "wrong"))[0] > 0.1


def test_the_table_of_the_group_has_what_act_takes() -> None:
    module = st.generate(READY["attention_heads"], only=("act",)).load()
    assert module.METRIC == "mixed"
    assert module.GROUP["GL1"] == ("GL", ("a", "h", "h"))
    assert module.GROUP["translation2"] == ("translation", ("a", "h"))
    assert module.SITES["GL1"] == {"Wq": (2, -1), "bq": (1, -1), "Wk": (2, 1), "bk": (1, 1)}
    split = st.generate(catalog.load("multihead_attention").bind(heads=2, h=3), only=("act",)).load()
    assert split.SITES == {}  # heads that a reshape cuts out have no axis of their own
    assert st.generate(READY["hadamard"], only=("act",)).load().GROUP == {"rescaling": ("algebra", ("d",))}


def test_a_module_of_named_functions_holds_these_and_what_they_call() -> None:
    cut, whole = st.generate(READY["low_rank"], only=("geodesic", "norm")), st.generate(READY["low_rank"])
    names = {name for name, value in vars(cut.load()).items() if inspect.isfunction(value)}
    assert {"geodesic", "norm", "inner", "christoffel_form", "_christoffel_rate", "_require_alike"} <= names
    assert not names & {"predictor", "act", "sharp", "discrete_noether", "orbit_volume"}
    generator = torch.Generator().manual_seed(0)
    point, xi = (random_point(cut.load(), generator) for _ in range(2))
    here, there = (module.load().geodesic(point, xi, order=3) for module in (cut, whole))
    assert all(here[key].equal(there[key]) for key in point)
    prediction = st.generate(READY["low_rank"], only=("discrete_noether",)).load()
    assert hasattr(prediction, "discrete_noether")
    with pytest.raises(CodegenError, match="'low_rank' has no 'nothing': it has predictor, "):
        st.generate(READY["low_rank"], only=("nothing",))
    with pytest.raises(CodegenError, match="'low_rank' has no 'mirror': no mirror flow of w"):
        st.generate(READY["low_rank"], only=("mirror",))


def test_the_ready_blocks_are_what_their_declarations_generate(tmp_path: Path) -> None:
    declarations().main(tmp_path)
    made = {path.name: _without_versions(path) for path in tmp_path.iterdir()}
    committed = {path.name: _without_versions(path) for path in GENERATED.glob("*.py") if path.stem != "__init__"}
    assert made == committed, "run: python examples/sharpness/block_declarations.py numeric/sharpness/generated"


def _without_versions(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return re.sub(r"(generated by symtheory|^SymPy) .+?([.;][ \n])", r"\1\2", text, count=2, flags=re.MULTILINE)


def test_the_ready_blocks_need_neither_sympy_nor_symtheory() -> None:
    for path in GENERATED.glob("*.py"):
        assert not re.search(r"^(import|from) (sympy|symtheory)", path.read_text(encoding="utf-8"), re.MULTILINE)
