"""Scores as people write them."""

from __future__ import annotations

import pytest

from densing.core.errors import InputError
from densing.core.units import parse_scores


def test_scores_are_percent_unless_they_are_said_to_be_fractions():
    assert parse_scores(["mmlu=60", "bbh=0.9%"]) == {"mmlu": 60, "bbh": 0.9}
    assert parse_scores(["mmlu=0.6", "bbh=0.9"], fraction=True) == pytest.approx({"mmlu": 60, "bbh": 90})


def test_what_looks_like_a_fraction_is_asked_about():
    with pytest.raises(InputError, match=r"bbh=0\.9: this looks like a fraction .* 90 if .* or 0\.9% if"):
        parse_scores(["mmlu=60", "bbh=0.9"])
    with pytest.raises(InputError, match="look like fractions; give percent, or say --fraction"):
        parse_scores(["mmlu=0.6", "bbh=0.9"])
