"""Time and memory of the quickstart, from nothing to its report, in a folder that is deleted afterwards.

python benchmarks/quickstart.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time

import psutil
from common import table, write


def main():
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as printed:
        command = [sys.executable, "-m", "densing", "run", "quickstart", "--json"]
        began = time.perf_counter()
        run = subprocess.Popen(command, cwd=folder, stdout=printed)
        while run.poll() is None:
            peak = max(peak, memory_of_tree(run.pid))
            time.sleep(0.5)
        minutes = (time.perf_counter() - began) / 60
        if run.returncode:
            sys.exit(run.returncode)
        printed.seek(0)
        outcome = json.load(printed)
    found = {(row["checkpoint"], row["by"]): row for row in outcome["checkpoints"]}
    data = {
        "minutes": round(minutes, 1),
        "peak_gb_of_all_processes": round(peak / 1e9, 2),
        "checkpoints": [{key: row[key] for key in ("checkpoint", "by", "density", "status")} for row in found.values()],
    }
    print(f"{data['minutes']} minutes, {data['peak_gb_of_all_processes']} GB in all processes together\n")
    print(table([list(row.values()) for row in data["checkpoints"]], ["checkpoint", "by", "density", "status"]))
    write("quickstart", data)


def memory_of_tree(pid):
    """Resident bytes of a process and its children; what they share counts in each."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


if __name__ == "__main__":
    main()
