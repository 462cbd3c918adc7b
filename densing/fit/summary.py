"""A fit with its intervals, bootstrap, held-out errors and residuals, as text and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from densing.fit.bootstrap import Kind, resample
from densing.fit.hold_out import hold_out_largest, hold_out_scores, leave_one_size_out, predict_scores
from densing.fit.loss_law.law import CONSTANTS, LossLawFit
from densing.fit.profile import Interval
from densing.fit.score_curve.curve import CURVE_CONSTANTS, ScoreCurveFit
from densing.fit.status import FitError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FitSummary:
    """What `densing fit` prints.

    Attributes
    ----------
    fit : LossLawFit or ScoreCurveFit
    likelihood : mapping from constant to Interval
    bootstrap : mapping from constant to (low, high)
        Empty without replicates.
    switched : float
        Share of the replicates that have no optimum like the best one.
    tables : mapping from title to DataFrame
    """

    fit: LossLawFit | ScoreCurveFit
    likelihood: Mapping[str, Interval]
    bootstrap: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    switched: float = 0.0
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Data for machines."""
        notes = self.fit.reasons if isinstance(self.fit, LossLawFit) else self.fit.notes
        return {
            "status": str(self.fit.status),
            "notes": notes,
            "optima": self.fit.to_frame().to_dict("records"),
            "likelihood_intervals": {name: vars(interval) for name, interval in self.likelihood.items()},
            "bootstrap_intervals": dict(self.bootstrap),
            "switched": self.switched,
            **{title: table.to_dict("records") for title, table in self.tables.items()},
        }

    def __str__(self) -> str:
        lines = [str(self.fit), "95% intervals: by likelihood, by bootstrap"]
        for name in dict.fromkeys([*self.likelihood, *self.bootstrap]):
            interval, drawn = self.likelihood.get(name), self.bootstrap.get(name)
            shown = f"{drawn[0]:.4g} to {drawn[1]:.4g}" if drawn else ""
            lines.append(f"  {name:11} {interval or ''!s:26} {shown}".rstrip())
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
    """Intervals of every constant, and the tables that were asked for.

    Parameters
    ----------
    fit : LossLawFit
    tokens : float, optional
        D₀: adds the data floor there.
    kind, groups, replicates, seed
        Of the bootstrap; groups are the sizes where not given.
    hold_out : int
        Largest sizes to predict from the others; adds the table that leaves out one size at a time.
    scores : array, shape (n,), optional
        Percent: what `hold_out` predicts beside the losses.
    """
    import pandas as pd

    names = [name for name in CONSTANTS if name in fit.to_frame().columns]
    likelihood = {name: fit.interval(name) for name in names}
    if tokens is not None:
        likelihood["data_floor"] = fit.interval("data_floor", tokens=tokens)
    bootstrap, switched = {}, 0.0
    if replicates:
        members = fit.params[np.argsort(fit.rows)] if groups is None else groups
        draws = fit.bootstrap(resample(kind, len(fit.loss), replicates, np.random.default_rng(seed), members))
        low, high = np.nanquantile(draws.best, [0.025, 0.975], axis=0)
        bootstrap = {name: (float(low[i]), float(high[i])) for i, name in enumerate(CONSTANTS) if name in names}
        switched = float(np.isnan(draws.at(0, fit.modes)[:, 0]).mean())
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
    """Intervals of the curve's constants, predictions of held-out checkpoints, residuals.

    Parameters
    ----------
    held_out : DataFrame
        Columns loss and score; may be empty.
    """
    likelihood = {name: fit.profile(name).interval for name in ("gamma", "l")}
    bootstrap = {}
    if replicates:
        draws = fit.bootstrap(resample(kind, len(fit.loss), replicates, np.random.default_rng(seed)))
        low, high = np.nanquantile(draws.best, [0.025, 0.975], axis=0)
        bootstrap = {name: (float(low[i]), float(high[i])) for i, name in enumerate(CURVE_CONSTANTS)}
    tables = {"held_out": predict_scores(fit, held_out["loss"], held_out["score"])} if len(held_out) else {}
    return FitSummary(fit, likelihood, bootstrap, 0.0, tables | {"residuals": fit.residuals()})
