"""The contents of a report: every figure and every table is one row, from which reports, help and messages are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from densing.core.errors import unknown

if TYPE_CHECKING:
    from densing.report.data import ReportData


class Needs(Enum):
    """What the function behind a figure or a table is called with."""

    FRAME = "the reference frame of the headline"
    PUBLISHED = "what the report holds without a density: the registry, and what the article published"
    REPORT = "everything the report is made of"
    SET = "everything, and the name of a set of models; it is made once for each set"
    FRAMES = "the same, with the set read in every frame"
    TREND = "the same, for each set that has a trend in the frame of the headline"
    HIGHLIGHT = "everything, with a model to point out; without one it is not made"

    @property
    def densities(self) -> bool:
        """Whether densities have to be computed first."""
        return self not in (Needs.FRAME, Needs.PUBLISHED)


@dataclass(frozen=True)
class Part:
    """A figure or a table of a report.

    Attributes
    ----------
    function : str
        ``module:function`` under `densing.report`, imported when it is wanted.
    needs : Needs
        What the function is called with.
    shows : str
        One sentence for help and messages.
    """

    function: str
    needs: Needs
    shows: str

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(import_module(f"densing.report.{module}"), name)
        return function


FIGURES: Mapping[str, Part] = {
    "density": Part(
        "figures.density_over_time:trend_figure", Needs.SET,
        "The densities of a set of models over time, with the frontier and its trend.",
    ),
    "frames": Part(
        "figures.frames:frames_figure", Needs.FRAMES,
        "The doubling time of a set of models under every reference frame.",
    ),
    "capabilities": Part(
        "figures.capabilities:capabilities_figure", Needs.PUBLISHED,
        "Which capabilities get denser: the doubling time of every benchmark by ladders and without one.",
    ),
    "ratios": Part(
        "figures.ratios:ratios_figure", Needs.TREND,
        "The models on the frontier of a set over the highlighted model, or over the last of them.",
    ),
    "backtest": Part(
        "figures.backtest:backtest_figure", Needs.TREND,
        "What earlier forecasts of the densest model said, beside what came.",
    ),
    "ladder": Part(
        "figures.loss_law:ladder_figure", Needs.FRAME,
        "The loss against training compute, with every optimum of the loss law.",
    ),
    "score_curves": Part(
        "figures.score_curve:curves_figure", Needs.FRAME,
        "The score against the loss, with the curve's 95% band and held-out checkpoints.",
    ),
    "profiles": Part(
        "figures.profiles:profile_figure", Needs.FRAME,
        "The objective of the loss law along its exponent α.",
    ),
    "known_sizes": Part(
        "figures.known_sizes:known_sizes_figure", Needs.PUBLISHED,
        "The sizes that OLMo's ladder gives models of known size, over the true ones.",
    ),
    "compression": Part(
        "figures.compression:compression_figure", Needs.PUBLISHED,
        "Compressed models beside the models they were made from.",
    ),
    "prices": Part(
        "figures.prices:price_figure", Needs.PUBLISHED,
        "Prices per token over time, and how fast the cheapest falls.",
    ),
    "before_after_chatgpt": Part(
        "figures.slope_change:change_figure", Needs.PUBLISHED,
        "Densities on MMLU before and after ChatGPT, each with its own trend.",
    ),
    "card": Part(
        "figures.card:card_figure", Needs.HIGHLIGHT,
        "The highlighted model among its neighbours in density.",
    ),
}  # fmt: skip
"""Every figure by the name of its files; one that needs a set has the set's name behind its own."""

TABLES: Mapping[str, Part] = {
    "densities": Part("tables:densities_table", Needs.SET, "The density of every model of a set, the densest first."),
    "frames": Part("tables:frames_table", Needs.FRAMES, "The doubling time of a set of models under every frame."),
    "trend": Part("tables:trend_table", Needs.TREND, "The models on the frontier of a set, and the line through them."),
    "corollaries": Part("tables:corollaries_table", Needs.REPORT, "What follows from the trend, beside the article."),
    "capabilities": Part(
        "tables:capabilities_table", Needs.PUBLISHED, "Which capabilities get denser, by ladders and without one."
    ),
    "compression": Part("tables:compression_table", Needs.PUBLISHED, "Compressed models and their parents."),
    "harnesses": Part(
        "tables:harnesses_table", Needs.PUBLISHED, "How far vendors' scores lie above those of a harness."
    ),
}
"""Every table by the name of its files, in the same way."""


def chosen_parts(only: Sequence[str]) -> tuple[dict[str, Part], dict[str, Part]]:
    """Return the figures and the tables of some names; all of them where none is named.

    Raises
    ------
    InputError
        If a name is neither a figure's nor a table's.
    """
    for name in only:
        if name not in FIGURES and name not in TABLES:
            raise unknown("figure or table", name, sorted({*FIGURES, *TABLES}))
    figures, tables = (
        {name: part for name, part in parts.items() if not only or name in only} for parts in (FIGURES, TABLES)
    )
    return figures, tables


def made_of(parts: Mapping[str, Part], data: ReportData, **options: Any) -> dict[str, Callable[[], Any]]:
    """Return what makes each figure or table that the data allow, by the name of its files.

    Parameters
    ----------
    options
        Passed on to every function, as the width of figures.
    """
    return {
        name: partial(_make, part, arguments, options)
        for place, part in parts.items()
        for name, arguments in _calls(place, part.needs, data).items()
    }


def _make(part: Part, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    return part.load()(*arguments, **options)


def _calls(name: str, needs: Needs, data: ReportData) -> dict[str, tuple[Any, ...]]:
    """Arguments of each call of a part, by the name of the files that it fills."""
    if needs is Needs.FRAME:
        return {name: (data.frame,)}
    if needs in (Needs.PUBLISHED, Needs.REPORT) or (needs is Needs.HIGHLIGHT and data.card is not None):
        return {name: (data,)}
    if needs in (Needs.SET, Needs.FRAMES):
        return {f"{name}_{which}": (data, which) for which in data.rows}
    if needs is Needs.TREND:
        return {f"{name}_{which}": (data, which) for which in data.rows if data.row(which).trend is not None}
    return {}
