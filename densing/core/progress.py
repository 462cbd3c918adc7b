"""Progress of long work: bars with the time left, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from densing.core.text import printable

Item = TypeVar("Item")


class _Console(Console):
    """Standard error for rich: its own escapes pass, those in foreign text do not."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts with what cannot be seen escaped, and no markup in them."""
        super().print(*(printable(text) if isinstance(text, str) else text for text in objects), **options)


console = _Console(stderr=True, markup=False, force_jupyter=False)  # bars are text there: no widgets
_open_bars = 0


class _Done(MofNCompleteColumn):
    """How much is done, and of how much where that is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}") if task.total is None else super().render(task)


class _Left(TimeRemainingColumn):
    """How long the rest takes, as soon as that can be told."""

    def render(self, task: Task) -> Text:
        return Text("") if task.time_remaining is None else Text.assemble("left ", super().render(task))


class Bar(Protocol):
    """What long work tells of itself."""

    def advance(self, steps: float = 1) -> None:
        """Count finished work."""

    def describe(self, description: str) -> None:
        """Change the text beside the bar."""


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float | None], Bar]]:
    """Bars one under the other; not shown inside the block of others, whose time left they are part of."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Done(),
        TimeElapsedColumn(),
        _Left(),
    )
    global _open_bars
    _open_bars += 1
    try:
        with Progress(*columns, console=console, transient=False, disable=_open_bars > 1) as progress:
            yield lambda description, total: _RichBar(progress, description, total)
    finally:
        _open_bars -= 1


@contextmanager
def progress_bar(description: str, total: float | None = None) -> Iterator[Bar]:
    """One bar for the work in the block.

    Examples
    --------
    >>> with progress_bar("counting", total=3) as bar:
    ...     for _ in range(3):
    ...         bar.advance()
    """
    with progress_bars() as add:
        yield add(description, total)


class _RichBar:
    """One task of a progress display."""

    def __init__(self, progress: Progress, description: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(printable(description), total=total)

    def advance(self, steps: float = 1) -> None:
        self._progress.advance(self._task, steps)

    def describe(self, description: str) -> None:
        self._progress.update(self._task, description=printable(description))


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()
