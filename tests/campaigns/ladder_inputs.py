"""Inputs that an earlier run of densing left: ladders, trained or not yet, their corpora, and sweeps."""

from __future__ import annotations

import json
import os
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import yaml

from tests.campaigns.inputs import MADE, Input

LADDER = {
    "name": "t",
    "sizes": [
        {"name": "t1", "layers": 1, "width": 8, "ffn_width": 8, "heads": 1, "kv_heads": 1, "head_dim": 8, "batch": 2}
    ],
    "budgets": [2, 4],
    "corpus": {"source": "jsonl", "path": "d.jsonl", "held_out": 0.4},
    "tokenizer": {"vocabulary": 280},
    "context": 16,
    "learning_rate": 0.02,
}
SUITE = {
    "description": "lines",
    "documents": "a file of lines",
    "benchmarks": {"mmlu": {"loss": "densing_jsonl_loss", "score": "densing_jsonl_choice", "metric": "acc,none"}},
}
SWEEP = {
    "name": "s",
    "checkpoints": [{"model": "m", "name": "m", "released": "2026-01-31"}],
    "suites": [{"suite": "one.yaml", "documents": "one.jsonl"}, {"suite": "two.yaml", "documents": "two.jsonl"}],
    "settings": {"default": {"dtype": "float32", "device": "cpu", "options": {"batch_tokens": 128}}},
}


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class _Killed(BaseException):
    """A run ends here."""


def _taken(folder: str) -> dict[str, bytes]:
    """The files of a folder, by their path from here."""
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def _dated(folder: str) -> None:
    for path in Path(folder).rglob("*"):
        os.utime(path, (MADE, MADE))


@cache
def _ladders() -> tuple[dict[str, bytes], ...]:
    """A corpus that is half made, a ladder in its trunk, the same in its last branch, and one that is trained."""
    from densing.ladder.config import LadderConfig
    from densing.ladder.corpus import build
    from densing.ladder.training import rung
    from densing.ladder.training.run import make_corpus, train_ladder

    config, folder, found = LadderConfig.model_validate(LADDER), Path("lad"), []
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-c]*.py"))[:16]
    lines = [json.dumps({"text": module.read_text(encoding="utf-8")[:1000]}) for module in modules]
    Path("d.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("l.yaml").write_text(yaml.safe_dump(LADDER))

    def keep() -> None:
        found.append(_taken("."))

    write, save = build._Progress.write, rung.save_state

    def write_and_die(progress, path):
        write(progress, path)
        if len(progress.shards) == 3:
            raise _Killed

    def save_and_die(at, after):
        def saved(state, path):
            save(state, path)
            if path.name == at and state.step > after:
                raise _Killed

        return saved

    with patch.object(build, "SHARD_TOKENS", 1000), patch.object(build, "_BATCH_CHARACTERS", 2000):
        with patch.object(build._Progress, "write", write_and_die):
            _until_killed(make_corpus, config, folder)
        keep()
        make_corpus(config, folder)
    _dated("lad")
    for at, after in {"trunk.pt": 10, "branch.pt": 50}.items():
        with patch.object(rung, "save_state", save_and_die(at, after)):
            _until_killed(lambda: train_ladder(config, folder, save_seconds=0))
        _dated("lad")
        keep()
    train_ladder(config, folder)
    _dated("lad")
    train_ladder(config, folder)  # which notes the times
    keep()
    return tuple(found)


def _until_killed(function, *arguments) -> None:
    try:
        function(*arguments)
    except _Killed:
        return
    raise AssertionError("it was to be killed, and came to its end")


@cache
def _sweep() -> dict[str, bytes]:
    """A sweep of two units, one of which is measured; of the other there are answers."""
    from densing.cluster.run import run_share
    from densing.cluster.sweep import SweepConfig
    from tests.measure.models import byte_level, save_llama

    words = [f"item {number} is {number * number}" for number in range(12)]
    save_llama(Path("m"), byte_level(words, 300), num_hidden_layers=1, hidden_size=32, num_attention_heads=1)
    for name, some in (("one", words), ("two", words[:4])):
        lines = [
            json.dumps({"instruction": f"{word}:", "answer": f" {word[::-1]}", "choices": [f" {word[::-1]}", " no"]})
            for word in some
        ]
        Path(f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"suite": name} | SUITE))
    _dated("m")
    run_share(
        SweepConfig.model_validate(SWEEP | {"suites": SWEEP["suites"][:1]}), Path("o/s"), (0, 1), scratch=Path("t")
    )
    part = Path("o/s/answers/default/m/two/0.sqlite")
    part.parent.mkdir(parents=True)
    part.write_bytes(Path("o/s/default/requests.sqlite").read_bytes())
    Path("s.yaml").write_text(yaml.safe_dump(SWEEP))
    return _taken(".")


@cache
def _registries() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A registry after two changes, and one whose second change was decided and is not in place."""
    from densing.models import changes
    from tests.models import changing

    def die(folder: Path) -> None:
        if (folder / ".commit").exists():
            raise _Killed

    changing.add("reg", "A")
    with patch.object(changes, "_finish", die):
        _until_killed(changing.add, "reg", "B")
    decided = _taken("reg")
    changing.edit("reg", "A")
    return decided, _taken("reg")


def _each(name: str, arguments: list[str], files: Mapping[str, bytes], spoiled: str, cost: float) -> Iterator[Input]:
    """One input for each file whose path ends like one of some words."""
    for ending in spoiled.split():
        path = min((path for path in files if path.endswith(ending)), default=None)
        assert path, f"{name}: no {ending} among {list(files)}"
        yield Input(f"{name}, {ending}", arguments, files, path, cost)


@cache
def ladder_inputs() -> tuple[Input, ...]:
    """What ladders and sweeps left, with each of their files as the spoiled one."""
    with tempfile.TemporaryDirectory() as one, _inside(one):
        half, trunk, branch, trained = _ladders()
    with tempfile.TemporaryDirectory() as other, _inside(other):
        sweep = _sweep()
    with tempfile.TemporaryDirectory() as third, _inside(third):
        decided, changed = _registries()
    ladder = ["l.yaml", "--out", "lad"]
    status, train, corpus = (["ladder", what, *ladder] for what in ("status", "train", "corpus"))
    run = ["sweep", "run", "s.yaml", "--out", "o", "--worker", "0/1", "--scratch", "t"]
    made = "train-00001.bin train-00000.ends.npy held-out.bin tokenizer.json tokenizer_config.json"
    return (
        *_each("corpus half made", status, half, "progress.json", 2),
        *_each("ladder in its trunk", status, trunk, "trunk.pt corpus/index.json", 2),
        *_each("ladder in a branch", status, branch, "trunk.pt branch.pt checkpoint.json", 2),
        *_each("trained ladder", status, trained, "checkpoint.json corpus/index.json trunk.pt", 2),
        *_each("corpus resumed", corpus, half, f"progress.json {made} held_out.jsonl d.jsonl l.yaml", 8),
        *_each("corpus that is there", corpus, trained, f"index.json verified.json {made}", 3),
        *_each("trunk resumed", train, trunk, f"trunk.pt index.json verified.json {made} log.jsonl", 20),
        *_each("branch resumed", train, branch, f"trunk.pt branch.pt checkpoint.json index.json {made}", 20),
        *_each("nothing left to train", train, trained, f"checkpoint.json manifest.json index.json verified.json {made}", 4),
        *_each("ladder that was trained", ["ladder", "load", "lad", "--losses", "o.csv"], trained, "lad/manifest.json", 1),
        *_each("folders of a ladder", ["ladder", "load", "lad/t1", "--tokens", "in-name"], trained, "1888/config.json checkpoint.json", 4),
        *_each("decided change", ["models", "edit", "A", "--set", "tokens_T=1", "--registry", "reg"], decided, ".commit/change.json .commit/models.csv", 8),
        *_each("changes of a registry", ["models", "undo", "--registry", "reg"], changed, "0003/change.json 0003/before/models.csv 0003/after/models.csv", 2),
        *_each("status of a sweep", ["sweep", "status", "s.yaml", "--out", "o"], sweep, "units/default/m/one.json", 1),
        *_each("sweep resumed", run, sweep,
               "units/default/m/one.json one/mmlu.json mmlu.parquet requests.sqlite 0.sqlite s/models.csv s/scores.csv "
               "change.json m/config.json m/model.safetensors m/tokenizer.json two.jsonl s.yaml", 30),
    )  # fmt: skip
