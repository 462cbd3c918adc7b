"""pytest tests/core/test_files.py"""

from __future__ import annotations

import pytest

from densing.core.errors import InputError
from densing.core.files import atomic_folder, parse_csv, parse_json, remove_leftovers


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
