"""What the page shows, as plain data: numbers as the artifacts hold them, texts as the tables print them.

The page's script draws, filters and sorts; it computes none of these numbers.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from densing.core.arrays import FloatArray
from densing.core.artifacts import finite
from densing.core.intervals import Interval
from densing.core.units import short_count
from densing.density.densities import Density
from densing.density.published import CREDIT, published_densities
from densing.models.registry import ScoreEntry
from densing.report.data import FORECAST_DAYS, ReportData
from densing.trend.exponential import Trend, left_out_lines, two_digits
from densing.trend.frontier import date_of, days_since
from densing.trend.rank import rank_all
from densing.trend.rulers import FrameRow

DRAWS_BYTES = 2_400_000
"""The draws of all densities together; where they would be more, each density has fewer of them."""
_STEP = 1 / 1000
"""Draws are kept as whole multiples of this, in ln ρ: a ratio is off by 0.05% at most."""
_MISSING, _CHANCE, _BEYOND = -32768, -32767, 32767


class SharedTexts:
    """Keeps each text that many rows share once; a row holds its place."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Return where a text stands in `all`."""
        return self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> list[str]:
        """Every text, in the order of its first use."""
        return list(self._places)


def page_data(data: ReportData) -> dict[str, Any]:
    """Return everything the page shows, ready for JSON; numbers that are not finite are None.

    Returns
    -------
    dict
        ``set`` and ``frame`` to start with, ``frames`` (settings by name), ``sets`` (models
        and their readings in each frame) and ``texts`` that sources, statuses and notes point into.
    """
    texts = SharedTexts()
    readings = sum(len(row.densities.details) for by_frame in data.rows.values() for row in by_frame.values())
    most = max(100, DRAWS_BYTES // (2 * max(readings, 1)))
    sets = {which: _set(data, which, by_frame, texts, most) for which, by_frame in data.rows.items()}
    frames = {row.frame.name: _frame(row) for by_frame in data.rows.values() for row in by_frame.values()}
    return finite(
        {
            "set": data.main_set,
            "frame": data.frame.name,
            "frames": frames,
            "sets": sets,
            "texts": texts.all,
        }
    )


def static_page(data: dict[str, Any]) -> dict[str, Any]:
    """What a browser without JavaScript shows of `page_data`: the finding and the table of the set to start with."""
    chosen = data["sets"][data["set"]]
    reading = chosen["readings"][data["frame"]]
    trend, columns = reading["trend"], reading["models"]
    rows = [
        {name: column[i] for name, column in columns.items()}
        | {"name": model["name"], "date": model["date"], "status": data["texts"][columns["status"][i]]}
        for i, model in enumerate(chosen["models"][place] for place in columns.get("model", []))
    ]
    found = (
        f"Doubling time {trend['days_text']}, 95% full: {trend['interval_text']}" if trend else reading["doubling_text"]
    )
    return {"title": chosen["title"], "until": chosen["until"], "finding": f"{found}.", "rows": rows}


def _frame(row: FrameRow) -> dict[str, Any]:
    spec, law = row.frame.spec, row.frame.law(row.frame.shown)
    settings = f"{spec.read_at}, α {law.alpha:.3f}, β {law.beta:.3f}"
    return {"title": spec.title, "settings": settings + (f", E {law.E:.3f}" if law.E else "")}


def _set(
    data: ReportData, which: str, by_frame: Mapping[str, FrameRow], texts: SharedTexts, most: int
) -> dict[str, Any]:
    dates = {
        name: day
        for row in by_frame.values()
        for name, day in zip(row.densities.names, row.densities.dates.astype(object), strict=True)
    }
    describe = _registry_model if which == "registry" else _published_model
    models = [
        {"name": name, "date": day, "highlighted": _highlighted(data, name), **describe(data, name, texts)}
        for name, day in dates.items()
    ]
    places = {name: place for place, name in enumerate(dates)}
    return {
        "title": next(iter(by_frame.values())).densities.title.partition(" in frame")[0],
        "origin": _origin(data, which),
        "until": max((day for day in dates.values() if day is not None), default=None),
        "artifact": f"tables/frames_{which}.csv",
        "models": models,
        "readings": {name: _reading(data, row, places, texts, most) for name, row in by_frame.items()},
    }


def _highlighted(data: ReportData, name: str) -> bool:
    entry = data.entry(name)
    return data.highlight is not None and entry is not None and entry.model == data.highlight


def _origin(data: ReportData, which: str) -> str:
    if which == "registry":
        return f"published scores on {', '.join(data.frame.parts)}; each model's sources are in the table"
    return f"{CREDIT}; scores recovered from the published densities"


def _registry_model(data: ReportData, name: str, texts: SharedTexts) -> dict[str, Any]:
    entry, values = data.registry.entry(name), data.registry.values(name)
    return {
        "date_verified": entry.date_verified,
        "family": entry.family,
        "architecture": entry.architecture,
        "parent": entry.parent,
        "tokens": f"{short_count(entry.tokens_T * 1e12)} tokens" if entry.tokens_T else "",
        "scores": [
            {"benchmark": benchmark, "values": [_score(value, texts) for value in values[benchmark]]}
            for benchmark in data.frame.parts
            if benchmark in values
        ],
    }


def _score(value: ScoreEntry, texts: SharedTexts) -> dict[str, Any]:
    return {
        "score": f"{value.score:g}",
        "shots": texts.place(value.shots),
        "source": texts.place(value.source),
        "note": texts.place(value.note),
        "verified": value.verified,
    }


def _published_model(data: ReportData, name: str, texts: SharedTexts) -> dict[str, Any]:
    entry = data.entry(name)
    panel = published_densities().set_index("model")
    return {
        "date_verified": True,
        "family": entry.family if entry else "",
        "architecture": str(panel.at[name, "architecture"]),
        "parent": entry.parent if entry else "",
        "tokens": "",
        "scores": [],
        "source": texts.place(f"Fig. 1: {CREDIT}"),
    }


def _reading(
    data: ReportData, row: FrameRow, places: Mapping[str, int], texts: SharedTexts, most: int
) -> dict[str, Any]:
    details, label = row.densities.details, row.densities.label
    draws = row.densities.draws
    assert draws is not None
    return {
        "draws": _coded(draws[:most].T, len(draws)),
        "artifact": str(data.artifacts.get(f"densities/{label}", "")),
        "models": _columns(
            [
                _model_reading(detail, places[detail.model], texts) | {"rank_text": "" if rank is None else str(rank)}
                for detail, rank in zip(details, rank_all(row.densities), strict=True)
            ]
        ),
        "in_range": sum(detail.status.has_size for detail in details),
        "left_out": left_out_lines(row.left_out),
        "doubling_text": row.texts[0],
        "reason": row.reason,
        "trend": _trend(row, row.identified, str(data.artifacts.get(f"trends/{label}", "")))
        if row.identified
        else None,
    }


def _model_reading(detail: Density, place: int, texts: SharedTexts) -> dict[str, Any]:
    full, conditional = detail.interval, detail.interval_conditional
    return {
        "model": place,
        "density": detail.value,
        "low": full.low,
        "high": full.high,
        "low_conditional": conditional.low,
        "score": detail.score,
        "size": detail.size,
        "density_text": detail.text,
        "interval_text": _interval_text(full),
        "interval_conditional_text": _interval_text(conditional),
        "score_text": f"{detail.score:.1f}" if np.isfinite(detail.score) else "",
        "size_text": short_count(detail.size),
        "effective_text": short_count(detail.effective_size) if np.isfinite(detail.effective_size) else "",
        "status": texts.place(str(detail.status)),
        "notes": [texts.place(note) for note in detail.notes],
    }


def _coded(draws: FloatArray, of: int) -> dict[str, Any]:
    """Logarithms of draws of densities (M, R) as 16-bit integers, from which the page forms its ratios."""
    with np.errstate(divide="ignore"):
        steps = np.log(draws) / _STEP
    whole = np.select(
        [np.isnan(steps), np.isneginf(steps), np.isposinf(steps)],
        [_MISSING, _CHANCE, _BEYOND],
        np.clip(np.round(steps, 0), _CHANCE + 1, _BEYOND - 1),
    )
    return {
        "codes": base64.b64encode(whole.astype("<i2").tobytes()).decode(),
        "replicates": draws.shape[1],
        "of": of,
        "step": _STEP,
        "missing": _MISSING,
        "chance": _CHANCE,
        "beyond": _BEYOND,
    }


def _interval_text(interval: Interval) -> str:
    return str(interval) if np.isfinite(interval.low) else ""


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """One list per key: a thousand rows of the same keys are half the bytes."""
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


def _trend(row: FrameRow, trend: Trend, artifact: str) -> dict[str, Any]:
    full = trend.doubling_interval_days
    conditional = trend.doubling_interval_conditional_days or full
    days, middle = abs(trend.doubling_time_days), trend.median_unbiased_doubling_days
    unbiased = f"{two_digits(middle)} days" if np.isfinite(middle) and middle > 0 else ""
    _, full_text, conditional_text = row.texts
    full_shares, conditional_shares = row.shares_texts
    return {
        "artifact": artifact,
        "rises": trend.slope_per_day > 0,
        "doubling_days": trend.doubling_time_days,
        "days_text": f"{days:.0f} days",
        "unbiased_text": unbiased,
        "low": full.low,
        "high": full.high,
        "low_conditional": conditional.low,
        "high_conditional": conditional.high,
        "interval_text": full_text,
        "interval_conditional_text": conditional_text,
        "shares_text": full_shares,
        "shares_conditional_text": conditional_shares,
        "band_name": trend.drawn_interval[0],
        "r_squared_text": f"{trend.r_squared:.3f}",
        "frontier": [trend.rows[member] for member in trend.members],
        "last_date": trend.last_date,
        "line": _line(trend),
    }


def _line(trend: Trend) -> list[dict[str, Any]]:
    """The trend line and its band from the frontier's first model to the end of the line carried on.

    The band is that of the full interval, of the conditional one where that is open, and absent where both are.
    """
    end = trend.last_date + dt.timedelta(days=FORECAST_DAYS)
    first, last, stop = days_since([trend.first_date, trend.last_date, end])
    calendar = [date_of(day) for day in np.union1d(np.linspace(first, last, 60), np.linspace(last, stop, 13))]
    _, slope = trend.drawn_interval
    low, high = trend.band(calendar, slope=slope) if slope.bounded else (np.full(len(calendar), np.nan),) * 2
    return [
        {"date": day, "density": trend.density(day), "low": a, "high": b}
        for day, a, b in zip(calendar, low, high, strict=True)
    ]
