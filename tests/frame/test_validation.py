"""A frame is asked for what was kept from it: losses, scores and sizes of models that it was not fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from densing import FrameSpec, LossLaw, ScoreCurve, build_frame, load_frame
from densing.core.artifacts import ArtifactError, read_json, write_json
from densing.core.errors import InputError
from densing.frame.spec import CurveOptions, ResamplingOptions
from densing.frame.validation import HELD_OUT, JOINT, keep_validation, read_validation, validate_frame

LAW = LossLaw(10.0, 0.22, 60.0, 0.3)
CURVE = ScoreCurve(75.0, -12.0, 0.3, 25.0)
SPEC = FrameSpec(
    name="made",
    tokens_per_param=60,
    items={"one": 10_000, "two": 10_000},
    curve=CurveOptions(anchor=False, floor=25, ceiling=100),
    resampling=ResamplingOptions(law="posterior", curve="posterior", replicates=300),
)
TARGET = {"params": 7e9, "tokens": 7e11}


def points(noise=0.003):
    """Losses and scores of five sizes at five budgets, and of one far larger model that is held out."""
    rng = np.random.default_rng(0)
    sizes = np.append(np.repeat([5e6, 3e7, 1e8, 3e8, 8e8], 5), TARGET["params"])
    tokens = np.append(sizes[:-1] * np.tile([10, 30, 60, 120, 300], 5), TARGET["tokens"])
    rows = []
    for name in ("one", "two"):
        loss = LAW.loss(sizes, tokens) * np.exp(noise * rng.standard_normal(26))
        score = CURVE.score(loss) + 0.3 * rng.standard_normal(26)
        held_out = np.arange(26) == 25
        rows.append(
            pd.DataFrame(
                {"benchmark": name, "checkpoint": range(26), "params": sizes, "tokens": tokens, "held_out": held_out}
                | {"conditional_loss": loss, "score": score}
            )
        )
    table = pd.concat(rows)
    return table.drop(columns=["checkpoint", "score"]), table


@pytest.fixture(scope="module")
def frame():
    return build_frame(SPEC, *points())


@pytest.fixture(scope="module")
def validation(frame):
    return validate_frame(frame)


def test_sizes_left_out_are_predicted(validation):
    predictions = validation.predictions
    assert sorted(set(predictions["left_out"])) == [5e6, 3e7, 1e8, 3e8, 8e8]
    assert (predictions["points"] == 5).all()
    assert predictions["loss_error_pct"].max() < 3
    assert predictions["score_error_points"].max() < 5
    assert (predictions["largest_loss_error_pct"] >= predictions["loss_error_pct"]).all()


def test_known_sizes_are_recovered_by_loss_by_score_and_jointly(validation):
    """Five sizes of five budgets, and the held-out one, on two benchmarks and jointly."""
    summary = validation.summary().set_index(["models", "path", "of"])
    assert list(summary["sizes"]) == [50, 25, 50, 25, 2, 1, 2, 1]
    assert summary.loc[("left out", "loss", "benchmarks"), "holds"] >= 44
    assert summary.loc[("left out", "score", "benchmarks"), "holds"] >= 44
    assert summary["median_fold"].max() < 1.5
    held_out = validation.sizes[validation.sizes["left_out"] == HELD_OUT]
    assert set(held_out["benchmark"]) == {"one", "two", JOINT}
    assert held_out["over_true"].between(0.5, 2).all()
    assert held_out["holds"].sum() >= 4


def test_answers_move_with_the_reading_and_not_with_a_form_that_fits_as_well(validation):
    moved = validation.sensitivity.set_index(["change", "benchmark"])["times"]
    assert moved["κ = 60", "one"] == pytest.approx(1)
    assert moved["κ = 20", "one"] > moved["κ = 60", "one"] > moved["κ = 200", "one"]
    assert 0.5 < moved["two-term, optimum 1", "one"] < 2


def test_a_size_that_is_not_identified_has_no_number():
    """With one budget's worth of noise no law says how large a model a hundred times the ladder is."""
    losses, scores = points(noise=0.05)
    found = validate_frame(build_frame(SPEC, losses, scores)).sizes
    unknown = found[found["status"] != "identified"]
    assert len(unknown)
    assert unknown["over_true"].isna().all()
    assert found.loc[found["status"] == "identified", "over_true"].notna().all()


def test_a_validation_is_kept_for_its_own_frame_alone(frame, validation, tmp_path):
    keep_validation(frame, validation, tmp_path)
    kept = read_validation(frame, tmp_path)
    pd.testing.assert_frame_equal(kept.summary(), validation.summary())
    other = build_frame(SPEC.model_copy(update={"tokens_per_param": 20.0}), *points())
    assert read_validation(other, tmp_path) is None
    assert read_validation(frame, tmp_path / "elsewhere") is None


def test_scores_without_sizes_leave_the_losses(frame):
    losses, scores = points()
    found = validate_frame(build_frame(SPEC, losses, scores.drop(columns=["params", "tokens"])))
    assert set(found.sizes["path"]) == {"loss"}
    assert found.predictions["score_error_points"].isna().all()


def test_a_ladder_of_too_few_sizes_is_refused():
    losses, scores = points()
    two = losses[losses["params"].isin([5e6, 3e7, 7e9])]
    with pytest.raises(InputError, match="no size can be left out of 2"):
        validate_frame(build_frame(SPEC, two, scores))


def test_the_shipped_ladder_knows_its_own_sizes():
    """Four sizes by five budgets on four tasks; two targets, five and ten times the largest rung."""
    frame = load_frame("olmo-ladder")
    found = validate_frame(frame)
    summary = found.summary().set_index(["models", "path", "of"])
    assert list(summary["sizes"]) == [80, 20, 80, 20, 8, 2, 8, 2]
    assert summary.loc[("left out", "loss", "benchmarks"), "holds"] >= 72
    assert summary.loc[("left out", "score", "benchmarks"), "holds"] >= 72
    assert list(summary["holds"])[4:] == [8, 2, 8, 2]
    assert found.predictions["loss_error_pct"].max() < 3
    assert len(frame.losses) == 80
    assert frame.losses["params"].max() < 1.3e9


def test_its_variant_takes_the_targets_as_points():
    frame = load_frame("olmo-ladder-to-13b")
    assert frame.benchmarks == ("mmlu_cloze", "hellaswag", "arc_challenge", "piqa")
    assert frame.losses["params"].max() == 13202396160
    assert len(frame.losses) == 88
    assert (frame.scores["held_out"] == 0).all()


@pytest.mark.parametrize(("table", "rows"), [("sizes", [{"left_out": 1.0}]), ("predictions", 3), ("sizes", [[1]])])
def test_a_validation_that_is_none_is_refused(frame, validation, tmp_path, table, rows):
    path = keep_validation(frame, validation, tmp_path)
    write_json(path, "validation", read_json(path, "validation").payload | {table: rows})
    with pytest.raises(ArtifactError, match="not readable as a validation"):
        read_validation(frame, tmp_path)
