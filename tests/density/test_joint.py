"""One size from several benchmarks."""

from __future__ import annotations

import numpy as np
import pytest

from densing.density.joint import joint_sizes, pooled_size
from densing.fit.loss_law.together import coupled

MODELS, BENCHMARKS = 120, 4
OFFSETS = np.array([0.6, -0.2, 0.1, -0.5])
SCATTER = np.array([0.3, 0.5, 0.4, 0.9])


def made(draws=1, items=0.05, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.normal(23, 1.5, MODELS)
    shape = (MODELS, BENCHMARKS)
    offsets = OFFSETS - (OFFSETS / SCATTER**2).sum() / (1 / SCATTER**2).sum()
    cells = size[:, None] + offsets + SCATTER * rng.standard_normal(shape) + items * rng.standard_normal(shape)
    noise = np.full((draws, *shape), items)
    wide = np.full((draws, BENCHMARKS), 0.0), np.full((draws, BENCHMARKS), 60.0)
    return size, offsets, np.tile(cells, (draws, 1, 1)), noise, wide


def test_offsets_scatter_and_sizes_are_recovered():
    size, offsets, cells, noise, wide = made()
    found = joint_sizes(cells, noise, *wide)
    assert found.offsets[0] == pytest.approx(offsets, abs=0.25)
    assert found.scatter[0] == pytest.approx(SCATTER, rel=0.35)
    assert np.corrcoef(found.centre[0], size)[0, 1] > 0.97


def test_the_centre_lies_among_its_benchmarks():
    _, _, cells, noise, wide = made()
    cells[0, :40, 3] = np.nan
    found = joint_sizes(cells, noise, *wide)
    assert (found.centre >= np.nanmin(found.own, -1) - 1e-9).all()
    assert (found.centre <= np.nanmax(found.own, -1) + 1e-9).all()


def test_intervals_hold_the_size_and_missing_scores_cost_width():
    size, _, cells, noise, wide = made(draws=400)
    complete = joint_sizes(cells, noise, *wide)
    low, high = np.quantile(complete.like_these, [0.025, 0.975], axis=0)
    assert 0.88 < ((low <= size) & (size <= high)).mean() <= 1
    cells[:, :60, 0] = np.nan
    fewer = joint_sizes(cells, noise, *wide)
    assert np.median(fewer.these[:, :60].std(0)) > 2 * np.median(complete.these[:, :60].std(0))
    assert np.median(fewer.like_these[:, :60].std(0)) > np.median(complete.like_these[:, :60].std(0))


def test_scores_out_of_range_are_bounds():
    _, _, cells, noise, (lowest, highest) = made()
    exact = joint_sizes(cells, noise, lowest, highest).centre[0]
    highest[:, 0] = np.quantile(cells[0, :, 0], 0.8)
    out = cells[0, :, 0] > highest[0, 0]
    cells[0, out, 0] = np.inf
    found = joint_sizes(cells, noise, lowest, highest)
    assert np.isfinite(found.centre).all()
    assert (found.own[0, out, 0] > highest[0, 0] - found.offsets[0, 0]).all()
    assert np.abs(found.centre[0, out] - exact[out]).max() < 1.2


def test_a_model_with_nothing_but_bounds_has_no_size():
    _, _, cells, noise, wide = made()
    cells[0, 0] = [np.inf, np.nan, np.inf, np.nan]
    found = joint_sizes(cells, noise, *wide)
    assert np.isnan(found.centre[0, 0])
    assert np.isfinite(found.centre[0, 1:]).all()


def test_benchmarks_that_identify_nothing_take_no_part():
    rng = np.random.default_rng(0)
    good = 23 + 0.2 * rng.standard_normal((1000, 2))
    bad = np.where(rng.uniform(size=(1000, 1)) < 0.2, np.inf, 30 + 5 * rng.standard_normal((1000, 1)))
    these, like_these = pooled_size(np.concatenate([good, bad], 1))
    assert np.median(these) == pytest.approx(23, abs=0.1)
    assert like_these.std() >= these.std() * 0.99
    assert np.isnan(pooled_size(bad)[0]).all()


def test_reordered_draws_keep_their_values():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 2000))
    orders = coupled([one, other], np.array([[1, 0.7], [0.7, 1]]), 0)
    first, second = one[orders[0]], other[orders[1]]
    assert sorted(first) == sorted(one)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.7, abs=0.05)
