"""Training a ladder, and other models of its recipe: what is missing is trained, what is half done goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densing.core.errors import InputError
from densing.core.files import remove_leftovers
from densing.core.lock import hold
from densing.ladder.config import RESERVED, LadderConfig, Shape
from densing.ladder.corpus.build import check_repetition, open_corpus, prepare_corpus
from densing.ladder.corpus.shards import INDEX, Corpus
from densing.ladder.manifest import Checkpoint, Ladder
from densing.ladder.shapes import params_non_embedding
from densing.ladder.training.checkpoint import Record
from densing.ladder.training.distributed import Workers, workers
from densing.ladder.training.rung import Rung, train_rung
from densing.ladder.training.side_by_side import devices_for, train_side_by_side


def longest_tokens(config: LadderConfig) -> float:
    """Tokens of the largest size's largest budget."""
    return max(params_non_embedding(shape) for shape in config.sizes) * config.budgets[-1]


def make_corpus(config: LadderConfig, folder: Path) -> Corpus:
    """Make a ladder's corpus, or continue it; one that is there is compared with its hashes, every file.

    Parameters
    ----------
    folder : Path
        Of the ladder.

    Raises
    ------
    InputError
        As `prepare_corpus`.
    DensingError
        If another process works in the folder.
    """
    with hold(folder, "making the corpus"):
        return prepare_corpus(config, folder / "corpus", thorough=True)


@dataclass(frozen=True)
class ExtraModel:
    """One more model of a ladder's recipe, on the ladder's corpus, that is no part of the ladder.

    Attributes
    ----------
    shape : Shape
        Its name, which no rung has, is its folder's.
    budgets : tuple of float
        In tokens, increasing; one trunk, a decayed branch at each.
    seed : int
        Of weights and order of text; another than the ladder's.
    """

    shape: Shape
    budgets: tuple[float, ...]
    seed: int

    def rung(self, config: LadderConfig, folder: Path, corpus: Corpus) -> Rung:
        """What is trained.

        Raises
        ------
        InputError
            If the ladder uses its name.
        """
        if self.shape.name in (*RESERVED, *(shape.name for shape in config.sizes)):
            raise InputError(f"{self.shape.name!r} is taken in {folder}; give the model another name")
        return Rung(config, self.shape, self.budgets, folder, corpus.sha256, self.seed)


def train_ladder(
    config: LadderConfig,
    folder: Path,
    *,
    extra: Sequence[ExtraModel] = (),
    processes: int | None = 1,
    save_seconds: float | None = None,
) -> Ladder:
    """Train every rung to every budget.

    Parameters
    ----------
    config : LadderConfig
    folder : Path
        Of the ladder: corpus, rungs and manifest.
    extra : sequence of ExtraModel
        Trained beside the rungs; the manifest does not list them.
    processes : int, optional
        Rungs that train at a time, each in a process of its own; None for one on every GPU, or on a CPU one per
        core where the models are small enough to leave the other cores idle.
    save_seconds : float, optional
        Time between two states on disk; by default so long that saving takes at most 2% of the time.

    Returns
    -------
    Ladder
        As its manifest says.

    Raises
    ------
    InputError
        If the folder holds another ladder's work, or the corpus is unreadable, altered or too small.
    DensingError
        If another process works in the folder, the loss is no longer finite, or the disk is full.
    StoppedError
        After SIGTERM or SIGINT; the same call continues.
    """

    def rungs_on(corpus: Corpus) -> list[Rung]:
        check_repetition(config, corpus, max([longest_tokens(config), *(model.budgets[-1] for model in extra)]))
        return [*rungs_of(config, folder, corpus), *(model.rung(config, folder, corpus) for model in extra)]

    with _prepared(config, folder, rungs_on) as (corpus, everything, team):
        devices = devices_for(everything, team) if processes is None else [team.device] * processes
        if len(devices) > 1:
            train_side_by_side(everything, devices, save_seconds)
        else:
            for rung in everything:
                train_rung(rung, corpus, team, save_seconds)
        ladder = _ladder(config, corpus, everything[: len(config.sizes)])
        if team.main:
            ladder.write(folder, seed=config.seed)
        return ladder


def train_model(
    config: LadderConfig,
    shape: Shape,
    budgets_in_tokens: Sequence[float],
    folder: Path,
    seed: int,
    *,
    save_seconds: float | None = None,
) -> tuple[Checkpoint, ...]:
    """Train a `ExtraModel` on its own, or read what was trained beside the ladder.

    Returns
    -------
    tuple of Checkpoint
        One per budget.

    Raises
    ------
    InputError, DensingError, StoppedError
        As `train_ladder`.
    """
    model = ExtraModel(shape, tuple(budgets_in_tokens), seed)

    def rungs_on(corpus: Corpus) -> list[Rung]:
        check_repetition(config, corpus, model.budgets[-1])
        return [model.rung(config, folder, corpus)]

    with _prepared(config, folder, rungs_on) as (corpus, (rung,), team):
        train_rung(rung, corpus, team, save_seconds)
        return checkpoints_of(rung)


def rungs_of(config: LadderConfig, folder: Path, corpus: Corpus) -> list[Rung]:
    """The rungs of a ladder on its corpus."""
    return [
        Rung(
            config,
            shape,
            [budget * params_non_embedding(shape) for budget in config.budgets],
            folder,
            corpus.sha256,
            config.seed,
        )
        for shape in config.sizes
    ]


@contextmanager
def _prepared(
    config: LadderConfig, folder: Path, rungs_on: Callable[[Corpus], list[Rung]]
) -> Iterator[tuple[Corpus, list[Rung], Workers]]:
    """The corpus and what is trained on it, ready in every process, with the folder locked.

    What earlier runs left is read before anything is written.
    """
    with workers() as team, hold(folder, "training") if team.main else nullcontext():
        if team.count > 1 and not (folder / "corpus" / INDEX).exists():
            raise InputError(
                f"{folder / 'corpus'}: not made yet, and {team.count} processes would wait for it; first run "
                f"densing ladder corpus {config.name} -o {folder}"
            )
        if team.main:
            if made := open_corpus(config, folder / "corpus"):
                for rung in rungs_on(made):
                    rung.check()
            for rung in rungs_on(prepare_corpus(config, folder / "corpus")):
                remove_leftovers(rung.folder)
        team.wait()
        corpus = Corpus(folder / "corpus")
        yield corpus, rungs_on(corpus), team


def _finished(rung: Rung) -> list[Record]:
    return [record for branch in rung.schedule.branches if (record := rung.record(branch))]


def checkpoints_of(rung: Rung) -> tuple[Checkpoint, ...]:
    """Those of its checkpoints that are finished."""
    return tuple(_checkpoint(rung, record) for record in _finished(rung))


def _checkpoint(rung: Rung, record: Record) -> Checkpoint:
    return Checkpoint(
        name=record.name,
        rung=record.rung,
        params=record.params,
        params_non_embedding=record.params_non_embedding,
        tokens=record.tokens,
        path=(rung.folder / str(record.tokens)).resolve(),
        held_out_loss=record.held_out_loss,
        held_out_bits_per_byte=record.held_out_bits_per_byte,
    )


def _ladder(config: LadderConfig, corpus: Corpus, rungs: Sequence[Rung]) -> Ladder:
    records = {rung.shape.name: _finished(rung) for rung in rungs}
    training: dict[str, Any] = {
        "corpus_sha256": corpus.sha256,
        "corpus_tokens": corpus.tokens,
        "tokenizer_sha256": corpus.tokenizer_sha256,
        "rungs": {
            rung.shape.name: {
                "recipe": rung.recipe,
                "warmup_steps": rung.schedule.warmup,
                "history": list(map(list, records[rung.shape.name][-1].trunk_history)),
            }
            for rung in rungs
        },
        "branches": {
            record.name: {"history": list(map(list, record.branch_history)), "weights_sha256": record.weights_sha256}
            for found in records.values()
            for record in found
        },
    }
    checkpoints = [checkpoint for rung in rungs for checkpoint in checkpoints_of(rung)]
    return Ladder(config.name, config.budgets, tuple(checkpoints), training)
