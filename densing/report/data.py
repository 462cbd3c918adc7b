"""What a report is made of, gathered once: densities, trends, frames, corollaries, prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from densing.article.corollaries import Corollary, compression_table, compute_corollaries, mmlu_change, price_trend
from densing.core.errors import InputError
from densing.density.densities import Density
from densing.density.published import api_prices
from densing.density.sets import write_densities, write_trend
from densing.frame.frame import ReferenceFrame
from densing.frame.store import built_frames, frame_names, load_frame
from densing.models.registry import ModelEntry, Registry, load_registry
from densing.trend.change import SlopeChange
from densing.trend.rulers import FrameRow, compare_frames

if TYPE_CHECKING:
    import pandas as pd

    from densing.trend.exponential import Trend

SETS = ("registry", "published")


@dataclass(frozen=True)
class ReportData:
    """Everything that figures, tables and page draw on.

    Attributes
    ----------
    frame : ReferenceFrame
        The frame of the headline.
    rows : mapping from set to frame name to FrameRow
        Densities and trends of each set of models in each frame that can read it.
    registry : Registry
    corollaries : list of Corollary
    compression, prices : DataFrame
    price_trend : Trend
    change : SlopeChange
        Before and after ChatGPT on the article's MMLU panel.
    highlight : str or None
        A model to point out; it is in the registry.
    artifacts : mapping from name to path
        Relative to the report's folder: where each number of the report stands.
    """

    frame: ReferenceFrame
    rows: Mapping[str, Mapping[str, FrameRow]]
    registry: Registry
    corollaries: Sequence[Corollary]
    compression: pd.DataFrame
    prices: pd.DataFrame
    price_trend: Trend
    change: SlopeChange
    highlight: str | None = None
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def main_set(self) -> str:
        """The set of the headline figure: the registry, or what there is."""
        return next(name for name in SETS if self.frame.name in self.rows.get(name, {}))

    def row(self, which: str) -> FrameRow:
        """The headline frame's reading of a set."""
        return self.rows[which][self.frame.name]

    def entry(self, model: str) -> ModelEntry | None:
        """The registry's row of a model, by its name or by that in the article's figures."""
        try:
            return self.registry.entry(model)
        except InputError:
            return None

    @property
    def card(self) -> tuple[Density, dt.date | None] | None:
        """Density and release date of the model to point out."""
        if self.highlight is None:
            return None
        details = self.row(self.main_set).densities.details
        found = next((d for d in details if d.model == self.highlight), None)
        entry = self.registry.entry(self.highlight)
        return (found, entry.release_date) if found is not None else None


def gather(frame: str = "densing-law-2025", *, highlight: str | None = None, seed: int = 0) -> ReportData:
    """Compute everything a report needs.

    Parameters
    ----------
    frame : str
        Of the headline; the comparison takes all frames with the same benchmarks.
    highlight : str, optional
        A model of the registry to point out.

    Raises
    ------
    InputError
        If a name is unknown, or no model can be read in the frame.
    """
    main = load_frame(frame)
    registry = load_registry()
    if highlight is not None:
        highlight = registry.entry(highlight).model
        if main.average_score(registry.subject(highlight).scores) is None:
            needed = ", ".join(main.spec.average)
            raise InputError(f"{highlight} has no density in frame {frame}: it needs scores on {needed}")
    others = [load_frame(name) for name in (*frame_names(), *built_frames()) if name != frame]
    frames = [main, *(other for other in others if set(other.benchmarks) == set(main.benchmarks))]
    rows: dict[str, dict[str, FrameRow]] = {}
    problems = []
    for which in SETS:
        try:
            found = compare_frames(frames, which, seed=seed)
        except InputError as error:
            problems.append(str(error))
            continue
        rows[which] = {row.frame.name: row for row in found}
    if not rows:
        raise InputError("; ".join(problems))
    paid, change = price_trend(), mmlu_change()
    published = rows.get("published", {}).get(frame)
    return ReportData(
        main,
        rows,
        registry,
        compute_corollaries(published.trend if published else None, prices=paid, change=change),
        compression_table(),
        api_prices(),
        paid,
        change,
        highlight,
    )


def write_artifacts(data: ReportData, folder: Path) -> dict[str, Path]:
    """Write the densities and trends that the report shows, and say where each stands.

    Returns
    -------
    dict
        Name to path relative to `folder`.
    """
    written: dict[str, Path] = {}
    for by_frame in data.rows.values():
        for row in by_frame.values():
            name = row.densities.label
            written[f"densities/{name}"] = Path("data") / "densities" / f"{name}.csv"
            write_densities(folder / written[f"densities/{name}"], row.densities)
            if row.trend is not None:
                written[f"trends/{name}"] = Path("data") / "trends" / f"{name}.json"
                write_trend(folder / written[f"trends/{name}"], row.trend, row.densities)
    return written
