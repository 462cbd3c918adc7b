"""Scoring with transformers models on CPU, CUDA or MPS; `densing-torch` for lm-eval.

Loading is lm-eval's own `HFLM`. What is added: shared starts and contexts are computed once (see `batching`),
logits are computed for answer tokens alone, and greedy continuations reuse shared prompts the same way.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from transformers.utils import logging

from densing.core.errors import DensingError, InputError
from densing.core.progress import console
from densing.measure.boundary import Boundary, Encoded
from densing.measure.engines.base import Engine
from densing.measure.engines.batching import Batch, Limits, plan_batches
from densing.measure.engines.sharing import Sharing, Way, alone, is_out_of_memory
from densing.measure.engines.torch_forward import TreeModel
from densing.measure.engines.torch_greedy import Prompts, Stop, continue_greedily, continues_as_alone, plan_prompts
from densing.models.size import refuse_more_than_weights

LOGITS_BYTES = 512 << 20
"""Most memory for the logits of a batch; an item that needs more is still computed, alone."""
ROW_TOKENS = 512
KEPT_BYTES = 4 << 30
"""Most memory for keys and values where nobody says how much is free."""
FEWEST_BATCH_TOKENS = 64
ROUNDED = ("load_in_4bit", "load_in_8bit")
"""Options that round a model's weights when it is loaded, by bitsandbytes."""
CHANGES_OF_GREEDY: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "bad_words_ids": (),
    "sequence_bias": (),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1.0,),
    "num_beams": (1,),
    "watermarking_config": (),
}
"""Settings of a `generation_config` by which transformers, and so lm-eval, does not simply take the likeliest token,
with the values at which they do nothing."""
Planned = TypeVar("Planned", Batch, Prompts)
Result = TypeVar("Result")


class TorchEngine(Engine, HFLM):  # type: ignore[misc]
    """lm-eval's transformers model with shared computation.

    Parameters
    ----------
    pretrained : str or transformers.PreTrainedModel
        A folder, or the model itself.
    batch_tokens : int, optional
        Tokens computed at once; 2,048 on a CPU, 16,384 elsewhere.
    device : str, optional
        "cuda", "cuda:1", "mps" or "cpu"; the fastest there is, if not given.
    allow_truncated : bool
        See `Engine`.
    add_bos_token : bool, optional
        Put the BOS token first, or no token, whatever the tokeniser does (see `boundary`).
    **options
        What lm-eval's `hf` model takes: dtype, trust_remote_code, peft, parallelize, ...
    """

    def __init__(
        self,
        pretrained: Any,
        *,
        batch_tokens: int | None = None,
        device: str | None = None,
        allow_truncated: bool = False,
        add_bos_token: bool | None = None,
        **options: Any,
    ) -> None:
        logging.disable_progress_bar()  # of transformers, one per shard of weights
        options.pop("batch_size", None)  # lm-eval always gives one; batches follow a budget of tokens instead
        if options.get("parallelize") and torch.cuda.device_count() > 1:
            raise InputError(
                "parallelize spreads a model over several GPUs, which this engine does not compute with; use --engine "
                "vllm --option tensor_parallel_size=2, or a dtype in which the model fits on one"
            )
        self._rounded = {name: options.pop(name) for name in ROUNDED if name in options}
        super().__init__(pretrained, device=device or best_device(), add_bos_token=add_bos_token, **options)
        self.boundary = Boundary(self.tokenizer, add_bos_token)
        self.allow_truncated = allow_truncated
        self.truncated = set()
        self.tree_model = TreeModel(self.model)
        self.vocabulary = self.tree_model.vocabulary
        tokens = int(batch_tokens or (2048 if self.device.type == "cpu" else 16384))
        self.limits = Limits(
            tokens,
            max(1, LOGITS_BYTES // (4 * self.tree_model.vocabulary)),
            ROW_TOKENS,
            self._memory_to_keep() // kept_bytes(self.model.config.get_text_config(), self.tree_model.dtype),
        )
        self._first_limits = self.limits
        self.sharing = Sharing(self.tree_model, self.limits, self.max_length)

    def _get_config(self, *arguments: Any, **options: Any) -> None:
        """The model's configuration, with the rounding that was asked for: `from_pretrained` knows no option of it."""
        super()._get_config(*arguments, **options)
        asked = [name for name in ROUNDED if self._rounded.get(name)]
        if asked:
            self._config.quantization_config = {"quant_method": "bitsandbytes", **dict.fromkeys(asked, True)}

    def _create_model(self, *arguments: Any, **options: Any) -> None:
        """lm-eval's loading; a checkpoint that lacks some of the weights that it describes is refused."""
        loader: Any = self.AUTO_MODEL_CLASS  # type: ignore[has-type]
        self.AUTO_MODEL_CLASS = _WholeCheckpoints(loader, self._config)
        try:
            super()._create_model(*arguments, **options)
        finally:
            self.AUTO_MODEL_CLASS = loader

    def _memory_to_keep(self) -> int:
        """Bytes for keys and values: half of what a GPU has free beside the model."""
        if self.device.type != "cuda":
            return KEPT_BYTES
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(free // 2)

    @property
    def longest_request(self) -> int:
        """Context and answer; the last answer token is predicted, never read."""
        return self.max_length + 1

    def _answer_stream(self, requests: Sequence[Encoded], known: set[int]) -> Iterator[dict[int, tuple[float, bool]]]:
        lengths = [len(request.context) + len(request.answer) - 1 for request in requests]
        for way, members in self._with_memory(lambda: list(self.sharing.parts(lengths, known))):
            part = [requests[index] for index in members]
            finished = {place for place, index in enumerate(members) if index in known}

            def batches(way: Way = way, part: list[Encoded] = part) -> Iterator[Batch]:
                limits = alone(self.limits) if way is Way.ALONE else self.limits
                yield from plan_batches(part, limits, share=way is Way.SHARED)

            def score(batch: Batch, part: list[Encoded] = part) -> dict[int, tuple[float, bool]]:
                return self.tree_model.score(batch, part)

            for answers in self._within_memory(batches, score, finished):
                yield {members[place]: answer for place, answer in answers.items()}
        self.tree_model.forget()

    def _within_memory(
        self, plan: Callable[[], Iterator[Planned]], compute: Callable[[Planned], dict[int, Result]], finished: set[int]
    ) -> Iterator[dict[int, Result]]:
        """Results of the batches of a plan; where memory runs out, of a plan of batches half as large."""
        while True:
            try:
                for number, batch in enumerate(plan()):
                    if self._is_mine(number) and not finished.issuperset(batch.requests):
                        results = compute(batch)
                        finished.update(results)
                        yield results
                return
            except (RuntimeError, MemoryError) as error:
                reason = _memory_error(error)
            self._halve(reason)

    def _is_mine(self, number: int) -> bool:
        """Whether a batch of the plan belongs to the part that is computed here."""
        return self.part is None or number % self.part[1] == self.part[0]

    def _with_memory(self, compute: Callable[[], Result]) -> Result:
        """What is computed, once batches are small enough for the memory."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                reason = _memory_error(error)
            self._halve(reason)

    def _halve(self, reason: str) -> None:
        self.tree_model.forget()
        self._free()
        if self.limits.batch_tokens < 2 * FEWEST_BATCH_TOKENS:
            raise DensingError(
                f"{self.limits.batch_tokens} tokens at once are too many for the memory ({reason}); use --dtype "
                "bfloat16, a device with more memory, or --engine vllm with --option tensor_parallel_size=2"
            )
        self.limits = self.sharing.limits = self.limits.halved()
        console.print(f"memory ran out; going on with batches of {self.limits.batch_tokens} tokens")

    def _text_stream(
        self, prompts: Sequence[tuple[int, ...]], settings: Sequence[dict[str, Any]], known: set[int]
    ) -> Iterator[dict[int, str]]:
        alike: dict[str, list[int]] = {}
        for index, setting in enumerate(settings):
            alike.setdefault(repr(setting), []).append(index)
        for indices in alike.values():
            rule = self._generation_rule(settings[indices[0]])
            together = self._continued_together([index for index in indices if index not in known], prompts, rule)
            for share in (True, False):
                members = [index for index in indices if (len(prompts[index]) in together) == share]
                asked = [prompts[index] for index in members]
                finished = {place for place, index in enumerate(members) if index in known}

                def batches(asked: Any = asked, rule: GenerationRule = rule, share: bool = share) -> Iterator[Prompts]:
                    yield from plan_prompts(asked, rule.stop, self.limits, share=share)

                def write(batch: Prompts, rule: GenerationRule = rule, share: bool = share) -> dict[int, str]:
                    return dict(zip(batch.requests, self._continue(batch, rule, share), strict=True))

                for texts in self._within_memory(batches, write, finished):
                    yield {members[place]: text for place, text in texts.items()}
        self.tree_model.forget()

    def _continued_together(
        self, indices: Sequence[int], prompts: Sequence[tuple[int, ...]], rule: GenerationRule
    ) -> range:
        """Lengths of prompts that may be continued together."""
        most = rule.stop.most_tokens
        fitting = min(self.sharing.changes.first, self.max_length) - most
        lengths = [len(prompts[index]) for index in indices if len(prompts[index]) <= fitting]
        if not (rule.is_greedy and lengths and self._likeliest_is_next):
            return range(0)
        right = self._with_memory(
            lambda: continues_as_alone(self.tree_model, self.tokenizer, min(lengths), max(lengths) + most)
        )
        return range(int(fitting) + 1) if right else range(0)

    @cached_property
    def _likeliest_is_next(self) -> bool:
        """Whether the model's own generation settings leave the likeliest token in its place."""
        settings = self.model.generation_config
        return all(getattr(settings, name, None) in (None, *usual) for name, usual in CHANGES_OF_GREEDY.items())

    def _continue(self, batch: Prompts, rule: GenerationRule, share: bool) -> list[str]:
        if share:
            written = continue_greedily(self.tree_model, self.tokenizer, batch)
        else:
            written = self._continue_as_transformers(batch, rule)
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [postprocess_generated_text(text, list(rule.stop.texts), None) for text in texts]

    def _continue_as_transformers(self, batch: Prompts, rule: GenerationRule) -> list[list[int]]:
        """Sampling, beams and whatever may not be padded: transformers' own `generate`, as lm-eval calls it."""
        prompts = torch.tensor(batch.rests, device=self.device)
        self.tree_model.restart()
        output = self._model_generate(
            context=prompts,
            attention_mask=torch.ones_like(prompts),
            stop=list(batch.stop.texts),
            max_length=prompts.shape[1] + batch.stop.most_tokens,
            **rule.options,
        )
        return [row.tolist() for row in output[:, prompts.shape[1] :]]

    def _generation_rule(self, settings: dict[str, Any]) -> GenerationRule:
        options = dict(normalize_gen_kwargs(settings, self.max_gen_toks))
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        texts = handle_stop_sequences(options.pop("until", None), eos=eos)
        ids = self.model.generation_config.eos_token_id
        tokens = {self.eot_token_id, *(ids if isinstance(ids, list) else [ids])} - {None}
        stop = Stop(int(options.pop("max_gen_toks")), tuple(filter(None, texts)), frozenset(tokens))
        return GenerationRule(stop, options)

    def _tokens_to_generate(self, settings: dict[str, Any]) -> int:
        return self._generation_rule(settings).stop.most_tokens

    def fingerprint(self) -> dict[str, Any]:
        """Engine, versions, precision, device and tokenisation."""
        return {
            "engine": "torch",
            "versions": {name: version(name) for name in ("torch", "transformers")},
            "dtype": str(self.tree_model.dtype).removeprefix("torch."),
            "device": self.device.type,
            "attention": self.model.config._attn_implementation,
            "batch_tokens": self.limits.batch_tokens,
            "max_length": self.max_length,
            **self.boundary.rules,
        }

    def start_anew(self) -> None:
        """Forget smaller batches, and the trials of what may be shared: they came of other requests."""
        super().start_anew()
        self.limits = self._first_limits
        self.sharing = Sharing(self.tree_model, self.limits, self.max_length)

    def close(self) -> None:
        """Free the model's memory."""
        del self._model, self.tree_model, self.sharing
        self._free()

    def _free(self) -> None:
        gc.collect()
        if self.device.type != "cpu":
            torch.get_device_module(self.device).empty_cache()


@dataclass(frozen=True)
class _WholeCheckpoints:
    """A transformers class that loads models, and refuses to make up weights."""

    loader: Any
    config: Any

    def from_pretrained(self, name: str, **options: Any) -> Any:
        refuse_more_than_weights(
            Path(name), self.config, self.loader, trust_remote_code=bool(options.get("trust_remote_code"))
        )
        model, found = self.loader.from_pretrained(name, output_loading_info=True, **options)
        if missing := sorted(found["missing_keys"]):
            raise InputError(
                f"{name}: config.json describes {len(missing)} tensors that the weights do not have "
                f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}), so they would be random; "
                "it is the configuration of another model, or a file is missing"
            )
        return model


def kept_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of a token's keys and values in all layers, by a (text) configuration; at least one.

    Layers that keep less, behind a window or as a state, are counted like the others: that is on the safe side.
    """
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or getattr(config, "hidden_size", heads) // heads
    kept_heads = getattr(config, "num_key_value_heads", None) or heads
    layers = getattr(config, "num_hidden_layers", None) or 1
    return int(max(1, 2 * layers * kept_heads * width * dtype.itemsize))


def _memory_error(error: BaseException) -> str:
    """What an error says of the memory; any other error is raised again."""
    if not is_out_of_memory(error):
        raise error
    return str(error).partition("\n")[0]


def best_device() -> str:
    """The fastest kind of device that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@dataclass(frozen=True)
class GenerationRule:
    """lm-eval's generation settings: when to stop, and what else transformers is told."""

    stop: Stop
    options: dict[str, Any]

    @property
    def is_greedy(self) -> bool:
        """Whether each token is simply the likeliest."""
        return self.options.keys() <= {"do_sample", "temperature"} and not self.options.get("do_sample")
