"""pytest tests/test_stores.py

Two, then eight processes at once on each of the four stores: the registry, the request cache, frames and results.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from densing.core.artifacts import ArtifactError
from densing.core.files import parse_table
from densing.frame.frame import build_frame
from densing.frame.spec import FrameSpec
from densing.frame.store import read_frame, write_frame
from densing.measure.cache import RequestCache, request_key
from densing.measure.measurement import Measurement, TaskResult
from densing.models import changes, registry
from densing.models.registry import load_registry
from tests.campaigns.inputs import _frame_points
from tests.models import changing

SCOPE = {"model": "m"}
TURNS = 3


def together(count: int, write: Callable[[int], None], look: Callable[[], None]) -> None:
    """Run a writer in so many processes that begin at once, and look at the store until all have ended."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(count + 1)

    def start(number: int) -> None:
        ready.wait()
        write(number)

    writers = [context.Process(target=start, args=(number,)) for number in range(count)]
    for writer in writers:
        writer.start()
    ready.wait()
    while any(writer.is_alive() for writer in writers):
        look()
    assert [writer.exitcode for writer in writers] == [0] * count


def left_over(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "densing-partial" in path.name or "densing-replaced" in path.name]


@pytest.mark.parametrize("count", [2, 8])
def test_a_registry_loses_no_model(tmp_path, monkeypatch, count):
    for module in (registry, changes):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "nothing")
    folder, sizes = tmp_path / "registry", []

    def write(number):
        for turn in range(TURNS):
            changing.add(str(folder), f"M{number}-{turn}")

    def look():
        found = load_registry(folder)
        sizes.append(len(found.models))
        assert len(found.scores) == 2 * len(found.models)  # a model never comes without its scores

    together(count, write, look)
    look()
    assert sizes == sorted(sizes)
    assert sizes[-1] == count * TURNS


@pytest.mark.parametrize("count", [2, 8])
def test_a_request_cache_loses_no_answer(tmp_path, count):
    path = tmp_path / "requests.sqlite"

    def write(number):
        cache = RequestCache(path, SCOPE)
        for turn in range(20):
            own, shared = request_key("own", (number,), (turn,)), request_key("shared", (turn,), (1,))
            cache.store([(own, [float(number), True]), (shared, [float(turn), False])])
        cache.close()

    together(count, write, lambda: None)
    found = RequestCache(path, SCOPE)
    own = {request_key("own", (n,), (turn,)): [float(n), True] for n in range(count) for turn in range(20)}
    shared = {request_key("shared", (turn,), (1,)): [float(turn), False] for turn in range(20)}
    assert found.find([*own, *shared]) == own | shared


@pytest.mark.parametrize("count", [2, 8])
def test_frames_are_never_torn(tmp_path, monkeypatch, count):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, content in zip(("l.csv", "s.csv"), _frame_points(), strict=True):
        (tmp_path / name).write_bytes(content)
    first = build_frame(
        FrameSpec(name="shared", tokens=1e10, objective="log-least-squares", resampling={"replicates": 100}),
        *(parse_table(tmp_path / name) for name in ("l.csv", "s.csv")),
    )
    draws, folder = first.draws("mmlu"), tmp_path / "frames"
    ready = [
        replace(first, spec=first.spec.model_copy(update={"title": str(number)}), draw_source=lambda *_: draws)
        for number in range(count)
    ]
    for one in ready:
        one.law("mmlu")  # fitted once, and known to every process

    def write(number):
        for _ in range(TURNS):
            write_frame(ready[number], folder)

    def look():
        if (folder / "shared.json").exists():
            assert read_frame(folder / "shared.json").spec.title in map(str, range(count))

    together(count, write, look)
    look()
    assert sorted(path.name for path in folder.iterdir()) == ["shared.json", "shared.npz"]


@pytest.mark.parametrize("count", [2, 8])
def test_results_are_never_torn(tmp_path, count):
    """Measurements of one model on one suite, each with tasks of one score; and one of each process's own."""

    def measurement(suite, number):
        tasks = {name: TaskResult(task=name, score=float(number)) for name in ("mmlu", "bbh", "math")}
        return Measurement("m", suite, "imported", {"number": number}, tasks, made_from={"x": str(number)})

    def write(number):
        for _ in range(TURNS):
            measurement("shared", number).write(tmp_path)
        measurement(f"own-{number}", number).write(tmp_path)

    def look():
        """What can be read in the middle is of one measurement; a folder that is just replaced may be refused."""
        with suppress(ArtifactError):
            found = Measurement.read(tmp_path / "m" / "shared")
            assert {task.score for task in found.tasks.values()} == {float(found.settings["number"])}

    together(count, write, look)
    for suite in ("shared", *(f"own-{number}" for number in range(count))):
        found = Measurement.read(tmp_path / "m" / suite)
        assert {task.score for task in found.tasks.values()} == {float(found.settings["number"])}
        assert sorted(found.tasks) == ["bbh", "math", "mmlu"]
    assert not left_over(tmp_path)
