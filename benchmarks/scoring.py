"""Scoring speed beside lm-eval's own: the same model, requests and process, run in turn.

python benchmarks/scoring.py torch       # beside lm-eval hf
python benchmarks/scoring.py vllm        # beside lm-eval vllm, in the environment that has it
python benchmarks/scoring.py torch --threads 1 # on a machine that does other things too

The torch engine is compared with lm-eval's `hf` at its best batch size, the vllm engine with lm-eval's `vllm`
on one and the same `vllm.LLM`. The model is a randomly initialised Llama whose output layer holds a fifth of
the parameters, as in a model of 1B; requests are cut from the standard library's source.
"""

from __future__ import annotations

import argparse
import os
import random
import sysconfig
import tempfile
import time
from functools import partial
from pathlib import Path

from common import paired, seconds, table, write

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

BATCH_SIZES = (1, 8, 64)
VOCABULARY = 2048
WIDE_VOCABULARY = 32000
CONTEXT = 4096
SHOTS = (0, 5, 25)
QUESTIONS = 16
LONG_ANSWERS = 24


def source():
    """Source text of the standard library's own modules."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def make_model(folder, text, vocabulary):
    """A randomly initialised Llama with a tokeniser trained on the text."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def cut(text, generator, length):
    """A piece of the text without white space at its ends."""
    while True:
        start = generator.randrange(len(text) - length)
        piece = text[start : start + length].strip()
        if len(piece) > length // 2:
            return piece


def multiple_choice(text, shots, drawn=False):
    """Questions of 300 characters with four options of 24, behind worked examples: the same, or drawn for each."""
    generator = random.Random(0)
    example = lambda: f"{cut(text, generator, 300)}\nnext: {cut(text, generator, 24)}\n\n"  # noqa: E731
    pool = [example() for _ in range(4 * max(shots, 1))]
    requests = []
    for _ in range(QUESTIONS):
        examples = generator.sample(pool, shots) if drawn else pool[:shots]
        question = "".join(examples) + cut(text, generator, 300) + "\nnext:"
        requests += [(question, " " + cut(text, generator, 24)) for _ in range(4)]
    return instances(requests)


def long_answers(text):
    """Answers of 300 to 1,500 characters to instructions of 300."""
    generator = random.Random(0)
    return instances(
        [
            (cut(text, generator, 300), "\n" + cut(text, generator, generator.randrange(300, 1500)))
            for _ in range(LONG_ANSWERS)
        ]
    )


def instances(pairs):
    from lm_eval.api.instance import Instance

    return [Instance("loglikelihood", {}, pair, 0, metadata=("benchmark", n, 1)) for n, pair in enumerate(pairs)]


def difference(ours, theirs):
    """Largest difference of a request, nats per token."""
    return max(abs(a[0] - b[0]) / a.tokens for a, b in zip(ours, theirs, strict=True))


def compare(score, rivals, text):
    """Ratios on each kind of requests, each rival's best setting found by one run before the rounds."""
    kinds = {
        "5-shot, 4 options": multiple_choice(text, 5),
        "5-shot drawn per question, 4 options": multiple_choice(text, 5, drawn=True),
        "long answers, 0-shot": long_answers(text),
    }
    found = {}
    for kind, requests in kinds.items():
        score(requests)  # warm
        times, answers = {}, {}
        for name, rival in rivals.items():
            start = time.perf_counter()
            answers[name] = rival(requests)
            times[name] = time.perf_counter() - start
        best = min(times, key=times.get)
        ours, theirs, ratio = paired(partial(score, requests), partial(rivals[best], requests))
        found[kind] = {
            "requests": len(requests),
            "ours_per_s": len(requests) / ours,
            "rival": best,
            "rival_per_s": len(requests) / theirs,
            "ratio": ratio,
            "largest_difference": difference(score(requests), answers[best]),
        }
        print(f"{kind}: {ratio:.2f} times {best}", flush=True)
    return found


def growth(score, text):
    """Requests per second against the number of shots."""
    rates = {}
    for shots in SHOTS:
        requests = multiple_choice(text, shots)
        rates[str(shots)] = len(requests) / min(seconds(partial(score, requests), 3))
    return rates


def torch_engine(folder, text):
    from lm_eval.models.huggingface import HFLM

    from densing.measure.engines.torch_engine import TorchEngine

    model = make_model(folder / "small", text, VOCABULARY)
    ours = TorchEngine(str(model), device="cpu", dtype="float32")
    theirs = HFLM(str(model), device="cpu", dtype="float32", batch_size=1)

    def rival(size, requests):
        theirs.batch_size_per_gpu = size
        return theirs.loglikelihood(requests, disable_tqdm=True)

    rivals = {f"lm-eval hf, batch {size}": partial(rival, size) for size in BATCH_SIZES}
    return {"compared": compare(ours.loglikelihood, rivals, text), "per_s_by_shots": growth(ours.loglikelihood, text)}


def vllm_engine(folder, text):
    from lm_eval.models.vllm_causallms import VLLM

    from densing.measure.engines.vllm_engine import VllmEngine

    def cold(engine, score, requests):
        engine.model.reset_prefix_cache()
        return score(requests)

    ours = VllmEngine(str(make_model(folder / "small", text, VOCABULARY)), dtype="float32", max_model_len=CONTEXT)
    ours.batch_size = "auto"  # of lm-eval's way, which takes all requests at once
    score = partial(cold, ours, ours.loglikelihood)
    rivals = {"lm-eval vllm": partial(cold, ours, lambda requests: VLLM.loglikelihood(ours, requests))}
    found = {"compared": compare(score, rivals, text), "per_s_by_shots": growth(score, text)}
    ours.close()
    wide = VllmEngine(str(make_model(folder / "wide", text, WIDE_VOCABULARY)), dtype="float32", max_model_len=CONTEXT)
    found["logits_mb_by_context"] = logits_memory(wide, text)
    return found


def logits_memory(engine, text):
    """Largest block of logits for contexts of growing length: ours, and as lm-eval asks for them."""
    from lm_eval.models.vllm_causallms import VLLM

    runner = engine.model.llm_engine.model_executor.driver_worker.worker.model_runner
    compute, largest = runner.model.compute_logits, [0]

    def watched(hidden_states, *arguments, **options):
        largest[0] = max(largest[0], len(hidden_states) * WIDE_VOCABULARY * 4)
        return compute(hidden_states, *arguments, **options)

    runner.model.compute_logits = watched
    generator = random.Random(0)
    sizes = {}
    for tokens in (250, 500, 1000, 2000):
        context = engine.tokenizer.decode(engine.tokenizer(cut(text, generator, 8 * tokens))["input_ids"][:tokens])
        requests = instances([(context.rstrip(), " " + cut(text, generator, 60)) for _ in range(4)])
        sizes[str(tokens)] = {}
        ways = {"ours": engine.loglikelihood, "lm-eval's requests": partial(VLLM.loglikelihood, engine)}
        for name, score in ways.items():
            largest[0] = 0
            engine.model.reset_prefix_cache()
            score(requests)
            sizes[str(tokens)][name] = largest[0] / 2**20
    runner.model.compute_logits = compute
    return sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=("torch", "vllm"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    run = {"torch": torch_engine, "vllm": vllm_engine}[arguments.engine]
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), source())
    rows = [
        [
            kind,
            f"{c['ours_per_s']:.0f}",
            f"{c['rival_per_s']:.0f}",
            c["rival"],
            f"{c['ratio']:.1f}",
            f"{c['largest_difference']:.0e}",
        ]
        for kind, c in found["compared"].items()
    ]
    header = [
        "requests",
        f"densing-{arguments.engine} /s",
        "lm-eval /s",
        "lm-eval's",
        "ratio",
        "largest Δ (nats/token)",
    ]
    print(table(rows, header))
    print("requests/s by shots:", {shots: round(rate) for shots, rate in found["per_s_by_shots"].items()})
    if "logits_mb_by_context" in found:
        print("MB of logits at once by context:", found["logits_mb_by_context"])
    write(f"scoring-{arguments.engine}", {"threads": arguments.threads, **found})


if __name__ == "__main__":
    main()
