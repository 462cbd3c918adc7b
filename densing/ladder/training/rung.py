"""One rung: the trunk, a decayed branch for every budget, and the way back in after any interruption."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from densing.core.devices import peak_flops
from densing.core.errors import DensingError, InputError
from densing.core.files import atomic_folder, refuse_special_files
from densing.core.progress import Bar, progress_bar
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.corpus.shards import Corpus
from densing.ladder.export import write_card, write_weights
from densing.ladder.model import llama_config
from densing.ladder.schedule import Branch, Schedule, make_schedule
from densing.ladder.shapes import MFU_CONVENTION, flops_per_token, params, params_non_embedding
from densing.ladder.training.causal_loss import pad_vocabulary
from densing.ladder.training.checkpoint import (
    RECORD,
    STATE_BYTES,
    Form,
    Record,
    State,
    form_of,
    load_state,
    read_record,
    recipe,
    refuse_other_model,
    refuse_other_recipe,
    save_state,
)
from densing.ladder.training.distributed import Workers
from densing.ladder.training.memory import keep_freed_memory
from densing.ladder.training.trainer import DivergedError, Trainer

if TYPE_CHECKING:
    import torch

SAVE_SHARE = 0.02
"""Of the time, that saving may take where no interval is set."""
_SAVE_SECONDS = 60.0
"""The shortest interval that is taken without being asked for."""
_DISK_RATE = 5e8
"""Bytes per second that a first save is expected to reach."""
SMALL = 1_000_000
"""Parameters up to which a model trains with one thread on a CPU."""
_HISTORY_ENTRIES = 200


class StoppedError(DensingError):
    """A signal asked training to stop; the state is saved."""

    exit_code = 128 + signal.SIGTERM


class Rung:
    """What one model of a ladder is trained to, and what of it is on disk.

    Parameters
    ----------
    config : LadderConfig
    shape : Shape
    budgets : sequence of float
        Tokens, increasing.
    folder : Path
        Of the ladder; the rung lies in a folder of its name.
    corpus_sha256 : str
    seed : int
    """

    def __init__(
        self, config: LadderConfig, shape: Shape, budgets: Sequence[float], folder: Path, corpus_sha256: str, seed: int
    ) -> None:
        self.config, self.shape, self.seed = config, shape, seed
        self.folder = folder / shape.name
        self.tokens_per_step = shape.batch * config.context
        self.schedule: Schedule = make_schedule(shape.name, params_non_embedding(shape), budgets, self.tokens_per_step)
        self.recipe = recipe(config, shape, corpus_sha256, seed)

    @property
    def trunk_path(self) -> Path:
        """State of the trunk."""
        return self.folder / "state" / "trunk.pt"

    @property
    def branch_path(self) -> Path:
        """State of the branch in training."""
        return self.folder / "state" / "branch.pt"

    def checkpoint_folder(self, branch: Branch) -> Path:
        """Where a finished branch lies."""
        return self.folder / str(branch.steps * self.tokens_per_step)

    def record(self, branch: Branch) -> Record | None:
        """What is known of a finished branch, or None.

        Raises
        ------
        InputError
            If it comes from another configuration, or is damaged.
        """
        folder = self.checkpoint_folder(branch)
        record = read_record(folder)
        if record is None:
            return None
        refuse_other_recipe(folder, record.recipe, self.recipe)
        for name, value in self.facts(branch).items():
            if getattr(record, name) != value:
                raise InputError(
                    f"{folder / RECORD}: {name} is {getattr(record, name)!r}, and this checkpoint has {value!r}; "
                    f"delete {folder} to train it again"
                )
        return record

    def facts(self, branch: Branch) -> dict[str, Any]:
        """What of a branch's record is known before it is trained."""
        tokens = branch.steps * self.tokens_per_step
        return {
            "name": f"{self.shape.name}-{tokens}",
            "rung": self.shape.name,
            "params": params(self.shape, self.config.tokenizer.vocabulary),
            "params_non_embedding": params_non_embedding(self.shape),
            "tokens": tokens,
        }

    def state(self, path: Path) -> State | None:
        """The state in a file, or None where there is none.

        Raises
        ------
        InputError
            If it is damaged, or comes from another configuration.
        """
        state = load_state(path, self.recipe)
        if state:
            refuse_other_model(path, state.snapshot, self._forms)
        return state

    @cached_property
    def _forms(self) -> dict[str, Form]:
        """Shapes and types of the weights that it trains."""
        import torch
        from transformers import LlamaForCausalLM

        with torch.device("meta"):
            model = LlamaForCausalLM(llama_config(self.shape, self.config.tokenizer.vocabulary, self.config.context, 0))
            pad_vocabulary(model)
        return {name: form_of(weight) for name, weight in model.named_parameters()}

    def check(self) -> None:
        """Read all that training would continue from, so that what cannot be used is refused before anything is done.

        Raises
        ------
        InputError
            As `record` and `state`.
        """
        if self.missing:
            refuse_special_files(self.folder)  # the log is one of its files
            for path in (self.trunk_path, self.branch_path):
                self.state(path)

    @property
    def missing(self) -> list[Branch]:
        """Branches that are not finished."""
        return [branch for branch in self.schedule.branches if not self.record(branch)]


def is_small(shape: Shape, device: torch.device) -> bool:
    """Whether a model trains with one thread: its products are over before a second thread has joined in.

    On a busy machine two threads were ten times slower than one, each waiting for the other at every product.
    """
    return device.type == "cpu" and params_non_embedding(shape) <= SMALL


def train_rung(
    rung: Rung, corpus: Corpus, team: Workers, save_seconds: float | None = None, bar: Bar | None = None
) -> None:
    """Train every missing branch, and as much of the trunk as they need.

    Parameters
    ----------
    save_seconds : float, optional
        Time between two states on disk; by default so long that saving takes at most 2% of the time.
    bar : Bar, optional
        That shows the steps; by default one of its own.

    Raises
    ------
    InputError
        If what lies in the rung's folder comes from another configuration.
    StoppedError
        After SIGTERM or SIGINT; the state is saved.
    DensingError
        If the loss is no longer finite, or the disk is full; what was saved before stays.
    """
    missing = rung.missing
    team.wait()
    if not missing:
        return
    rung.folder.mkdir(parents=True, exist_ok=True)
    shown: AbstractContextManager[Bar | None] = nullcontext(bar)
    if bar is None and team.main:
        shown = progress_bar(rung.shape.name, rung.schedule.trained_steps)
    if team.device.type == "cpu":
        keep_freed_memory()
    one_thread = _one_thread() if is_small(rung.shape, team.device) else nullcontext()
    with shown as told, stop_signals() as asked_to_stop, one_thread:
        _Run(rung, corpus, team, save_seconds, told, asked_to_stop).train(missing)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SaveInterval:
    """When the next state is due.

    Parameters
    ----------
    seconds : float, optional
        That the user set; by default as many as make saving cost `SAVE_SHARE` of the time, and at least a minute.
    size : int
        Bytes of a state, from which the cost of the first save is guessed.

    Attributes
    ----------
    seconds : float
        Between the end of a save and the beginning of the next.
    """

    def __init__(self, seconds: float | None, size: int) -> None:
        self._set = seconds
        self.took(size / _DISK_RATE)

    def took(self, seconds: float) -> None:
        """A save took so long."""
        self.seconds = max(_SAVE_SECONDS, seconds / SAVE_SHARE) if self._set is None else self._set


class _Run:
    """The loop over steps, and the state that it carries."""

    def __init__(
        self,
        rung: Rung,
        corpus: Corpus,
        team: Workers,
        save_seconds: float | None,
        bar: Bar | None,
        asked_to_stop: threading.Event,
    ) -> None:
        self.rung, self.corpus, self.team = rung, corpus, team
        self.interval = SaveInterval(save_seconds, STATE_BYTES * params(rung.shape, rung.config.tokenizer.vocabulary))
        self.asked_to_stop = asked_to_stop
        self.meter = _Meter(rung, team, bar)
        self._begin()

    def train(self, missing: Sequence[Branch]) -> None:
        finished = [branch for branch in self.rung.schedule.branches if branch not in missing]
        self.meter.already(sum(branch.steps - branch.start for branch in finished))
        for branch in missing:
            if not self._resume(self.rung.branch_path, branch.steps, range(branch.start, branch.steps + 1)):
                if not self._resume(self.rung.trunk_path, 0, range(branch.start + 1)) and self.state.step:
                    self._begin()  # the trunk was deleted, or had gone past this branch
                self._run(branch.start, self.rung.schedule.trunk_factor, self.rung.trunk_path)
                self._save(self.rung.trunk_path)
                self.state.branch_steps = branch.steps
            self._run(branch.steps, branch.factor, self.rung.branch_path)
            self._finish(branch)

    def _begin(self) -> None:
        self.trainer = Trainer(self.rung.config, self.rung.shape, self.corpus, self.team, self.rung.seed)
        self.state = State(self.rung.recipe)

    def _resume(self, path: Path, branch_steps: int, steps: range) -> bool:
        state = self.rung.state(path)
        if state is None or state.branch_steps != branch_steps or state.step not in steps:
            return False
        self.meter.resumed(state.step)
        try:
            self.trainer.restore(state.snapshot)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # a device that fails raises another
            raise InputError(
                f"{path}: the optimiser's settings are not those of a state ({error}); delete it to train again"
            ) from error
        self.state = state
        state.snapshot = {}
        return True

    def _run(self, until: int, factor: Callable[[int], float], path: Path) -> None:
        """Take steps, with the state saved to `path` now and then."""
        try:
            self._steps(until, factor, path)
            self.trainer.check()
        except DivergedError as error:
            raise self._diverged(error.step, path) from error
        except RuntimeError as error:  # what PyTorch raises of a device
            raise self._device_failed(error, path) from error

    def _steps(self, until: int, factor: Callable[[int], float], path: Path) -> None:
        saved = time.monotonic()
        while self.state.step < until:
            loss = self.trainer.step(self.state.step, factor(self.state.step))
            self.state.step += 1
            if self.meter.count(self.state, loss):
                self.trainer.check()
            due = time.monotonic() - saved >= self.interval.seconds
            stop, save = self.team.sum([float(self.asked_to_stop.is_set()), float(due and self.team.main)])
            if stop or save:
                self._save(path)
                saved = time.monotonic()
            if stop:
                raise StoppedError(
                    f"{self.rung.shape.name}: stopped at step {self.state.step}; run the same command to continue"
                )

    def _save(self, path: Path) -> None:
        began = time.monotonic()
        self.trainer.check()
        self.meter.settle(self.state)
        self.state.snapshot = self.trainer.snapshot()
        if self.team.main:
            save_state(self.state, path)
        self.state.snapshot = {}
        self.team.wait()
        self.interval.took(time.monotonic() - began)

    def _finish(self, branch: Branch) -> None:
        """Measure the held-out loss and write the checkpoint."""
        rung, state = self.rung, self.state
        held_out = self.trainer.held_out_loss()
        weights = self.trainer.weights()
        if self.team.main:
            with atomic_folder(rung.checkpoint_folder(branch)) as folder:
                sha256 = write_weights(weights, self.trainer.model.config, self.corpus.tokenizer_folder, folder)
                record = Record(
                    **rung.facts(branch),
                    held_out_loss=held_out.nats_per_token,
                    held_out_bits_per_byte=held_out.bits_per_byte,
                    weights_sha256=sha256,
                    recipe=rung.recipe,
                    trunk_history=state.trunk_history,
                    branch_history=state.branch_history,
                )
                write_card(record, rung.config, rung.shape, folder)
                record.write(folder)
            rung.branch_path.unlink(missing_ok=True)
        self.team.wait()

    def _device_failed(self, error: RuntimeError, path: Path) -> DensingError:
        return DensingError(
            f"{self.rung.shape.name}: {self.team.device} failed at step {self.state.step} "
            f"({str(error).splitlines()[0]}); {_kept(path)}, run the same command to continue"
        )

    def _diverged(self, step: int, path: Path) -> DensingError:
        return DensingError(
            f"{self.rung.shape.name}: the loss is no longer a finite number at step {step} "
            f"({step * self.rung.tokens_per_step:,} tokens); {_kept(path)}. Lower learning_rate "
            f"(now {self.rung.config.learning_rate:g}) and train into another folder"
        )


def _kept(path: Path) -> str:
    return f"the state in {path} is kept" if path.exists() else "no state had been saved"


class _Meter:
    """What is seen of a run while it goes on: history, log, progress."""

    def __init__(self, rung: Rung, team: Workers, bar: Bar | None) -> None:
        self.rung, self.team, self.bar = rung, team, bar
        self.every = max(1, rung.schedule.branches[-1].steps // _HISTORY_ENTRIES)
        self.began = time.monotonic()
        self.counted_from: int | None = None
        self.pending: list[torch.Tensor] = []
        """Losses that may still be in the making on the device."""
        peak = peak_flops(team.device)
        self.peak = peak * team.count if peak else None

    def already(self, steps: int) -> None:
        """Steps that earlier runs took."""
        if self.bar:
            self.bar.advance(steps)

    def resumed(self, step: int) -> None:
        """The first state that is loaded says how far the trunk, or the branch, was."""
        if self.counted_from is None:
            self.already(step)
            self.counted_from = step

    def count(self, state: State, loss: torch.Tensor) -> bool:
        """A step was taken; True where it was logged, which waits for the device."""
        self.counted_from = self.counted_from or 0
        self.pending.append(loss)
        if self.bar:
            self.bar.advance()
        if state.step % self.every:
            return False
        self.settle(state)
        mean = sum(state.recent) / len(state.recent)
        (state.branch_history if state.branch_steps else state.trunk_history).append((state.step, mean))
        rate = len(state.recent) * self.rung.tokens_per_step / (time.monotonic() - self.began)
        state.recent.clear()
        self.began = time.monotonic()
        if self.team.main:
            self._log(state, mean, rate)
        return True

    def settle(self, state: State) -> None:
        """Wait for the losses, and put them into the state."""
        if self.pending:
            state.recent += [total / self.team.count for total in self.team.sum([float(loss) for loss in self.pending])]
            self.pending.clear()

    def _log(self, state: State, loss: float, rate: float) -> None:
        rung = self.rung
        flops = flops_per_token(rung.shape, rung.config.tokenizer.vocabulary, rung.config.context) * rate
        row: dict[str, Any] = {
            "step": state.step,
            "tokens": state.step * rung.tokens_per_step,
            "branch": state.branch_steps * rung.tokens_per_step or None,
            "loss": loss,
            "tokens_per_second": round(rate),
        }
        if self.peak:
            row |= {"mfu": round(flops / self.peak, 4), "mfu_counts": MFU_CONVENTION}
        path = rung.folder / "log.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise DensingError(f"{path}: cannot be written: {error.strerror}") from error
        if self.bar:
            mfu = f", MFU {row['mfu']:.0%}" if self.peak else ""
            self.bar.describe(f"{rung.shape.name}: loss {loss:.3f}, {rate:,.0f} tokens/s{mfu}")


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGTERM and SIGINT set the event instead of ending the process."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
