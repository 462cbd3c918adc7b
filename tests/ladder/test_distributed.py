"""pytest tests/ladder/test_distributed.py"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from densing.ladder.config import LadderConfig
from densing.ladder.manifest import Ladder
from densing.ladder.training.run import train_ladder
from tests.ladder.conftest import tiny_config

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_two_processes_train_what_one_trains(documents: Path, trained: tuple[Path, Ladder], tmp_path: Path) -> None:
    # At a low rate, so that the rounding of sums in another order does not grow along the way.
    config = tiny_config(documents, learning_rate=0.004)
    for name in ("one", "two"):
        shutil.copytree(trained[0] / "corpus", tmp_path / name / "corpus")
    one = train_ladder(config, tmp_path / "one")
    (tmp_path / "tiny.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    settings, folder = str(tmp_path / "tiny.yaml"), str(tmp_path / "two")
    done = torchrun("--no-python", "densing", "ladder", "train", settings, "-o", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert [row["checkpoint"] for row in json.loads(done.stdout)["checkpoints"]] == [c.name for c in one.checkpoints]
    two = Ladder.read(tmp_path / "two")
    for part in ("rungs", "branches"):
        for name, alone in one.training[part].items():
            together = two.training[part][name]["history"]
            assert [step for step, _ in together] == [step for step, _ in alone["history"]]
            assert [loss for _, loss in together] == pytest.approx([loss for _, loss in alone["history"]], abs=1e-4)
    for first, second in zip(one.checkpoints, two.checkpoints, strict=True):
        assert second.held_out_loss == pytest.approx(first.held_out_loss, abs=1e-4)


def test_a_batch_that_does_not_divide_is_refused(config: LadderConfig, tmp_path: Path) -> None:
    odd = config.sizes[0].model_copy(update={"batch": 3})
    (tmp_path / "odd.yaml").write_text(json.dumps(config.model_copy(update={"sizes": (odd,)}).model_dump(mode="json")))
    done = torchrun(
        "--no-python", "densing", "ladder", "train", str(tmp_path / "odd.yaml"), "-o", str(tmp_path / "odd")
    )
    assert done.returncode != 0
    assert "t1: a batch of 3 sequences does not divide over 2 processes" in done.stderr


SHARDED = """
import json, sys
from pathlib import Path
import torch
from densing.ladder.training.checkpoint import State, load_state, save_state
from densing.ladder.config import LadderConfig
from densing.ladder.training.distributed import workers
from densing.ladder.corpus.shards import Corpus
from densing.ladder.training.trainer import Trainer

config = LadderConfig.model_validate_json(sys.argv[1])
with workers() as team:
    def trainer():
        return Trainer(config, config.sizes[1], Corpus(Path(sys.argv[2])), team, seed=0, sharded=True)
    first = trainer()
    losses = [first.step(step, 1.0) for step in range(6)]
    state = State(recipe={}, step=6, snapshot=first.snapshot())
    if team.main:
        save_state(state, Path(sys.argv[3]))
    team.wait()
    for step in range(6, 9):
        losses.append(first.step(step, 1.0))
    second = trainer()
    second.restore(load_state(Path(sys.argv[3]), {}).snapshot)
    resumed = [second.step(step, 1.0) for step in range(6, 9)]
    held_out = second.held_out_loss()
    if team.main:
        print(json.dumps([losses, resumed, held_out.nats_per_token, sorted(state.snapshot["model"])]))
"""


def test_sharded_over_two_processes_it_trains_and_resumes_alike(
    config: LadderConfig, trained: tuple[Path, Ladder], tmp_path: Path
) -> None:
    import torch

    from densing.ladder.corpus.shards import Corpus
    from densing.ladder.training.distributed import Workers
    from densing.ladder.training.trainer import Trainer

    corpus = trained[0] / "corpus"
    (tmp_path / "sharded.py").write_text(SHARDED)
    done = torchrun(str(tmp_path / "sharded.py"), config.model_dump_json(), str(corpus), str(tmp_path / "state.pt"))
    assert done.returncode == 0, done.stderr
    losses, resumed, held_out, names = json.loads(done.stdout)
    alone = Trainer(config, config.sizes[1], Corpus(corpus), Workers(0, 1, torch.device("cpu")), seed=0)
    assert losses == pytest.approx([alone.step(step, 1.0) for step in range(9)], abs=1e-4)
    assert resumed == pytest.approx(losses[6:], abs=1e-6)
    assert held_out == pytest.approx(alone.held_out_loss().nats_per_token, abs=1e-4)
    assert names == sorted(load_file(trained[1].checkpoints[2].path / "model.safetensors"))
