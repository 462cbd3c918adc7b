"""pytest tests/campaigns/test_fuzz.py

The short form of `make fuzz`: every failure that a campaign ever found, and some hundred new inputs.
"""

from __future__ import annotations

import pytest

from tests.campaigns.fuzz import KEPT, Call, campaign, outcomes_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_does_not_again(path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (outcome,) = outcomes_of([Call.of_json(path.read_text())], tmp_path)
    assert not outcome.fault


def test_whatever_is_given_the_answer_is_a_result_or_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DENSING_REGISTRY", "")
    monkeypatch.chdir(tmp_path)
    faults, figures = campaign(seed=18, count=200, seconds=15, root=tmp_path)
    assert not [(call.name, outcome.fault) for call, outcome in faults]
    assert set(figures["codes"]) <= {"0", "1", "2"}
    assert figures["inputs"] > 0
