"""Variable projection: the linear coefficients of a law, solved exactly and never negative.

Both laws of the method are linear in most of their constants,

    y ≈ offset(x; θ) + Σ_k c_k · φ_k(x; θ),   c_k ≥ 0,

so for given shape parameters θ the best c has a closed form (Golub and Pereyra 1973) and only θ is left
to search. Everything here works on B small problems at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from densing.core.arrays import FloatArray


class SeparableModel(Protocol):
    """A model bound to its n data points."""

    @property
    def box(self) -> FloatArray:
        """Bounds of the shape parameters θ, shape (q, 2)."""

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Offset (B, n) and columns φ (B, n, p), p ≤ 3, at θ (B, q)."""

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivative of the prediction by θ at fixed coefficients (B, p): (B, n, q)."""


@dataclass(frozen=True)
class LogModel:
    """The logarithm of a separable model: its coefficients become shape parameters, as ln c.

    An objective on ln y makes the coefficients non-linear; in ln c they stay positive without bounds.
    """

    inner: SeparableModel
    coefficients: int

    @property
    def box(self) -> FloatArray:
        """Box of θ, then of ln c, which is as good as open (columns and data are of order one)."""
        return np.vstack([self.inner.box, np.tile([-46.0, 46.0], (self.coefficients, 1))])

    def split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """θ (B, q + p) into the inner θ (B, q) and c (B, p)."""
        cut = theta.shape[1] - self.coefficients
        return theta[:, :cut], np.exp(theta[:, cut:])

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ln of the prediction as an offset, and no columns."""
        shape, coefficients = self.split(theta)
        offset, columns = self.inner.columns(shape)
        value = offset + np.einsum("bnp,bp->bn", columns, coefficients)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(value), np.empty((*value.shape, 0))

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002 - it has none
        """Derivatives of ln(prediction) by θ and by ln c."""
        shape, inner = self.split(theta)
        offset, columns = self.inner.columns(shape)
        terms = columns * inner[:, None, :]
        value = offset + terms.sum(-1)
        return np.concatenate([self.inner.slopes(shape, inner), terms], -1) / value[..., None]


def project(columns: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted least-squares coefficients c ≥ 0 of B problems.

    Parameters
    ----------
    columns : array, shape (B, n, p)
    target, weights : array, shape (B, n)

    Returns
    -------
    array, shape (B, p)
    """
    weighted = np.swapaxes(columns * weights[..., None], -1, -2)
    gram, moment = weighted @ columns, (weighted @ target[..., None])[..., 0]
    terms = range(columns.shape[-1])
    solution, _ = solve_nonnegative([[gram[..., i, j] for j in terms] for i in terms], [moment[..., i] for i in terms])
    return np.stack(solution, -1) if solution else np.empty((len(target), 0))


def solve_nonnegative(
    gram: list[list[FloatArray]], moment: list[FloatArray]
) -> tuple[list[FloatArray], FloatArray | float]:
    """Minimise cᵀGc − 2cᵀm over c ≥ 0, exactly, by trying every active set.

    With at most three coefficients there are at most seven sets, and the minimiser is the feasible one
    that explains most; there is no iteration, so it vectorises over any shape.

    Parameters
    ----------
    gram : p by p arrays of one shape
        The entries of G.
    moment : p arrays of the same shape
        The entries of m.

    Returns
    -------
    coefficients : p arrays
    explained : array
        mᵀc, the reduction of the weighted sum of squares.
    """
    best = [np.zeros_like(m) for m in moment]
    explained: FloatArray | float = np.zeros_like(moment[0]) if moment else 0.0
    for size in range(1, len(moment) + 1):
        for active in combinations(range(len(moment)), size):
            solution = _solve_small([[gram[i][j] for j in active] for i in active], [moment[i] for i in active])
            gain = sum(c * moment[i] for c, i in zip(solution, active, strict=True))
            # A singular set yields NaN, which compares false: a smaller set stands in for it.
            better = gain > explained
            for c in solution:
                better &= c >= 0
            explained = np.where(better, gain, explained)
            filled = dict(zip(active, solution, strict=True))
            best = [np.where(better, filled.get(i, 0.0), c) for i, c in enumerate(best)]
    return best, explained


def _solve_small(matrix: list[list[FloatArray]], vector: list[FloatArray]) -> list[FloatArray]:
    """Cramer's rule for symmetric systems of one to three unknowns; NaN where singular."""
    if len(vector) == 1:
        return [vector[0] / _nonzero(matrix[0][0], 0.0)]
    if len(vector) == 2:
        (a, b), (_, d) = matrix
        determinant = _nonzero(a * d - b * b, 1e-14 * (a * d))
        return [(d * vector[0] - b * vector[1]) / determinant, (a * vector[1] - b * vector[0]) / determinant]
    (a, b, c), (_, d, e), (_, _, f) = matrix
    x, y, z = vector
    ab, ac, bc = c * e - b * f, b * e - c * d, b * c - a * e
    aa, bb, cc = d * f - e * e, a * f - c * c, a * d - b * b
    determinant = _nonzero(a * aa + b * ab + c * ac, 1e-15 * (a * d * f))
    return [
        (aa * x + ab * y + ac * z) / determinant,
        (ab * x + bb * y + bc * z) / determinant,
        (ac * x + bc * y + cc * z) / determinant,
    ]


def _nonzero(determinant: FloatArray, least: FloatArray | float) -> FloatArray:
    return np.where(determinant > least, determinant, np.nan)
