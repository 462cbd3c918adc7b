"""Stop a process at any of its changes to a folder, as a kill would.

The process is a fork of the test's own, so that nothing is imported again. It ends without any clean-up before its n-th
change of something below the folder: a file opened for writing, a rename, a removal, a new folder.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILLED = 137
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}


def run_until(folder: Path, step: int, function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function and stop it before its `step`-th change of the folder.

    Returns
    -------
    int
        0 where the function finished in fewer steps, `KILLED` where it was stopped, 1 where it raised.
    """
    child = os.fork()
    if child == 0:
        code = 1
        # Threads end with the fork; a tokenizer that was asked to use its pool would wait for them for ever.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            stop_at(os.path.realpath(folder), step)
            function(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count_changes(folder: Path, function: Callable[..., Any], *arguments: Any) -> int:
    """How many changes of the folder a function makes; it runs in a fork."""
    read, write = os.pipe()

    def counted() -> None:
        made = stop_at(os.path.realpath(folder), 0)
        function(*arguments)
        os.write(write, str(made()).encode())

    assert run_until(folder, 0, counted) == 0
    os.close(write)
    with os.fdopen(read) as answer:
        return int(answer.read())


def stop_at(folder: str, step: int) -> Callable[[], int]:
    """End this process before its `step`-th change of the folder; what it returns says how many there were."""
    left = step

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            path, changes = arguments[0] if arguments else "", event in _CHANGES
        if not changes or not isinstance(path, str | bytes | os.PathLike):
            return
        if os.path.abspath(os.fsdecode(path)).startswith(folder):
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(hook)
    return lambda: step - left
