"""Changes of a registry with plain arguments, for processes that are stopped in the middle of them."""

from __future__ import annotations

import datetime as dt
import resource
import signal
from pathlib import Path

from densing.models import changes
from densing.models.registry import ModelEntry, ScoreEntry


def add(folder: str, name: str) -> None:
    """Add a model with two scores."""
    entry = ModelEntry(model=name, release_date=dt.date(2025, 1, 1), total_params_B=3)
    scores = [ScoreEntry(model=name, benchmark=b, score=50, source="its report") for b in ("mmlu", "bbh")]
    changes.add(entry, scores, Path(folder))


def edit(folder: str, name: str) -> None:
    """Give a model another size."""
    changes.edit(name, {"total_params_B": "3.5"}, Path(folder))


def remove(folder: str, name: str) -> None:
    """Remove a model."""
    changes.remove(name, Path(folder))


def undo(folder: str, _: str) -> None:
    """Take back the last change."""
    changes.undo(Path(folder))


def add_on_a_full_disk(folder: str, name: str, room: int) -> None:
    """Add a model where no file can grow beyond `room` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    add(folder, name)
