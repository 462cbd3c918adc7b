"""The registry: models, release dates, and published scores with their sources.

Two CSV files, `models.csv` and `scores.csv`: the snapshot that comes with the package, and the user's own
under `results/registry`, which is only ever appended to. Where both name a model, the user's row counts.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from densing.core.artifacts import harmless
from densing.core.config import Config, validate
from densing.core.errors import InputError, unknown
from densing.core.files import parse_json
from densing.core.paths import DATA
from densing.density.densities import Subject
from densing.models.size import Size, transformer_params, without_embeddings

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = DATA / "registry"
OWN = Path("results") / "registry"

PROTOCOL = {
    "mmlu": {"5"},
    "bbh": {"3 (CoT)", "3"},
    "math": {"4 (CoT)", "4"},
    "humaneval": {"0 (pass@1)", "0 (EvalPlus)", "0"},
    "mbpp": {"3 (pass@1)", "3"},
}
"""Shots that agree with the article's settings: MMLU 5-shot, BBH 3-shot and MATH 4-shot chain of thought,
HumanEval 0-shot (EvalPlus' base tests are the original ones), MBPP 3-shot."""


class ModelEntry(Config):
    """One row of models.csv; sizes in billions, tokens in trillions, as the column names say."""

    model: str = Field(min_length=1)
    family: str = ""
    release_date: dt.date | None = None
    date_verified: bool = False
    total_params_B: float | None = Field(None, gt=0)
    active_params_B: float | None = Field(None, gt=0)
    params_non_embedding_B: float | None = Field(None, gt=0)
    tokens_T: float | None = Field(None, gt=0)
    architecture: str = "dense"
    published_label: str = ""
    parent: str = ""
    """Model it was compressed or distilled from."""
    weight_bits: float | None = Field(None, gt=0, le=32)
    """Bits per weight in memory, where not 16."""
    config: str = ""
    """Path of the model's config.json, for checking sizes."""

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any, info: Any) -> Any:
        if value == "" and cls.model_fields[info.field_name].annotation is not str:
            return cls.model_fields[info.field_name].default
        return value

    @property
    def size(self) -> Size:
        """Parameters, as far as they are known."""
        billions = (self.total_params_B, self.params_non_embedding_B, self.active_params_B)
        total, bare, active = (None if value is None else value * 1e9 for value in billions)
        if active is not None and "moe" not in self.architecture:
            active = None
        return Size(total, bare, active, self.weight_bits or 16)


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

    @property
    def in_protocol(self) -> bool:
        """Whether its shots agree with the article's settings."""
        return self.shots in PROTOCOL.get(self.benchmark, {self.shots})


@dataclass(frozen=True)
class Problem:
    """Something `Registry.check` found; `where` names the row."""

    where: str
    what: str


@dataclass(frozen=True)
class Registry:
    """Models and their scores.

    Attributes
    ----------
    models : mapping from name to ModelEntry
    scores : tuple of ScoreEntry, in the order of the files
    """

    models: Mapping[str, ModelEntry]
    scores: tuple[ScoreEntry, ...]

    def entry(self, name: str) -> ModelEntry:
        """A model by name, or by the name it has in the article's figures; case does not matter."""
        if name in self.models:
            return self.models[name]
        for entry in self.models.values():
            if name.lower() in (entry.model.lower(), entry.published_label.lower()):
                return entry
        raise unknown("model", name, self.models)

    def values(self, model: str) -> dict[str, list[ScoreEntry]]:
        """All values of a model by benchmark, the preferred one first.

        The rule: the best-ranked source; among its values those of the article's protocol; among those
        the ones compared with their source by machine; among what still ties the median (the lower of two
        middle ones), so that one outlying report never decides.
        """
        by_benchmark: dict[str, list[ScoreEntry]] = defaultdict(list)
        for score in self.scores:
            if score.model == model:
                by_benchmark[score.benchmark].append(score)
        return {benchmark: _preferred_first(values) for benchmark, values in by_benchmark.items()}

    def preferred(self, model: str) -> dict[str, ScoreEntry]:
        """The preferred value of each benchmark."""
        return {benchmark: values[0] for benchmark, values in self.values(model).items()}

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
            row = entry.model_dump(exclude={"config", "published_label", "date_verified"})
            for benchmark, values in self.values(entry.model).items():
                row[benchmark] = values[0].score
                row[f"{benchmark}_spread"] = max(v.score for v in values) - min(v.score for v in values)
            rows.append(row)
        return pd.DataFrame(rows)

    def check(self, today: dt.date | None = None) -> list[Problem]:
        """Everything that looks wrong: duplicates, dates, scores, sizes, missing parents and sources."""
        today = today or dt.date.today()
        return [
            *_duplicates(self),
            *(problem for entry in self.models.values() for problem in _entry_problems(entry, self, today)),
            *(
                Problem(f"scores.csv: {score.model} {score.benchmark}", "no such model in models.csv")
                for score in self.scores
                if score.model not in self.models
            ),
            *(
                Problem(
                    f"scores.csv: {score.model} {score.benchmark}",
                    f"{score.score:g} looks like a fraction, not percent",
                )
                for score in self.scores
                if 0 < score.score < 1 and score.benchmark == "mmlu"
            ),
        ]


def _preferred_first(values: Sequence[ScoreEntry]) -> list[ScoreEntry]:
    def rank(value: ScoreEntry) -> tuple[int, bool, bool]:
        return value.priority, not value.in_protocol, not value.verified

    ordered = sorted(values, key=rank)
    tied = sorted((value for value in ordered if rank(value) == rank(ordered[0])), key=lambda value: value.score)
    chosen = tied[(len(tied) - 1) // 2]
    return [chosen, *(value for value in ordered if value is not chosen)]


def _duplicates(registry: Registry) -> list[Problem]:
    problems = []
    seen: dict[str, str] = {}
    for name in registry.models:
        plain = re.sub(r"[^a-z0-9.]", "", name.lower())
        if plain in seen:
            problems.append(Problem(f"models.csv: {name}", f"the same name as {seen[plain]} but for punctuation"))
        seen[plain] = name
    cells: dict[tuple[str, str, str, str], float] = {}
    for score in registry.scores:
        key = (score.model, score.benchmark, score.shots, score.source)
        if cells.get(key) == score.score:
            problems.append(
                Problem(f"scores.csv: {score.model} {score.benchmark}", f"listed twice from {score.source}")
            )
        cells[key] = score.score
    return problems


def _entry_problems(entry: ModelEntry, registry: Registry, today: dt.date) -> list[Problem]:
    problems = []
    if entry.release_date is None:
        problems.append("no release date: it cannot take part in a trend")
    elif entry.release_date > today:
        problems.append(f"released on {entry.release_date}, after today")
    total, bare, active = entry.total_params_B, entry.params_non_embedding_B, entry.active_params_B
    if total is None and bare is None:
        problems.append("no size")
    if total and active and active > total * 1.001:
        problems.append(f"{active:g}B active of {total:g}B parameters")
    if total and bare and bare > total * 1.02 and "moe" not in entry.architecture:
        problems.append(f"{bare:g}B without embeddings of {total:g}B parameters")
    if total and bare and bare < 0.5 * total and total > 2:
        problems.append(f"only {bare:g}B without embeddings of {total:g}B parameters: active ones perhaps")
    if "moe" in entry.architecture and active is None:
        problems.append("a mixture of experts without its active parameters")
    if entry.parent and entry.parent not in registry.models:
        problems.append(f"its parent {entry.parent} is not in models.csv")
    named = re.search(r"(?<![a-zA-Z0-9.])([0-9]+(?:\.[0-9]+)?)B(?![a-zA-Z0-9])", entry.model)
    if named and total and not 0.6 < total / float(named[1]) < 1.67:
        problems.append(f"its name says {named[1]}B, its size {total:g}B")
    if entry.config:
        problems.extend(_config_problems(entry))
    return [Problem(f"models.csv: {entry.model}", problem) for problem in problems]


def _config_problems(entry: ModelEntry) -> list[str]:
    if entry.total_params_B is None:
        return []
    try:
        config = parse_json(Path(entry.config))
        bare = without_embeddings(entry.total_params_B * 1e9, config)
    except InputError as error:
        return [str(error)]
    problems = []
    given = entry.params_non_embedding_B
    if given and abs(bare / 1e9 / given - 1) > 0.02:
        problems.append(f"{given:g}B without embeddings, but total and configuration give {bare / 1e9:.4g}B")
    expected = transformer_params(config)
    if expected and abs(bare / expected - 1) > 0.1:
        problems.append(
            f"its configuration describes {expected / 1e9:.4g}B parameters without embeddings, "
            f"the size given leaves {bare / 1e9:.4g}B"
        )
    return problems


def load_registry(own: Path = OWN) -> Registry:
    """The snapshot that comes with the package, with the user's own rows over it.

    Raises
    ------
    InputError
        If a file has a missing column or a bad value; the message names the line.
    """
    models: dict[str, ModelEntry] = {}
    scores: list[ScoreEntry] = []
    for folder in (SHIPPED, own):
        if (folder / "models.csv").exists():
            models |= {entry.model: entry for entry in _read(folder / "models.csv", ModelEntry)}
        if (folder / "scores.csv").exists():
            scores += _read(folder / "scores.csv", ScoreEntry)
    return Registry(models, tuple(scores))


def read_scores(path: Path) -> list[ScoreEntry]:
    """Rows of a scores file, each checked; see `load_registry` for the errors."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return _read(path, ScoreEntry)


def _read(path: Path, kind: type[Any]) -> list[Any]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        required = [name for name, spec in kind.model_fields.items() if spec.is_required()]
        missing = [name for name in required if name not in (reader.fieldnames or [])]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}")
        rows = []
        for row in reader:
            known = {key: value for key, value in row.items() if key in kind.model_fields and value}
            filled = {key: value.removeprefix("'") for key, value in known.items()}
            rows.append(validate(filled, kind, f"{path}, line {reader.line_num}"))
        return rows


def add_model(entry: ModelEntry, own: Path = OWN) -> Path:
    """Append a model to the user's registry.

    Raises
    ------
    InputError
        If the user's registry has a model of that name.
    """
    path = own / "models.csv"
    if path.exists() and entry.model in {known.model for known in _read(path, ModelEntry)}:
        raise InputError(f"{path}: {entry.model} is there already; edit its row")
    _append(path, [entry])
    return path


def add_scores(scores: Sequence[ScoreEntry], own: Path = OWN) -> Path:
    """Append scores to the user's registry; those that are there already are left out."""
    path = own / "scores.csv"
    known = set(_read(path, ScoreEntry)) if path.exists() else set()
    _append(path, [score for score in scores if score not in known])
    return path


def _append(path: Path, rows: Sequence[Config]) -> None:
    """Add rows at the end in one write, in the file's own column order, and touch nothing else."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    exists = path.exists() and path.stat().st_size > 0
    if exists:
        content = path.read_text(encoding="utf-8")
        columns = next(csv.reader([content.splitlines()[0]]))
        if not content.endswith("\n"):
            text.write("\n")
    else:
        columns = list(type(rows[0]).model_fields)
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    if not exists:
        writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.model_dump(mode="json").items()})
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else harmless(value)
