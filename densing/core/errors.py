"""Errors a user can do something about. The command line prints the message, not the traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from densing.core.text import printable, shortened

LONGEST_MESSAGE = 500
_FEW = 12
"""So many names are listed even beside names that are close."""
_LISTED = 240
"""Characters of names that a message lists."""


class DensingError(Exception):
    """A run failed; the message says what, where, and what to do. Exit code 1.

    Whatever foreign text a message quotes, it is at most `LONGEST_MESSAGE` characters long and printable.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(printable(str(message)[: 1 << 16]), LONGEST_MESSAGE))


class InputError(DensingError, ValueError):
    """What was given cannot be used; the message names the value and what is allowed. Exit code 2."""

    exit_code = 2


def is_failure(error: BaseException) -> bool:
    """Whether a library failed, and nobody asked the program to end; libraries in Rust have a failure of their own."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not among the known ones, with up to three that are close to it.

    Examples
    --------
    >>> str(unknown("frame", "densing-law", ["densing-law-2025"]))
    "unknown frame 'densing-law'; did you mean 'densing-law-2025'? Known: densing-law-2025"
    """
    names, given = sorted(known), shortened(name, 80)
    # Compared without case and without what stands between the letters, as people remember names.
    plain = {_plain(one): one for one in reversed(names)}
    close = [repr(plain[one]) for one in difflib.get_close_matches(_plain(given), plain, n=3)]
    hint = f"; did you mean {' or '.join(filter(None, [', '.join(close[:-1]), close[-1]]))}?" if close else "."
    known_too = "" if close and len(names) > _FEW else f" Known: {listed(names)}"
    return InputError(f"unknown {kind} {given!r}{hint}{known_too}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def listed(names: Iterable[str]) -> str:
    """Names for a message, as many as fit into a few lines, and how many more there are."""
    every = [shortened(name, 80) for name in names]
    shown, length = 0, 0
    while shown < len(every) and length + len(every[shown]) <= _LISTED:
        length += len(every[shown]) + 2
        shown += 1
    more = f" and {len(every) - shown} more" if shown < len(every) else ""
    return ", ".join(every[:shown]) + more
