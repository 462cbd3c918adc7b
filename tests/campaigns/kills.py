"""Kills at any change of a folder, and at any moment: the next run ends in the bytes of one that nobody disturbed.

A writer is a function that writes below the working directory. It is run in a fork of this process, is killed before one
of its changes of the folder (`tests.killing`) or at a random moment, and is run again.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tests.campaigns.inputs import LM_EVAL, PLAIN, SCORES, _frame_points
from tests.killing import KILLED, count_changes, run_until, stop_at

LEFTOVERS = (".densing-partial", ".densing-replaced", ".pending", ".commit")
NOT_COMPARED = (".history", ".lock", "cache")
"""The registry's record of its changes has the time of each; locks are empty."""


def densing(*arguments: str) -> Callable[[], None]:
    """A command as a function; it fails where the command does."""

    def command() -> None:
        from densing.cli import app

        try:
            app(list(arguments), prog_name="densing")
        except SystemExit as error:
            if error.code:
                raise RuntimeError(arguments) from error

    return command


def writers() -> dict[str, tuple[Mapping[str, bytes], Callable[[], None]]]:
    """The commands that need no model: the files they start from, and what runs."""
    import json

    losses, scores = _frame_points()
    add = ["models", "add", "New-3B", "--release-date", "2026-05-01", "--total-params", "3.1B", *SCORES[:4]]
    add += ["--non-embedding-params", "2.9B", "--source", "a report", "--registry", "reg"]
    edit = ["models", "edit", "Qwen2.5-7B", "--set", "tokens_T=18.5", "--registry", "reg"]
    results, points = {"r.json": json.dumps(LM_EVAL).encode()}, {"l.csv": losses, "s.csv": scores}
    return {
        "add": ({}, densing(*add)),
        "edit": ({}, densing(*edit)),
        "import to registry": (results, densing("import", "r.json", "--to", "registry", "--out", "reg")),
        "import to measurement": ({"s.csv": PLAIN}, densing("import", "s.csv", "--to", "measurement", "--out", "m")),
        "report": ({"old/index.html": b"page", "old/data/a.csv": b"a"}, _report),
        "one table of a report": ({}, densing("report", "--only", "harnesses", "--out", "report")),
        "frames build": (points, densing("frames", "build", "l.csv", "--scores", "s.csv", "--tokens", "1e10", "--name", "new")),
    }  # fmt: skip


def _report() -> None:
    """Put a report in its place, as the command does when it has drawn everything."""
    from densing.report.build import replacing

    with replacing(Path("report")) as folder:
        shutil.copytree("old", folder, dirs_exist_ok=True)


class Kills:
    """Kills of one writer.

    Parameters
    ----------
    files : mapping from path to bytes
        What its folder holds at first.
    function : callable
        What writes.
    root : Path
        Where its folders are made.
    twice : bool
        Whether it writes over what an earlier run wrote.
    """

    def __init__(
        self, files: Mapping[str, bytes], function: Callable[[], None], root: Path, *, twice: bool = False
    ) -> None:
        self.files, self.function, self.root, self.twice = files, function, root, twice
        here, whole = Path.cwd(), self._folder()
        _inside(self._folder(), function)  # imports what every fork then has
        os.chdir(here)
        since = time.monotonic()
        assert self._run(whole) == 0
        self.seconds = time.monotonic() - since
        self.expected = contents(whole)
        assert self.expected.keys() > files.keys()

    def _folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.root))
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if self.twice:
            assert self._run(folder) == 0
        return folder

    def _run(self, folder: Path, step: int = 0) -> int:
        return run_until(folder, step, _inside, folder, self.function)

    def steps(self) -> int:
        """How many changes of the folder the writer makes."""
        folder = self._folder()
        return count_changes(folder, _inside, folder, self.function)

    def at(self, step: int) -> bool:
        """Kill before a change, run again, compare; False where the writer makes fewer changes."""
        folder = self._folder()
        code = self._run(folder, step)
        assert code in (0, KILLED)
        self._compare(folder)
        return code == KILLED

    def at_random(self, draw: random.Random) -> bool:
        """Kill at a random moment, run again, compare; False where it had finished."""
        folder = self._folder()
        child = os.fork()
        if child == 0:
            try:
                _inside(folder, self.function)
            finally:
                os._exit(0)
        time.sleep(draw.uniform(0, self.seconds))
        os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        self._compare(folder)
        return killed

    def _compare(self, folder: Path) -> None:
        assert self._run(folder) == 0
        left = [path for path in folder.rglob("*") if path.name.endswith(LEFTOVERS)]
        assert not left
        assert contents(folder) == self.expected
        shutil.rmtree(folder)


def _inside(folder: Path, function: Callable[[], None]) -> None:
    os.chdir(folder)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        function()


def killed_at(step: int, folder: Path, *arguments: str) -> int:
    """Exit code of a command in a process of its own, which ends before a change of a folder; 0 for no step.

    For commands that compute with torch, whose threads no fork of this process would have.
    """
    context = multiprocessing.get_context("forkserver")  # imports once for all processes
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_stopping, args=(step, folder, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


PRELOADED = [
    "densing.cli", "densing.measure.run", "densing.measure.engines.torch_engine", "densing.ladder.training.run",
    "densing.cluster.run", "lm_eval.evaluator", "lm_eval.tasks", "datasets", "transformers.models.llama.modeling_llama",
]  # fmt: skip


def _stopping(step: int, folder: Path, arguments: Sequence[str]) -> None:
    import torch

    torch.set_num_threads(1)
    stop_at(os.path.realpath(folder), step)
    densing(*arguments)()


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file by its path, without what has the time in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(NOT_COMPARED)
    }
