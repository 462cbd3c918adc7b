"""Scores of one harness take the place of the vendors', with the registry's own dates and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from densing.core.errors import InputError
from densing.models.harness import choose_scores, harness_scores, load_sets, vendor_differences
from densing.models.registry import load_registry


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return load_registry(tmp_path_factory.mktemp("empty"))


def test_a_sets_fractions_are_percent_and_its_models_the_registrys(shipped):
    scores = {(s.model, s.benchmark): s.score for s in harness_scores(shipped, "observational")}
    assert scores["Llama-2-7B", "mmlu"] == pytest.approx(43.796, abs=1e-3)  # observational_base.csv, line 2
    assert scores["Llama-2-70B", "humaneval"] == pytest.approx(29.878, abs=1e-3)
    assert {model for model, _ in scores} <= set(shipped.models)


def test_dates_and_sizes_stay_the_registrys(shipped):
    chosen = choose_scores(shipped, "harness:leaderboard-v1")
    assert chosen.models is shipped.models
    assert {score.benchmark for score in chosen.scores} == {"mmlu"}
    assert choose_scores(shipped, "vendors") is shipped
    with pytest.raises(InputError, match="harness:observational"):
        choose_scores(shipped, "harness:nobody")


def test_differences_are_those_of_the_models_in_both(shipped):
    table = vendor_differences(shipped).set_index(["set", "benchmark"])
    assert set(table.index.get_level_values("set")) == set(load_sets())
    row = table.loc["observational", "mmlu"]
    assert row["models"] > 30
    assert abs(row["median"]) < 3  # the same benchmark with the same shots
    assert Path(load_sets()["observational"].file).suffix == ".csv"
