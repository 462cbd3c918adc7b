"""A fit with its intervals, bootstrap, held-out errors and residuals, as text and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from densing.core.intervals import Interval, percentile_interval
from densing.fit.bootstrap import Kind, resample
from densing.fit.hold_out import hold_out_largest, hold_out_scores, leave_one_size_out, predict_scores
from densing.fit.loss_law.fit import LossLawFit
from densing.fit.loss_law.law import CONSTANTS
from densing.fit.score_curve.curve import CURVE_CONSTANTS
from densing.fit.score_curve.fit import ScoreCurveFit
from densing.fit.status import FitError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FitSummary:
    """What `densing fit` prints.

    Attributes
    ----------
    fit : LossLawFit or ScoreCurveFit
        The fit that is summarised.
    likelihood : mapping from constant to Interval
        Likelihood intervals.
    bootstrap : mapping from constant to Interval
        Percentile intervals of the bootstrap; empty without replicates.
    switched : float
        Share of the replicates that have no optimum like the best one, 0 to 1.
    tables : mapping from title to DataFrame
        Held-out errors and residuals.
    """

    fit: LossLawFit | ScoreCurveFit
    likelihood: Mapping[str, Interval]
    bootstrap: Mapping[str, Interval] = field(default_factory=dict)
    switched: float = 0.0
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        return {
            "status": str(self.fit.status),
            "notes": self.fit.notes,
            "optima": self.fit.to_frame().to_dict("records"),
            "likelihood_intervals": {name: vars(interval) for name, interval in self.likelihood.items()},
            "bootstrap_intervals": {name: (drawn.low, drawn.high) for name, drawn in self.bootstrap.items()},
            "switched": self.switched,
            **{title: table.to_dict("records") for title, table in self.tables.items()},
        }

    def __str__(self) -> str:
        lines = [str(self.fit), "95% intervals: by likelihood, by bootstrap"]
        for name in dict.fromkeys([*self.likelihood, *self.bootstrap]):
            interval, drawn = self.likelihood.get(name), self.bootstrap.get(name)
            lines.append(f"  {name:11} {interval or ''!s:26} {drawn or ''}".rstrip())
            if interval and len(interval.pieces) > 1:
                pieces = ", ".join(f"{low:.4g} to {high:.4g}" for low, high in interval.pieces)
                lines.append(f"  {'':11} in {len(interval.pieces)} pieces: {pieces}")
        if self.switched:
            lines.append(f"  in {self.switched:.0%} of the replicates no optimum is like the best one")
        for title, table in self.tables.items():
            text = table.to_string(index=False, float_format=lambda value: f"{value:.5g}")
            lines.append(f"\n{title.replace('_', ' ')}\n{text}")
        return "\n".join(lines)


def summarise_loss_fit(
    fit: LossLawFit,
    *,
    tokens: float | None = None,
    kind: Kind = "clusters",
    groups: ArrayLike | None = None,
    replicates: int = 1000,
    hold_out: int = 0,
    scores: ArrayLike | None = None,
    seed: int = 0,
) -> FitSummary:
    """Work out the intervals of every constant, and the tables that were asked for.

    Parameters
    ----------
    fit : LossLawFit
        The fit to summarise.
    tokens : float, optional
        D₀ at which the data floor is added to the quantities with an interval.
    kind : {"points", "clusters", "residuals"}
        What the bootstrap resamples.
    groups : array, shape (n,), optional
        Cluster of each point for resampling clusters; the sizes where not given.
    replicates : int
        Replicates of the bootstrap; none with 0.
    hold_out : int
        How many of the largest sizes to predict from the others; adds the table that leaves out one size
        at a time.
    scores : array, shape (n,), optional
        Scores in percent, which `hold_out` then predicts beside the losses.
    seed : int
        Seed of the bootstrap.
    """
    import pandas as pd

    likelihood = {name: fit.interval(name) for name in fit.fitted_constants}
    if tokens is not None:
        likelihood["data_floor"] = fit.interval("data_floor", tokens=tokens)
    bootstrap, switched = {}, 0.0
    if replicates:
        members = fit.params[np.argsort(fit.rows)] if groups is None else groups
        draws = fit.bootstrap(resample(kind, len(fit.loss), replicates, np.random.default_rng(seed), members))
        drawn = {name: percentile_interval(draws.best[:, i]) for i, name in enumerate(CONSTANTS)}
        bootstrap = {name: drawn[name] for name in fit.fitted_constants}
        switched = float(np.isnan(draws.at(0)[:, 0]).mean())
    tables = {}
    if hold_out:
        tables["left_out"] = hold_out_largest(fit, hold_out)
        if scores is not None:
            try:
                tables["scores_left_out"] = hold_out_scores(fit, scores, hold_out)
            except FitError as error:  # small rungs at chance make no curve; their losses are predicted all the same
                tables["scores_left_out"] = pd.DataFrame([{"note": str(error)}])
        tables["one_size_left_out"] = leave_one_size_out(fit)
    return FitSummary(fit, likelihood, bootstrap, switched, tables | {"residuals": fit.residuals()})


def summarise_score_fit(
    fit: ScoreCurveFit,
    held_out: pd.DataFrame,
    *,
    kind: Kind = "points",
    replicates: int = 1000,
    seed: int = 0,
) -> FitSummary:
    """Work out the intervals of the curve's constants, predictions of held-out checkpoints, and residuals.

    Parameters
    ----------
    fit : ScoreCurveFit
        The fit to summarise.
    held_out : DataFrame
        Checkpoints that took no part in the fit, with columns loss and score; may be empty.
    kind : {"points", "residuals"}
        What the bootstrap resamples.
    replicates : int
        Replicates of the bootstrap; none with 0.
    seed : int
        Seed of the bootstrap.
    """
    likelihood = {name: fit.interval(name) for name in ("gamma", "l")}
    bootstrap = {}
    if replicates:
        draws = fit.bootstrap(resample(kind, len(fit.loss), replicates, np.random.default_rng(seed)))
        bootstrap = {name: percentile_interval(draws.best[:, i]) for i, name in enumerate(CURVE_CONSTANTS)}
    tables = {"held_out": predict_scores(fit, held_out["loss"], held_out["score"])} if len(held_out) else {}
    return FitSummary(fit, likelihood, bootstrap, 0.0, tables | {"residuals": fit.residuals()})
