"""What looks wrong in a registry: duplicates, dates, scores, sizes, missing parents."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from densing.core.errors import InputError
from densing.models.benchmarks import load_benchmarks
from densing.models.registry import ModelEntry, Registry, ScoreEntry
from densing.models.size import read_config, transformer_params, without_embeddings


@dataclass(frozen=True)
class Problem:
    """Something that `find_problems` found.

    Attributes
    ----------
    where : str
        File and line.
    model : str
    what : str
        A sentence that says what is wrong, and what to do where that is not plain.
    """

    where: str
    model: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.model}: {self.what}"


def find_problems(registry: Registry, today: dt.date | None = None) -> list[Problem]:
    """Everything in a registry that looks wrong, in the order of the files."""
    today = today or dt.date.today()
    return [*_model_problems(registry, today), *_score_problems(registry)]


def scores_without_a_model(registry: Registry) -> list[Problem]:
    """Scores of models that the registry does not have: they wait until somebody adds the model."""
    lines = registry.score_lines or ("scores.csv",) * len(registry.scores)
    return [
        Problem(where, score.model, f"its score on {score.benchmark} waits for the model in models.csv")
        for score, where in zip(registry.scores, lines, strict=True)
        if score.model not in registry.models
    ]


def _model_problems(registry: Registry, today: dt.date) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, entry in registry.models.items():
        where = registry.model_lines.get(name, "models.csv")
        plain = re.sub(r"[^a-z0-9.]", "", name.lower())
        if plain in seen:
            yield Problem(where, name, f"this is the name of {seen[plain]} but for punctuation")
        seen[plain] = name
        if entry.parent and entry.parent not in registry.models:
            yield Problem(where, name, f"its parent {entry.parent} is not in the registry")
        for what in (*_date_problems(entry, today), *_size_problems(entry), *_config_problems(entry)):
            yield Problem(where, name, what)


def _date_problems(entry: ModelEntry, today: dt.date) -> Iterator[str]:
    if entry.date_kind == "paper" and entry.date_verified and "not published" not in entry.date_source:
        yield "its date is that of a paper, so it is no verified release date"
    if entry.release_date is None:
        yield "it has no release date, so it cannot take part in a trend"
    elif entry.release_date > today:
        yield f"it was released on {entry.release_date}, which is after today"
    elif entry.release_date < dt.date(2017, 1, 1):
        yield f"it was released on {entry.release_date}, before there were such models"


def _size_problems(entry: ModelEntry) -> Iterator[str]:
    total, bare, active = entry.total_params_B, entry.params_non_embedding_B, entry.active_params_B
    if total is None and bare is None:
        yield "it has no size"
    for column, value in (("total_params_B", total), ("params_non_embedding_B", bare), ("active_params_B", active)):
        if value and not 1e-5 < value < 1e5:
            yield f"{column} is {value:g} billion parameters; the column counts billions, so 7B is written 7"
    if total and active and active > total * 1.001:
        yield f"{active:g}B active parameters are more than its {total:g}B"
    if total and bare and bare > total * 1.02 and not entry.sparse:
        yield f"{bare:g}B without embeddings are more than its {total:g}B"
    if total and bare and bare < 0.5 * total and total > 2:
        yield f"only {bare:g}B of its {total:g}B are without embeddings; are these its active parameters?"
    if "base" in entry.flags and len(entry.flags) > 1:
        yield f"its training is called base and {entry.flags[1]} at once"
    if entry.sparse and active is None:
        yield "it is a mixture of experts without active parameters"
    named = re.search(r"(?<![a-zA-Z0-9.])([0-9]+(?:\.[0-9]+)?)B(?![a-zA-Z0-9])", entry.model)
    if named and total and not 0.6 < total / float(named[1]) < 1.67:
        yield f"its name says {named[1]}B, its size {total:g}B"


def _config_problems(entry: ModelEntry) -> Iterator[str]:
    if not entry.config or entry.total_params_B is None:
        return
    try:
        config = read_config(Path(entry.config))
        bare = without_embeddings(entry.total_params_B * 1e9, config)
    except InputError as error:
        yield str(error)
        return
    given = entry.params_non_embedding_B
    if given and abs(bare / 1e9 / given - 1) > 0.02:
        yield f"{given:g}B without embeddings, but its total and its configuration give {bare / 1e9:.4g}B"
    expected = transformer_params(config)
    if expected and abs(bare / expected - 1) > 0.1:
        yield (
            f"its configuration describes {expected / 1e9:.4g}B parameters without embeddings, "
            f"the size given leaves {bare / 1e9:.4g}B"
        )


def _score_problems(registry: Registry) -> Iterator[Problem]:
    lines = registry.score_lines or ("scores.csv",) * len(registry.scores)
    cells: dict[tuple[str, ...], float] = {}
    fractions = _in_fractions(registry)
    for score, where in zip(registry.scores, lines, strict=True):
        if (score.model, score.source) in fractions:
            what = f"{score.benchmark} = {score.score:g} looks like a fraction; where it is percent, say so in its note"
            yield Problem(where, score.model, what)
        key = (score.model, score.benchmark, score.shots, score.source, score.note)
        if key in cells:
            again = "again" if cells[key] == score.score else f"with another value, {cells[key]:g}"
            yield Problem(where, score.model, f"{score.benchmark} from {score.source} stands {again} further up")
        cells[key] = score.score


def _in_fractions(registry: Registry) -> set[tuple[str, str]]:
    """(model, source) whose scores all lie between 0 and 1, or one of them where guessing already gives more.

    A note that has the word percent says that they are so low.
    """
    scores: dict[tuple[str, str], list[ScoreEntry]] = defaultdict(list)
    for score in registry.scores:
        scores[score.model, score.source].append(score)
    chance = {name: row.chance for name, row in load_benchmarks().items()}
    return {
        key
        for key, group in scores.items()
        if not any("percent" in score.note for score in group)
        and (
            any(0 < score.score <= 1 < chance[score.benchmark] for score in group)
            or 0 < max(score.score for score in group) <= 1
        )
    }
