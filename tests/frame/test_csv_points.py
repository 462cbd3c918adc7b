"""Two CSV files become a frame, or one sentence says why not and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from densing import FrameSpec, build_frame
from densing.cli import app
from densing.frame.from_ladder import floor_warning
from densing.frame.store import read_frame


def ladder():
    """Losses in bits per byte of four sizes at three budgets."""
    sizes, ratios = np.repeat([1e8, 2e8, 4e8, 1e9], 3), np.tile([10, 40, 160], 4)
    loss = 3 * sizes**-0.1 + 4 * (sizes * ratios) ** -0.12
    loss *= np.exp(0.002 * np.random.default_rng(0).standard_normal(12))
    columns = {"params": sizes, "tokens": sizes * ratios, "conditional_loss": loss, "unit": "bits per byte"}
    return pd.DataFrame({"benchmark": "arc", "rung": np.repeat([f"s{i}" for i in range(4)], 3), **columns})


def scored():
    table = ladder().drop(columns="rung").assign(checkpoint=range(12), chance=25)
    return table.assign(score=25 + 75 / (1 + np.exp(6 * (table["conditional_loss"] - 0.75))))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Run `densing frames build` on two tables in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(losses, scores, *options):
        losses.to_csv("losses.csv", index=False)
        scores.to_csv("scores.csv", index=False)
        read_at = options or ("--tokens-per-param", "60")
        return CliRunner().invoke(
            app, ["frames", "build", "losses.csv", "--scores", "scores.csv", "--name", "mine", *read_at]
        )

    return run


def test_a_tied_frame_with_its_unit_its_rungs_and_its_floor(build):
    assert build(ladder(), scored()).exit_code == 0
    frame = read_frame(Path("results/frames/mine.json"))
    assert frame.spec.unit == "bits per byte"
    assert frame.spec.tokens_per_param == 60
    assert frame.curve("arc").d == 25
    assert set(frame.losses["rung"]) == {"s0", "s1", "s2", "s3"}
    validated = CliRunner().invoke(app, ["frames", "validate", "mine"])
    assert validated.exit_code == 0, validated.stderr
    assert "left out  score  benchmarks     12" in validated.stdout
    assert "95% holds the truth" in CliRunner().invoke(app, ["frames", "show", "mine"]).stdout


@pytest.mark.parametrize(
    ("unit", "factor", "kept"),
    [("bits per token", np.log(2), "nats per token"), ("nats per byte", 1 / np.log(2), "bits per byte")],
)
def test_units_are_converted(build, unit, factor, kept):
    assert build(ladder().assign(unit=unit), scored().assign(unit=unit)).exit_code == 0
    frame = read_frame(Path("results/frames/mine.json"))
    assert frame.spec.unit == kept
    assert frame.losses["conditional_loss"].tolist() == pytest.approx(factor * ladder()["conditional_loss"])


def changed(table, row, column, value):
    table = table.astype({column: object})
    table.loc[row, column] = value
    return table


LOSSES, SCORES = ladder(), scored()


@pytest.mark.parametrize(
    ("losses", "scores", "said"),
    [
        (changed(LOSSES, 0, "rung", "s1"), SCORES, "losses.csv: rung s1 holds models of 1e+08 and 2e+08 parameters"),
        (LOSSES[:3], SCORES, "all points have 1e+08 parameters"),
        (LOSSES[::4], SCORES, "3 points cannot fit the 4 constants of the two-term law; give at least 5"),
        (LOSSES, SCORES.assign(score=24.0), "scores.csv, arc: no score exceeds chance, 25"),
        (
            LOSSES.assign(conditional_loss=LOSSES["conditional_loss"].to_numpy()[::-1]),
            SCORES,
            "the loss does not fall with the number of parameters",
        ),
        (LOSSES.assign(held_out="yes"), SCORES, "losses.csv, arc: every point is held out"),
        (LOSSES, SCORES.assign(held_out="yes"), "scores.csv, arc: every point is held out"),
        (LOSSES.assign(unit="nats"), SCORES, "losses are in two units"),
        (LOSSES.assign(unit="furlongs"), SCORES, "line 2: unit 'furlongs' is not one of"),
        (changed(LOSSES, 4, "unit", "nats"), SCORES, "in bits per byte and in nats per token"),
        (LOSSES, changed(SCORES, 2, "chance", 20), "arc has 2 chance scores"),
        (changed(LOSSES, 3, "params", -1), SCORES, "losses.csv, line 5: params = -1.0 must be a positive number"),
        (LOSSES.drop(columns="tokens"), SCORES, "losses.csv: no column tokens"),
    ],
)
def test_points_that_make_no_frame_are_refused_in_one_sentence(build, losses, scores, said):
    result = build(losses, scores)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tokens", "1e12", "--tokens-per-param", "60"), "give one of the two"),
        (("--tokens-per-param", "0"), "greater than 0"),
        (("--tokens", "0"), "greater than zero"),
        (("--form", "two-term"), "--tokens or --tokens-per-param"),
    ],
)
def test_a_frame_is_read_at_one_number_of_tokens(build, options, said):
    result = build(LOSSES, SCORES, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("results").exists()


def test_tokens_far_beyond_a_proportional_ladder_are_warned_of():
    near = ladder().assign(tokens=lambda table: table["params"] * np.tile([10, 20, 40], 4))
    spec = FrameSpec(name="near", tokens=8e12)
    assert "200 times the most tokens of the ladder" in floor_warning(build_frame(spec, near, scored()))
    assert not floor_warning(build_frame(spec, ladder(), scored()))
    tied = spec.model_copy(update={"tokens": None, "tokens_per_param": 60.0})
    assert not floor_warning(build_frame(tied, near, scored()))
