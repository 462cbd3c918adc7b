"""Inputs of every command and reader, as they should be: the files of a folder, and the arguments of a command in it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from densing.core.artifacts import write_json
from densing.core.paths import CONFIGS, DATA

SCORES = [
    "--score",
    "mmlu=66.6",
    "--score",
    "bbh=61.1",
    "--score",
    "math=30",
    "--score",
    "humaneval=40",
    "--score",
    "mbpp=50",
]


MADE = 1_000_000_000
"""Time of every file of an input, in seconds since 1970."""


@dataclass(frozen=True)
class Input:
    """One call.

    Attributes
    ----------
    name : str
    arguments : list of str
        Of `densing`, run in the folder of the files.
    files : mapping from path to bytes
    spoil : str or None
        The file that is spoiled; the arguments where there is none.
    cost : float
        How much longer it takes than others; it is drawn that much less.
    code : int
        What it exits with as it should be.
    """

    name: str
    arguments: list[str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    spoil: str | None = None
    cost: float = 1
    code: int = 0


def _text(path: Path, lines: int | None = None) -> bytes:
    content = path.read_bytes()
    return content if lines is None else b"".join(content.splitlines(keepends=True)[:lines])


def _artifact(kind: str, payload: dict) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write_json(path, kind, payload, made_from={"x": "ab"}, seed=0)
        return path.read_bytes()


LM_EVAL = {
    "results": {
        "mmlu": {"acc,none": 0.6, "acc_stderr,none": 0.01, "alias": "mmlu"},
        "gsm8k": {"exact_match,strict-match": 0.4, "exact_match_stderr,strict-match": "N/A"},
        "leaderboard_bbh": {"acc_norm,none": 0.5},
    },
    "group_subtasks": {"mmlu": ["mmlu_anatomy"], "mmlu_anatomy": []},
    "configs": {"mmlu": {"num_fewshot": 5, "metadata": {"version": 1}}, "gsm8k": {"num_fewshot": 5}},
    "n-shot": {"mmlu": 5, "gsm8k": 5},
    "n-samples": {"mmlu": {"original": 100, "effective": 100}},
    "config": {"model": "hf", "model_args": "pretrained=a/b,revision=main", "limit": None, "num_fewshot": None},
    "model_name": "a/b",
    "samples": {"gsm8k": [{"doc_id": 0, "doc": {"id": "x"}, "filter": "none", "exact_match": 1.0,
                           "filtered_resps": [[-1.5, "False"]], "metrics": ["exact_match"]}]},
}  # fmt: skip
LIGHTEVAL = {
    "config_general": {"model_name": "a/b", "max_samples": None, "lighteval_sha": "abcdef", "model_config": {}},
    "results": {
        "leaderboard|mmlu:anatomy|5|0": {"acc": 0.6, "acc_stderr": 0.1},
        "mmlu|5": {"acc": 0.5},
        "all": {"acc": 1},
    },
    "config_tasks": {"mmlu|5": {"num_fewshots": 5, "effective_num_docs": 10}},
}
OPENCOMPASS = b"dataset,version,metric,mode,model-a,total_count\nmmlu,1a2b,accuracy,ppl,40.0 (200/500),500\nbbh,-,score,gen,55.1,\n"
PLAIN = b"model,benchmark,score,shots,metric\nA,mmlu,66.6,5,acc\nA,bbh,61.1,3 (CoT),score\nB,math,0.6%,-,score\n"
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 512, "hidden_size": 32,
    "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 32,
    "tie_word_embeddings": True, "text_config": None, "max_position_embeddings": 256,
}  # fmt: skip
ITEMS = b"".join(
    json.dumps({"id": f"i{n}", "instruction": "What is\n", "answer": "b", "choices": ["a", "b"]}).encode() + b"\n"
    for n in range(3)
)
TOKENS = b"name,tokens\ns1,3e8\ns2,2e9\n"


def _points(count: int = 12) -> bytes:
    rows = ["params,tokens,loss,weight,group,score,held_out"]
    for n in range(count):
        params, tokens = 1e7 * 4 ** (n // 4), 1e9 * 2 ** (n % 4)
        loss = 400 * params**-0.34 + 410 * tokens**-0.28 + 1.7
        rows.append(
            f"{params:g},{tokens:g},{loss:.5f},1,g{n // 4},{100 / (1 + np.exp(3 * (loss - 2.5))):.3f},{'no' if n else 'yes'}"
        )
    return ("\n".join(rows) + "\n").encode()


def _curve() -> bytes:
    rows = ["loss,score,held_out", *(f"{2.6 - n * 0.15:.2f},{25 + 65 / (1 + np.exp(6 - n)):.2f},no" for n in range(12))]
    return ("\n".join(rows) + "\n").encode()


def _frame_points() -> tuple[bytes, bytes]:
    """Losses of four sizes with three budgets each, and the scores of ten checkpoints."""
    losses, scores = (
        ["benchmark,params,tokens,conditional_loss"],
        ["benchmark,checkpoint,conditional_loss,score,held_out"],
    )
    for n in range(12):
        params, tokens = 1e7 * 4 ** (n // 3), 1e9 * 2 ** (n % 3)
        losses.append(f"mmlu,{params:g},{tokens:g},{3 * params**-0.1 + 5 * tokens**-0.12:.5f}")
    for n in range(10):
        scores.append(f"mmlu,c{n},{0.9 - n * 0.08:.3f},{25 + 65 / (1 + np.exp(5 - n)):.2f},no")
    return ("\n".join(losses) + "\n").encode(), ("\n".join(scores) + "\n").encode()


def _measurement() -> bytes:
    result = {"task": "mmlu", "conditional_loss": 1.2, "bits_per_byte": 0.5, "score": 66.6, "chance": 25.0, "items": 10,
              "score_items": 10, "tokens": 20, "bytes": 60, "settings": {"shots": {"mmlu": 5}}}  # fmt: skip
    payload = {
        "model": "m",
        "suite": "s",
        "engine": "torch",
        "settings": {"asked": {}, "source": "m"},
        "result": result,
    }
    return _artifact("measurement", payload)


def _manifest() -> bytes:
    checkpoint = {"name": "s1-60", "rung": "s1", "params": 40_000, "params_non_embedding": 20_000, "tokens": 10**6,
                  "path": "ck", "held_out_loss": 3.1, "held_out_bits_per_byte": 1.2, "revision": None}  # fmt: skip
    checkpoints = [checkpoint, checkpoint | {"name": "s1-80", "tokens": 2 * 10**6}]
    training = {"corpus_sha256": "ab", "tokenizer_sha256": "cd"}
    payload = {
        "name": "l",
        "budgets": [60.0],
        "checkpoints": checkpoints,
        "training": training,
        "source": {"load": "x"},
    }
    return _artifact("ladder", payload)


def _corpus_index() -> bytes:
    shard = {"file": "train-0.bin", "tokens": 8, "documents": 1, "sha256": "ab", "ends_sha256": "cd"}
    held = shard | {"file": "held-out.bin", "bytes": 20}
    settings = {"corpus.source": "standard-library"}
    payload = {
        "settings": settings,
        "dtype": "uint16",
        "tokens": 8,
        "separator": 0,
        "held_out": held,
        "shards": [shard],
    }
    return _artifact("corpus", payload | {"tokenizer_sha256": "ef"})


PLAIN_OWN = b"model,benchmark,score,shots,metric\nA,mmlu,66.6,5,acc\n"
SERIES = "\n".join(
    [
        "date,value,name,group",
        *(f"{2021 + n // 4}-{1 + 3 * (n % 4):02d}-01,{1.4**n:.4g},m{n},g{n % 3}" for n in range(16)),
    ]
).encode()
EARLIER = json.dumps(
    {"frontier": "records", "identified": True, "densities": [
        {"model": name, "release_date": date, "density": value}
        for name, date, value in (("m0", "2021-01-01", 1.0), ("m1", "2021-04-01", 2.0), ("x", "2024-03-01", 5.0))
    ]}
).encode()  # fmt: skip
SWEEP = b"""name: s
checkpoints: [{model: ck, name: m}]
suites: [{suite: local, documents: d.jsonl, limit: 10}]
settings:
  default: {engine: torch, dtype: float32, options: {tensor_parallel_size: 1}}
threads: 1
"""
CHANGE = {
    "change.json": b'{"what": "add", "when": "2026-01-01T00:00:00+00:00", "undoes": null, "absent": []}',
    "before/scores.csv": b"",
}


def _unit() -> bytes:
    failure = {"worker": "1 on a", "reason": "no memory"}
    payload = {"state": "done", "worker": "1 on a", "ended": "2026-01-01T00:00:00.000+00:00", "seconds": 3.0,
               "load_seconds": 1.0, "stamp": "ab", "failures": [failure]}  # fmt: skip
    return _artifact("unit", payload)


@cache
def validation() -> bytes:
    """What `frames validate` keeps of the user's frame, shortened to a row of each table."""
    import pandas as pd

    from densing.frame.store import load_frame
    from densing.frame.validation import Validation, keep_validation

    with tempfile.TemporaryDirectory() as text:
        for name, content in built_frame().items():
            (Path(text) / Path(name).name).write_bytes(content)
        frame = load_frame(str(Path(text) / "mine.json"))
        prediction = {"left_out": 1e7, "benchmark": "mmlu", "points": 3, "loss_error_pct": 1.0, "note": ""}
        size = {"left_out": 1e7, "params": 1e7, "tokens": 1e9, "path": "loss", "benchmark": "mmlu", "over_true": 1.1,
                "low": 0.5, "high": 2.0, "holds": True, "status": "identified"}  # fmt: skip
        change = {"change": "form", "benchmark": "mmlu", "times": 1.2}
        tables = (pd.DataFrame([row]) for row in (prediction, size, change))
        return keep_validation(frame, Validation("mine", *tables), Path(text)).read_bytes()


@cache
def built_frame() -> Mapping[str, bytes]:
    """A frame of the user's, with its draws."""
    from densing.core.files import parse_table
    from densing.frame.frame import build_frame
    from densing.frame.spec import FrameSpec
    from densing.frame.store import write_frame

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        tables = []
        for name, content in zip(("l.csv", "s.csv"), _frame_points(), strict=True):
            (folder / name).write_bytes(content)
            tables.append(parse_table(folder / name))
        spec = FrameSpec(name="mine", tokens=1e10, objective="log-least-squares", resampling={"replicates": 100})
        write_frame(build_frame(spec, *tables), folder)
        return {f"results/frames/{name}": (folder / name).read_bytes() for name in ("mine.json", "mine.npz")}


@cache
def inputs(torch: bool = True) -> tuple[Input, ...]:
    """Every input, or those of commands that do without torch."""
    registry = {
        "reg/models.csv": _text(DATA / "registry" / "models.csv", 6),
        "reg/scores.csv": _text(DATA / "registry" / "scores.csv", 8),
    }
    losses, scores = _frame_points()
    ladder, suite = _text(CONFIGS / "ladders" / "quickstart.yaml"), _text(CONFIGS / "suites" / "local.yaml")
    pipeline = _text(CONFIGS / "pipelines" / "quickstart.yaml").replace(b"ladder: quickstart", b"ladder: nothing")
    hardware = b"bandwidth: 2.0e+12\nflops: 1.0e+14\n"
    config = json.dumps(CONFIG).encode()
    fit = ["--replicates", "0", "--seed", "1"]
    measured, manifest = (
        {"m/s/mmlu.json": _measurement()},
        {"lad/manifest.json": _manifest(), "lad/ck/config.json": b"{}"},
    )
    add = ["models", "add", "New-3B", "--release-date", "2026-05-01", "--total-params", "3.1B", "--non-embedding-params", "2.9B",
           *SCORES[:4], "--source", "a report", "--registry", "reg"]  # fmt: skip
    results = json.dumps(LM_EVAL).encode()
    mine, checked = built_frame(), {**built_frame(), "results/frames/validation/mine.json": validation()}
    history = {
        **registry,
        **{f"reg/.history/0001/{name}": content for name, content in CHANGE.items()},
        **{name.replace("reg/", "reg/.history/0001/after/"): content for name, content in registry.items()},
    }
    sweep = {"s.yaml": SWEEP, "o/s/units/default/m/local.json": _unit()}
    two, sizes = {"r.json": results, "s.csv": PLAIN_OWN, **mine}, ["--size", "r.json=3B", "--size", "s.csv=8B"]
    series = {"h.csv": SERIES, "old.json": EARLIER}
    read = [
        Input("models compared by results", ["compare", "r.json", "s.csv", *sizes, "--frame", "mine"], two, "r.json", 3),
        Input("models compared by a table", ["compare", "r.json", "s.csv", *sizes, "--frame", "mine"], two, "s.csv", 3),
        Input("models compared by a registry", ["compare", "GPT-3-175B", "LLaMA-7B", "--registry", "reg", "--frame", "mine"], {**registry, **mine}, "reg/scores.csv", 15),
        Input("series", ["trend", "--csv", "h.csv"], series, "h.csv", 3),
        Input("series with other columns", ["trend", "--csv", "h.csv", "--columns", "date=date,value=value,name=name"], series, "h.csv", 3),
        Input("earlier trend", ["trend", "--csv", "h.csv", "--against", "old.json"], series, "old.json", 3),
        Input("registry of a trend", ["trend", "--models", "registry", "--frame", "mine", "--registry", "reg"], {**registry, **mine}, "reg/models.csv", 40),
        Input("registry of rulers", ["trend", "--rulers", "--since", "2023-02-24", "--registry", "reg"], registry, "reg/scores.csv", 500),
        Input("registry of a panel", ["trend", "--method", "panel", "--benchmark", "mmlu", "--registry", "reg"], registry, "reg/models.csv", 20),
        Input("registry of a report", ["report", "--only", "harnesses", "--registry", "reg", "--highlight", "GPT-3-175B"], registry, "reg/models.csv", 20),
        Input("frames there are", ["frames", "list"], mine, "results/frames/mine.json", 6),
        Input("validation of a frame", ["frames", "show", "mine"], checked, "results/frames/validation/mine.json", 5),
        Input("frame to validate", ["frames", "validate", "results/frames/mine.json"], mine, "results/frames/mine.json", 80),
        Input("last change of a registry", ["models", "undo", "--registry", "reg"], history, "reg/.history/0001/change.json"),
        Input("removed model", ["models", "remove", "GPT-3-175B", "--registry", "reg"], registry, "reg/models.csv", 10),
        Input("difference of registries", ["models", "diff", "--registry", "reg"], registry, "reg/scores.csv", 2),
        Input("sweep", ["sweep", "status", "s.yaml", "--out", "o"], sweep, "s.yaml"),
        Input("unit of a sweep", ["sweep", "status", "s.yaml", "--out", "o"], sweep, "o/s/units/default/m/local.json"),
        Input("registry models", ["models", "list", "--registry", "reg"], registry, "reg/models.csv", 2),
        Input("registry scores", ["models", "list", "--registry", "reg"], registry, "reg/scores.csv", 2),
        Input("registry check", ["models", "check", "--registry", "reg"], registry, "reg/models.csv", 2, 1),
        Input("registry edit", ["models", "edit", "GPT-3-175B", "--set", "tokens_T=1", "--registry", "reg"], registry, "reg/models.csv", 7),
        Input("lm-eval results", ["import", "r.json"], {"r.json": json.dumps(LM_EVAL).encode()}, "r.json"),
        Input("lm-eval to registry", ["import", "r.json", "--to", "registry", "--out", "reg"], {"r.json": json.dumps(LM_EVAL).encode()}, "r.json", 7),
        Input("lm-eval to measurement", ["import", "r.json", "--to", "measurement", "--out", "o"], {"r.json": json.dumps(LM_EVAL).encode()}, "r.json"),
        Input("lighteval results", ["import", "r.json", "--to", "measurement", "--out", "o"], {"r.json": json.dumps(LIGHTEVAL).encode()}, "r.json"),
        Input("OpenCompass results", ["import", "s.csv"], {"s.csv": OPENCOMPASS}, "s.csv"),
        Input("table of scores", ["import", "s.csv", "--to", "measurement", "--out", "o"], {"s.csv": PLAIN}, "s.csv"),
        Input("score of results", ["score", "r.json", "--params", "8B", "--frame", "mine"], {"r.json": json.dumps(LM_EVAL).encode(), **built_frame()}, "r.json", 4),
        Input("score of a measurement", ["score", "m/s", "--params", "8B"], measured, "m/s/mmlu.json", 8),
        Input("configuration", ["score", "--total-params", "8B", "--config", "c.json", "--score", "mmlu=60", "--frame", "mine"], {"c.json": config, **built_frame()}, "c.json", 3),
        Input("hardware", ["score", "--params", "8B", "--score", "mmlu=60", "--hardware", "h.yaml", "--frame", "mine"], {"h.yaml": hardware, **built_frame()}, "h.yaml", 3),
        Input("frame", ["frames", "show", "mine"], built_frame(), "results/frames/mine.json", 4),
        Input("draws of a frame", ["score", "--params", "8B", "--score", "mmlu=60", "--frame", "mine"], built_frame(), "results/frames/mine.npz", 4),
        Input("points of a frame", ["frames", "build", "l.csv", "--scores", "s.csv", "--tokens", "1e10", "--name", "new"], {"l.csv": losses, "s.csv": scores}, "l.csv", 8),
        Input("scores of a frame", ["frames", "build", "l.csv", "--scores", "s.csv", "--tokens", "1e10", "--name", "new"], {"l.csv": losses, "s.csv": scores}, "s.csv", 6),
        Input("points of a law", ["fit", "loss", "p.csv", *fit], {"p.csv": _points()}, "p.csv", 40),
        Input("points held out", ["fit", "loss", "p.csv", "--hold-out", "1", *fit], {"p.csv": _points()}, "p.csv", 50),
        Input("points of a curve", ["fit", "score", "p.csv", *fit], {"p.csv": _curve()}, "p.csv", 10),
        Input("plan of a ladder", ["ladder", "plan", "l.yaml"], {"l.yaml": ladder}, "l.yaml"),
        Input("status of a ladder", ["ladder", "status", "l.yaml", "--out", "lad"], {"l.yaml": ladder, "lad/corpus/index.json": _corpus_index()}, "l.yaml", 1),
        Input("index of a corpus", ["ladder", "status", "l.yaml", "--out", "lad"], {"l.yaml": ladder, "lad/corpus/index.json": _corpus_index(), "lad/corpus/train-0.bin": bytes(16), "lad/corpus/held-out.bin": bytes(16)}, "lad/corpus/index.json", 1),
        Input("manifest", ["ladder", "load", "lad", "--losses", "out.csv"], manifest, "lad/manifest.json"),
        Input("suite", ["suites", "check", "s.yaml"], {"s.yaml": suite}, "s.yaml"),
        Input("items", ["suites", "check", "i.jsonl"], {"i.jsonl": ITEMS}, "i.jsonl"),
        Input("pipeline", ["run", "p.yaml"], {"p.yaml": pipeline}, "p.yaml", 1, 2),
    ]  # fmt: skip
    asked = [
        Input("arguments of compare", ["compare", "Qwen2.5-7B", "--name", "X", "--params", "3B", "--score", "mmlu=60", "--seed", "1", "--frame", "mine"], mine, None, 3),
        Input("arguments of a series", ["trend", "--csv", "h.csv", "--columns", "date=date,value=value", "--since", "2023-02-01", "--frontier", "all", "--quantile", "0.8", "--until", "2025-01-01", "--out", "o"], series, None, 3),
        Input("questions of a series", ["trend", "--csv", "h.csv", "--change-at", "2023-01-01", "--find-change", "--leave-one-out", "--against", "old.json", "--seed", "3"], series, None, 8),
        Input("arguments of rulers", ["trend", "--rulers", "--since", "2023-02-24", "--until", "2025-12-01", "--registry", "reg"], registry, None, 500),
        Input("arguments of a panel", ["trend", "--method", "panel", "--benchmark", "mmlu", "--denominator", "total", "--without", "distilled,instruct", "--quantile", "0.9"], {}, None, 40),
        Input("arguments of results", ["score", "r.json", "--params", "8B", "--frame", "mine", "--date", "2025-01-01", "--name", "X", "--card"], {"r.json": results, **mine}, None, 3),
        Input("arguments of sweep status", ["sweep", "status", "s.yaml", "--out", "o", "--json"], sweep, None),
        Input("arguments of sweep run", ["sweep", "run", "s.yaml", "--out", "o", "--worker", "0/1", "--scratch", "t"], {"s.yaml": SWEEP.replace(b"torch", b"nothing")}, None, 1, 2),
        Input("arguments of report", ["report", "--only", "harnesses", "--highlight", "Qwen2.5-7B", "--width", "single", "--format", "png", "--out", "rep", "--seed", "1"], {}, None, 20),
        Input("arguments of frames validate", ["frames", "validate", "mine", "--seed", "1"], mine, None, 100),
        Input("arguments of frames compare", ["frames", "compare", "mine", "--tokens-per-param", "20,60", "--benchmark", "mmlu", "--since", "2024-01-01"], mine, None, 60),
        Input("arguments of frames build", ["frames", "build", "l.csv", "--scores", "s.csv", "--tokens", "1e10", "--form", "two-term", "--objective", "log-least-squares", "--optimum", "best", "--seed", "1", "--name", "new"], {"l.csv": losses, "s.csv": scores}, None, 8),
        Input("arguments of models remove", ["models", "remove", "GPT-3-175B", "--registry", "reg", "--json"], registry, None, 10),
        Input("arguments of models list", ["models", "list", "--family", "GPT-3", "--registry", "reg"], registry, None),
        Input("arguments of ladder corpus", ["ladder", "corpus", "l.yaml", "--out", "lad"], {"l.yaml": ladder.replace(b"standard-library", b"nowhere")}, None, 1, 2),
        Input("arguments of suites fetch", ["suites", "fetch", "local", "--data-root", "d"], {}, None, 1, 2),
        Input("arguments of score", ["score", "--params", "8B", "--score", "mmlu=60", "--frame", "mine", "--seed", "1"], built_frame(), None, 3),
        Input("arguments of a registry model", ["score", "Qwen2.5-7B", "--frame", "mine", "--score", "mmlu=60", "--params", "6.53B"], built_frame(), None, 4),
        Input("arguments of fit loss", ["fit", "loss", "p.csv", "--form", "two-term", "--hold-out", "1", "--select", "weight=1", "--tokens", "1e12", *fit], {"p.csv": _points()}, None, 20),
        Input("arguments of fit score", ["fit", "score", "p.csv", "--floor", "25", "--ceiling", "95", "--items", "500", *fit], {"p.csv": _curve()}, None, 6),
        Input("arguments of models add", add, registry, None, 8),
        Input("arguments of models edit", ["models", "edit", "GPT-3-175B", "--set", "release_date=2025-03-12", "--set", "tokens_T=1", "--registry", "reg"], registry, None, 8),
        Input("arguments of models show", ["models", "show", "GPT-3-175B", "--registry", "reg", "--json"], registry, None, 1),
        Input("arguments of import", ["import", "r.json", "--to", "registry", "--model", "X", "--out", "reg"], {"r.json": json.dumps(LM_EVAL).encode()}, None, 6),
        Input("arguments of ladder load", ["ladder", "load", "lad", "--tokens", "per-step:1", "--select", "s*", "-o", "out"], manifest, None, 1),
        Input("rules of tokens", ["ladder", "load", "c", "--tokens", "t.csv"], {"t.csv": TOKENS, "c/s1/config.json": config, "c/s1/model.safetensors": bytes(8)}, "t.csv"),
        Input("arguments of ladder plan", ["ladder", "plan", "quickstart", "--device", "h100", "--mfu", "0.4"], {}, None),
        Input("arguments of suites", ["suites", "check", "jsonl", "--documents", "i.jsonl"], {"i.jsonl": ITEMS}, None, 1),
        Input("arguments of frames", ["frames", "show", "mine", "--json"], built_frame(), None, 4),
        Input("arguments of trend", ["trend", "--models", "registry", "--frame", "mine", "--until", "2025-01-31", "--change-at", "2024-01-01", "--frontier", "records", "--registry", "reg"], {**registry, **mine}, None, 20, 2),
    ]  # fmt: skip
    checkpoint = {"ck/s1/config.json": config, "ck/s1/model.safetensors": bytes(8), "i.jsonl": ITEMS}
    on_items = ["ck/s1", "--suite", "jsonl", "--documents", "i.jsonl"]
    asked += [
        Input("configuration of a checkpoint", ["ladder", "load", "ck", "--tokens", "per-parameter:20"], checkpoint, "ck/s1/config.json"),
        Input("weights of a checkpoint", ["measure", *on_items], checkpoint, "ck/s1/model.safetensors", 4, 2),
        Input("arguments of measure", ["measure", *on_items, "--dtype", "float32", "--limit", "3"], checkpoint, None, 4, 2),
        Input("arguments of score on a suite", ["score", *on_items, "--frame", "mine"], {**checkpoint, **mine}, None, 4, 2),
        Input("arguments of doctor", ["doctor", "--items", "3", "--json"], {}, None, 4),
        Input("data root", ["suites", "check", "jsonl", "--data-root", "d", "--documents", "i.jsonl"], {"d/a/b/data.jsonl": ITEMS, "i.jsonl": ITEMS}, "i.jsonl", 4),
    ]  # fmt: skip
    if torch:
        from tests.campaigns.checkpoint_inputs import checkpoint_inputs

        asked += checkpoint_inputs()
    needs_torch = (
        "status of a ladder", "index of a corpus", "rules of tokens", "pipeline", "configuration of a checkpoint",
        "weights of a checkpoint", "arguments of measure", "arguments of score on a suite", "arguments of doctor", "data root",
    )  # fmt: skip
    if torch:
        from tests.campaigns.ladder_inputs import ladder_inputs

        return (*read, *asked, *ladder_inputs())
    return tuple(one for one in read + asked if one.name not in needs_torch)
