"""Projected coefficients are those of non-negative least squares."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from densing.fit.optimise.projection import project


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_projection_is_nonnegative_least_squares(seed, terms):
    rng = np.random.default_rng(seed)
    columns, target = rng.standard_normal((8, 12, terms)), rng.standard_normal((8, 12))
    weights = rng.uniform(0.1, 10, (8, 12))
    found = project(columns, target, weights)
    for phi, y, w, coefficients in zip(columns, target, np.sqrt(weights), found, strict=True):
        expected, _ = nnls(phi * w[:, None], y * w)
        np.testing.assert_allclose(coefficients, expected, rtol=1e-7, atol=1e-9)
