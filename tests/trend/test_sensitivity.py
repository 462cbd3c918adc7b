"""A headline's sensitivity leaves out one thing at a time and says what stays."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from densing.core.errors import InputError
from densing.density.sets import compute_density_set, compute_registry_set
from densing.frame.store import load_frame
from densing.models.registry import load_registry
from densing.trend.exponential import fit_density_trend
from densing.trend.sensitivity import headline_sensitivity, publisher

SINCE = dt.date(2023, 2, 24)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    registry = load_registry(tmp_path_factory.mktemp("empty"))
    return registry, headline_sensitivity(load_frame("densing-law-2025"), registry, since=SINCE)


def test_the_first_row_is_the_headline(rows):
    registry, found = rows
    chosen = compute_registry_set(load_frame("densing-law-2025"), registry).between(SINCE, None)
    trend = fit_density_trend(chosen, replicates=100)
    assert found[0].doubling_days == pytest.approx(trend.doubling_time_days, rel=1e-9)
    assert found[0].models == len(trend.models)


def test_what_stays_is_what_was_not_left_out(rows):
    registry, found = rows
    by_name = {(row.kind, row.name): row for row in found}
    complete = registry.complete(load_frame("densing-law-2025").spec.average)
    dated = [n for n in complete if (day := registry.models[n].release_date) and day >= SINCE]
    qwen = sum(registry.models[name].family == "Qwen2.5" for name in dated)
    assert qwen > 0
    assert by_name["family", "Qwen2.5"].models == found[0].models - qwen
    distilled = sum("distilled" in registry.models[name].flags for name in dated)
    assert by_name["training", "distilled"].models == found[0].models - distilled
    sources = [row for row in found if row.kind == "source"]
    assert len(sources) > 10
    assert all(row.models <= found[0].models for row in sources)
    assert np.isfinite([row.doubling_days for row in found]).mean() > 0.9


def test_a_publisher_is_a_repository_or_a_preprint():
    assert publisher("QwenLM/Qwen3 Qwen3_Technical_Report.pdf @1, Table 4") == "QwenLM/Qwen3"
    assert publisher("arXiv 2404.06395 Table 3") == "arXiv 2404.06395"


def test_scores_of_one_harness_are_read_on_their_benchmark():
    chosen = compute_density_set("densing-law-2025", "registry", benchmark="mmlu", scores="harness:observational")
    assert len(chosen.names) > 30
    with pytest.raises(InputError, match="no model of the registry has scores on all of mmlu, bbh"):
        compute_density_set("densing-law-2025", "registry", scores="harness:observational")
    with pytest.raises(InputError, match="add --models registry"):
        compute_density_set("densing-law-2025", "published", benchmark="mmlu")
