"""Carrying losses back to sizes."""

from __future__ import annotations

import numpy as np
import pytest

from densing.fit.loss_law.reading import Reading

LAWS = np.array([[16.7, 0.285, 43.0, 0.228, 0.0917], [2.03, 0.115, 100.3, 0.277, 0.0], [55.4, 0.365, 16.0, 0.168, 0.0]])
SIZES = np.geomspace(1e5, 1e15, 21)


@pytest.mark.parametrize("reading", [Reading(tokens=5e12), Reading(tokens_per_param=60), Reading(tokens_per_param=1e4)])
def test_sizes_undo_losses(reading):
    assert reading.sizes(LAWS, reading.losses(LAWS, SIZES)) == pytest.approx(np.tile(SIZES, (3, 1)), rel=1e-6)


def test_a_law_of_one_term_has_its_closed_form():
    law = np.array([2.0, 0.5, 0.0, 0.3, 0.1])
    assert Reading(tokens_per_param=60).sizes(law, [0.3])[0] == pytest.approx(100.0)
    law = np.array([0.0, 0.5, 2.0, 0.5, 0.1])
    assert Reading(tokens_per_param=4).sizes(law, [0.3])[0] == pytest.approx(25.0)


def test_what_has_no_size_says_so():
    reading = Reading(tokens_per_param=60)
    unknown = np.full(5, np.nan)
    found = reading.sizes(np.stack([LAWS[0], unknown]), [0.09, 0.0917, np.inf, -np.inf, np.nan])
    assert list(found[0, :4]) == [np.inf, np.inf, 0.0, np.inf]
    assert np.isnan(found[0, 4])
    assert np.isnan(found[1]).all()


def test_sizes_fall_as_the_loss_rises():
    found = Reading(tokens_per_param=60).sizes(LAWS, np.linspace(0.12, 2, 50))
    assert (np.diff(found, axis=1) < 0).all()


@pytest.mark.parametrize(
    "given",
    [{}, {"tokens": 5e12, "tokens_per_param": 60}, {"tokens": 0.0}, {"tokens_per_param": 0.0}, {"tokens": np.inf}],
)
def test_a_reading_needs_one_number(given):
    with pytest.raises(ValueError, match="reading"):
        Reading(**given)
