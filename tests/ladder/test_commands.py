"""pytest tests/ladder/test_commands.py"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.cli.fit import read_points
from densing.core.config import config_names, find_config, load
from densing.ladder.config import LadderConfig
from densing.ladder.manifest import Ladder
from densing.ladder.plan import make_plan
from densing.ladder.status import ladder_status
from tests.ladder.conftest import tiny_config
from tests.ladder.test_load import llama

pytestmark = pytest.mark.slow

LADDERS = config_names("ladder")


def densing(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["ladder", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", LADDERS)
def test_every_shipped_ladder_can_be_planned(name: str) -> None:
    code, text, _ = densing("plan", name)
    assert code == 0
    code, printed, _ = densing("plan", name, "--json", "--device", "a100", "--mfu", "0.5")
    assert code == 0
    plan = json.loads(printed)
    config = load(find_config("ladder", name), LadderConfig)
    assert [rung["name"] for rung in plan["rungs"]] == [shape.name for shape in config.sizes]
    for rung in plan["rungs"]:
        assert f"{rung['params_non_embedding']:,}" in text
        # The longest run whole; of every other budget the decay alone, a tenth of it.
        longest = rung["tokens"][-1]
        assert rung["trained_tokens"] == pytest.approx(longest + 0.1 * (rung["separate_tokens"] - longest), rel=0.02)
        assert rung["hours"]["a100"] == pytest.approx(rung["flops"] / (0.5 * 312e12) / 3600)
        assert [tokens / rung["params_non_embedding"] for tokens in rung["tokens"]] == pytest.approx(
            config.budgets, rel=0.02
        )
    assert plan["corpus_tokens"] <= config.corpus.max_epochs * (config.corpus.max_tokens or 1e12)


def test_the_pocket_ladder_takes_an_hour_on_a_consumer_gpu() -> None:
    path = find_config("ladder", "pocket")
    assert "--device rtx-4090 --mfu 0.2" in path.read_text()
    hours = sum(rung.hours("rtx-4090", 0.2) for rung in make_plan(load(path, LadderConfig)).rungs)
    assert hours == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pocket", "--device", "abacus"], "unknown device 'abacus'"),
        (["poket"], "unknown ladder 'poket'; did you mean 'pocket'? Known: densing-law, open, pocket, quickstart"),
        (["gone.yaml"], "gone.yaml: no such file"),
        (["pocket", "--mfu", "40"], "--mfu 40: a share of the device's peak rate"),
    ],
)
def test_impossible_plans_are_refused(arguments: list[str], message: str) -> None:
    code, out, err = densing("plan", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_status_tells_done_missing_and_stale(
    documents: Path, config: LadderConfig, trained: tuple[Path, Ladder], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "tiny"))
    assert [entry.state for entry in ladder_status(config, folder)] == ["done"] * 5
    gone = folder / trained[1].checkpoints[1].path.relative_to(trained[0].resolve())
    shutil.rmtree(gone)
    (folder / trained[1].checkpoints[2].path.relative_to(trained[0].resolve()) / "model.safetensors").unlink()
    states = {entry.name: entry.state for entry in ladder_status(config, folder)}
    assert list(states.values()) == ["done", "done", "half done", "stale", "done"]
    other = ladder_status(tiny_config(documents, learning_rate=0.5), folder)
    assert [entry.state for entry in other] == ["done", *["stale"] * 4]
    assert "learning_rate" in other[1].detail
    other = ladder_status(tiny_config(documents, tokenizer={"vocabulary": 310}), folder)
    assert [entry.state for entry in other] == ["stale", *["missing"] * 4]
    assert [entry.state for entry in ladder_status(config, tmp_path / "nowhere")] == ["missing"] * 5


def test_status_of_a_config_from_the_command_line(
    config: LadderConfig, trained: tuple[Path, Ladder], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(config.model_dump(mode="json")))
    code, printed, _ = densing("status", path, "-o", trained[0], "--json")
    assert code == 0
    assert [entry["state"] for entry in json.loads(printed)] == ["done"] * 5
    code, printed, _ = densing("status", path, "-o", trained[0])
    assert printed.splitlines()[1].startswith("corpus")


def test_loading_shows_what_was_understood_and_writes_a_manifest(tmp_path: Path) -> None:
    for number in range(1, 4):
        llama(tmp_path / "models" / f"s{number}", 8 * number)
    code, out, err = densing("load", tmp_path / "models", "--tokens", "per-parameter:20", "-o", tmp_path / "loaded")
    assert code == 0
    assert "s3" in out
    assert "s3" in err
    assert [checkpoint.rung for checkpoint in Ladder.read(tmp_path / "loaded").checkpoints] == ["s1", "s2", "s3"]
    code, out, err = densing("load", tmp_path / "models")
    assert (code, out) == (2, "")
    assert "state a rule with tokens" in err
    code, out, _ = densing("load", tmp_path / "loaded", "--json")
    assert len(json.loads(out)["checkpoints"]) == 3


def test_losses_are_written_as_the_fit_reads_them(trained: tuple[Path, Ladder], tmp_path: Path) -> None:
    code, _, _ = densing("load", trained[0], "--losses", tmp_path / "losses.csv")
    assert code == 0
    points = read_points(tmp_path / "losses.csv", {"params": (), "tokens": (), "loss": ()}, [])
    assert points[["params", "tokens", "loss"]].to_numpy().tolist() == [
        [c.params_non_embedding, c.tokens, c.held_out_loss] for c in trained[1].checkpoints
    ]
    llama(tmp_path / "models" / "s1", 8)
    code, _, err = densing("load", tmp_path / "models", "--tokens", "s1=1e9", "--losses", tmp_path / "none.csv")
    assert code == 2
    assert "its held-out losses are not recorded" in err
    assert not (tmp_path / "none.csv").exists()


def test_a_stranger_s_file_is_not_written_over(trained: tuple[Path, Ladder], tmp_path: Path) -> None:
    for name in ("losses.csv", "manifest.json"):
        (tmp_path / name).write_text("mine")
    for given in (("--losses", tmp_path / "losses.csv"), ("--losses", tmp_path / "new.csv", "--out", tmp_path)):
        code, _, err = densing("load", trained[0], *given)
        assert code == 2
        assert "densing did not write this file" in err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "losses.csv": "mine",
        "manifest.json": "mine",
    }
    for _ in range(2):
        assert densing("load", trained[0], "--losses", tmp_path / "own.csv", "--out", tmp_path / "own")[0] == 0


def test_a_plan_says_how_exactly_its_ladder_would_measure() -> None:
    found = {}
    for name in ("densing-law", "open"):
        code, printed, _ = densing("plan", name, "--power", "--json")
        assert code == 0
        found[name] = json.loads(printed)["width_95"]
        assert 1 < found[name]["1B"] < found[name]["8B"] < 10
    assert found["open"]["8B"] < found["densing-law"]["8B"]
    code, text, _ = densing("plan", "open", "--power")
    assert code == 0
    assert f"×{found['open']['8B']:.3g}" in text


@pytest.mark.parametrize("command", ["plan", "corpus", "train", "load", "status"])
def test_every_command_has_an_example(command: str) -> None:
    code, text, _ = densing(command, "--help")
    assert code == 0
    assert f"densing ladder {command} " in text.partition("Example")[2]
