"""Laws of all benchmarks of one ladder, with related errors.

The benchmarks are measured on the same runs, so what a run has of good or bad luck moves all their losses.
Drawn one by one, the errors of their laws would cancel in a joint size more than they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.fit.loss_law.posterior import WEAK, LawPosterior, Prior, law_posterior
from densing.fit.loss_law.reading import Reading

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

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
    correlation : array, shape (B, B)
        Of the residuals of the benchmarks' laws, where they were measured on the same runs.
    """

    laws: dict[str, LawPosterior]
    correlation: FloatArray


def ladder_posterior(
    points: Mapping[str, LadderPoints], *, draws: int = 1000, seed: int = 0, prior: Prior = WEAK
) -> LadderPosterior:
    """Posteriors of all benchmarks' laws, their errors related as their residuals are.

    Parameters
    ----------
    points : mapping from benchmark to LadderPoints
        Correlations need the same runs in the same order in every benchmark; benchmarks with other
        numbers of points are taken as independent.
    prior : Prior

    Raises
    ------
    FitError
        As `law_posterior` does.
    """
    found = [law_posterior(*part, draws=draws, seed=[seed, i], prior=prior) for i, part in enumerate(points.values())]
    correlation = _residual_correlation(list(points.values()), found)
    keys = []
    for part, posterior in zip(points.values(), found, strict=True):
        params, tokens = np.asarray(part.params, float), np.asarray(part.tokens, float)
        reading = Reading(tokens_per_param=float(np.exp(np.log(tokens / params).mean())))
        far = reading.losses(np.median(posterior.laws, 0), [_BEYOND * params.max()])
        keys.append(reading.sizes(posterior.laws, far)[:, 0])
    rows = coupled(keys, correlation, seed)
    return LadderPosterior(
        {name: posterior.rows(order) for name, posterior, order in zip(points, found, rows, strict=True)},
        correlation,
    )


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


def coupled(keys: Sequence[FloatArray], correlation: FloatArray, seed: int) -> list[IntArray]:
    """Orders of independent draws in which their keys have a rank correlation (Iman and Conover 1982).

    Laws of one ladder share its runs, so their errors are related; drawn benchmark by benchmark they
    would cancel in a joint size more than they do.

    Parameters
    ----------
    keys : B arrays, shape (R,)
        What is to be correlated, such as ln N̂ of one loss far beyond the ladder; +∞ ranks last.
    correlation : array, shape (B, B)
        Correlation of the residuals of the B laws.

    Returns
    -------
    B arrays, shape (R,)
        Draw of each benchmark that stands in row r.
    """
    count = len(keys[0])
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((count, len(keys))) @ root.T
    orders = []
    for column, key in enumerate(keys):
        order = np.empty(count, dtype=np.intp)
        order[np.argsort(normal[:, column], kind="stable")] = np.argsort(key, kind="stable")
        orders.append(order)
    return orders
