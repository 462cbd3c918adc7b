"""The trend without a ladder: scores of many models on their size and date.

logit(rise) = u + v·ln N + w·t, where rise = (S − chance)/(100 − chance). A model of half the size scores the same
ln 2·v/w later, so density doubles in that time. No loss law, no score curve and no D₀ enter: what this ruler and a
ladder's agree on does not come from the ladder. The mean line is the population's; the line of an upper quantile is
nearer to what a frontier follows.

Models of one family, and of one lab, are no independent witnesses. The mean line's interval takes the covariance of
the least-squares line from a model with both as random effects: in simulations with the registry's own design it
covers 95%, where a sandwich over families or families drawn with replacement cover 88 to 92%. The quantile's line
and the interaction, which have no such model, come with families drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.errors import InputError
from densing.fit.intervals import Interval
from densing.fit.status import FitError
from densing.slope_interval import interval_of
from densing.trend import doubling_interval
from densing.trendlab.mixed_effects import fit_cells, same, share_grid

FloatArray = NDArray[np.float64]

CHANCE = {"mmlu": 25.0}
"""Percent that guessing scores; zero for benchmarks whose answers are written out."""
LEAST_RISE = 0.02
"""A rise nearer to chance (or to 100) is mostly noise once its logit is taken: on MMLU the four models within two
hundredths of chance move the doubling time from 137 to 187 days."""
DAYS_PER_MONTH = 365.25 / 12
ARTICLE_DOUBLING_DAYS = 106.16
"""Of the article's main panel (doi 10.1038/s42256-025-01137-0)."""
_FEWEST_FAMILIES = 8
_STEPS, _ROUGH_STEPS = 400, 40
"""Of a quantile line, and of one among the draws of its interval."""


@dataclass(frozen=True)
class PanelLine:
    """One line of the panel, at the mean or at a quantile.

    Attributes
    ----------
    quantile : float or None
        None for the mean.
    level, size, time : float
        u, v (per unit of ln N) and w (per day).
    rate : Interval
        95% interval of w/v, the growth of ln ρ per day.
    """

    quantile: float | None
    level: float
    size: float
    time: float
    rate: Interval

    @property
    def doubling_days(self) -> float:
        """Ln 2·v/w."""
        return float(np.log(2) * self.size / self.time)

    @property
    def doubling_interval(self) -> Interval:
        """Interval of the doubling time, days; open where w may be zero."""
        return doubling_interval(self.rate)


@dataclass(frozen=True)
class PanelTrend:
    """Doubling time of density on one benchmark, from the models alone.

    Attributes
    ----------
    benchmark : str
    models, families : int
        That took part.
    omitted : int
        Too near to chance, or to 100, to say anything.
    mean, upper : PanelLine
        The population's line, and that of an upper quantile.
    interaction : Interval
        Of the coefficient of ln N·t beside the others, per doubling of size and year. An interval without zero says
        that large and small models did not gain alike, and that one doubling time does not describe both.
    without_family : (str, float), (str, float)
        The family without which doubling would be the fastest, the one without which the slowest, with the days.
    """

    benchmark: str
    models: int
    families: int
    omitted: int
    mean: PanelLine
    upper: PanelLine
    interaction: Interval
    without_family: tuple[tuple[str, float], tuple[str, float]]


def panel_trend(
    scores: ArrayLike,
    params: ArrayLike,
    days: ArrayLike,
    families: ArrayLike,
    labs: ArrayLike | None = None,
    *,
    benchmark: str = "",
    chance: float | None = None,
    quantile: float = 0.9,
    replicates: int = 1000,
    seed: int = 0,
) -> PanelTrend:
    """Fit the panel of one benchmark.

    Parameters
    ----------
    scores : array, shape (M,)
        Percent; NaN where there is none.
    params : array, shape (M,)
    days : array, shape (M,)
    families, labs : array of labels, shape (M,)
    chance : float, optional
        Percent; that of `CHANCE` where not given, and zero where that has none.
    quantile : float
        Of the upper line.

    Raises
    ------
    InputError
        If a score is no percentage or a size not positive.
    FitError
        If fewer than eight families are left, or their size or date does not vary.
    """
    floor = CHANCE.get(benchmark, 0.0) if chance is None else chance
    score, size, t = (np.asarray(values, float) for values in (scores, params, days))
    labels = np.asarray(families)
    known = np.isfinite(score) & np.isfinite(t) & np.isfinite(size)
    if ((score[known] < 0) | (score[known] > 100)).any() or (size[known] <= 0).any():
        raise InputError(f"{benchmark or 'the panel'}: scores must be percentages and sizes positive")
    rise = (score - floor) / (100 - floor)
    use = known & (rise > LEAST_RISE) & (rise < 1 - LEAST_RISE)
    names, cluster = np.unique(labels[use], return_inverse=True)
    if len(names) < _FEWEST_FAMILIES:
        raise FitError(
            f"{benchmark or 'the panel'}: {len(names)} families of models have a score above chance and a size; "
            f"a panel needs at least {_FEWEST_FAMILIES}"
        )
    y = np.log(rise[use] / (1 - rise[use]))
    design = np.column_stack([np.ones(len(y)), np.log(size[use]), t[use]])
    centre = np.array([0, *design[:, 1:].mean(0)])
    design = design - centre
    if np.linalg.matrix_rank(design) < 3:
        raise FitError(f"{benchmark or 'the panel'}: size or date does not vary, so their effects cannot be told apart")
    counts = family_draws(len(names), replicates, seed)[:, cluster]
    kernels = [same(labels[use])] + ([] if labs is None else [same(np.asarray(labs)[use])])
    mean, mean_draws = mean_line_draws(design, y, kernels, replicates, seed)
    upper = quantile_lines(design, y, np.ones((1, len(y))), quantile)[0]
    upper_draws = quantile_lines(design, y, counts, quantile, _ROUGH_STEPS)
    crossed = np.column_stack([design, design[:, 1] * design[:, 2]])
    interaction = _weighted_lines(crossed, y, counts)[:, 3] * np.log(2) * 365.25
    left_out = [
        (str(name), _doubling(_weighted_line(design, y, (cluster != i).astype(float)))) for i, name in enumerate(names)
    ]
    left_out.sort(key=lambda pair: 1 / pair[1], reverse=True)
    return PanelTrend(
        benchmark,
        len(y),
        len(names),
        int(known.sum() - use.sum()),
        _line(None, mean, mean_draws, centre),
        _line(quantile, upper, upper_draws, centre),
        _percentiles(interaction),
        (left_out[0], left_out[-1]),
    )


def family_draws(families: int, replicates: int, seed: int) -> FloatArray:
    """How often each family is drawn (R, F) when as many families as there are come with replacement."""
    rng = np.random.default_rng([seed, 23])
    return rng.multinomial(families, np.full(families, 1 / families), size=replicates).astype(float)


def mean_line_draws(
    design: FloatArray, y: FloatArray, kernels: Sequence[FloatArray], replicates: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """The least-squares line, and draws of it (R, p) whose covariance is that of errors with common parts."""
    rng = np.random.default_rng([seed, 29])
    inverse = np.linalg.inv(design.T @ design)
    line = inverse @ design.T @ y
    cells = fit_cells(design, y, kernels, share_grid(len(kernels)))
    turns = np.array([np.linalg.cholesky(_square(cell.scale * cell.factor.T @ design @ inverse)) for cell in cells])
    picked = rng.choice(len(cells), replicates, p=[cell.weight for cell in cells])
    freedom = len(y) - design.shape[1]
    student = rng.standard_normal((replicates, len(line))) * np.sqrt(freedom / rng.chisquare(freedom, (replicates, 1)))
    return line, line + np.einsum("rij,rj->ri", turns[picked], student)


def _square(root: FloatArray) -> FloatArray:
    return root.T @ root


def _weighted_lines(design: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Least squares for many sets of weights (R, M) at once; NaN where a set leaves a coefficient open."""
    products = np.einsum("mi,mj->mij", design, design).reshape(len(y), -1)
    p = design.shape[1]
    normal = (weights @ products).reshape(-1, p, p)
    right = weights @ (design * y[:, None])
    sound = np.linalg.cond(normal / np.abs(normal).max((1, 2), keepdims=True)) < 1e12
    lines = np.full((len(weights), p), np.nan)
    lines[sound] = np.linalg.solve(normal[sound], right[sound, :, None])[..., 0]
    return lines


def _weighted_line(design: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray(_weighted_lines(design, y, weights[None])[0])


def quantile_lines(
    design: FloatArray, y: FloatArray, weights: FloatArray, quantile: float, steps: int = _STEPS
) -> FloatArray:
    """Quantile regression for many sets of weights (R, M) at once.

    Each step is a weighted least squares whose solution lies nearer to the minimum of the check function (the
    majorisation of Hunter and Lange 2000), with a tolerance that shrinks from step to step.
    """
    lines = _weighted_lines(design, y, weights)
    products = np.einsum("mi,mj->mij", design, design).reshape(len(y), -1)
    p = design.shape[1]
    spread = np.abs(y - y.mean()).mean()
    for tolerance in spread * np.geomspace(1e-1, 1e-5, steps):
        near = weights / (tolerance + np.abs(y - lines @ design.T))
        normal = (near @ products).reshape(-1, p, p)
        right = near @ (design * y[:, None]) + (2 * quantile - 1) * (weights @ design)
        sound = np.isfinite(lines).all(1)
        lines[sound] = np.linalg.solve(normal[sound], right[sound, :, None])[..., 0]
    return lines


def _line(quantile: float | None, line: FloatArray, draws: FloatArray, centre: FloatArray) -> PanelLine:
    level = float(line[0] - line @ centre)
    with np.errstate(divide="ignore"):
        # Where size does not help, no growth of density is too fast.
        rate = np.where(draws[:, 1] > 0, draws[:, 2] / draws[:, 1], np.sign(draws[:, 2]) * np.inf)
    return PanelLine(quantile, level, float(line[1]), float(line[2]), _percentiles(rate[np.isfinite(draws).all(1)]))


def _percentiles(values: FloatArray) -> Interval:
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, 0.025, method="lower"), np.quantile(known, 0.975, method="higher")
    return interval_of(float(low), float(high), 0.95)


def _doubling(line: FloatArray) -> float:
    return float(np.log(2) * line[1] / line[2])


@dataclass(frozen=True)
class PlainPanel:
    """A score as it is, on log10 of the size and on months, by least squares.

    Attributes
    ----------
    models : int
    level, size, time : float
        Intercept, gain per factor of ten in size, gain per month.
    size_error, time_error : float
        Least-squares standard errors.
    time_error_clustered : float
        With families as clusters.
    r_squared : float
    expected_time : float
        Gain per month if density doubled as in the article: size·log10(2)/doubling.
    """

    models: int
    level: float
    size: float
    time: float
    size_error: float
    time_error: float
    time_error_clustered: float
    r_squared: float
    expected_time: float

    @property
    def verdict(self) -> str:
        """Whether the score shows densing, in a sentence."""
        error = max(self.time_error, self.time_error_clustered)
        found = f"{self.time:+.4f} a month (standard error {error:.4f}) where densing expects {self.expected_time:+.4f}"
        excludes_none, excludes_densing = (
            self.time > 1.96 * error,
            abs(self.time - self.expected_time) > 1.96 * error,
        )
        if excludes_densing and not excludes_none:
            return f"no densing: at a given size the score gains {found}"
        if excludes_none and not excludes_densing:
            return f"densing: at a given size the score gains {found}"
        if excludes_none and self.time < self.expected_time:
            return f"slower than densing: at a given size the score gains {found}"
        if excludes_none:
            return f"faster than densing: at a given size the score gains {found}"
        return f"undecided: at a given size the score gains {found}, and neither zero nor that is excluded"


def plain_panel(
    accuracy: ArrayLike,
    params: ArrayLike,
    dates: ArrayLike | Sequence[str],
    families: ArrayLike,
    *,
    origin: str = "2024-01-01",
    doubling_days: float = ARTICLE_DOUBLING_DAYS,
) -> PlainPanel:
    """Least squares of accuracy on log10 of the size and months since the origin.

    Parameters
    ----------
    accuracy : array, shape (M,)
        Fraction.
    params : array, shape (M,)
        Any unit.
    dates : array of dates, shape (M,)
    families : array of labels, shape (M,)

    Raises
    ------
    FitError
        If size or date does not vary.
    """
    y = np.asarray(accuracy, float)
    days = (np.asarray(dates, "datetime64[D]") - np.datetime64(origin, "D")).astype(float)
    design = np.column_stack([np.ones(len(y)), np.log10(np.asarray(params, float)), days / DAYS_PER_MONTH])
    if len(y) < 5 or np.linalg.matrix_rank(design) < 3:
        raise FitError("size or date does not vary over at least five models, so their effects cannot be told apart")
    inverse = np.linalg.inv(design.T @ design)
    line = inverse @ design.T @ y
    residual = y - design @ line
    freedom = len(y) - 3
    errors = np.sqrt(np.diag(inverse) * (residual**2).sum() / freedom)
    _, cluster = np.unique(np.asarray(families), return_inverse=True)
    sums = np.zeros((cluster.max() + 1, 3))
    np.add.at(sums, cluster, design * residual[:, None])
    groups = len(sums)
    meat = sums.T @ sums * groups / (groups - 1) * (len(y) - 1) / freedom
    clustered = np.sqrt(np.diag(inverse @ meat @ inverse))
    total = ((y - y.mean()) ** 2).sum()
    return PlainPanel(
        len(y),
        float(line[0]),
        float(line[1]),
        float(line[2]),
        float(errors[1]),
        float(errors[2]),
        float(clustered[2]),
        float(1 - (residual**2).sum() / total),
        float(line[1] * np.log10(2) / (doubling_days / DAYS_PER_MONTH)),
    )
