"""Reading trees of tokens with a transformers model, and logits only where they are asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from densing.measure.boundary import Encoded
from densing.measure.engines.batching import Batch, Row

LOGIT_ROWS_AT_ONCE = 1024
"""Rows of logits that are turned into float32 probabilities at once."""


class TreeModel:
    """A causal model that reads rows of trees behind a shared start.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode, on its device.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        text_config = model.config.get_text_config()
        self.vocabulary = int(text_config.vocab_size)
        self._prefix: tuple[int, ...] = ()
        self._prefix_cache: Any = None
        self._rotary = list(_rotary_state(model))

    def restart(self) -> None:
        """Undo what rotary embeddings remember of the longest sequence that they have seen."""
        for module, attributes, buffers in self._rotary:
            vars(module).update(attributes)
            module._buffers.update(buffers)

    @torch.inference_mode()
    def score(self, batch: Batch, requests: Sequence[Encoded]) -> dict[int, tuple[float, bool]]:
        """Sum over the answer's tokens of ln P, in float64, and whether each is the likeliest; by request."""
        rows: list[int] = []
        places: list[int] = []
        answers: list[int] = []
        owners: list[int] = []
        for number, row in enumerate(batch.rows):
            for request, answer_places in zip(row.requests, row.answer_places, strict=True):
                rows += [number] * len(answer_places)
                places += answer_places
                answers += requests[request].answer
                owners += [request] * len(answer_places)
        tokens, positions, mask = self._tensors(batch)
        past = self.start(batch.prefix, len(batch.rows))
        logits, _ = self.forward(tokens, positions, mask, past, (rows, places))
        targets = torch.tensor(answers, device=self.device)
        logprobs, greedy = [], []
        for first in range(0, len(targets), LOGIT_ROWS_AT_ONCE):
            piece = logits[first : first + LOGIT_ROWS_AT_ONCE].float()
            target = targets[first : first + LOGIT_ROWS_AT_ONCE]
            chosen = piece.gather(1, target[:, None])[:, 0]
            logprobs.append((chosen - piece.logsumexp(1)).cpu())
            greedy.append((piece.argmax(1) == target).cpu())
        return _by_request(owners, torch.cat(logprobs).numpy(), torch.cat(greedy).numpy())

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor | None,
        mask: torch.Tensor | None,
        past: Any,
        at: tuple[Sequence[int], Sequence[int]],
        keep: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        """Logits (len(at), vocabulary) at (row, place) pairs, and the keys and values if they are to be kept."""
        if past is None:
            self.restart()
        arguments: dict[str, Any] = {"input_ids": tokens, "use_cache": keep or past is not None}
        if positions is not None:
            arguments["position_ids"] = positions
        if mask is not None:
            arguments["attention_mask"] = mask
        if past is not None:
            arguments["past_key_values"] = past
        with self._logits_only(at):
            output = self.model(**arguments)
        return output.logits.reshape(len(at[0]), -1), output.past_key_values if keep else None

    def start(self, prefix: tuple[int, ...], rows: int) -> Any:
        """Keys and values of a shared start, once for each row; None where there is no start.

        The last start is remembered, since batches behind one start follow one another.
        """
        if not prefix:
            return None
        if prefix != self._prefix:
            tokens = torch.tensor([prefix], device=self.device)
            _, self._prefix_cache = self.forward(tokens, None, None, None, ([0], [len(prefix) - 1]), keep=True)
            self._prefix = prefix
        cache = copy.deepcopy(self._prefix_cache)
        cache.batch_repeat_interleave(rows)
        return cache

    def forget(self) -> None:
        """Free the remembered start."""
        self._prefix, self._prefix_cache = (), None

    @contextmanager
    def _logits_only(self, at: tuple[Sequence[int], Sequence[int]]) -> Iterator[None]:
        """Hand the output layer nothing but the hidden states at these places.

        Whatever the model does to its logits afterwards (soft capping, scaling) still happens, which a call of
        the output layer from outside would miss.
        """
        rows = torch.tensor(at[0], device=self.device)
        places = torch.tensor(at[1], device=self.device)

        def select(_module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return (inputs[0][rows, places][None], *inputs[1:])

        hook = self.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield
        finally:
            hook.remove()

    def _tensors(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Tokens and positions (rows, length), additive mask (rows, 1, length, start + length)."""
        length = max(len(row.tokens) for row in batch.rows)
        tokens = np.zeros((len(batch.rows), length), np.int64)
        for number, row in enumerate(batch.rows):
            tokens[number, : len(row.tokens)] = row.tokens
        on_device = torch.from_numpy(tokens).to(self.device)
        if batch.is_plain:  # padding on the right is never seen by causal attention
            return on_device, None, None
        start = len(batch.prefix)
        positions = np.zeros_like(tokens)
        seen = np.zeros((len(batch.rows), 1, length, start + length), bool)
        seen[..., :start] = True
        for number, row in enumerate(batch.rows):
            positions[number, : len(row.tokens)] = row.depths
            _mark_seen(seen[number, 0, :, start:], row)
        return on_device, torch.from_numpy(positions + start).to(self.device), self.additive(torch.from_numpy(seen))

    def additive(self, seen: torch.Tensor) -> torch.Tensor:
        """The mask to be added to attention scores, which every attention implementation understands."""
        mask = torch.zeros(seen.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(~seen.to(self.device), torch.finfo(self.dtype).min)


def _mark_seen(seen: np.ndarray, row: Row) -> None:
    """Let each token of a row see itself and what comes before it in its own sequence."""
    for start, stop, ancestors in row.segments:
        for first, last in ancestors:
            seen[start:stop, first:last] = True
        seen[start:stop, start:stop] = np.tri(stop - start, dtype=bool)


def _by_request(owners: Sequence[int], logprobs: np.ndarray, greedy: np.ndarray) -> dict[int, tuple[float, bool]]:
    requests, places = np.unique(np.asarray(owners), return_inverse=True)
    sums = np.zeros(len(requests))
    np.add.at(sums, places, logprobs.astype(np.float64))
    all_greedy = np.ones(len(requests), bool)
    np.logical_and.at(all_greedy, places, greedy)
    return {int(request): (float(total), bool(g)) for request, total, g in zip(requests, sums, all_greedy, strict=True)}


def _rotary_state(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, dict[str, Any], dict[str, Any]]]:
    """Modules that hold rotary frequencies, with their attributes and buffers as they are now."""
    for module in model.modules():
        if any("inv_freq" in name for name in (*vars(module), *module._buffers)):
            attributes = {name: value for name, value in vars(module).items() if not name.startswith("_")}
            yield module, attributes, dict(module._buffers)
