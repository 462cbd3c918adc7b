"""pytest tests/measure/test_batching.py

Every request is answered once, from its own tokens, whatever is computed together.
"""

from __future__ import annotations

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from densing.measure.boundary import Encoded, common_prefix
from densing.measure.engines.batching import Limits, Row, groups_with_shared_start, plan_batches

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=7).map(tuple)
STARTS = st.sampled_from([(), (9,) * 40, (9,) * 40 + (8,) * 40])
REQUESTS = st.lists(
    st.builds(lambda start, context, answer: Encoded(start + context, answer), STARTS, TOKENS, TOKENS), max_size=30
)
LIMITS = st.builds(Limits, st.sampled_from([16, 100, 1000]), st.sampled_from([8, 100]), st.sampled_from([8, 40, 200]))


def seen_by(row: Row, place: int) -> list[int]:
    """Tokens of the row that a place sees: its own segment up to itself, behind the segment's ancestors."""
    (segment,) = [segment for segment in row.segments if segment[0] <= place < segment[1]]
    start, _, ancestors = segment
    return [row.tokens[p] for run in (*ancestors, (start, place + 1)) for p in range(*run)]


@given(requests=REQUESTS, limits=LIMITS, share=st.booleans())
@settings(max_examples=300, deadline=None)
def test_each_answer_token_is_predicted_from_exactly_what_precedes_it(requests, limits, share):
    batches = plan_batches(requests, limits, share=share)
    assert sorted(index for batch in batches for index in batch.requests) == list(range(len(requests)))
    for batch in batches:
        for row in batch.rows:
            for index, places in zip(row.requests, row.answer_places, strict=True):
                context, answer = requests[index].context, requests[index].answer
                assert len(places) == len(answer)
                for count, place in enumerate(places):
                    before = (*batch.prefix, *seen_by(row, place))
                    assert before == context + answer[:count]
                    assert len(batch.prefix) + row.depths[place] == len(before) - 1


@given(requests=REQUESTS, limits=LIMITS)
@settings(max_examples=200, deadline=None)
def test_sharing_never_computes_more_and_batches_keep_to_their_budget(requests, limits):
    def computed(share: bool) -> int:
        batches = plan_batches(requests, limits, share=share)
        starts = {batch.prefix for batch in batches}
        return sum(map(len, starts)) + sum(len(row.tokens) for batch in batches for row in batch.rows)

    assert computed(share=True) <= computed(share=False)
    for batch in plan_batches(requests, limits):
        if len(batch.rows) > 1:  # one row alone may be longer than a batch
            assert len(batch.rows) * max(len(row.tokens) for row in batch.rows) <= limits.batch_tokens
            assert sum(row.answers for row in batch.rows) <= limits.batch_answers


@given(requests=REQUESTS, limits=LIMITS, seed=st.randoms(use_true_random=False))
@example(  # answers that differ in the token that is never read
    requests=[Encoded((0,), answer) for answer in ((0,), (0, 0), (0, 0, 0), (2, 0), (1,))],
    limits=Limits(16, 8, 8),
    seed=random.Random(0),
)
@settings(max_examples=100, deadline=None)
def test_the_plan_is_that_of_the_requests_in_any_order(requests, limits, seed):
    """So a run that goes on after a kill meets the batches of the run before."""
    distinct = list(dict.fromkeys(requests))
    shuffled = seed.sample(distinct, len(distinct))

    def plan(asked: list[Encoded]) -> list[list[Encoded]]:
        return [[asked[index] for index in batch.requests] for batch in plan_batches(asked, limits)]

    assert plan(distinct) == plan(shuffled)


@given(st.lists(TOKENS, max_size=20).map(sorted))
def test_groups_are_all_the_contexts_in_order_with_a_start_they_have(contexts):
    long = [(5,) * 40 + context for context in contexts]
    groups = groups_with_shared_start(long)
    assert [member for _, members in groups for member in members] == list(range(len(long)))
    for length, members in groups:
        first = long[members[0]]
        assert all(common_prefix(first, long[member]) >= length for member in members)
        assert all(length < len(long[member]) for member in members)
