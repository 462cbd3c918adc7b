"""Ratios, ranks and windows over shared draws."""

from __future__ import annotations

import numpy as np
import pytest

from densing.errors import InputError
from densing.trendlab.noise import named_generator
from densing.trendlab.ratios import (
    Reading,
    compare,
    paired_scores,
    percentile_at,
    rank,
    rank_in_window,
    ratio,
    share_of_frontier,
    window,
)

RNG = np.random.default_rng(0)
FRAME = np.exp(2 * RNG.standard_normal(2000))


def own(scale=0.2):
    return np.exp(scale * RNG.standard_normal(2000))


def test_the_frames_error_cancels_in_a_ratio():
    found = ratio(2 * FRAME * own(), FRAME * own(), (2.0, 1.0))
    assert found.value == 2
    assert found.interval.high / found.interval.low < 4  # either alone spans a factor of two thousand
    assert found.denser > 0.95


def test_a_model_against_itself_is_one():
    draws = FRAME * own()
    found = ratio(draws, draws, (0.7, 0.7))
    assert (found.value, found.interval.low, found.interval.high, found.denser) == (1, 1, 1, 0.5)


def test_draws_out_of_range_leave_a_bound():
    above = np.where(np.arange(2000) < 200, np.inf, 3 * FRAME)
    found = ratio(above, FRAME, (np.nan, 1.0))
    assert np.isnan(found.value)
    assert found.interval.low == pytest.approx(3)
    assert found.interval.open_high
    assert found.denser == 1
    both = ratio(
        np.where(np.arange(2000) < 200, np.inf, 3 * FRAME), np.where(np.arange(2000) < 200, np.inf, FRAME), (3, 1)
    )
    assert both.interval.high == pytest.approx(3)  # where both are out of reach nothing is known


def test_models_are_compared_on_what_both_have():
    first = {"mmlu": Reading(2.0, 2 * FRAME * own()), "math": Reading(8.0, 8 * FRAME * own())}
    second = {"mmlu": Reading(1.0, FRAME * own()), "math": Reading(1.0, FRAME * own()), "bbh": Reading(1.0, FRAME)}
    found = compare(first, second)
    assert list(found) == ["mmlu", "math", "joint"]
    assert found["joint"].value == pytest.approx(4)
    assert 4 in found["joint"].interval
    with pytest.raises(InputError, match="no benchmark in common: one has bbh, the other mmlu"):
        compare({"bbh": second["bbh"]}, {"mmlu": first["mmlu"]})
    with pytest.raises(InputError, match="not shared"):
        ratio(FRAME, FRAME[:10], (1, 1))


def test_paired_items_know_the_difference_better():
    rng = np.random.default_rng(1)
    hard = rng.random(400) < 0.5
    first, second = hard | (rng.random(400) < 0.05), hard | (rng.random(400) < 0.05)
    scores = paired_scores(first, second, 20_000, rng)
    assert scores.mean(0) == pytest.approx([100 * first.mean(), 100 * second.mean()], abs=0.1)
    difference = 100 * (first.astype(float) - second)
    assert (scores[:, 0] - scores[:, 1]).std() == pytest.approx(difference.std() / 20, rel=0.03)
    assert (scores[:, 0] - scores[:, 1]).std() < 0.5 * np.hypot(*scores.std(0))
    with pytest.raises(InputError, match="400 and 3 items"):
        paired_scores(first, second[:3], 10, rng)


def test_ranks_count_the_denser_and_their_interval_holds_them():
    values = np.array([0.1, 1.0, 10.0])
    draws = values * FRAME[:, None] * np.exp(0.1 * RNG.standard_normal((2000, 3)))
    found = rank(3.0, 3 * FRAME, values, draws)
    assert (found.rank, found.of, found.low, found.high) == (2, 4, 2, 2)
    tied = rank(1.0, FRAME, values, draws)
    assert (tied.low, tied.high) == (2, 3)
    assert str(found) == "2 of 4 models (95% 2 to 2)"


def test_a_window_is_a_quarter_or_the_year_where_that_is_too_few():
    today = np.datetime64("2025-06-30")
    dates = today - np.arange(0, 400, 20)
    inside, since = window(dates, today)
    assert inside.sum() == 19
    assert since == np.datetime64("2024-07-01")
    dense = today - np.arange(0, 60, 5)
    inside, since = window(dense, today)
    assert inside.all()
    assert since == np.datetime64("2025-04-01")
    values = np.full(len(dense), 1.0)
    found = rank_in_window(2.0, 2 * FRAME, today, values, FRAME[:, None] * values, dense)
    assert str(found) == "1 of 13 models released from 2025-04-01 to 2025-06-30 (95% 1 to 1)"


def test_a_model_is_held_against_the_frontier_and_the_trend_of_its_date():
    share, interval = share_of_frontier(FRAME, 4 * FRAME)
    assert share == pytest.approx(0.25)
    assert interval.high == pytest.approx(0.25)
    days, slope = np.array([0.0, 100.0, 200.0]), np.log(2) / 100
    values = np.array([1.0, 1.0, 1.0])
    assert percentile_at(3.0, 200.0, days, values, slope) == pytest.approx(100 * 2 / 3)


def test_a_models_noise_belongs_to_its_name():
    first = named_generator(0, "Qwen2.5-7B", "mmlu").random(3)
    assert (first == named_generator(0, "Qwen2.5-7B", "mmlu").random(3)).all()
    assert (first != named_generator(0, "Qwen2.5-7B", "bbh").random(3)).all()
    assert (first != named_generator(1, "Qwen2.5-7B", "mmlu").random(3)).all()
    assert first[0] == pytest.approx(FIRST)


FIRST = 0.1536547043201445
"""Of the stream of seed 0, Qwen2.5-7B and mmlu: it must be the same on every machine and in every run."""
