"""Where the answer begins among the tokens: one rule for every task, tokeniser and engine.

Boundary rule (`BOUNDARY_RULE`). Instruction and answer are tokenised as one text, because that is the text a
model would see. The instruction keeps those of its tokens that begin the tokens of the whole text; everything
after them is the answer, and is scored. Mostly that is the answer to the letter. Where a token spans the end
of the instruction ("Ans" + "wer" becomes "Answer"; "is " + "Paris" becomes "is", " Paris") the spanning token
belongs to the answer, and the bytes counted are those of what is scored ("Answer", " Paris"), so that nats
per token and bits per byte speak of one string. The answer always begins on a character boundary.

BOS rule (`BOS_RULE`). A text starts with exactly those special tokens that the tokeniser itself puts first:
never a second time where the text spells them out already, and never one that the tokeniser does not put.
An empty instruction becomes the tokeniser's BOS (or EOS) token, since something must precede the answer.
Nothing is ever appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from densing.core.errors import InputError

BOUNDARY_RULE = "one-text/longest-common-token-prefix/1"
BOS_RULE = "as-the-tokeniser-does/1"
MOST_TOKENS_IN_A_CHARACTER = 4
"""A character has at most four bytes."""
PART_OF_A_CHARACTER = "\ufffd"
"""What bytes that are no whole character are decoded to."""


@dataclass(frozen=True)
class Encoded:
    """One request in tokens.

    Attributes
    ----------
    context : tuple of int
        Never empty: it starts with BOS, or is BOS alone where there is no instruction.
    answer : tuple of int
        The tokens whose log-probabilities are summed; never empty.
    answer_bytes : int
        UTF-8 length of the text that `answer` stands for; 0 where nobody counts bytes.
    """

    context: tuple[int, ...]
    answer: tuple[int, ...]
    answer_bytes: int = 0


class EmptyAnswerError(InputError):
    """There is nothing to score."""


class Boundary:
    """The rules of this module for one tokeniser.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    add_bos : bool, optional
        Put the BOS token first whatever the tokeniser does (True), or nothing (False).
    """

    def __init__(self, tokenizer: Any, add_bos: bool | None = None) -> None:
        self.tokenizer = tokenizer
        self.add_bos = add_bos

    @cached_property
    def start_tokens(self) -> tuple[int, ...]:
        """The special tokens that every text starts with."""
        if self.add_bos is None:
            return self._put_first_by_tokeniser()
        if not self.add_bos:
            return ()
        if self.tokenizer.bos_token_id is None:
            raise InputError("add_bos_token was asked for, but the tokeniser has no BOS token")
        return (self.tokenizer.bos_token_id,)

    def _put_first_by_tokeniser(self) -> tuple[int, ...]:
        plain = self._tokens(["a"])[0]
        dressed = tuple(self.tokenizer("a", add_special_tokens=True)["input_ids"])
        for start in range(len(dressed) - len(plain) + 1):
            if dressed[start : start + len(plain)] == plain:
                return dressed[:start]
        return ()

    @cached_property
    def _start_text(self) -> str:
        return self._text(self.start_tokens) if self.start_tokens else ""

    @cached_property
    def lone_start(self) -> tuple[int, ...]:
        """What stands for an empty instruction."""
        if self.start_tokens:
            return self.start_tokens
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return (token,)
        raise InputError("an empty instruction needs a BOS or EOS token, and the tokeniser has neither")

    @property
    def rules(self) -> dict[str, Any]:
        """What a record of a measurement states about this tokenisation."""
        return {"boundary": BOUNDARY_RULE, "bos": BOS_RULE, "start_tokens": list(self.start_tokens)}

    def encode(self, texts: list[str]) -> list[tuple[int, ...]]:
        """The tokens of each prompt."""
        return [self._with_start(text, tokens) for text, tokens in zip(texts, self._tokens(texts), strict=True)]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
        """The tokens of (instruction, answer) pairs.

        Raises
        ------
        EmptyAnswerError
            Names the position of a pair whose answer has no text or no tokens of its own.
        """
        instructions = list(dict.fromkeys(instruction for instruction, _ in pairs))
        heads = dict(zip(instructions, self._tokens(instructions), strict=True))
        wholes = self._tokens([instruction + answer for instruction, answer in pairs])
        return [
            self._split(place, *pair, heads[pair[0]], whole)
            for place, (pair, whole) in enumerate(zip(pairs, wholes, strict=True))
        ]

    def _split(
        self, place: int, instruction: str, answer: str, head: tuple[int, ...], whole: tuple[int, ...]
    ) -> Encoded:
        kept = len(head) if whole[: len(head)] == head else common_prefix(head, whole)
        text = instruction + answer
        kept_text = instruction
        if kept < len(head):  # a token spans the end of the instruction
            kept, kept_text = self._to_character_boundary(text, whole, kept)
        scored = text[len(kept_text) :]
        if not answer or kept == len(whole):
            raise EmptyAnswerError(
                f"request {place}: there is nothing to score after {instruction[-40:]!r} (the answer is {answer!r})"
            )
        context = self._with_start(text, whole[:kept]) or self.lone_start
        return Encoded(context, whole[kept:], len(scored.encode()))

    def _to_character_boundary(self, text: str, tokens: tuple[int, ...], kept: int) -> tuple[int, str]:
        """The most of the first `kept` tokens that end with a whole character, and their text."""
        if text.startswith(self._text(tokens[:kept]).rstrip(PART_OF_A_CHARACTER)):
            for fewer in range(kept, max(kept - MOST_TOKENS_IN_A_CHARACTER, -1), -1):
                if text.startswith(kept_text := self._text(tokens[:fewer])):
                    return fewer, kept_text
        raise InputError(
            f"the tokeniser does not keep the text {text[:60]!r}... as it is (it normalises it, perhaps), so what its "
            "tokens stand for at the end of the instruction cannot be told; normalise the items beforehand"
        )

    def _with_start(self, text: str, tokens: tuple[int, ...]) -> tuple[int, ...]:
        spelled_out = self._start_text and text.startswith(self._start_text)
        return tokens if spelled_out else self.start_tokens + tokens

    def _tokens(self, texts: list[str]) -> list[tuple[int, ...]]:
        if not self.tokenizer.is_fast:
            return [tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        # What transformers' call does, without the offsets and masks that it collects.
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return [tuple(encoding.ids) for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Number of tokens that two sequences share from their start.

    Examples
    --------
    >>> common_prefix([1, 2, 3], [1, 2, 4, 5])
    2
    """
    shortest = min(len(first), len(second))
    low, high = 0, shortest
    while low < high:  # comparing slices is far faster than comparing tokens one by one
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
