"""The documents of this package's lm-eval tasks. The task files name these functions.

lm-eval calls them with the suite's metadata (`documents`: where the data are) and the task's own arguments.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from densing.measure.engines.lm_eval_models import register
from densing.measure.tasks.items import read_documents, read_items, read_worked
from densing.measure.tasks.local import make_items

# lm-eval imports this module when it is given one of the task files by path, before it looks for its model.
register()


def local_items(documents: str, benchmark: str, count: int, seed: int, **_: Any) -> dict[str, Any]:
    """Items of an embedded benchmark, from a JSON-lines file of held-out documents."""
    path = Path(documents)
    return _local_items(path, path.stat().st_mtime_ns if path.exists() else 0, benchmark, count, seed)


@lru_cache(maxsize=8)  # the tasks of loss and score ask for the same items
def _local_items(path: Path, _modified: int, benchmark: str, count: int, seed: int) -> dict[str, Any]:
    return _dataset(make_items(benchmark, read_documents(path), count, seed))


def jsonl_items(documents: str, **_: Any) -> dict[str, Any]:
    """Every item of a user's file."""
    items = read_items(Path(documents))
    return _dataset([{"id": item.id, "instruction": item.instruction, "answer": item.answer} for item in items])


def jsonl_choices(documents: str, **_: Any) -> dict[str, Any]:
    """Those items of a user's file that have choices."""
    return _dataset([item.model_dump() | {"gold": item.gold} for item in read_items(Path(documents)) if item.choices])


def worked_items(documents: str, benchmark: str, **_: Any) -> dict[str, Any]:
    """Items with worked answers of one benchmark, from a folder or a hub repository."""
    return _dataset(read_worked(documents, benchmark))


def _dataset(rows: list[dict[str, Any]]) -> dict[str, Any]:
    from datasets import Dataset

    return {"test": Dataset.from_list(rows)}
