"""Sizes, scores and dates as people write them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from densing.core.errors import InputError
from densing.core.text import shortened

_POWERS = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
_PERCENT = re.compile(
    r"^\s*([+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(%?)\s*(?:\(([0-9]+)\s*/\s*([0-9]+)\))?\s*$", re.IGNORECASE
)
_SIZE = re.compile(
    r"([0-9]+|[0-9]{1,3}(?:_[0-9]{3})+|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]*)?(e[+-]?[0-9]{1,3})?\s*([kmbgt]?)",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"([0-9]+),([0-9]+)\s*([kmbgt]?)", re.IGNORECASE)
SMALLEST_BARE = 10_000
"""A count under this without a unit may be meant in billions."""
LARGEST = 1e18
"""More than any model's parameters or corpus."""
YEARS = (1900, 2200)
"""First and last of a date."""


def parse_count(text: str | float, what: str = "a count", *, bare: bool = False) -> float:
    """A positive number from ``8B``, ``8e9``, ``8.03b``, ``350M`` or ``1,500,000``.

    Parameters
    ----------
    text : str or float
    what : str
        What it was to be, for the message: "a size for --params".
    bare : bool
        Whether a small number without a unit is meant as it stands, such as tokens per parameter.

    Raises
    ------
    InputError
        Names the text and the forms that are understood; for one with two readings, such as ``1,5B`` or ``8``, both.

    Examples
    --------
    >>> parse_count("8.03b")
    8030000000.0
    """
    given = str(text).strip()
    shown = repr(shortened(given, 60))
    match = _SIZE.fullmatch(given)
    comma = _DECIMAL_COMMA.fullmatch(given)
    if comma and (comma[3] or not match):
        unit = comma[3].upper() or "B"
        point = float(f"{comma[1]}.{comma[2]}e{_POWERS[unit.lower()]}")
        raise InputError(
            f"{shown} is not {what}, the comma can be read in two ways; write {comma[1]}.{comma[2]}{unit}, "
            f"which is {point:_.0f}, or {comma[1]}{comma[2]}{unit}"
        )
    if not match:
        raise InputError(f"{shown} is not {what}; write it as 8e9, 8B, 8.03b or 350M")
    digits = re.sub(r"[_,]", "", match[1]) + (match[2] or "") + (match[3] or "")
    power = _POWERS[match[4].lower()]
    value = float(digits) * 10.0**power if match[3] else float(f"{digits}e{power}")
    if value <= 0:
        raise InputError(f"{shown} is not {what}; it must be greater than zero")
    if value < 1 and not bare:
        raise InputError(f"{shown} is not {what}; a count is at least 1")
    if value > LARGEST:
        raise InputError(f"{shown} is not {what}; {LARGEST:.0e} is more than there are; was a unit given twice?")
    plain = isinstance(text, str) and not (match[3] or match[4])
    if plain and value < SMALLEST_BARE and not bare:
        raise InputError(
            f"{shown} is not {what} without a unit; write {digits}B if that is billions, {digits}M if millions, "
            f"or {digits}e0 for the number itself"
        )
    return value


def parse_percent(text: str) -> tuple[float, int | None]:
    """A score in percent as tables write it, ``40.0``, ``0.6%`` or ``40.0 (200/500)``, and its items where given.

    A bare number above 0 and up to 1 is refused, because it can be meant as percent or as a fraction.

    Raises
    ------
    ValueError
        Names the text, and what is allowed; the caller says where it stands.

    Examples
    --------
    >>> parse_percent("40.0 (200/500)")
    (40.0, 500)
    """
    match = _PERCENT.match(text)
    try:
        value = float(match[1] if match else text)
    except ValueError:
        comma = f"; write {text.strip().replace(',', '.')}" if re.fullmatch(r"\s*[0-9]+,[0-9]+\s*%?\s*", text) else ""
        raise ValueError(f"{shortened(text, 80)!r} is not a number{comma}") from None
    if not 0 <= value <= 100:
        raise ValueError(f"{text!r} is not a score in percent, which lies between 0 and 100")
    if match and match[4]:
        right, items = int(match[3]), int(match[4])
        counted = 100 * right / items if items else float("nan")
        if not abs(value - counted) <= 0.5:  # tables round to whole percent at most
            raise ValueError(f"{text!r} gives two scores, {value:g}% and {counted:g}% by its counts; keep one")
        return value, items
    if 0 < value <= 1 and not (match and match[2]):
        raise ValueError(
            f"{text!r} can be read as {value:g}% or as a fraction, {100 * value:g}%; "
            f"write '{value:g}%' or '{100 * value:g}%'"
        )
    return value, None


def refuse_fractions(scores: Iterable[float], where: str) -> None:
    """Refuse a column of scores that can be meant as percent or as fractions: none is above 1, and some are above 0.

    Raises
    ------
    InputError
        Names `where` and both readings of the highest score.
    """
    highest = max(scores, default=0.0)
    if 0 < highest <= 1:
        raise InputError(
            f"{where}: no score is above 1, so {highest:g} can be read as {highest:g}% or as a fraction, "
            f"{100 * highest:g}%; write {100 * highest:g} if they are fractions; scores that all lie under 1% say "
            "nothing about a curve"
        )


def parse_scores(given: Iterable[str], *, fraction: bool = False) -> dict[str, float]:
    """Scores in percent from ``mmlu=66.6`` and the like, as ``--score`` takes them.

    Parameters
    ----------
    given : iterable of str
        Each is benchmark=value. ``math=0.9%`` says that a small value is meant as percent.
    fraction : bool
        The values are fractions between 0 and 1 instead.

    Raises
    ------
    InputError
        If a text is not benchmark=value, is out of range, or looks like a fraction without being called one.
    """
    given = list(given)
    scores: dict[str, float] = {}
    doubtful = []
    for text in given:
        name, _, number = text.partition("=")
        text, key = shortened(text, 80), name.strip().lower()
        plain = number.strip().removesuffix("%")
        if re.fullmatch(r"[0-9]+,[0-9]+", plain):
            raise InputError(f"--score {text}: a decimal comma; write {plain.replace(',', '.')}")
        try:
            value = float(plain)
        except ValueError:
            raise InputError(f"--score {text}: expected benchmark=value, as in mmlu=66.6") from None
        if not key:
            raise InputError(f"--score {text}: no benchmark before the value, as in mmlu=66.6")
        if fraction and not 0 <= value <= 1:
            raise InputError(f"--score {text}: with --fraction a score lies between 0 and 1")
        percent = 100 * value if fraction else value
        if not 0 <= percent <= 100:
            raise InputError(f"--score {text}: a score in percent lies between 0 and 100")
        if 0 < value <= 1 and not fraction and not number.endswith("%"):
            doubtful.append((text, value))
        if scores.setdefault(key, percent) != percent:
            raise InputError(f"--score {key} is given twice, as {scores[key]:g} and as {percent:g}; keep one of them")
    if doubtful and len(doubtful) == len(given):
        raise InputError(f"--score {', '.join(given)}: these look like fractions; give percent, or say --fraction")
    if doubtful:
        text, value = doubtful[0]
        raise InputError(
            f"--score {text}: this looks like a fraction and the other scores like percent; "
            f"write {100 * value:g} if it is a fraction, or {value:g}% if it is percent"
        )
    return scores


def parse_date(text: str | None, option: str) -> dt.date | None:
    """A day as an option takes it, 2026-01-31; None where the option is not given.

    Raises
    ------
    InputError
        If the text is not a date; the message names the option.
    """
    if text is None:
        return None
    try:
        return day_of(text)
    except ValueError:
        raise InputError(f"{option} {text}: not a date from {YEARS[0]} to {YEARS[1]}; write it as 2026-01-31") from None


def day_of(text: str) -> dt.date:
    """The day of an ISO date, 2026-01-31; a ValueError for another text, and for a year that nobody means.

    Examples
    --------
    >>> day_of("2026-01-31")
    datetime.date(2026, 1, 31)
    """
    day = dt.date.fromisoformat(text)
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise ValueError(f"the year {day.year} is not from {YEARS[0]} to {YEARS[1]}")
    return day


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
