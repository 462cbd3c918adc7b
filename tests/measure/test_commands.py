"""pytest tests/measure/test_commands.py

measure, suites, import, doctor: results on standard output, everything else beside it.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.worked_solutions import write_worked
from densing.cli import app
from densing.core.config import config_names, find_config
from densing.measure.engines.torch_engine import TorchEngine
from densing.measure.measurement import Measurement
from densing.models.registry import load_registry
from tests.measure.requests import instances

pytestmark = pytest.mark.slow


def densing(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    rows = [{"instruction": "import", "answer": " os", "choices": [" os", " if"]}, {"instruction": "x", "answer": " ="}]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_measure_prints_and_writes(checkpoint: Path, items: Path, tmp_path: Path) -> None:
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--out", tmp_path / "out"]
    code, out, err = densing(*command, "--device", "cpu", "--option", "batch_tokens=64")
    assert code == 0, err
    assert "items" in out
    code, printed, _ = densing(*command, "--device", "cpu", "--option", "batch_tokens=64", "--json")
    assert code == 0
    report = json.loads(printed)
    written = Measurement.read(Path(report["folder"]))
    (task,) = report["tasks"]
    assert task["conditional_loss"] == written.tasks["items"].conditional_loss
    assert f"{task['conditional_loss']:.4f}" in out
    assert report["settings"]["batch_tokens"] == 64


def test_an_option_that_changes_the_model_meets_no_answer_of_another(
    checkpoint: Path, items: Path, tmp_path: Path
) -> None:
    """On a warm cache as on a cold one."""
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--device", "cpu", "--json"]

    def losses(out: str, *options: str) -> tuple[float, float]:
        code, printed, err = densing(*command, "--out", tmp_path / out, *options)
        assert code == 0, err
        (task,) = json.loads(printed)["tasks"]
        return task["conditional_loss"], task["score"]

    whole = losses("warm")
    for option in ("num_hidden_layers=1", 'rope_parameters={"rope_type": "default", "rope_theta": 3.0}'):
        warm, cold = losses("warm", "--option", option), losses(f"cold {len(option)}", "--option", option)
        assert warm == cold
        assert warm[0] != whole[0]
    assert losses("warm") == whole


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["measure", "nowhere", "--suite", "jsonl", "--documents", "ITEMS"], 2, "nowhere: no such folder"),
        (["measure", "MODEL", "--suite", "jsonl"], 2, "suite 'jsonl' needs a JSON-lines file"),
        (["measure", "MODEL", "--suite", "jsonl", "--documents", "ITEMS", "--option", "x"], 2, "expected name=value"),
        (["measure", "MODEL", "--suite", "jsonl", "--documents", "ITEMS", "--option", "nonsense=1"], 1, "nonsense"),
        (["measure", "MODEL", "--suite", "jsonl", "--documents", "ITEMS", "--engine", "x"], 2, "unknown engine 'x'"),
        (["import", "nowhere.json"], 2, "nowhere.json: no such file"),
        (["suites", "check", "nowhere.jsonl"], 2, "nowhere.jsonl: no such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], code: int, message: str, checkpoint: Path, items: Path, tmp_path: Path
) -> None:
    named = {"MODEL": str(checkpoint), "ITEMS": str(items)}
    out = ["--out", str(tmp_path / "out")] if arguments[0] == "measure" else []
    found, printed, err = densing(*[named.get(argument, argument) for argument in arguments], *out)
    assert (found, printed) == (code, "")
    assert message in err
    assert "Traceback" not in err


def _changed(**keys: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _linked_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _merging_nothing(path: Path) -> None:
    """A merge on which the library of tokenisers, which is in Rust, panics."""
    data = json.loads(path.read_text())
    vocabulary = data["model"]["vocab"]
    data["model"] |= {"continuing_subword_prefix": "-", "vocab": {**vocabulary, "": len(vocabulary)}}
    data["model"]["merges"] = [[next(iter(vocabulary)), ""]]
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("config.json", _changed(hidden_size=10**6), r"it describes 1.99B parameters, which .* cannot be"),
        ("config.json", _changed(num_hidden_layers=10**5), "num_hidden_layers is 100000, and 1,000 are the most"),
        ("config.json", _changed(text_config={"num_experts": 10**9}), "num_experts is 1000000000, and 4,096"),
        ("config.json", _changed(model_type=["own"], auto_map={"AutoModel": "code.Own"}), "brings its own code"),
        ("config.json", _changed(quantization_config={"quant_method": ["gptq"]}), r"quant_method: .* valid string"),
        ("config.json", _changed(quantization_config=[4]), "quantization_config: .* valid dictionary"),
        ("tokenizer_config.json", _changed(model_max_length=[1]), "the torch engine cannot load it: '>' not supported"),
        ("config.json", _changed(vocab_size=64), "the torch engine cannot load it"),
        (
            "tokenizer_config.json",
            _changed(eos_token=" os"),
            "gives the token 512, and the model knows 512",
        ),
        ("tokenizer_config.json", lambda path: path.write_text("[]"), "expected a mapping of keys to values"),
        ("tokenizer.json", _merging_nothing, "the torch engine cannot load it: slice index starts at"),
        ("tokenizer.json", _linked_to_itself, "Too many levels of symbolic links"),
        ("generation_config.json", lambda path: path.write_text("[" * 300), "generation_config.json: not readable as"),
        ("chat_template.jinja", _pipe, "chat_template.jinja: this is a pipe or a device"),
    ],
)
def test_a_spoiled_checkpoint_is_named_and_nothing_is_left(
    name: str, spoil: Callable[[Path], object], message: str, checkpoint: Path, items: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(checkpoint, tmp_path / "model")
    spoil(model / name)
    code, out, err = densing("measure", model, "--suite", "jsonl", "--documents", items, "--out", tmp_path / "out")
    assert code in (1, 2)
    assert out == ""
    assert re.search(message, " ".join(err.split()))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ({"metric": "acc,none", "score": "/"}, "unknown task of lm-eval '/'"),
        (
            {"metric": "acc,none", "score": "mmlu_nothing"},
            "unknown task of lm-eval 'mmlu_nothing'; did you mean 'mmlu_",
        ),
        ({"metric": "f1,none"}, "unknown metric of densing_jsonl_choice 'f1,none'"),
        ({"metric": "acc,none", "chance": math.inf}, "mmlu.chance: Input should be less than or equal to 100"),
        ({"metric": "acc,none", "shots": 10**9}, "mmlu.shots: Input should be less than or equal to 1000"),
    ],
)
def test_a_suite_that_cannot_be_scored_is_refused_before_it_is_measured(
    benchmark: dict[str, Any], message: str, checkpoint: Path, items: Path, tmp_path: Path
) -> None:
    suite = {"suite": "own", "description": "d", "documents": "items"}
    scored = {"score": "densing_jsonl_choice", **benchmark}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**suite, "benchmarks": {"mmlu": scored}}))
    command = ["measure", checkpoint, "--suite", tmp_path / "s.yaml", "--documents", items, "--out", tmp_path / "out"]
    code, _, err = densing(*command)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["score", "--scale", "none"], "has no scale 'none'"),
        (["score", "--date", "yesterday"], "--date yesterday: not a date"),
        (["score", "--hardware", "abacus"], "abacus"),
        (["score", "--date", "2026-01-01", "--name", "Qwen2.5-7B"], "the registry has a model of that name"),
        (["compare", "Qwen9-7B"], "unknown model 'Qwen9-7B'"),
    ],
)
def test_options_are_refused_before_a_checkpoint_is_measured(
    command: list[str], message: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = densing(command[0], checkpoint, *command[1:])
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_score_says_before_it_measures_that_the_frame_reads_other_benchmarks(
    checkpoint: Path, held_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = densing("score", checkpoint, "--suite", "local", "--documents", held_out)
    assert code == 2
    assert "suite 'local' measures continuation, line, name, and frame densing-law-2025-tied reads mmlu" in err
    code, _, err = densing("score", checkpoint)  # the frame needs densing-law, which needs consent
    assert code == 2
    assert "suite 'densing-law' runs code that the model writes" in err
    assert not (tmp_path / "results").exists()


def test_suites_check_says_what_is_wrong_with_a_file(items: Path) -> None:
    code, out, _ = densing("suites", "check", items)
    assert code == 0
    assert "2 usable items, 1 of them with choices" in out
    items.write_text(items.read_text() + '\n{"instruction": "a", "answer": ""}\n')
    code, out, err = densing("suites", "check", items)
    assert code == 2
    assert "line 3: answer" in out
    assert "1 problems" in err
    code, out, _ = densing("suites", "check", items, "--json")
    assert code == 2
    assert json.loads(out)["items"] == 2


def test_suites_check_loads_a_suites_tasks(held_out: Path, tmp_path: Path) -> None:
    code, out, _ = densing("suites", "check", "local", "--documents", held_out, "--json")
    assert code == 0
    assert set(json.loads(out)["items"].values()) <= set(range(300, 601))
    broken = tmp_path / "suite.yaml"
    broken.write_text(find_config("suite", "local").read_text().replace("chance:", "chnce:"))
    code, _, err = densing("suites", "check", broken)
    assert code == 2
    assert "chnce" in err


def test_suites_are_listed() -> None:
    code, out, _ = densing("suites", "list", "--json")
    assert code == 0
    assert {suite["suite"] for suite in json.loads(out)} == set(config_names("suite"))


def test_imports_go_to_a_measurement_or_the_registry(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(
        json.dumps(
            {
                "results": {"minerva_math": {"exact_match,none": 0.25}, "hellaswag": {"acc,none": 0.5}},
                "configs": {"minerva_math": {"num_fewshot": 4}},
                "model_name": "org/model",
            }
        )
    )
    code, out, err = densing("import", results)
    assert code == 0
    assert "25.00" in out
    assert "hellaswag" in err
    code, out, _ = densing("import", results, "--to", "measurement", "--out", tmp_path / "m", "--json")
    assert code == 0
    (folder,) = json.loads(out)["written"]
    assert Measurement.read(Path(folder)).tasks["math"].score == 25.0
    code, out, _ = densing(
        "import", results, "--to", "registry", "--model", "Own-1B", "--out", tmp_path / "r", "--json"
    )
    assert code == 0
    (score,) = [entry for entry in load_registry(tmp_path / "r").scores if entry.model == "Own-1B"]
    assert (score.benchmark, score.score, score.shots) == ("math", 25.0, "4 (CoT)")
    code, _, err = densing("import", results, "--to", "elsewhere")
    assert code == 2
    assert "registry" in err


def test_doctor_compares_the_engines_that_are_there(checkpoint: Path) -> None:
    code, out, err = densing("doctor", "--parity", checkpoint, "--items", "12", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert {"torch", "lm-eval hf"} <= set(report["logprobs"])
    assert report["largest"] < 1e-4
    assert report["agrees"]
    assert len(report["tokens"]) == 12
    code, out, _ = densing("doctor", "--json")
    installed = json.loads(out)
    assert installed["packages"]["lm_eval"]
    assert {"torch", "vllm"} <= {engine["name"] for engine in installed["engines"]}
    assert {"lm-eval", "CSV"} <= {importer["name"] for importer in installed["importers"]}


def test_lm_eval_knows_our_engines(checkpoint: Path, tmp_path: Path) -> None:
    questions = ["import", "    return", "def f(", "x ="]
    task = {
        "task": "own",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "t.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "q",
        "doc_to_target": "gold",
        "doc_to_choice": ["os", "if"],
    }
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"q": question, "gold": 0}) for question in questions))
    (tmp_path / "own.yaml").write_text(json.dumps(task))
    model = ["--model", "densing-torch", "--model_args", f"pretrained={checkpoint},dtype=float32"]
    command = [
        sys.executable,
        "-m",
        "densing",
        "lm-eval",
        *model,
        "--tasks",
        "own",
        "--include_path",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "--output_path", str(tmp_path / "out")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "out").rglob("results*.json")
    engine = TorchEngine(str(checkpoint), device="cpu", dtype="float32")
    answers = engine.loglikelihood(instances([(question, f" {end}") for question in questions for end in ("os", "if")]))
    right = [answers[2 * place][0] > answers[2 * place + 1][0] for place in range(len(questions))]
    assert json.loads(results.read_text())["results"]["own"]["acc,none"] == sum(right) / len(right)


def test_real_worked_solutions_are_measured(validation: Path, checkpoint: Path, tmp_path: Path) -> None:
    """The items that results/worked_solutions is made from; the first ten of each benchmark."""
    left_out = write_worked(validation / "benchmark_items", tmp_path / "worked", lambda text: len(text) < 500)
    assert left_out["gsm8k"] < 50
    command = ["measure", checkpoint, "--suite", "worked-solutions", "--documents", tmp_path / "worked"]
    options = ["--device", "cpu", "--limit", "10", "--allow-truncated", "--out", tmp_path / "out", "--json"]
    code, out, err = densing(*command, *options)
    assert code == 0, err
    tasks = {task["task"]: task for task in json.loads(out)["tasks"]}
    assert list(tasks) == ["gsm8k", "humaneval", "mbpp", "bbh"]
    for name, task in tasks.items():
        assert task["items"] == 10
        rows = json.loads((tmp_path / "worked" / f"{name}.json").read_text())[:10]
        answers = ["\n".join(part for part in (row["reasoning"], row["answer"]) if part) for row in rows]
        assert task["bytes"] >= sum(len(answer.encode()) for answer in answers)
        assert task["score"] is None


@pytest.mark.parametrize("command", [["measure"], ["import"], ["doctor"], ["suites", "list"], ["suites", "check"]])
def test_every_command_has_an_example(command: list[str]) -> None:
    code, text, _ = densing(*command, "--help")
    assert code == 0
    assert f"densing {' '.join(command)}" in text.partition("Example")[2]
