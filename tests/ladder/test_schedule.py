"""pytest tests/ladder/test_schedule.py"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from densing.cli.measure import measure
from densing.core.config import read_yaml, validate
from densing.core.errors import InputError
from densing.ladder.config import LadderConfig
from densing.ladder.schedule import make_schedule
from densing.ladder.shapes import params_non_embedding


@settings(deadline=None)
@given(st.integers(10**6, 10**9), st.integers(256, 2**15))
def test_six_budgets_cost_less_than_half_of_six_runs(params: int, tokens_per_step: int) -> None:
    assume(params >= 40 * tokens_per_step)
    schedule = make_schedule("x", params, [k * params for k in (10, 15, 20, 30, 40, 60)], tokens_per_step)
    assert schedule.trained_steps <= 0.5 * schedule.separate_steps
    assert [branch.steps for branch in schedule.branches] == [
        round(k * params / tokens_per_step) for k in (10, 15, 20, 30, 40, 60)
    ]


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = make_schedule("x", 1000, [10_000, 20_000], 100)
    branch = schedule.branches[1]
    assert schedule.warmup == 10
    assert [schedule.trunk_factor(step) for step in (0, 4, 9, 10, 150)] == [0.1, 0.5, 1, 1, 1]
    decay = [branch.factor(step) for step in range(branch.start, branch.steps)]
    assert len(decay) == 20
    assert decay == sorted(decay, reverse=True)
    assert 1 > decay[0] > decay[-1] > 0


def test_a_longer_budget_does_not_change_the_beginning() -> None:
    short, long = (make_schedule("x", 1000, budgets, 100) for budgets in ([10_000], [10_000, 90_000]))
    assert short.warmup == long.warmup
    assert short.branches[0] == long.branches[0]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [([1_050], "too few for 10 of warmup"), ([10_000, 10_020], "two budgets round to the same number of steps")],
)
def test_impossible_budgets_are_refused(budgets: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_schedule("x", 1000, budgets, 100)


def test_the_checkpoints_of_the_quickstart_that_help_and_sweep_name_are_those_it_makes() -> None:
    """A checkpoint's folder is named for its tokens, whole steps that are nearest to the budget."""
    root = Path(__file__).parents[2]
    config = validate(read_yaml(root / "configs" / "ladders" / "quickstart.yaml"), LadderConfig, "quickstart")
    made = set()
    for shape in config.sizes:
        params, tokens_per_step = params_non_embedding(shape), shape.batch * config.context
        schedule = make_schedule(shape.name, params, [ratio * params for ratio in config.budgets], tokens_per_step)
        made |= {f"quickstart/{shape.name}/{branch.steps * tokens_per_step}" for branch in schedule.branches}
    sweep = (root / "configs" / "sweeps" / "quickstart.yaml").read_text()
    named = re.findall(r"quickstart/q\d/\w+", sweep + (measure.__doc__ or ""))
    assert len(named) == 4
    assert set(named) <= made
