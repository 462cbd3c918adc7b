"""pytest tests/measure/test_torch_engine.py

Whatever is shared, cut or batched: the results are those of every request alone, and of lm-eval's own hf.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from densing.core.errors import DensingError, InputError
from densing.measure.boundary import Encoded
from densing.measure.engines.sharing import Way
from densing.measure.engines.torch_engine import TorchEngine
from tests.measure.models import CONTEXT, byte_level, save_llama
from tests.measure.requests import Pair, instances, long_answers, multiple_choice, nested

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
"""Nats per token."""


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> TorchEngine:
    return TorchEngine(str(checkpoint), device="cpu", dtype="float32", batch_tokens=1500)


@pytest.fixture(scope="module")
def hf(checkpoint: Path) -> HFLM:
    return HFLM(str(checkpoint), device="cpu", dtype="float32", batch_size=16)


@pytest.fixture(scope="module")
def pairs(texts: list[str]) -> list[Pair]:
    """Of three tasks, and the awkward ones."""
    return [
        *multiple_choice(texts, 30, 5),
        *multiple_choice(texts, 20, 3, drawn=True),
        *multiple_choice(texts, 15, 0),
        *long_answers(texts, 40),
        *nested(texts),
    ]


def alone(engine: TorchEngine, pair: Pair) -> tuple[float, bool, int, int]:
    """Log-probability, greediness, tokens and bytes by one plain forward pass in float64."""
    (encoded,) = engine.boundary.encode_pairs([pair])
    tokens = [*encoded.context, *encoded.answer]
    with torch.inference_mode():
        logits = engine.model(torch.tensor([tokens])).logits[0, len(encoded.context) - 1 : -1].double()
    answer = torch.tensor(encoded.answer)
    logprobs = logits.log_softmax(1).gather(1, answer[:, None])
    return float(logprobs.sum()), bool((logits.argmax(1) == answer).all()), len(answer), encoded.answer_bytes


def test_scored_together_as_alone(engine: TorchEngine, pairs: list[Pair]) -> None:
    for pair, answer in zip(pairs, engine.loglikelihood(instances(pairs)), strict=True):
        logprob, greedy, tokens, bytes_ = alone(engine, pair)
        assert (answer.tokens, answer.bytes) == (tokens, bytes_)
        assert answer[0] == pytest.approx(logprob, abs=TOLERANCE * tokens)
        assert answer[1] == greedy


def test_scored_as_by_lm_eval(engine: TorchEngine, hf: HFLM, pairs: list[Pair]) -> None:
    """Where both mean the same string: lm-eval knows no tokens that span the end of the context."""
    encoded = engine.boundary.encode_pairs(pairs)
    same = [p for p, e in zip(pairs, encoded, strict=True) if p[0] and e.answer_bytes == len(p[1].encode())]
    same = [pair for pair in same if not pair[0].endswith(" ")]
    assert len(same) > 300
    theirs = hf.loglikelihood(instances(same), disable_tqdm=True)
    for ours, rival in zip(engine.loglikelihood(instances(same)), theirs, strict=True):
        assert ours[0] == pytest.approx(rival[0], abs=TOLERANCE * ours.tokens)
        assert ours[1] == rival[1]


def test_whole_texts_as_by_lm_eval(engine: TorchEngine, hf: HFLM, texts: list[str]) -> None:
    """Three of them several times as long as the context."""
    whole = instances([(text[:3500],) for text in texts[:3]] + [("a",)], "loglikelihood_rolling")
    ours, theirs = engine.loglikelihood_rolling(whole), hf.loglikelihood_rolling(whole, disable_tqdm=True)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"until": ["\n"], "max_gen_toks": 24, "do_sample": False},
        {"until": ["e", "=="], "max_gen_toks": 60},
        {"until": [], "max_gen_toks": 12, "num_beams": 2},
    ],
    ids=["line", "stop texts", "beams"],
)
def test_continued_as_by_lm_eval(
    engine: TorchEngine, hf: HFLM, pairs: list[Pair], settings: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = list(dict.fromkeys(context for context, _ in pairs if context))[::4]
    asked = instances([(prompt, settings) for prompt in prompts], "generate_until")
    monkeypatch.setattr(hf, "batch_size_per_gpu", 1)  # when it stops beams depends on the batch
    ours, theirs = engine.generate_until(asked), hf.generate_until(asked, disable_tqdm=True)
    assert ours == theirs
    assert len(set(ours)) > 5


def test_half_precision_differs_by_its_rounding_alone(checkpoint: Path, pairs: list[Pair]) -> None:
    engine = TorchEngine(str(checkpoint), device="cpu", dtype="bfloat16")
    assert engine.fingerprint()["dtype"] == "bfloat16"
    exact = TorchEngine(str(checkpoint), device="cpu", dtype="float32")
    few = instances(pairs[::10])
    answers = zip(engine.loglikelihood(few), exact.loglikelihood(few), strict=True)
    differences = [abs(rough[0] - fine[0]) / fine.tokens for rough, fine in answers]
    assert 0 < np.mean(differences) < 0.05


def save_other(kind: str, folder: Path, tokenizer: object) -> Path:
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        MambaConfig,
        MambaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
    )

    shape = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.15}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64}
    torch.manual_seed(0)
    model = {
        "learned positions": lambda: GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=CONTEXT, initializer_range=0.15
            )
        ),
        "sliding window": lambda: MistralForCausalLM(MistralConfig(**shape, **heads, sliding_window=20)),
        "no attention": lambda: MambaForCausalLM(MambaConfig(**shape)),
    }[kind]()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["learned positions", "sliding window", "no attention"])
def test_other_architectures_share_what_they_can(kind: str, texts: list[str], tmp_path: Path) -> None:
    tokenizer = byte_level(texts[:10], 300)
    other = TorchEngine(str(save_other(kind, tmp_path, tokenizer)), device="cpu", dtype="float32", max_length=CONTEXT)
    shares = other.sharing.way(0, 2, 20) is Way.SHARED
    assert shares == (kind != "no attention")
    pairs = [*multiple_choice(texts, 6, 2), *nested(texts)]
    for pair, answer in zip(pairs, other.loglikelihood(instances(pairs)), strict=True):
        logprob, _, tokens, _ = alone(other, pair)
        assert answer[0] == pytest.approx(logprob, abs=TOLERANCE * tokens)


def test_too_long_is_an_error_or_counted(checkpoint: Path, texts: list[str]) -> None:
    asked = instances([("short", " answer"), (texts[0][:3000], " answer"), (texts[1][:3000], " answer")])
    strict = TorchEngine(str(checkpoint), device="cpu")
    with pytest.raises(InputError, match=r"2 of 3 requests .* 512 tokens \(task item 1, task item 2\).*--allow-trunc"):
        strict.loglikelihood(asked)
    lenient = TorchEngine(str(checkpoint), device="cpu", allow_truncated=True)
    answers = lenient.loglikelihood(asked)
    assert lenient.truncated == {"task item 1", "task item 2"}
    encoded = lenient.boundary.encode_pairs([asked[1].args])[0]
    kept = CONTEXT + 1 - len(encoded.answer)  # the last answer token is predicted, never read
    tokens = [*encoded.context[-kept:], *encoded.answer]
    with torch.inference_mode():
        logprobs = lenient.model(torch.tensor([tokens[:-1]])).logits[0].double().log_softmax(1)
    expected = sum(float(logprobs[kept - 1 + i, token]) for i, token in enumerate(encoded.answer))
    assert answers[1][0] == pytest.approx(expected, abs=TOLERANCE * len(encoded.answer))
    with pytest.raises(InputError, match="task item 0: the answer alone is longer"):
        lenient.loglikelihood(instances([("a", texts[0][:3000])]))


def test_the_first_token_survives_the_cut(texts: list[str], tmp_path: Path) -> None:
    """What every text starts with, BOS here, stays in front of what is left of a context that is too long."""
    tokenizer = byte_level(texts[:10], 300, bos=True)
    engine = TorchEngine(str(save_llama(tmp_path, tokenizer)), device="cpu", dtype="float32", allow_truncated=True)
    (answer,) = engine.loglikelihood(instances([(texts[0][:3000], " answer")]))
    (encoded,) = engine.boundary.encode_pairs([(texts[0][:3000], " answer")])
    assert encoded.context[0] == tokenizer.bos_token_id
    kept = CONTEXT + 1 - len(encoded.answer) - 1
    expected, _ = read_alone(engine.model, Encoded((0, *encoded.context[-kept:]), encoded.answer))
    assert answer[0] == pytest.approx(expected, abs=TOLERANCE * answer.tokens)


def test_as_long_as_the_context_is_not_too_long(checkpoint: Path) -> None:
    """A context of 512 tokens reads 512: the last answer token is only predicted."""
    engine = TorchEngine(str(checkpoint), device="cpu")
    word = next(t for t in range(300) if len(engine.tokenizer("x = " * t)["input_ids"]) > CONTEXT + 8)
    tokens = engine.tokenizer("x = " * word)["input_ids"]
    fitting = engine.tokenizer.decode(tokens[:CONTEXT]), engine.tokenizer.decode(tokens[CONTEXT : CONTEXT + 1])
    (encoded,) = engine.boundary.encode_pairs([fitting])
    assert len(encoded.context) + len(encoded.answer) == CONTEXT + 1
    engine.loglikelihood(instances([fitting]))
    assert engine.truncated == set()


def test_an_empty_answer_names_its_item(engine: TorchEngine) -> None:
    with pytest.raises(InputError, match="task item 1: the answer is empty"):
        engine.loglikelihood(instances([("a", " b"), ("a", "")]))


def test_nan_names_its_item_and_fails(texts: list[str], tmp_path: Path) -> None:
    """Weights so large that the rare token x overflows."""
    tokenizer = byte_level(texts[:10], 300)
    engine = TorchEngine(str(save_llama(tmp_path, tokenizer)), device="cpu", dtype="float32")
    with torch.no_grad():
        engine.model.get_input_embeddings().weight[tokenizer("~")["input_ids"][0]] = torch.nan
    with pytest.raises(DensingError, match=r"task item 1: the log-probability is nan.*nothing of its batch was kept"):
        engine.loglikelihood(instances([("a", " b"), ("a ~ b", " c")]))


# models that compute otherwise beyond some length

CHANGE = 64


def save_long(kind: str, folder: Path, tokenizer: object) -> Path:
    """Models that the first 64 tokens show nothing of."""
    from transformers import (
        GPTNeoConfig,
        GPTNeoForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Phi3Config,
        Phi3ForCausalLM,
    )

    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "initializer_range": 0.3,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    longrope = {
        "rope_type": "longrope",
        "short_factor": [1.0] * 8,
        "long_factor": [4.0] * 8,
        "original_max_position_embeddings": CHANGE,
    }
    torch.manual_seed(0)
    model = {
        "longrope": lambda: Phi3ForCausalLM(
            Phi3Config(**shape, original_max_position_embeddings=CHANGE, rope_parameters=longrope)
        ),
        "dynamic": lambda: LlamaForCausalLM(
            LlamaConfig(
                **shape | {"max_position_embeddings": CHANGE}, rope_parameters={"rope_type": "dynamic", "factor": 8.0}
            )
        ),
        "window": lambda: MistralForCausalLM(MistralConfig(**shape, sliding_window=CHANGE)),
        "window without a known name": lambda: GPTNeoForCausalLM(
            GPTNeoConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                num_layers=2,
                attention_types=[[["global", "local"], 1]],
                num_heads=2,
                window_size=CHANGE,
                max_position_embeddings=CONTEXT,
                initializer_range=0.3,
            )
        ),
    }[kind]()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def read_alone(untouched: torch.nn.Module, encoded: object) -> tuple[float, bool]:
    """As `alone`, by a model that has read nothing before, of what lm-eval lets it read."""
    model = copy.deepcopy(untouched)
    tokens, answer = [*encoded.context, *encoded.answer], torch.tensor(encoded.answer)
    with torch.inference_mode():
        logits = model(torch.tensor([tokens[:-1]])).logits[0, len(encoded.context) - 1 :].double()
    logprobs = logits.log_softmax(1).gather(1, answer[:, None])
    return float(logprobs.sum()), bool((logits.argmax(1) == answer).all())


def mixed_lengths(texts: list[str]) -> list[Pair]:
    """Short and long, with shared starts that end on both sides of the change, and options."""
    head = texts[3][:260]
    return [
        *multiple_choice(texts, 4, 0),
        *[
            (head[:cut] + end, answer)
            for cut in (30, 80, 130, 260)
            for end in ("a", "b =")
            for answer in (" x", " yz(")
        ],
        *[(head[:40] + text[:150], " x = y" * 6) for text in texts[5:8]],
        ("x", texts[0][:200]),
        *multiple_choice(texts, 2, 2),
    ]


@pytest.mark.parametrize("kind", ["longrope", "dynamic", "window", "window without a known name"])
def test_nothing_depends_on_what_shares_its_batch(kind: str, texts: list[str], tmp_path: Path) -> None:
    folder = save_long(kind, tmp_path, byte_level(texts[:10], 300))
    engine = TorchEngine(str(folder), device="cpu", dtype="float32", max_length=CONTEXT)
    pairs = mixed_lengths(texts)
    encoded = engine.boundary.encode_pairs(pairs)
    lengths = [len(one.context) + len(one.answer) - 1 for one in encoded]
    assert min(lengths) < CHANGE < max(lengths)
    untouched = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    expected = [read_alone(untouched, one) for one in encoded]
    backwards = engine.loglikelihood(instances(pairs[::-1]))[::-1]
    singly = [engine.loglikelihood(instances([pair]))[0] for pair in pairs[::3]]
    answers = engine.loglikelihood(instances(pairs))
    asked = expected + expected + expected[::3]
    for ours, (logprob, greedy) in zip([*answers, *backwards, *singly], asked, strict=True):
        assert ours[0] == pytest.approx(logprob, abs=TOLERANCE * ours.tokens)
        assert ours[1] == greedy


@pytest.mark.parametrize("kind", ["longrope", "dynamic", "window"])
def test_continued_as_alone_whatever_the_length(kind: str, texts: list[str], tmp_path: Path) -> None:
    """Some end before the change, some begin behind it, some pass it while they are written."""
    folder = save_long(kind, tmp_path, byte_level(texts[:10], 300))
    engine = TorchEngine(str(folder), device="cpu", dtype="float32", max_length=CONTEXT)
    prompts = [texts[number][: 12 * number + 4] for number in range(12)]
    settings = {"until": ["no such text"], "max_gen_toks": 20, "do_sample": False}
    untouched = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    expected = []
    for prompt in prompts:
        model = copy.deepcopy(untouched)
        tokens = torch.tensor([engine.tokenizer(prompt)["input_ids"]])
        written = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=20, do_sample=False)
        expected.append(engine.tokenizer.decode(written[0, tokens.shape[1] :], skip_special_tokens=True))
    for order in (1, -1):
        asked = instances([(prompt, settings) for prompt in prompts[::order]], "generate_until")
        assert engine.generate_until(asked)[::order] == expected
    assert len(set(expected)) > 8


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_common_models_share(dtype: str, checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    """At all lengths; and those that change, up to there."""
    engine = TorchEngine(str(checkpoint), device="cpu", dtype=dtype)
    assert engine.sharing.way(0, 2, 40) is Way.SHARED
    assert engine.sharing.way(0, 2, CONTEXT) is Way.SHARED
    long = TorchEngine(str(save_long("longrope", tmp_path, byte_level(texts[:10], 300))), device="cpu", dtype=dtype)
    ways = [way for way, _ in long.sharing.parts([10, CHANGE, CHANGE + 1, CONTEXT], set())]
    assert ways == [Way.SHARED, Way.PADDED]


# memory, and the model's own settings


def test_batches_are_halved_where_memory_runs_out(
    checkpoint: Path, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that has no memory for more than 200 tokens at once gives the same answers, and says what it does."""
    from densing.measure.engines.torch_forward import TreeModel

    few = pairs[::12]
    whole = TorchEngine(str(checkpoint), device="cpu", dtype="float32").loglikelihood(instances(few))
    small = TorchEngine(str(checkpoint), device="cpu", dtype="float32")
    assert small.limits.batch_tokens > 1000
    forward = TreeModel.forward

    def limited(self: TreeModel, tokens: torch.Tensor, *rest: object, **options: object) -> object:
        if tokens.numel() > 200 and tokens.shape[0] > 1:
            raise torch.OutOfMemoryError("no memory for this")
        return forward(self, tokens, *rest, **options)

    monkeypatch.setattr(TreeModel, "forward", limited)
    assert [answer[0] for answer in small.loglikelihood(instances(few))] == pytest.approx(
        [answer[0] for answer in whole], abs=1e-3
    )
    assert small.limits.batch_tokens < 1000


def test_memory_that_never_suffices_is_an_error(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from densing.measure.engines.torch_forward import TreeModel

    engine = TorchEngine(str(checkpoint), device="cpu", dtype="float32")
    engine.loglikelihood(instances([("a", " b")]))  # what may be shared is tried first

    def never(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(TreeModel, "score", never)
    with pytest.raises(DensingError, match=r"tokens at once are too many for the memory .*; use --dtype bfloat16"):
        engine.loglikelihood(instances([("a", " b")]))


def test_keys_and_values_keep_to_a_budget_by_the_models_shape() -> None:
    """A 7B with 32 layers of 32 heads of 128 keeps 512 KiB a token in 16 bits; a quarter of the heads, a quarter."""
    from types import SimpleNamespace

    from densing.measure.engines.batching import Limits
    from densing.measure.engines.torch_engine import kept_bytes

    shape = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}
    assert kept_bytes(SimpleNamespace(**shape), torch.bfloat16) == 512 << 10
    assert kept_bytes(SimpleNamespace(**shape, num_key_value_heads=8), torch.bfloat16) == 128 << 10
    assert Limits(16384, 1, 1).kept_tokens == 8 * 16384
    assert Limits(16384, 1, 1, (4 << 30) // (512 << 10)).kept_tokens == 8192


def test_the_models_own_generation_settings_are_honoured(texts: list[str], tmp_path: Path) -> None:
    """A repetition penalty in generation_config.json, as lm-eval honours it."""
    folder = save_llama(tmp_path, byte_level(texts[:10], 300))
    settings = {"until": ["no such text"], "max_gen_toks": 12, "do_sample": False}
    asked = instances([(text[:30], settings) for text in texts[:6]], "generate_until")
    plain = TorchEngine(str(folder), device="cpu", dtype="float32").generate_until(asked)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"repetition_penalty": 5.0}))
    ours = TorchEngine(str(folder), device="cpu", dtype="float32").generate_until(asked)
    theirs = HFLM(str(folder), device="cpu", dtype="float32", batch_size=1).generate_until(asked, disable_tqdm=True)
    assert ours == theirs != plain


def test_several_gpus_and_several_processes_are_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is loaded, with what does the same."""
    from densing.measure.run import measure
    from densing.measure.suites import load_suite

    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"instruction": "import", "answer": " os"}))
    suite = load_suite("jsonl", documents=items)
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda.device_count", lambda: 2)
        with pytest.raises(InputError, match="--engine vllm --option tensor_parallel_size=2"):
            measure(checkpoint, suite, out=tmp_path / "out", parallelize=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"this is one of 2 \(accelerate launch or torchrun\).*`densing sweep`"):
        measure(checkpoint, suite, out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*/jsonl"))
