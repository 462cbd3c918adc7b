"""Inputs with a real checkpoint, so that what is spoiled is met behind its loading too."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.campaigns.inputs import ITEMS, Input, built_frame

SUITE = b"""suite: tiny
description: The items of a file as a benchmark of a frame.
documents: a JSON-lines file
benchmarks:
  mmlu: {loss: densing_jsonl_loss, score: densing_jsonl_choice, metric: "acc,none", chance: 50}
"""
HUB_SUITE = b"""suite: hub
description: A data set of the hub.
benchmarks:
  mmlu: {loss: densing_cloze_piqa_loss, score: densing_cloze_piqa, metric: "acc_norm,none", chance: 50}
"""
WORKED_SUITE = b"""suite: worked
description: Items with worked answers.
documents: a folder
benchmarks:
  mmlu: {loss: densing_worked_mmlu_loss}
"""
WORKED = json.dumps(
    [{"instruction": f"What is {n} + 1?", "reasoning": "One more.", "answer": str(n + 1)} for n in range(3)]
)
QUANTISED = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 32,
    "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
}


def _below(folder: Path, start: str) -> dict[str, bytes]:
    """The files of a folder as those of an input, in a folder of another name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{start}/{path.relative_to(folder)}": path.read_bytes() for path in found}


def _with_config(files: Mapping[str, bytes], **changes: object) -> dict[str, bytes]:
    config = json.loads(files["ck/config.json"]) | changes
    return {**files, "ck/config.json": json.dumps(config).encode()}


@cache
def checkpoint_inputs() -> tuple[Input, ...]:
    """Every input with a Llama of some thousand parameters in it."""
    from densing.measure.run import measure
    from densing.measure.suites import load_suite
    from tests.measure.data_root import write_cloze
    from tests.measure.models import byte_level, save_adapter, save_llama

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "max_position_embeddings": 1024}
        tokenizer = byte_level([], 258)
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        save_llama(folder / "ck", tokenizer, num_attention_heads=1, **small)
        save_adapter(folder / "ad", folder / "ck", rank=2)
        write_cloze(folder / "d", items=2)
        (folder / "i.jsonl").write_bytes(ITEMS)
        suite = load_suite("jsonl", documents=folder / "i.jsonl")
        measure(folder / "ck", suite, out=folder / "out", name="ck")
        cached = {"out/requests.sqlite": (folder / "out" / "requests.sqlite").read_bytes()}
        shutil.copytree(folder / "out" / "ck", folder / "kept" / "ck")
        kept, model, adapter = (_below(folder / name, name) for name in ("kept", "ck", "ad"))
        hub = _below(folder / "d" / "baber", "d/baber")
        note = {"d/baber/piqa/.cache/huggingface/download/README.md.metadata": b"a" * 40 + b"\netag\n1.5\n"}
    adapter["ad/adapter_config.json"] = adapter["ad/adapter_config.json"].replace(text.encode(), b".")
    base, frame = {**model, "i.jsonl": ITEMS}, built_frame()
    scored = {**base, "s.yaml": SUITE, **frame}
    worked, from_hub = (
        {**model, "w.yaml": WORKED_SUITE, "w/mmlu.json": WORKED.encode()},
        {**model, "h.yaml": HUB_SUITE, **hub, **note},
    )
    on_items = ["measure", "ck", "--suite", "jsonl", "--documents", "i.jsonl", "--out", "out"]
    score = ["score", "ck", "--suite", "s.yaml", "--documents", "i.jsonl", "--frame", "mine"]
    on_hub = ["measure", "ck", "--suite", "h.yaml", "--data-root", "d", "--out", "out"]
    readme, parquet = "d/baber/piqa/README.md", "d/baber/piqa/default/validation-00000-of-00001.parquet"
    (kept_json,) = (name for name in kept if name.endswith(".json"))
    again = [*on_items[:-1], "kept"]
    tuned = [*on_items, "--option", "peft=ad"]
    sized = {**_with_config(scored, weight_bits=4), **frame}
    experts = _with_config(scored, num_local_experts=4, num_experts_per_tok=2)
    return (
        *(
            Input(f"checkpoint's {name}", on_items, base, f"ck/{name}", 10)
            for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
        ),
        Input("checkpoint's items", on_items, base, "i.jsonl", 8),
        Input("checkpoint's worked items", ["measure", "ck", "--suite", "w.yaml", "--documents", "w"], worked, "w/mmlu.json", 8),
        Input("checkpoint's suite", score, scored, "s.yaml", 15),
        Input("checkpoint's earlier measurement", again, {**base, **kept}, kept_json, 8),
        Input("checkpoint's cache", on_items, {**base, **cached}, "out/requests.sqlite", 8),
        Input("checkpoint's adapter", tuned, {**base, **adapter}, "ad/adapter_config.json", 12),
        Input("checkpoint's adapter weights", tuned, {**base, **adapter}, "ad/adapter_model.safetensors", 12),
        Input("checkpoint's data set", on_hub, from_hub, readme, 15),
        Input("checkpoint's data set of other rows", on_hub, from_hub, parquet, 15),
        Input("checkpoint's note of a revision", on_hub, from_hub, next(iter(note)), 20),
        Input("checkpoint scored", score, scored, "ck/config.json", 15),
        Input("checkpoint scored of few bits", score, sized, "ck/config.json", 15),
        Input("checkpoint scored of a format", score, _with_config(scored, quantization_config=QUANTISED), "ck/config.json", 15, 1),
        Input("checkpoint scored of experts", score, experts, "ck/config.json", 15),
        Input("checkpoint compared", ["compare", "ck", "Qwen2.5-7B", "--suite", "h.yaml", "--data-root", "d", "--frame", "mine"], {**from_hub, **frame}, "ck/config.json", 15),
        Input("checkpoint of a ladder", ["ladder", "load", "ck", "--tokens", "per-parameter:20"], model, "ck/config.json", 5),
        Input("checkpoint's arguments of measure", [*on_items, "--dtype", "float32", "--limit", "2", "--option", "batch_tokens=64"], base, None, 10),
        Input("checkpoint's arguments of score", [*score, "--seed", "1", "--dtype", "float32"], scored, None, 15),
    )  # fmt: skip
