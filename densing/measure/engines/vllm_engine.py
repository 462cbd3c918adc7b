"""Scoring with vLLM; `densing-vllm` for lm-eval.

vLLM gives log-probabilities of a whole prompt, and computes a row of logits for each of its tokens unless its
prefix cache holds them. So each context is read first, without asking for log-probabilities, and then each of
its answers behind the cached context: logits are made for the answer and what is left of the context's last
cache block. Log-probabilities of cached tokens are never filled in by vLLM; an answer that was cached itself,
because another one starts like it, is computed again without the cache.
"""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from itertools import count, groupby
from pathlib import Path
from typing import Any

import vllm
from lm_eval.models.utils import postprocess_generated_text
from lm_eval.models.vllm_causallms import VLLM
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig
from vllm.distributed.parallel_state import cleanup_dist_env_and_memory
from vllm.engine.arg_utils import EngineArgs
from vllm.platforms import current_platform

from densing.core.errors import InputError
from densing.core.progress import console
from densing.measure.boundary import Boundary, Encoded
from densing.measure.engines.base import Engine
from densing.measure.weights import adapter_rank

LOGITS_BYTES = (512 << 20) if current_platform.is_cpu() else (2 << 30)
"""Budget for rows of logits as wide as the vocabulary, with the copies that vLLM makes of them."""
COPIES_OF_LOGITS = 3
LOGITS_WORTH_SAVING = 1 << 20
"""A context is read on its own if that saves this many logits; a request more costs about as much."""
JOBS_IN_FLIGHT = 256
"""As many as vLLM runs at once by default; more would read contexts long before their answers are scored."""
SECONDS_BETWEEN_PIECES = 2.0
ADAPTER_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What every vLLM from 0.10 on takes as `max_lora_rank`."""
CPU_OPTIONS = {
    "block_size": 32,
    "enforce_eager": True,
    "distributed_executor_backend": "uni",
    "gpu_memory_utilization": 0.3,
}
"""The smallest cache blocks that attention on a CPU knows, since they share the most; nothing compiled, and no
processes beside this one, which would take longer to start than most measurements."""


@dataclass(frozen=True)
class _Job:
    """A prompt for vLLM and the request that it answers; None if it only fills the cache, for those that follow."""

    index: int | None
    prompt: tuple[int, ...]
    params: Any
    followers: list[_Job] = field(default_factory=list)


class VllmEngine(Engine, VLLM):  # type: ignore[misc]
    """lm-eval's vLLM model, scoring answers behind cached contexts.

    Parameters
    ----------
    pretrained : str
        The model's folder.
    allow_truncated : bool
        See `Engine`.
    add_bos_token : bool, optional
        Put the BOS token first, or no token, whatever the tokeniser does (see `boundary`).
    **options
        What lm-eval's `vllm` model and `vllm.LLM` take: dtype, tensor_parallel_size, data_parallel_size,
        gpu_memory_utilization, max_model_len, lora_local_path, ...

    Raises
    ------
    InputError
        If vLLM cannot apply the adapter.
    """

    def __init__(
        self, pretrained: str, *, allow_truncated: bool = False, add_bos_token: bool | None = None, **options: Any
    ) -> None:
        options.pop("batch_size", None)  # lm-eval always gives one; vLLM batches by itself
        if current_platform.is_cpu():
            options = CPU_OPTIONS | {name: value for name, value in options.items() if name != "device"}
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        if "peft" in options:
            raise InputError(
                "vLLM takes an adapter by another name; give --option lora_local_path=FOLDER, in place of peft"
            )
        adapter = options.get("lora_local_path")
        if adapter:
            options = _adapter_options(Path(adapter)) | options
        text_config = AutoConfig.from_pretrained(
            pretrained, trust_remote_code=options.get("trust_remote_code", False)
        ).get_text_config()
        self.vocabulary = self._vocabulary = int(text_config.vocab_size)
        rows = max(1, LOGITS_BYTES // (4 * COPIES_OF_LOGITS * self._vocabulary))
        if rows < (options.get("max_model_len") or text_config.max_position_embeddings):
            # A prompt's logits are made at once for as many of its tokens as are read at once.
            options.setdefault("max_num_batched_tokens", max(rows, JOBS_IN_FLIGHT))
        options.setdefault("enable_prefix_caching", True)
        super().__init__(pretrained, batch_size=1, add_bos_token=add_bos_token, **options)
        if adapter and self.data_parallel_size == 1:
            self._load_adapter()
        self.boundary = Boundary(self.tokenizer, add_bos_token)
        self.allow_truncated = allow_truncated
        self.truncated = set()
        known = getattr(vllm.SamplingParams, "__struct_fields__", ())
        self._flat = {"flat_logprobs": True} if "flat_logprobs" in known else {}
        self._reads_cache = "skip_reading_prefix_cache" in known and self.data_parallel_size == 1
        if not self._reads_cache:
            which = " with data parallelism" if self.data_parallel_size > 1 else ""
            console.print(
                f"vLLM {version('vllm')}{which} does not read its prefix cache for log-probabilities; "
                "contexts are computed anew for each answer"
            )

    def _load_adapter(self) -> None:
        """Now, so that an adapter which vLLM cannot apply is named before anything is computed."""
        try:
            loaded = self.model.llm_engine.add_lora(self.lora_request)
        except Exception as error:
            reason = str(error)
        else:
            if loaded:
                return
            reason = "it was not loaded"
        self.close()
        raise InputError(
            f"{self.lora_request.lora_path}: vLLM cannot apply this adapter ({reason}); "
            "use --engine torch --option peft=FOLDER, or merge the adapter into the model's weights"
        )

    @property
    def longest_request(self) -> int:
        """Context and answer; vLLM must have room to generate a token behind them."""
        return int(self.max_length) - 1

    def _answer_stream(
        self, requests: Sequence[Encoded], known: AbstractSet[int]
    ) -> Iterator[dict[int, tuple[float, bool]]]:
        # Side by side, requests that start alike find each other's cache blocks.
        order = sorted(set(range(len(requests))) - known, key=lambda i: (requests[i].context, requests[i].answer))
        again: list[int] = []
        for outputs in self._run(self._jobs(requests, order)):
            results = {}
            for index, output in outputs.items():
                if output.num_cached_tokens and output.num_cached_tokens >= len(requests[index].context):
                    again.append(index)  # its own first tokens were cached, and came without log-probabilities
                else:
                    results[index] = _read(output.prompt_logprobs, requests[index].answer)
            yield results
        without_cache = self._answer_params(skip_reading_prefix_cache=True) if again else None
        jobs = [_Job(index, requests[index].context + requests[index].answer, without_cache) for index in again]
        for outputs in self._run(jobs):
            yield {index: _read(output.prompt_logprobs, requests[index].answer) for index, output in outputs.items()}

    def _jobs(self, requests: Sequence[Encoded], order: Sequence[int]) -> list[_Job]:
        if not self._reads_cache:
            return [_Job(i, requests[i].context + requests[i].answer, self._answer_params()) for i in order]
        params = self._answer_params(skip_reading_prefix_cache=False)
        only_read = vllm.SamplingParams(temperature=0, max_tokens=1, detokenize=False)
        jobs: list[_Job] = []
        for context, indices in groupby(order, key=lambda index: requests[index].context):
            answers = [_Job(index, context + requests[index].answer, params) for index in indices]
            saves = len(context) * self._vocabulary >= LOGITS_WORTH_SAVING
            jobs += [_Job(None, context, only_read, answers)] if saves else answers
        return jobs

    def _answer_params(self, **options: Any) -> Any:
        return vllm.SamplingParams(
            temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False, **self._flat, **options
        )

    def _text_stream(
        self, prompts: Sequence[tuple[int, ...]], settings: Sequence[dict[str, Any]], known: AbstractSet[int]
    ) -> Iterator[dict[int, str]]:
        eos = self.tokenizer.decode(self.eot_token_id)
        ends: dict[int, list[str]] = {}
        jobs = []
        for index in sorted(set(range(len(prompts))) - known, key=lambda i: prompts[i]):
            options, ends[index], most = self.modify_gen_kwargs(settings[index], eos, self.max_gen_toks)
            params = vllm.SamplingParams(max_tokens=most, stop=ends[index], **options)
            jobs.append(_Job(index, prompts[index], params))
        for outputs in self._run(jobs):
            # vLLM's own text lacks the last bytes where they are not yet a whole character.
            texts = {
                index: self.tokenizer.decode(output.outputs[0].token_ids, skip_special_tokens=True)
                for index, output in outputs.items()
            }
            yield {index: postprocess_generated_text(text, ends[index], None) for index, text in texts.items()}

    def _run(self, jobs: Sequence[_Job]) -> Iterator[dict[int, Any]]:
        """Outputs by request, every few seconds those that are finished."""
        if self.data_parallel_size > 1:  # lm-eval starts the replicas for each call, so there is one call
            outputs = self._model_generate(
                [list(job.prompt) for job in jobs], generate=True, sampling_params=[job.params for job in jobs]
            )
            yield {job.index: output for job, output in zip(jobs, outputs, strict=True) if job.index is not None}
            return
        engine = self.model.llm_engine
        waiting = deque(jobs)
        running: dict[str, _Job] = {}
        names = count()
        piece: dict[int, Any] = {}
        since = time.monotonic()
        try:
            while waiting or running:
                while waiting and len(running) < JOBS_IN_FLIGHT:
                    job, name = waiting.popleft(), str(next(names))
                    prompt = vllm.TokensPrompt(prompt_token_ids=list(job.prompt))
                    engine.add_request(name, prompt, job.params, lora_request=self.lora_request)
                    running[name] = job
                for output in engine.step():
                    if output.finished:
                        job = running.pop(output.request_id)
                        waiting.extendleft(reversed(job.followers))  # while their context is in the cache
                        if job.index is not None:
                            piece[job.index] = output
                if piece and time.monotonic() - since > SECONDS_BETWEEN_PIECES:
                    yield piece
                    piece, since = {}, time.monotonic()
            yield piece
        finally:  # a run that stops here leaves nothing behind in the engine
            if running:
                engine.abort_request(list(running))

    def _tokens_to_generate(self, settings: dict[str, Any]) -> int:
        return int(self.modify_gen_kwargs(settings, None, self.max_gen_toks)[2])

    def fingerprint(self) -> dict[str, Any]:
        """Engine, versions, precision and tokenisation."""
        return {
            "engine": "vllm",
            "versions": {name: version(name) for name in ("vllm", "torch")},
            "dtype": self._dtype(),
            "device": current_platform.device_type,
            "tensor_parallel_size": self.tensor_parallel_size,
            "reads_prefix_cache": self._reads_cache,
            "max_length": int(self.max_length),
            **self.boundary.rules,
        }

    def _dtype(self) -> str:
        if self.data_parallel_size > 1:
            return str(self.model_args["dtype"])
        return str(self.model.llm_engine.model_config.dtype).removeprefix("torch.")

    def start_anew(self) -> None:
        """Forget the contexts in the prefix cache as well."""
        super().start_anew()
        if self.data_parallel_size == 1:
            self.model.reset_prefix_cache()

    def close(self) -> None:
        """Free the model's memory, so that another engine can start in this process."""
        if self.data_parallel_size == 1:
            del self.model
        cleanup_dist_env_and_memory()
        gc.collect()


def _adapter_options(adapter: Path) -> dict[str, Any]:
    """Room for the adapter's rank, and for its layers alone.

    Given no names of layers, vLLM also prepares the output layer, whose adapter it looks up by the sequences that
    generate a token: that is wrong for the log-probabilities of a prompt, and fails on a CPU.
    """
    try:
        rank = adapter_rank(adapter)
        if rank is None:
            raise ValueError("it has no rank, r")
        with safe_open(adapter / "adapter_model.safetensors", "pt") as tensors:
            layers = sorted({name.partition(".lora_")[0].rpartition(".")[2] for name in tensors.keys()})  # noqa: SIM118
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{adapter}: not a LoRA adapter as peft writes one, with adapter_config.json and "
            f"adapter_model.safetensors ({error})"
        ) from error
    instead = "merge the adapter into the model's weights, or use --engine torch --option peft=FOLDER"
    if rank > ADAPTER_RANKS[-1]:
        raise InputError(f"{adapter}: the rank {rank} is above vLLM's highest, {ADAPTER_RANKS[-1]}; {instead}")
    if "lm_head" in layers:
        raise InputError(f"{adapter}: vLLM cannot score with an adapter of the output layer, lm_head; {instead}")
    options: dict[str, Any] = {"max_lora_rank": next(room for room in ADAPTER_RANKS if room >= rank)}
    if "lora_target_modules" in {known.name for known in fields(EngineArgs)}:
        options["lora_target_modules"] = layers
    return options


def _read(prompt_logprobs: Any, answer: tuple[int, ...]) -> tuple[float, bool]:
    """Sum and greediness of the last tokens of a prompt, from flat log-probabilities or a list of mappings."""
    count = len(answer)
    if hasattr(prompt_logprobs, "logprobs"):
        logprobs, ranks = prompt_logprobs.logprobs[-count:], prompt_logprobs.ranks[-count:]
    else:
        entries = [entry[token] for entry, token in zip(prompt_logprobs[-count:], answer, strict=True)]
        logprobs, ranks = [entry.logprob for entry in entries], [entry.rank for entry in entries]
    return float(sum(logprobs)), all(rank == 1 for rank in ranks)
