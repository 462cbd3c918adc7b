"""pytest tests/measure/test_data_sets.py

Data sets come from the hub or from a folder like it, and a measurement knows which items it asked.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.core.errors import DensingError, InputError
from densing.ladder.compress import quantise
from densing.measure.measurement import Measurement
from densing.measure.suites import load_suite
from tests.measure.data_root import write_cloze, write_densing_law


def densing(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def cloze_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cloze(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def law_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_densing_law(tmp_path_factory.mktemp("hub"))


def rewrite(file: Path, change: Any) -> None:
    table = pd.read_parquet(file)
    change(table)
    table.to_parquet(file)


def test_consent_is_asked_before_anything_of_a_task_is_loaded(law_root: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Not even the data sets are looked for."""
    import sys

    loaded = set(sys.modules)
    code, _, err = densing(
        "measure", checkpoint, "--suite", "densing-law", "--data-root", tmp_path, "--out", tmp_path / "out"
    )
    assert code == 2
    assert "runs code that the model writes (humaneval, mbpp); give --run-unsafe-code" in err
    assert not {name for name in set(sys.modules) - loaded if name.startswith(("lm_eval.tasks.h", "lm_eval.tasks.mb"))}
    assert not (tmp_path / "out").exists()


def test_a_folder_stands_in_for_the_hub_whatever_reads_it(
    law_root: Path, cloze_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files read directly, and by the package datasets, are the same items."""
    suite = load_suite("densing-law", data_root=law_root)
    assert suite.unsafe_tasks
    names = {
        "cais/mmlu",
        "SaylorTwift/bbh",
        "EleutherAI/hendrycks_math",
        "openai/openai_humaneval",
        "google-research-datasets/mbpp",
        "openbmb/DensingLaw-ScalingBench",
    }
    assert set(suite.data_sets) == names
    assert {name for name in names if (law_root / name).is_dir()} == names
    read = load_suite("cloze", data_root=cloze_root).items_hashes
    monkeypatch.setattr("densing.measure.data_sets._configurations", lambda *_: ())
    assert load_suite("cloze", data_root=cloze_root).items_hashes == read


def test_a_changed_data_set_is_measured_again(cloze_root: Path, checkpoint: Path, tmp_path: Path) -> None:
    command = ["measure", checkpoint, "--suite", "cloze", "--data-root", cloze_root, "--out", tmp_path, "--json"]
    command += ["--allow-truncated", "--device", "cpu"]

    def measured() -> tuple[str, dict[str, Any]]:
        code, printed, err = densing(*command)
        assert code == 0, err
        found = Measurement.read(Path(json.loads(printed)["folder"]))
        return found.made_from["suite"], found.tasks["piqa"].settings["data"]

    suite, data = measured()
    assert data["baber/piqa"]["revision"] is None
    assert measured() == (suite, data)
    file = cloze_root / "baber" / "piqa" / "default" / "validation-00000-of-00001.parquet"
    before = file.read_bytes()
    try:
        rewrite(file, lambda table: table.__setitem__("goal", "add two"))
        other, changed = measured()
    finally:
        file.write_bytes(before)
    assert other != suite
    assert changed["baber/piqa"]["items_sha256"] != data["baber/piqa"]["items_sha256"]


def test_frame_olmo_ladder_reads_checkpoints_and_weighs_their_bits(
    cloze_root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite is not named: it is the one that the frame needs."""
    from densing.density.weighing import load_hardware, weigh

    monkeypatch.chdir(tmp_path)
    read = ["--frame", "olmo-ladder", "--data-root", cloze_root, "--allow-truncated", "--device", "cpu", "--json"]

    def rows_of(*command: str | Path) -> list[dict[str, Any]]:
        code, printed, err = densing(*command, *read)
        assert code == 0, err
        return list(json.loads(printed))

    plain = rows_of("score", checkpoint)
    names = ["mmlu_cloze", "hellaswag", "arc_challenge", "piqa"]
    assert sorted(row["benchmark"] for row in plain) == sorted([*names, "joint"])
    measured = Measurement.read(tmp_path / "results" / "measurements" / checkpoint.name / "cloze")
    assert {row["benchmark"]: row["score"] for row in plain[:-1]} == {n: measured.tasks[n].score for n in names}
    copy = quantise(checkpoint, tmp_path / "copy", 4)
    size = plain[0]["size"]
    weighed = weigh(load_hardware("rtx-4090-article"), size, 4).size(size, None, 4)
    assert [row["size"] for row in rows_of("score", copy)] == pytest.approx([weighed] * 5)
    compared = rows_of("compare", checkpoint, shutil.copytree(checkpoint, tmp_path / "twin"))
    assert sorted(row["benchmark"] for row in compared) == sorted([*names, "joint"])
    assert {row["model"] for row in compared} == {"twin"}
    code, out, err = densing("score", checkpoint, *read, "--by-loss")
    assert (code, out) == (2, "")
    assert "another tokeniser than the ladder of frame olmo-ladder" in err


def test_the_revision_that_was_fetched_is_kept(cloze_root: Path) -> None:
    from densing.measure.data_sets import source_of

    commit = "a" * 40
    note = cloze_root / "Rowan" / "hellaswag" / ".cache" / "huggingface" / "download" / "README.md.metadata"
    note.parent.mkdir(parents=True)
    note.write_text(f"{commit}\nanother\n1.0\n")
    suite = load_suite("cloze", data_root=cloze_root)
    found = {name: source_of(task, cloze_root) for name, task in suite.tasks["tasks"].items()}
    assert found["densing_cloze_hellaswag"] == ("Rowan/hellaswag", commit)
    assert found["densing_cloze_piqa"] == ("baber/piqa", None)
    note.write_bytes(b"\xff")
    assert source_of(suite.tasks["tasks"]["densing_cloze_hellaswag"], cloze_root) == ("Rowan/hellaswag", None)


def test_what_is_missing_is_named_with_the_command_that_fetches_it(cloze_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the data set Rowan/hellaswag is not in this folder; run `densing suites fe"):
        _ = load_suite("cloze", data_root=tmp_path).tasks
    with pytest.raises(InputError, match="there is no such folder"):
        load_suite("cloze", data_root=tmp_path / "none")
    fetch = r"`densing suites fetch cloze --data-root FOLDER`"
    with pytest.raises(DensingError, match=rf"the data set Rowan/hellaswag is not on this machine .*{fetch}"):
        _ = load_suite("cloze").tasks
    with pytest.raises(DensingError, match=r"openbmb/DensingLaw-ScalingBench: not on .*suites fetch densing-law"):
        _ = load_suite("densing-law").tasks
    with pytest.raises(InputError, match="lacks the worked examples MCAS_2009_5_6516"):
        root = write_cloze(tmp_path / "short")
        rewrite(
            root / "allenai" / "ai2_arc" / "ARC-Challenge" / "train-00000-of-00001.parquet",
            lambda table: table.__setitem__("id", table["id"].replace("MCAS_2009_5_6516", "another")),
        )
        _ = load_suite("cloze", data_root=root).tasks
    code, _, err = densing("suites", "fetch", "cloze", "--data-root", tmp_path / "to")
    assert code == 1
    assert "Rowan/hellaswag: not on this machine, and the hub cannot be reached" in err
    code, _, err = densing("suites", "fetch", "jsonl", "--data-root", tmp_path / "to")
    assert code == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("[" * 300, "README.md: not readable as YAML .*nested more than 100 deep"),
        ("a: &a [*a]", "an alias stands inside of what it repeats"),
        (b"\xff", "README.md, line 2: .* not UTF-8"),
        ([{"split": "test", "path": "/etc/*.parquet"}], "'/etc/.*' leads out of its folder"),
        ([{"split": "test", "path": "../*/*"}], "leads out of its folder"),
        ([{"split": "test", "path": ""}], "README.md: not readable as the card of a data set"),
        ([{"split": "test"}], "lm-eval cannot load its tasks"),
    ],
)
def test_a_spoiled_card_is_named(files: Any, message: str, tmp_path: Path) -> None:
    root = write_cloze(tmp_path / "hub")
    if isinstance(files, list):
        files = f"configs: {json.dumps([{'config_name': 'default', 'data_files': files}])}"
    head = files if isinstance(files, bytes) else files.encode()
    (root / "Rowan" / "hellaswag" / "README.md").write_bytes(b"---\n" + head + b"\n---\n")
    with pytest.raises(InputError, match=message):
        _ = load_suite("cloze", data_root=root).tasks


def test_a_pipe_among_the_data_is_not_waited_for(tmp_path: Path) -> None:
    root = write_cloze(tmp_path / "hub")
    os.mkfifo(root / "Rowan" / "hellaswag" / "default" / "more.parquet")
    with pytest.raises(InputError, match=r"more\.parquet: this is a pipe or a device"):
        _ = load_suite("cloze", data_root=root).tasks


def test_cloze_asks_as_the_ladder_did(cloze_root: Path) -> None:
    """Prompts of OLMES 0.1: options never shown, five worked examples, WikiHow's brackets turned into sentences."""
    tasks = load_suite("cloze", data_root=cloze_root).tasks["tasks"]
    arc = tasks["densing_cloze_arc_challenge"].eval_docs[2]
    shots = "".join(f"Question: What is {n} + 1?\nAnswer: {n + 1}\n\n" for n in range(5))
    assert arc["instruction"] == f"{shots}Question: What is 2 + 1?\nAnswer:"
    assert arc["choices"] == ["1", "2", "3", "4"]
    assert arc["answer"] == " 3"
    ended = tasks["densing_cloze_hellaswag"].eval_docs[1]
    assert ended["instruction"].endswith("\n\nSums: How to add. Take 1. One")
    assert ended["choices"][1] == "more is 2. Done."
    piqa = tasks["densing_cloze_piqa"].eval_docs[0]["instruction"]
    assert piqa.startswith("Goal: how do you stab something?\nAnswer: stick a sharp object thr")
    mmlu = tasks["densing_cloze_mmlu"].eval_docs[6]["instruction"]
    assert mmlu.startswith(
        "The following are multiple choice questions (with answers) about world religions.\n\nQuestion"
    )
    assert mmlu.count("Answer:") == 6
    task = tasks["densing_cloze_arc_challenge"]
    requests = task.construct_requests(arc, arc["instruction"])
    assert [request.args for request in requests][2] == (arc["instruction"], " 3")
