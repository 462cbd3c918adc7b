"""The joint size of published models: it holds what the ruler promises, over the shipped registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from densing import Size, Subject, compute_densities, load_frame, load_registry
from densing.density.densities import compute_every_density
from densing.density.panel import frame_panel, make_panels, panel_subjects, read_together
from densing.density.sets import compute_density_set
from densing.frame.frame import AVERAGE, JOINT, ReferenceFrame
from densing.frame.names import RECOMMENDED_FRAME
from densing.frame.statuses import Status

WITHIN = 1e-9


@pytest.fixture(scope="module")
def frame():
    return load_frame(RECOMMENDED_FRAME)


@pytest.fixture(scope="module")
def subjects(frame):
    registry = load_registry()
    return [
        registry.subject(name) for name in registry.complete([]) if set(registry.preferred(name)) & set(frame.parts)
    ]


@pytest.fixture(scope="module")
def full(frame, subjects):
    return read_together(frame, subjects)["full"]


def test_the_widths_of_one_model_are_those_that_were_promised(frame):
    found = compute_every_density(frame, load_registry().subject("Llama-3-8B"))[-1]
    assert found.benchmark == JOINT
    assert found.interval.high / found.interval.low < 4
    assert found.interval_like_these.high / found.interval_like_these.low < 6
    assert found.interval.low < found.value < found.interval.high


def test_every_joint_density_lies_among_its_benchmarks_own(full):
    sized = np.isfinite(full.centre[0])
    own, centre = full.own[0][sized], full.centre[0][sized]
    assert (np.nanmin(own, 1) - WITHIN <= centre).all()
    assert (centre <= np.nanmax(own, 1) + WITHIN).all()


def test_dropping_a_score_moves_a_model_within_its_interval(frame, subjects, full):
    normal = np.random.default_rng(0).standard_normal(full.centre[1:].shape)
    low, high = np.quantile(full.centre[1:] + full.width_these * normal, [0.025, 0.975], axis=0, method="inverted_cdf")
    inside = []
    for benchmark in frame.parts:
        rows = [i for i, subject in enumerate(subjects) if benchmark in subject.scores and len(subject.scores) > 1]
        fewer = [
            replace(subjects[i], scores={k: v for k, v in subjects[i].scores.items() if k != benchmark}) for i in rows
        ]
        moved = read_together(frame, fewer)["full"].centre[0]
        inside += list((low[rows] <= moved) & (moved <= high[rows]))
    assert np.mean(inside) >= 0.95


def test_a_model_does_not_depend_on_its_neighbours(frame, subjects):
    several = compute_densities(frame, subjects[:5])
    for alone, among in zip([compute_densities(frame, [one])[0] for one in subjects[:5]], several, strict=True):
        assert alone.value == pytest.approx(among.value, rel=1e-9)
        assert alone.interval.high == pytest.approx(among.interval.high, rel=1e-9)


def test_a_missing_score_costs_width_and_no_answer(frame):
    scores = {"mmlu": 58.0, "bbh": 50.0, "math": 30.0, "humaneval": 45.0, "mbpp": 55.0}
    widths = []
    for given in (scores, {"mmlu": 58.0}):
        found = compute_densities(frame, [Subject("m", Size(non_embedding=3e9), given)])[0]
        assert found.status is Status.IN_RANGE
        widths.append(found.interval.high / found.interval.low)
    assert widths[1] > widths[0]


def test_a_benchmark_that_disagrees_is_named(frame):
    scores = {"mmlu": 45.0, "bbh": 38.0, "math": 36.0, "humaneval": 15.0, "mbpp": 22.0}
    notes = compute_densities(frame, [Subject("m", Size(non_embedding=7e9), scores)])[0].notes
    assert any(note.startswith("math says ×") and "standard deviations" in note for note in notes)


def test_scores_at_chance_are_a_bound(frame):
    found = compute_densities(frame, [Subject("m", Size(non_embedding=7e9), {"mmlu": 24.0, "bbh": 20.0})])[0]
    assert found.status is Status.AT_CHANCE
    assert found.text.startswith("< ")
    assert (found.interval.low, np.isnan(found.value)) == (0, True)


def test_the_headline_is_the_frame_s(frame):
    article = load_frame("densing-law-2025")
    assert (article.headline, frame.headline) == (AVERAGE, JOINT)
    assert compute_density_set(frame, "registry").details[0].benchmark == JOINT
    assert len(compute_density_set(frame, "registry").names) > len(compute_density_set(article, "registry").names)
    assert compute_density_set(frame, "published").details[0].benchmark == AVERAGE


def test_what_comes_with_the_package_is_what_the_code_makes(frame):
    """`python tools/shipped_draws.py` makes it anew after a change of the fits or of the registry."""
    for benchmark in frame.benchmarks:
        for part, values in vars(frame.make_draws(benchmark)).items():
            np.testing.assert_allclose(getattr(frame.draws(benchmark), part), values, rtol=1e-5, atol=1e-9)
    for kind, made in make_panels(frame, panel_subjects()).items():
        kept = frame_panel(frame, kind)
        np.testing.assert_allclose(kept.offsets, made.offsets, atol=1e-3)
        np.testing.assert_allclose(kept.scatter, made.scatter, rtol=1e-3)


def test_the_recommended_frame_computes_no_draws(monkeypatch):
    def refuse(*_):
        raise AssertionError("draws were made anew: run tools/shipped_draws.py")

    monkeypatch.setattr(ReferenceFrame, "make_draws", refuse)
    monkeypatch.setattr("densing.density.panel.make_panels", refuse)
    monkeypatch.setattr("densing.frame.store.cache_folder", lambda: Path("/nowhere"))
    fresh = load_frame(RECOMMENDED_FRAME)
    assert frame_panel(fresh, "conditional") is not None
    assert all(len(fresh.draws(benchmark).full) == 1000 for benchmark in fresh.benchmarks)


def test_losses_of_one_size_are_read_jointly_as_that_size(frame):
    """Offsets and scatter are those of scores: they say nothing about losses that were measured."""
    size = 3e9
    losses = {b: frame.reading.losses(frame.law(b).constants, size).item() for b in frame.parts}
    mine = Subject("m", Size(non_embedding=size), losses=losses)
    by_score = load_registry().subject("Llama-3-8B")
    found, other = compute_densities(frame, [mine, by_score], JOINT)
    assert found.value == pytest.approx(1, rel=1e-6)
    assert other.value == pytest.approx(compute_densities(frame, [by_score], JOINT)[0].value)


def test_a_frame_on_other_items_has_no_panel(frame):
    """The registry's scores on all of a benchmark say nothing about a ladder that was asked a part of it."""
    fewer = replace(frame, spec=frame.spec.model_copy(update={"items": {**frame.spec.items, "mmlu": 100}}))
    assert frame_panel(frame, "full") is not None
    assert frame_panel(fewer, "full") is None


def test_a_score_of_nothing_has_no_error(frame):
    """Where the curve is flat, as below its floor, its slope is infinite."""
    scores = {"mmlu": 45.0, "bbh": 0.0, "math": 0.0}
    found = compute_densities(frame, [Subject("m", Size(non_embedding=7e9), scores)])[0]
    assert found.interval.low < found.value < found.interval.high
