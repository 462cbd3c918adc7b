"""Intervals of a frontier's slope: what clusters widen, what censoring must not bend, what the seed fixes."""

from __future__ import annotations

import numpy as np
import pytest

from densing.errors import InputError
from densing.fit.status import FitError
from densing.trendlab.clusters import clustered_slope
from densing.trendlab.mixed_effects import correlated_normals, fit_cells, same, share_grid

SLOPE = np.log(2) / 120


def simulated(share=0.0, families=30, size=3, seed=0, scatter=0.8):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(families), size)
    days = np.repeat(rng.integers(0, 900, families), size).astype(float)
    common, own = rng.standard_normal(families)[labels], rng.standard_normal(len(labels))
    logs = SLOPE * days - 3 + scatter * (np.sqrt(share) * common + np.sqrt(1 - share) * own)
    return days, np.exp(logs), labels


def test_an_exact_exponential_leaves_no_doubt():
    days = np.arange(0, 700, 35.0)
    found = clustered_slope(days, np.exp(SLOPE * days), np.arange(len(days)), replicates=200)
    assert found.least_squares == pytest.approx(SLOPE)
    assert found.median_unbiased == pytest.approx(SLOPE)
    assert found.interval().high - found.interval().low < 1e-6 * SLOPE


def test_the_median_unbiased_slope_undoes_what_the_selection_of_records_adds():
    ratios = []
    for seed in range(16):
        days, densities, labels = simulated(seed=seed)
        found = clustered_slope(days, densities, labels, replicates=200, seed=seed)
        ratios.append([found.least_squares / SLOPE, found.median_unbiased / SLOPE])
    least_squares, unbiased = np.mean(ratios, 0)
    assert least_squares > 1.03
    assert abs(unbiased - 1) < 0.07


def test_families_that_share_their_scatter_widen_the_interval():
    days, densities, labels = simulated(share=0.8, families=25, size=4, seed=3)
    clustered = clustered_slope(days, densities, labels, replicates=1000)
    independent = clustered_slope(days, densities, np.arange(len(days)), replicates=1000)
    assert clustered.family_share > 0.5

    def width(found):
        return found.interval().high - found.interval().low

    assert width(clustered) > 1.2 * width(independent)


def test_models_at_their_limit_do_not_flatten_the_slope():
    days, densities, labels = simulated(seed=5, scatter=0.5)
    limits = np.full(len(days), np.quantile(densities, 0.8))
    capped = clustered_slope(days, np.minimum(densities, limits), labels, limits=limits, replicates=1000)
    assert capped.censored == (densities >= limits).sum()
    assert SLOPE in capped.interval()
    everything = clustered_slope(days, densities, labels, limits=limits, frontier="all", replicates=1000)
    assert everything.least_squares < 0.9 * SLOPE
    assert SLOPE in everything.interval()
    endless = np.where(densities >= limits, np.inf, densities)
    unknown = clustered_slope(days, endless, labels, limits=limits, replicates=1000)
    assert unknown.interval() == capped.interval()


def test_the_seed_fixes_the_interval_and_the_order_of_models_does_not_matter_much():
    days, densities, labels = simulated(seed=1)
    first = clustered_slope(days, densities, labels, replicates=2000)
    assert first.interval() == clustered_slope(days, densities, labels, replicates=2000).interval()
    order = np.random.default_rng(0).permutation(len(days))
    mixed = clustered_slope(days[order], densities[order], labels[order], replicates=2000)
    assert mixed.least_squares == pytest.approx(first.least_squares)
    assert mixed.median_unbiased == pytest.approx(first.median_unbiased, rel=0.03)


def test_what_cannot_be_used_is_refused():
    days, densities, labels = simulated()
    with pytest.raises(InputError, match="must be positive"):
        clustered_slope(days, np.where(np.arange(len(days)) == 0, np.nan, densities), labels)
    with pytest.raises(InputError, match="finite limit"):
        clustered_slope(days, np.where(np.arange(len(days)) == 0, np.inf, densities), labels)
    with pytest.raises(FitError, match="at least 5 models"):
        clustered_slope(days[:4], densities[:4], labels[:4])


def test_the_shares_of_families_and_labs_are_found_and_drawn_again():
    rng = np.random.default_rng(2)
    families = np.repeat(np.arange(120), 3)
    labs = families // 4
    y = np.sqrt(0.3) * rng.standard_normal(30)[labs] + np.sqrt(0.4) * rng.standard_normal(120)[families]
    y += np.sqrt(0.3) * rng.standard_normal(360)
    kernels = [same(families), same(labs)]
    cells = fit_cells(np.ones((360, 1)), y, kernels, share_grid(2))
    weights = np.array([cell.weight for cell in cells])
    assert weights.sum() == pytest.approx(1)
    assert weights @ np.array([cell.shares for cell in cells]) == pytest.approx([0.4, 0.3], abs=0.15)
    normals = correlated_normals(cells, 4000, rng)
    assert np.corrcoef(normals[:, 0], normals[:, 1])[0, 1] == pytest.approx(0.7, abs=0.12)
    assert normals.std() == pytest.approx(1, abs=0.03)
