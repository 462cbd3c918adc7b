from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def densing(tmp_path):
    """Run the command in an empty folder; (exit code, standard output, standard error)."""

    def run(*arguments, stdin=None):
        command = [sys.executable, "-m", "densing", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, input=stdin)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def densing_json(densing):
    """Run the command with --json; the parsed output."""

    def run(*arguments):
        code, out, err = densing(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run
