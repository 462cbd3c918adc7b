"""Foreign text on its way out: names, notes and messages that others wrote, shown as text and nothing else.

Every place that prints or writes such text takes its form from here: the terminal, an error, JSON, CSV, Markdown,
LaTeX. The page's HTML is escaped by Jinja and by `script_data`.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What moves the cursor, hides, reorders or cannot be encoded: controls, marks of direction, surrogates, tags."""


def printable(text: str) -> str:
    r"""Text in which everything but line breaks, tabs and what can be seen is written as an escape.

    Examples
    --------
    >>> printable("a\x1b[31mred")
    'a\\x1b[31mred'
    """
    return _UNSAFE.sub(lambda match: _escape(match[0]), text)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Printable text whose white space is single spaces, as a cell of a table or a label wants it."""
    return printable(" ".join(text.split()))


def shortened(text: str, longest: int) -> str:
    """The text, with its middle left out where it is longer: the beginning names the place, the end the remedy.

    Examples
    --------
    >>> shortened("abcdefghijklmnopqrstuvwxyz", 15)
    'abcdefgh … wxyz'
    """
    if len(text) <= longest:
        return text
    tail = (longest - 3) * 2 // 5
    return f"{text[: longest - 3 - tail + (tail < 1)]} … {text[len(text) - tail :]}"[:longest]


def json_text(data: Any, **options: Any) -> str:
    """JSON that any terminal can print: what `printable` escapes is written as JSON's own escapes."""
    text = json.dumps(data, ensure_ascii=False, **options)
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def script_data(data: Any) -> str:
    """JSON that cannot end the script element of HTML that it stands in: no `<` is left in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


_FORMULA = re.compile(r"[\s\x00-\x20\u00a0\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]|[\t\r\n']")


def harmless(cell: Any) -> Any:
    """A text cell that a spreadsheet will not take for a formula, behind an apostrophe where it would.

    Also behind white space and in full width; a text that begins with an apostrophe gets one more, so that taking
    one away gives the text back.
    """
    if isinstance(cell, str) and _FORMULA.match(cell):
        return "'" + cell
    return cell


def markdown_text(text: str) -> str:
    """Text escaped so that a Markdown table shows it as it is, without links, images or HTML."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|#!~])", r"\\\1", one_line(text)).replace("&", "&amp;")
    return re.sub(r"(://|@|(?<=www)\.)", r"\\\1", escaped, flags=re.IGNORECASE)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "∞": r"$\infty$", "≤": r"$\le$", "≥": r"$\ge$", "–": "--",
    "−": "$-$", "ρ": r"$\rho$", "α": r"$\alpha$", "β": r"$\beta$", "N̂": r"$\hat{N}$", "₀": "$_0$", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
"""A bracket or an asterisk at the start of a row would belong to the line break before it."""


def latex_text(text: str) -> str:
    """Text escaped so that LaTeX sets it as it is."""
    plain = one_line(text).replace("--", "-\0-")
    return "".join("{}" if letter == "\0" else _LATEX.get(letter, letter) for letter in re.findall(r"N̂|.", plain))
