"""Partial pooling: the exponents of one ladder's benchmarks are relatives, and know something of each other.

ln α_b and ln β_b of the benchmarks are normal about means that they share, with spreads that are estimated
from the benchmarks' own posteriors (empirical Bayes by expectation-maximisation; Efron and Morris 1975,
doi 10.1080/01621459.1975.10479864). A benchmark whose losses leave its law open leans on the others; one whose
losses say enough does not notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.ruler.joint import coupled
from densing.ruler.ladder_errors import LawPosterior, Prior, law_posterior
from densing.ruler.tied import Reading

FloatArray = NDArray[np.float64]

_ROUNDS = 4
_PILOT_DRAWS = 200
_SPREAD, _WEIGHT = 0.5, 2.0
"""Spread of the exponents' logarithms before it is estimated, and the number of benchmarks it counts for."""
_BEYOND = 10.0
"""Errors of the laws are related where sizes are read: here, this many times the largest rung."""


class LadderPoints(NamedTuple):
    """Points of one benchmark: arrays of shape (n,)."""

    params: ArrayLike
    tokens: ArrayLike
    loss: ArrayLike
    rung: ArrayLike


@dataclass(frozen=True)
class LadderPosterior:
    """Laws of all benchmarks of a ladder; row r of each belongs to row r of the others.

    Attributes
    ----------
    laws : dict from benchmark to LawPosterior
    prior : Prior
        What the benchmarks have in common.
    correlation : array, shape (B, B)
        Of the residuals of the benchmarks' laws, where they were measured on the same runs.
    """

    laws: dict[str, LawPosterior]
    prior: Prior
    correlation: FloatArray


def ladder_posterior(
    points: Mapping[str, LadderPoints], *, draws: int = 1000, seed: int = 0, prior: Prior = Prior()
) -> LadderPosterior:
    """Posteriors of all benchmarks' laws, exponents partially pooled and errors related.

    Parameters
    ----------
    points : mapping from benchmark to LadderPoints
        Correlations need the same runs in the same order in every benchmark; benchmarks with other
        numbers of points are taken as independent.
    prior : Prior
        Of the exponents' common medians; of E.

    Raises
    ------
    FitError
        As `law_posterior` does.
    """
    pooled = prior
    if len(points) > 1:
        for _ in range(_ROUNDS):
            pilots = [
                law_posterior(*part, draws=_PILOT_DRAWS, seed=[seed, i], prior=pooled)
                for i, part in enumerate(points.values())
            ]
            pooled = replace(
                prior,
                alpha=_common(np.stack([pilot.laws[:, 1] for pilot in pilots]), pooled.alpha, prior.alpha),
                beta=_common(np.stack([pilot.laws[:, 3] for pilot in pilots]), pooled.beta, prior.beta),
            )
    found = [
        law_posterior(*part, draws=draws, seed=[seed, i], prior=pooled) for i, part in enumerate(points.values())
    ]
    correlation = _residual_correlation(list(points.values()), found)
    keys = []
    for part, posterior in zip(points.values(), found, strict=True):
        params, tokens = np.asarray(part.params, float), np.asarray(part.tokens, float)
        reading = Reading(tokens_per_param=float(np.exp(np.log(tokens / params).mean())))
        far = reading.losses(np.median(posterior.laws, 0), [_BEYOND * params.max()])
        keys.append(reading.sizes(posterior.laws, far)[:, 0])
    rows = coupled([np.arange(draws)] * len(found), keys, correlation, seed)
    return LadderPosterior(
        {name: posterior.rows(order) for name, posterior, order in zip(points, found, rows, strict=True)},
        pooled,
        correlation,
    )


def _common(exponents: FloatArray, current: tuple[float, float], prior: tuple[float, float]) -> tuple[float, float]:
    """Median and spread of exponents (B, R): one step of expectation-maximisation."""
    mean, variance = np.log(exponents).mean(1), np.log(exponents).var(1)
    shared, believed = len(mean) / current[1] ** 2, 1 / prior[1] ** 2
    centre = (mean.mean() * shared + np.log(prior[0]) * believed) / (shared + believed)
    total = _WEIGHT * _SPREAD**2 + ((mean - centre) ** 2 + variance).sum()
    return float(np.exp(centre)), float(np.sqrt(total / (_WEIGHT + len(mean))))


def _residual_correlation(points: list[LadderPoints], found: list[LawPosterior]) -> FloatArray:
    """Correlation of ln(loss / median prediction) between benchmarks; zero where runs differ."""
    residuals = []
    for part, posterior in zip(points, found, strict=True):
        params, tokens, loss = (np.asarray(values, float) for values in (part.params, part.tokens, part.loss))
        a, alpha, b, beta, irreducible = (posterior.laws[:, k, None] for k in range(5))
        predicted = np.median(a * params**-alpha + b * tokens**-beta + irreducible, 0)
        residuals.append(np.log(loss / predicted))
    count = len(points)
    correlation = np.eye(count)
    for i in range(count):
        for j in range(i):
            same = len(residuals[i]) == len(residuals[j]) and np.array_equal(points[i].params, points[j].params)
            if same:
                correlation[i, j] = correlation[j, i] = np.corrcoef(residuals[i], residuals[j])[0, 1]
    return correlation
