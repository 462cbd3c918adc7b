"""What of a ladder exists, is half done, is missing, or comes from other settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from densing.core.errors import InputError
from densing.ladder.config import LadderConfig
from densing.ladder.corpus.build import open_corpus, tokens_so_far
from densing.ladder.export import WEIGHTS
from densing.ladder.schedule import Branch
from densing.ladder.training.checkpoint import State
from densing.ladder.training.run import rungs_of
from densing.ladder.training.rung import Rung


@dataclass(frozen=True)
class Entry:
    """One thing that a ladder consists of.

    Attributes
    ----------
    name : str
        `corpus`, or the checkpoint's.
    state : {"done", "half done", "missing", "stale"}
    detail : str
        How far, or why it is stale.
    """

    name: str
    state: str
    detail: str = ""


def ladder_status(config: LadderConfig, folder: Path) -> list[Entry]:
    """The corpus and every checkpoint of a ladder.

    Parameters
    ----------
    folder : Path
        Of the ladder.
    """
    try:
        corpus = open_corpus(config, folder / "corpus")
    except InputError as error:
        return [Entry("corpus", "stale", str(error)), *_without_corpus(config)]
    if corpus is None:
        return [_half_made(folder / "corpus"), *_without_corpus(config)]
    entries = [Entry("corpus", "done", f"{corpus.tokens:,} training tokens in {corpus.documents:,} documents")]
    for rung in rungs_of(config, folder, corpus):
        entries.extend(_rung(rung))
    return entries


def _half_made(corpus: Path) -> Entry:
    try:
        made = tokens_so_far(corpus)
    except InputError as error:
        return Entry("corpus", "stale", str(error))
    return Entry("corpus", "half done", f"{made:,} training tokens") if made else Entry("corpus", "missing")


def _without_corpus(config: LadderConfig) -> Iterator[Entry]:
    for shape in config.sizes:
        for budget in config.budgets:
            yield Entry(f"{shape.name} at {budget:g} per parameter", "missing", "needs the corpus")


def _rung(rung: Rung) -> Iterator[Entry]:
    try:
        trunk, half_done = rung.state(rung.trunk_path), rung.state(rung.branch_path)
        damaged = ""
    except InputError as error:
        trunk, half_done, damaged = None, None, str(error)
    for branch in rung.schedule.branches:
        name = f"{rung.shape.name}-{branch.steps * rung.tokens_per_step}"
        try:
            record = rung.record(branch)
        except InputError as error:
            yield Entry(name, "stale", str(error))
            continue
        if record and not (rung.checkpoint_folder(branch) / WEIGHTS).exists():
            yield Entry(name, "stale", f"{rung.checkpoint_folder(branch)} has no {WEIGHTS}; delete it to train again")
        elif record:
            yield Entry(name, "done", f"held-out loss {record.held_out_loss:.4f}")
        elif damaged:
            yield Entry(name, "stale", damaged)
        else:
            yield _unfinished(branch, name, trunk, half_done)


def _unfinished(branch: Branch, name: str, trunk: State | None, half_done: State | None) -> Entry:
    step = min(trunk.step, branch.start) if trunk else 0
    if half_done and half_done.branch_steps == branch.steps:
        step = half_done.step
    if not step:
        return Entry(name, "missing")
    return Entry(name, "half done", f"step {step:,} of {branch.steps:,}")
