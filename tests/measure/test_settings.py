"""pytest tests/measure/test_settings.py

One object says how an engine computes, whoever fills it in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from densing.core.errors import InputError
from densing.measure.engines.settings import EngineSettings
from densing.measure.run import measure
from densing.measure.suites import load_suite
from tests.measure.test_commands import densing


def test_the_engine_is_given_what_differs_from_the_defaults() -> None:
    assert EngineSettings().arguments == {}
    settings = EngineSettings(dtype="auto", revision="main", run_unsafe_code=True, options={"a": 1})
    assert settings.arguments == {"a": 1}
    changed = settings.replaced(dtype="float32", allow_truncated=True, b=[2])
    assert changed.arguments == {"dtype": "float32", "allow_truncated": True, "a": 1, "b": [2]}
    assert (changed.revision, changed.run_unsafe_code) == ("main", True)


def test_a_wrong_type_is_named() -> None:
    with pytest.raises(InputError, match=r"engine settings: device: .*got 3"):
        EngineSettings().replaced(device=3)


def test_the_same_settings_are_the_same_measurement(checkpoint: Path, tmp_path: Path) -> None:
    """As keywords, as an object, and from the command line."""
    items = tmp_path / "items.jsonl"
    items.write_text('{"instruction": "import", "answer": " os"}')
    suite = load_suite("jsonl", documents=items)
    out = tmp_path / "out"
    first = measure(checkpoint, suite, out=out, device="cpu", dtype="float32", batch_tokens=64)
    (file,) = (out / first.model / "jsonl").glob("*.json")
    written = file.stat().st_mtime_ns
    settings = EngineSettings(device="cpu", dtype="float32", options={"batch_tokens": 64})
    assert measure(checkpoint, suite, out=out, settings=settings).tasks == first.tasks
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--out", out, "--device", "cpu"]
    code, _, err = densing(*command, "--dtype", "float32", "--option", "batch_tokens=64")
    assert code == 0, err
    assert file.stat().st_mtime_ns == written
    measure(checkpoint, suite, out=out, settings=settings, dtype="bfloat16")
    assert file.stat().st_mtime_ns > written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--option", "dtype=float32"], "dtype has a setting of its own; give --dtype"),
        (["--option", "run_unsafe_code=true"], "give --run-unsafe-code"),
        (["--option", "a=1", "--option", "a=2"], "--option a=2: a is given twice"),
        (["--option", "=1"], "expected name=value"),
    ],
)
def test_an_option_that_says_nothing_new_is_refused(options: list[str], message: str, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text('{"instruction": "import", "answer": " os"}')
    code, _, err = densing("measure", tmp_path, "--suite", "jsonl", "--documents", items, *options)
    assert code == 2
    assert message in err
