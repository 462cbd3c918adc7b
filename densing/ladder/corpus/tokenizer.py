"""The ladder's tokenizer: a byte-level BPE of its own, or one that exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from densing.core.errors import InputError
from densing.core.files import reading
from densing.ladder.config import TokenizerConfig
from densing.ladder.corpus.documents import Document

END_OF_TEXT = "<|endoftext|>"
_SAMPLE_CHARACTERS = 8_000_000
"""Enough text to learn merges from; more changes few of them."""


def make_tokenizer(config: TokenizerConfig, documents: Iterable[Document]) -> Any:
    """A fast tokenizer of transformers.

    Parameters
    ----------
    documents : iterable of Document
        Training text, read as far as needed and only if a tokenizer is trained.

    Raises
    ------
    InputError
        If the named tokenizer cannot be loaded, is not a fast one, has no token that ends a text, or has
        more tokens than the configured vocabulary.
    """
    tokenizer = _train(config.vocabulary, documents) if config.name is None else load_tokenizer(config.name)
    refuse_more_tokens(tokenizer, config)
    return tokenizer


def refuse_more_tokens(tokenizer: Any, config: TokenizerConfig) -> None:
    """Refuse a tokenizer with tokens that the embedding has no row for.

    Raises
    ------
    InputError
    """
    rows = max(tokenizer.get_vocab().values(), default=-1) + 1
    if rows > config.vocabulary:
        raise InputError(
            f"tokenizer.vocabulary: {config.vocabulary:,} is less than the {rows:,} tokens of "
            f"{config.name or 'the tokenizer'}"
        )


def separator(tokenizer: Any) -> int:
    """Token that stands before every document: the beginning of text, or else the end of text."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise InputError(f"tokenizer {tokenizer.name_or_path!r} has no token that begins or ends a text")


def _train(vocabulary: int, documents: Iterable[Document]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_sample(documents), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def _sample(documents: Iterable[Document]) -> Iterator[str]:
    characters = 0
    for document in documents:
        yield document.text
        characters += len(document.text)
        if characters >= _SAMPLE_CHARACTERS:
            return


def load_tokenizer(name: str) -> Any:
    """A tokenizer by its folder or hub name.

    Raises
    ------
    InputError
        If it cannot be loaded, or is not a fast one.
    """
    from transformers import AutoTokenizer

    with reading(f"tokenizer.name: {name}", "a tokenizer", "no code that comes with it is run"):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(f"tokenizer.name: {name!r} has no fast tokenizer (tokenizer.json)")
    return tokenizer
