"""pytest tests/cluster/test_ray.py

Sweeps on a real Ray of this machine.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from densing.cluster.ray_session import ray_session
from densing.cluster.run import run_sweep
from densing.cluster.status import sweep_status
from densing.cluster.sweep import load_sweep
from densing.core.errors import DensingError, InputError
from densing.core.lock import hold
from tests.cluster.bench import Bench, tree
from tests.cluster.kills import finish_despite

pytestmark = pytest.mark.slow


def test_a_killed_worker_and_a_killed_driver_change_no_result(bench: Bench, tmp_path: Path) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    killed, drivers = finish_despite(["worker", "driver"], bench.file, out, scratch, random.Random(1))
    assert (killed, drivers) == (["worker", "driver"], 2)  # the first driver outlived its worker
    assert tree(out / "sweep", "plain") == bench.reference
    status = sweep_status(load_sweep(bench.file), out / "sweep")
    assert (status.done, status.left, status.set_aside) == (6, 0, {})


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for several sweeps, which join it as they would join that of a notebook."""
    with ray_session(None, 2):
        yield


def test_what_fails_is_tried_by_another_worker_while_the_rest_goes_on(
    ray_here: None, bench: Bench, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(bench.folder / "m1", tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    config = load_sweep(bench.write("bad", checkpoints=[str(broken), str(bench.folder / "m0")]))
    result = run_sweep(config, tmp_path / "out", workers=2, scratch=tmp_path / "scratch")
    assert {unit.place for unit in result.done} == {"plain/m0/long", "plain/m0/short"}
    measured = tree(tmp_path / "out", "plain")
    assert measured == {place: data for place, data in bench.reference.items() if "/m0/" in place}
    aside = sweep_status(config, tmp_path / "out").set_aside
    assert aside.keys() == result.set_aside.keys() == {"plain/broken/long", "plain/broken/short"}
    for record in aside.values():
        assert len({failure.worker for failure in record.failures}) == 2
        assert all("the torch engine cannot load it" in failure.reason for failure in record.failures)


def test_workers_of_another_version_are_named_and_refused(
    ray_here: None, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is the one that is made to differ."""
    monkeypatch.setattr("densing.cluster.run.versions", lambda: {"densing": "9.9"})
    with pytest.raises(
        DensingError, match=r"no worker is left. process \d+ on .* is refused .*densing \S+ \(here 9.9\)"
    ):
        run_sweep(load_sweep(bench.file), tmp_path / "out", workers=2, scratch=tmp_path / "scratch")
    assert tree(tmp_path / "out", "plain") == {}


def test_two_drivers_are_refused_by_name(bench: Bench, tmp_path: Path) -> None:
    with (
        hold(tmp_path / "out", "running the sweep"),
        pytest.raises(DensingError, match=f"process {os.getpid()} on .* is running the sweep here"),
    ):
        run_sweep(load_sweep(bench.file), tmp_path / "out", scratch=tmp_path / "scratch")


def test_an_address_where_no_cluster_answers_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(DensingError, match=f"127.0.0.1:{port}: no Ray cluster answers there"),
        ray_session(f"127.0.0.1:{port}", 1),
    ):
        pass


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head:10001", "head:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="write it as host:port"), ray_session(address, 1):
        pass


def test_without_ray_the_way_without_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(DensingError, match=r"install densing\[cluster\], or run its shares .* --worker 0/4"),
        ray_session(None, 1),
    ):
        pass


def test_a_worker_that_fits_nowhere_is_refused(ray_here: None, bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no machine of the cluster has 3 CPU, which a worker of the sweep needs"):
        run_sweep(load_sweep(bench.write("wide", threads=3)), tmp_path / "out", scratch=tmp_path / "scratch")
