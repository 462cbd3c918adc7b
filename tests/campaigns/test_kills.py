"""pytest tests/campaigns/test_kills.py

The short form of `make kills`; those marked `kills` are left to it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.campaigns.kills import LEFTOVERS, Kills, killed_at, writers
from tests.cluster.bench import make_bench, tree
from tests.killing import KILLED
from tests.ladder.conftest import documents, tiny_config  # noqa: F401

pytestmark = pytest.mark.slow

NAMES = sorted(writers())


@pytest.fixture
def kills(tmp_path, monkeypatch):
    """Kills of a writer, by its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DENSING_REGISTRY", raising=False)

    def make(name, *, twice=False):
        files, function = writers()[name]
        return Kills(files, function, tmp_path, twice=twice)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_the_last_changes_of_a_folder(kills, name):
    one = kills(name)
    last = one.steps()
    assert last > 2
    assert all(one.at(step) for step in {last - 1, last})


@pytest.mark.kills
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_every_change_of_a_folder(kills, name, twice):
    one, step = kills(name, twice=twice), 1
    while one.at(step):
        step += 1
    assert step > 2 or twice  # a change that is there already is not made again


@pytest.mark.kills
@pytest.mark.parametrize("name", [name for name in NAMES if "report" not in name])  # over in a moment
def test_killed_at_random_moments(kills, name):
    one, draw = kills(name), random.Random(name)
    assert sum(one.at_random(draw) for _ in range(12)) >= 4


def until_it_ends(folder: Path, *arguments: str) -> int:
    """Kill a command before its first change of a folder, the next run before its second, and so on; how often."""
    kills = 0
    while (code := killed_at(kills + 1, folder, *arguments)) == KILLED:
        kills += 1
    assert code == 0
    assert not [path for path in folder.rglob("*") if path.name.endswith(LEFTOVERS)]
    return kills


@pytest.mark.kills
def test_a_measurement_killed_at_every_change_of_its_folder(tmp_path):
    bench = make_bench(tmp_path / "bench")
    model, suite = bench.folder / "m0", bench.folder / "short.yaml"
    given = [
        "--documents",
        bench.folder / "short.jsonl",
        "--dtype",
        "float32",
        "--device",
        "cpu",
        "--option",
        "batch_tokens=128",
    ]
    out = tmp_path / "out"
    kills = until_it_ends(out, *map(str, ["measure", model, "--suite", suite, "--out", out, *given]))
    assert kills >= 5
    assert tree(out / "m0" / "short") == tree(bench.folder / "reference" / "plain" / "m0" / "short") != {}


@pytest.mark.kills
def test_a_share_of_a_sweep_killed_at_every_change_of_its_folder(tmp_path):
    bench = make_bench(tmp_path / "bench")
    out = tmp_path / "out"
    share = ["sweep", "run", bench.file, "--out", out, "--scratch", tmp_path / "scratch", "--worker", "0/1"]
    assert until_it_ends(out, *map(str, share)) >= 15
    assert tree(out / "sweep", "plain") == bench.reference


@pytest.mark.kills
def test_the_training_of_a_ladder_killed_at_its_changes(documents, tmp_path):  # noqa: F811
    file, whole, killed = tmp_path / "tiny.yaml", tmp_path / "whole", tmp_path / "killed"
    file.write_text(json.dumps(tiny_config(documents).model_dump(mode="json")))
    train = ["ladder", "train", str(file), "--out"]
    assert killed_at(0, whole, *train, str(whole)) == 0
    assert until_it_ends(killed, *train, str(killed)) >= 5
    for name in ("manifest.json", "*/*/model.safetensors"):
        files = [
            {str(path.relative_to(root)): path.read_bytes() for path in root.glob(name)} for root in (killed, whole)
        ]
        assert files[0] == files[1] != {}
