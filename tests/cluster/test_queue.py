"""pytest tests/cluster/test_queue.py

Which worker gets which unit, without any worker.
"""

from __future__ import annotations

from dataclasses import replace

from densing.cluster.queue import DEATHS, UnitQueue
from densing.cluster.records import Failure
from densing.cluster.sweep import Consent, Load, SweepCheckpoint, SweepSettings, SweepSuite, Unit

FAILURE = Failure("a worker", "a reason")


def load(model: str, suites: int) -> list[Unit]:
    one = Load(SweepCheckpoint(model=model), SweepSettings(), "default", Consent())
    return [Unit(one, SweepSuite(suite=f"s{number}"), f"default/{model}/s{number}") for number in range(suites)]


def test_a_load_stays_with_one_worker() -> None:
    """Whatever the order in which three workers ask, each load is seen by one of them."""
    queue = UnitQueue([load(f"m{number}", 3) for number in range(5)])
    seen: dict[str, set[int]] = {}
    count = 0
    while not queue.is_empty:
        for worker in (0, 1, 2, 1):
            if unit := queue.next(worker):
                seen.setdefault(unit.head, set()).add(worker)
                assert queue.done(worker) == unit
                count += 1
    assert count == 15
    assert all(len(workers) == 1 for workers in seen.values())
    assert set().union(*seen.values()) == {0, 1, 2}


def test_a_failed_unit_goes_to_another_worker_and_is_then_set_aside() -> None:
    first, second = load("m", 2)
    queue = UnitQueue([[first, second]])
    assert queue.next(0) == first
    assert queue.failed(0, FAILURE) == []
    assert queue.next(0) == second
    queue.done(0)
    assert queue.next(0) is None  # it has failed on that one
    assert not queue.is_empty
    assert queue.next(1) == first
    assert queue.failed(1, Failure("b", "again")) == [first]
    assert [failure.reason for failure in queue.failures(first)] == ["a reason", "again"]
    assert queue.is_empty


def test_a_model_that_cannot_be_loaded_costs_two_loads_and_not_two_per_suite() -> None:
    units = load("m", 4)
    queue = UnitQueue([units])
    queue.next(0)
    assert queue.failed(0, FAILURE, whole_load=True) == []
    assert queue.next(0) is None
    queue.next(1)
    assert queue.failed(1, FAILURE, whole_load=True) == units
    assert queue.is_empty


def test_units_of_one_load_that_failed_on_one_worker_are_loaded_once_for_all() -> None:
    units = load("m", 3)
    queue = UnitQueue([units, load("other", 1)])
    for _ in units:
        queue.next(0)
        queue.failed(0, FAILURE)
    assert [queue.next(1).load.checkpoint.model, queue.done(1)][0] == "other"  # type: ignore[union-attr]
    taken = []
    for _ in units:
        taken.append(queue.next(1))
        queue.done(1)
    assert taken == units


def cut(model: str, shards: int) -> list[Unit]:
    """A load of two units, the first one cut."""
    first, second = load(model, 2)
    return [replace(first, suite=SweepSuite(suite="s0", shards=shards)), second]


def test_a_cut_unit_is_computed_by_all_workers_and_ended_by_one_that_has_its_model() -> None:
    first, second = cut("m", 3)
    queue = UnitQueue([[first, second], load("other", 1)])
    parts = [queue.next(worker) for worker in (0, 1, 2)]
    assert [part.part for part in parts if part] == [(0, 3), (1, 3), (2, 3)]
    queue.done(0)
    assert queue.next(0) == second  # of the model that it has, before another is loaded
    queue.done(1)
    assert [queue.next(1), queue.done(1)] == load("other", 1) * 2
    assert queue.next(1) is None  # the last part is still being computed
    queue.done(2)
    assert queue.next(2) == first
    assert first.part is None
    queue.done(2)
    queue.done(0)
    assert queue.is_empty


def test_a_part_that_fails_everywhere_is_left_to_its_unit() -> None:
    first = cut("m", 2)[0]
    queue = UnitQueue([[first]])
    assert queue.next(0) == first.parts[0]
    assert queue.failed(0, FAILURE) == []
    assert [queue.next(1), queue.done(1)] == [first.parts[1]] * 2
    assert queue.next(1) == first.parts[0]
    assert queue.failed(1, FAILURE) == []
    assert queue.next(1) == first


def test_a_cut_model_that_cannot_be_loaded_costs_two_loads_as_well() -> None:
    units = cut("m", 4)
    queue = UnitQueue([units])
    queue.next(0)
    assert queue.failed(0, FAILURE, whole_load=True) == []
    assert queue.next(0) is None
    assert queue.next(1) == units[0]
    assert queue.failed(1, FAILURE, whole_load=True) == units
    assert queue.is_empty


def test_a_dead_worker_costs_its_unit_a_try_and_the_others_of_its_load_nothing() -> None:
    units = load("m", 2)
    queue = UnitQueue([units])
    for death in range(1, DEATHS + 1):
        assert queue.next(death) == units[0]
        assert queue.died(death, FAILURE) == ([units[0]] if death == DEATHS else [])
    assert queue.next(9) == units[1]
    assert queue.failures(units[1]) == ()


def test_a_worker_that_leaves_gives_its_units_back_unblamed() -> None:
    units = load("m", 2)
    queue = UnitQueue([units])
    queue.next(0)
    queue.give_back(0)
    assert [queue.next(1), queue.failures(units[0])] == [units[0], ()]
    queue.done(1)
    assert queue.next(1) == units[1]
