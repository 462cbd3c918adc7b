"""The trend without a ladder: a planted doubling time, a planted break of its form, exact quantile lines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from densing.errors import InputError
from densing.fit.status import FitError
from densing.frontier import days_since
from densing.registry import load_registry
from densing.trendlab.panel import panel_trend, plain_panel, quantile_lines
from densing.trendlab.table import registry_table


def panel(doubling=130.0, interaction=0.0, seed=0, chance=0.0, families=40):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(families), 3)
    days = np.repeat(rng.uniform(0, 900, families), 3)
    log_size = rng.uniform(np.log(1e9), np.log(1e11), len(days))
    size, t = log_size - 23, days - 450
    logit = 0.45 * (size + np.log(2) / doubling * t) + interaction * size * t
    logit += 0.3 * (rng.standard_normal(families)[labels] + rng.standard_normal(len(days)))
    return chance + (100 - chance) / (1 + np.exp(-logit)), np.exp(log_size), days, labels


def test_a_planted_doubling_time_is_found():
    scores, params, days, labels = panel(chance=25.0)
    found = panel_trend(scores, params, days, labels, benchmark="mmlu", replicates=300)
    assert found.mean.doubling_days == pytest.approx(130, rel=0.15)
    assert 130 in found.mean.doubling_interval
    assert 130 in found.upper.doubling_interval
    assert found.without_family[0][1] < found.mean.doubling_days < found.without_family[1][1]
    assert (found.models + found.omitted, found.families) == (120, 40)


def test_gains_of_large_models_alone_are_told_and_seldom_imagined():
    straight = [panel_trend(*panel(seed=seed), replicates=100).interaction for seed in range(12)]
    assert sum(0 in interval for interval in straight) >= 9
    scores, params, days, labels = panel(interaction=5e-4)
    found = panel_trend(scores, params, days, labels, replicates=300)
    assert found.interaction.low > 0


def test_a_score_without_progress_has_no_upper_bound():
    scores, params, days, labels = panel(doubling=1e9)
    assert panel_trend(scores, params, days, labels, replicates=300).mean.doubling_interval.open_high


def test_quantile_lines_are_the_minimum_of_the_check_function():
    rng = np.random.default_rng(4)
    design = np.column_stack([np.ones(60), rng.standard_normal(60), rng.standard_normal(60)])
    y = design @ [1.0, 2.0, -1.0] + rng.standard_normal(60)
    weights = rng.integers(0, 3, (2, 60)).astype(float)
    lines = quantile_lines(design, y, weights, 0.9)
    for weight, line in zip(weights, lines, strict=True):
        cost = np.concatenate([np.zeros(6), 0.9 * weight, 0.1 * weight])
        equal = np.hstack([design, -design, np.eye(60), -np.eye(60)])
        best = linprog(cost, A_eq=equal, b_eq=y).fun
        rest = y - design @ line
        assert (weight * np.where(rest > 0, 0.9, -0.1) * rest).sum() == pytest.approx(best, rel=1e-3)


def test_the_registry_gives_the_known_doubling_times():
    table = registry_table(load_registry())
    table = table[table["release_date"] >= "2023-02-24"]
    known = {"mmlu": (142, 137, 201), "bbh": (131, 146, 125), "math": (113, 53, 50)}
    for benchmark, (models, mean, upper) in known.items():
        found = panel_trend(
            table[benchmark], table["total"], days_since(table["release_date"].to_numpy()), table["family"],
            table["lab"], benchmark=benchmark, replicates=50,
        )  # fmt: skip
        assert found.models == models
        assert found.mean.doubling_days == pytest.approx(mean, abs=1)
        assert found.upper.doubling_days == pytest.approx(upper, abs=1)


def test_bad_panels_are_refused():
    scores, params, days, labels = panel()
    with pytest.raises(InputError, match="percentages"):
        panel_trend(scores + 60, params, days, labels)
    with pytest.raises(FitError, match="at least 8"):
        panel_trend(scores[:9], params[:9], days[:9], labels[:9])
    with pytest.raises(FitError, match="does not vary"):
        panel_trend(scores, np.full(len(days), 7e9), days, labels)


def test_the_plain_panel_judges_densing():
    rng = np.random.default_rng(0)
    params = 10 ** rng.uniform(0, 2, 100)
    days = rng.integers(0, 900, 100)
    dates = np.datetime64("2023-09-01") + days
    labels = np.arange(100) // 3

    def judged(gain):
        score = 0.2 + 0.15 * np.log10(params) + gain * days / 30.4375 + 0.02 * rng.standard_normal(100)
        return plain_panel(score, params, dates, labels)

    flat, dense = judged(0.0), judged(0.0129)
    assert flat.verdict.startswith("no densing")
    assert dense.verdict.startswith("densing")
    assert dense.size == pytest.approx(0.15, abs=0.01)
    assert dense.expected_time == pytest.approx(0.15 * np.log10(2) / (106.16 / 30.4375), rel=0.1)
