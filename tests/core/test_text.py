"""pytest tests/core/test_text.py

Forty hostile names, and any other text, are text in every form that is written.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from densing import Size, Subject, load_frame
from densing.core.errors import LONGEST_MESSAGE, InputError, unknown
from densing.core.text import (
    harmless,
    json_text,
    latex_text,
    markdown_text,
    one_line,
    printable,
    script_data,
    shortened,
)
from densing.density.card import model_card
from densing.density.densities import compute_densities
from densing.report.tables import Table
from tests.hostile import HOSTILE_NAMES

TABLE = Table(
    "A title | <b>", pd.DataFrame({"model": HOSTILE_NAMES}), pd.DataFrame({"model": HOSTILE_NAMES}), "x`y`.csv"
)


def test_a_table_in_markdown_holds_the_names_as_text():
    tokens = MarkdownIt("commonmark").enable("table").parse(TABLE.markdown())
    cells = [token for token in tokens if token.type == "inline" and token.level == 4][1:]
    for name, cell in zip(HOSTILE_NAMES, cells, strict=True):
        assert {child.type for child in cell.children} <= {"text", "text_special"}
        assert "".join(child.content for child in cell.children) == one_line(name)
    assert not [token for token in tokens if token.type in ("html_block", "html_inline")]


def test_a_table_in_latex_has_one_row_per_name_and_no_command_of_theirs():
    rows = re.search(r"\\midrule\n(.*)\n\\bottomrule", TABLE.latex("table"), re.DOTALL)[1].split("\n")
    assert len(rows) == len(HOSTILE_NAMES)
    words = "backslash|asciitilde|asciicircum|less|greater|bar|quotedbl|asciigrave"
    ours = rf"\\(text({words})|[&%$#_{{}}])"
    for row in rows:
        assert row.endswith(r" \\")
        text = row.removesuffix(r" \\")
        assert not re.match(r"\s*[\[*]", text)
        assert "\\" not in re.sub(ours, "", text)
        braces = re.sub(r"\\[{}]", "", text)
        assert braces.count("{") == braces.count("}")
        assert not re.search(r"(?<!\\)[&%#_$]", text)


def test_a_table_in_csv_gives_pandas_the_names_back():
    read = pd.read_csv(io.StringIO(TABLE.csv()), dtype=str, keep_default_na=False)["model"]
    assert (
        tuple(cell.removeprefix("'") if name != cell else cell for name, cell in zip(HOSTILE_NAMES, read, strict=True))
        == HOSTILE_NAMES
    )
    assert not [cell for cell in read if re.match(r"\s*[=+\-@＝＋－＠]", cell)]


@pytest.fixture(scope="module")
def density():
    subject = Subject("", Size(non_embedding=7e9), {"average": 50})
    return compute_densities(load_frame("densing-law-2025"), [subject])[0]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_card_holds_the_name_as_text(density, name):
    _, block, sentence = model_card(replace(density, model=name)).split("---\n", 2)
    assert yaml.safe_load(block)["model-index"][0]["name"] == one_line(name)
    assert "window" not in sentence
    assert printable(block) == block


@given(st.text())
def test_whatever_is_printed_moves_no_cursor(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    shown.encode()
    assert "\n" not in one_line(text)


@given(st.text())
def test_escaped_text_reads_back(text):
    assert json.loads(json_text([text])) == [text]
    assert "<" not in script_data([text.encode("utf-8", "replace").decode()])
    guarded = harmless(text)
    assert guarded.removeprefix("'") == text if guarded != text else not text.startswith("'")


@given(st.text(max_size=2000), st.integers(10, 500))
def test_what_is_shortened_is_as_long_as_it_may_be(text, longest):
    short = shortened(text, longest)
    assert len(short) <= longest
    assert short == text or len(short) >= longest - 1


@given(st.text(max_size=3000))
def test_no_message_is_longer_than_it_may_be_or_moves_the_cursor(text):
    for error in (InputError(text), unknown("model", text, [text, "a" * 300])):
        assert len(str(error)) <= LONGEST_MESSAGE
        assert printable(str(error)) == str(error)


@given(st.text())
def test_no_text_ends_a_cell_of_a_table(text):
    assert not re.search(r"(?<!\\)[|<>]", markdown_text(text).replace("\\\\", ""))
    assert "\n" not in latex_text(text)
