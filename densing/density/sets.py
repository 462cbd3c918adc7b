"""Sets of models with dates and densities, as trends and reports take them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from densing.core.artifacts import write_csv, write_json
from densing.core.errors import InputError, unknown
from densing.core.results import Result
from densing.density.densities import Density, compute_densities
from densing.density.published import MAIN_PANEL, article_frame, published_densities, published_subjects
from densing.frame.frame import AVERAGE, JOINT, ReferenceFrame
from densing.frame.statuses import Status
from densing.frame.store import load_frame
from densing.models.harness import choose_scores
from densing.models.registry import Registry, load_registry

if TYPE_CHECKING:
    import pandas as pd

    from densing.trend.exponential import Trend

FloatArray = NDArray[np.float64]
INCOMPLETE = "lacking a size or a score that the density needs"
_AT_ONCE = 500
"""Models whose draws are computed together; more would only take memory."""


@dataclass(frozen=True, repr=False)
class DensitySet(Result):
    """Models, their release dates and densities.

    Attributes
    ----------
    label, title : str
        A short name for files, a longer one for people.
    names : tuple of str
    dates : array of datetime64[D], shape (M,)
        NaT where unknown.
    values : array, shape (M,)
        ρ; infinite where a model is too good for the frame to give it a size, zero at or under chance.
    draws : array or None, shape (R, M)
        Full: over all optima of the frame's law.
    draws_conditional : array or None, shape (R, M)
        Conditional on the optimum that the frame reads.
    details : tuple of Density
        Empty for densities that were printed, not computed.
    frame : str
    incomplete : mapping from str to datetime64[D]
        Models of the same source, and their release dates, that have no density because they lack a size or
        a score that it needs.
    groups : tuple of tuple of str
        Families, and labs, of the models; empty where they are not known.
    partial : frozenset of str
        Models whose joint size rests on some of the frame's benchmarks only; a trend takes none of them.
    """

    label: str
    title: str
    names: tuple[str, ...]
    dates: NDArray[np.datetime64]
    values: FloatArray
    draws: FloatArray | None = field(default=None, repr=False)
    draws_conditional: FloatArray | None = field(default=None, repr=False)
    details: tuple[Density, ...] = field(default=(), repr=False)
    frame: str = ""
    incomplete: Mapping[str, np.datetime64] = field(default_factory=dict, repr=False)
    groups: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    partial: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        return f"{self.title}, {len(self.names)} of them, {self.in_range.sum()} in range"

    def between(self, since: dt.date | None, until: dt.date | None) -> DensitySet:
        """Models released on or after `since` and before `until`; those without a date stay, for a trend to count."""

        def released(dates: Any) -> Any:
            inside = np.ones(np.shape(dates), dtype=bool)
            if since is not None:
                inside = inside & (dates >= np.datetime64(since, "D"))
            if until is not None:
                inside = inside & (dates < np.datetime64(until, "D"))
            return inside | np.isnat(dates)

        kept = self.take(np.flatnonzero(released(self.dates)))
        return replace(kept, incomplete={name: day for name, day in self.incomplete.items() if released(day)})

    @property
    def in_range(self) -> NDArray[np.bool_]:
        """Which models have a finite density, shape (M,)."""
        return np.isfinite(self.values) & (self.values > 0)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> DensitySet:
        """Some of the models."""
        rows = list(rows)
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            dates=self.dates[rows],
            values=self.values[rows],
            draws=None if self.draws is None else self.draws[:, rows],
            draws_conditional=None if self.draws_conditional is None else self.draws_conditional[:, rows],
            details=tuple(self.details[i] for i in rows) if self.details else (),
            groups=tuple(tuple(labels[i] for i in rows) for labels in self.groups),
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per model, the densest first, those out of range last."""
        import pandas as pd

        rows = [detail.to_dict() for detail in self.details] or [
            {"model": name, "density": value} for name, value in zip(self.names, self.values, strict=True)
        ]
        table = pd.DataFrame(rows)
        table.insert(1, "release_date", ["" if np.isnat(day) else str(day) for day in self.dates])
        return table.sort_values("density", ascending=False, na_position="last", kind="stable").reset_index(drop=True)


def compute_density_set(
    frame: str | ReferenceFrame,
    models: str = "published",
    *,
    panel: str | None = None,
    benchmark: str | None = None,
    scores: str = "vendors",
    registry: Path | None = None,
    **options: Any,
) -> DensitySet:
    """Densities of a set of models in a frame.

    Parameters
    ----------
    frame : str or ReferenceFrame
    models : {"published", "registry"}
        The article's main panel, its average scores recovered from its densities; or every model of the
        registry with enough scores, see `compute_registry_set`.
    panel : str, optional
        Densities of one of the article's panels as printed, whatever the frame.
    benchmark : str
        For the registry: one benchmark, ``joint`` or ``average``; the frame's headline where not given.
    scores : str
        For the registry: whose scores, see `densing.models.harness.choose_scores`.
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.
    **options
        Passed on to `densing.compute_densities`: hardware, scale and seed.

    Raises
    ------
    InputError
        If the frame lacks the benchmarks of the models asked for, or no model has all its scores.
    """
    if panel is not None:
        table = published_densities(panel)
        dates = table["release_date"].to_numpy(dtype="datetime64[D]")
        return DensitySet(
            f"published-{panel}",
            f"published densities, panel {panel}",
            tuple(table["model"]),
            dates,
            table["density"].to_numpy(),
        )
    reference = load_frame(frame) if isinstance(frame, str) else frame
    if models != "registry" and (benchmark not in (None, AVERAGE) or scores != "vendors"):
        raise InputError("a benchmark or a kind of scores is chosen among the registry's models; add --models registry")
    if models == "published":
        if not reference.spec.average or set(reference.benchmarks) != set(article_frame().benchmarks):
            raise InputError(
                f"the article's models have no scores on the benchmarks of frame {reference.name}; "
                "use --models registry"
            )
        table = published_densities(MAIN_PANEL)
        dates = table["release_date"].to_numpy(dtype="datetime64[D]")
        return _computed(
            f"{reference.name}-published", "the article's models", reference, published_subjects(), dates, options
        )
    if models == "registry":
        known = choose_scores(load_registry(registry), scores)
        return compute_registry_set(reference, known, benchmark=benchmark, **options)
    raise unknown("set of models", models, ["published", "registry"])


def compute_registry_set(
    reference: ReferenceFrame, registry: Registry, *, benchmark: str | None = None, **options: Any
) -> DensitySet:
    """Every model of a registry with a size and the scores that the density needs.

    Parameters
    ----------
    benchmark : str, optional
        ``joint`` takes models with a score on any benchmark of the frame; the frame's headline where not given.
    """
    benchmark = benchmark or reference.headline
    if benchmark not in (*reference.benchmarks, JOINT):
        raise unknown(f"benchmark of frame {reference.name}", benchmark, [*reference.benchmarks, JOINT])
    needed = list(reference.spec.average) if benchmark == AVERAGE else [benchmark]
    if benchmark == JOINT:
        names = [name for name in registry.complete([]) if set(registry.preferred(name)) & set(reference.parts)]
    else:
        names = registry.complete(needed) if needed else []
    if not names:
        some = f"a score on any of {', '.join(reference.parts)}"
        every = f"scores on all of {', '.join(needed) or 'an average'}"
        raise InputError(f"no model of the registry has {some if benchmark == JOINT else every}")
    dates = np.array([registry.models[name].release_date for name in names], dtype="datetime64[D]")
    subjects = [registry.subject(name) for name in names]
    headline = benchmark == reference.headline
    label = f"{reference.name}-registry" + ("" if headline else f"-{benchmark}")
    title = "models of the registry" + ("" if headline else f", {benchmark} alone,")
    found = _computed(label, title, reference, subjects, dates, options, benchmark)
    whole = set(names)
    others = {name: entry.release_date for name, entry in registry.models.items() if name not in whole}
    partial = whole - set(registry.complete(reference.parts)) if benchmark == JOINT else ()
    incomplete = {name: np.datetime64(day, "D") for name, day in others.items()}
    return replace(found, incomplete=incomplete, groups=registry.groups(names), partial=frozenset(partial))


def _computed(
    label: str,
    title: str,
    reference: ReferenceFrame,
    subjects: Sequence[Any],
    dates: NDArray[np.datetime64],
    options: Any,
    benchmark: str = AVERAGE,
) -> DensitySet:
    blocks = (subjects[start : start + _AT_ONCE] for start in range(0, len(subjects), _AT_ONCE))
    found = [density for block in blocks for density in compute_densities(reference, block, benchmark, **options)]
    return DensitySet(
        label,
        f"{title} in frame {reference.name}",
        tuple(density.model for density in found),
        dates,
        np.array([_point(density) for density in found]),
        np.stack([density.draws for density in found], 1),
        np.stack([density.draws_conditional for density in found], 1),
        tuple(found),
        reference.name,
    )


def _point(density: Density) -> float:
    """ρ as trends take it: infinite for a model too dense to have a size, zero at chance, NaN where not identified."""
    if density.status.has_size or density.status is Status.NOT_IDENTIFIED:
        return density.value
    return 0.0 if density.status is Status.AT_CHANCE else np.inf


def write_densities(path: Path, chosen: DensitySet) -> None:
    """Write a set of densities as an artifact."""
    write_csv(path, "densities", chosen.to_frame(), made_from=_sources(chosen))


def write_trend(path: Path, trend: Trend, chosen: DensitySet) -> None:
    """Write a trend as an artifact, with the densities it was fitted to."""
    payload = trend.to_dict() | {
        "title": chosen.title,
        "frame": chosen.frame,
        "incomplete": list(chosen.incomplete),
        "members": trend.members_table().to_dict("records"),
        "densities": trend.models_list(),
    }
    write_json(path, "trend", payload, made_from=_sources(chosen), seed=trend.seed)


def _sources(chosen: DensitySet) -> dict[str, str]:
    from densing.core.artifacts import sha256_of_data

    data = [
        list(chosen.names),
        [str(day) for day in chosen.dates],
        [float(v) if known else None for v, known in zip(chosen.values, chosen.in_range, strict=True)],
    ]
    return {chosen.label: sha256_of_data(data)}
