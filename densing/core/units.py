"""Sizes as people write them."""

from __future__ import annotations

import re

from densing.core.errors import InputError

_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_SIZE = re.compile(r"^\s*([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt]?)\s*$", re.IGNORECASE)


def parse_count(text: str | float, what: str = "a count") -> float:
    """A positive number from ``8B``, ``8e9``, ``8.03b``, ``350M`` or ``1,500``.

    Raises
    ------
    InputError
        Names the text, what it was to be, and the forms that are understood.

    Examples
    --------
    >>> parse_count("8.03b")
    8030000000.0
    """
    match = _SIZE.match(str(text))
    if not match:
        raise InputError(f"{text!r} is not {what}; write it as 8e9, 8B, 8.03b or 350M")
    value = float(re.sub(r"[_,]", "", match[1])) * _FACTORS[match[2].lower()]
    if not 0 < value < float("inf"):
        raise InputError(f"{text!r} is not {what}; it must be greater than zero")
    return value


def short_count(value: float) -> str:
    """A count with a unit, three significant digits.

    Examples
    --------
    >>> short_count(8.03e9)
    '8.03B'
    """
    for factor, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
