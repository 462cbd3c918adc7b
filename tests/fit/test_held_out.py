"""pytest tests/fit/test_held_out.py

A point marked as held out takes no part in a fit, however the mark is spelt, and no other mark is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.core.errors import InputError
from densing.frame.frame import build_frame
from densing.frame.spec import FrameSpec

YES = ["1", " 1 ", "1.0", "true", "TRUE", "T", "yes", " Yes", "y", "on"]
NO = ["0", "0.0", "false", "False", "f", "no", "NO ", "n", "off", ""]


def densing(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def curve_points() -> pd.DataFrame:
    loss = np.linspace(0.4, 1.6, 10)
    score = 25 + 70 / (1 + np.exp(6 * (loss - 0.9)))
    return pd.DataFrame({"loss": loss, "score": score})


def fitted(path: Path, *more: str) -> dict[str, Any]:
    code, out, err = densing("fit", "score", path, "--replicates", "0", "--json", *more)
    assert code == 0, err
    return dict(json.loads(out))


def test_every_usual_spelling_keeps_a_point_out_of_the_curve(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    points = curve_points()
    points.iloc[:8].to_csv(path, index=False)
    without = fitted(path)
    points.loc[8:, "score"] = 99.0  # would move the curve
    for yes, no in zip(YES, NO, strict=True):
        for name in ("held_out", "Held-out"):
            points.assign(**{name: [no] * 8 + [yes] * 2}).to_csv(path, index=False)
            found = fitted(path)
            assert found["optima"] == without["optima"], (yes, no)
            assert [row["score"] for row in found["held_out"]] == [99.0, 99.0], (yes, no)


@pytest.mark.parametrize("cell", ["maybe", "2", "-1", "0.5", "ja", "x"])
def test_anything_else_is_refused_by_name(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    curve_points().assign(held_out=["no"] * 9 + [cell]).to_csv(path, index=False)
    code, _, err = densing("fit", "score", path, "--replicates", "0")
    assert code == 2
    assert f"{path}, line 11: held_out = '{cell}' is neither yes nor no" in err


def test_two_columns_of_marks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    curve_points().assign(held_out=0, **{"held-out": 1}).to_csv(path, index=False)
    code, _, err = densing("fit", "score", path)
    assert code == 2
    assert "two columns say what is held out, held_out and held-out" in err


def law_points() -> pd.DataFrame:
    params, tokens = (grid.ravel() for grid in np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 1e10, 1e11]))
    loss = 40 * params**-0.25 + 90 * tokens**-0.25
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def test_marked_losses_take_no_part_in_the_law(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    points = law_points()
    points.iloc[:10].to_csv(path, index=False)
    code, without, _ = densing("fit", "loss", path, "--replicates", "0", "--json")
    assert code == 0
    points.loc[10:, "loss"] = 9.0
    points.assign(held_out=["no"] * 10 + ["yes"] * 2).to_csv(path, index=False)
    code, out, err = densing("fit", "loss", path, "--replicates", "0", "--json")
    assert code == 0, err
    assert json.loads(out)["optima"] == json.loads(without)["optima"]


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    losses = law_points().rename(columns={"loss": "conditional_loss"}).assign(benchmark="mmlu")
    scores = curve_points().rename(columns={"loss": "conditional_loss"}).assign(benchmark="mmlu")
    return losses, scores.assign(checkpoint=[f"m{number}" for number in range(10)])


@pytest.mark.parametrize(
    "marks",
    [
        ["no"] * 8 + ["yes"] * 2,
        [np.bool_(False)] * 8 + [np.bool_(True)] * 2,
        [np.nan] * 8 + [1.0] * 2,
        [None] * 8 + [np.int64(1)] * 2,
        np.array([0.0] * 8 + [1.0] * 2),
    ],
    ids=["words", "numpy booleans", "floats and NaN", "integers and None", "floats"],
)
def test_a_frame_reads_marks_by_the_same_rule(marks: Any) -> None:
    losses, scores = tables()
    frame = build_frame(FrameSpec(name="mine", tokens=1e12), losses, scores.assign(held_out=marks))
    np.testing.assert_allclose(np.sort(frame.curve_fit("mmlu").loss), scores["conditional_loss"].iloc[:8])
    assert frame.scores["held_out"].tolist() == [0] * 8 + [1] * 2
    with pytest.raises(InputError, match=r"frame mine, scores, row 10: held_out = 'x' is neither yes nor no"):
        build_frame(FrameSpec(name="mine", tokens=1e12), losses, scores.assign(held_out=[*marks[:9], "x"]))


def test_the_command_names_the_file_and_line_of_a_frames_points(tmp_path: Path) -> None:
    losses, scores = tables()
    losses.to_csv(tmp_path / "losses.csv", index=False)
    scores.assign(held_out=["no", "perhaps"] + ["no"] * 8).to_csv(tmp_path / "scores.csv", index=False)
    code, _, err = densing(
        "frames",
        "build",
        tmp_path / "losses.csv",
        "--scores",
        tmp_path / "scores.csv",
        "--tokens",
        "1e12",
        "--name",
        "mine",
    )
    assert code == 2
    assert "scores.csv, line 3: held_out = 'perhaps' is neither yes nor no" in err
