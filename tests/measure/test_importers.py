"""pytest tests/measure/test_importers.py

Every value of other people's results files, as it stands there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from densing.core.errors import InputError
from densing.measure.importers import read_results
from densing.measure.importers.convert import item_rows, measurements, registry_rows
from densing.measure.measurement import Measurement


@pytest.fixture(scope="module")
def given(validation: Path) -> Path:
    return validation / "lm_eval_results"


@pytest.fixture(scope="module")
def expected(given: Path) -> pd.DataFrame:
    table = pd.read_csv(given / "expected_metrics.csv", dtype=str, keep_default_na=False)
    assert len(table) == 1171
    return table


def number(cell: str) -> float | None:
    return float(cell) if cell else None


def test_every_value_is_imported_exactly(given: Path, expected: pd.DataFrame) -> None:
    for file, rows in expected.groupby("file"):
        imported = read_results(given / str(file))
        found = {(v.task, v.metric, v.filter or ""): v for v in imported.values if not v.note.startswith("mean of")}
        wanted = {(row.task, row.metric, row.filter): row for row in rows.itertuples()}
        missing = wanted.keys() - found.keys()
        assert not missing, f"{file}: {sorted(missing)[:5]}"
        for key, row in wanted.items():
            value = found[key]
            assert value.value == float(row.value), (file, key)
            assert value.stderr == number(row.stderr), (file, key)
            assert value.shots == number(row.n_shot), (file, key)
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


def test_samples_beside_the_results(tmp_path: Path) -> None:
    path = written(tmp_path, "results_2025-01-01.json", LM_EVAL)
    samples = [
        {"doc_id": n, "doc": {}, "filter": "none", "metrics": ["acc"], "acc": n % 2, "filtered_resps": [[-1.0, False]]}
        for n in range(4)
    ]
    written(tmp_path, "samples_hellaswag_2025-01-01.jsonl", "\n".join(map(json.dumps, samples)))
    imported = read_results(path)
    (measurement,) = measurements(imported)
    kept = measurement.write(tmp_path / "out", item_rows(imported, measurement))
    rows = kept.items("hellaswag")
    assert list(rows["correct"]) == [0, 1, 0, 1]
    assert list(rows["item"]) == [f"hellaswag/{n}" for n in range(4)]
    with pytest.raises(InputError, match="no rows were kept"):
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
    with pytest.raises(InputError, match=r"has 2 models; import it without --model"):
        registry_rows(imported, "one-name")


def test_plain_csv_is_in_percent(tmp_path: Path) -> None:
    text = "model,benchmark,score,shots\nx,MMLU,61.5,5\nx,mystery,3,\n"
    imported = read_results(written(tmp_path, "scores.csv", text))
    assert [(v.benchmark, v.score, v.shots) for v in imported.values] == [("mmlu", 61.5, 5), (None, 3.0, None)]
    with pytest.raises(InputError, match="look like fractions; give percent"):
        read_results(written(tmp_path, "fractions.csv", "model,benchmark,score\nx,mmlu,0.6\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", '{"results": {"mmlu": {"acc', "not readable as JSON, truncated perhaps"),
        ("results.json", "[1, 2]", "no 'results'; known are results of lm-eval, lighteval"),
        ("results.json", '{"results": {"mmlu": 0.5}}', "results of 'mmlu' are no mapping"),
        ("table.csv", "a,b\n1,2\n", "neither an OpenCompass summary .* its columns are a, b"),
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
