"""Three tiny checkpoints, two suites, the sweep over them, and what `measure` makes of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.measure.models import byte_level, save_llama

WORDS = [f"item {number} is {number * number} or {number + 7}" for number in range(240)]
SETTINGS = {"dtype": "float32", "device": "cpu", "options": {"batch_tokens": 128}}


@dataclass(frozen=True)
class Bench:
    """What tests of sweeps work on.

    Attributes
    ----------
    folder : Path
        Holds the checkpoints, the suites, the sweep's file, and, in `reference`, what `measure` made of each unit.
    """

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "sweep.yaml"

    @property
    def reference(self) -> dict[str, bytes]:
        return tree(self.folder / "reference", "plain")

    def write(self, name: str, **changes: object) -> Path:
        """Another sweep file, with some keys changed."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(self.file.read_text()) | {"name": name} | changes))
        return path


def tree(folder: Path, below: str = ".") -> dict[str, bytes]:
    """The measurements below a part of a folder, by their place in it; caches and what writers left half done apart."""
    files = [path.relative_to(folder) for kind in ("*.json", "*.parquet") for path in (folder / below).rglob(kind)]
    return {str(path): (folder / path).read_bytes() for path in sorted(files) if "/." not in f"/{path}"}


def make_bench(folder: Path) -> Bench:
    """Make checkpoints, suites and the sweep's file, and measure every unit with `measure`."""
    from densing.cluster.sweep import load_sweep, units_of
    from densing.measure.run import measure

    tokenizer = byte_level(WORDS, 400)
    for seed in range(3):
        save_llama(folder / f"m{seed}", tokenizer, seed=seed, num_hidden_layers=1)
    for name, words in (("long", WORDS), ("short", WORDS[:40])):
        lines = [json.dumps({"instruction": f"{name} {word}:", "answer": f" {word[::-1]}"}) for word in words]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        benchmarks = {"items": {"loss": "densing_jsonl_loss"}}
        suite = {"suite": name, "description": "lines", "documents": "a file of lines", "benchmarks": benchmarks}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(suite))
    sweep = {
        "name": "sweep",
        "checkpoints": [str(folder / f"m{seed}") for seed in range(3)],
        "suites": [
            {"suite": str(folder / f"{name}.yaml"), "documents": str(folder / f"{name}.jsonl"), "shards": shards}
            for name, shards in (("long", 3), ("short", 1))
        ],
        "settings": {"plain": SETTINGS},
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    for unit in units_of(load_sweep(folder / "sweep.yaml")):
        load = unit.load
        out = unit.out(folder / "reference")
        measure(load.checkpoint.model, unit.suite.load(), out=out, settings=load.engine_settings)
    return Bench(folder)
