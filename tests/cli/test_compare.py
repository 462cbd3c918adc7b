"""`densing compare` as one types it."""

from __future__ import annotations

import pytest

from tests.density.test_subjects import measured

pytestmark = pytest.mark.slow

MINE = ("--name", "mine", "--params", "3B", "--score", "mmlu=58", "--score", "bbh=50")


def test_models_of_the_registry_and_one_of_your_own(densing_json):
    rows = densing_json("compare", "Qwen2.5-7B", "Llama-3-8B", *MINE)
    assert {row["model"] for row in rows} == {"Llama-3-8B", "mine"}
    assert {row["reference"] for row in rows} == {"Qwen2.5-7B"}
    assert [row["benchmark"] for row in rows if row["model"] == "mine"] == ["mmlu", "bbh", "joint"]
    assert {row["frame"] for row in rows} == {"densing-law-2025-tied"}
    identified = [row for row in rows if row["ratio"] is not None]
    assert {"mmlu", "joint"} <= {row["benchmark"] for row in identified}
    assert all(row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in identified)


def test_a_model_against_itself_is_said_to_be(densing):
    code, out, err = densing("compare", "Llama-3-8B", "llama-3-8b")
    assert code == 0, err
    assert "note: Llama-3-8B is compared with itself, so its ratio is 1" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Llama-3-8B"], "1 model given: a comparison needs two or more"),
        (["Llama-3-8B", "Lama-3-8B"], "did you mean 'Llama-3-8B'"),
        (["Llama-3-8B", "--name", "mine", "--params", "3B"], "--score mmlu=58"),
        (["Llama-3-8B", "--params", "3B"], "give it a --name"),
        (["Llama-3-8B", "--name", "mine", "--params", "3B", "--score", "gpqa=58"], "gpqa"),
        (["Llama-3-8B", *MINE[:4], "--score", "mmlu=0.58"], "look like fractions"),
        (["Llama-3-8B", "Qwen2.5-7B", *MINE[2:], "--name", "Qwen2.5-7B"], "two different models are called"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_2(densing, arguments, message):
    code, out, err = densing("compare", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_files_and_folders_are_models_where_a_size_is_given(densing, densing_json, tmp_path):
    (tmp_path / "scores.csv").write_text("model,benchmark,score\nmine,mmlu,60\nmine,math,25\n")
    rows = densing_json("compare", "Qwen2.5-3B", "scores.csv", "--size", "scores.csv=3B")
    assert [(row["model"], row["benchmark"]) for row in rows[:2]] == [("mine", "mmlu"), ("mine", "math")]
    folders = [measured(tmp_path, name, [1.0] * right + [0.0] * (50 - right)) for name, right in (("a", 30), ("b", 25))]
    given = [part for folder in folders for part in ("--size", f"{folder}=3B")]
    code, out, err = densing("compare", *folders, *given)
    assert code == 0, err
    assert "note: b: mmlu is paired: both models answered the same 50 items" in out
    for arguments, message in (
        ([folders[0], folders[1], *given[:2]], f"give --size {folders[1]}=3B"),
        (["Qwen2.5-3B", folders[0], "--size", "other=3B"], "no such file among the models"),
    ):
        code, _, err = densing("compare", *arguments)
        assert code == 2
        assert message in err
