"""Time to the first answer: `densing --help` and the commands that need no measurement.

python benchmarks/startup.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from common import table, write

FIVE = [part for s in ("mmlu=66.6", "bbh=61.1", "math=14.0", "humaneval=33.5", "mbpp=47.4") for part in ("--score", s)]
COMMANDS = {
    "densing --help": ["--help"],
    "densing score, one benchmark": ["score", "--params", "6.979e9", "--score", "mmlu=66.6"],
    "densing score, five benchmarks and their average": ["score", "--params", "6.979e9", *FIVE],
    "densing models list": ["models", "list"],
    "densing trend": ["trend"],
}


def once(arguments, cache):
    start = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    subprocess.run([sys.executable, "-m", "densing", *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def main():
    rows, data = [], {}
    for name, arguments in COMMANDS.items():
        with tempfile.TemporaryDirectory() as cache:
            first = once(arguments, cache)
            later = statistics.median(once(arguments, cache) for _ in range(5))
        rows.append([f"`{name}`", f"{first:.2f} s", f"{later:.2f} s"])
        data[name] = {"first_s": first, "later_s": later}
    print(table(rows, ["command", "first run (fits the frame's draws)", "later runs, median of 5"]))
    write("startup", data)


if __name__ == "__main__":
    sys.exit(main())
