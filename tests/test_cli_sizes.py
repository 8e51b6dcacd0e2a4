"""Sizes for training: those that were given, and small ones that fit for the others."""

from __future__ import annotations

import pytest

import symtheory as st
from symtheory import catalog
from symtheory.cli.sizes import parse_sizes, show_sizes, with_sizes
from symtheory.errors import DeclarationError, ShapeError


@pytest.mark.parametrize("name", catalog.NAMES)
def test_every_entry_of_the_catalog_gets_sizes(name: str) -> None:
    declared = catalog.load(name)
    bound, sizes = with_sizes(declared, {})
    assert bound.free_sizes == () and list(sizes) == list(map(str, declared.free_sizes))
    assert all(2 <= size <= 5 for size in sizes.values())
    assert sizes == with_sizes(declared, {})[1]
    assert len(set(sizes.values())) > 1 or len(sizes) <= 1


def test_given_sizes_are_kept() -> None:
    bound, sizes = with_sizes(catalog.load("shallow_relu"), {"h": 7})
    assert sizes == {"d": 3, "h": 7, "k": 4}
    assert [tuple(map(int, shape)) for shape in bound.parameters.values()] == [(4, 7), (7, 3)]
    assert show_sizes(sizes) == "d=3, h=7, k=4"


def test_a_graph_without_free_sizes_stays_itself() -> None:
    fixed = st.Parametrization(st.param("G", 3, 2) @ st.param("H", 4, 2).T)
    assert with_sizes(fixed, {}) == (fixed, {})


def test_windows_after_windows_get_sizes_that_fit() -> None:
    """Three kernels in a row: the first candidates are refused, for one of them is longer than what is left."""
    length, a, b, c = st.dims("length a b c")
    x = st.input("x", 1, length)
    z = x
    for name, size in zip("ABC", (a, b, c), strict=True):
        z = st.relu(st.conv(st.param(name, 1, 1, size), z))
    bound, sizes = with_sizes(st.Parametrization(z, name="three_kernels"), {})
    assert sizes["length"] - sizes["a"] - sizes["b"] - sizes["c"] + 3 == int(bound.predictor.shape[-1]) >= 1
    with pytest.raises(DeclarationError, match=r"no small values of .* fit 'three_kernels' with a=9: choose them with"):
        with_sizes(st.Parametrization(z, name="three_kernels"), {"a": 9})


def test_given_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError):
        with_sizes(catalog.load("convolution"), {"s": 5, "height": 3})
    with pytest.raises(DeclarationError, match="has no size 'q'"):
        with_sizes(catalog.load("low_rank"), {"q": 3})


def test_options_are_read_with_or_without_spaces() -> None:
    assert parse_sizes(["h=4", " d = 12 "]) == {"h": 4, "d": 12}
    for option in ("h", "h=", "=4", "h=x", "h=4.0", "h=1e3", "h=--2"):
        with pytest.raises(DeclarationError, match="write NAME=VALUE with a whole number"):
            parse_sizes([option])
    with pytest.raises(DeclarationError, match="names 'h' twice"):
        parse_sizes(["h=2", "h=2"])
