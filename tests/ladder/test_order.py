"""pytest tests/ladder/test_order.py"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.ladder.corpus.order import training_order


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**31))
def test_an_epoch_sees_every_window_once(size: int, seed: int) -> None:
    assert sorted(training_order(0, size, size, seed)) == list(range(size))


@settings(deadline=None)
@given(st.integers(20, 500), st.integers(0, 1000), st.integers(1, 700))
def test_the_order_does_not_depend_on_where_one_begins(size: int, first: int, count: int) -> None:
    whole = training_order(0, first + count, size, 1)
    assert np.array_equal(training_order(first, count, size, 1), whole[first:])


def test_epochs_and_seeds_differ() -> None:
    first, second = (training_order(first, 1000, 1000, 0) for first in (0, 1000))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, training_order(0, 1000, 1000, 1))


def test_neighbours_are_scattered() -> None:
    order = training_order(0, 10_000, 10_000, 0)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
