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

Places = Sequence[int] | np.ndarray
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
        logits = self._logits(batch, np.array(rows), np.array(places))
        targets = torch.tensor(answers, device=self.device)
        logprobs, greedy = [], []
        for first in range(0, len(targets), LOGIT_ROWS_AT_ONCE):
            piece = logits[first : first + LOGIT_ROWS_AT_ONCE].float()
            target = targets[first : first + LOGIT_ROWS_AT_ONCE]
            chosen = piece.gather(1, target[:, None])[:, 0]
            logprobs.append((chosen - piece.logsumexp(1)).cpu())
            greedy.append((piece.argmax(1) == target).cpu())
        return _by_request(owners, torch.cat(logprobs).numpy(), torch.cat(greedy).numpy())

    def _logits(self, batch: Batch, rows: np.ndarray, places: np.ndarray) -> torch.Tensor:
        """Logits (places, vocabulary) at places of rows.

        What all sequences of a row share is read under plain causal attention, whose kernels skip what comes later,
        and their own parts under a mask behind what was kept of it.
        """
        trunks = np.array([0 if batch.prefix else row.shared for row in batch.rows])
        kept, past = len(batch.prefix), self.start(batch.prefix, len(batch.rows))
        first = places < trunks[rows]
        parts = []
        if not batch.prefix:
            kept = int(trunks.max())
            tokens = np.zeros((len(batch.rows), kept), np.int64)  # padding on the right is never seen
            for number, row in enumerate(batch.rows):
                tokens[number, : trunks[number]] = row.tokens[: trunks[number]]
            at = rows[first], places[first]
            logits, past = self.forward(self._on_device(tokens), None, None, None, at, keep=not batch.is_plain)
            parts.append(logits)
        if not batch.is_plain:
            branches = self._branches(batch, trunks, kept)
            logits, _ = self.forward(*branches, past, (rows[~first], (places - trunks[rows])[~first]))
            parts.append(logits)
        order = np.argsort(~first, kind="stable")  # where each logit of the parts belongs
        return torch.cat(parts)[self._on_device(np.argsort(order))]

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor | None,
        mask: torch.Tensor | None,
        past: Any,
        at: tuple[Places, Places],
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
        return output.logits.reshape(len(at[0]), output.logits.shape[-1]), output.past_key_values if keep else None

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
    def _logits_only(self, at: tuple[Places, Places]) -> Iterator[None]:
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

    def _branches(self, batch: Batch, trunks: np.ndarray, kept: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens and positions (rows, length) behind trunks, additive mask (rows, 1, length, kept + length)."""
        start = len(batch.prefix)
        length = max(len(row.tokens) - trunk for row, trunk in zip(batch.rows, trunks, strict=True))
        tokens = np.zeros((len(batch.rows), length), np.int64)
        positions = np.zeros_like(tokens)
        seen = np.zeros((len(batch.rows), 1, length, kept + length), bool)
        seen[..., :start] = True
        for number, (row, trunk) in enumerate(zip(batch.rows, trunks, strict=True)):
            own = len(row.tokens) - trunk
            tokens[number, :own] = row.tokens[trunk:]
            positions[number, :own] = row.depths[trunk:]
            _mark_seen(seen[number, 0], row, int(trunk), kept)
        return self._on_device(tokens), self._on_device(positions + start), self.additive(torch.from_numpy(seen))

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def additive(self, seen: torch.Tensor) -> torch.Tensor:
        """The mask to be added to attention scores, which every attention implementation understands."""
        mask = torch.zeros(seen.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(~seen.to(self.device), torch.finfo(self.dtype).min)


def _mark_seen(seen: np.ndarray, row: Row, trunk: int, kept: int) -> None:
    """Let each token behind a row's trunk see itself and what comes before it in its own sequence.

    Columns are the trunk's tokens, up to `kept` of them, and then those behind it.
    """
    for start, stop, ancestors in row.segments:
        if stop <= trunk:
            continue
        begin = max(start, trunk)
        here = slice(begin - trunk, stop - trunk)
        for first, last in (*ancestors, (start, begin)):
            seen[here, first : min(last, trunk)] = True
            seen[here, max(first, trunk) - trunk + kept : max(last, trunk) - trunk + kept] = True
        seen[here, here.start + kept : here.stop + kept] = np.tri(stop - begin, dtype=bool)


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
