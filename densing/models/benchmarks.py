"""The benchmarks that densing knows, as rows of `data/benchmarks.yaml`."""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic import Field

from densing.core.config import Config, read_yaml, validate
from densing.core.errors import unknown
from densing.core.paths import DATA


class Parts(Config):
    """The parts of a benchmark, where harnesses list them one by one."""

    pattern: str
    """Regular expression of their names."""
    count: int = Field(gt=0)
    """How many there are."""


class Benchmark(Config):
    """What a score on a benchmark means, and what other programs call it."""

    title: str
    """How people write its name."""
    aliases: list[str] = []
    """Other spellings that a user may give."""
    chance: float = Field(ge=0, lt=100)
    """The score of guessing, percent."""
    chance_source: str = ""
    """Where the chance score comes from, unless it is one over the number of options."""
    items: int = Field(gt=0)
    """Test items, for the noise of a score."""
    shots: list[str] = Field(min_length=1)
    """Spellings of the number of worked examples that agree with the article's protocol, the preferred first."""
    tasks: dict[str, list[str]] = {}
    """What harnesses call it, with the metrics that are its score, the preferred first."""
    cot: list[str] = []
    """The tasks among them that ask for a chain of thought."""
    filters: list[str] = []
    """lm-eval's own answer filters, beside `none`."""
    answers: str = ""
    """What the registry writes behind the shots, in brackets."""
    parts: Parts | None = None


@lru_cache(maxsize=1)
def load_benchmarks() -> dict[str, Benchmark]:
    """Every known benchmark by name."""
    path = DATA / "benchmarks.yaml"
    return {name: validate(row, Benchmark, f"{path.name}: {name}") for name, row in read_yaml(path).items()}


@lru_cache(maxsize=256)
def benchmark_name(text: str) -> str:
    """The name of a benchmark from the way somebody wrote it: `HumanEval`, ` mmlu`, `BIG-bench hard`.

    Raises
    ------
    InputError
        If there is no such benchmark; the message suggests the nearest.
    """
    wanted = _plain(text)
    for name, row in load_benchmarks().items():
        if wanted in {_plain(spelling) for spelling in (name, row.title, *row.aliases)}:
            return name
    raise unknown("benchmark", text, load_benchmarks())


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()
