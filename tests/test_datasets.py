"""The diabetes regression, the digits, and the change of rows that keeps its solutions."""

from __future__ import annotations

import sys

import pytest
import torch
from check_problems import wide_regression

from numeric.datasets import diabetes, digits, orthonormal_rows
from numeric.errors import DataError

ROUNDING = 1e-12  # of sums over 40 numbers near one, with room


def test_forty_standardized_rows_without_copies() -> None:
    pytest.importorskip("sklearn")
    x, y = diabetes().values()
    assert x.shape == (40, 64)
    assert x.dtype == y.dtype == torch.float64
    for columns in (x, y.unsqueeze(1)):
        assert columns.mean(0).abs().max() < ROUNDING
        assert (columns.std(0, correction=0) - 1).abs().max() < ROUNDING
    correlation = (x.mT @ x / 40).abs() - torch.eye(64, dtype=torch.float64)
    assert correlation.max() < 1 - 1e-6
    assert torch.linalg.matrix_rank(x) == 39


def test_rows_follow_the_seed() -> None:
    pytest.importorskip("sklearn")
    assert torch.equal(diabetes(seed=1)["x"], diabetes(seed=1)["x"])
    assert not torch.equal(diabetes(seed=1)["y"], diabetes(seed=2)["y"])


def test_rows_out_of_range() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="rows = 500"):
        diabetes(rows=500)


def test_without_scikit_learn_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="extra 'data'"):
        diabetes()


def test_orthonormal_rows_have_the_same_solutions_and_unit_curvature() -> None:
    x, y = wide_regression(4, 7).values()
    changed = orthonormal_rows(x, y)
    curvature = torch.linalg.eigvalsh(changed["x"] @ changed["x"].mT / len(changed["x"]))
    assert (curvature - 1).abs().max() < ROUNDING
    particular = torch.linalg.pinv(x) @ y
    assert torch.allclose(changed["x"] @ particular, changed["y"], atol=ROUNDING)
    assert torch.linalg.matrix_rank(torch.cat([x, changed["x"]])) == 4


def test_dependent_rows_are_dropped_and_contradictions_refused() -> None:
    x, y = wide_regression(4, 7).values()
    twice = torch.cat([x, x[:1]])
    assert orthonormal_rows(twice, torch.cat([y, y[:1]]))["x"].shape == (4, 7)
    with pytest.raises(DataError, match="no w solves"):
        orthonormal_rows(twice, torch.cat([y, y[:1] + 1]))


def test_digits_are_split_without_overlap_and_standardized() -> None:
    pytest.importorskip("sklearn")
    training, test = digits(train=200, seed=3)
    assert training["x"].shape == (200, 8, 8) and test["x"].shape == (1597, 8, 8)
    whole = torch.cat([training["x"], test["x"]]).double()
    assert float(whole.mean()) == pytest.approx(0, abs=1e-6) and float(whole.std()) == pytest.approx(1, abs=1e-4)
    # Every image once: another split has the same images in another order (a sum of cosines tells them apart).
    split = torch.cat([part["x"] for part in digits(train=700, seed=4)]).double()
    weights = torch.arange(64.0, dtype=torch.float64).cos()
    one, other = (torch.sort(images.flatten(1) @ weights)[0] for images in (whole, split))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    counts = torch.cat([training["y"], test["y"]]).bincount()
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert not torch.equal(digits(seed=1)[0]["y"], digits(seed=2)[0]["y"])
    with pytest.raises(DataError, match="out of range"):
        digits(train=1797)
