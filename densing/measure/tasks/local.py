"""The embedded benchmarks: items made from held-out source code, for models of ten thousand parameters and up.

- `continuation`: which of four fragments comes next? The false ones come from other places and are of like
  length and indentation, so that neither betrays them.
- `line`: finish the line, exactly. Taken are line ends that what precedes them in the line makes likely, because
  it is so in other documents (closing brackets, `self`, idioms) or was so a few lines before.
- `name`: which of four names comes next? The true one was used a few lines before; the false ones are names of
  like length from other documents.

An item is at most `MOST_BYTES` of UTF-8, so that it fits 256 tokens of any byte-level tokeniser. Instructions
end where a word ends and never in white space, so that no token spans their end.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from densing.core.errors import InputError

MOST_BYTES = 250
CHOICES = 4
ITEMS_PER_DOCUMENT = 24
"""Keeps one long document from filling a benchmark."""
CONTEXT_BYTES = 160

Item = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A held-out text."""

    id: str
    text: str


def make_items(benchmark: str, documents: Sequence[Document], count: int, seed: int) -> list[Item]:
    """Items of one of the benchmarks, the same for the same documents, count and seed.

    Parameters
    ----------
    count : int
        Items wanted; few documents may give down to half of them.

    Returns
    -------
    list of dict
        `id`, `instruction`, `answer`, and for choices `choices` and `gold` (index of the answer).

    Raises
    ------
    InputError
        If the documents do not yield half of `count` items.
    """
    generator = np.random.default_rng([seed, *benchmark.encode()])
    items = _spread(MAKERS[benchmark](documents, generator), count, generator)
    if 2 * len(items) < count:
        raise InputError(
            f"the {len(documents)} held-out documents give {len(items)} items of {benchmark!r}, "
            f"and at least {count // 2} are needed; hold out more of the corpus"
        )
    return items


def _spread(makers: Sequence[Iterator[Item]], count: int, generator: np.random.Generator) -> list[Item]:
    """Items from the documents in turn, in a random order of documents, until there are enough."""
    items: list[Item] = []
    waiting = [makers[place] for place in generator.permutation(len(makers))]
    for _ in range(ITEMS_PER_DOCUMENT):
        for maker in waiting:
            if len(items) < count and (item := next(maker, None)):
                items.append(item)
    return items


def _fits(item: Item) -> bool:
    longest = max(item.get("choices", [item["answer"]]), key=lambda text: len(text.encode()))
    return len((item["instruction"] + longest).encode()) <= MOST_BYTES


def _context(text: str, end: int) -> str:
    """The lines before a place in a text, as many as fit, the first of them whole."""
    window = text[max(0, end - CONTEXT_BYTES) : end]
    return window if end <= CONTEXT_BYTES else window[window.find("\n") + 1 :]


# continuation


def _continuations(documents: Sequence[Document], generator: np.random.Generator) -> list[Iterator[Item]]:
    fragments = [list(_fragments(document.text)) for document in documents]
    pool = sorted((len(text), owner, text) for owner, found in enumerate(fragments) for _, text in found)

    def make(owner: int) -> Iterator[Item]:
        document = documents[owner]
        for place in generator.permutation(len(fragments[owner])):
            start, answer = fragments[owner][place]
            instruction = _context(document.text, start)
            others = {text for _, source, text in _alike(pool, len(answer)) if source != owner and text != answer}
            if instruction.count("\n") < 2 or instruction[-1:].isspace() or len(others) < CHOICES - 1:
                continue
            item = _choice(f"{document.id}:{start}", instruction, answer, sorted(others), generator)
            if _fits(item):
                yield item

    return [make(owner) for owner in range(len(documents))]


def _fragments(text: str) -> Iterator[tuple[int, str]]:
    """One or two whole lines each, with the line break before them, and where they start."""
    for match in re.finditer(r"(?<=\S)(?:\n[ \t]*\S[^\n]{3,}){1,2}(?=\n|\Z)", text):
        if 24 <= len(match[0]) <= 60 and match[0].isascii():
            yield match.start(), match[0]


def _alike(pool: list[tuple[int, int, str]], length: int) -> list[tuple[int, int, str]]:
    """Those whose length differs by a tenth at most."""
    shortest, longest = length - length // 10, length + length // 10
    return pool[bisect_left(pool, (shortest,)) : bisect_right(pool, (longest + 1,))]


def _choice(name: str, instruction: str, answer: str, others: Sequence[str], generator: np.random.Generator) -> Item:
    choices = [others[place] for place in generator.choice(len(others), CHOICES - 1, replace=False)]
    gold = int(generator.integers(CHOICES))
    choices.insert(gold, answer)
    return {"id": name, "instruction": instruction, "answer": answer, "choices": choices, "gold": gold}


# line


@dataclass(frozen=True)
class _Split:
    """A line cut in two."""

    place: int
    head: str
    tail: str


HEAD_LENGTH = 8
LEAST_SHARE = 0.4
ITEMS_PER_TAIL = 30
WORD_ENDS = re.compile(r"(?<=[A-Za-z0-9])(?=[^\w\s])|(?<=[^\w\s])(?=[A-Za-z])|(?<=\S)(?=[ ]\S)")


def _lines(documents: Sequence[Document], generator: np.random.Generator) -> list[Iterator[Item]]:
    splits = [list(_splits(document.text)) for document in documents]
    lines: Counter[tuple[str, str]] = Counter()
    heads: Counter[str] = Counter()
    for found in splits:  # a document counts once
        lines.update({(split.head, split.tail) for split in found})
        heads.update({split.head for split in found})
    used: Counter[str] = Counter()

    def others_that_agree(split: _Split) -> float:
        """Share of the other documents with this head in which the line ends like this."""
        return (lines[split.head, split.tail] - 1) / heads[split.head]

    def make(owner: int) -> Iterator[Item]:
        document = documents[owner]
        shuffled = [splits[owner][place] for place in generator.permutation(len(splits[owner]))]
        for split in sorted(shuffled, key=others_that_agree, reverse=True):
            instruction = _context(document.text, split.place)
            repeated = split.head + split.tail + "\n" in instruction
            item = {"id": f"{document.id}:{split.place}", "instruction": instruction, "answer": split.tail}
            if (
                (repeated or others_that_agree(split) >= LEAST_SHARE)
                and instruction.count("\n") >= 2
                and used[split.tail] < ITEMS_PER_TAIL
                and _fits(item)
            ):
                used[split.tail] += 1
                yield item

    return [make(owner) for owner in range(len(documents))]


def _splits(text: str) -> Iterator[_Split]:
    for line in re.finditer(r"[^\n]+", text):
        if not line[0].isascii() or line[0].lstrip().startswith("#"):
            continue
        for cut in WORD_ENDS.finditer(line[0]):
            place = cut.start()
            head, tail = line[0][:place].lstrip(), line[0][place:]
            if len(head) >= 4 and 4 <= len(tail) <= 12 and not tail[-1].isspace():
                yield _Split(line.start() + place, head[-HEAD_LENGTH:], tail)


# name


def _names(documents: Sequence[Document], generator: np.random.Generator) -> list[Iterator[Item]]:
    uses = [list(_repeated_names(document.text)) for document in documents]
    by_length: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for owner, found in enumerate(uses):
        for _, name in found:
            by_length[len(name)].add((name, owner))

    def make(owner: int) -> Iterator[Item]:
        document = documents[owner]
        for place in generator.permutation(len(uses[owner])):
            start, name = uses[owner][place]
            lead = " " if document.text[start - 1] == " " else ""
            instruction = _context(document.text, start - len(lead))
            others = {other for other, source in by_length[len(name)] if source != owner and other not in instruction}
            if name not in instruction or instruction[-1:].isspace() or len(others) < CHOICES - 1:
                continue
            others = {lead + other for other in others if other != name}
            item = _choice(f"{document.id}:{start}", instruction, lead + name, sorted(others), generator)
            if _fits(item):
                yield item

    return [make(owner) for owner in range(len(documents))]


def _repeated_names(text: str) -> Iterator[tuple[int, str]]:
    """Names that were used within the lines before, and where they are used again."""
    last: dict[str, int] = {}
    for match in re.finditer(r"(?<=[ (\[.])[A-Za-z][A-Za-z0-9]{5,15}\b", text):
        if match.start() - last.get(match[0], -CONTEXT_BYTES) < CONTEXT_BYTES:
            yield match.start(), match[0]
        last[match[0]] = match.start()


MAKERS: dict[str, Callable[[Sequence[Document], np.random.Generator], list[Iterator[Item]]]] = {
    "continuation": _continuations,
    "line": _lines,
    "name": _names,
}
