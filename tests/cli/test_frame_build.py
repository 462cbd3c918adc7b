"""pytest tests/cli/test_frame_build.py

Ladders with the layouts of what others released become frames, each with one command.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.ladder.config import LadderConfig
from densing.ladder.manifest import Checkpoint, Ladder
from densing.ladder.training.run import train_ladder, train_model

pytestmark = pytest.mark.slow

WORDS = [first + vowel + last for first in "bdfgklmnprst" for vowel in "aeio" for last in "nt"]
BATCH, CONTEXT = 4, 48


def sentence(number: int) -> list[str]:
    """Words of which each follows from the one before it, seven times of eight."""
    state, words = number * 2654435761 % 2**32, []
    word = state % len(WORDS)
    for _ in range(24):
        state = (state * 1664525 + 1013904223) % 2**32
        word = (5 * word + 1 if state >> 16 & 7 else state >> 20) % len(WORDS)
        words.append(WORDS[word])
    return words


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LadderConfig:
    path = tmp_path_factory.mktemp("text") / "sentences.jsonl"
    path.write_text("".join(json.dumps({"text": " ".join(sentence(number))}) + "\n" for number in range(1500)))
    sizes = [
        {"name": f"r{heads}", "layers": 1, "width": 8 * heads, "ffn_width": 8 * heads, "batch": BATCH}
        | {"heads": heads, "kv_heads": 1, "head_dim": 8}
        for heads in (1, 2, 3, 4)
    ]
    return LadderConfig.model_validate(
        {
            "name": "words",
            "sizes": sizes,
            "budgets": [10, 20],
            "corpus": {"source": "jsonl", "path": str(path), "held_out": 0.1, "max_epochs": 10},
            "tokenizer": {"vocabulary": 280},
            "context": CONTEXT,
            "learning_rate": 0.02,
        }
    )


@pytest.fixture(scope="module")
def trained(config: LadderConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ladder, Checkpoint]:
    """Four sizes at two budgets, and one more model that is to be scored."""
    folder = tmp_path_factory.mktemp("trained") / "words"
    ladder = train_ladder(config, folder)
    shape = config.sizes[1].model_copy(update={"name": "fresh"})
    (fresh,) = train_model(config, shape, [ladder.checkpoints[3].tokens], folder, seed=1)
    return folder, ladder, fresh


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which word comes next? Of sentences that no model saw."""
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(10_000, 10_200):
            *before, answer = sentence(number)[:6]
            choices = [" " + word for word in sorted({answer, *WORDS[number % 80 : number % 80 + 3]})]
            file.write(json.dumps({"instruction": " ".join(before), "answer": " " + answer, "choices": choices}) + "\n")
    return path


def copy_model(checkpoint: Checkpoint, folder: Path) -> None:
    """Only what a released checkpoint has: nothing says what it was trained on."""
    shutil.copytree(checkpoint.path, folder, ignore=shutil.ignore_patterns("checkpoint.json", "README.md"))


@pytest.fixture
def densing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in an empty folder; what it printed as JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | int | Path) -> Any:
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run


def points_of(built: dict[str, Any]) -> list[dict[str, float]]:
    """Sizes, tokens and losses that a frame's law was fitted to."""
    losses = json.loads(Path(built["file"]).read_text())["payload"]["losses"]
    rows = [dict(zip(losses, row, strict=True)) for row in zip(*losses.values(), strict=True)]
    return [row for row in rows if row["benchmark"] == "items"]


def check_density(rows: list[dict[str, Any]]) -> None:
    """The ladder's own recipe, trained as long as the frame is read at, has a density near 1."""
    assert [row["benchmark"] for row in rows] == ["items", "average"]
    for row in rows:
        assert row["status"] == "in range"
        assert 1 / 3 < row["density"] < 3


def test_subfolders_with_one_model_each_become_a_frame(
    trained: tuple[Path, Ladder, Checkpoint], items: Path, tmp_path: Path, densing: Callable[..., Any]
) -> None:
    _, ladder, fresh = trained
    for number, checkpoint in enumerate(ladder.checkpoints[1::2], 1):
        copy_model(checkpoint, tmp_path / "Scaling-Models" / f"s{number}")
    rule = ["--training-tokens", "per-parameter:20", "--form", "params-only"]
    suite = ["--suite", "jsonl", "--documents", items]
    built = densing("frames", "build", tmp_path / "Scaling-Models", *rule, *suite, "--name", "scaling")
    points = points_of(built)
    assert [point["params"] for point in points] == [c.params_non_embedding for c in ladder.checkpoints[1::2]]
    assert [point["tokens"] for point in points] == [20 * point["params"] for point in points]
    check_density(densing("score", fresh.path, "--frame", "scaling", *suite, "--by-loss"))
    by_score = densing("score", fresh.path, "--frame", "scaling", *suite)
    assert [row["benchmark"] for row in by_score] == ["items"]
    assert 0 < by_score[0]["score"] <= 100


def test_revisions_that_name_steps_become_a_frame(
    trained: tuple[Path, Ladder, Checkpoint],
    items: Path,
    tmp_path: Path,
    densing: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, ladder, fresh = trained
    for number, checkpoint in enumerate(ladder.checkpoints):
        repository = tmp_path / "hub" / f"models--labs--words-{checkpoint.rung}"
        copy_model(checkpoint, repository / "snapshots" / f"{number:040x}")
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "blobs").mkdir(exist_ok=True)
        (repository / "refs" / f"step{checkpoint.tokens // (BATCH * CONTEXT)}").write_text(f"{number:040x}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sources = [f"labs/words-r{number}" for number in range(1, 5)]
    suite = ["--suite", "jsonl", "--documents", items]
    rule = ["--training-tokens", f"per-step:{BATCH * CONTEXT}", "--tokens", fresh.tokens]
    built = densing("frames", "build", *sources, *rule, *suite, "--name", "steps")
    points = points_of(built)
    assert [(point["params"], point["tokens"]) for point in points] == [
        (c.params_non_embedding, c.tokens) for c in ladder.checkpoints
    ]
    check_density(densing("score", fresh.path, "--frame", "steps", *suite, "--by-loss"))
