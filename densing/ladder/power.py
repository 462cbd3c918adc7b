"""What a ladder would tell before it is trained: the width of a size's interval, by simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.core.progress import track
from densing.fit.loss_law.posterior import law_posterior
from densing.fit.loss_law.reading import Reading

FloatArray = NDArray[np.float64]

TYPICAL = np.array([16.722, 0.28513, 42.962, 0.22766, 0.091705])
"""a, α, b, β, E of the published ladder's average with E, by least squares: the hardest of its three readings."""


def widths(
    params: ArrayLike,
    tokens: ArrayLike,
    sizes: Sequence[float] = (1e9, 8e9),
    *,
    noise: float = 0.0085,
    correlation: float = 0.31,
    law: ArrayLike = TYPICAL,
    tokens_per_param: float = 60,
    ladders: int = 20,
    draws: int = 400,
    seed: int = 0,
) -> FloatArray:
    """Median ratio of the ends of 95% intervals that a design would give models of known size.

    Parameters
    ----------
    params, tokens : array, shape (n,)
        The design: one entry per model to be trained. Models of one size are one rung.
    sizes : sequence of float
        True effective sizes, parameters; their losses are taken as known.
    noise, correlation : float
        Of ln L, relative, and between the budgets of a rung; those of the published ladder's average.
    law : array, shape (5,)
        a, α, b, β, E that the losses are drawn from.
    tokens_per_param : float
        κ of the reading.
    ladders : int
        Simulated ladders.

    Returns
    -------
    array, shape (len(sizes),)
        ∞ where half of the ladders do not bound the size.
    """
    params, tokens = np.asarray(params, float), np.asarray(tokens, float)
    reading, law = Reading(tokens_per_param=tokens_per_param), np.asarray(law, float)
    exact = law[0] * params ** -law[1] + law[2] * tokens ** -law[3] + law[4]
    target = reading.losses(law, sizes)
    _, rung = np.unique(params, return_inverse=True)
    rng = np.random.default_rng(seed)
    found = []
    for number in track(range(ladders), "simulating ladders"):
        shared, own = rng.standard_normal(rung.max() + 1)[rung], rng.standard_normal(len(params))
        error = noise * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
        posterior = law_posterior(params, tokens, exact * np.exp(error), draws=draws, seed=[seed, number])
        ends = np.quantile(reading.sizes(posterior.laws, target), [0.025, 0.975], axis=0, method="inverted_cdf")
        found.append(ends[1] / ends[0])
    return np.median(found, axis=0)
