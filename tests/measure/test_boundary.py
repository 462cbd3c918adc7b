"""pytest tests/measure/test_boundary.py

Where the answer begins, what is counted, and what every text starts with.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.core.errors import InputError
from densing.measure.boundary import Boundary, EmptyAnswerError
from densing.measure.tasks.metrics import bits_per_byte, nats_per_token
from tests.measure.models import byte_fallback, byte_level

GRIN, BEAM = "😀", "😁"
PLAIN = byte_level(["Ans", "Answer", " Paris is", f"{GRIN}{GRIN}{GRIN}", "the answer is Paris"] * 50, 340)
WITH_BOS = byte_level(["Ans", "Answer", " Paris is", "the answer is Paris"] * 50, 340, bos=True)
FALLBACK = byte_fallback(["Answer", "Ans", "Paris", "is"])
TOKENIZERS = {"byte-level": PLAIN, "byte-level with BOS": WITH_BOS, "byte-fallback": FALLBACK}
BOS = {"byte-level": 0, "byte-level with BOS": 1, "byte-fallback": 1}


def own_tokens(boundary, encoded):
    """Of a context, without what stands for an empty one or before every text."""
    return () if encoded.context == boundary.lone_start else encoded.context[len(boundary.start_tokens) :]


def split(tokenizer, instruction, answer):
    """The text before the answer, the scored text, and the bytes counted."""
    boundary = Boundary(tokenizer)
    (encoded,) = boundary.encode_pairs([(instruction, answer)])
    context = own_tokens(boundary, encoded)
    whole = tokenizer.decode([*context, *encoded.answer])
    kept = tokenizer.decode(list(context))
    assert whole == instruction + answer
    assert whole.startswith(kept)
    return kept, whole[len(kept) :], encoded.answer_bytes


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_token_that_spans_the_end_belongs_to_the_answer(name):
    assert split(TOKENIZERS[name], "Ans", "wer") == ("", "Answer", 6)
    assert split(TOKENIZERS[name], "is Ans", "wer")[1:] in {("Answer", 6), (" Answer", 7)}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_space_is_scored_and_counted_wherever_it_stands(name):
    """The item may have it before the answer or after the instruction: it is one text, with one loss."""
    own = split(TOKENIZERS[name], "is", " Paris")
    moved = split(TOKENIZERS[name], "is ", "Paris")
    assert own == moved == ("is", " Paris", 6)


def test_a_token_may_hold_parts_of_two_characters():
    """The four bytes of an emoji that both sides share a token of are all the answer's."""
    assert any(len(token) > 1 and "\ufffd" in PLAIN.decode([place]) for token, place in PLAIN.get_vocab().items()), (
        "no token of this tokeniser holds parts of characters, so nothing is tested"
    )
    for instruction, answer in [("a" + GRIN, GRIN), ("a", GRIN + GRIN), (GRIN + GRIN, GRIN + BEAM), (GRIN, BEAM)]:
        kept, scored, count = split(PLAIN, instruction, answer)
        assert scored.endswith(answer)
        assert "\ufffd" not in kept + scored
        assert count == len(scored.encode()) == len((instruction + answer).encode()) - len(kept.encode())


def test_unknown_characters_become_bytes_that_are_all_counted():
    assert split(FALLBACK, f"is {GRIN}", BEAM) == (f"is {GRIN}", BEAM, 4)
    (encoded,) = Boundary(FALLBACK).encode_pairs([("is", BEAM)])
    assert len(encoded.answer) == 4


PIECES = st.sampled_from(["Ans", "wer", " ", "Paris", "is", GRIN, BEAM, "é", "\n", "z"])
TEXT = st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(instruction=TEXT, answer=TEXT.filter(bool))
@settings(max_examples=150, deadline=None)
def test_answer_tokens_and_bytes_are_of_one_string(name, instruction, answer):
    tokenizer = TOKENIZERS[name]
    boundary = Boundary(tokenizer)
    (encoded,) = boundary.encode_pairs([(instruction, answer)])
    text = instruction + answer
    whole = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    bare = own_tokens(boundary, encoded)
    assert bare + encoded.answer == whole  # one text, as the model would see it
    scored = text.encode()[-encoded.answer_bytes :].decode()  # fails inside a character
    assert scored.endswith(answer)
    assert tokenizer.decode(list(bare)) + scored == text
    instruction_alone = tuple(tokenizer(instruction, add_special_tokens=False)["input_ids"])
    assert len(bare) <= len(instruction_alone)
    assert whole[: len(instruction_alone)] != instruction_alone or len(bare) == len(instruction_alone)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("instruction", ["is Paris", "", "<s>is Paris", "<s>"])
def test_bos_is_there_once_if_the_tokeniser_puts_it(name, instruction):
    tokenizer = TOKENIZERS[name]
    (encoded,) = Boundary(tokenizer).encode_pairs([(instruction, " Ans")])
    spelled_out = instruction.startswith("<s>") or instruction == ""  # an empty one is stood for by BOS
    assert (encoded.context + encoded.answer).count(tokenizer.bos_token_id) == (BOS[name] or int(spelled_out))
    assert encoded.context[0] == tokenizer.bos_token_id or not BOS[name]
    assert tokenizer.eos_token_id not in encoded.context + encoded.answer
    (prompt,) = Boundary(tokenizer).encode([instruction])
    assert prompt.count(tokenizer.bos_token_id) == (BOS[name] or instruction.count("<s>"))


def test_bos_can_be_demanded_or_forbidden():
    for tokenizer in TOKENIZERS.values():
        for wanted in (True, False):
            (encoded,) = Boundary(tokenizer, add_bos=wanted).encode_pairs([("is", " Paris")])
            assert encoded.context.count(tokenizer.bos_token_id) == wanted
    assert Boundary(WITH_BOS).rules["start_tokens"] == [WITH_BOS.bos_token_id]
    assert Boundary(PLAIN).rules["start_tokens"] == []


def test_nothing_to_score_is_named():
    with pytest.raises(EmptyAnswerError, match="request 1: there is nothing to score after 'is'"):
        Boundary(PLAIN).encode_pairs([("is", " Paris"), ("is", "")])


def test_a_tokeniser_that_changes_the_text_is_refused_where_it_matters():
    from tokenizers import normalizers

    lower = byte_level(["the answer ans"] * 50, 300)
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(InputError, match="does not keep the text"):
        Boundary(lower).encode_pairs([("THE ANS", "WER")])


def test_losses_are_sums_over_one_string():
    """Two answers: 3 nats over 2 tokens of 8 bytes, 1 nat over 3 tokens of 4."""
    assert nats_per_token([(3.0, 2), (1.0, 3)]) == pytest.approx(4 / 5)
    assert bits_per_byte([(3.0, 8), (1.0, 4)]) == pytest.approx(4 / math.log(2) / 12)
