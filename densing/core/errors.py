"""Errors a user can do something about. The command line prints the message, not the traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DensingError(Exception):
    """A run failed; the message says what, where, and what to do. Exit code 1."""

    exit_code = 1


class InputError(DensingError, ValueError):
    """What was given cannot be used; the message names the value and what is allowed. Exit code 2."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not among the known ones, with the closest of them.

    Examples
    --------
    >>> str(unknown("frame", "densing-law", ["densing-law-2025"]))
    "unknown frame 'densing-law'; did you mean 'densing-law-2025'? Known: densing-law-2025"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return InputError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}")
