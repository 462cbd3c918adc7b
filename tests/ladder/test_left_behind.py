"""What an earlier run left and somebody spoiled, with right checksums too: one message, and nothing done.

pytest tests/ladder/test_left_behind.py
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from densing.cli import app
from densing.core.artifacts import sha256_of_data
from densing.ladder.config import LadderConfig
from densing.ladder.corpus import build as build_module
from densing.ladder.corpus.build import prepare_corpus
from densing.ladder.manifest import Ladder
from tests.killing import KILLED, run_until

pytestmark = pytest.mark.slow


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(folder: Path, config: LadderConfig, command: str) -> tuple[int, str]:
    """A command on a ladder's folder: its code and its message."""
    file = folder.parent / "tiny.yaml"
    file.write_text(config.model_dump_json())
    result = CliRunner().invoke(app, ["ladder", command, str(file), "-o", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr.rpartition("densing: ")[2]


def refused(folder: Path, config: LadderConfig, command: str) -> str:
    """The message of a refusal, which changes no file."""
    before = files_of(folder)
    code, message = run(folder, config, command)
    assert (code, len(message) < 502) == (2, True)
    assert files_of(folder) == before
    return message


def change(path: Path, place: str, value: Any) -> None:
    """Put a value into an artifact, with a checksum that is right for it; None takes it out."""
    data = json.loads(path.read_text())
    part: Any = data["payload"]
    *keys, last = [int(key) if key.isdecimal() else key for key in place.split(".")]
    for key in keys:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    path.write_text(json.dumps(data | {"checksum": sha256_of_data(data["payload"])}))


@pytest.fixture
def unfinished(trained: tuple[Path, Ladder], tmp_path: Path) -> Path:
    """The ladder without one checkpoint, which the trunk's state leads to; nothing is written before that is used."""
    folder = Path(shutil.copytree(trained[0], tmp_path / "tiny"))
    shutil.rmtree(folder / "t1" / str(trained[1].checkpoints[1].tokens))
    return folder


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("tokens", 0, "tokens: Input should be greater than 0"),
        ("tokens", 7, "its tokens are not those of its shards"),
        ("separator", 10**6, "its separator is no token"),
        ("separator", 10**30, "separator: Input should be less than"),
        ("shards.0.documents", "many", "shards.0.documents: Input should be a valid integer"),
        ("shards.0.file", "../train.bin", "cannot be the name of a file"),
        ("held_out.bytes", 0, "held_out.bytes: Input should be greater than 0"),
        ("tokenizer_sha256", None, "tokenizer_sha256: Field required"),
    ],
)
def test_a_spoiled_index_is_refused(
    unfinished: Path, config: LadderConfig, place: str, value: Any, problem: str
) -> None:
    change(unfinished / "corpus" / "index.json", place, value)
    message = refused(unfinished, config, "train")
    assert "index.json: not readable as a corpus" in message
    assert problem in message


@pytest.mark.parametrize("note", ["[]", "3", "{", '{"train-00000.bin": 3}'])
def test_a_spoiled_note_of_what_was_compared_is_made_anew(
    trained: tuple[Path, Ladder], config: LadderConfig, tmp_path: Path, note: str
) -> None:
    folder = Path(shutil.copytree(trained[0] / "corpus", tmp_path / "corpus"))
    (folder / "verified.json").write_text(note)
    prepare_corpus(config, folder)
    assert len(json.loads((folder / "verified.json").read_text())) == 5


def test_a_tokenizer_that_is_another_one_is_refused(unfinished: Path, config: LadderConfig) -> None:
    file = unfinished / "corpus" / "tokenizer" / "tokenizer.json"
    file.write_text(file.read_text().replace("endoftext", "begin"))
    assert "tokenizer.json: is not what it was when it was indexed" in refused(unfinished, config, "train")


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("tokens", 7, "tokens is 7, and this checkpoint has"),
        ("params", -1, "params: Input should be greater than or equal to 0"),
        ("held_out_loss", "low", "held_out_loss: Input should be a valid number"),
        ("trunk_history.0.0", -5, "trunk_history.0.0: Input should be greater than or equal to 0"),
        ("recipe.context", [1], "recipe.context"),
    ],
)
def test_a_spoiled_record_is_refused(
    unfinished: Path, config: LadderConfig, trained: tuple[Path, Ladder], place: str, value: Any, problem: str
) -> None:
    change(unfinished / "t2" / str(trained[1].checkpoints[2].tokens) / "checkpoint.json", place, value)
    assert problem in refused(unfinished, config, "train")


def first(state: dict[str, Any]) -> str:
    return str(next(iter(state["snapshot"]["model"])))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda state: state.update(step=-1), "step: Input should be greater"),
        (lambda state: state.update(recent=["x"]), "recent.0: Input should be a valid number"),
        (lambda state: state.update(trunk_history=[[1]]), "trunk_history.0"),
        (lambda state: state.pop("recipe"), "recipe: Field required"),
        (lambda state: state["snapshot"].pop("optimizer"), "KeyError: 'optimizer'"),
        (
            lambda state: state["snapshot"]["optimizer"]["param_groups"][-1].update(weight_decay={"a": 0.1}),
            "weight_decay",
        ),
        (lambda state: state["snapshot"]["model"].pop(first(state)), "are another model's"),
        (lambda state: state["snapshot"]["model"][first(state)].mul_(float("nan")), "are no finite numbers"),
        (
            lambda state: state["snapshot"]["optimizer"]["state"][first(state)].update(exp_avg=torch.zeros(3)),
            "are another model's",
        ),
        (
            lambda state: state["snapshot"]["optimizer"]["state"][first(state)].update(step=torch.tensor(-2.0)),
            "less than no steps",
        ),
    ],
)
def test_a_spoiled_state_is_refused(
    unfinished: Path, config: LadderConfig, spoil: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    path = unfinished / "t1" / "state" / "trunk.pt"
    state = torch.load(path, weights_only=True)
    spoil(state)
    torch.save(state, path)
    message = refused(unfinished, config, "train")
    assert "trunk.pt: not readable as a state of training" in message
    assert problem in message
    code, _ = run(unfinished, config, "status")
    assert code == 0


def test_a_pipe_in_the_place_of_the_log_is_refused(unfinished: Path, config: LadderConfig) -> None:
    log = unfinished / "t1" / "log.jsonl"
    log.unlink(missing_ok=True)
    os.mkfifo(log)
    assert "log.jsonl: this is a pipe or a device" in refused(unfinished, config, "train")


def test_settings_of_the_optimiser_are_the_configurations(unfinished: Path, config: LadderConfig) -> None:
    """A state's own would be another recipe."""
    path = unfinished / "t1" / "state" / "trunk.pt"
    state = torch.load(path, weights_only=True)
    for group in state["snapshot"]["optimizer"]["param_groups"]:
        group.update(betas=("x", None), peak="high")
    torch.save(state, path)
    assert run(unfinished, config, "train")[0] == 0


def test_tokens_beyond_the_vocabulary_are_refused(trained: tuple[Path, Ladder], config: LadderConfig) -> None:
    from densing.ladder.corpus.shards import Corpus
    from densing.ladder.training.distributed import Workers
    from densing.ladder.training.trainer import Trainer

    corpus = Corpus(trained[0] / "corpus")
    corpus._shards = [np.full_like(shard, 400) for shard in corpus._shards]
    trainer = Trainer(config, config.sizes[0], corpus, Workers(0, 1, torch.device("cpu")), seed=0)
    with pytest.raises(ValueError, match=r"token 400 lies beyond the vocabulary of 300"):
        trainer.step(0, 1.0)


@pytest.fixture
def half_made(config: LadderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ladder's folder with some shards of a corpus."""
    monkeypatch.setattr(build_module, "SHARD_TOKENS", 3000)
    monkeypatch.setattr(build_module, "_BATCH_CHARACTERS", 20_000)
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / ".lock").touch()
    assert run_until(folder, 16, prepare_corpus, config, folder / "corpus") == KILLED
    assert build_module.tokens_so_far(folder / "corpus")
    return folder


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("settings", []),
        ("shards.0.tokens", "x"),
        ("shards.0.sha256", "ab"),
        ("documents", -1),
        ("documents", 10**6),
        ("position", {"number": -1}),
        ("held_out.ends", [5, 3]),
        ("held_out.ends", [10**14]),
        ("held_out.text_bytes", 10**14),
        ("tokenizer_sha256", None),
    ],
)
def test_a_spoiled_note_of_what_is_finished_is_refused(
    half_made: Path, config: LadderConfig, place: str, value: Any
) -> None:
    change(half_made / ".corpus-in-progress" / "progress.json", place, value)
    assert "corpus" in refused(half_made, config, "corpus")
    assert run(half_made, config, "status")[0] == 0


@pytest.mark.parametrize("name", ["train-00000.bin", "train-00000.ends.npy", "tokenizer/tokenizer.json"])
def test_files_of_a_half_made_corpus_that_changed_are_refused(half_made: Path, config: LadderConfig, name: str) -> None:
    path = half_made / ".corpus-in-progress" / name
    path.write_bytes(path.read_bytes()[:8])
    assert f"{path}: is not what it was when it was finished" in refused(half_made, config, "corpus")


def test_a_corpus_that_lost_its_index_is_not_built_over(unfinished: Path, config: LadderConfig) -> None:
    (unfinished / "corpus" / "index.json").unlink()
    assert "has no index.json; restore it" in refused(unfinished, config, "train")


def test_text_that_ends_with_a_shard_makes_no_empty_one(
    config: LadderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "SHARD_TOKENS", 1)  # a shard for every document, the last one too
    corpus = prepare_corpus(config, tmp_path / "corpus")
    assert corpus.documents == len(list(corpus.folder.glob("train-*.bin")))


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "0"}])
def test_an_environment_of_half_a_torchrun_is_refused(
    unfinished: Path, config: LadderConfig, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert "unset WORLD_SIZE" in refused(unfinished, config, "train")


def test_a_refusal_leaves_no_lock(config: LadderConfig, tmp_path: Path) -> None:
    missing = config.model_copy(
        update={"corpus": config.corpus.model_copy(update={"path": str(tmp_path / "none.jsonl")})}
    )
    assert "none.jsonl" in refused(tmp_path / "tiny", missing, "corpus")
