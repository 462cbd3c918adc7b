"""Spoiled inputs for every command: whatever is given, the answer is a result or one message, and nothing half done.

    python -m tests.campaigns.fuzz --seed 1 --inputs 10000 --seconds 600

An input fails on an exception that reaches the top, an exit code other than 0, 1 and 2, more than 10 seconds of the processor or 1 GB, a
message over 500 characters or with characters that a terminal would obey, and on files that a refused command leaves.
Failures are made smaller and kept as JSON in `tests/campaigns/regressions`, which the tests replay.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gc
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from densing.core.text import printable
from tests.campaigns.inputs import MADE, Input, inputs
from tests.campaigns.mutators import PLACES, put, spoil, spoil_arguments, spoil_environment

SECONDS = 10
"""Of the processor; a machine that is shared takes longer."""
PATIENCE = 60 * SECONDS
"""Seconds by the clock after which an input counts as one that waits for something."""
MEGABYTES = 1000
SLOW = 100
"""Cost of an input that is not tried as it should be before a campaign."""
LONGEST_MESSAGE = 500
GOES_ON = (["ladder", "train"], ["ladder", "corpus"], ["sweep", "run"])
"""Commands whose run keeps what it has done where it fails (exit code 1)."""
BATCH = 200
KEPT = Path(__file__).parent / "regressions"


@dataclass(frozen=True)
class Call:
    """One call of `densing` in a folder with these files; `places` says which of them are a folder, a pipe or a link instead."""

    name: str
    arguments: list[str]
    files: Mapping[str, bytes]
    spoiled: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Text to keep it as."""
        files = {name: base64.b64encode(content).decode() for name, content in self.files.items()}
        return json.dumps(asdict(self) | {"files": files}, indent=1)

    @classmethod
    def of_json(cls, text: str) -> Call:
        """What `to_json` gave."""
        data = json.loads(text)
        return cls(**data | {"files": {name: base64.b64decode(text) for name, text in data["files"].items()}})


@dataclass(frozen=True)
class Outcome:
    """What came of a call; `fault` is empty where all was as it should be."""

    fault: str
    code: int | None = None
    seconds: float = 0
    megabytes: float = 0
    said: str = ""


def calls(seed: int, torch: bool) -> Iterator[Call]:
    """Spoiled inputs without end, the same for the same seed; those that take long less often."""
    draw = random.Random(seed)
    known = inputs(torch)
    while True:
        yield spoiled(draw.choices(known, [1 / one.cost for one in known])[0], draw)


def spoiled(one: Input, draw: random.Random) -> Call:
    """One input with a file, its place or its name, its arguments or the environment spoiled."""
    kind = draw.random()
    if kind < 0.04:
        return Call(one.name, one.arguments, one.files, environment=spoil_environment(draw))
    if one.files and kind < 0.08:
        name = one.spoil or draw.choice(sorted(one.files))
        return Call(one.name, one.arguments, one.files, name, {name: draw.choice(PLACES)})
    if one.spoil in one.arguments and kind < 0.1:
        other = one.spoil.rpartition(".")[0] + draw.choice(
            ["", ".json", ".csv", ".yaml", ".jsonl", ".txt", ".JSON", ".npz", ".\u202e"]
        )
        files = {other if name == one.spoil else name: content for name, content in one.files.items()}
        return Call(one.name, [other if word == one.spoil else word for word in one.arguments], files)
    if one.spoil is None:
        words, options = _options(one.arguments)
        return Call(one.name, words + spoil_arguments(one.arguments[len(words) :], options, draw), one.files)
    content = spoil(one.files[one.spoil], one.spoil, draw)
    return Call(one.name, one.arguments, {**one.files, one.spoil: content}, one.spoil)


def _options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The words that are a command's name, and its options, without those that reach for other machines."""
    command, words = _command(), []
    for word in arguments:
        if word not in getattr(command, "commands", ()):
            break
        command, words = command.commands[word], [*words, word]
    options = [name for option in command.params for name in option.opts if name.startswith("-")]
    return words, [name for name in options if name not in ("--address", "--parity", "--device")]


def run(call: Call, root: Path) -> Outcome:
    """Run a call in this process, in a folder of its own below `root`."""
    from densing.cli import _streams

    above = Path(tempfile.mkdtemp(dir=root))
    folder = above / "a" / "b"  # where ../../x leads out of it
    folder.mkdir(parents=True)
    for name, content in call.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        put(folder / name, content, call.places.get(name))
        if name not in call.places and name != call.spoiled:
            os.utime(folder / name, (MADE, MADE))  # as notes of earlier runs have it
    before, environment, stdin = _files(folder), dict(os.environ), sys.stdin
    out, err = io.StringIO(), io.StringIO()
    peak, since = _megabytes(), time.process_time()
    fault, code = "", None
    os.environ.update(call.environment)
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            sys.stdin, sys.stdout = io.StringIO(), _streams.EscapingStream(out)  # type: ignore[assignment]
            _command().main(call.arguments, prog_name="densing")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/densing/" in f.filename]
        place = f"{frames[-1].filename.partition('/densing/')[2]}:{frames[-1].name}" if frames else ""
        fault = f"{type(error).__name__} at {place}: {str(error)[:200]}"
    finally:
        os.chdir(root)
        sys.stdin = stdin
        os.environ.clear()
        os.environ.update(environment)
    seconds, megabytes = time.process_time() - since, _megabytes() - peak
    said = err.getvalue()
    message = said.rpartition("densing: ")[2].rstrip("\n")
    after = _files(folder)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    shutil.rmtree(above)
    if not fault and code not in (0, 1, 2):
        fault = f"exit code {code}"
    elif not fault and seconds > SECONDS:
        fault = f"{seconds:.0f} s of the processor"
    elif not fault and megabytes > MEGABYTES:
        fault = f"{megabytes:.0f} MB"
    elif not fault and "MemoryError" in said:
        fault = f"no memory left: {message[:200]}"
    elif not fault and code == 2 and "densing: " in said and len(message) > LONGEST_MESSAGE:
        fault = f"message of {len(message)} characters"
    elif not fault and printable(out.getvalue() + said) != out.getvalue() + said:
        fault = "control characters in the output"
    elif not fault and code in (1, 2) and not said.strip():
        fault = f"exit code {code} without a message" if not out.getvalue().strip() else ""
    elif not fault and code in (1, 2) and changed and not (code == 1 and call.arguments[:2] in GOES_ON):
        fault = f"refused, and left {changed[:3]}"
    return Outcome(fault, code, seconds, megabytes, said[-300:])


@cache
def _command() -> Any:
    """The commands as click has them, made once."""
    from typer.main import get_command

    from densing.cli import app

    return get_command(app)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _files(folder: Path) -> dict[str, bytes]:
    """What is in a folder; of a link where it leads."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path).encode()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def campaign(
    seed: int, count: int, seconds: float, root: Path, *, torch: bool = False
) -> tuple[list[tuple[Call, Outcome]], dict[str, Any]]:
    """Run inputs in processes of some dozens each; the faults, and the figures of all."""
    prepare(root, torch)
    since, source = time.monotonic(), calls(seed, torch)
    faults: list[tuple[Call, Outcome]] = []
    codes: Counter[str] = Counter()
    slowest = largest = processor = 0.0
    done = 0
    waiting: list[Call] = []
    while done < count and time.monotonic() - since < seconds:
        waiting += [next(source) for _ in range(min(BATCH, count - done) - len(waiting))]
        outcomes = outcomes_of(waiting, root)
        for call, outcome in zip(waiting, outcomes, strict=False):
            codes[str(outcome.code)] += 1
            slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.megabytes)
            processor += outcome.seconds
            if outcome.fault:
                faults.append((call, outcome))
                print(f"{call.name}: {printable(outcome.fault)}", file=sys.stderr, flush=True)
        done += len(outcomes)
        waiting = waiting[len(outcomes) :]
        print(f"{done} of {count} inputs, {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    figures = {
        "seed": seed,
        "inputs": done,
        "faults": len(faults),
        "seconds": round(time.monotonic() - since),
        "processor_seconds": round(processor),
        "codes": dict(sorted(codes.items())),
        "slowest_seconds": round(slowest, 2),
        "largest_megabytes": round(largest),
    }
    return faults, figures


def prepare(root: Path, torch: bool) -> None:
    """What every process shares: a cache of its own, and what is imported and read once."""
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads of the parent are none in a fork
    os.environ.pop("DENSING_REGISTRY", None)
    for one in inputs(torch):  # what is imported and kept here is there in every fork
        if one.cost >= SLOW:
            continue
        outcome = run(Call(one.name, one.arguments, one.files), root)
        if outcome.fault or outcome.code != one.code:
            raise RuntimeError(f"{one.name}, not spoiled: exit code {outcome.code}, {outcome.fault}, {outcome.said}")
    gc.collect()
    gc.freeze()  # or the first collection in a fork copies everything


def outcomes_of(waiting: list[Call], root: Path) -> list[Outcome]:
    """Outcomes of calls, in a fork of this process; up to the first that it did not live through."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (4 * MEGABYTES << 20, resource.RLIM_INFINITY))
            for call in waiting:
                # Also code that Python cannot interrupt ends here, by the signal's own action.
                resource.setrlimit(
                    resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS + 2, resource.RLIM_INFINITY)
                )
                os.write(write, (json.dumps(asdict(run(call, root))) + "\n").encode())
        finally:
            os._exit(0)
    os.close(write)
    outcomes: list[Outcome] = []
    rest, end = b"", ""
    while not end:
        if not select.select([read], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
            end = f"nothing for {PATIENCE} s by the clock"
        elif some := os.read(read, 1 << 16):
            *lines, rest = (rest + some).split(b"\n")
            outcomes += [Outcome(**json.loads(line)) for line in lines]
        else:
            end = "the process ended"
    os.close(read)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if len(outcomes) < len(waiting):
        over = f"more than {SECONDS} s of the processor"
        outcomes.append(Outcome(over if code == -signal.SIGXCPU else f"{end}, with {code}"))
    return outcomes


def minimised(call: Call, fault: str, root: Path, seconds: float = 20) -> Call:
    """A smaller call with the same fault: pieces of the spoiled file are left out while it stays."""
    if call.spoiled is None or call.spoiled in call.places:
        return call
    content, end = call.files[call.spoiled], time.monotonic() + seconds

    def fails(shorter: bytes) -> bool:
        trial = Call(call.name, call.arguments, {**call.files, str(call.spoiled): shorter}, call.spoiled)
        return outcomes_of([trial], root)[0].fault.partition(":")[0] == fault.partition(":")[0]

    size = len(content) // 2
    while size and time.monotonic() < end:
        place = 0
        while place < len(content) and time.monotonic() < end:
            shorter = content[:place] + content[place + size :]
            if fails(shorter):
                content = shorter
            else:
                place += size
        size //= 2
    return Call(call.name, call.arguments, {**call.files, call.spoiled: content}, call.spoiled)


def main() -> int:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--torch", action="store_true", help="also the commands that import torch")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for the failures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults, figures = campaign(options.seed, options.inputs, options.seconds, Path(folder), torch=options.torch)
        print(json.dumps(figures), flush=True)
        seen: set[str] = set()
        for call, outcome in faults:
            what = f"{call.name}: {outcome.fault.partition(':')[0]}"
            if what not in seen:
                seen.add(what)
                options.keep.mkdir(parents=True, exist_ok=True)
                name = "".join(letter if letter.isalnum() else "-" for letter in what)[:90]
                (options.keep / f"{name}.json").write_text(minimised(call, outcome.fault, Path(folder)).to_json())
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
