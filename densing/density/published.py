"""What the article published, as tables: densities, trend lines, prices. See data/densing_law_2025/README.md."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from densing.core.errors import unknown
from densing.core.paths import DATA
from densing.frame.names import ARTICLE_FRAME

if TYPE_CHECKING:
    import pandas as pd

    from densing.frame.frame import ReferenceFrame
    from densing.models.subject import Subject

FOLDER = DATA / "densing_law_2025"
MAIN_PANEL = "five_benchmarks"
CREDIT = "Xiao et al. 2025, doi 10.1038/s42256-025-01137-0, CC BY 4.0, values read from its figures"
"""What is to be written beside anything that shows the article's numbers."""


@lru_cache(maxsize=8)
def _table(name: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(FOLDER / name)


def published_densities(panel: str = MAIN_PANEL) -> pd.DataFrame:
    """Densities of one panel: model, release_date, params, architecture, variant, density, on_published_envelope.

    Parameters
    ----------
    panel : {"five_benchmarks", "mmlu_cf", "mmlu", "compression"}
        Fig. 1, Fig. 2, Fig. 3c and Fig. 3b of the article.
    """
    table = _table("published_densities.csv")
    if panel not in set(table["panel"]):
        raise unknown("panel", panel, table["panel"].unique())
    return table[table["panel"] == panel].reset_index(drop=True)


def published_trends() -> pd.DataFrame:
    """The article's drawn trend lines: panel, first_date, last_date, slope_per_day."""
    return _table("published_trends.csv").copy()


def api_prices() -> pd.DataFrame:
    """Prices of the article's price panel, US dollars per million input tokens."""
    return _table("api_prices.csv").copy()


def published_subjects(frame: ReferenceFrame | None = None) -> list[Subject]:
    """Models of the main panel with the average score that their published density stands for.

    The article prints densities, not the scores behind them. The effective size of a published density,
    carried forward through the frame of the article's own points, gives that score, and any frame can
    read it. Sparse models are weighed by the article's formula with the active parameters of the
    registry, quantised ones at 4 bits.

    Parameters
    ----------
    frame : ReferenceFrame, optional
        Frame that the published densities are read in; ``densing-law-2025`` where not given.
    """
    return list(_published_subjects()) if frame is None else _subjects_in(frame)


@lru_cache(maxsize=1)
def _published_subjects() -> tuple[Subject, ...]:
    return tuple(_subjects_in(article_frame()))


@lru_cache(maxsize=1)
def article_frame() -> ReferenceFrame:
    """The frame of the article's own points, in which its densities are read."""
    from densing.frame.store import load_frame

    return load_frame(ARTICLE_FRAME)


def _subjects_in(frame: ReferenceFrame) -> list[Subject]:
    from densing.density.densities import DEFAULT_HARDWARE
    from densing.density.weighing import load_hardware, weigh
    from densing.frame.frame import AVERAGE
    from densing.models.registry import load_registry
    from densing.models.size import Size
    from densing.models.subject import Subject

    labels = {entry.published_label: entry for entry in load_registry(FOLDER / "none").models.values()}
    hardware = load_hardware(DEFAULT_HARDWARE)
    subjects = []
    for row in published_densities().itertuples():
        entry = labels.get(str(row.model))
        params = float(row.params)  # type: ignore[arg-type]
        bits = 4.0 if row.variant == "quantised" else 16.0
        active = entry.size.active if entry and row.architecture == "moe" else None
        size = Size(non_embedding=params, active=active, weight_bits=bits)
        weighed = params
        if bits < 16 or (active is not None and active < params):
            weighed = weigh(hardware, params, bits).size(params, active, bits)
        score = float(frame.score_at(float(row.density) * weighed))  # type: ignore[arg-type]
        subjects.append(Subject(str(row.model), size, {AVERAGE: score}))
    return subjects
