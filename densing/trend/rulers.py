"""One set of models under every frame: how much of a headline is the ruler's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.core.intervals import Interval, hull
from densing.density.sets import DensitySet, density_set
from densing.fit.status import FitError
from densing.frame.frame import ReferenceFrame
from densing.trend.exponential import Trend, doubling_interval, doubling_text, fit_trend

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FrameRow:
    """A frame's reading of the models.

    Attributes
    ----------
    frame : ReferenceFrame
    densities : DensitySet
    trend : Trend or None
        With the frame's own optimum in its interval; None when too few models are in range.
    across : Trend or None
        The same with the optima that the replicates prefer.
    reason : str
        Why there is no trend.
    """

    frame: ReferenceFrame = field(repr=False)
    densities: DensitySet = field(repr=False)
    trend: Trend | None
    across: Trend | None
    reason: str = ""

    @property
    def doubling_all_optima(self) -> Interval:
        """95% interval of the doubling time whatever the optimum, days."""
        assert self.trend is not None
        assert self.across is not None
        return doubling_interval(hull(self.trend.interval, self.across.interval), falling=self.trend.slope_per_day < 0)

    def to_dict(self) -> dict[str, Any]:
        """The row's numbers."""
        law = self.frame.law()
        row: dict[str, Any] = {
            "frame": self.frame.name,
            "D0": self.frame.spec.tokens,
            "alpha": law.alpha,
            "beta": law.beta,
            "E": law.E,
            "data_floor": float(law.data_floor(self.frame.spec.tokens)),
            "sum_of_squares": law.objective,
            "optima": len(self.frame.law_fit().optima),
            "in_range": int(np.isfinite(self.densities.values).sum()),
            "models": len(self.densities.names),
        }
        if self.trend is None or self.across is None:
            return row | {"reason": self.reason}
        within, across = self.trend.doubling_interval_days, self.doubling_all_optima
        return row | {
            "on_frontier": len(self.trend.members),
            "doubling_days": self.trend.doubling_time_days,
            "doubling_low": within.low,
            "doubling_high": within.high,
            "doubling_low_all_optima": across.low,
            "doubling_high_all_optima": across.high,
            "out_of_range_share": self.trend.out_of_range_share,
            "out_of_range_share_all_optima": self.across.out_of_range_share,
        }

    @property
    def texts(self) -> tuple[str, str, str]:
        """Doubling or halving time, its interval at the frame's optimum, and over all optima, for people."""
        if self.trend is None or self.across is None:
            return "–", self.reason, ""
        days = self.trend.doubling_time_days
        return (
            f"{days:.0f} days" if days > 0 else f"halving in {-days:.0f} days",
            doubling_text(self.trend.doubling_interval_days),
            doubling_text(self.doubling_all_optima),
        )


def compare_frames(
    frames: Sequence[ReferenceFrame], models: str = "published", *, replicates: int = 4_000, seed: int = 0
) -> list[FrameRow]:
    """Densities and doubling time of one set of models under each frame.

    Parameters
    ----------
    frames : sequence of ReferenceFrame
    models : {"published", "registry"}
        See `densing.density.sets.density_set`.
    replicates : int
        Of each trend's interval.
    """
    rows = []
    for frame in frames:
        chosen = density_set(frame, models)
        try:
            trend = fit_trend(chosen.dates, chosen.values, models=chosen.names, replicates=replicates, seed=seed)
        except FitError as error:
            rows.append(FrameRow(frame, chosen, None, None, str(error)))
            continue
        assert chosen.draws is not None
        assert chosen.draws_across is not None
        rows.append(FrameRow(frame, chosen, trend.with_draws(chosen.draws), trend.with_draws(chosen.draws_across)))
    return rows


def densities_side_by_side(rows: Sequence[FrameRow], models: Sequence[str]) -> pd.DataFrame:
    """Densities of some models, a column per frame: the value or its bound, with the interval at its optimum."""
    import pandas as pd

    table = []
    for model in models:
        cells = {"model": model}
        for row in rows:
            found = row.densities.details[row.densities.names.index(model)]
            cells[row.frame.name] = f"{found.text} ({found.interval_within})"
        table.append(cells)
    return pd.DataFrame(table)
