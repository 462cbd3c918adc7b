"""What a frame cannot be made of is refused in one sentence, before anything is written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from densing import FrameSpec, LossLaw, ScoreCurve, build_frame
from densing.core.config import validate
from densing.core.errors import InputError
from densing.frame.spec import ResamplingOptions
from densing.frame.store import write_frame

LAW, CURVE = LossLaw(10.0, 0.22, 60.0, 0.3), ScoreCurve(75.0, -22.0, 0.25, 25.0)
SIZES = np.repeat([5e6, 3e7, 1e8, 3e8, 8e8], 4)
TOKENS = SIZES * np.tile([10, 20, 40, 60], 5)
LOSSES = LAW.loss(SIZES, TOKENS) * np.exp(0.005 * np.random.default_rng(0).standard_normal(20))
AT = np.linspace(0.15, 0.5, 8)


def made(law, points=(SIZES, TOKENS, LOSSES), scores=None, name="task", **reading):
    spec = FrameSpec(name="made", resampling=ResamplingOptions(law=law, replicates=100), **reading)
    ladder = dict(zip(("params", "tokens", "conditional_loss"), points, strict=True))
    curve = {"checkpoint": range(8), "conditional_loss": AT, "score": CURVE.score(AT) if scores is None else scores}
    return build_frame(spec, pd.DataFrame({"benchmark": name, **ladder}), pd.DataFrame({"benchmark": name, **curve}))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({}, "give one of the two"),
        ({"tokens": 1e12, "tokens_per_param": 60}, "give one of the two"),
        ({"tokens": 0}, "tokens: .* greater than 0"),
        ({"tokens_per_param": 0}, "tokens_per_param: .* greater than 0"),
        ({"tokens": float("inf")}, "finite"),
        ({"tokens_per_param": float("nan")}, "finite"),
    ],
)
def test_a_frame_is_read_at_one_number_of_tokens(given, match):
    with pytest.raises(InputError, match=match):
        validate({"name": "made"} | given, FrameSpec, "frame made")


@pytest.mark.parametrize("law", ["clusters", "posterior"])
@pytest.mark.parametrize(
    ("points", "match"),
    [
        ((np.full(20, 1e8), TOKENS, LOSSES), "one size says nothing"),
        ((SIZES[:3], TOKENS[:3], LOSSES[:3]), "3 points cannot fit the 4 constants"),
        ((SIZES, 20 * SIZES, LOSSES), "tokens are 20 times params at every point"),
        ((SIZES, TOKENS, np.where(np.arange(20) == 3, np.nan, LOSSES)), "row 4 is nan"),
        ((SIZES, TOKENS, 60 * TOKENS**-0.3), "do not fall with size"),
    ],
)
def test_points_that_no_law_can_be_read_from_are_refused(law, points, match, tmp_path):
    reading = {"tokens_per_param": 60} if law == "posterior" else {"tokens": 1e12}
    frame = made(law, points, **reading)
    with pytest.raises(InputError, match=match) as caught:
        write_frame(frame, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_losses_that_rise_with_size_are_refused():
    rising = 60 * TOKENS**-0.3 * (SIZES / 1e8) ** 0.5
    for law, reading in (("clusters", {"tokens": 1e12}), ("posterior", {"tokens_per_param": 60})):
        with pytest.raises(InputError, match="do not fall with"):
            made(law, (SIZES, TOKENS, rising), **reading).invert(60.0, "task")


def test_scores_that_are_all_at_chance_are_refused():
    guesses = 25 + 0.3 * np.random.default_rng(1).standard_normal(8)
    with pytest.raises(InputError, match="no score on mmlu exceeds chance, 25 percent"):
        made("posterior", scores=guesses, name="mmlu", tokens_per_param=60).invert(60.0, "mmlu")


def test_a_reading_far_from_the_ladder_is_warned_of():
    most = TOKENS.max()
    assert made("clusters", tokens=9 * most).warnings == ()
    assert "D₀ is 100 times the most tokens" in made("clusters", tokens=100 * most).warnings[0]
    assert made("posterior", tokens_per_param=60).warnings == ()
    assert "6000 is 100 times the most" in made("posterior", tokens_per_param=6000).warnings[0]
    assert "one 20th of the least" in made("posterior", tokens_per_param=0.5).warnings[0]


def test_the_same_laws_are_read_at_another_number_of_tokens():
    frame = made("clusters", tokens=1e12)
    tied = frame.tied_to(60)
    assert (tied.spec.symbol, tied.law("task")) == ("ρ₆₀", frame.law("task"))
    size = tied.invert(60.0, "task").effective_size
    assert float(frame.law("task").loss(size, 60 * size)) == pytest.approx(tied.invert(60.0, "task").loss)
