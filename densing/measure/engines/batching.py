"""Which requests are computed together, so that no shared token is computed twice.

Sorted by their tokens, requests that start alike stand side by side. Three layers of sharing follow:

- requests with one context (the options of a question) are one *tree*: the context once, the options as
  branches that see the context and themselves, in one row of a batch under a mask;
- contexts that start alike (the questions behind one few-shot prompt) are one *group*: the shared start is
  computed once, alone, and its keys and values are reused by every row of the group;
- rows of like length are one *batch*, filled up to a budget of tokens.

The plan depends on the requests alone, so a run that was killed and started again makes the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from densing.measure.boundary import Encoded, common_prefix

SHORTEST_SHARED_START = 32
"""Tokens; a shorter start is cheaper to compute again than to keep."""
SHORTEST_SHARED_CONTEXT = 8
"""Tokens; answers to a shorter context are computed apart, without a mask."""
LEAST_FILLED = 0.9
"""A row much shorter than its batch starts another, once the batch is large enough: padding is computed too."""
PREFIX_SHARE_OF_BUDGET = 8
"""Keys and values of repeated starts may take this many times the tokens of a batch."""


@dataclass(frozen=True)
class Limits:
    """How large a batch may grow.

    Attributes
    ----------
    batch_tokens : int
        Tokens that are computed at once, padding included.
    batch_answers : int
        Answer tokens in a batch: each needs a row of logits as wide as the vocabulary.
    row_tokens : int
        Rows behind a shared start are filled up to this length; elsewhere a context may have branches of so
        many tokens together.
    most_kept_tokens : float
        As many tokens as there is memory for keys and values.
    """

    batch_tokens: int
    batch_answers: int
    row_tokens: int
    most_kept_tokens: float = math.inf

    @property
    def kept_tokens(self) -> float:
        """Tokens whose keys and values are kept at once: those of shared starts, once for each row."""
        return min(PREFIX_SHARE_OF_BUDGET * self.batch_tokens, self.most_kept_tokens)

    def halved(self) -> Limits:
        """Half as much at once."""
        return replace(
            self,
            batch_tokens=self.batch_tokens // 2,
            batch_answers=max(1, self.batch_answers // 2),
            most_kept_tokens=self.most_kept_tokens / 2,
        )


@dataclass
class Row:
    """A tree of token sequences, flattened; each sequence is a chain of segments.

    Attributes
    ----------
    tokens : list of int
    depths : list of int
        Position of each token in its own sequence, counted from the row's start.
    segments : list of (start, stop, ancestors)
        Runs of tokens that follow one another, with the (start, stop) runs that come before them.
    requests : list of int
    answer_places : list of list of int
        For each request, the places in the row whose next-token distribution is scored.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    segments: list[tuple[int, int, tuple[tuple[int, int], ...]]] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    answer_places: list[list[int]] = field(default_factory=list)
    _last: tuple[int, ...] = ()
    _path: tuple[tuple[int, int], ...] = ()

    def add(self, request: int, sequence: tuple[int, ...], answer_length: int) -> None:
        """Append a sequence; it shares what it has in common with the one added before."""
        shared = common_prefix(self._last, sequence)
        ancestors = _first_of(self._path, shared)
        start, stop = len(self.tokens), len(self.tokens) + len(sequence) - shared
        self._path = ancestors
        if stop > start:
            self.tokens += sequence[shared:]
            self.depths += range(shared, len(sequence))
            self.segments.append((start, stop, ancestors))
            self._path = (*ancestors, (start, stop))
        self._last = sequence
        places = [place for run in self._path for place in range(*run)]
        self.requests.append(request)
        self.answer_places.append(places[len(sequence) - answer_length :])

    @property
    def is_chain(self) -> bool:
        """Whether it is one plain sequence, that needs no mask of its own."""
        return len(self.segments) <= 1

    @property
    def shared(self) -> int:
        """Its first tokens, which all of its sequences begin with."""
        return min([self.segments[0][1], *(ancestors[0][1] if ancestors else 0 for *_, ancestors in self.segments[1:])])

    @property
    def answers(self) -> int:
        """Answer tokens in the row."""
        return sum(map(len, self.answer_places))


@dataclass
class Batch:
    """Rows that are computed together, behind one shared start."""

    prefix: tuple[int, ...]
    rows: list[Row]

    @property
    def requests(self) -> list[int]:
        """Indices of the requests it answers."""
        return [request for row in self.rows for request in row.requests]

    @property
    def is_plain(self) -> bool:
        """Whether causal attention alone is right for it."""
        return not self.prefix and all(row.is_chain for row in self.rows)


def plan_batches(requests: Sequence[Encoded], limits: Limits, *, share: bool = True) -> list[Batch]:
    """Batches that answer every request once.

    Parameters
    ----------
    requests : sequence of Encoded
    limits : Limits
    share : bool
        False gives every request a row of its own and no shared start, for models that know no such masks.
    """
    # The last answer token is predicted, never read.
    sequences = [request.context + request.answer[:-1] for request in requests]
    order = sorted(
        range(len(requests)), key=lambda index: (sequences[index], len(requests[index].context), requests[index].answer)
    )
    if not share:
        return _fill([_row(requests, sequences, [index], 0) for index in order], (), limits)
    batches: list[Batch] = []
    alone: list[Row] = []
    with_context: dict[tuple[int, ...], list[int]] = {}
    for index in order:
        with_context.setdefault(requests[index].context, []).append(index)
    contexts = sorted(with_context)
    for length, members in groups_with_shared_start(contexts):
        indices = [index for member in members for index in with_context[contexts[member]]]
        prefix = contexts[members[0]][:length]
        rows = list(_pack(requests, sequences, indices, len(prefix), limits))
        if prefix and len(rows) > 1:
            batches += _fill(rows, prefix, limits)
        elif prefix:  # one row holds the whole group, its start included
            alone.append(_row(requests, sequences, indices, 0))
        else:
            alone += rows
    return batches + _fill(alone, (), limits)


@dataclass
class _Interval:
    """Neighbouring contexts that share a start, and the best way found to group them."""

    shared: int
    members: list[int]
    groups: list[tuple[int, list[int]]]
    saved: int = 0

    def take_in(self, other: _Interval) -> None:
        """Add neighbours to the right."""
        self.members += other.members
        self.groups += other.groups
        self.saved += other.saved

    def settle(self) -> None:
        """Make one group of all members where that saves more tokens than the groups inside."""
        saved = self.shared * (len(self.members) - 1)
        if self.shared >= SHORTEST_SHARED_START and saved >= self.saved:
            self.groups, self.saved = [(self.shared, list(self.members))], saved


def groups_with_shared_start(contexts: Sequence[tuple[int, ...]]) -> list[tuple[int, list[int]]]:
    """Cut sorted contexts into groups, each with the length of the start that it shares (or 0).

    Walks the tree of common starts once, bottom up, and keeps at each node what saves the most tokens. Every
    context keeps at least its last token for itself, since that token's logits are scored.
    """
    enclosing: list[_Interval] = []  # each shares more than the one before it
    for place, context in enumerate(contexts):
        interval = _Interval(0, [place], [(0, [place])])
        following = contexts[place + 1] if place + 1 < len(contexts) else ()
        shared = min(common_prefix(context, following), len(context) - 1, max(len(following) - 1, 0))
        while enclosing and enclosing[-1].shared > shared:
            outer = enclosing.pop()
            outer.take_in(interval)
            outer.settle()
            interval = outer
        if enclosing and enclosing[-1].shared == shared:
            enclosing[-1].take_in(interval)
        else:
            enclosing.append(_Interval(shared, interval.members, interval.groups, interval.saved))
    return [group for interval in enclosing for group in interval.groups]


def _pack(
    requests: Sequence[Encoded], sequences: Sequence[tuple[int, ...]], indices: list[int], start: int, limits: Limits
) -> Iterator[Row]:
    """Rows of a group: one per context, or, behind a shared start, as many contexts as fit."""
    row: list[int] = []
    room = room_for_branches = 0
    for index in indices:
        context = requests[index].context
        shared = common_prefix(sequences[row[-1]], sequences[index]) if row else 0
        own = len(sequences[index]) - shared
        branch = row and requests[row[-1]].context == context and len(context) >= SHORTEST_SHARED_CONTEXT
        if row and own <= (room_for_branches if branch else room):
            row.append(index)
            room -= own
            room_for_branches -= own
            continue
        if row:
            yield _row(requests, sequences, row, start)
        row = [index]
        # Behind a shared start a row has room for more contexts; one of any length may carry its branches.
        room = limits.row_tokens - (len(sequences[index]) - start) if start else 0
        room_for_branches = limits.row_tokens
    if row:
        yield _row(requests, sequences, row, start)


def _row(requests: Sequence[Encoded], sequences: Sequence[tuple[int, ...]], indices: Sequence[int], start: int) -> Row:
    row = Row()
    for index in indices:
        row.add(index, sequences[index][start:], len(requests[index].answer))
    return row


def _fill(rows: list[Row], prefix: tuple[int, ...], limits: Limits) -> list[Batch]:
    """Rows of one kind and like length together, the longest first, so that memory runs out early or never."""
    rows = sorted(rows, key=lambda row: (row.is_chain, -len(row.tokens)))
    batches: list[Batch] = []
    answers = 0
    for row in rows:
        batch = batches[-1] if batches else None
        longest = len(batch.rows[0].tokens) if batch else 0
        count = len(batch.rows) + 1 if batch else 1
        if (
            batch is None
            or batch.rows[0].is_chain != row.is_chain
            or count * longest > limits.batch_tokens
            or (len(row.tokens) < LEAST_FILLED * longest and 4 * (count - 1) * longest > limits.batch_tokens)
            or count * (longest + len(prefix)) > limits.kept_tokens
            or answers + row.answers > limits.batch_answers
        ):
            batches.append(Batch(prefix, [row]))
            answers = row.answers
        else:
            batch.rows.append(row)
            answers += row.answers
    return batches


def _first_of(path: tuple[tuple[int, int], ...], count: int) -> tuple[tuple[int, int], ...]:
    """The runs of a path's first `count` tokens."""
    runs = []
    for start, stop in path:
        if count <= 0:
            break
        runs.append((start, min(stop, start + count)))
        count -= stop - start
    return tuple(runs)
