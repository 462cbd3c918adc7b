"""Checks that every fit makes of the points it is given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import BoolArray, FloatArray
from densing.fit.status import FitError

_LARGEST = 1e100
"""Whose square is finite."""


def as_columns(named: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    """Return columns as arrays of floats, all of one length.

    Raises
    ------
    FitError
        If a value is not a number or the columns differ in length.
    """
    try:
        arrays = {name: np.atleast_1d(np.asarray(values, dtype=float)) for name, values in named.items()}
    except (TypeError, ValueError) as error:
        raise FitError(f"{', '.join(named)} must be numbers: {error}") from None
    if len({len(values) for values in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(values)}" for name, values in arrays.items())
        raise FitError(f"columns differ in length: {lengths}")
    return arrays


def demand(name: str, values: FloatArray, good: BoolArray, rule: str) -> None:
    """Refuse a column that breaks a rule, naming the first row that does (counted from 1).

    Raises
    ------
    FitError
        If `good` is not true everywhere.
    """
    wrong = np.flatnonzero(~good)
    if len(wrong):
        others = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise FitError(f"{name} must {rule}: row {wrong[0] + 1} is {values[wrong[0]]:g}{others}")


def demand_positive(name: str, values: FloatArray) -> None:
    """Refuse a column with a value that is not positive and finite, or of which no fit can take powers.

    Raises
    ------
    FitError
        If there is one.
    """
    demand(name, values, np.isfinite(values) & (values > 0), "be positive and finite")
    demand(
        name, values, (values > 1 / _LARGEST) & (values < _LARGEST), f"lie between {1 / _LARGEST:g} and {_LARGEST:g}"
    )
