"""Resampling plans redraw what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.fit.bootstrap import leverage, resample
from densing.fit.status import FitError

GROUPS = np.repeat([3, 1, 4, 5, 2, 9], [6, 3, 6, 6, 6, 6])


def test_rows_of_a_cluster_are_drawn_together():
    plan = resample("clusters", len(GROUPS), 500, np.random.default_rng(0), GROUPS)
    for label in np.unique(GROUPS):
        of_cluster = plan.multiplicity[:, label == GROUPS]
        assert (of_cluster == of_cluster[:, :1]).all()
    distinct = [len(np.unique(GROUPS[row > 0])) for row in plan.multiplicity]
    assert min(distinct) >= 3
    assert plan.multiplicity.mean() == pytest.approx(1, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["points", "residuals"]))
def test_a_plan_follows_its_rows_into_another_order(seed, kind):
    rng = np.random.default_rng(seed)
    plan, order = resample(kind, 9, 5, rng), rng.permutation(9)
    moved = plan.reordered(order)
    np.testing.assert_array_equal(moved.multiplicity, plan.multiplicity[:, order])
    # Point i of the new order takes its residual from the row that the plan names.
    np.testing.assert_array_equal(order[moved.donors], plan.donors[:, order])


def test_leverages_add_up_to_the_constants():
    rng = np.random.default_rng(0)
    pull = leverage(rng.standard_normal((20, 4)), rng.uniform(0.1, 5, 20))
    assert pull.sum() == pytest.approx(4)
    assert ((pull > 0) & (pull < 1)).all()


def test_clusters_without_groups_are_refused():
    with pytest.raises(FitError, match="needs the group of every row"):
        resample("clusters", 9, 5, np.random.default_rng(0))
