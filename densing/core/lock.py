"""One process at a time on a folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from densing.core.errors import DensingError, InputError
from densing.core.files import read_text


@contextmanager
def hold(folder: Path, doing: str) -> Iterator[None]:
    """Hold the folder for the length of the block; a process that dies lets go.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    doing : str
        What the holder does, for the message to others: "training".

    Raises
    ------
    DensingError
        If another process holds it; names the process and the lock.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = folder / ".lock", folder / ".lock-holder"
    new = not lock.exists()
    try:
        with FileLock(lock, timeout=0):
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            try:
                yield
            except InputError:
                if new:  # refused before anything began here
                    lock.unlink(missing_ok=True)
                raise
            finally:
                holder.unlink(missing_ok=True)
    except Timeout as error:
        who = "another process"
        with suppress(InputError):  # it has just gone, or its note is damaged
            who = read_text(holder, largest=1 << 10)
        raise DensingError(
            f"{folder}: {who} is {doing} here (lock: {lock}); wait until it has finished, or choose another folder"
        ) from error


@contextmanager
def hold_in_turn(lock: Path) -> Iterator[None]:
    """Hold a lock file for the length of the block, after whoever holds it now; a process that dies lets go."""
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        yield
