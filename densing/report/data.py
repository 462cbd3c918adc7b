"""The data that a report shows, gathered once: densities, trends, frames, corollaries, prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from densing.article.corollaries import Corollary, compression_table, compute_corollaries, mmlu_change, price_trend
from densing.core.errors import InputError
from densing.density.published import api_prices
from densing.density.sets import write_densities, write_trend
from densing.frame.frame import AVERAGE, ReferenceFrame
from densing.frame.names import ARTICLE_FRAME, RECOMMENDED_FRAME
from densing.frame.store import load_frame, load_frames
from densing.models.registry import ModelEntry, Registry, load_registry, own_folder
from densing.trend.capabilities import Capabilities, compute_capabilities
from densing.trend.change import SlopeChange
from densing.trend.frontier import ORIGIN
from densing.trend.rank import Placement, rank_model
from densing.trend.rulers import FrameRow, compare_frames

if TYPE_CHECKING:
    import pandas as pd

    from densing.trend.exponential import Trend

Rows = Mapping[str, Mapping[str, FrameRow]]
"""Densities and trends by set of models and by name of the frame that reads them."""
SETS = ("registry", "published")
FORECAST_DAYS = 180
"""How far past the last model of its frontier a trend is drawn."""


@dataclass(frozen=True)
class ReportData:
    """Everything that figures, tables and page draw on.

    Attributes
    ----------
    frame : ReferenceFrame
        The reference frame of the headline.
    read : callable
        Returns `rows`; only its first call takes seconds, which what shows no density need not wait for.
    registry : Registry
    highlight : str or None
        A model to point out; it is in the registry.
    artifacts : mapping from name to path
        Relative to the report's folder: where each number of the report stands.
    """

    frame: ReferenceFrame
    read: Callable[[], Rows] = field(repr=False)
    registry: Registry
    highlight: str | None = None
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def rows(self) -> Rows:
        """Densities and trends of each set of models in each frame that can read it.

        Raises
        ------
        InputError
            If no model can be read in the frame of the headline.
        """
        return self.read()

    @cached_property
    def prices(self) -> pd.DataFrame:
        """Prices of models per token, by date."""
        return api_prices()

    @cached_property
    def price_trend(self) -> Trend:
        """How fast the cheapest price falls."""
        return price_trend()

    @cached_property
    def change(self) -> SlopeChange:
        """Before and after ChatGPT on the article's MMLU panel."""
        return mmlu_change()

    @cached_property
    def compression(self) -> pd.DataFrame:
        """Compressed models and their parents."""
        return compression_table()

    @cached_property
    def corollaries(self) -> list[Corollary]:
        """What follows from the trend of the article's models."""
        published = self.rows.get("published", {}).get(ARTICLE_FRAME)
        return compute_corollaries(published.trend if published else None, prices=self.price_trend, change=self.change)

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

    @cached_property
    def capabilities(self) -> Capabilities:
        """Doubling times of the registry's models since Llama-1, by benchmark and ruler."""
        return compute_capabilities(self.registry, since=ORIGIN)

    @cached_property
    def card(self) -> Placement | None:
        """Where the model to point out stands; None without one, without its date, or with nothing to rank it among."""
        if self.highlight is None:
            return None
        chosen, date = self.row(self.main_set).densities, self.registry.entry(self.highlight).release_date
        found = next((one for one in chosen.details if one.model == self.highlight), None)
        if found is None or date is None or len(chosen.details) < 2:
            return None
        return rank_model(found, date, chosen)


def gather(
    frame: str = RECOMMENDED_FRAME,
    *,
    highlight: str | None = None,
    registry: Path | None = None,
    seed: int = 0,
    every_frame: bool = True,
) -> ReportData:
    """Check what a report is asked to show, and say how the rest of it is computed when it is wanted.

    Parameters
    ----------
    frame : str
        Name of the headline's reference frame.
    every_frame : bool
        Whether the models are read in all other frames with the same benchmarks too.
    highlight : str, optional
        A model of the registry to point out.
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.
    seed : int
        Seed of the intervals.

    Raises
    ------
    InputError
        If a name is unknown, or the highlighted model has no density.
    """
    main = load_frame(frame)
    registry = (registry or own_folder()).absolute()  # read later too, from wherever
    known = load_registry(registry)
    if highlight is not None:
        highlight = known.entry(highlight).model
        scores = known.subject(highlight).scores
        if main.headline == AVERAGE:
            lacks, needed = main.average_score(scores) is None, f"scores on {', '.join(main.spec.average)}"
        else:
            lacks, needed = not set(scores) & set(main.parts), f"a score on any of {', '.join(main.parts)}"
        if lacks:
            raise InputError(f"{highlight} has no density in frame {frame}: it needs {needed}")
    return ReportData(main, cache(partial(_read, main, every_frame, registry, seed)), known, highlight)


def _read(main: ReferenceFrame, every_frame: bool, registry: Path | None, seed: int) -> Rows:
    others = [other for other in load_frames() if other.name != main.name] if every_frame else []
    frames = [main, *(other for other in others if set(other.benchmarks) == set(main.benchmarks))]
    rows: dict[str, dict[str, FrameRow]] = {}
    problems = []
    for which in SETS:
        try:
            found = compare_frames(frames, which, registry=registry, seed=seed)
        except InputError as error:
            problems.append(str(error))
            continue
        rows[which] = {row.frame.name: row for row in found}
    if not rows:
        raise InputError("; ".join(problems))
    return rows


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
