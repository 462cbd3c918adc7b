"""A report of the full registry: its time, memory and size; how soon its page answers with 1,000 models.

python benchmarks/report.py
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import table, write

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from densing.models.changes import add  # noqa: E402
from densing.models.registry import ModelEntry, ScoreEntry, load_registry  # noqa: E402
from densing.report.data import gather  # noqa: E402
from densing.report.page.build import write_page  # noqa: E402
from tests.report.browser import Window  # noqa: E402

MODELS = 1000
LOADS = 9
BENCHMARKS = ("mmlu", "bbh", "math", "humaneval", "mbpp")


def command(folder):
    """`densing report` on the shipped registry, in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "densing", "report", "--out", str(folder / "report")],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    assert status == 0
    size = (folder / "report" / "index.html").stat().st_size
    return {
        "wall_s": wall,
        "processor_s": usage.ru_utime + usage.ru_stime,
        "peak_MB": usage.ru_maxrss / 1024,
        "page_MB": size / 1e6,
        "load_average": os.getloadavg()[0],
    }


def thousand_models(folder, seed=0):
    """The page of the registry filled up to a thousand models; the trend of the made-up ones means nothing."""
    rng = np.random.default_rng(seed)
    os.chdir(folder)
    missing = MODELS - len(load_registry().complete(BENCHMARKS))
    for i in range(missing):
        name, family = f"Made-up-{i:04d}-Base", f"Made-up-{i % 60}"
        released = dt.date(2023, 3, 1) + dt.timedelta(days=int(rng.integers(0, 900)))
        entry = ModelEntry(
            model=name, family=family, release_date=released, total_params_B=10 ** rng.uniform(-0.2, 2.6)
        )
        scores = [
            ScoreEntry(model=name, benchmark=b, score=rng.uniform(25, 60), source=f"a made-up report, table {i}")
            for b in BENCHMARKS
        ]
        add(entry, scores)
    data = gather()
    write_page(folder / "page.html", data)
    return folder / "page.html", len(data.row("registry").densities.names)


def time_to_interactive(page):
    """Milliseconds from the start of the navigation to the mark that the page sets when it answers, of each load."""
    window, times = Window(), []
    try:
        for _ in range(LOADS):
            window.open(page)
            times.append(window.js("return performance.getEntriesByName('interactive')[0].startTime"))
        assert window.errors() == []
    finally:
        window.driver.quit()
    return times


def main():
    with tempfile.TemporaryDirectory() as name:
        made = command(Path(name))
    with tempfile.TemporaryDirectory() as name:
        page, models = thousand_models(Path(name))
        times, size, load = time_to_interactive(page), page.stat().st_size / 1e6, os.getloadavg()[0]
    os.chdir(ROOT)
    median = statistics.median(times)
    rows = [
        ["`densing report`, wall time", f"{made['wall_s']:.1f} s", "20 s"],
        ["`densing report`, processor time", f"{made['processor_s']:.1f} s", ""],
        ["`densing report`, peak memory", f"{made['peak_MB']:.0f} MB", "1000 MB"],
        ["page of the registry", f"{made['page_MB']:.2f} MB", "5 MB"],
        [f"page of {models} models", f"{size:.2f} MB", "5 MB"],
        [f"interactive with {models} models, median of {LOADS}", f"{median:.0f} ms", "1000 ms"],
        ["interactive, slowest", f"{max(times):.0f} ms", ""],
    ]
    print(table(rows, ["", "measured", "at most"]))
    thousand = {"models": models, "page_MB": size, "interactive_ms": times, "load_average": load}
    write("report", {"report": made, "thousand_models": thousand})


if __name__ == "__main__":
    sys.exit(main())
