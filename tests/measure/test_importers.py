"""pytest tests/measure/test_importers.py

Every value of other people's results files, as it stands there, with the protocol it was measured by.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.core.errors import InputError
from densing.measure.importers.convert import item_rows, measurements, registry_rows
from densing.measure.importers.read import read_results
from densing.measure.importers.values import is_part
from densing.measure.measurement import Measurement
from densing.models.benchmarks import load_benchmarks
from densing.models.registry import ScoreEntry, load_registry


@pytest.fixture(scope="module")
def given(validation: Path) -> Path:
    return validation / "lm_eval_results"


@pytest.fixture(scope="module")
def expected(given: Path) -> pd.DataFrame:
    table = pd.read_csv(given / "expected_metrics.csv", dtype=str, keep_default_na=False)
    assert len(table) == 1171
    return table


GROUPS = ("mmlu", "mmlu_stem", "mmlu_other", "mmlu_humanities", "mmlu_social_sciences")
"""lm-eval states no shots for them, or 0; theirs are those of their subjects."""


def densing(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def into_registry(results: Path, folder: Path) -> list[ScoreEntry]:
    """Rows of a registry to which `densing import` added a file."""
    code, _, err = densing("import", results, "--to", "registry", "--out", folder)
    assert code == 0, err
    return [row for row in load_registry(folder).scores if row.source.startswith(results.name)]


def number(cell: str) -> float | None:
    return float(cell) if cell else None


def test_every_value_is_imported_exactly(given: Path, expected: pd.DataFrame) -> None:
    for file, rows in expected.groupby("file"):
        imported = read_results(given / str(file))
        found = {(v.task, v.metric, v.filter or ""): v for v in imported.values if not v.note.startswith("mean of")}
        wanted = {(row.task, row.metric, row.filter): row for row in rows.itertuples()}
        missing = wanted.keys() - found.keys()
        assert not missing, f"{file}: {sorted(missing)[:5]}"
        own = {row.task: number(row.n_shot) for row in rows.itertuples()}
        for key, row in wanted.items():
            value = found[key]
            assert value.value == float(row.value), (file, key)
            assert value.stderr == number(row.stderr), (file, key)
            parts = (
                {shots for task, shots in own.items() if is_part(task, load_benchmarks()["mmlu"])}
                if row.task in GROUPS
                else set()
            )
            assert value.shots == (parts.pop() if parts else number(row.n_shot)), (file, key)
            assert not parts
            assert value.samples == number(row.n_samples), (file, key)
        assert not found.keys() - wanted.keys(), f"{file}: values that nobody expects"


def test_benchmarks_settings_and_models_are_told(given: Path) -> None:
    for path in sorted(given.glob("*.json")):
        imported = read_results(path)
        assert imported.harness.startswith("lm-eval 0.")
        assert imported.settings
        assert {value.model for value in imported.values} - {""}
    llama = read_results(given / "results@meta-llama__Llama-3.2-1B@results_2025-03-03T00-05-19.750676.json")
    assert {v.model for v in llama.values} == {"meta-llama/Llama-3.2-1B"}
    mmlu = read_results(given / "results@llama@llama-7B@llama-7B_mmlu_5-shot.json")
    (score,) = mmlu.known
    assert (score.benchmark, score.note) == ("mmlu", "mean of the 57 subjects")
    subjects = [v.value for v in mmlu.values if v.metric == "acc" and v is not score]
    assert score.value == pytest.approx(sum(subjects) / 57)
    pythia = read_results(given / "pythia_raw_v0.3@1b-deduped_step143000.json")
    assert "lambada_openai" in pythia.unknown_tasks
    gsm8k = read_results(
        given / "gsm8k_resps@meta-llama__Meta-Llama-3-8B-Instruct@results_2024-08-25T21-59-12.123082.json"
    )
    assert [(v.filter, v.shots, v.samples) for v in gsm8k.values] == [
        ("strict-match", 5, 1319),
        ("flexible-extract", 5, 1319),
    ]


def test_all_become_measurements_that_can_be_read(given: Path, expected: pd.DataFrame, tmp_path: Path) -> None:
    for path in sorted(given.glob("*.json")):
        imported = read_results(path)
        tasks = {value.task for value in imported.values}
        for measurement in measurements(imported):
            written = measurement.write(tmp_path, item_rows(imported, measurement))
            assert written.folder is not None
            assert Measurement.read(written.folder) == written
            assert {task.settings["task"] for task in written.tasks.values()} == tasks
        assert path.name in written.made_from
    rows = registry_rows(read_results(given / "results@llama@llama-7B@llama-7B_mmlu_5-shot.json"), "Llama-7B")
    assert [(row.model, row.benchmark, row.shots) for row in rows] == [("Llama-7B", "mmlu", "5")]


LM_EVAL: dict[str, Any] = {
    "results": {
        "minerva_math": {"exact_match,none": 0.25, "exact_match_stderr,none": 0.01, "alias": "minerva_math"},
        "hellaswag": {"acc,none": 0.5, "acc_stderr,none": "N/A"},
    },
    "configs": {"minerva_math": {"num_fewshot": 4}},
    "n-shot": {"minerva_math": 4, "hellaswag": 0},
    "n-samples": {"hellaswag": {"original": 10042, "effective": 100}},
    "config": {"model_args": {"pretrained": "org/model", "revision": "step1000"}},
    "lm_eval_version": "0.4.13",
}


def written(folder: Path, name: str, data: Any) -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_settings_of_lm_eval_as_a_dict_and_what_is_not_known(tmp_path: Path) -> None:
    imported = read_results(written(tmp_path, "results_2025.json", LM_EVAL))
    assert imported.harness == "lm-eval 0.4.13"
    math, hellaswag = imported.values
    assert (math.model, math.benchmark, math.score, math.stderr) == ("org/model@step1000", "math", 25.0, 0.01)
    assert (hellaswag.benchmark, hellaswag.stderr, hellaswag.samples) == (None, None, 100)
    assert imported.unknown_tasks == ["hellaswag"]
    assert [row.shots for row in registry_rows(imported)] == ["4 (CoT)"]


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_samples_beside_the_results(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, "results_2025-01-01.json", LM_EVAL)
    samples = [
        {"doc_id": n, "doc": {}, "filter": "none", "metrics": ["acc"], "acc": n % 2, "filtered_resps": [[-1.0, False]]}
        for n in range(4)
    ]
    written(tmp_path, f"samples_hellaswag_2025-01-01.{ending}", "\n".join(map(json.dumps, samples)))
    imported = read_results(path)
    (measurement,) = measurements(imported)
    kept = measurement.write(tmp_path / "out", item_rows(imported, measurement))
    rows = kept.items("hellaswag")
    assert list(rows["correct"]) == [0, 1, 0, 1]
    assert list(rows["item"]) == [f"hellaswag/{n}" for n in range(4)]
    with pytest.raises(InputError, match="the items of this task were not kept"):
        kept.items("math")


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
def test_lighteval(old: bool, tmp_path: Path) -> None:
    math, mmlu = ("lighteval|math|4|0", "leaderboard|mmlu:_average|5|0") if old else ("math|4", "mmlu:_average|5")
    data = {
        "config_general": {"model_name": "org/model", "lighteval_sha": "0123456789"},
        "results": {math: {"extractive_match": 0.31, "extractive_match_stderr": 0.02}, mmlu: {"acc": 0.6}},
        "config_tasks": {math: {"effective_num_docs": 500}},
    }
    imported = read_results(written(tmp_path, "results.json", data))
    assert imported.harness == "lighteval 01234567"
    found = {v.benchmark: (v.score, v.shots, v.samples) for v in imported.known}
    assert found == {"math": (31.0, 4, 500), "mmlu": (60.0, 5, None)}


def test_opencompass_has_a_column_per_model(tmp_path: Path) -> None:
    text = (
        "dataset,version,metric,mode,model-a,model-b\n"
        "--------- Exam ---------,-,-,-,-,-\n"
        "mmlu,-,naive_average,ppl,55.10,60.25\n"
        "openai_humaneval,8e312c,humaneval_pass@1,gen,12.20,-\n"
        "C3,e24a31,accuracy,ppl,43.8,41.0\n"
    )
    imported = read_results(written(tmp_path, "summary_20240605.csv", text))
    known = {(v.model, v.benchmark): v.score for v in imported.known}
    assert known == {("model-a", "mmlu"): 55.1, ("model-b", "mmlu"): 60.25, ("model-a", "humaneval"): 12.2}
    assert imported.unknown_tasks == ["C3"]
    assert len(measurements(imported)) == 2
    with pytest.raises(InputError, match=r"it has 2 models, and --model gives one name; import it without --model"):
        registry_rows(imported, "one-name")


def test_plain_csv_is_in_percent(tmp_path: Path) -> None:
    text = "model,benchmark,score,shots\nx,MMLU,61.5,5\nx,mystery,3,\n"
    imported = read_results(written(tmp_path, "scores.csv", text))
    assert [(v.benchmark, v.score, v.shots) for v in imported.values] == [("mmlu", 61.5, 5), (None, 3.0, None)]
    text = "model,benchmark,score,shots\nx,bbh,50,3 (CoT)\nx,mmlu,0.6%,5-shot\nx,math,40.0 (200/500),4.0\n"
    found = [
        (row.benchmark, row.shots, row.score) for row in registry_rows(read_results(written(tmp_path, "s.csv", text)))
    ]
    assert found == [("bbh", "3 (CoT)", 50.0), ("mmlu", "5", 0.6), ("math", "4", 40.0)]


OPENCOMPASS = "dataset,version,metric,mode,total_count,model-a\nmmlu,-,naive_average,ppl,14042,{}\n"
PLAIN = "model,benchmark,score,source\nmodel-a,mmlu,{},a report\n"


@pytest.mark.parametrize(("table", "line"), [(OPENCOMPASS, "line 2, column model-a"), (PLAIN, "line 2, column score")])
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("0.55", "can be read as 0.55% or as a fraction, 55%; write '0.55%' or '55%'"),
        ("1", "can be read as 1% or as a fraction, 100%"),
        ("0.4 (200/500)", "gives two scores, 0.4% and 40% by its counts"),
        ("nan", "which lies between 0 and 100"),
        ("inf", "which lies between 0 and 100"),
        ("14042", "which lies between 0 and 100"),
        ("-1", "which lies between 0 and 100"),
        ("much", "is not a number"),
    ],
)
def test_no_cell_of_a_table_is_read_in_two_ways(table: str, line: str, cell: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, "table.csv", table.format(cell))
    code, _, err = densing("import", path, "--to", "registry", "--out", tmp_path / "registry")
    assert code == 2
    assert line in err
    assert message in err
    assert not (tmp_path / "registry").exists()


def test_a_percent_sign_says_which_way(tmp_path: Path) -> None:
    path = written(tmp_path, "given.csv", "model,benchmark,score\nmodel-a,math,0.55%\nmodel-a,mmlu,26\n")
    assert {row.benchmark: row.score for row in into_registry(path, tmp_path / "registry")} == {
        "math": 0.55,
        "mmlu": 26,
    }


def test_the_command_of_before_names_that_of_today(tmp_path: Path) -> None:
    code, _, err = densing("models", "import", "given.csv")
    assert code == 2
    assert "`densing import given.csv --to registry`" in err


def test_a_column_of_counts_is_no_model(tmp_path: Path) -> None:
    text = OPENCOMPASS.format("40.0 (200/500)") + "math,-,accuracy,gen,500,31.5\n"
    imported = read_results(written(tmp_path, "summary.csv", text))
    assert {(v.model, v.benchmark, v.score, v.samples) for v in imported.values} == {
        ("model-a", "mmlu", 40.0, 500),
        ("model-a", "math", 31.5, 500),
    }
    rows = into_registry(imported.path, tmp_path / "registry")
    assert {row.model for row in rows} == {"model-a"}
    assert not any(row.verified for row in rows)
    assert all("does not state a limit of items or a chat template, shots not stated" in row.note for row in rows)
    with pytest.raises(InputError, match=r"no column of a model; beside the dataset there are total_count"):
        read_results(written(tmp_path, "summary.csv", "dataset,version,metric,mode,total_count\nmmlu,-,acc,gen,3\n"))


def mmlu(shots: int = 5, config: Any = None, **more: Any) -> dict[str, Any]:
    """Results of lm-eval 0.4: a group without shots of its own, and two of its parts."""
    parts = ("mmlu_anatomy", "mmlu_virology")
    return {
        "results": {"mmlu": {"acc,none": 0.6}} | {part: {"acc,none": 0.6} for part in parts},
        "group_subtasks": {"mmlu": ["mmlu_other"], "mmlu_other": list(parts)},
        "configs": {part: {"num_fewshot": shots} for part in parts},
        "n-shot": {"mmlu": 0} | dict.fromkeys(parts, shots),
        "n-samples": {part: {"original": 100, "effective": 100} for part in parts},
        "config": {"model_args": "pretrained=org/model", "limit": None} | (config or {}),
        "model_name": "org/model",
        "chat_template": None,
        **more,
    }


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (mmlu(), None),
        (mmlu(config={"limit": 10.0}), "limit 10 items a task"),
        (mmlu(**{"n-samples": {"mmlu_anatomy": {"original": 135, "effective": 10}}}), "10 of 135 items"),
        (mmlu(chat_template="{{ messages }}"), "chat template"),
        (mmlu(config={"apply_chat_template": True}), "chat template"),
        (mmlu(fewshot_as_multiturn=True), "examples as turns of a chat"),
        (mmlu(fewshot_as_multiturn=True, lm_eval_version="0.4.13"), None),
        (mmlu(system_instruction="Be brief."), "system instruction"),
        (mmlu(shots=0), "shots 0, not 5"),
        (mmlu(results={"mmlu": {"acc,flexible-extract": 0.6}}), "answer filter flexible-extract"),
    ],
)
def test_only_the_registrys_protocol_is_verified(data: dict[str, Any], why: str | None, tmp_path: Path) -> None:
    (row,) = into_registry(written(tmp_path, "results.json", data), tmp_path / "registry")
    assert (row.benchmark, row.score, row.verified) == ("mmlu", 60.0, why is None)
    assert row.note.partition("not verified: ")[2] == (why or "")
    (measurement,) = measurements(read_results(tmp_path / "results.json"))
    assert measurement.tasks["mmlu"].settings["departures"] == ([why] if why else [])


@pytest.mark.parametrize(
    ("shots", "told"),
    [
        ({"n-shot": {"mmlu": 0, "mmlu_anatomy": 5, "mmlu_virology": 5}, "configs": {}}, "5"),
        ({"n-shot": {"mmlu": 0, "mmlu_anatomy": 0, "mmlu_virology": 0}}, "5"),
        ({"n-shot": {}}, "5"),
        ({"group_subtasks": {}}, "5"),
        ({"n-shot": {}, "configs": {}, "config": {"num_fewshot": 5}}, "5"),
        (
            {"configs": {"mmlu_anatomy": {"num_fewshot": 5}, "mmlu_virology": {"num_fewshot": 0}}, "n-shot": {}},
            "not stated",
        ),
        ({"n-shot": {}, "configs": {}}, "not stated"),
    ],
)
def test_shots_are_found_wherever_the_file_has_them(shots: dict[str, Any], told: str, tmp_path: Path) -> None:
    (row,) = into_registry(written(tmp_path, "results.json", mmlu(**shots)), tmp_path / "registry")
    assert row.shots == told
    assert row.verified is (told == "5")


def test_real_runs_keep_their_shots(given: Path, tmp_path: Path) -> None:
    rows = {}
    for name in ("results-0.4.3@state-spaces__mamba-130m", "results@meta-llama__Llama-3.2-1B", "pythia_raw_v0.3@1b"):
        (path,) = given.glob(f"{name}*.json")
        (rows[name],) = into_registry(path, tmp_path / name)
    assert [(row.shots, row.verified) for row in rows.values()] == [("5", True), ("0", False), ("0", False)]
    assert rows["pythia_raw_v0.3@1b"].note.endswith("not verified: shots 0, not 5")


def test_tasks_inside_of_others_are_found(tmp_path: Path) -> None:
    bbh = {"leaderboard_bbh": {"acc_norm,none": 0.31}, "leaderboard_bbh_snarks": {"acc_norm,none": 0.54}}
    data = {"results": {"all": {"leaderboard": {"acc_norm,none": 0.3}, **bbh}, "leaderboard": {"acc_norm,none": 0.3}}}
    data["groups"] = {"leaderboard_math_hard": {"exact_match,none": 0.01}}
    path = written(tmp_path, "results.json", data)
    code, out, err = densing("import", path, "--json")
    assert code == 0, err
    assert {v["task"]: v["score"] for v in json.loads(out)["values"]} == {
        "leaderboard": 30.0,
        "leaderboard_math_hard": 1.0,
        "leaderboard_bbh": 31.0,
        "leaderboard_bbh_snarks": 54.0,
    }
    data["results"]["leaderboard"] = {"acc_norm,none": 0.4}
    with pytest.raises(InputError, match="'leaderboard' stands there twice with different values"):
        read_results(written(tmp_path, "results.json", data))


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), float("inf")])
def test_a_score_that_is_none_is_refused(score: float, tmp_path: Path) -> None:
    path = written(tmp_path, "results_1.json", LM_EVAL | {"results": {"hellaswag": {"acc,none": score}}})
    code, _, err = densing("import", path, "--to", "measurement", "--out", tmp_path / "out")
    assert code == 2
    assert f"results_1.json: hellaswag, acc = {score:g}: this score must lie between 0 and 1" in err
    sample = {"doc_id": 0, "doc": {}, "filter": "none", "metrics": ["acc"], "acc": score, "filtered_resps": []}
    path = written(tmp_path, "results_2.json", LM_EVAL)
    beside = written(tmp_path, "samples_hellaswag_2.jsonl", json.dumps(sample | {"acc": 1}) + "\n" + json.dumps(sample))
    code, _, err = densing("import", path, "--to", "measurement", "--out", tmp_path / "out")
    assert code == 2
    assert f"{beside.name}, sample 2 of hellaswag: acc = {score}: an item's score must lie between 0 and 1" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [1.5, float("nan"), float("-inf"), "nan"])
def test_a_log_probability_that_is_none_is_refused(value: float | str, tmp_path: Path) -> None:
    pairs = [[-1.25, False], [value, str(True)]]
    sample = {"doc_id": 0, "doc": {}, "filter": "none", "metrics": ["acc"], "acc": 1, "filtered_resps": pairs}
    path = written(tmp_path, "results_2.json", LM_EVAL)
    written(tmp_path, "samples_hellaswag_2.jsonl", json.dumps(sample))
    code, _, err = densing("import", path, "--to", "measurement", "--out", tmp_path / "out")
    assert code == 2
    assert f"sample 1 of hellaswag: log-probability {float(value)}: it must be a finite number, and 0 at most" in err
    assert not (tmp_path / "out").exists()


def test_a_metric_that_is_no_share_gives_no_score(tmp_path: Path) -> None:
    path = written(tmp_path, "results.json", LM_EVAL | {"results": {"lambada": {"perplexity,none": 12.5}}})
    (measurement,) = measurements(read_results(path))
    assert measurement.tasks["lambada"].score is None
    assert measurement.tasks["lambada"].settings["values"][0]["value"] == 12.5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", '{"results": {"mmlu": {"acc', "not readable as JSON .* it may be truncated"),
        ("results.json", "[1, 2]", "no importer knows this form: it is JSON without keys. The importers are lm-eval"),
        ("results.json", '{"results": {"mmlu": 0.5}}', "results of 'mmlu' are no mapping"),
        ("results.json", '{"results": {"mmlu": {"alias": "mmlu", "acc,none": "N/A"}}}', "no value in it"),
        ("table.csv", "model,benchmark,score\n", "no value in it"),
        ("summary.csv", "dataset,version,metric,mode,m\nmmlu,-,acc,gen,-\n", "no value in it"),
        ("table.csv", "model,benchmark,score,shots\nx,mmlu,50,many\n", "line 2, column shots: 'many' is no number"),
        ("table.csv", "a,b\n1,2\n", "no importer knows this form: its columns are a, b"),
        ("table.csv", "model,benchmark,score\nx,mmlu,much\n", "line 2, column score: 'much' is not a number"),
        ("table.csv", "", "its columns are none"),
    ],
)
def test_what_is_wrong_is_named(name: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_results(written(tmp_path, name, content))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.json: no such file"):
        read_results(tmp_path / "results.json")
    with pytest.raises(InputError, match=r"0 results\*\.json files in this folder"):
        read_results(tmp_path)
