"""Running programs that a model wrote, as HumanEval and MBPP need, where they can do no harm.

Three rooms, in the order of how much they keep out:

- *bubblewrap*: a system of its own without network, read-only but for a temporary folder, without anything of the
  home folder, under a user without rights. All its processes end with it.
- *subprocess*: a process under the same limits of memory, time, processes and files, whose interpreter refuses
  other processes, the network, and files outside its folder. A program that calls the operating system past the
  interpreter gets around that, so it comes with a warning.
- *none*: a process with a limit of time alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from densing.core.errors import InputError
from densing.core.progress import console

KINDS = ("auto", "bubblewrap", "subprocess", "none")
SECONDS = 5.0
"""What a program may take once its interpreter has started."""
SECONDS_TO_START = 60.0
MEMORY = 4 << 30
PROCESSES = 16
LIMITS = {
    "RLIMIT_AS": MEMORY,
    "RLIMIT_NPROC": PROCESSES,
    "RLIMIT_CPU": int(SECONDS) + 1,
    "RLIMIT_FSIZE": 16 << 20,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_CORE": 0,
}
NOBODY = 65534
MARK = "DENSING_SANDBOX"
INSIDE = Path(__file__).with_name("sandbox_inside.py")


@dataclass(frozen=True)
class Sandbox:
    """A room for programs.

    Attributes
    ----------
    kind : {"bubblewrap", "subprocess", "none"}
    as_nobody : bool
        Give up the rights of the administrator first, if this process has them.
    """

    kind: str
    as_nobody: bool = False

    def passes(self, program: str, *, seconds: float = SECONDS) -> bool:
        """Whether a program runs to its end without an error, within its limits.

        Parameters
        ----------
        program : str
            Python source: a solution and its tests.
        seconds : float
            The most that it may take.
        """
        with tempfile.TemporaryDirectory(prefix="densing-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o777)
            word = secrets.token_hex(16)
            inside = "/tmp" if self.kind == "bubblewrap" else folder
            request = {
                "program": program,
                "folder": inside,
                "word": word,
                "guarded": self.kind != "none",
                "limits": self._limits(),
                "user": NOBODY if self.as_nobody and self.kind == "bubblewrap" else None,
            }
            with self._process(folder) as process:
                return _answer(process, json.dumps(request).encode(), seconds) == word

    def _limits(self) -> dict[str, int]:
        if self.kind == "none":
            return {}
        if self.kind == "bubblewrap" or self.as_nobody:
            return LIMITS
        # Outside a room of its own the limit of processes would count all that the user runs.
        return {name: most for name, most in LIMITS.items() if name != "RLIMIT_NPROC"}

    @contextlib.contextmanager
    def _process(self, folder: str) -> Iterator[subprocess.Popen[bytes]]:
        """The interpreter; nothing that it started is left when the block ends."""
        mark = secrets.token_hex(16)
        command = [sys.executable, "-I", "-c", INSIDE.read_text(encoding="utf-8")]
        if self.kind == "bubblewrap":
            command = [*_bubblewrap(folder, own_user=not self.as_nobody), *command]
        outside = self.as_nobody and self.kind != "bubblewrap"
        rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if outside else {}
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", MARK: mark},
            start_new_session=True,
            **rights,  # type: ignore[call-overload]
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                _kill_marked(mark)


def _bubblewrap(folder: str, *, own_user: bool) -> list[str]:
    """The command that makes the room; what it does not name is not there.

    The administrator needs no room of users to make the others, and gives up its rights inside: the limit of
    processes does not hold for it, whatever it is called in a room of users.
    """
    user = ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"] if own_user else []
    places = [place for place in ("/usr", "/etc/ld.so.cache", "/etc/localtime") if Path(place).exists()]
    for place in ("/lib", "/lib64", "/bin", "/sbin"):
        if Path(place).exists():
            places.append(place)
    places += [str(Path(place).absolute()) for place in (sys.prefix, sys.base_prefix)]
    above = {str(parent): None for place in places for parent in reversed(Path(place).parents[:-1])}
    open_to_all = [word for parent in above for word in ("--perms", "0755", "--dir", parent)]
    shown = [word for place in dict.fromkeys(places) for word in ("--ro-bind", place, place)]
    return [
        "bwrap",
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *user,
        "--die-with-parent",
        "--new-session",
        *("--bind", folder, "/tmp"),  # first, or it would hide an environment that is there
        *open_to_all,
        *shown,
        *("--proc", "/proc", "--dev", "/dev", "--chdir", "/tmp", "--"),
    ]


def _answer(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> str:
    """What the process says after it is ready; cut off where its time is over."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.close()
    except BrokenPipeError:
        return ""
    heard = b""
    until = time.monotonic() + SECONDS_TO_START
    started = False
    while (left := until - time.monotonic()) > 0 and select.select([process.stdout], [], [], left)[0]:
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            break
        heard += piece
        if not started and b"\n" in heard:
            started, until = True, time.monotonic() + seconds
    return heard.partition(b"\n")[2].decode(errors="replace")


def _kill_marked(mark: str) -> None:
    """End what left the group of its parent: every process that still has the sandbox's mark."""
    sought = f"{MARK}={mark}".encode()
    found = True
    while found and Path("/proc").is_dir():
        found = False
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if sought in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
                    found = True
        time.sleep(0.01 if found else 0)


def find_sandbox(kind: str = "auto") -> Sandbox:
    """The sandbox of a kind, after a trial that it works here.

    Parameters
    ----------
    kind : {"auto", "bubblewrap", "subprocess", "none"}
        "auto" is bubblewrap where it works, else a subprocess, with a warning.

    Raises
    ------
    InputError
        If there is no such kind, or it does not work on this machine.
    """
    if kind not in KINDS:
        raise InputError(f"--sandbox {kind}: there is no such sandbox; name one of {', '.join(KINDS)}")
    if kind == "none":
        return Sandbox("none")
    if kind != "subprocess" and (found := _that_works("bubblewrap")):
        return found
    if kind == "bubblewrap":
        raise InputError(
            "--sandbox bubblewrap: bubblewrap does not work here; install it (apt-get install bubblewrap), or use "
            "--sandbox subprocess inside a container"
        )
    if not (found := _that_works("subprocess")):
        raise InputError("programs cannot be run in a sandbox here; use --sandbox none inside a container")
    if kind == "auto":
        console.print(
            "note: bubblewrap is not here or does not work, so programs that the model writes run in a subprocess "
            "with limits, which a determined one can get around; install bubblewrap, or work in a container"
        )
    return found


@lru_cache
def _that_works(kind: str) -> Sandbox | None:
    """The kind with the fewest rights under which an empty program passes."""
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        return None
    administrator = hasattr(os, "geteuid") and os.geteuid() == 0
    tries = [Sandbox(kind, as_nobody=True)] * administrator + [Sandbox(kind)]
    # Whoever may not read this interpreter's library may find another's.
    trial = f"import sys, threading\nassert sys.base_prefix == {sys.base_prefix!r}"
    for sandbox in tries:
        with contextlib.suppress(PermissionError):  # whoever may not run this interpreter at all
            if sandbox.passes(trial, seconds=SECONDS_TO_START):
                return sandbox
    return None
