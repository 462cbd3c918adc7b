"""The README's examples: its `console` blocks hold a command and what it prints.

.venv/bin/python tools/readme.py    # run every command again and write what it prints
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"```console\n\$ (densing [^\n]*)\n(.*?)```", re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Each command with the output that the README shows."""
    return BLOCK.findall(README.read_text(encoding="utf-8"))


def output(command: str) -> str:
    """What a command prints, run in the folder of the README."""
    arguments = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=README.parent, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def main() -> None:
    """Write every example's output."""
    text = README.read_text(encoding="utf-8")
    text = BLOCK.sub(lambda found: f"```console\n$ {found[1]}\n{output(found[1])}```", text)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
