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
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp, stdtr, stdtrit

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

    def products(self, alpha: FloatArray, beta: FloatArray, terms: int) -> FloatArray:
        """Sums of products of columns and target under every correlation: (G, K, terms + 1, terms + 1)."""
        columns = np.empty((len(alpha), len(self.loss), terms + 1))
        columns[..., 0] = np.exp(-alpha[:, None] * self.log_params)
        columns[..., 1] = np.exp(-beta[:, None] * self.log_tokens)
        columns[..., 2:terms] = 1.0
        columns[..., terms] = self.fitted * (1 + np.log(self.loss / self.fitted))
        columns /= self.fitted[:, None]
        within = np.swapaxes(columns, 1, 2) @ columns
        sums = self.member.T @ columns
        between = np.einsum("kj,gjp,gjq->gkpq", self.share, sums, sums, optimize=True)
        return (within[:, None] - between) / self.rest[:, None, None]


@dataclass(frozen=True)
class _Fits:
    """Coefficients given (α, β, ρ): mean and inverse Cholesky factor, sum of squares, logarithm of the evidence."""

    mean: FloatArray
    lower: FloatArray
    squares: FloatArray
    evidence: FloatArray
    freedom: int


def _fits(ladder: _Ladder, alpha: FloatArray, beta: FloatArray, terms: int, prior: Prior) -> _Fits:
    products = ladder.products(alpha, beta, terms)
    diagonal = np.arange(terms + 1)
    products[..., diagonal, diagonal] *= 1 + 1e-13
    whole = np.linalg.cholesky(products)
    lower, squares = whole[..., :terms, :terms], whole[..., terms, terms] ** 2
    mean = np.linalg.solve(np.swapaxes(lower, -1, -2), whole[..., terms, :terms, None])[..., 0]
    freedom = len(ladder.loss) - terms
    evidence = (
        gammaln(freedom / 2)
        - freedom / 2 * np.log(np.pi * squares)
        - np.log(lower[..., diagonal[:terms], diagonal[:terms]]).sum(-1)
        - ladder.log_determinant / 2
        + ladder.log_prior
    )
    for exponent, (median, spread) in ((alpha, prior.alpha), (beta, prior.beta)):
        evidence -= (np.log(exponent / median) / spread)[:, None] ** 2 / 2
    if terms == 3:
        above, beyond = _tails_of_irreducible(ladder, mean, lower, squares, freedom)
        with np.errstate(divide="ignore"):
            evidence += np.log(above - beyond) - np.log(ladder.loss.min()) + np.log(prior.irreducible)
    else:
        evidence += np.log1p(-prior.irreducible) if prior.irreducible < 1 else -np.inf
    return _Fits(mean, lower, squares, evidence, freedom)


def _tails_of_irreducible(
    ladder: _Ladder, mean: FloatArray, lower: FloatArray, squares: FloatArray, freedom: int
) -> tuple[FloatArray, FloatArray]:
    """Probabilities, by Student's distribution, that E exceeds zero and the smallest loss."""
    scale = np.sqrt(squares / freedom) / lower[..., 2, 2]
    return stdtr(freedom, mean[..., 2] / scale), stdtr(freedom, (mean[..., 2] - ladder.loss.min()) / scale)


def _mesh(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres of _NODES² cells of equal ratios between two pairs (ln α, ln β), and a cell's widths."""
    width = (high - low) / _NODES
    steps = np.arange(_NODES) + 0.5
    axes = np.meshgrid(low[0] + width[0] * steps, low[1] + width[1] * steps, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], -1), width


def _both(ladder: _Ladder, logs: FloatArray, prior: Prior, forms: Sequence[int]) -> tuple[list[_Fits], FloatArray]:
    """Fits of every form at pairs (ln α, ln β), and the logarithm of the evidence (G, forms·K)."""
    alpha, beta = np.exp(logs).T
    fits = [_fits(ladder, alpha, beta, terms, prior) for terms in forms]
    return fits, np.concatenate([fit.evidence for fit in fits], 1)


def _total(evidence: FloatArray) -> FloatArray:
    """Logarithm of the sum over forms and correlations."""
    return logsumexp(evidence, axis=1)


def law_posterior(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    rung: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int | Sequence[int] = 0,
    prior: Prior = Prior(),
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
    forms = tuple(terms for terms, chance in ((2, 1 - prior.irreducible), (3, prior.irreducible)) if chance > 0)
    rng = np.random.default_rng(seed)
    box = np.log(np.tile(EXPONENTS, (2, 1)).T)
    logs, width = _mesh(*box)
    for _ in range(_ROUNDS):
        fits, evidence = _both(ladder, logs, prior, forms)
        _relinearise(ladder, logs, fits, evidence)
        total = _total(evidence)
        near = logs[total > total.max() + np.log(_FAR)]
        low, high = np.maximum(near.min(0) - width, box[0]), np.minimum(near.max(0) + width, box[1])
        settled = (high - low > 0.4 * width * _NODES).all()
        logs, width = _mesh(low, high)
        if settled:
            break
    log_cell = _smoothed(_total(_both(ladder, logs, prior, forms)[1]))
    cell_weight = np.exp(log_cell - log_cell.max())
    cell = rng.choice(len(logs), size=_PROPOSALS * draws, p=cell_weight / cell_weight.sum())
    logs = logs[cell] + width * rng.uniform(-0.5, 0.5, (len(cell), 2))
    fits, evidence = _both(ladder, logs, prior, forms)
    total = _total(evidence)
    weight = np.exp(total - log_cell[cell] - (total - log_cell[cell]).max())
    weight /= weight.sum()
    chosen = _systematic(weight, draws, rng)
    laws, noise, correlation, irreducible = _coefficients(ladder, logs, fits, evidence, chosen, forms, rng)
    return LawPosterior(laws, noise, correlation, irreducible, float(1 / (weight**2).sum()))


def _relinearise(ladder: _Ladder, logs: FloatArray, fits: list[_Fits], evidence: FloatArray) -> None:
    """Move the point of linearisation to the likeliest fit with positive predictions."""
    for flat in np.argsort(-evidence, axis=None)[:50]:
        node, column = divmod(int(flat), evidence.shape[1])
        fit = fits[column // len(CORRELATIONS)]
        mean = np.maximum(fit.mean[node, column % len(CORRELATIONS)], 0)
        alpha, beta = np.exp(logs[node])
        parts = [np.exp(-alpha * ladder.log_params), np.exp(-beta * ladder.log_tokens), np.ones_like(ladder.loss)]
        fitted = sum(c * part for c, part in zip(mean, parts, strict=False))
        if (np.abs(np.log(fitted / ladder.loss)) < 0.5).all():
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
    ladder: _Ladder,
    logs: FloatArray,
    fits: list[_Fits],
    evidence: FloatArray,
    chosen: IntArray,
    forms: Sequence[int],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Draw form, ρ, E, σ and the coefficients at chosen exponents; a, b ≤ 0 are drawn anew, elsewhere if need be."""
    laws = np.full((len(chosen), 5), np.nan)
    noise, correlation = np.empty(len(chosen)), np.empty(len(chosen))
    open_ = np.arange(len(chosen))
    source = chosen.copy()
    for _ in range(60):
        if not len(open_):
            break
        at = source[open_]
        chance = np.exp(evidence[at] - _total(evidence[at])[:, None])
        column = (np.cumsum(chance, 1) < rng.uniform(size=(len(at), 1))).sum(1)
        column = np.minimum(column, evidence.shape[1] - 1)
        for index, terms in enumerate(forms):
            rows = np.flatnonzero(column // len(CORRELATIONS) == index)
            if not len(rows):
                continue
            k = column[rows] % len(CORRELATIONS)
            coefficients, sigma = _drawn(ladder, fits[index], at[rows], k, terms, rng)
            good = (coefficients[:, :2] > 0).all(1)
            take = open_[rows[good]]
            exponents = np.exp(logs[at[rows[good]]])
            kept = coefficients[good] * ladder.units[2]
            laws[take, 0] = kept[:, 0] * ladder.units[0] ** exponents[:, 0]
            laws[take, 1] = exponents[:, 0]
            laws[take, 2] = kept[:, 1] * ladder.units[1] ** exponents[:, 1]
            laws[take, 3] = exponents[:, 1]
            laws[take, 4] = kept[:, 2] if terms == 3 else 0.0
            noise[take], correlation[take] = sigma[good], CORRELATIONS[k[good]]
        open_ = open_[np.isnan(laws[open_, 0])]
        # The whole draw is taken anew, exponents too: that is what conditioning on a, b > 0 means.
        source[open_] = rng.choice(chosen, size=len(open_))
    return laws, noise, correlation, float((laws[:, 4] > 0).mean())


def _drawn(
    ladder: _Ladder, fit: _Fits, node: IntArray, k: IntArray, terms: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (B, terms) and σ (B,) at nodes: E from its truncated Student's distribution, the rest given E."""
    mean, lower, squares = fit.mean[node, k], fit.lower[node, k], fit.squares[node, k]
    shift = np.zeros((len(node), terms))
    freedom = fit.freedom
    if terms == 3:
        above, beyond = _tails_of_irreducible(ladder, mean, lower, squares, freedom)
        scale = np.sqrt(squares / freedom) / lower[:, 2, 2]
        level = beyond + (above - beyond) * rng.uniform(size=len(node))
        irreducible = np.clip(mean[:, 2] - scale * stdtrit(freedom, level), 0, ladder.loss.min())
        shift[:, 2] = (irreducible - mean[:, 2]) * lower[:, 2, 2]
        squares, freedom = squares + shift[:, 2] ** 2, freedom + 1
    sigma = np.sqrt(squares / rng.chisquare(freedom, len(node)))
    shift[:, :2] = sigma[:, None] * rng.standard_normal((len(node), 2))
    step = np.linalg.solve(np.swapaxes(lower, -1, -2), shift[..., None])[..., 0]
    return mean + step, sigma
