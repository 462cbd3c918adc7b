"""What the benchmarks share: the machine in words, alternating timings, tables, result files."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def hardware() -> str:
    """Cores, and the GPU if there is one."""
    gpu = "no GPU"
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
        gpu = found.stdout.strip().splitlines()[0] if found.returncode == 0 and found.stdout.strip() else gpu
    except FileNotFoundError:
        pass
    return f"{len(os.sched_getaffinity(0))} cores, {gpu}, Python {platform.python_version()}"


def seconds(work: Callable[[], Any], repeats: int = 1) -> list[float]:
    """Wall times of some repetitions."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = 3) -> tuple[float, float, float]:
    """Median seconds of both, run in turn, and the median of the ratios theirs/ours of each round."""
    first, second = [], []
    for _ in range(rounds):
        first += seconds(ours)
        second += seconds(theirs)
    ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
    return statistics.median(first), statistics.median(second), ratio


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_fresh_process(script: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark's part in a process of its own, so that its memory is its own; its last line is JSON."""
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def write(name: str, data: dict[str, Any]) -> None:
    """Keep the numbers with the machine they were measured on."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"hardware": hardware(), **data}, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
