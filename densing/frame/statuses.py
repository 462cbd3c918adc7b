"""What may be said of a reading: in range, beyond the curve, a bound, or not identified; never a bare number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WIDEST = 100.0
"""A 95% interval wider than this ratio identifies no size: it is not known to a factor of ten either way."""
FAR = 10.0
"""Sizes over this many times the largest rung get a warning."""


class CurveStatus(str, Enum):
    """Where a score stands on its curve."""

    IN_RANGE = "in range"
    BEYOND = "beyond the curve"
    AT_CHANCE = "at chance"
    ABOVE_CEILING = "above the curve's ceiling"

    def __str__(self) -> str:
        return self.value


class LawStatus(str, Enum):
    """Whether a law says how large a model is."""

    IDENTIFIED = "identified"
    NOT_IDENTIFIED = "not identified"
    UNDER_FLOOR = "loss under the floor"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Judged:
    """A status with the sentence that explains it; empty where there is nothing to explain."""

    status: CurveStatus | LawStatus
    note: str = ""


def judge_score(score: float, reach: tuple[float, float], chance: float, ceiling: float, items: int = 0) -> Judged:
    """Where a score stands: chance is the benchmark's own, not the curve's floor.

    Parameters
    ----------
    score : float
        Percent.
    reach : tuple of float
        Lowest and highest score that the curve was fitted on, measured scores and not fitted ones.
    chance, ceiling : float
        Percent.
    items : int
        Of the benchmark: a score within two standard errors of chance is at chance.
    """
    error = np.sqrt(chance * (100 - chance) / items) if items else 0.0
    if score <= chance + 2 * error:
        margin = f" within two standard errors, {2 * error:.2g}," if error else ""
        return Judged(CurveStatus.AT_CHANCE, f"a score of {score:.4g} is{margin} no better than chance, {chance:.4g}")
    if score >= ceiling:
        return Judged(CurveStatus.ABOVE_CEILING, f"a score of {score:.4g} reaches the curve's ceiling, {ceiling:.4g}")
    low, high = reach
    if low <= score <= high:
        return Judged(CurveStatus.IN_RANGE)
    side, end = ("under", low) if score < low else ("over", high)
    note = f"a score of {score:.4g} lies {abs(score - end):.3g} points {side} those that the curve was fitted on"
    return Judged(CurveStatus.BEYOND, f"{note}, {low:.3g} to {high:.3g}")


def judge_size(sizes: FloatArray, largest_rung: float) -> tuple[Judged, float]:
    """Whether draws of an effective size identify it, and how many times the largest rung it is.

    Parameters
    ----------
    sizes : array, shape (R,)
        ∞ where a draw's law never reaches the loss.
    largest_rung : float
        Parameters of the ladder's largest model.

    Returns
    -------
    Judged, factor : float
        NaN where the size is not identified.
    """
    low, middle, high = np.quantile(sizes[~np.isnan(sizes)], [0.025, 0.5, 0.975], method="inverted_cdf")
    if np.isinf(middle):
        return Judged(LawStatus.UNDER_FLOOR, "the loss lies under what any size of the family reaches"), np.nan
    if not high <= WIDEST * low:
        width = "without end" if np.isinf(high) else f"a factor of {high / low:.3g}"
        return Judged(
            LawStatus.NOT_IDENTIFIED, f"the ladder does not say how large: the 95% interval is {width}"
        ), np.nan
    factor = float(middle / largest_rung)
    note = f"{factor:.3g} times the ladder's largest rung: the law is extrapolated" if factor > FAR else ""
    return Judged(LawStatus.IDENTIFIED, note), factor
