"""pytest tests/cluster/test_shares.py

Sweeps without Ray: shares in processes of their own, what is kept and what is new, what cannot be used.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from densing.cluster.caches import merge
from densing.cluster.plan import Plan, checked_units, make_plan
from densing.cluster.records import UnitRecord
from densing.cluster.run import run_share
from densing.cluster.status import sweep_status
from densing.cluster.sweep import Consent, SweepConfig, load_sweep, units_of
from densing.cluster.worker import Worker
from densing.core.artifacts import read_json, sha256_of_data, write_json
from densing.core.config import config_names
from densing.core.errors import DensingError, InputError
from densing.core.lock import hold
from densing.measure.cache import RequestCache, request_key
from densing.measure.run import CACHE, measure
from densing.measure.suites import load_suite
from tests.cluster.bench import Bench, tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep's folder after shares 0/3, 1/3 and 2/3 ran at the same time, each in a process of its own."""
    root = tmp_path_factory.mktemp("shares")
    context = multiprocessing.get_context("forkserver")  # imports once for all processes
    context.set_forkserver_preload(
        [
            "densing.measure.run",
            "densing.measure.engines.torch_engine",
            "lm_eval.evaluator",
            "lm_eval.tasks",
            "datasets",
        ]
    )
    shares = [
        context.Process(target=run_one, args=(bench.file, root / "sweep", index, root / f"scratch{index}"))
        for index in range(3)
    ]
    for share in shares:
        share.start()
    for share in shares:
        share.join()
    assert [share.exitcode for share in shares] == [0, 0, 0]
    return root / "sweep"


def run_one(file: Path, folder: Path, index: int, scratch: Path) -> None:
    run_share(load_sweep(file), folder, (index, 3), scratch=scratch)


def plan_of(config: SweepConfig, folder: Path) -> Plan:
    return make_plan(checked_units(config, Consent()), folder)


def answers(cache: Path) -> set[tuple[bytes, bytes, str]]:
    with closing(sqlite3.connect(cache)) as connection:
        return set(connection.execute("SELECT * FROM answers"))


def test_three_shares_write_what_measure_writes(finished: Path, bench: Bench) -> None:
    assert tree(finished, "plain") == bench.reference
    workers = {UnitRecord.read(finished, unit).worker for unit in units_of(load_sweep(bench.file))}  # type: ignore[union-attr]
    assert len(workers) == 3


def test_their_caches_become_the_one_that_measure_reads(finished: Path, bench: Bench) -> None:
    assert answers(finished / "plain" / CACHE) == answers(bench.folder / "reference" / "plain" / CACHE)
    assert not list((finished / "answers").rglob("*.sqlite"))
    assert not list(finished.parent.rglob("scratch*/*.sqlite*"))


def test_status_counts_units_loads_and_nothing_left(finished: Path, bench: Bench) -> None:
    status = sweep_status(load_sweep(bench.file), finished)
    assert (status.units, status.done, status.left, status.loads) == (6, 6, 0, 3)
    assert status.per_hour is not None
    assert status.per_hour > 0
    assert status.hours_left == 0


def test_what_changed_is_measured_again_and_the_rest_kept(finished: Path, bench: Bench, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    before = {path: path.stat().st_mtime_ns for path in (folder / "plain").rglob("*.parquet")}
    config = load_sweep(bench.file)
    assert len(plan_of(config, folder).finished) == 6
    # Another suite in place of `short`, another limit for `long`, one checkpoint less.
    suites = [{**suite.model_dump(exclude_none=True)} for suite in config.suites]
    suites[0]["limit"] = 60
    other = bench.folder / "other.yaml"
    other.write_text((bench.folder / "short.yaml").read_text().replace("suite: short", "suite: other"))
    suites[1]["suite"] = str(other)
    models = [checkpoint.model for checkpoint in config.checkpoints]
    changed = load_sweep(bench.write("changed", suites=suites, checkpoints=models[:2]))
    plan = plan_of(changed, folder)
    assert plan.changed == {f"plain/m{seed}/long": ["settings"] for seed in range(2)}
    assert plan.lines() == [
        "4 units: 0 finished, 2 new, 2 changed",
        "  2 are measured again, because this has changed: settings",
        "  4 results that the sweep no longer asks for stay where they are",
    ]
    # Files with other times: the contents are compared, and nothing is measured.
    (Path(models[0]) / "config.json").touch()
    plan = plan_of(config, folder)
    assert plan.unsure == ("plain/m0/long", "plain/m0/short")
    run_share(config, folder, (0, 1), scratch=tmp_path / "scratch")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(plan_of(config, folder).finished) == 6


def test_a_measurement_of_other_packages_is_made_again(
    finished: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("densing.cluster.records.__version__", "9.9")
    from densing.cluster.records import installed_version

    installed_version.cache_clear()
    plan = plan_of(load_sweep(bench.file), finished)
    installed_version.cache_clear()
    assert plan.finished == ()
    assert [changes[0].split()[0] for changes in plan.changed.values()] == ["densing"] * 6


def test_a_checkpoint_that_cannot_be_used_is_set_aside_and_the_rest_measured(bench: Bench, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(bench.folder / "m1", tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    file = bench.write("bad", checkpoints=[str(broken), str(tmp_path / "missing"), str(bench.folder / "m0")])
    config = load_sweep(file)
    result = run_share(config, tmp_path / "out", (0, 1), scratch=tmp_path / "scratch")
    assert {unit.place for unit in result.done} == {"plain/m0/long", "plain/m0/short"}
    assert result.set_aside.keys() == {
        f"plain/{name}/{suite}" for name in ("broken", "missing") for suite in ("long", "short")
    }
    assert "the torch engine cannot load it" in result.set_aside["plain/broken/long"]
    assert "no such folder" in result.set_aside["plain/missing/short"]
    status = sweep_status(config, tmp_path / "out")
    assert (status.done, len(status.set_aside), status.left) == (2, 4, 0)
    # Mended, the same command finishes it.
    shutil.copytree(bench.folder / "m1", broken, dirs_exist_ok=True)
    shutil.copytree(bench.folder / "m1", tmp_path / "missing")
    again = run_share(config, tmp_path / "out", (0, 1), scratch=tmp_path / "scratch")
    assert (len(again.done), again.set_aside) == (4, {})


def test_a_full_disk_ends_the_worker_and_not_the_unit(bench: Bench, tmp_path: Path) -> None:
    """Every write to /dev/full fails as one to a full disk does."""
    config, folder = load_sweep(bench.file), tmp_path / "out"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    first = units_of(config)[0]
    (scratch / f"{first.digest}.sqlite").symlink_to("/dev/full")
    with pytest.raises(DensingError, match=r"disk is full.*Free space on its disk, and run the same command"):
        run_share(config, folder, (0, 3), scratch=scratch)
    assert not list((folder / "units").rglob("*.json"))
    shutil.rmtree(scratch)
    assert len(run_share(config, folder, (0, 3), scratch=scratch).done) == 2


def test_a_unit_goes_on_with_the_answers_that_another_worker_computed(bench: Bench, tmp_path: Path) -> None:
    config, folder = load_sweep(bench.file), tmp_path / "out"
    unit = units_of(config)[1]
    measure(unit.load.checkpoint.model, unit.suite.load(), out=tmp_path / "once", settings=unit.load.engine_settings)
    parts = folder / "answers" / unit.place
    parts.mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "once" / CACHE)) as connection:
        with connection:
            connection.execute("UPDATE answers SET answer = '[-1.0, true]'")
        connection.execute("VACUUM INTO ?", (str(parts / "part.sqlite"),))
    run_share(config, folder, (0, 3), scratch=tmp_path / "scratch")
    items = load_items(folder, unit.place)
    assert set(items["answer_logprob"]) == {-1.0}


def load_items(folder: Path, place: str) -> object:
    from densing.measure.measurement import Measurement

    return Measurement.read(folder / place).items("items")


def test_merged_caches_hold_each_answer_once(tmp_path: Path) -> None:
    keys = [request_key("answer", (number,), (1,)) for number in range(6)]
    for part, some in (("a", keys[:4]), ("b", keys[2:])):
        cache = RequestCache(tmp_path / f"{part} #1?.sqlite", {"model": 1})
        cache.store((key, part) for key in some)
        cache.close()
    parts = sorted(tmp_path.glob("*.sqlite"))
    assert merge(parts, tmp_path / "all" / "merged.sqlite") == 6
    cache = RequestCache(tmp_path / "all" / "merged.sqlite", {"model": 1})
    assert [cache.find(keys)[key] for key in keys] == ["a"] * 4 + ["b"] * 2
    cache.close()
    (tmp_path / "damaged.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DensingError, match=r"damaged\.sqlite: cannot be merged"):
        merge([tmp_path / "damaged.sqlite"], tmp_path / "all" / "merged.sqlite")


def test_parts_that_compute_or_wait_are_refused(tmp_path: Path) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i scope, i request, i answer FROM n"
    )
    with closing(sqlite3.connect(tmp_path / "view.sqlite")) as connection:
        connection.execute(f"CREATE VIEW answers AS {endless}")
    os.mkfifo(tmp_path / "pipe.sqlite")
    for part, why in (("view", "this is no cache of answers"), ("pipe", "this is a pipe, not a file")):
        with pytest.raises(DensingError, match=rf"{part}\.sqlite: cannot be merged .*: {why}"):
            merge([tmp_path / f"{part}.sqlite"], tmp_path / "merged.sqlite")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["payload", "settings", "lm_eval"], None),
        (["payload", "settings", "asked"], None),
        (["payload", "settings", "asked"], [1]),
        (["payload", "settings", "versions"], "2.4"),
        (["payload", "settings", "versions"], {"": "1", "torch": [2]}),
        (["made_from"], {}),
        (["made_with"], {}),
    ],
)
def test_a_measurement_that_does_not_say_how_it_was_made_is_made_again(
    finished: Path, bench: Bench, tmp_path: Path, place: list[str], value: object
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    path = folder / "plain" / "m1" / "short" / "items.json"
    data = json.loads(path.read_text())
    part = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(json.dumps(data | {"checksum": sha256_of_data(data["payload"])}))
    config = load_sweep(bench.file)
    plan = plan_of(config, folder)
    (unit,) = next(load for load in plan.loads if load[0].head == "plain/m1")
    outcome = Worker(folder, tmp_path / "scratch", 1, Path.cwd()).measure(unit)
    assert (outcome.reason, outcome.measured) == (None, True)
    assert tree(folder, "plain") == bench.reference


def test_parts_of_a_unit_make_the_answers_of_the_whole(bench: Bench, tmp_path: Path) -> None:
    """Each part computes some of the batches, none of another part's, and the unit finds all of them computed."""
    config, folder = load_sweep(bench.file), tmp_path / "out"
    unit = units_of(config)[0]
    worker = Worker(folder, tmp_path / "scratch", 1, Path.cwd())
    seen: list[set[tuple[bytes, bytes, str]]] = []
    for part in unit.parts:
        assert worker.measure(part).reason is None
        new = {path: answers(path) for path in (folder / "answers" / unit.place).glob("*.sqlite")}
        before = set().union(*seen)
        seen.append(set().union(*new.values()) - before)
        for path in new:  # so that the next part does not begin with them
            path.rename(tmp_path / path.name)
        assert not (folder / "units").exists()
    assert all(seen)
    reference = answers(bench.folder / "reference" / "plain" / CACHE)
    assert set().union(*seen) < reference
    assert sum(map(len, seen)) == len(set().union(*seen)) == len(bench_lines(bench, "long"))
    for path in tmp_path.glob("*.sqlite"):
        path.rename(folder / "answers" / unit.place / path.name)
    assert worker.measure(unit).reason is None
    assert tree(folder / "plain" / "m0" / "long") == tree(bench.folder / "reference" / "plain" / "m0" / "long")
    worker.release()


def bench_lines(bench: Bench, name: str) -> list[str]:
    return (bench.folder / f"{name}.jsonl").read_text().splitlines()


def test_the_same_share_runs_once_at_a_time(bench: Bench, tmp_path: Path) -> None:
    with (
        hold(tmp_path / "shares" / "0-of-2", "running this share of the sweep"),
        pytest.raises(DensingError, match="is running this share of the sweep here"),
    ):
        run_share(load_sweep(bench.file), tmp_path, (0, 2), scratch=tmp_path / "scratch")


def test_a_suite_that_runs_what_models_write_needs_consent(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from densing.cluster.worker import loaded_suite

    config = load_sweep(bench.file)
    for task in loaded_suite(config.suites[0]).tasks["tasks"].values():
        monkeypatch.setattr(task, "UNSAFE_CODE", True, raising=False)
    with pytest.raises(InputError, match=r"runs code that the model writes .*--run-unsafe-code"):
        run_share(config, tmp_path / "out", (0, 1), scratch=tmp_path / "scratch")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoints": []}, "checkpoints: List should have at least 1 item"),
        ({"checkpoint": ["m"]}, "unknown key 'checkpoint'; did you mean 'checkpoints'"),
        ({"threads": 0}, "threads: Input should be greater than 0"),
        ({"settings": {"x": {"engine": "torhc"}}}, "unknown engine 'torhc'; did you mean 'torch'"),
        ({"settings": {"x": {"run_unsafe_code": True}}}, "unknown key 'run_unsafe_code'"),
        ({"name": "a/b"}, "cannot be the name of a file"),
        ({"settings": {"x": {"engine": "vllm"}}}, "shards are parts of the torch engine's batches"),
        ({"checkpoints": [{"model": "m", "released": "soon"}]}, "released"),
    ],
)
def test_a_wrong_sweep_file_is_named_with_its_key(bench: Bench, changes: dict[str, object], message: str) -> None:
    path = bench.folder / "wrong.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(bench.file.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        load_sweep(path)


def test_the_sweeps_that_come_with_densing_can_be_read() -> None:
    assert config_names("sweep")
    for name in config_names("sweep"):
        assert load_sweep(name).name == name
        assert units_of(load_sweep(name))


def test_two_results_in_one_place_are_refused(bench: Bench) -> None:
    model = str(bench.folder / "m0")
    with pytest.raises(InputError, match="two of its results would be in plain/m0/long"):
        units_of(load_sweep(bench.write("twice", checkpoints=[model, model])))
    named = load_sweep(bench.write("named", checkpoints=[model, {"model": model, "name": "again"}]))
    assert [unit.place for unit in units_of(named)][2:] == ["plain/again/long", "plain/again/short"]


def test_an_engine_that_was_used_before_measures_as_a_new_one(bench: Bench, tmp_path: Path) -> None:
    """What was cut, tried at other lengths, or too large on one suite is nothing to the next."""
    from densing.measure.engines.settings import EngineSettings
    from densing.measure.run import loaded_engine, prepare

    suite = load_suite("jsonl", documents=bench.folder / "short.jsonl")
    settings = EngineSettings(dtype="float32", device="cpu")
    once = measure(bench.folder / "m0", suite, out=tmp_path / "once", settings=settings)
    run = prepare(bench.folder / "m0", suite, out=tmp_path / "again", settings=settings)
    with loaded_engine("torch", run.checkpoint, run.options) as engine:
        engine.truncated.add("densing_jsonl_loss item 0")
        engine.sharing._tried[0] = (0, 10**9, 0)  # type: ignore[attr-defined]
        engine._halve("as after a suite whose batches were too large")  # type: ignore[attr-defined]
        run.compute(engine, tmp_path / "again" / CACHE)
    assert once.folder is not None
    assert tree(run.folder) == tree(once.folder)


@pytest.mark.parametrize(
    "change",
    [
        {"ended": "2026-01-01"},
        {"ended": "soon"},
        {"seconds": 1e300},
        {"seconds": "nan"},
        {"failures": [3]},
        {"failures": None},
        {"state": "well"},
    ],
)
def test_a_record_that_says_nothing_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    config = SweepConfig(name="s", checkpoints=["ck"], suites=["local"])
    (unit,) = units_of(config)
    UnitRecord("done", "w", "2026-01-01T00:00:00+00:00", 3.0).write(tmp_path, unit)
    assert sweep_status(config, tmp_path).per_hour == 1200
    path = tmp_path / "units" / f"{unit.place}.json"
    write_json(path, "unit", read_json(path, "unit").payload | change)
    assert sweep_status(config, tmp_path).done == 0
