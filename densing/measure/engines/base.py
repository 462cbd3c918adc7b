"""What all engines share: tokenise by one rule, look up, compute in batches, check, keep.

An engine is an lm-eval model, so lm-eval's tasks and evaluator drive it; it answers with `Answer`s, which are
lm-eval's (log-probability, greedy) pairs that also carry how many tokens and bytes were scored.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from densing.core.errors import DensingError, InputError
from densing.core.progress import progress_bar
from densing.measure.boundary import Boundary, Encoded
from densing.measure.cache import RequestCache, request_key

SHOWN = 3
"""Items named in a message."""


class Answer(tuple[float, bool]):
    """lm-eval's result of one log-likelihood request, with what it was computed over.

    Attributes
    ----------
    tokens, bytes : int
        How many tokens were scored, and the UTF-8 length of the text that they stand for.
    """

    tokens: int
    bytes: int

    def __new__(cls, logprob: float, greedy: bool, tokens: int, bytes_: int) -> Answer:  # noqa: D102
        answer = super().__new__(cls, (logprob, greedy))
        answer.tokens, answer.bytes = tokens, bytes_
        return answer


class Engine(ABC):
    """Mixin in front of an lm-eval model class; the class that mixes it in computes.

    It is made with the model's folder and, by name, whatever the user sets (see `EngineSettings`): ``dtype``,
    ``device``, ``trust_remote_code``, ``allow_truncated`` and the engine's own options.

    Attributes
    ----------
    boundary : Boundary
        The rules by which requests become tokens.
    cache : RequestCache or None
        Where answers are looked up and kept.
    allow_truncated : bool
        Cut what is longer than the model's context on its left, instead of failing.
    truncated : set of str
        Names of the items that were cut.
    part : (int, int) or None
        Compute only this part of the batches, counted from 0, of so many; other requests are answered with nothing.
        An engine that does not plan its batches computes all of them.
    max_length : int
        Tokens that the model reads at most.
    vocabulary : int or None
        Tokens that the model knows; None where the engine does not say.
    """

    boundary: Boundary
    cache: RequestCache | None = None
    allow_truncated: bool = False
    truncated: set[str]
    part: tuple[int, int] | None = None
    max_length: int
    vocabulary: int | None = None

    @property
    @abstractmethod
    def longest_request(self) -> int:
        """Most tokens of a context with its answer."""

    @abstractmethod
    def _answer_stream(self, requests: Sequence[Encoded], known: set[int]) -> Iterator[dict[int, tuple[float, bool]]]:
        """The sum of the answer's log-probabilities, and whether greedy decoding gives the answer, by request.

        Results come in pieces, each as soon as it is computed; requests that are known already may be left out.
        """

    @abstractmethod
    def _text_stream(
        self, prompts: Sequence[tuple[int, ...]], settings: Sequence[dict[str, Any]], known: set[int]
    ) -> Iterator[dict[int, str]]:
        """The continuations by prompt, in pieces as those of `_answer_stream`."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Everything that an answer depends on besides model, tokeniser, options and request; JSON-able.

        Names and versions of what computes, the precision and the kind of device that are used, the size of
        batches where it is chosen here, and `boundary.rules`.
        """

    def start_anew(self) -> None:
        """Forget what earlier suites left behind, so that the next one gives what it gives to a new engine."""
        self.truncated.clear()

    @abstractmethod
    def close(self) -> None:
        """Free the model's memory."""

    # lm-eval's interface

    def loglikelihood(self, requests: list[Any]) -> list[Answer]:
        """Answers of (context, continuation) requests."""
        names = [_name(request) for request in requests]
        for name, request in zip(names, requests, strict=True):
            if not request.args[1]:
                raise InputError(f"{name}: the answer is empty")
        return self._answers(self._encode([request.args for request in requests], names), names)

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Log-likelihoods of whole texts, in windows as long as the model reads."""
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

        windows: list[Encoded] = []
        owners: list[int] = []
        start = self.boundary.lone_start
        window = self.longest_request - len(start)
        for owner, encoded in enumerate(self.boundary.encode([request.args[0] for request in requests])):
            tokens = encoded[len(self.boundary.start_tokens) :]
            rolling = get_rolling_token_windows(list(tokens), start[-1], window, 1)
            for context, continuation in map(make_disjoint_window, rolling):
                windows.append(Encoded((*start[:-1], *context), tuple(continuation), 0))
                owners.append(owner)
        names = [_name(requests[owner]) for owner in owners]
        sums = [0.0] * len(requests)
        for owner, (logprob, _) in zip(owners, self._answers(windows, names), strict=True):
            sums[owner] += logprob
        return sums

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Continuations of (prompt, settings) requests."""
        names = [_name(request) for request in requests]
        settings = [request.args[1] for request in requests]
        encoded = self.boundary.encode([request.args[0] for request in requests])
        prompts = [prompt or self.boundary.lone_start for prompt in encoded]
        most_tokens = {repr(setting): self._tokens_to_generate(setting) for setting in _distinct(settings)}
        longest = self.max_length
        room = [longest - most_tokens[repr(setting)] for setting in settings]
        prompts = self._cut_to_fit(prompts, room, names)
        self._refuse_unknown_tokens(prompts)
        keys = [request_key("text", *pair) for pair in zip(prompts, settings, strict=True)]
        if any(setting.get("do_sample") for setting in settings):  # a sample is drawn anew each time
            keys = [key + place.to_bytes(4, "little") for place, key in enumerate(keys)]
        places = _first_places(keys)
        first_prompts, first_settings = [prompts[place] for place in places], [settings[place] for place in places]

        def stream(known: set[int]) -> Iterator[dict[int, str]]:
            return self._text_stream(first_prompts, first_settings, known)

        texts = self._compute([keys[place] for place in places], stream, "continuing", "")
        return [texts[key] for key in keys]

    # the steps

    def _encode(self, pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> list[Encoded]:
        try:
            return self.boundary.encode_pairs(pairs)
        except InputError as error:
            for pair, name in zip(pairs, names, strict=True):
                try:
                    self.boundary.encode_pairs([pair])
                except InputError as culprit:
                    raise InputError(f"{name}: {culprit}") from error
            raise

    def _answers(self, requests: list[Encoded], names: Sequence[str]) -> list[Answer]:
        longest = self.longest_request
        room = [longest - len(request.answer) for request in requests]
        contexts = self._cut_to_fit([request.context for request in requests], room, names)
        requests = [
            Encoded(context, request.answer, request.answer_bytes)
            for context, request in zip(contexts, requests, strict=True)
        ]
        self._refuse_unknown_tokens([part for request in requests for part in (request.context, request.answer)])
        keys = [request_key("answer", request.context, request.answer) for request in requests]
        places = _first_places(keys)
        unique = [requests[place] for place in places]

        def stream(known: set[int]) -> Iterator[dict[int, tuple[float, bool]]]:
            for piece in self._answer_stream(unique, known):
                for index, (logprob, _) in piece.items():
                    if not math.isfinite(logprob):
                        raise DensingError(
                            f"{names[places[index]]}: the log-probability is {logprob}; the weights or the precision "
                            "are at fault (try dtype float32); nothing of its batch was kept"
                        )
                yield piece

        results = self._compute([keys[place] for place in places], stream, "scoring", (0.0, False))
        return [
            Answer(float(results[key][0]), bool(results[key][1]), len(request.answer), request.answer_bytes)
            for key, request in zip(keys, requests, strict=True)
        ]

    def _compute(
        self, keys: list[bytes], stream: Callable[[set[int]], Iterator[dict[int, Any]]], what: str, nothing: Any
    ) -> dict[bytes, Any]:
        """Results by key. What a piece of the stream gives is kept before the next one is asked for."""
        kept = self.cache.find(keys) if self.cache else {}
        results = {key: answer for key, answer in kept.items() if isinstance(answer, str) == isinstance(nothing, str)}
        known = {index for index, key in enumerate(keys) if key in results}
        with progress_bar(what, total=len(keys)) as bar:
            bar.advance(len(known))
            for piece in stream(known):
                computed = {keys[index]: result for index, result in piece.items()}
                if self.cache:
                    self.cache.store(computed.items())
                results.update(computed)
                bar.advance(len(piece.keys() - known))
        return dict.fromkeys(keys, nothing) | results if self.part else results

    def _cut_to_fit(
        self, contexts: Sequence[tuple[int, ...]], room: Sequence[int], names: Sequence[str]
    ) -> list[tuple[int, ...]]:
        too_long = [name for context, most, name in zip(contexts, room, names, strict=True) if len(context) > most]
        if too_long and not self.allow_truncated:
            raise InputError(
                f"{len(too_long)} of {len(contexts)} requests are longer than the model's context of {self.max_length} "
                f"tokens ({', '.join(too_long[:SHOWN])}{', ...' if len(too_long) > SHOWN else ''}); "
                "allow them to be cut on the left (--allow-truncated), or measure with shorter items"
            )
        if any(most < 1 for most in room):
            longest = names[min(range(len(room)), key=lambda place: room[place])]
            raise InputError(
                f"{longest}: the answer alone is longer than the model's context of {self.max_length} tokens"
            )
        self.truncated.update(too_long)
        return [self._cut(context, most) for context, most in zip(contexts, room, strict=True)]

    def _refuse_unknown_tokens(self, texts: Sequence[tuple[int, ...]]) -> None:
        largest = max(map(max, texts), default=0)
        if self.vocabulary is not None and largest >= self.vocabulary:
            raise InputError(
                f"the tokeniser gives the token {largest}, and the model knows {self.vocabulary:,}, counted from 0; "
                "the tokeniser is of another model: copy that of this one into its folder"
            )

    def _cut(self, context: tuple[int, ...], most: int) -> tuple[int, ...]:
        """The last tokens of a context, behind the special tokens that every text starts with."""
        if len(context) <= most:
            return context
        start = self.boundary.start_tokens
        kept = start if context[: len(start)] == start and len(start) < most else ()
        return kept + context[len(context) - most + len(kept) :]

    @abstractmethod
    def _tokens_to_generate(self, settings: dict[str, Any]) -> int:
        """Most tokens that a continuation may take under lm-eval's generation settings."""


def _distinct(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({repr(setting): setting for setting in settings}.values())


def _first_places(keys: list[bytes]) -> list[int]:
    """Where each distinct key is first."""
    first: dict[bytes, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    return list(first.values())


def _name(request: Any) -> str:
    return f"{request.task_name} item {request.doc_id}"
