"""One set of models under several frames: how much of a doubling time is the choice of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.density.sets import INCOMPLETE, DensitySet, compute_density_set
from densing.fit.status import FitError
from densing.frame.frame import ReferenceFrame
from densing.trend.exponential import Trend, doubling_text, fit_density_trend, models_left_out

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
        With its full and its conditional interval; None when too few models are in range.
    reason : str
        Why there is no trend, or why its slope is not an estimate.
    """

    frame: ReferenceFrame = field(repr=False)
    densities: DensitySet = field(repr=False)
    trend: Trend | None
    reason: str = ""

    @property
    def identified(self) -> Trend | None:
        """The trend where its slope is an estimate; None where there is none or its frontier is censored."""
        return None if self.trend is None or self.trend.censored else self.trend

    @property
    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Names of the models that take no part in the trend, by reason."""
        of = self.densities
        incomplete = {INCOMPLETE: tuple(of.incomplete)} if of.incomplete else {}
        own = models_left_out(of.names, of.dates, of.values) if self.trend is None else self.trend.left_out
        return {**own, **incomplete}

    def to_dict(self) -> dict[str, Any]:
        """The row's numbers."""
        shown = self.frame.shown
        law, fit = self.frame.law(shown), self.frame.law_fit(shown)
        row: dict[str, Any] = {
            "frame": self.frame.name,
            "law_of": shown,
            "D0": self.frame.spec.tokens,
            "tokens_per_param": self.frame.spec.tokens_per_param,
            "alpha": law.alpha,
            "beta": law.beta,
            "E": law.E,
            "data_floor": float(self.frame.reading.floors(law.constants)[0]),
            "sum_of_squares": fit.optima[self.frame.optimum(shown)].objective,
            "optima": len(fit.optima),
            "in_range": int(self.densities.in_range.sum()),
            "models": len(self.densities.names),
            "left_out": {reason: list(names) for reason, names in self.left_out.items()},
            "reason": self.reason,
        }
        if self.trend is None:
            return row
        numbers = self.trend.to_dict()
        return row | {
            key: numbers[key]
            for key in (
                "on_frontier", "identified", "doubling_days", "doubling_days_low", "doubling_days_high",
                "doubling_days_low_conditional", "doubling_days_high_conditional", "missing_share",
                "out_of_range_share", "missing_share_conditional", "out_of_range_share_conditional",
            )
        }  # fmt: skip

    @property
    def texts(self) -> tuple[str, str, str]:
        """Doubling or halving time, its full and its conditional interval, for people."""
        if self.trend is None:
            return "no trend", "–", "–"
        if self.trend.censored:
            return "not identified", "–", "–"
        days, conditional = self.trend.doubling_time_days, self.trend.doubling_interval_conditional_days
        return (
            f"{days:.0f} days" if days > 0 else f"halving in {-days:.0f} days",
            doubling_text(self.trend.doubling_interval_days),
            "–" if conditional is None else doubling_text(conditional),
        )

    @property
    def shares_texts(self) -> tuple[str, str]:
        """What share of the draws behind the full and behind the conditional interval has no value."""
        if self.trend is None:
            return "–", "–"
        shares = (self.trend.shares, self.trend.shares_conditional)
        return str(shares[0] or "–"), str(shares[1] or "–")


def compare_frames(
    frames: Sequence[ReferenceFrame],
    models: str = "published",
    *,
    registry: Path | None = None,
    replicates: int = 4_000,
    seed: int = 0,
) -> list[FrameRow]:
    """Densities and doubling time of one set of models under each frame.

    Parameters
    ----------
    frames : sequence of ReferenceFrame
    models : {"published", "registry"}
        See `densing.density.sets.compute_density_set`.
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.
    replicates : int
        How many frontiers the interval of each trend is made of.
    seed : int
        Seed of those frontiers.
    """
    rows = []
    for frame in frames:
        chosen = compute_density_set(frame, models, registry=registry)
        try:
            trend = fit_density_trend(chosen, replicates=replicates, seed=seed)
        except FitError as error:
            rows.append(FrameRow(frame, chosen, None, str(error)))
            continue
        rows.append(FrameRow(frame, chosen, trend, trend.censored))
    return rows


def densities_side_by_side(rows: Sequence[FrameRow], models: Sequence[str]) -> pd.DataFrame:
    """Densities of some models, a column per frame: the value or its bound, with the full interval."""
    import pandas as pd

    table = []
    for model in models:
        cells = {"model": model}
        for row in rows:
            found = next((one for one in row.densities.details if one.model == model), None)
            cells[row.frame.name] = f"{found.text} ({found.interval})" if found else "–"
        table.append(cells)
    return pd.DataFrame(table)
