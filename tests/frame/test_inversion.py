"""Scores become losses and losses sizes, for many laws, curves and models at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing import LossLaw, ScoreCurve, load_frame
from densing.fit.loss_law.reading import Reading
from densing.frame.inversion import losses_of_scores

LAW = LossLaw(20.0, 0.3, 40.0, 0.25, 0.05)
CURVE = ScoreCurve(72.0, -9.0, 0.4, 24.0)


@pytest.fixture(scope="module")
def frame():
    return load_frame("densing-law-2025")


@given(st.floats(1e6, 1e13))
def test_sizes_undo_the_law(size):
    assert Reading(5e12).sizes(LAW.constants, [LAW.loss(size, 5e12)])[0] == pytest.approx(size, rel=1e-8)


@given(st.floats(0.0, 1.2))
def test_losses_undo_the_curve(loss):
    assert losses_of_scores(CURVE.constants, [CURVE.score(loss)])[0] == pytest.approx(loss, abs=1e-6)


def test_scores_at_and_over_the_edges_are_infinite_losses():
    edges = [CURVE.d - 1, CURVE.d, CURVE.ceiling, CURVE.ceiling + 1]
    assert losses_of_scores(CURVE.constants, edges).tolist() == [np.inf, np.inf, -np.inf, -np.inf]


def test_losses_at_and_under_the_floor_have_no_finite_size():
    reading = Reading(5e12)
    floor = float(LAW.data_floor(5e12))
    assert reading.floors(LAW.constants)[0] == floor
    assert reading.sizes(LAW.constants, [np.inf, floor, 0.0, -np.inf]).tolist() == [0, np.inf, np.inf, np.inf]


def test_a_replicate_without_a_law_has_no_size():
    laws = np.array([np.full(5, np.nan), LAW.constants])
    sizes = Reading(5e12).sizes(laws, [[0.19, 0.01], [0.19, 0.01]])
    assert np.isnan(sizes[0]).all()
    assert np.isfinite(sizes[1, 0])
    assert np.isposinf(sizes[1, 1])


def test_the_first_row_is_the_frame_s_own_and_the_others_are_its_draws(frame):
    scores = [30.0, 60.0]
    alone, draws = frame.losses_of_scores(scores), frame.draws()
    rows = frame.losses_of_scores(np.tile(scores, (len(draws.curve) + 1, 1)))
    np.testing.assert_array_equal(rows[:1], alone)
    assert rows[5, 1] == losses_of_scores(draws.curve[4], [60.0])[0]
    for kind in ("full", "conditional"):
        sizes = frame.sizes_of_losses(rows, kind=kind)
        assert sizes[0].tolist() == [frame.invert(score).effective_size for score in scores]
        own = frame.reading.sizes(getattr(draws, kind)[4], rows[5])
        np.testing.assert_array_equal(sizes[5], own)
