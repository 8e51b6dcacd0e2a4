"""Catalog entries: their names, shapes, one-line descriptions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symtheory as st
from symtheory import catalog
from symtheory.catalog.depth_product import product_of
from symtheory.errors import DeclarationError

SHAPES = {
    "hadamard": {"u": "(d,)", "v": "(d,)"},
    "squared_difference": {"u": "(d,)", "v": "(d,)"},
    "depth_product": {"u1": "(d,)", "u2": "(d,)", "u3": "(d,)"},
    "low_rank": {"G": "(n, h)", "H": "(m, h)"},
    "shallow_relu": {"V": "(k, h)", "W": "(h, d)"},
}

SIZES = {
    "hadamard": {"d": 2},
    "squared_difference": {"d": 2},
    "depth_product": {"d": 2},
    "low_rank": {"n": 2, "m": 3, "h": 2},
    "shallow_relu": {"d": 2, "h": 3, "k": 2},
}

FORMULAS = {
    "hadamard": lambda p: p["u"] * p["v"],
    "squared_difference": lambda p: p["u"] ** 2 - p["v"] ** 2,
    "depth_product": lambda p: p["u1"] * p["u2"] * p["u3"],
    "low_rank": lambda p: p["G"] @ p["H"].T,
    "shallow_relu": lambda p: p["V"] @ np.maximum(p["W"] @ p["x"], 0),
}
"""What the entries are, by hand, in numpy."""

names = pytest.mark.parametrize("name", catalog.NAMES)


def test_names_are_the_files_of_the_folder() -> None:
    files = {path.stem for path in Path(catalog.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(catalog.NAMES) == files == set(SHAPES)


@names
def test_entry_has_its_name_and_shapes(name: str) -> None:
    entry = catalog.load(name)
    assert isinstance(entry, st.Parametrization)
    assert entry.name == name
    assert {leaf: str(shape) for leaf, shape in entry.parameters.items()} == SHAPES[name]
    assert catalog.load(name) is entry


@names
def test_entry_computes_its_formula(name: str) -> None:
    bound = catalog.load(name).bind(**SIZES[name])
    leaves = {**bound.parameters, **bound.inputs}
    generator = np.random.default_rng(0)
    values = {leaf: generator.normal(size=tuple(int(size) for size in shape)) for leaf, shape in leaves.items()}
    model = st.generate(bound).load()
    torch = pytest.importorskip("torch")
    tensors = {leaf: torch.from_numpy(value) for leaf, value in values.items()}
    point = {leaf: tensors[leaf] for leaf in bound.parameters}
    computed = model.predictor(point, **{leaf: tensors[leaf] for leaf in bound.inputs})
    np.testing.assert_allclose(computed.numpy(), FORMULAS[name](values), rtol=1e-14, atol=1e-14)


@names
def test_summary_is_one_sentence(name: str) -> None:
    text = catalog.summary(name)
    assert text.endswith(".")
    assert 20 < len(text) < 120
    assert "\n" not in text


@names
def test_entry_has_a_symmetry_and_a_charge(name: str) -> None:
    entry = catalog.load(name)
    assert len(entry.symmetries()) == 1
    assert entry.conserved()


def test_unknown_name_is_refused_with_the_choices() -> None:
    for refused in (catalog.load, catalog.summary):
        with pytest.raises(DeclarationError, match=r"^the catalog has no 'hadamrd': it has hadamard, squared_diff"):
            refused("hadamrd")


def test_names_of_modules_outside_the_catalog_are_not_imported() -> None:
    with pytest.raises(DeclarationError):
        catalog.load("__init__")


@pytest.mark.parametrize("k", [1, 2, 5])
def test_product_of_any_number_of_factors(k: int) -> None:
    product = product_of(k)
    assert list(product.parameters) == [f"u{index}" for index in range(1, k + 1)]
    assert len(product.conserved()) == k - 1


@pytest.mark.parametrize("k", [0, -1])
def test_a_product_of_nothing_is_refused(k: int) -> None:
    with pytest.raises(DeclarationError, match=f"needs at least one factor, not {k}"):
        product_of(k)


def test_every_entry_certifies_as_complete_at_a_small_size() -> None:
    for name in catalog.NAMES:
        graph = catalog.load(name)
        certificate = graph.certify(**{str(size): 3 - index % 2 for index, size in enumerate(graph.free_sizes)})
        assert certificate.complete, f"{name}: {certificate}"
        assert certificate.group_dimension == certificate.affine_dimension == certificate.jacobian_nullity


def test_certify_needs_every_size() -> None:
    with pytest.raises(DeclarationError, match="unbound"):
        catalog.load("low_rank").certify(n=3, m=3)
