"""A model whose density is asked for: its name, its size, and what was measured or published of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from densing.models.size import Size


@dataclass(frozen=True)
class Subject:
    """A model whose density is asked for.

    Attributes
    ----------
    name : str
    size : Size
    scores : mapping
        Percent, by benchmark; ``average`` may be given instead of its parts.
    items : mapping
        Items behind each score where they differ from the frame's.
    losses : mapping
        Measured conditional losses, nats per token, by benchmark. Where one is given and the tokeniser is
        the frame's, the density comes from it and the score is not needed.
    loss_errors : mapping
        Their standard errors.
    """

    name: str
    size: Size
    scores: Mapping[str, float] = field(default_factory=dict)
    items: Mapping[str, int] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    loss_errors: Mapping[str, float] = field(default_factory=dict)
