"""pytest tests/core/test_files.py"""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest

from densing.core import files
from densing.core.config import read_yaml
from densing.core.errors import InputError
from densing.core.files import (
    atomic,
    atomic_folder,
    files_below,
    parse_csv,
    parse_json,
    parse_table,
    remove_leftovers,
)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    for text in ("first", "second"):
        with atomic_folder(out) as folder:
            (folder / text).write_text(text)
            assert not (out / text).exists()
        assert [path.name for path in out.iterdir()] == [text]
    with pytest.raises(RuntimeError), atomic_folder(out) as folder:
        (folder / "third").touch()
        raise RuntimeError
    assert [path.name for path in out.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    unfinished = atomic_folder(tmp_path / "rung" / "60")
    (unfinished.__enter__() / "model.safetensors").touch()
    (tmp_path / "rung" / "log.jsonl").touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in (tmp_path / "rung").iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,token\nq1,5\n", "no column tokens; it has name, token"),
        (b"name,tokens\nq1\n", "line 2: has not the 2 cells of the heading"),
        (b"name,tokens\nq1,5,6\n", "line 2: has not the 2 cells of the heading"),
        (b"name,tokens\n\xff,5\n", "not readable as CSV"),
        (b"", "no column name and no column tokens; it has none"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "tokens.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        parse_csv(path, ("name", "tokens"))
    assert str(path) in str(error.value)


def test_json_that_was_cut_short_is_refused_by_name(tmp_path):
    (tmp_path / "cut.json").write_text('{"a": [1, 2')
    with pytest.raises(InputError, match=r"cut\.json: not readable as JSON .* truncated"):
        parse_json(tmp_path / "cut.json")
    with pytest.raises(InputError, match=r"gone\.json: no such file"):
        parse_json(tmp_path / "gone.json")


def write_often(folder, number):
    for turn in range(15):
        text = f"{number}-{turn}\n" * 500
        with atomic(folder / "file.txt") as file:
            file.write(text)
        with atomic_folder(folder / "results") as beside:
            for name in ("a", "b"):
                (beside / name).write_text(text)


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_that_write_to_one_place_tear_and_leave_nothing(tmp_path, processes):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path, number)) for number in range(processes)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / "file.txt").exists():
            assert len(set((tmp_path / "file.txt").read_text().splitlines())) == 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert (tmp_path / "results" / "a").read_text() == (tmp_path / "results" / "b").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "results"]


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_that_lives(tmp_path):
    def write():
        with atomic(tmp_path / "file.txt") as file:
            file.write("half")
            file.flush()
            os._exit(9)

    child = os.fork()
    if child == 0:
        write()
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".file.txt.notes").touch()
    with atomic(tmp_path / "file.txt") as first:
        first.write("first")
        with atomic(tmp_path / "file.txt") as second:
            second.write("second")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.txt.notes", "file.txt"]
    assert (tmp_path / "file.txt").read_text() == "first"


def test_a_folder_that_a_kill_left_between_its_two_renames_is_put_back(tmp_path):
    with atomic_folder(tmp_path / "report") as folder:
        (folder / "page").touch()
    (tmp_path / "report").rename(tmp_path / ".report.densing-replaced")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "report"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "page").exists()


@pytest.mark.parametrize(
    "text",
    ["[" * 200 + "]" * 200, '{"a": ' * 200, "[1" + "0" * 301 + "]", '"\\ud800"', "[1,", "nan", "", "\x00", '{"a": 1}x'],
)
def test_json_that_nobody_means_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json: not readable as JSON"):
        parse_json(tmp_path / "x.json")


def test_numbers_without_end_are_refused_in_tables_and_configurations(tmp_path):
    (tmp_path / "x.csv").write_text(f"a,b\n1,{'9' * 101}\n")
    with pytest.raises(InputError, match=r"x\.csv: not readable as CSV \(ValueError: a number of more than 100 digits"):
        parse_table(tmp_path / "x.csv")
    for number in ("9" * 101, "0x" + "f" * 101, "1" + ":30" * 40):
        (tmp_path / "x.yaml").write_text(f"a: {number}\n")
        with pytest.raises(InputError, match=r"x\.yaml: not readable as YAML \(ValueError: a number of more than 100"):
            read_yaml(tmp_path / "x.yaml")


def test_a_folder_in_which_there_is_too_much_is_not_looked_through(tmp_path, monkeypatch):
    for name in ("b/x.json", "a/c/x.json", "a/y.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(tmp_path, "x.*") == [tmp_path / "a/c/x.json", tmp_path / "b/x.json"]
    monkeypatch.setattr(files, "MOST_ENTRIES", 5)
    with pytest.raises(InputError, match="more than 5 files and folders lie in it"):
        files_below(tmp_path, "x.*")


def test_json_with_brackets_and_digits_in_its_texts_is_read(tmp_path):
    data = {"a": "[{" * 300, "b": "7" * 1000, "c": [[[1]]], "d": "\U0001f600"}
    (tmp_path / "x.json").write_text(json.dumps(data))
    assert parse_json(tmp_path / "x.json") == data


def test_no_file_takes_the_place_of_a_pipe_or_a_folder_and_no_folder_that_of_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for name, kind in (("pipe", "a pipe or a device"), ("folder", "a folder")):
        with pytest.raises(InputError, match=kind), atomic(tmp_path / name):
            pass
    with pytest.raises(InputError, match="this is a file"), atomic_folder(tmp_path / "file"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "pipe"]
    assert (tmp_path / "file").read_text() == "mine"
