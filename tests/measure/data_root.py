"""A handful of made-up items in the layouts of the data sets on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, Any]


def write_data_set(root: Path, name: str, configs: dict[str, dict[str, list[Row]]]) -> Path:
    """A repository as the hub keeps it: a Parquet file per split, and a README that says which is which."""
    from pyarrow import Table
    from pyarrow.parquet import write_table

    folder = root / name
    described = []
    for config, splits in configs.items():
        files = []
        for split, rows in splits.items():
            path = folder / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(Table.from_pylist(rows), path)
            files.append({"split": split, "path": f"{config}/{split}-*"})
        described.append({"config_name": config, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': described})}---\n# {name}\n")
    return folder


def write_densing_law(root: Path, items: int = 2, programs: int = 2) -> Path:
    """The data sets of the suite `densing-law`: so many items of each subject, and so many of each task of programs."""

    from densing.measure.suites import load_suite

    suite = load_suite("densing-law")
    configs: dict[str, list[str]] = {}
    for file in suite._task_files(suite._manager).values():
        if "dataset_path" in file:
            configs.setdefault(file["dataset_path"], []).append(file.get("dataset_name") or "default")
    numbers = range(items)

    def mmlu(subject: str) -> list[Row]:
        return [_question(number, f"{subject}: ") for number in range(items + 5)]

    def bbh(task: str) -> list[Row]:
        return [{"input": f"{task} {n} is", "target": "True" if n % 2 else "False"} for n in numbers]

    def math(kind: str) -> list[Row]:
        return [
            {
                "problem": f"{kind}: what is {n} + 1?",
                "solution": f"It is $\\boxed{{{n + 1}}}$.",
                "level": "Level 1",
                "type": kind,
            }
            for n in numbers
        ]

    mmlu_splits = {name: {"test": mmlu(name)[5:], "dev": mmlu(name)[:5]} for name in configs["cais/mmlu"]}
    write_data_set(root, "cais/mmlu", mmlu_splits)
    write_data_set(root, "SaylorTwift/bbh", {name: {"test": bbh(name)} for name in configs["SaylorTwift/bbh"]})
    math_splits = {name: {"train": math(name), "test": math(name)} for name in configs["EleutherAI/hendrycks_math"]}
    write_data_set(root, "EleutherAI/hendrycks_math", math_splits)
    humaneval = [
        {
            "task_id": f"HumanEval/{n}",
            "prompt": f"def add_{n}(a):\n",
            "canonical_solution": f"    return a + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
            "entry_point": f"add_{n}",
        }
        for n in range(programs)
    ]
    write_data_set(root, "openai/openai_humaneval", {"openai_humaneval": {"test": humaneval}})
    mbpp = [
        {
            "task_id": n,
            "text": f"Write a function that adds {n}.",
            "code": f"def add(a):\n    return a + {n}",
            "test_list": [f"assert add({one}) == {one + n}" for one in range(3)],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for n in range(programs)
    ]
    write_data_set(root, "google-research-datasets/mbpp", {"full": {"test": mbpp, "train": mbpp}})
    write_scaling_bench(root / "openbmb" / "DensingLaw-ScalingBench", items)
    return root


def _question(number: int, start: str = "") -> Row:
    """Its right choice stands at another place than that of the question before."""
    choices = [str(number + 1 + place - number % 4) for place in range(4)]
    return {"question": f"{start}What is {number} + 1?", "subject": "sums", "choices": choices, "answer": number % 4}


def write_scaling_bench(folder: Path, items: int) -> Path:
    """Items with worked answers, a file for each benchmark."""
    folder.mkdir(parents=True)
    for name in ("mmlu", "bbh", "math", "humaneval", "mbpp"):
        rows = [
            {"instruction": f"{name}: what is {n} + 1?", "reasoning": f"One more than {n}.", "answer": str(n + 1)}
            for n in range(items)
        ]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def write_cloze(root: Path, items: int = 4) -> Path:
    """The data sets of the suite `cloze`, with the training questions that it shows as examples."""
    from densing.measure.tasks.cloze import SOURCES

    def ended(number: int, ind: int = 0, source: str = "") -> Row:
        return {
            "ind": ind,
            "activity_label": "Sums",
            "ctx_a": f"[header] How to add [title] Take {number}.",
            "ctx_b": "one",
            "endings": [f"more is {number + place}. [step] Done." for place in range(4)],
            "source_id": source,
            "label": "1",
        }

    examples = [ended(n, ind, source) for n, (source, ind) in enumerate(SOURCES["hellaswag"].examples)]
    asked = [ended(n) for n in range(items)]
    write_data_set(root, "Rowan/hellaswag", {"default": {"train": [ended(9), *examples[::-1]], "validation": asked}})

    def arc(number: int, name: str = "") -> Row:
        question = _question(number)
        choices = {"text": question["choices"], "label": ["A", "B", "C", "D"]}
        return {"id": name, "question": question["question"], "choices": choices, "answerKey": "ABCD"[number % 4]}

    examples = [arc(n, name) for n, name in enumerate(SOURCES["arc_challenge"].examples)]
    splits = {"train": examples, "test": [arc(n, str(n)) for n in range(items)]}
    write_data_set(root, "allenai/ai2_arc", {"ARC-Challenge": splits})
    examples = [
        {"goal": goal, "sol1": f"{start}ough.", "sol2": "no", "label": 0} for goal, start in SOURCES["piqa"].examples
    ]
    asked = [{"goal": f"add one to {n}", "sol1": str(n), "sol2": str(n + 1), "label": 1} for n in range(items)]
    write_data_set(root, "baber/piqa", {"default": {"train": examples, "validation": asked}})
    mmlu = [_question(n) | {"subject": subject} for subject in ("anatomy", "world_religions") for n in range(6)]
    write_data_set(root, "cais/mmlu", {"all": {"test": mmlu, "dev": mmlu}})
    return root
