"""Progress of long work: one bar with the time left, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

console = Console(stderr=True)
_open_bars = 0


@contextmanager
def progress_bar(description: str, total: float | None = None) -> Iterator[ProgressBar]:
    """A bar for the work in the block; not shown inside the block of another, whose time left it is part of.

    Examples
    --------
    >>> with progress_bar("counting", total=3) as bar:
    ...     for _ in range(3):
    ...         bar.advance()
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    global _open_bars
    _open_bars += 1
    try:
        with Progress(*columns, console=console, transient=False, disable=_open_bars > 1) as progress:
            yield ProgressBar(progress, description, total)
    finally:
        _open_bars -= 1


class ProgressBar:
    """One task of a progress display."""

    def __init__(self, progress: Progress, description: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def advance(self, steps: float = 1) -> None:
        """Count finished work."""
        self._progress.advance(self._task, steps)

    def describe(self, description: str) -> None:
        """Change the text beside the bar."""
        self._progress.update(self._task, description=description)


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()
