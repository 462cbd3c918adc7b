"""Resampling plans, drawn once and shared by every fit that rests on the same models.

A plan speaks of rows in the caller's order. Fits of several benchmarks on the same checkpoints take the
same plan, so that what those checkpoints share stays shared in the draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import FloatArray, IntArray
from densing.fit.status import FitError

Kind = Literal["points", "clusters", "residuals"]
_FEWEST_CLUSTERS = 3
"""Distinct clusters a replicate must hold: a law through fewer sizes has no unique exponent."""


@dataclass(frozen=True)
class Resampling:
    """A plan of R replicates of n rows.

    Attributes
    ----------
    kind : {"points", "clusters", "residuals"}
        What is drawn anew: single rows, whole groups of rows, or the errors of all rows.
    multiplicity : array, shape (R, n)
        How often each row is taken.
    donors : array, shape (R, n)
        Row whose residual is added to this row's fitted value; the row itself unless residuals are
        resampled.
    """

    kind: Kind
    multiplicity: FloatArray
    donors: IntArray

    def __len__(self) -> int:
        return len(self.multiplicity)

    def reordered(self, rows: IntArray) -> Resampling:
        """Return the same plan for data held in another order: `rows[i]` is the plan's row of point i.

        Raises
        ------
        FitError
            If the plan was drawn for another number of rows.
        """
        if sorted(rows) != list(range(self.donors.shape[1])):
            raise FitError(
                f"the resampling plan is over {self.donors.shape[1]} rows, the fit over {len(rows)}; "
                f"draw the plan for {len(rows)} rows"
            )
        return Resampling(self.kind, self.multiplicity[:, rows], np.argsort(rows)[self.donors[:, rows]])

    def targets(self, fitted: FloatArray, residual: FloatArray, leverage: FloatArray) -> FloatArray:
        """Return the data of every replicate, (R, n), from fitted values, residuals and leverages (n).

        Resampled residuals are first freed of the fit's pull, r/√(1 − h), and centred, so that their
        spread is that of the errors (Davison and Hinkley 1997, section 6.2.3).
        """
        if self.kind != "residuals":
            return np.broadcast_to(fitted + residual, self.donors.shape)
        freed = residual / np.sqrt(1 - np.minimum(leverage, 0.99))
        return fitted + (freed - freed.mean())[self.donors]


def resample_points(rows: int, replicates: int, rng: np.random.Generator) -> Resampling:
    """Plan to draw single rows with replacement."""
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=replicates)
    return Resampling("points", counts.astype(float), _own(replicates, rows))


def resample_clusters(groups: ArrayLike, replicates: int, rng: np.random.Generator) -> Resampling:
    """Plan to draw whole groups of rows with replacement, as the budgets of one run share its trunk.

    Parameters
    ----------
    groups : array, shape (n,)
        Label of each row's cluster.

    Raises
    ------
    FitError
        If there are fewer than three clusters. Replicates that hold fewer distinct ones are redrawn.
    """
    labels, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(labels) < _FEWEST_CLUSTERS:
        raise FitError(
            f"{len(labels)} clusters cannot be resampled; give at least {_FEWEST_CLUSTERS}, or resample points"
        )
    share = np.full(len(labels), 1 / len(labels))
    counts = rng.multinomial(len(labels), share, size=replicates)
    while len(poor := np.flatnonzero((counts > 0).sum(1) < _FEWEST_CLUSTERS)):
        counts[poor] = rng.multinomial(len(labels), share, size=len(poor))
    return Resampling("clusters", counts[:, member].astype(float), _own(replicates, len(member)))


def resample_residuals(rows: int, replicates: int, rng: np.random.Generator) -> Resampling:
    """Plan to keep the design and redraw the errors, which is right for ladders: their N and D were chosen."""
    return Resampling("residuals", np.ones((replicates, rows)), rng.integers(rows, size=(replicates, rows)))


def resample(
    kind: Kind, rows: int, replicates: int, rng: np.random.Generator, groups: ArrayLike | None = None
) -> Resampling:
    """Draw the plan of that kind; see `resample_points`, `resample_clusters` and `resample_residuals`.

    Parameters
    ----------
    kind : {"points", "clusters", "residuals"}
    rows, replicates : int
    rng : numpy.random.Generator
    groups : array, shape (rows,), optional
        Cluster of each row, which resampling clusters needs.

    Raises
    ------
    FitError
        If clusters are asked for without groups, or there are fewer than three of them.
    """
    if kind == "points":
        return resample_points(rows, replicates, rng)
    if kind == "residuals":
        return resample_residuals(rows, replicates, rng)
    if groups is None:
        raise FitError("resampling clusters needs the group of every row; give groups, or resample points")
    return resample_clusters(groups, replicates, rng)


def _own(replicates: int, rows: int) -> IntArray:
    return np.broadcast_to(np.arange(rows), (replicates, rows))


def leverage(slopes: FloatArray, weights: FloatArray) -> FloatArray:
    """Pull of each row on its own fitted value: the diagonal of the hat matrix.

    Parameters
    ----------
    slopes : array, shape (n, k)
        Slopes of the prediction by the fit's constants. One that the prediction does not depend on pulls
        nothing and is left out.
    weights : array, shape (n,)

    Returns
    -------
    array, shape (n,)
    """
    slopes = slopes[:, (slopes != 0).any(0)]
    q, _ = np.linalg.qr(slopes * np.sqrt(weights)[:, None])
    return (q**2).sum(1)
