"""Ways to spoil an input: its bytes, its lines, the values in its JSON, the cells of its table, its arguments."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import re
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from densing.core.artifacts import sha256_of_data

HOSTILE: list[Any] = [
    "", " ", "0", "-1", "1e400", "NaN", "inf", "9" * 5000, "1,5B", "²", "٣", "\x1b[31mred", "\x00", "=cmd()", "../../x",
    "/proc/version", "a" * 70_000, "\ud800", "’", "None", "true", "2024-13-01", "-0", "1e-320", "{}", "*", "$x$", "\u202e",
    "9999-12-31", "0001-01-01", "1600-01-01", "2026-01-01T00:00:00Z", "1.234,5", "5%", "8B", "8", "1e9", "1e26", "0/0", "2/1", "a=b=c", ".",
    "-", "--", "~root", "%s", "{x}", "a\nb", "\u2028", "/dev/full", "C:\\x", "é" * 300, "0x10", "1_000", "x,y",
    None, True, False, 0, -1, 3, 10**30, 1.5, 1e308, -1e308, 1e-308, [], {}, [[]], [None], {"a": None}, [1] * 300,
    0.5, 50, 100.0001, 5e-324, 2**31, 2**63, 10**100, 10**309, float("nan"), float("-inf"), [0] * 10_000, json.loads("[" * 60 + "]" * 60),
]  # fmt: skip
"""Values where another was expected."""
LETTERS = [
    b"\x00", b"\r", b"\x1b]0;x\x07", b"\xc0\x80", b"\xed\xa0\x80", *(text.encode() for text in ("\u202e", "٣", "１", "\ufeff", "é")),
]  # fmt: skip
"""What is put between other letters."""
YAML_LINES = [
    "x: !!python/object/apply:os.system ['id']", "x: 2024-13-01", "x: !!int x", "? [a]\n: b", "<<: *a", "a: &a [*a]", "\t- x",
    "name: ../../../victim", "suite: ../../../../victim/data", "x: " + "[" * 5000, "x: " + "9" * 5000, "%YAML 9.9", "---\n---",
]  # fmt: skip
_KEY = re.compile(rb'"[\w,. -]*":')
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")


def spoil(content: bytes, name: str, draw: random.Random) -> bytes:
    """A spoiled copy of a file's content, by mutators that suit the ending of its name."""
    ending = name.rpartition(".")[2]
    suited: list[Callable[[bytes, random.Random], bytes]] = [spoil_bytes, spoil_numbers]
    suited += {
        "json": [spoil_json, spoil_json, spoil_artifact, spoil_artifact, spoil_key],
        "jsonl": [spoil_json_line, spoil_json_line],
        "csv": [spoil_cell, spoil_cell, spoil_lines, spoil_column],
        "yaml": [spoil_yaml, spoil_yaml, spoil_lines],
        "pt": [spoil_state, spoil_state],
        "md": [spoil_yaml, spoil_yaml, spoil_lines],
        "safetensors": [spoil_header, spoil_header],
        "sqlite": [spoil_rows, spoil_rows],
        "parquet": [spoil_columns, spoil_columns],
    }.get(ending, [])
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        content = draw.choice(suited)(content, draw)
    return content


def spoil_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, cut, repeat, insert, encode or end lines otherwise."""
    place = draw.randrange(len(content) + 1)
    length = draw.choice([1, 2, 8, 64, 4096])
    kind = draw.randrange(10)
    if kind == 0 and content:
        place = min(place, len(content) - 1)
        return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]
    if kind == 1:
        return content[:place]
    if kind == 2:
        return content[:place] + content[place + length :]
    if kind == 3:
        return content[:place] + content[place : place + length] * draw.choice([2, 50]) + content[place:]
    if kind == 4:
        return content[:place] + draw.randbytes(length) + content[place:]
    if kind == 5:
        return draw.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"#", b"\x1b[2J", b'"', b"\x00"]) + content
    if kind == 6:
        return content.replace(b"\n", draw.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8"]))
    if kind == 7:
        return content[:place] + draw.choice(LETTERS) + content[place:]
    if kind == 8:
        try:
            return content.decode().encode(draw.choice(["latin-1", "utf-16", "utf-32"]), "replace")
        except UnicodeDecodeError:
            return content + b"\xff"
    return draw.choice([b"", b"3", b"[]", b"{}", b"null", b'"', b"[" * 3000, b"- " * 3000, b"\xff" * 50, b"a,b\n1\n"])


def spoil_numbers(content: bytes, draw: random.Random) -> bytes:
    """Another number in the place of one."""
    found = list(_NUMBER.finditer(content[:200_000]))
    if not found:
        return spoil_bytes(content, draw)
    one = draw.choice(found)
    other = draw.choice(
        [b"0", b"-1", b"1e400", b"NaN", b"-Infinity", b"9" * 4400, b"1e-400", b"0.5", b"1" + b"0" * 30, b"x"]
    )
    return content[: one.start()] + other + content[one.end() :]


def spoil_json(content: bytes, draw: random.Random) -> bytes:
    """Another value, key, or shape somewhere in the data."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return spoil_bytes(content, draw)
    return json.dumps(_spoil_data(data, draw)).encode()


def spoil_key(content: bytes, draw: random.Random) -> bytes:
    """A key that stands twice, with another value."""
    found = list(_KEY.finditer(content[:200_000]))
    if not found:
        return spoil_bytes(content, draw)
    one = draw.choice(found)
    value = json.dumps(draw.choice(HOSTILE)).encode()
    return content[: one.start()] + one[0] + b" " + value + b", " + content[one.start() :]


def spoil_artifact(content: bytes, draw: random.Random) -> bytes:
    """The same, with a checksum that is right for what it has become."""
    try:
        data = json.loads(content)
        part = draw.choice(["payload", "payload", "payload", "made_from", "made_with"])
        data[part] = _spoil_data(data[part], draw)
        data["checksum"] = sha256_of_data(data["payload"])
        return json.dumps(data).encode()
    except (ValueError, RecursionError, TypeError, KeyError):
        return spoil_json(content, draw)


def _spoil_data(data: Any, draw: random.Random) -> Any:
    places = _places(data)
    if not places:
        return draw.choice(HOSTILE)
    part, key = draw.choice(draw.choice(places))
    kind = draw.randrange(9)
    if kind == 0:
        del part[key]
    elif kind == 1 and isinstance(part, dict):
        part[str(draw.choice(HOSTILE))[:5000]] = part.pop(key)
    elif kind == 2:
        part[key] = draw.choice([[part[key]], {"a": part[key]}, str(part[key])])
    elif kind == 3:
        other, there = draw.choice(draw.choice(places))
        part[key] = copy.deepcopy(other[there])
    elif kind == 4:
        part[key] = _changed(part[key], draw)
    else:
        part[key] = copy.deepcopy(draw.choice(HOSTILE))
    return data


def _places(data: Any) -> list[list[tuple[Any, Any]]]:
    """Every part with every key of it, those together that differ in their places in lists alone."""
    found: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), data)]
    for path, part in waiting:
        inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, inner in inside:
            here = (*path, key if isinstance(part, dict) else "*")
            found.setdefault(here, []).append((part, key))
            if len(waiting) < 5000:
                waiting.append((here, inner))
    return list(found.values())


def _changed(value: Any, draw: random.Random) -> Any:
    """A value near to the one that was meant."""
    if isinstance(value, str | list):
        return draw.choice([value[::-1], value + value, value[:1], value[1:], value[:-1]])
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**30):
        return draw.choice([-value, 100 * value, value / 1e6, value * 1e9, value + 0.5])
    return draw.choice(HOSTILE)


def spoil_json_line(content: bytes, draw: random.Random) -> bytes:
    """One line's data."""
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    lines[place] = spoil_json(lines[place], draw)
    return b"\n".join(lines)


def spoil_cell(content: bytes, draw: random.Random) -> bytes:
    """Another cell, a cell more, or one fewer."""
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    cells = lines[place].split(b",")
    cell = draw.randrange(len(cells))
    kind = draw.randrange(5)
    if kind == 0:
        cells.append(b"more")
    elif kind == 1:
        del cells[cell]
    else:
        cells[cell] = str(draw.choice(HOSTILE)).encode("utf-8", "surrogatepass")
    lines[place] = b",".join(cells)
    return b"\n".join(lines)


def spoil_column(content: bytes, draw: random.Random) -> bytes:
    """A column in another unit, notation or place, or all of the table with other separators or many times."""
    lines = content.split(b"\n")
    kind = draw.randrange(10)
    if kind == 0:
        return content.replace(b",", draw.choice([b";", b"\t", b", ", b"|"]))
    if kind == 1:
        return b"\n".join([lines[0], *lines[1:] * draw.choice([0, 2, 30 if len(lines) < 100 else 1])])
    column, other = (draw.randrange(lines[0].count(b",") + 1) for _ in range(2))
    if kind == 2:
        for place, line in enumerate(lines):
            cells = line.split(b",")
            if max(column, other) < len(cells):
                cells[column], cells[other] = cells[other], cells[column]
            lines[place] = b",".join(cells)
        return b"\n".join(lines)
    same = str(draw.choice(HOSTILE)).encode("utf-8", "surrogatepass")
    change = draw.choice([
        lambda cell: same, lambda cell: cell + b"e9",
        lambda cell: b"", lambda cell: cell.replace(b".", b","), lambda cell: b"0." + cell, lambda cell: cell + b"%",
        lambda cell: b"-" + cell, lambda cell: cell + b"e300", lambda cell: b'"' + cell + b'"', lambda cell: b" " + cell.upper(),
    ])  # fmt: skip
    for place, line in enumerate(lines):
        cells = line.split(b",")
        if column < len(cells) and (place or draw.random() < 0.2):
            cells[column] = change(cells[column])
        lines[place] = b",".join(cells)
    return b"\n".join(lines)


def spoil_lines(content: bytes, draw: random.Random) -> bytes:
    """Lines left out, repeated or exchanged."""
    lines = content.split(b"\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.randrange(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(one, lines[other])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def spoil_yaml(content: bytes, draw: random.Random) -> bytes:
    """Other data, a line that YAML gives a meaning of its own, or another value of a key."""
    if draw.random() < 0.5:
        try:
            data = _spoil_data(yaml.safe_load(content), draw)
            return yaml.safe_dump(data, sort_keys=False, default_flow_style=draw.choice([None, True])).encode()
        except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError):
            pass  # it is spoiled already
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    key, colon, _ = lines[place].partition(b":")
    if colon and draw.random() < 0.7:
        lines[place] = key + b": " + repr(draw.choice(HOSTILE)).encode("utf-8", "replace")
    else:
        lines.insert(place, draw.choice(YAML_LINES).encode())
    return b"\n".join(lines)


def spoil_state(content: bytes, draw: random.Random) -> bytes:
    """A state of training with another value, shape or type somewhere in it, and sums that are right for it."""
    import torch

    change: Callable[[Any], Any] = draw.choice([
        lambda one: one * float("nan"), lambda one: one * 1e30, lambda one: -one, lambda one: one[:0] if one.ndim else one[None],
        lambda one: one[None], lambda one: one.double(), lambda one: one.bool(), lambda one: one.to(torch.complex64),
        lambda one: one.to_sparse(), lambda one: one.reshape(-1)[:1].expand(10**9), lambda one: one.to("meta"), lambda one: one.numel(),
    ])  # fmt: skip
    try:
        data = torch.load(io.BytesIO(content), weights_only=True)
        part = draw.choice([data["snapshot"]["model"], *data["snapshot"]["optimizer"]["state"].values()])
        key = draw.choice(sorted(part))
        if draw.random() < 0.4:
            part[key] = change(part[key] if part[key].numel() < 10**6 else part[key][:3])  # it may be expanded
        else:
            _spoil_data(data, draw)
        file = io.BytesIO()
        torch.save(data, file)
        return file.getvalue()
    except Exception:  # it is spoiled already
        return spoil_bytes(content, draw)


def spoil_header(content: bytes, draw: random.Random) -> bytes:
    """What the header of safetensors says of the tensors."""
    size = int.from_bytes(content[:8], "little")
    header = spoil_json(content[8 : 8 + size], draw)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def spoil_rows(content: bytes, draw: random.Random) -> bytes:
    """Other answers, in text or in no text at all, or another table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sqlite"
        path.write_bytes(content)
        connection = sqlite3.connect(path)
        answer = draw.choice(HOSTILE)
        text = json.dumps(answer if draw.random() < 0.3 else [answer, draw.choice([True, 1, None])])
        change = draw.choice([
            ("UPDATE answers SET answer = ?", (text,)), ("UPDATE answers SET answer = ?", (text.encode() + b"\xff",)),
            ("UPDATE answers SET answer = ?", (draw.choice([3, 1.5, None]),)), ("ALTER TABLE answers RENAME TO others", ()),
            ("ALTER TABLE answers RENAME COLUMN scope TO kind", ()), ("DELETE FROM answers", ()),
            ("CREATE TABLE more (a)", ()), ("CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END", ()),
        ])  # fmt: skip
        try:
            connection.execute(*change)
            connection.commit()
        except (sqlite3.Error, ValueError):
            return spoil_bytes(content, draw)
        finally:
            connection.close()
        return path.read_bytes()


def spoil_columns(content: bytes, draw: random.Random) -> bytes:
    """A column of Parquet that is gone, is called otherwise, or holds something else."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(pyarrow.BufferReader(content))
        names = list(table.column_names)
        place = draw.randrange(len(names))
        kind, value = draw.randrange(4), draw.choice(HOSTILE)
        if kind == 0:
            table = table.drop_columns(names[place])
        elif kind == 1:
            table = table.rename_columns([*names[:place], str(value)[:100], *names[place + 1 :]])
        elif kind == 2:
            table = table.slice(0, draw.choice([0, 1]))
        else:
            table = table.set_column(place, names[place], pyarrow.array([value] * len(table)))
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(table, sink)
        return bytes(sink.getvalue())
    except (pyarrow.ArrowException, ValueError, OverflowError, OSError):
        return spoil_bytes(content, draw)


PLACES = (
    "a folder", "a pipe", "nothing", "empty", "a link to itself", "a link to nothing", "a link to a device", "a socket",
)  # fmt: skip
"""What may be in the place of a file."""


def put(path: Path, content: bytes, place: str | None) -> None:
    """Write a file, or make something else in its place."""
    if place is None or place == "empty":
        path.write_bytes(b"" if place else content)
    elif place == "a folder":
        path.mkdir()
    elif place == "a pipe":
        os.mkfifo(path)
    elif place == "a socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif place != "nothing":
        path.symlink_to({"a link to itself": path.name, "a link to nothing": "nowhere"}.get(place, "/dev/zero"))


ENVIRONMENT = (
    "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DENSING_REGISTRY", "TMPDIR", "COLUMNS", "LINES", "TERM", "LANG",
    "LC_ALL", "NO_COLOR", "MPLCONFIGDIR", "MPLBACKEND", "HF_HOME", "HF_HUB_OFFLINE", "RANK", "WORLD_SIZE",
    "LOCAL_RANK", "OMP_NUM_THREADS", "PYTHONHASHSEED", "TZ", "_TYPER_COMPLETE_ARGS", "COMP_WORDS", "COMP_CWORD",
)  # fmt: skip


def spoil_environment(draw: random.Random) -> dict[str, str]:
    """Some variables that the package or a library of it reads, with values that nobody means."""
    return {
        name: draw.choice(
            ["", "0", "-1", "abc", "/nonexistent/x", "l.csv", "relative/x", "x" * 5000, "9" * 40, "\x1b[31m", "\n"]
        )
        for name in draw.sample(ENVIRONMENT, draw.choice([1, 1, 2, 4]))
    }


def spoil_arguments(arguments: list[str], options: list[str], draw: random.Random) -> list[str]:
    """Another value of an option, an option twice, one fewer, or a further one of those that the command has."""
    arguments = list(arguments)
    place = draw.randrange(len(arguments) + 1)
    kind = draw.randrange(7)
    if kind == 0:
        del arguments[place : place + 1]
    elif kind == 1:
        arguments[place:place] = arguments[place : place + 1]
    elif kind == 2 and options:
        name, value = draw.choice(options), _argument(draw)
        arguments += draw.choice([[name, value], [name, value], [f"{name}={value}"], [name]])
    elif place < len(arguments):
        name, equals, _ = arguments[place].partition("=")
        text = _argument(draw)
        arguments[place] = f"{name}={text}" if equals and draw.random() < 0.7 else text
    return arguments


def _argument(draw: random.Random) -> str:
    """A text that a process can be called with."""
    text = str(draw.choice(HOSTILE)).replace("\0", "")
    return text.encode("utf-8", "surrogateescape" if text == "\udc80" else "replace").decode()
