from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.core.config import load, read_yaml
from densing.core.errors import InputError
from densing.core.paths import below
from densing.core.units import parse_count, short_count
from densing.density.weighing import Hardware, load_hardware
from densing.frame.spec import FrameSpec


def test_a_wrong_key_is_named_with_the_right_one(tmp_path):
    path = tmp_path / "frame.yaml"
    path.write_text("name: x\ntokens: 1.0e12\nresampling: {replicate: 5}\n")
    with pytest.raises(
        InputError, match=r"frame.yaml: resampling.replicate: unknown key 'replicate'; did you mean 'replicates'"
    ):
        load(path, FrameSpec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens: 1\n", "name: Field required"),
        ("name: x\n", "frame.yaml: a frame is read either at tokens"),
        ("name: x\ntokens: 1\ntokens_per_param: 60\n", "give one of the two"),
        ("name: x\ntokens: -1\n", "greater than 0"),
        ("name: x\ntokens: 1\naverage: {mmlu: 0.5}\n", "add up to 0.5, not 1"),
        ("- a\n- b\n", "expected a mapping"),
        ("name: [x\n", "not readable as YAML"),
    ],
)
def test_bad_files_are_explained(tmp_path, text, message):
    path = tmp_path / "frame.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load(path, FrameSpec)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")


def test_hardware_from_a_file_and_by_name(tmp_path):
    path = tmp_path / "gpu.yaml"
    path.write_text("bandwidth: 2.0e+12\nflops: 1.0e+14\n")
    assert load_hardware(path) == Hardware(bandwidth=2e12, flops=1e14)
    with pytest.raises(InputError, match="unknown hardware 'rtx-4091'; did you mean 'rtx-4090'"):
        load_hardware("rtx-4091")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8B", 8e9),
        ("8e9", 8e9),
        ("8.03b", 8.03e9),
        ("350M", 3.5e8),
        ("1.3T", 1.3e12),
        ("1,500,000", 1.5e6),
        ("512e0", 512),
    ],
)
def test_sizes_as_people_write_them(text, value):
    assert parse_count(text) == pytest.approx(value)


@given(st.floats(1, 9.99e14))
def test_counts_survive_their_short_form(value):
    assert parse_count(short_count(value), bare=True) == pytest.approx(value, rel=6e-3)
    assert parse_count(repr(value), bare=True) == value


@given(st.text(max_size=12))
def test_any_text_is_a_positive_count_or_refused(text):
    try:
        value = parse_count(text)
    except InputError:
        return
    assert 0 < value < float("inf")


@pytest.mark.parametrize("text", ["eight", "8Q", "", "-3B", "0", "1e400", "8 B B", "1e-7"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="a size for --params"):
        parse_count(text, "a size for --params")


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("1,5B", ["1.5B", "1_500_000_000", "15B"]),
        ("8,03B", ["8.03B", "803B"]),
        ("1,500M", ["1.500M", "1500M"]),
        ("1,5", ["1.5B", "15B"]),
        ("8", ["8B", "8M", "8e0"]),
        ("7000", ["7000B", "7000M", "7000e0"]),
    ],
)
def test_sizes_with_two_readings_are_refused_with_both(text, readings):
    with pytest.raises(InputError) as error:
        parse_count(text)
    assert all(reading in str(error.value) for reading in readings)


@given(st.floats(1, 1e15))
def test_short_counts_read_back(value):
    assert parse_count(short_count(value), bare=True) == pytest.approx(value, rel=6e-3)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")),
        "a: &a [*a]",
        "a: " + "[" * 5000,
        "- " * 20_000,
        "x: 2024-13-01",
        "x: !!int x",
        "x: !!bool z",
        "x: !!python/object/apply:os.system [id]",
        "x: " + "9" * 5000,
        "1: 2",
        "[1]",
        "",
        "x" * 300_000,
    ],
)  # fmt: skip
def test_yaml_that_nobody_means_is_refused_in_a_short_message(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml") as error:
        read_yaml(tmp_path / "x.yaml")
    assert len(str(error.value)) <= 500


@pytest.mark.parametrize("name", ["..", ".x", "-x", "a/b", "a\\b", "a\nb", "a\0b", "", " ", "a\x1bb", "é" * 100])
def test_names_that_are_no_file_s_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="name of a file"):
        below(tmp_path, "a", name)
