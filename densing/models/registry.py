"""The registry: models, release dates, and published scores with their sources.

Two CSV files, `models.csv` and `scores.csv`: the snapshot that comes with the package, and over it the user's own
folder (`results/registry`, or what DENSING_REGISTRY names). Where both name a model, the user's row counts.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from densing.core.config import Config
from densing.core.errors import InputError, unknown
from densing.core.files import parse_csv
from densing.core.paths import DATA
from densing.core.results import Result
from densing.core.units import day_of
from densing.models.benchmarks import benchmark_name, load_benchmarks
from densing.models.size import Size
from densing.models.subject import Subject
from densing.models.tables import Table, read_table

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = DATA / "registry"
FILES = ("models.csv", "scores.csv")
TRAINING = ("base", "instruct_mixed", "synthetic_heavy", "distilled", "merged", "thinking")
"""Kinds of training: plain text; instructions mixed in; mostly synthetic text; from another model's answers; averaged
from other models; to think before it answers."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOE = {"moe", "mixtureofexperts", "sparse", "smoe"}


class ModelEntry(Config):
    """One row of models.csv; sizes in billions, tokens in trillions, as the column names say."""

    model: str = Field(min_length=1)
    family: str = ""
    lab: str = ""
    """Who made it, where that does not follow from its family; see `Registry.lab`."""
    release_date: dt.date | None = None
    date_kind: Literal["", "weights", "paper"] = ""
    """Whether that is the day its weights came out, or the day of a paper about it."""
    date_verified: bool = False
    date_source: str = ""
    total_params_B: float | None = Field(None, gt=0)
    active_params_B: float | None = Field(None, gt=0)
    params_non_embedding_B: float | None = Field(None, gt=0)
    tokens_T: float | None = Field(None, gt=0)
    architecture: str = "dense"
    """``dense`` or ``moe``."""
    hybrid: str = ""
    """What stands beside attention, as in ``Mamba-2``."""
    training: str = ""
    """What its training was, semicolon-separated words of `TRAINING`."""
    training_source: str = ""
    published_label: str = ""
    """Name of the model in the article's figures."""
    parent: str = ""
    """Model it was compressed or distilled from."""
    weight_bits: float | None = Field(None, gt=0, le=32)
    """Bits per weight in memory, where not 16."""
    config: str = ""
    """Path of the model's config.json, for checking sizes."""
    removed: bool = False
    """Hides a model of the snapshot from trends."""

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any, info: Any) -> Any:
        if value == "" and cls.model_fields[info.field_name].annotation is not str:
            return cls.model_fields[info.field_name].default
        return value

    @field_validator("release_date", mode="before")
    @classmethod
    def _date_is_written_out(cls, value: Any) -> Any:
        """Numbers would pass as seconds since 1970."""
        if isinstance(value, int | float) or (isinstance(value, str) and value and not _DATE.fullmatch(value.strip())):
            raise ValueError("write the date as 2026-01-31")
        return day_of(value.strip()) if isinstance(value, str) and value else value

    @field_validator("architecture")
    @classmethod
    def _architecture_is_known(cls, value: str) -> str:
        plain = "".join(letter for letter in value.lower() if letter.isalpha())
        if plain not in _MOE | {"dense"}:
            raise ValueError("write dense or moe")
        return "dense" if plain == "dense" else "moe"

    @field_validator("training")
    @classmethod
    def _training_is_known(cls, value: str) -> str:
        flags = [flag.strip() for flag in value.split(";") if flag.strip()]
        if wrong := [flag for flag in flags if flag not in TRAINING]:
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(TRAINING)}")
        return ";".join(flags)

    @property
    def flags(self) -> tuple[str, ...]:
        """Words of `TRAINING` that hold for it."""
        return tuple(self.training.split(";")) if self.training else ()

    @property
    def sparse(self) -> bool:
        """Whether a token uses only some of the parameters."""
        return self.architecture == "moe"

    @property
    def size(self) -> Size:
        """Parameters, as far as they are known."""
        billions = (self.total_params_B, self.params_non_embedding_B, self.active_params_B)
        total, bare, active = (None if value is None else value * 1e9 for value in billions)
        return Size(total, bare, active if self.sparse else None, self.weight_bits or 16)


class ScoreEntry(Config):
    """One row of scores.csv."""

    model: str = Field(min_length=1)
    benchmark: str = Field(min_length=1)
    shots: str = "not stated"
    score: float = Field(ge=0, le=100)
    source: str = Field(min_length=1)
    note: str = ""
    verified: bool = False
    priority: int = Field(2, ge=1)
    protocol_matches: Literal["", "yes", "no", "unknown"] = ""
    """Whether it was measured as the article's scores were; judged by its shots where not said."""
    excluded: str = ""
    """Why the value must not be used; empty for one that may."""

    @field_validator("benchmark")
    @classmethod
    def _benchmark_is_known(cls, value: str) -> str:
        return benchmark_name(value)

    @property
    def protocol(self) -> str:
        """Whether it was measured as the article's scores were: yes, unknown or no."""
        return self.protocol_matches or ("yes" if self.shots in load_benchmarks()[self.benchmark].shots else "no")


@dataclass(frozen=True, repr=False)
class Registry(Result):
    """Models and their scores.

    Attributes
    ----------
    models : mapping from name to ModelEntry
    scores : tuple of ScoreEntry, in the order of the files
    model_lines : mapping from name to str
        File and line of each model, for messages.
    score_lines : tuple of str
        The same for each score.
    """

    models: Mapping[str, ModelEntry]
    scores: tuple[ScoreEntry, ...]
    model_lines: Mapping[str, str] = field(default_factory=dict, repr=False)
    score_lines: tuple[str, ...] = field(default=(), repr=False)

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        return f"{len(self.models)} models and {len(self.scores)} scores"

    @cached_property
    def _by_any_name(self) -> dict[str, str]:
        names = {entry.published_label.lower(): name for name, entry in self.models.items() if entry.published_label}
        return names | {name.lower(): name for name in self.models}

    @cached_property
    def _scores_of(self) -> dict[str, list[ScoreEntry]]:
        scores: dict[str, list[ScoreEntry]] = defaultdict(list)
        for score in self.scores:
            scores[score.model].append(score)
        return scores

    def entry(self, name: str) -> ModelEntry:
        """A model by name, or by the name it has in the article's figures; case does not matter."""
        found = self._found(name)
        if found is None:
            raise unknown("model", name, self.models)
        return found

    def _found(self, name: str) -> ModelEntry | None:
        known = name if name in self.models else self._by_any_name.get(name.lower())
        return None if known is None else self.models[known]

    def lab(self, name: str) -> str:
        """Who made a model: what its row says, or labs.csv of its family; else its family or itself stands for it."""
        entry = self.entry(name)
        return entry.lab or _labs_of_families().get(entry.family, entry.family) or entry.model

    def groups(self, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Families and labs of models, the clusters of a trend; one that is not known is its own."""
        pairs = []
        for name in names:
            entry = self._found(name)
            pairs.append((name, name) if entry is None else (entry.family or entry.model, self.lab(entry.model)))
        return tuple(family for family, _ in pairs), tuple(lab for _, lab in pairs)

    def values(self, model: str) -> dict[str, list[ScoreEntry]]:
        """All values of a model by benchmark, the preferred one first.

        The rule: the best-ranked source; among its values those of the article's protocol; among those
        the ones compared with their source by machine; among what still ties the median (the lower of two
        middle ones), so that one outlying report never decides. Values that must not be used come last.
        """
        by_benchmark: dict[str, list[ScoreEntry]] = defaultdict(list)
        for score in self._scores_of.get(model, []):
            by_benchmark[score.benchmark].append(score)
        return {benchmark: _preferred_first(values) for benchmark, values in by_benchmark.items()}

    def preferred(self, model: str) -> dict[str, ScoreEntry]:
        """The preferred value of each benchmark that has one which may be used."""
        return {benchmark: values[0] for benchmark, values in self.values(model).items() if not values[0].excluded}

    def subject(self, model: str) -> Subject:
        """The model with its preferred scores, ready for a density."""
        entry = self.entry(model)
        scores = {benchmark: value.score for benchmark, value in self.preferred(entry.model).items()}
        return Subject(entry.model, entry.size, scores)

    def complete(self, benchmarks: Iterable[str]) -> list[str]:
        """Models with a size and a score on every benchmark, by release date."""
        wanted = set(benchmarks)
        found = [
            entry
            for entry in self.models.values()
            if (entry.total_params_B or entry.params_non_embedding_B) and wanted <= set(self.preferred(entry.model))
        ]
        return [entry.model for entry in sorted(found, key=lambda e: (e.release_date or dt.date.max, e.model))]

    def children(self) -> list[tuple[str, str]]:
        """(compressed model, its parent) for every model whose parent is here too."""
        return [(entry.model, entry.parent) for entry in self.models.values() if entry.parent in self.models]

    def to_frame(self) -> pd.DataFrame:
        """One row per model, with its preferred scores and the spread between sources."""
        import pandas as pd

        rows = []
        for entry in self.models.values():
            row = entry.model_dump(
                exclude={"config", "published_label", "date_verified", "date_source", "training_source", "removed"}
            )
            for benchmark, values in self.values(entry.model).items():
                row[benchmark] = values[0].score
                row[f"{benchmark}_spread"] = max(v.score for v in values) - min(v.score for v in values)
            rows.append(row | {"lab": self.lab(entry.model)})
        return pd.DataFrame(rows)


def _preferred_first(values: Sequence[ScoreEntry]) -> list[ScoreEntry]:
    def rank(value: ScoreEntry) -> tuple[bool, int, int, bool]:
        return bool(value.excluded), value.priority, ("yes", "unknown", "no").index(value.protocol), not value.verified

    ordered = sorted(values, key=rank)
    tied = sorted((value for value in ordered if rank(value) == rank(ordered[0])), key=lambda value: value.score)
    chosen = tied[(len(tied) - 1) // 2]
    return [chosen, *(value for value in ordered if value is not chosen)]


def own_folder() -> Path:
    """The user's registry: what DENSING_REGISTRY names, or results/registry."""
    return Path(os.environ.get("DENSING_REGISTRY") or Path("results") / "registry")


def load_registry(own: Path | None = None) -> Registry:
    """The snapshot that comes with the package, with the user's own rows over it.

    Parameters
    ----------
    own : Path, optional
        The user's folder; see `own_folder`.

    Raises
    ------
    InputError
        If a file has a missing column or a bad value; the message names the line.
    """
    return overlay(read_folder(SHIPPED), read_folder(own or own_folder()))


def overlay(*folders: tuple[Table, Table]) -> Registry:
    """One registry from the models and scores of several folders; where two name a model, the later row counts."""
    models: dict[str, ModelEntry] = {}
    model_lines: dict[str, str] = {}
    scores: list[ScoreEntry] = []
    score_lines: list[str] = []
    for model_table, score_table in folders:
        _refuse_repeated(model_table)
        counted = _counted_sizes(model_table.path.with_name("configurations.csv"))
        for entry, line in zip(model_table.entries(ModelEntry), model_table.lines, strict=True):
            bare = counted.get(entry.model, entry.params_non_embedding_B)
            models[entry.model] = entry.model_copy(update={"params_non_embedding_B": bare})
            model_lines[entry.model] = f"{model_table.path}, line {line}"
        scores += score_table.entries(ScoreEntry)
        score_lines += [f"{score_table.path}, line {line}" for line in score_table.lines]
    hidden = {name for name, entry in models.items() if entry.removed}
    kept = [place for place, score in enumerate(scores) if score.model not in hidden]
    return Registry(
        {name: entry for name, entry in models.items() if name not in hidden},
        tuple(scores[place] for place in kept),
        model_lines,
        tuple(score_lines[place] for place in kept),
    )


def _refuse_repeated(table: Table) -> None:
    first: dict[str, int] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        if first.setdefault(row["model"], line) != line:
            raise InputError(
                f"{table.path}, line {line}: model: {row['model']} stands in line {first[row['model']]} already; "
                "keep one of them"
            )


@lru_cache(maxsize=1)
def _labs_of_families() -> dict[str, str]:
    return {row["family"]: row["lab"] for row in parse_csv(SHIPPED / "labs.csv", ["family", "lab"])}


def _counted_sizes(path: Path) -> dict[str, float]:
    """Billions of parameters without embeddings, counted from the models' configurations, by model."""
    if not path.exists():
        return {}
    return {row["model"]: int(row["params_non_embedding"]) / 1e9 for row in parse_csv(path, ["params_non_embedding"])}


def read_folder(folder: Path) -> tuple[Table, Table]:
    """The tables of a folder as one change left them, though another process may be in the middle of the next."""
    while True:
        before = _stamp(folder)
        committed = folder / ".commit"  # a change that is decided but not yet in place; see `densing.models.changes`
        paths = [committed / name if (committed / name).exists() else folder / name for name in FILES]
        try:
            tables = read_table(paths[0], ModelEntry), read_table(paths[1], ScoreEntry)
        except InputError:
            if _stamp(folder) == before:
                raise
            continue  # a file went into its place, or changed, while it was read
        if _stamp(folder) == before:
            break
    for table, name in zip(tables, FILES, strict=True):
        table.path = folder / name
    return tables


def _stamp(folder: Path) -> list[tuple[int, int] | None]:
    stamps: list[tuple[int, int] | None] = []
    for name in (*FILES, ".commit"):
        try:
            status = (folder / name).stat()
            stamps.append((status.st_mtime_ns, status.st_ino))
        except OSError:
            stamps.append(None)
    return stamps
