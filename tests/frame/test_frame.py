"""Frames invert scores, give statuses at every edge, and survive being written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing import FrameSpec, LossLaw, ScoreCurve, build_frame, compute_density, load_frame
from densing.core.artifacts import read_json, sha256_of, write_json
from densing.core.errors import InputError
from densing.frame.frame import AVERAGE
from densing.frame.spec import CurveOptions, ResamplingOptions
from densing.frame.statuses import Status
from densing.frame.store import keep_draws, read_frame, write_arrays, write_frame

LAW = LossLaw(10.0, 0.22, 60.0, 0.3)
CURVE = ScoreCurve(75.0, -22.0, 0.25, 25.0)
SPEC = FrameSpec(name="made", tokens=1e12, resampling=ResamplingOptions(replicates=200), items={"task": 1000})


def points(seed=0, sigma=0.005, score_error=0.7, benchmarks=("task",)):
    rng = np.random.default_rng(seed)
    sizes = np.repeat([5e6, 3e7, 1e8, 3e8, 8e8], 6)
    tokens = sizes * np.tile([10, 15, 20, 30, 40, 60], 5)
    losses, scores = [], []
    for shift, name in enumerate(benchmarks):
        loss = LAW.loss(sizes, tokens) * (1 + 0.1 * shift) * np.exp(sigma * rng.standard_normal(30))
        losses.append(pd.DataFrame({"benchmark": name, "params": sizes, "tokens": tokens, "conditional_loss": loss}))
        at = np.linspace(0.12, 0.5, 12)
        score = np.clip(CURVE.score(at) + score_error * rng.standard_normal(12), 0, 100)
        scores.append(
            pd.DataFrame({"benchmark": name, "checkpoint": range(12), "conditional_loss": at, "score": score})
        )
    return pd.concat(losses), pd.concat(scores)


@pytest.fixture(scope="module")
def frame():
    return build_frame(SPEC, *points())


def test_a_frame_recovers_the_family_it_was_made_of():
    free = SPEC.model_copy(update={"curve": CurveOptions(anchor=False)})
    exact = build_frame(free, *points(sigma=0, score_error=0))
    for size in (1e9, 1e10, 7e10):
        score = CURVE.score(LAW.loss(size, 1e12))
        assert exact.invert(float(score), "task").effective_size == pytest.approx(size, rel=5e-3)


def test_the_interval_of_a_noisy_frame_holds_the_truth(frame):
    score = float(CURVE.score(LAW.loss(1e10, 1e12)))
    interval = compute_density(frame, params=1e10, score=score, benchmark="task").interval
    assert interval.low < 1 < interval.high


@settings(max_examples=60, deadline=None)
@given(st.floats(8.0, 11.5))
def test_inversion_undoes_the_frame(exponent):
    frame = load_frame("densing-law-2025")
    size = 10.0**exponent
    inverted = frame.invert(float(frame.score_at(size)))
    assert inverted.status.has_size
    assert inverted.effective_size == pytest.approx(size, rel=1e-6)


def test_every_edge_is_a_status_with_a_bound(frame):
    curve, law = frame.curve("task"), frame.law("task")
    low = frame.invert(curve.d - 1, "task")
    assert (low.status, np.isnan(low.effective_size)) == (Status.AT_CHANCE, True)
    high = frame.invert(min(curve.ceiling + 0.1, 100.0) if curve.ceiling < 100 else curve.ceiling, "task")
    assert (high.status, np.isnan(high.effective_size)) == (Status.ABOVE_CEILING, True)
    under = frame.invert_loss(float(law.data_floor(1e12)) * 0.9, "task")
    assert (under.status, np.isnan(under.effective_size)) == (Status.UNDER_FLOOR, True)
    assert 0 < low.bound < high.bound
    assert under.bound > 0
    assert all(len(edge.notes) == 1 for edge in (low, high, under))


@pytest.mark.parametrize("variant", ["", "-preprint", "-best", "-irreducible", "-rule"])
def test_every_bound_is_a_size(variant):
    shipped = load_frame(f"densing-law-2025{variant}")
    for benchmark in shipped.benchmarks:
        for score in (0.0, 100.0):
            edge = shipped.invert(score, benchmark)
            assert not edge.status.has_size
            assert 0 < edge.bound < np.inf, benchmark


def test_what_is_no_number_is_no_score_and_no_loss(frame):
    with pytest.raises(InputError, match="task=nan is not a score"):
        frame.invert(float("nan"), "task")
    for loss in (np.nan, np.inf):
        with pytest.raises(InputError, match="is not a measured loss"):
            frame.invert_loss(loss, "task")


def test_a_score_beyond_the_fitted_ones_is_noted(frame):
    low, high = frame.curve_fit("task").reach
    assert not any("fitted on" in note for note in frame.invert(60.0, "task").notes)
    found = frame.invert(98.0, "task")
    assert found.status is Status.BEYOND
    assert found.status.has_size
    assert f"{98 - high:.3g} points over those that the curve was fitted on, {low:.3g} to {high:.3g}" in found.notes[0]


def test_chance_is_the_benchmark_s_own_and_not_the_curve_s_floor():
    article = load_frame("densing-law-2025")
    for score in (21.0, 25.0, 25.5):
        assert score > article.curve("mmlu").d
        found = article.invert(score, "mmlu")
        assert found.status is Status.AT_CHANCE
        assert found.bound == pytest.approx(article.invert(25.74, "mmlu").effective_size, rel=0.02)
        assert "no better than chance, 25" in found.notes[0]


def test_a_size_far_beyond_the_ladder_says_how_far():
    article = load_frame("densing-law-2025")
    for size, warned in ((5, False), (20, True)):
        found = article.invert(float(article.score_at(size * article.largest_rung("mmlu"), "mmlu")), "mmlu")
        assert any("times the ladder's largest rung" in note for note in found.notes) == warned
    assert any("is 20 times" in note for note in found.notes)


def test_quantities_have_names():
    named = {kappa: FrameSpec(name="f", tokens_per_param=kappa).symbol for kappa in (60, 1000, 12.5)}
    assert named == {60: "ρ₆₀", 1000: "ρ₁₀₀₀", 12.5: "ρ(κ=12.5)"}
    assert FrameSpec(name="f", tokens=5e12).meaning.startswith("ρ: how many times its own size")


def test_averages_are_formed_by_the_rule():
    spec = SPEC.model_copy(update={"average": {"one": 0.75, "two": 0.25}})
    losses, scores = points(benchmarks=("one", "two"))
    frame = build_frame(spec, losses, scores)
    assert frame.benchmarks == ("one", "two", AVERAGE)
    wide = frame.losses.pivot_table(index=["params", "tokens"], columns="benchmark", values="conditional_loss")
    assert wide[AVERAGE].to_numpy() == pytest.approx((0.75 * wide["one"] + 0.25 * wide["two"]).to_numpy())
    assert frame.average_score({"one": 40, "two": 80}) == pytest.approx(50)
    assert frame.average_score({"one": 40}) is None
    assert frame.average_score({AVERAGE: 33}) == 33


def test_draws_of_all_benchmarks_rest_on_the_same_replicates():
    spec = SPEC.model_copy(update={"average": {"one": 0.5, "two": 0.5}})
    losses, scores = points(benchmarks=("one", "one"))
    losses["benchmark"] = np.repeat(["one", "two"], 30)
    scores["benchmark"] = np.repeat(["one", "two"], 12)
    second = losses["benchmark"] == "two"
    losses.loc[second, "conditional_loss"] = 1.1 * losses.loc[~second, "conditional_loss"].to_numpy()
    frame = build_frame(spec, losses, scores)
    one, two = frame.draws("one").full, frame.draws("two").full
    assert two[:, 1] == pytest.approx(one[:, 1], rel=1e-4)
    assert two[:, 0] == pytest.approx(1.1 * one[:, 0], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda losses, scores: (losses.drop(columns="tokens"), scores), "no column tokens"),
        (lambda losses, scores: (losses, scores.assign(benchmark="other")), "no benchmark has both"),
    ],
)
def test_points_that_make_no_frame_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        build_frame(SPEC, *change(*points()))


def test_an_average_of_what_is_not_there_is_refused():
    spec = SPEC.model_copy(update={"average": {"task": 0.5, "gone": 0.5}})
    with pytest.raises(InputError, match="its average needs gone"):
        build_frame(spec, *points())


def test_unknown_names_come_with_known_ones(frame):
    with pytest.raises(InputError, match="unknown frame 'densing-law-2024'; did you mean 'densing-law-2025'"):
        load_frame("densing-law-2024")
    with pytest.raises(InputError, match="unknown benchmark of frame made 'tusk'; did you mean 'task'"):
        frame.invert(50.0, "tusk")


def test_a_frame_is_the_same_after_a_round_trip(frame, tmp_path):
    path = write_frame(frame, tmp_path)
    back = read_frame(path)
    assert back.law("task").constants == pytest.approx(frame.law("task").constants, rel=1e-9)
    np.testing.assert_array_equal(back.draws("task").full, frame.draws("task").full)
    first = path.read_bytes(), path.with_suffix(".npz").read_bytes()
    write_frame(back, tmp_path)
    assert (path.read_bytes(), path.with_suffix(".npz").read_bytes()) == first


@pytest.mark.parametrize("content", [None, b"cut short", "others", "shapes"])
def test_draws_that_are_not_those_of_the_frame_are_made_again(frame, tmp_path, monkeypatch, capsys, content):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_frame(frame, tmp_path)
    kept = path.with_suffix(".npz")
    if content is None:
        kept.unlink()
    elif isinstance(content, bytes):
        kept.write_bytes(content)
    else:
        arrays = {name: array + 1 if content == "others" else array[:3, :2] for name, array in np.load(kept).items()}
        write_arrays(kept, arrays)
        if content == "shapes":  # with a checksum that is right
            payload = read_json(path, "frame").payload | {"draws_sha256": sha256_of(kept)}
            write_json(path, "frame", payload)
    np.testing.assert_array_equal(read_frame(path).draws("task").full, frame.draws("task").full)
    assert "they are made again" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "others", "of another frame"])
def test_damaged_draws_in_the_cache_are_made_again(frame, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = keep_draws(frame, "task")
    (path,) = (tmp_path / "densing" / "draws").iterdir()
    whole = path.read_bytes()
    if damage == "others":
        write_arrays(path, {name: array + (name == "full") for name, array in np.load(path).items()})
    elif damage == "of another frame":
        other = replace(frame, spec=frame.spec.model_copy(update={"tokens": 2e9}))
        keep_draws(other, "task")
        (second,) = set((tmp_path / "densing" / "draws").iterdir()) - {path}
        second.replace(path)
    else:
        flipped = whole[:700] + bytes([whole[700] ^ 1]) + whole[701:]
        path.write_bytes({"empty": b"", "cut": whole[:1000], "flipped": flipped}[damage])
    again = keep_draws(frame, "task")
    for part in ("full", "conditional", "curve"):
        np.testing.assert_array_equal(getattr(again, part), getattr(expected, part))
    assert path.read_bytes() == whole


def test_the_variants_differ_as_they_say():
    article, preprint, best, bare = (
        load_frame(f"densing-law-2025{suffix}") for suffix in ("", "-preprint", "-best", "-irreducible")
    )
    assert article.spec.tokens == 5e12
    assert preprint.spec.tokens == 1e12
    assert article.law().data_floor(5e12) == pytest.approx(0.030, abs=5e-4)
    assert best.law().data_floor(5e12) == pytest.approx(0.119, abs=5e-4)
    assert pytest.approx(0.09, abs=5e-3) == bare.law().E
    assert bare.law().objective == pytest.approx(4.7e-4, abs=1e-5)
    assert bare.law().objective < best.law().objective < article.law().objective


@pytest.mark.parametrize("wrong", ["x", -1.0, 10**30, True])
@pytest.mark.parametrize("column", ["tokens", "conditional_loss"])
def test_points_that_are_no_numbers_are_refused(frame, column, wrong):
    losses = frame.losses.astype({column: object})
    losses.loc[losses.index[3], column] = wrong
    with pytest.raises(InputError, match=f"{column} = .* in row .* must be a positive number"):
        build_frame(frame.spec, losses, frame.scores)
