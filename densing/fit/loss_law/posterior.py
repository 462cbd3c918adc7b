"""What a ladder's losses say about its law: a posterior that needs no optimum and no form to be chosen.

The losses are taken as

    ln L = ln(a·N^−α + b·D^−β + E) + noise,    a, b > 0, E ≥ 0,

where the noise of two budgets of one rung is correlated (they share a trunk): variance σ², correlation ρ.
Given (α, β, ρ) everything else is linear to first order about a pilot fit and is integrated exactly; the
three that are left live on a grid, which finds every optimum there is, and are then drawn from it.

The marginal likelihood with σ² and the coefficients integrated out is that of restricted maximum
likelihood (Harville 1974, doi 10.1093/biomet/61.2.383); a common correlation within clusters is Moulton's
(1986, doi 10.1016/0304-4076(86)90021-7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, stdtr, stdtrit

from densing.fit.status import FitError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

EXPONENTS = (0.02, 2.0)
"""Where exponents are looked for; published ones lie between 0.08 and 0.7."""
CORRELATIONS = np.linspace(0.0, 0.9, 7)
"""Correlations of a rung's budgets that are weighed; beforehand ρ has a density that falls as √(1 − ρ)."""
_NODES = 24
"""Nodes of each exponent's axis."""
_FAR = 1e-5
"""Nodes less likely than this share of the likeliest are left outside the refined grid."""
_ROUNDS = 12
"""Refinements at most; the published ladder takes two, one without noise takes many."""
_TRIES = 100
"""How often coefficients are drawn anew until a and b are positive."""
_PROPOSALS = 2
"""Points evaluated for every draw that is asked for."""


@dataclass(frozen=True)
class Prior:
    """What is believed before the losses are seen.

    Attributes
    ----------
    alpha, beta : pair of float
        Each exponent is log-normal: its median, and the standard deviation of its logarithm.
    irreducible : float
        Probability that there is an irreducible loss E at all. Where there is one, every value between
        zero and the smallest loss is as likely.
    """

    alpha: tuple[float, float] = (0.3, 0.7)
    beta: tuple[float, float] = (0.3, 0.7)
    irreducible: float = 0.5


WEAK = Prior()
"""The prior that holds where none is given."""


@dataclass(frozen=True)
class LawPosterior:
    """Draws of a loss law and of the noise about it.

    Attributes
    ----------
    laws : array, shape (R, 5)
        a, α, b, β, E.
    noise, correlation : array, shape (R,)
        σ of ln L, and ρ within a rung.
    irreducible : float
        Posterior probability that E > 0.
    effective : float
        Effective number of independent draws behind the R.
    """

    laws: FloatArray = field(repr=False)
    noise: FloatArray = field(repr=False)
    correlation: FloatArray = field(repr=False)
    irreducible: float
    effective: float

    def rows(self, order: IntArray) -> LawPosterior:
        """The same draws in another order."""
        return replace(self, laws=self.laws[order], noise=self.noise[order], correlation=self.correlation[order])


class _Ladder:
    """The points divided by their geometric means, and the sums that every fit is made from."""

    def __init__(self, params: FloatArray, tokens: FloatArray, loss: FloatArray, rung: ArrayLike) -> None:
        self.units = tuple(float(np.exp(np.log(values).mean())) for values in (params, tokens, loss))
        self.log_params, self.log_tokens = np.log(params / self.units[0]), np.log(tokens / self.units[1])
        self.loss = loss / self.units[2]
        _, member, count = np.unique(np.asarray(rung), return_inverse=True, return_counts=True)
        self.member = np.eye(len(count))[member]
        rest = 1 - CORRELATIONS[:, None]
        # The inverse of (1 − ρ)·I + ρ·J is (I − share·J)/(1 − ρ) in every rung.
        self.share = CORRELATIONS[:, None] / (rest + count * CORRELATIONS[:, None])
        self.rest = rest[:, 0]
        self.log_prior = np.log(self.rest) / 2
        self.log_determinant = (len(loss) - len(count)) * np.log(self.rest) + np.log(
            rest + count * CORRELATIONS[:, None]
        ).sum(1)
        self.fitted = self.loss

    def products(self, alpha: FloatArray, beta: FloatArray) -> dict[str, FloatArray]:
        """Sums of products of the columns a, b, E and the target y under every correlation, each (G, K)."""
        whole = np.ones((len(alpha), len(self.loss)))
        columns = {
            "a": np.exp(-alpha[:, None] * self.log_params) / self.fitted,
            "b": np.exp(-beta[:, None] * self.log_tokens) / self.fitted,
            "E": whole / self.fitted,
            "y": whole * (1 + np.log(self.loss / self.fitted)),
        }
        sums = {name: column @ self.member for name, column in columns.items()}
        names = "abEy"
        found = {}
        for i, one in enumerate(names):
            for other in names[i:]:
                within = (columns[one] * columns[other]).sum(1)[:, None]
                found[one + other] = (within - (sums[one] * sums[other]) @ self.share.T) / self.rest
        return found


@dataclass(frozen=True)
class _Fits:
    """The normal equations at G pairs of exponents and K correlations, as Cholesky factor, and the evidence.

    factor : array, shape (4, 4, G, K)
        Lower triangular, rows and columns a, b, E, y. Leaving out the column E leaves its other entries
        as they are, so one factor serves both forms.
    evidence : array, shape (G, 2·K)
        Logarithm, without E first.
    """

    factor: FloatArray
    evidence: FloatArray

    def at(self, node: IntArray, k: IntArray, with_irreducible: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Projections of y (B, p), factor (B, p, p) and sum of squares (B,) of one form."""
        chosen = np.moveaxis(self.factor[:, :, node, k], -1, 0)
        if with_irreducible:
            return chosen[:, 3, :3], chosen[:, :3, :3], chosen[:, 3, 3] ** 2
        return chosen[:, 3, :2], chosen[:, :2, :2], chosen[:, 3, 3] ** 2 + chosen[:, 3, 2] ** 2


def _cholesky(products: dict[str, FloatArray]) -> FloatArray:
    """Cholesky factors of many 4 by 4 matrices at once."""
    names = "abEy"
    factor = np.zeros((4, 4, *products["aa"].shape))
    for row in range(4):
        for column in range(row + 1):
            rest = products[names[column] + names[row]] - (factor[row, :column] * factor[column, :column]).sum(0)
            if row == column:
                least = 1e-14 * products[names[row] * 2]
                factor[row, row] = np.sqrt(np.maximum(rest, least))
            else:
                factor[row, column] = rest / factor[column, column]
    return factor


def _fits(ladder: _Ladder, logs: FloatArray, prior: Prior) -> _Fits:
    """Fits and evidence of both forms at pairs (ln α, ln β)."""
    alpha, beta = np.exp(logs).T
    factor = _cholesky(ladder.products(alpha, beta))
    points = len(ladder.loss)
    common = ladder.log_prior - ladder.log_determinant / 2 - np.log(factor[0, 0]) - np.log(factor[1, 1])
    for exponent, (median, spread) in ((alpha, prior.alpha), (beta, prior.beta)):
        common = common - (np.log(exponent / median) / spread)[:, None] ** 2 / 2
    with np.errstate(divide="ignore"):
        chances = np.log1p(-prior.irreducible), np.log(prior.irreducible)
        without = common + _integrated(factor[3, 3] ** 2 + factor[3, 2] ** 2, points - 2) + chances[0]
        above, beyond = _tails_of_irreducible(ladder, factor[3, 2], factor[2, 2], factor[3, 3] ** 2)
        inside = np.log(above - beyond) - np.log(ladder.loss.min())
        with_it = common - np.log(factor[2, 2]) + _integrated(factor[3, 3] ** 2, points - 3) + inside + chances[1]
    return _Fits(factor, np.concatenate([without, with_it], 1))


def _integrated(squares: FloatArray, freedom: int) -> FloatArray:
    """Logarithm of the likelihood with σ integrated out under the density 1/σ."""
    return gammaln(freedom / 2) - freedom / 2 * np.log(np.pi * squares)


def _tails_of_irreducible(
    ladder: _Ladder, projection: FloatArray, pivot: FloatArray, squares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Probabilities, by Student's distribution, that E exceeds zero and the smallest loss."""
    freedom = len(ladder.loss) - 3
    scale = np.sqrt(squares / freedom)
    return stdtr(freedom, projection / scale), stdtr(freedom, (projection - ladder.loss.min() * pivot) / scale)


def _mesh(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres of _NODES² cells of equal ratios between two pairs (ln α, ln β), and a cell's widths."""
    width = (high - low) / _NODES
    steps = np.arange(_NODES) + 0.5
    axes = np.meshgrid(low[0] + width[0] * steps, low[1] + width[1] * steps, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], -1), width


def _total(evidence: FloatArray) -> FloatArray:
    """Logarithm of the sum over forms and correlations."""
    top = np.maximum(evidence.max(1), -1e300)
    return top + np.log(np.exp(evidence - top[:, None]).sum(1))


def law_posterior(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    rung: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int | Sequence[int] = 0,
    prior: Prior = WEAK,
) -> LawPosterior:
    """Draw loss laws from what a ladder's losses say.

    Parameters
    ----------
    params, tokens, loss : array, shape (n,)
    rung : array, shape (n,), optional
        Points of one rung share a trunk; by default those of one size.
    draws : int
        R.
    seed : int or sequence of int
    prior : Prior
    """
    params, tokens, loss = (np.asarray(values, float) for values in (params, tokens, loss))
    ladder = _Ladder(params, tokens, loss, params if rung is None else rung)
    rng = np.random.default_rng(seed)
    box = np.log(np.tile(EXPONENTS, (2, 1)).T)
    logs, width = _mesh(*box)
    for _ in range(_ROUNDS):
        fits = _fits(ladder, logs, prior)
        _relinearise(ladder, logs, fits)
        total = _total(fits.evidence)
        near = logs[total > total.max() + np.log(_FAR)]
        low, high = np.maximum(near.min(0) - width, box[0]), np.minimum(near.max(0) + width, box[1])
        settled = (high - low > 0.4 * width * _NODES).all()
        logs, width = _mesh(low, high)
        if settled:
            break
    log_cell = _smoothed(_total(_fits(ladder, logs, prior).evidence))
    cell_weight = np.exp(log_cell - log_cell.max())
    cell = rng.choice(len(logs), size=_PROPOSALS * draws, p=cell_weight / cell_weight.sum())
    logs = logs[cell] + width * rng.uniform(-0.5, 0.5, (len(cell), 2))
    fits = _fits(ladder, logs, prior)
    total = _total(fits.evidence)
    weight = np.exp(total - log_cell[cell] - (total - log_cell[cell]).max())
    weight /= weight.sum()
    chosen = _systematic(weight, draws, rng)
    laws, noise, correlation, irreducible = _coefficients(ladder, logs, fits, chosen, rng)
    return LawPosterior(laws, noise, correlation, irreducible, float(1 / (weight**2).sum()))


def _relinearise(ladder: _Ladder, logs: FloatArray, fits: _Fits) -> None:
    """Move the point of linearisation to the likeliest fit near the data; coefficients under zero count as zero."""
    likeliest = np.argsort(-fits.evidence, axis=None)[:50]
    for node, column in zip(*np.unravel_index(likeliest, fits.evidence.shape), strict=True):
        form, k = divmod(int(column), len(CORRELATIONS))
        projection, factor, _ = fits.at(np.array([node]), np.array([k]), bool(form))
        mean = np.maximum(np.linalg.solve(factor[0].T, projection[0]), 0)
        alpha, beta = np.exp(logs[node])
        parts = np.exp(-alpha * ladder.log_params), np.exp(-beta * ladder.log_tokens), np.ones_like(ladder.loss)
        fitted = sum(c * part for c, part in zip(mean, parts, strict=False))
        if (fitted > 0.6 * ladder.loss).all() and (fitted < 1.7 * ladder.loss).all():
            ladder.fitted = fitted
            return


def _smoothed(total: FloatArray) -> FloatArray:
    """The largest value among a cell and its eight neighbours: what lies inside a cell may exceed its centre."""
    grid = np.pad(total.reshape(_NODES, _NODES), 1, constant_values=-np.inf)
    shifts = [grid[i : i + _NODES, j : j + _NODES] for i in range(3) for j in range(3)]
    return (0.5 * np.maximum.reduce(shifts) + 0.5 * grid[1:-1, 1:-1]).ravel()


def _systematic(weight: FloatArray, draws: int, rng: np.random.Generator) -> IntArray:
    """Resample with the least noise: one uniform number for all draws. In random order."""
    at = (rng.uniform() + np.arange(draws)) / draws
    return rng.permutation(np.minimum(np.searchsorted(np.cumsum(weight), at), len(weight) - 1))


def _coefficients(
    ladder: _Ladder, logs: FloatArray, fits: _Fits, chosen: IntArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Draw form, ρ, E, σ and the coefficients at chosen exponents."""
    laws = np.full((len(chosen), 5), np.nan)
    noise, correlation = np.empty(len(chosen)), np.empty(len(chosen))
    left, source = np.arange(len(chosen)), chosen
    for _ in range(_TRIES):
        chance = np.exp(fits.evidence[source] - _total(fits.evidence[source])[:, None])
        column = (np.cumsum(chance, 1) < rng.uniform(size=(len(source), 1))).sum(1)
        form, k = np.divmod(np.minimum(column, chance.shape[1] - 1), len(CORRELATIONS))
        for with_irreducible in (False, True):
            rows = np.flatnonzero(form == with_irreducible)
            coefficients, sigma = _drawn(ladder, *fits.at(source[rows], k[rows], with_irreducible), rng)
            positive = (coefficients[:, :2] > 0).all(1)
            rows, place = rows[positive], left[rows[positive]]
            exponents = np.exp(logs[source[rows]])
            laws[place, 0] = coefficients[positive, 0] * ladder.units[2] * ladder.units[0] ** exponents[:, 0]
            laws[place, 1] = exponents[:, 0]
            laws[place, 2] = coefficients[positive, 1] * ladder.units[2] * ladder.units[1] ** exponents[:, 1]
            laws[place, 3] = exponents[:, 1]
            laws[place, 4] = coefficients[positive, 2] * ladder.units[2] if with_irreducible else 0.0
            noise[place], correlation[place] = sigma[positive], CORRELATIONS[k[rows]]
        left = np.flatnonzero(np.isnan(laws[:, 0]))
        if not len(left):
            break
        # Conditioning on a, b > 0 takes the whole draw anew, exponents too.
        source = rng.choice(chosen, size=len(left))
    else:
        raise FitError("the losses do not fall with both size and tokens: no law with a, b > 0 explains them")
    return laws, noise, correlation, float((laws[:, 4] > 0).mean())


def _drawn(
    ladder: _Ladder, projection: FloatArray, factor: FloatArray, squares: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (B, p) and σ (B,): E from its truncated Student's distribution, the others given E."""
    shift = np.zeros_like(projection)
    freedom = len(ladder.loss) - projection.shape[1]
    if projection.shape[1] == 3:
        above, beyond = _tails_of_irreducible(ladder, projection[:, 2], factor[:, 2, 2], squares)
        level = beyond + (above - beyond) * rng.uniform(size=len(squares))
        shift[:, 2] = -np.sqrt(squares / freedom) * stdtrit(freedom, level)
        squares, freedom = squares + shift[:, 2] ** 2, freedom + 1
    sigma = np.sqrt(squares / rng.chisquare(freedom, len(squares)))
    shift[:, :2] = sigma[:, None] * rng.standard_normal((len(squares), 2))
    coefficients = np.linalg.solve(np.swapaxes(factor, -1, -2), (projection + shift)[..., None])[..., 0]
    if projection.shape[1] == 3:
        coefficients[:, 2] = np.clip(coefficients[:, 2], 0, ladder.loss.min())
    return np.asarray(coefficients, float), sigma


def central_law(laws: FloatArray, params: ArrayLike, tokens: ArrayLike) -> FloatArray:
    """The law (5,) among laws (R, 5) that runs nearest to their middle.

    Parameters
    ----------
    params, tokens : array, shape (m,)
        Where they are compared, by the largest difference of ln L to the median.
    """
    a, alpha, b, beta, irreducible = (laws[:, k, None] for k in range(5))
    params, tokens = np.asarray(params, float), np.asarray(tokens, float)
    losses = np.log(a * params**-alpha + b * tokens**-beta + irreducible)
    return laws[np.abs(losses - np.median(losses, axis=0)).max(1).argmin()]
