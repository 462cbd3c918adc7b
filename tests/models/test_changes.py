"""A change of the registry happens whole or not at all, and can be undone."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from densing.core.errors import InputError
from densing.models import changes, registry
from densing.models.registry import FILES, ScoreEntry, load_registry
from tests.killing import KILLED, run_until
from tests.models import changing

pytestmark = pytest.mark.slow


@pytest.fixture
def no_snapshot(tmp_path, monkeypatch):
    """A registry without the shipped models, which would be read hundreds of times."""
    for module in (registry, changes):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "nothing")


def contents(folder: Path) -> dict[str, bytes | None]:
    return {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in FILES}


def seeded(folder: Path) -> Path:
    folder.mkdir()
    changing.add(str(folder), "First-3B")
    return folder


def test_undo_restores_the_bytes(tmp_path):
    folder = seeded(tmp_path / "r")
    before = contents(folder)
    changing.add(str(folder), "Second-3B")
    changing.edit(str(folder), "Second-3B")
    changes.edit("Llama-3-8B", {"family": "Llama"}, folder)
    changing.remove(str(folder), "First-3B")
    for _ in range(4):
        changes.undo(folder)
    assert contents(folder) == before
    changes.undo(folder)
    assert contents(folder) == dict.fromkeys(FILES)
    with pytest.raises(InputError, match="no change to undo"):
        changes.undo(folder)


def test_changes_are_numbered_on_past_four_digits(tmp_path):
    folder = seeded(tmp_path / "r")
    (folder / ".history" / "0001").rename(folder / ".history" / "9999")
    (folder / ".history" / ("9" * 30)).mkdir()  # no change of ours
    changing.add(str(folder), "Second-3B")
    changing.add(str(folder), "Third-3B")
    assert {"9999", "10000", "10001"} < {path.name for path in (folder / ".history").iterdir()}
    for name in ("Third-3B", "Second-3B", "First-3B"):
        assert name in load_registry(folder).models
        changes.undo(folder)
        assert name not in load_registry(folder).models


def test_a_decided_change_that_is_damaged_is_refused(tmp_path):
    folder = tmp_path / "r"
    (folder / ".commit").mkdir(parents=True)
    (folder / ".commit" / "change.json").write_text('{"what": 3, "absent": []}')
    with pytest.raises(InputError, match="not a change of the registry; move"):
        changing.add(str(folder), "Second-3B")
    assert [path.name for path in folder.iterdir()] == [".commit"]


def test_undo_never_loses_an_edit_by_hand(tmp_path):
    folder = seeded(tmp_path / "r")
    path = folder / "models.csv"
    path.write_text(path.read_text().replace("3.0", "3.1"))
    with pytest.raises(InputError, match="was edited since the last change"):
        changes.undo(folder)
    assert load_registry(folder).models["First-3B"].total_params_B == 3.1


def test_a_shipped_model_is_hidden_and_comes_back(tmp_path):
    changes.remove("Llama-3-8B", tmp_path)
    assert "Llama-3-8B" not in load_registry(tmp_path).models
    assert changes.difference(tmp_path) == ["Llama-3-8B is removed"]
    changes.undo(tmp_path)
    assert "Llama-3-8B" in load_registry(tmp_path).models


@pytest.mark.parametrize("kind", ["add", "edit", "remove", "undo"])
def test_killed_at_every_step_a_change_is_done_or_not_begun(tmp_path, no_snapshot, kind):
    name = "Second-3B" if kind == "add" else "First-3B"
    whole = seeded(tmp_path / "whole")
    before = contents(whole)
    getattr(changing, kind)(str(whole), name)
    after = contents(whole)
    assert after != before
    for step in range(1, 100):
        folder = seeded(tmp_path / str(step))
        code = run_until(folder, step, getattr(changing, kind), str(folder), name)
        assert code in (0, KILLED)
        seen = {model: entry.total_params_B for model, entry in load_registry(folder).models.items()}
        states = [
            {m: e.total_params_B for m, e in load_registry(other).models.items()} for other in (whole, _first(tmp_path))
        ]
        assert seen in states, f"step {step}"
        changing.add(str(folder), "Third-3B")  # whoever comes next finishes or discards the change
        changes.undo(folder)
        assert contents(folder) in (before, after), f"step {step}"
        assert {p.name for p in folder.iterdir()} <= {*FILES, ".history", ".lock"}
        if code == 0:
            break
    assert step > 10


def _first(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    return folder if folder.exists() else seeded(folder)


def test_on_a_full_disk_nothing_changes(tmp_path):
    folder = seeded(tmp_path / "r")
    before = contents(folder)
    assert run_until(folder, 10**6, changing.add_on_a_full_disk, str(folder), "Second-3B", 100) == 1
    assert contents(folder) == before
    changing.add(str(folder), "Second-3B")
    assert "Second-3B" in load_registry(folder).models


def _add_many(folder: str, process: int) -> None:
    for number in range(3):
        changing.add(folder, f"M{process}-{number}")


def test_eight_processes_that_add_together_lose_nothing(tmp_path):
    folder = tmp_path / "r"
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        pool.starmap(_add_many, [(str(folder), process) for process in range(8)])
    known = load_registry(folder)
    names = {f"M{process}-{number}" for process in range(8) for number in range(3)}
    assert names <= set(known.models)
    assert sum(score.model in names for score in known.scores) == 2 * len(names)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_params_B": "8030000000"}, "the column counts billions"),
        ({"release_date": "1704067200"}, "write the date as 2026-01-31"),
        ({"release_date": "2099-01-01"}, "after today"),
        ({"active_params_B": "80", "architecture": "moe"}, "more than its 8B"),
        ({"architecture": "banana"}, "write dense or moe"),
        ({"sise": "3"}, "unknown key 'sise'"),
    ],
)
def test_an_edit_that_makes_a_problem_changes_nothing(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        changes.edit("Llama-3-8B", fields, tmp_path)
    assert contents(tmp_path) == dict.fromkeys(FILES)


@pytest.mark.parametrize("spelling", ["MoE", "mixture-of-experts", "Mixture of Experts", "sparse"])
def test_a_sparse_model_is_one_however_it_is_written(tmp_path, spelling):
    changes.edit("Llama-3-8B", {"architecture": spelling, "active_params_B": "2"}, tmp_path)
    assert load_registry(tmp_path).models["Llama-3-8B"].size.active == 2e9


def test_benchmarks_are_known_however_they_are_written():
    assert ScoreEntry(model="M", benchmark=" MMLU", score=50, source="s").benchmark == "mmlu"
    with pytest.raises(ValueError, match="did you mean 'mmlu'"):
        ScoreEntry(model="M", benchmark="mlmu", score=50, source="s")


def test_a_file_from_a_spreadsheet_is_read(tmp_path):
    changing.add(str(tmp_path), "First-3B")
    path = tmp_path / "models.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "First-3B" in load_registry(tmp_path).models
    path.write_bytes(path.read_bytes() + "Bäckerei-7B,,,,\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"models.csv, line 3: not text in UTF-8"):
        load_registry(tmp_path)
