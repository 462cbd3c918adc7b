"""Requests as lm-eval's evaluator makes them, cut from source code."""

from __future__ import annotations

import random
from typing import Any

from lm_eval.api.instance import Instance

Pair = tuple[str, str]


def instances(pairs: list[Pair], kind: str = "loglikelihood") -> list[Any]:
    return [Instance(kind, {}, pair, 0, metadata=("task", place, 1)) for place, pair in enumerate(pairs)]


def multiple_choice(texts: list[str], questions: int, shots: int, *, drawn: bool = False) -> list[Pair]:
    """Questions with four options, behind worked examples: the same for all, or drawn for each."""
    draw = random.Random(shots)
    pool = [f"{cut(texts, draw, 60)}: {cut(texts, draw, 12)}\n" for _ in range(max(shots, 1) * 3)]
    pairs = []
    for _ in range(questions):
        examples = draw.sample(pool, shots) if drawn else pool[:shots]
        question = "".join(examples) + cut(texts, draw, 60) + ":"
        pairs += [(question, " " + cut(texts, draw, 12)) for _ in range(4)]
    return pairs


def long_answers(texts: list[str], count: int) -> list[Pair]:
    """Answers of up to 300 characters."""
    draw = random.Random(1)
    return [(cut(texts, draw, 80), "\n" + cut(texts, draw, draw.randrange(20, 300))) for _ in range(count)]


def nested(texts: list[str]) -> list[Pair]:
    """What sharing could get wrong: contexts and answers that begin one another, repeated and empty ones."""
    draw = random.Random(2)
    text = cut(texts, draw, 160)
    ends = [(text[:place], text[place : place + length]) for place in (1, 40, 80, 120) for length in (1, 9, 17, 40)]
    return [*ends, *ends[:3], ("", text), ("", text[:50]), (text, " "), (text, " x")]


def cut(texts: list[str], draw: random.Random, length: int) -> str:
    """A piece of one of the texts."""
    while True:
        text = draw.choice(texts)
        start = draw.randrange(max(1, len(text) - length))
        if piece := text[start : start + length].strip():
            return piece
