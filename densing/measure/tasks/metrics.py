"""lm-eval metrics of conditional loss. The task files name these functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NATS_PER_BIT = math.log(2)


def answer_loss(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, tuple[float, int]]:
    """Nats of the gold answer, over its tokens and over its bytes.

    Engines of lm-eval itself say neither how many tokens nor which string they scored: for them there is no
    loss per token, and the bytes are those of the answer as the item has it.
    """
    answer = results[0]
    nats = -answer[0]
    if not hasattr(answer, "tokens"):
        return {"bits_per_byte": (nats, len(doc["answer"].encode()))}
    return {"conditional_loss": (nats, answer.tokens), "bits_per_byte": (nats, answer.bytes)}


def nats_per_token(items: Sequence[tuple[float, int]]) -> float:
    """Mean over all answer tokens of a benchmark: long answers weigh more than short ones."""
    return math.fsum(nats for nats, _ in items) / sum(tokens for _, tokens in items)


def bits_per_byte(items: Sequence[tuple[float, int]]) -> float:
    """Bits per UTF-8 byte of all answers of a benchmark together."""
    return math.fsum(nats for nats, _ in items) / NATS_PER_BIT / sum(count for _, count in items)
