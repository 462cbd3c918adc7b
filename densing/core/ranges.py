"""Ranges of the numbers in what is read, declared once for `densing.core.artifacts.typed`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=0, le=10**15)]
"""Of tokens, parameters, bytes or steps; no computer holds more."""
Positive = Annotated[int, Field(gt=0, le=10**15)]
"""A count that something is divided by."""
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e100, le=1e100)]
"""A measured number, small enough to compute with."""
