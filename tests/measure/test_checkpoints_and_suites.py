"""pytest tests/measure/test_checkpoints_and_suites.py

What cannot be measured is refused before anything is computed, with what to do instead.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from densing.core import config
from densing.core.config import config_names
from densing.core.errors import DensingError, InputError
from densing.core.hub import download
from densing.measure.checkpoint import find_checkpoint
from densing.measure.run import measure
from densing.measure.suites import Suite, SuiteConfig, load_suite
from densing.measure.tasks.items import check_items, read_worked

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A server that answers every question as the hub does about such a repository; None is one out of reach."""
    answer: tuple[int, str] | None = request.param
    import huggingface_hub.constants as constants

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert answer is not None
            self.send_response(answer[0])
            self.send_header("X-Error-Code", answer[1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815, the server calls it so

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    if answer is None:
        server.server_close()
        yield
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("hub", "kind", "message"),
    [
        (None, DensingError, "org/model: not on this machine, and the hub cannot be reached .* give a local folder"),
        ((403, "GatedRepo"), DensingError, "org/model: this model is gated; accept its terms .* HF_TOKEN"),
        ((401, "RepoNotFound"), InputError, "org/model: no such model on the hub, or it is private"),
    ],
    indirect=["hub"],
    ids=["out of reach", "gated", "absent"],
)
def test_hub_names_that_cannot_be_had(hub: None, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        find_checkpoint("org/model")


@pytest.mark.parametrize("hub", [None], indirect=True)
def test_a_suite_on_the_hub_that_cannot_be_had(hub: None) -> None:
    with pytest.raises(DensingError, match="openbmb/DensingLaw-ScalingBench: not on this machine"):
        read_worked("openbmb/DensingLaw-ScalingBench", "mmlu")
    with pytest.raises(DensingError, match="org/data: not on this machine"):
        download("org/data", "dataset", ["*.json"])


def test_checkpoints_are_named_and_known_by_content(checkpoint: Path, tmp_path: Path) -> None:
    found = find_checkpoint(checkpoint)
    assert found.name == checkpoint.name
    rung = tmp_path / "quick" / "q1" / "1000"
    rung.mkdir(parents=True)
    (tmp_path / "quick" / "manifest.json").write_text("{}")
    for file in checkpoint.iterdir():
        (rung / file.name).write_bytes(file.read_bytes())
    same = find_checkpoint(rung)
    assert same.name == "quick--q1--1000"
    assert (same.weights, same.tokenizer) == (found.weights, found.tokenizer)
    weights = rung / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert find_checkpoint(rung).weights != found.weights
    assert find_checkpoint(rung).tokenizer == found.tokenizer


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no config.json in it, so it is no checkpoint in the Hugging Face layout"),
        ({"config.json": "{"}, r"config\.json: not readable as JSON"),
        ({"config.json": "{}"}, "a checkpoint folder without weights"),
        (
            {"config.json": "{}", "pytorch_model.bin": "x"},
            r"only pickled weights \(pytorch_model\.bin\).*save_pretrained\(NEW_FOLDER\) .* writes safetensors",
        ),
        (
            {
                "config.json": json.dumps({"model_type": "own", "auto_map": {"AutoModel": "code.Own"}}),
                "model.safetensors": "x",
            },
            "brings its own code .* only with your consent; read it, and then give --trust-remote-code",
        ),
    ],
    ids=["no config", "broken config", "no weights", "pickle", "own code"],
)
def test_unusable_folders(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        find_checkpoint(tmp_path)


def test_own_code_is_loaded_if_trusted(tmp_path: Path) -> None:
    own = {"model_type": "own", "auto_map": {"AutoModel": "code.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    (tmp_path / "model.safetensors").write_text("x")
    assert find_checkpoint(tmp_path, trust_remote_code=True).folder == tmp_path


def test_neither_folder_nor_hub_name() -> None:
    with pytest.raises(InputError, match="no/such/folder: no such folder, and not a hub name"):
        find_checkpoint("no/such/folder")


def test_weights_that_do_not_load_are_named(checkpoint: Path, held_out: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DensingError, match="the torch engine cannot load it"):
        measure(tmp_path, load_suite("local", documents=held_out), out=tmp_path / "out", device="cpu")


def test_unknown_engines_and_suites() -> None:
    with pytest.raises(InputError, match="unknown suite 'lokal'; did you mean 'local'"):
        load_suite("lokal")
    with pytest.raises(InputError, match=r"suite 'local' needs .*--documents"):
        load_suite("local")
    with pytest.raises(InputError, match=r"nowhere: no such file or folder; suite 'local' needs"):
        load_suite("local", documents=Path("nowhere"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_hidden_layers", 4, "config.json describes 18 tensors that the weights do not have .*would be random"),
        ("hidden_size", 128, "the torch engine cannot load it"),
        ("num_attention_heads", 7, "the torch engine cannot load it"),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights(
    key: str, value: int, message: str, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    import shutil

    folder = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(described | {key: value}))
    with pytest.raises(DensingError, match=message):
        measure(folder, load_suite("local", documents=held_out), out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_without_a_tokeniser(checkpoint: Path, held_out: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(checkpoint, tmp_path / "model", ignore=shutil.ignore_patterns("token*")))
    with pytest.raises(DensingError, match=r"model: there is no tokeniser in it .*copy the tokenizer files"):
        measure(folder, load_suite("local", documents=held_out), out=tmp_path / "out", device="cpu")


def test_an_unknown_engine(checkpoint: Path, held_out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown engine 'tourch'; did you mean 'torch'"):
        measure(checkpoint, load_suite("local", documents=held_out), engine="tourch", out=tmp_path)


# suites


def suite_of(tmp_path: Path, **benchmark: object) -> Suite:
    described = {"suite": "own", "description": "", "benchmarks": {"b": benchmark}}
    return Suite(SuiteConfig.model_validate(described))


def test_task_names_and_keys_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown task of lm-eval 'densing_local_nam'; did you mean"):
        _ = suite_of(tmp_path, loss="densing_local_nam").tasks
    path = tmp_path / "suite.yaml"
    for benchmark, message in (
        ("{lss: x}", "lss"),
        ("{score: x}", "a score needs its metric, as lm-eval names it: 'metric,filter'"),
        ("{}", "a benchmark needs a task for its loss, one for its score, or both"),
    ):
        path.write_text(f"suite: own\ndescription: d\nbenchmarks:\n  b: {benchmark}\n")
        with pytest.raises(InputError, match=message):
            load_suite(path)


def test_a_metric_that_the_task_does_not_have(checkpoint: Path, held_out: Path, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    benchmark = "{score: densing_local_name, metric: 'accuracy,none'}"
    path.write_text(f"suite: own\ndescription: d\ndocuments: d\nbenchmarks:\n  b: {benchmark}\n")
    with pytest.raises(InputError, match=r"unknown metric of densing_local_name 'accuracy,none'; did you .*'acc,none'"):
        measure(checkpoint, load_suite(path, documents=held_out), out=tmp_path, limit=2, device="cpu")


def test_code_is_run_only_with_consent(checkpoint: Path, tmp_path: Path) -> None:
    """A task that says that it runs code, as lm-eval's humaneval and mbpp do."""
    from lm_eval.api.task import ConfigurableTask

    class Unsafe(ConfigurableTask):
        UNSAFE_CODE = True

    (tmp_path / "t.jsonl").write_text('{"q": "x", "a": "y"}\n')
    task = Unsafe(
        config={
            "task": "unsafe",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(tmp_path / "t.jsonl")}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "q",
            "doc_to_target": "a",
            "unsafe_code": True,
        }
    )
    suite = suite_of(tmp_path, score="unsafe", metric="exact_match,none")
    suite.__dict__["tasks"] = {"tasks": {"unsafe": task}}
    with pytest.raises(InputError, match=r"runs code that the model writes \(unsafe\).*--run-unsafe-code"):
        measure(checkpoint, suite, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_shipped_suites_name_tasks_that_exist() -> None:
    """lm-eval's own among them; their data are on the hub."""
    from lm_eval.tasks import TaskManager

    from densing.measure.suites import TASKS

    known = set(TaskManager(include_path=str(TASKS)).all_tasks)
    assert config_names("suite") == ["cloze", "densing-law", "jsonl", "local", "worked-solutions"]
    for name in config_names("suite"):
        suite = config.load(config.find_config("suite", name), SuiteConfig)
        for benchmark in suite.benchmarks.values():
            assert {benchmark.loss, benchmark.score} - {None} <= known


def test_the_digest_changes_with_whatever_decides_what_is_asked(held_out: Path, tmp_path: Path) -> None:
    digest = load_suite("local", documents=held_out).digest
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(held_out.read_bytes())
    assert load_suite("local", documents=copy).digest == digest
    copy.write_bytes(held_out.read_bytes() + b'{"id": "new", "text": "x = 1"}\n')
    assert load_suite("local", documents=copy).digest != digest
    changed = load_suite("local", documents=held_out).config.model_copy(update={"fewshot_seed": 1})
    assert Suite(changed, str(held_out)).digest != digest


# items


HUB_LAYOUTS = {
    "a file per benchmark": "{name}.json",
    "a folder per benchmark": "{name}/test.json",
    "named in a longer word": "data/{name}_test.json",
}


@pytest.mark.parametrize("layout", HUB_LAYOUTS)
@pytest.mark.parametrize("form", ["json", "jsonl", "parquet"])
def test_worked_items_in_the_layouts_of_the_hub(layout: str, form: str, tmp_path: Path) -> None:
    import pandas as pd

    rows = [
        {"instruction": "2 + 2?", "reasoning": "Two and two.", "answer": "4"},
        {"instruction": "1?\n", "reasoning": None, "answer": "1", "source": "more than needed"},
    ]
    for name in ("mmlu", "human-eval"):
        path = tmp_path / HUB_LAYOUTS[layout].format(name=name.upper()).replace(".json", f".{form}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "json":
            path.write_text(json.dumps(rows))
        elif form == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            pd.DataFrame(rows).to_parquet(path)
    (tmp_path / "README.md").write_text("a data set")
    for name in ("mmlu", "humaneval") if "word" not in layout else ("mmlu",):
        items = read_worked(str(tmp_path), name)
        assert [(item["instruction"], item["answer"]) for item in items] == [
            ("2 + 2?\n", "Two and two.\n4"),
            ("1?\n", "1"),
        ]
        assert len({item["id"] for item in items}) == 2
    with pytest.raises(InputError, match=r"no file for the benchmark 'gsm8k' \(there are: .*MMLU"):
        read_worked(str(tmp_path), "gsm8k")


def test_a_benchmark_is_not_pooled_with_another_of_a_longer_name(tmp_path: Path) -> None:
    def write(name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([{"instruction": name, "answer": "b"}]))

    def read() -> list[str]:
        return [item["instruction"].strip() for item in read_worked(str(tmp_path), "mmlu")]

    write("mmlu-pro.json")
    assert read() == ["mmlu-pro.json"]  # there is no other
    write("mmlu_redux/test.json")
    with pytest.raises(InputError, match=r"which of these is the benchmark 'mmlu'\? \(mmlu-pro.json, mmlu_redux/test"):
        read()
    write("mmlu_test-00000-of-00002.json")
    write("mmlu_test-00001-of-00002.json")
    assert read() == ["mmlu_test-00000-of-00002.json", "mmlu_test-00001-of-00002.json"]


def test_worked_items_that_are_wrong_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mmlu.json"
    for rows, message in (
        ('[{"instruction": "a", "answer": "b"}, {"instruction": "a", "answer": ""}]', "item 2: answer: String should"),
        ('[{"answer": "b"}]', "item 1: instruction: Field required"),
        ('[{"question": "a", "answer": "b"}]', "it has question, answer; expected are instruction, answer and"),
        ('{"a": 1}', "expected a list of items"),
        ("[", "not readable as JSON"),
    ):
        path.write_text(rows)
        with pytest.raises(InputError, match=rf"mmlu\.json.*{message}"):
            read_worked(str(tmp_path), "mmlu")
    with pytest.raises(InputError, match="this is neither a folder of benchmark items nor the name of a dataset"):
        read_worked(str(path), "mmlu")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object with 'instruction' and 'answer'"),
        ('{"instruction": "a"}', "answer: Field required"),
        ('{"instruction": "a", "answer": ""}', "answer: String should have at least 1 character"),
        ('{"instruction": "a", "answer": "b", "choises": []}', "choises: .*allowed keys: id, instruction, answer, ch"),
        ('{"instruction": "a", "answer": "b", "choices": ["c", "d"]}', "the answer 'b' is not among the choices"),
        ('{"instruction": "a", "answer": "b", "choices": ["b", "b"]}', "choices must differ"),
        ('{"instruction": "a", "answer": "b", "choices": ["b"]}', "choices: List should have at least 2"),
        ('{"id": "1", "instruction": "a", "answer": "b"}', "id '1' is also that of line 1"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(line: str, problem: str, tmp_path: Path) -> None:
    import re

    path = tmp_path / "items.jsonl"
    path.write_text(f'{{"instruction": "first", "answer": " x"}}\n\n{line}\n')
    items, problems = check_items(path)
    assert items[0].instruction == "first"
    (found,) = problems
    assert re.match(rf"line 3: .*{problem}|line 3: {problem}", found)
    with pytest.raises(InputError, match=r"items\.jsonl:\nline 3"):
        load_suite("jsonl", documents=path)


def test_a_file_without_items_or_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n\n")
    assert check_items(path) == ([], ["there are no items in this file"])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8 text"):
        check_items(path)
    with pytest.raises(InputError, match="no such file"):
        check_items(tmp_path / "none.jsonl")
