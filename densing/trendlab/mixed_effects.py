"""A line through models that are not independent: families and labs share part of their scatter.

y = X·b + s·e, where the correlation of e is Σ share_k·K_k + (1 − Σ share_k)·I: each kernel K_k says which models
have a component in common. The shares are not known and, with a few dozen families, hardly estimated; so every
cell of a grid of shares keeps the weight that its restricted likelihood gives it, and what follows is averaged
over the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
_GRID = np.linspace(0, 0.9, 10)
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Cell:
    """One combination of shares.

    Attributes
    ----------
    weight : float
        Of the restricted likelihood, one over all cells.
    shares : tuple of float
        Part of the scatter that each kernel carries.
    coefficients : array, shape (p,)
        Generalised least squares.
    covariance : array, shape (p, p)
        Of the coefficients, for s = 1.
    scale : float
        s, restricted maximum likelihood.
    factor : array, shape (M, M)
        Lower Cholesky factor of the correlation.
    """

    weight: float
    shares: tuple[float, ...]
    coefficients: FloatArray
    covariance: FloatArray
    scale: float
    factor: FloatArray


def same(labels: ArrayLike) -> FloatArray:
    """Kernel of a grouping: one where two models have the same label."""
    values = np.asarray(labels)
    return np.asarray(values[:, None] == values, dtype=float)


def share_grid(kernels: int) -> list[tuple[float, ...]]:
    """All combinations of shares in tenths that leave a model at least a tenth of its own."""
    return [cell for cell in product(_GRID, repeat=kernels) if sum(cell) < 0.95]


def fit_cells(
    design: FloatArray, values: FloatArray, kernels: Sequence[FloatArray], shares: Sequence[tuple[float, ...]]
) -> list[Cell]:
    """Fit the line in every cell and weigh the cells by their restricted likelihood.

    Parameters
    ----------
    design : array, shape (M, p)
    values : array, shape (M,)
    kernels : sequence of array, shape (M, M)
    shares : sequence of tuple
        The cells; one number a kernel. A kernel that is no correlation (a wandering level) may have any
        share, and then takes nothing from the models' own part.

    Returns
    -------
    list of Cell
        Those whose weight is not negligible.
    """
    models, freedom = len(values), len(values) - design.shape[1]
    grouping = [bool(np.allclose(np.diag(kernel), 1)) for kernel in kernels]
    found: list[tuple[float, Cell]] = []
    for cell in shares:
        own = 1 - sum(share for share, group in zip(cell, grouping, strict=True) if group)
        correlation = own * np.eye(models) + sum(s * k for s, k in zip(cell, kernels, strict=True))
        factor: FloatArray = np.linalg.cholesky(correlation).astype(float)
        white = np.linalg.solve(factor, np.column_stack([design, values]))
        x, y = white[:, :-1], white[:, -1]
        covariance = np.linalg.inv(x.T @ x)
        coefficients = covariance @ x.T @ y
        rest = max(float(((y - x @ coefficients) ** 2).sum()), 1e-300)
        log_determinant = 2 * np.log(np.diag(factor)).sum() - np.linalg.slogdet(covariance)[1]
        likelihood = -(log_determinant + freedom * np.log(rest)) / 2
        found.append((likelihood, Cell(1.0, cell, coefficients, covariance, float(np.sqrt(rest / freedom)), factor)))
    top = max(likelihood for likelihood, _ in found)
    weights = np.exp([likelihood - top for likelihood, _ in found])
    weights[weights < _NEGLIGIBLE * weights.sum()] = 0
    weights /= weights.sum()
    return [
        Cell(float(weight), cell.shares, cell.coefficients, cell.covariance, cell.scale, cell.factor)
        for weight, (_, cell) in zip(weights, found, strict=True)
        if weight > 0
    ]


def correlated_normals(cells: Sequence[Cell], replicates: int, rng: np.random.Generator) -> FloatArray:
    """Standard normals (R, M) with the correlation of a cell that is drawn anew for each row."""
    normals = rng.standard_normal((replicates, len(cells[0].factor)))
    counts = rng.multinomial(replicates, [cell.weight for cell in cells])
    ends = np.cumsum(counts)
    for cell, start, end in zip(cells, ends - counts, ends, strict=True):
        normals[start:end] = normals[start:end] @ cell.factor.T
    return normals
