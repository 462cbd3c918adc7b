"""What works from published scores alone: score, trend, models, frames, fit."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from densing import FrameSpec, build_frame
from densing.density.published import FOLDER

pytestmark = pytest.mark.slow

ARTICLE = ("--frame", "densing-law-2025")
FIVE = ("mmlu=66.6", "bbh=61.1", "math=14.0", "humaneval=33.5", "mbpp=47.4")
HEAVY = ("torch", "transformers", "lm_eval", "vllm", "matplotlib", "datasets", "ray")


def scores(*values):
    return [part for value in values for part in ("--score", value)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["score", "--help"],
        ["score", "--params", "6.979e9", *scores(*FIVE)],
        ["models", "list"],
        ["trend", "--panel", "mmlu"],
    ],
)
def test_no_heavy_import(arguments, tmp_path):
    code = (
        "import sys; sys.argv = ['densing', *sys.argv[1:]]\nfrom densing.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
        f"found = [name for name in {HEAVY} if name in sys.modules]\n"
        "print(found, file=sys.stderr); sys.exit(bool(found))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_help_imports_neither_numpy_nor_pandas():
    code = (
        "import sys; from densing.cli import app; sys.exit(any(m in sys.modules for m in ('numpy', 'pandas', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def commands(app, path=()):
    for command in app.registered_commands:
        if not command.hidden:
            yield (*path, command.name or command.callback.__name__)
    for group in app.registered_groups:
        if not group.hidden:
            yield from commands(group.typer_instance, (*path, group.name))


def test_every_command_has_an_example_in_its_help(densing):
    from densing.cli import app

    found = list(commands(app))
    assert ("score",) in found
    assert ("models", "add") in found
    found.remove(("lm-eval",))  # everything behind that name is lm-eval's own, its help included
    for command in found:
        code, out, err = densing(*command, "--help")
        assert code == 0, err
        assert "Example" in out, command
        assert f"densing {' '.join(command)}" in out, command


def test_score_prints_every_benchmark_and_the_average(densing, densing_json):
    rows = densing_json("score", *ARTICLE, "--params", "6.979e9", *scores(*FIVE))
    assert [row["benchmark"] for row in rows] == ["mmlu", "bbh", "math", "mbpp", "humaneval", "average"]
    average = rows[-1]
    assert average["status"] == "in range"
    assert average["density"] == pytest.approx(average["effective_size"] / 6.979e9)
    assert average["density_low"] < average["density"] < average["density_high"]
    code, out, _ = densing("score", *ARTICLE, "--params", "6.979e9", *scores(*FIVE))
    assert code == 0
    assert f"{average['density']:.3g}" in out.splitlines()[-2] or f"{average['density']:.3g}" in out


def test_three_of_five_scores_give_what_can_be_formed(densing_json):
    rows = densing_json("score", "--params", "8B", *scores(*FIVE[:3]))
    assert [row["benchmark"] for row in rows] == ["mmlu", "bbh", "math", "joint"]


def test_score_of_a_registry_model(densing_json):
    rows = densing_json("score", "Llama-3-8B")
    assert rows[-1]["benchmark"] == "joint"
    assert rows[-1]["size"] == 8_030_261_248 - 2 * 128_256 * 4096  # its total less its two embeddings


def test_score_out_of_range_is_a_bound(densing):
    code, out, _ = densing("score", "--params", "1B", "--score", "mmlu=10")
    assert code == 0
    assert "at chance" in out
    assert "< " in out


def test_fractions_are_noticed_and_accepted_when_named(densing, densing_json):
    code, _, err = densing("score", "--params", "8B", "--score", "mmlu=0.66")
    assert code == 2
    assert "--fraction" in err
    assert densing_json("score", "--params", "8B", "--score", "mmlu=0.66", "--fraction")[0]["score"] == pytest.approx(
        66
    )


def test_the_size_without_embeddings_comes_from_the_configuration(densing_json, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 128256, "hidden_size": 4096}))
    rows = densing_json("score", "--total-params", "8.03B", "--config", "config.json", "--score", "mmlu=66.6")
    assert rows[0]["size"] == pytest.approx(6.979e9, rel=2e-3)
    assert rows[0]["notes"].count("embeddings") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params", "8B", "--score", "mmlu=166"], "--score mmlu=166: a score in percent lies between 0 and 100"),
        (["--params", "8B", "--score", "mmlu"], "--score mmlu: expected benchmark=value"),
        (["--params", "8B", "--score", "gsm8k=60"], "unknown benchmark of frame densing-law-2025-tied 'gsm8k'"),
        (["--params", "8B", "--frame", "nope", "--score", "mmlu=60"], "unknown frame 'nope'"),
        (["--params", "-8B", "--score", "mmlu=60"], "'-8B' is not a size for --params"),
        (["--params", "eight", "--score", "mmlu=60"], "'eight' is not a size for --params"),
        (["--score", "mmlu=60"], "no size given"),
        (["--params", "8B"], "no scores"),
        (["gone.json", "--params", "8B"], "gone.json"),
        (["--config", "c.json", "--params", "8B", "--score", "mmlu=60"], "--config needs --total-params"),
        (["--params", "8B", "--score", "mmlu=60", "--hardware", "abacus"], "unknown hardware 'abacus'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(densing, tmp_path, arguments, message):
    code, out, err = densing("score", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_trend_prints_the_published_numbers(densing, densing_json):
    code, out, err = densing("trend")
    assert code == 0, err
    for text in (
        "9 on the frontier",
        "A = 0.0065290 per day",
        "R² = 0.9340",
        "106.16 days (3.49 months)",
        "Mistral-Small-24B",
    ):
        assert text in out
    data = densing_json("trend", "--panel", "mmlu_cf")
    assert data["slope_per_day"] == pytest.approx(0.006648, abs=5e-7)
    assert data["r_squared"] == pytest.approx(0.9537, abs=5e-5)


def test_a_replicate_without_an_answer_is_missing_and_never_infinite(densing, densing_json):
    rows = {row["benchmark"]: row for row in densing_json("score", *ARTICLE, "--params", "6.979e9", *scores(*FIVE))}
    assert rows["mmlu"]["density_high"] < 10
    assert rows["mmlu"]["missing_share_conditional"] > 0.2
    assert rows["mmlu"]["out_of_range_share_conditional"] < 0.05
    assert rows["average"]["missing_share"] == 0
    out = densing("score", *ARTICLE, "--params", "6.979e9", *scores(*FIVE))[1]
    header = next(line for line in out.splitlines() if line.startswith("benchmark"))
    assert 0 < header.index("95% full") < header.index("95% conditional")
    assert f"{rows['mmlu']['missing_share_conditional']:.1%}" in out


def test_the_full_interval_of_the_registry_s_trend_comes_first(densing, densing_json):
    arguments = ("trend", "--models", "registry", "--since", "2023-02-24", *ARTICLE)
    out = densing(*arguments)[1]
    assert "doubling time 85.63 days (2.81 months), 95% full: not bounded by the data" in out
    assert out.index("95% full") < out.index("conditional on the optimum that the frame reads: ")
    data = densing_json(*arguments)
    assert (data["doubling_days_low"], data["doubling_days_high"]) == (0, None)
    assert data["doubling_days_low_conditional"] < data["doubling_days"] < data["doubling_days_high_conditional"]
    assert f"{data['missing_share_conditional']:.1%} missing, {data['out_of_range_share_conditional']:.1%} out" in out
    assert f"the density needs: {len(data['incomplete'])} models" in out
    assert data["incomplete"][0] not in out
    assert data["incomplete"][0] in densing(*arguments, "--verbose")[1]


def test_a_frontier_without_its_densest_models_has_no_doubling_time(densing, densing_json):
    arguments = ("--models", "registry", "--frame", "densing-law-2025-irreducible")
    code, out, _ = densing("trend", *arguments)
    assert code == 0
    assert "doubling time: not identified" in out
    assert "17 of 94 models, including the densest, have no finite size" in out
    assert "20 days" not in out
    data = densing_json("trend", *arguments)
    assert (data["identified"], data["doubling_days"], data["slope_per_day"]) == (False, None, None)
    assert "Seed-OSS-36B" in data["left_out"]["too dense for the frame to give a finite size"]
    code, _, err = densing("trend", *arguments, "--forecast", "2026-01-01")
    assert code == 2
    assert "the frontier is censored" in err
    out = densing("frames", "compare", "densing-law-2025-irreducible", "--models", "registry")[1]
    assert "not identified" in out
    assert "17 of 94 models, including the densest" in out
    assert "20 days" not in out


def test_trend_answers_questions(densing_json):
    data = densing_json(
        "trend", "--forecast", "2026-01-01", "--score", "average=60", "--params", "1B", "--find-change",
        "--change-at", "2024-01-01", "--leave-one-out",
    )  # fmt: skip
    assert data["forecast"]["doublings_past_data"] > 2
    assert data["size_needed"]["value"] > 1e8
    assert data["date_reached"]["earliest"] <= data["date_reached"]["date"]
    assert len(data["leave_one_out"]) == 9
    assert 0 < data["slope_change"]["p_value"] <= 1
    assert 0 < data["breakpoint"]["p_value"] <= 1


def test_trend_writes_an_artifact(densing, tmp_path):
    from densing.core.artifacts import read_json

    assert densing("trend", "--out", "results/trends")[0] == 0
    payload = read_json(tmp_path / "results" / "trends" / "densing-law-2025-published.json", "trend").payload
    assert payload["doubling_days"] == pytest.approx(106.16, abs=0.01)
    assert len(payload["densities"]) == 51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since yesterday: not a date"),
        (["--until", "9999-12-31"], "not a date from 1900 to 2200"),
        (["--panel", "fig9"], "unknown panel 'fig9'"),
        (["--frontier", "upper"], "unknown frontier 'upper'"),
        (["--since", "2025-03-01"], "models on the frontier; a trend needs at least 3"),
        (["--params", "1B"], "--params needs --score"),
        (["--models", "mine"], "unknown set of models 'mine'"),
    ],
)
def test_bad_trends_are_explained(densing, arguments, message):
    code, _, err = densing("trend", *arguments)
    assert code == 2
    assert message in err


def test_corollaries(densing, densing_json):
    names = {row["name"]: row for row in densing_json("corollaries")}
    assert names["doubling time of density"]["ours"] == pytest.approx(3.49, abs=0.01)
    assert "88 follows from the preprint" in densing("corollaries")[1]


def test_models_list_and_show(densing, densing_json):
    rows = densing_json("models", "list")
    assert len(rows) == 157
    assert all(row["sources"] for row in rows if row["mmlu"])
    assert {row["family"] for row in densing_json("models", "list", "--family", "phi")} == {"Phi"}
    code, out, _ = densing("models", "show", "Gemma-7B")
    assert code == 0
    assert "arXiv 2404.06395 Table 3" in out
    assert "spread between sources" in out


def test_models_add_check_and_use(densing, densing_json, tmp_path):
    added = densing(
        "models", "add", "Mine-3B", "--release-date", "2026-05-01", "--total-params", "3.1B", "--source", "my report",
        *scores(*FIVE),
    )  # fmt: skip
    assert added[0] == 0, added[2]
    assert densing_json("score", "Mine-3B")[-1]["density"] > 0
    once_more = densing("models", "add", "Mine-3B", "--release-date", "2026-05-01", "--total-params", "3.1B")
    assert once_more[:2] == (0, "nothing changed\n")
    again = densing("models", "add", "Mine-3B", "--release-date", "2026-05-01", "--total-params", "3.2B")
    assert again[0] == 2
    assert "is in the registry already" in again[2]
    code, out, _ = densing("models", "check")
    assert (code, out) == (0, "")
    assert densing("models", "undo")[0] == 0
    assert densing("score", "Mine-3B")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["X-7B", "--release-date", "2099-01-01", "--total-params", "7B"], "after today"),
        (["X-7B", "--release-date", "2024-13-01", "--total-params", "7B"], "release_date"),
        (["X-7B", "--release-date", "2024-01-01", "--total-params", "70B"], "its name says 7B"),
        (
            ["X", "--release-date", "2024-01-01"],
            "the parameters with embeddings (8B) is missing; give it with --total-params",
        ),
        (
            ["X", "--release-date", "2024-01-01", "--total-params", "1B", "--score", "mmlu=50"],
            "the source of the scores is missing; give it with --source",
        ),
    ],
)
def test_models_add_refuses_and_writes_nothing(densing, tmp_path, arguments, message):
    code, _, err = densing("models", "add", *arguments)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_scores_of_a_table_go_to_the_registry(densing, densing_json, tmp_path):
    (tmp_path / "more.csv").write_text("model,benchmark,score,source\nLlama-3-8B,mmlu,70.5,my run\n")
    assert densing("import", "more.csv", "--to", "registry")[0] == 0
    assert any(v["score"] == 70.5 for v in densing_json("models", "show", "Llama-3-8B")["scores"]["mmlu"])
    assert densing("import", "gone.csv", "--to", "registry")[0] == 2
    code, _, err = densing("models", "import", "more.csv")
    assert code == 2
    assert "`densing import more.csv --to registry`" in err


def test_frames(densing, densing_json):
    names = {row["frame"] for row in densing_json("frames", "list")}
    assert {
        "densing-law-2025",
        "densing-law-2025-best",
        "densing-law-2025-irreducible",
        "densing-law-2025-preprint",
    } <= names
    code, out, _ = densing("frames", "show", "densing-law-2025")
    assert code == 0
    assert "the data cannot tell the best optimum from" in out
    assert "CC BY 4.0" in out


def test_frames_compare_shows_the_headline_under_every_frame(densing_json):
    data = densing_json("frames", "compare", "densing-law-2025", "densing-law-2025-best", "--model", "Gemma2-9B")
    first, second = data["frames"]
    assert first["doubling_days"] == pytest.approx(106.16, abs=0.01)
    assert second["doubling_days"] == pytest.approx(147.2, abs=0.1)
    assert second["reason"] == ""
    assert first["doubling_days_low"] < 106 < first["doubling_days_high"]
    assert first["missing_share"] == 0 < first["missing_share_conditional"]
    assert list(data["densities"][0]) == ["model", "densing-law-2025", "densing-law-2025-best"]


def test_a_frame_from_csv_points(densing, densing_json):
    code, out, err = densing(
        "frames", "build", FOLDER / "reference_losses.csv", "--scores", FOLDER / "loss_score_points.csv",
        "--tokens", "5e12", "--name", "mine",
    )  # fmt: skip
    assert code == 0, err
    assert "results/frames/mine.json" in out
    row = densing_json("score", "--frame", "mine", "--params", "7B", "--score", "bbh=50")[0]
    tables = (pd.read_csv(FOLDER / f"{name}.csv") for name in ("reference_losses", "loss_score_points"))
    by_hand = build_frame(FrameSpec(name="by hand", tokens=5e12), *tables)
    assert row["effective_size"] == pytest.approx(by_hand.invert(50, "bbh").effective_size, rel=1e-6)


def test_the_old_name_of_frames_still_works_and_says_the_new_one(densing):
    code, out, err = densing("frame", "list")
    assert code == 0
    assert "densing-law-2025-best" in out
    assert "`densing frame` is now `densing frames`" in err
    assert "frame " not in densing("--help")[1].split("Commands:")[1].replace("reference frame", "")


def test_fit_loss_prints_all_optima(densing, densing_json):
    points = FOLDER / "reference_losses.csv"
    data = densing_json(
        "fit",
        "loss",
        points,
        "--select",
        "benchmark=average",
        "--tokens",
        "5e12",
        "--hold-out",
        "1",
        "--replicates",
        "200",
    )
    assert data["status"] == "not identified"
    assert len(data["optima"]) == 2
    assert len(data["likelihood_intervals"]["data_floor"]["pieces"]) == 2
    assert {row["params"] for row in data["left_out"]} == {828225024}
    assert data["switched"] > 0.1
    code, out, _ = densing("fit", "loss", points, "--select", "benchmark=bbh", "--replicates", "0")
    assert code == 0
    assert "optimum 2" in out
    assert "residuals" in out


def test_held_out_sizes_get_their_scores_or_the_reason_why_not(densing_json, tmp_path):
    points = pd.read_csv(FOLDER / "reference_losses.csv").query("benchmark == 'bbh'")
    for name, score in (
        ("rising", 30 + 60 * np.exp(-points["conditional_loss"].to_numpy())),
        ("few", pd.Series([30.0, 40.0])),
    ):
        points.reset_index(drop=True).assign(score=score).to_csv(tmp_path / f"{name}.csv", index=False)
    options = ("--replicates", "0", "--hold-out", "1")
    rising = densing_json("fit", "loss", tmp_path / "rising.csv", *options)
    losses = {row["tokens"]: row["predicted"] for row in rising["left_out"]}
    assert len(rising["scores_left_out"]) == 6
    for row in rising["scores_left_out"]:
        assert row["loss"] == pytest.approx(losses[row["tokens"]])
        assert abs(row["error_points"]) < 3
    few = densing_json("fit", "loss", tmp_path / "few.csv", *options)
    assert len(few["left_out"]) == 6
    assert "2 points cannot fit the curve's 4 constants" in few["scores_left_out"][0]["note"]


def test_fit_score(densing_json):
    points = ("fit", "score", FOLDER / "loss_score_points.csv", "--select", "benchmark=average", "--replicates", "100")
    as_published = densing_json(*points, "--open-ceiling")["optima"][0]
    assert as_published["c"] == pytest.approx(90.77, abs=0.05)
    data = densing_json(*points)
    best = data["optima"][0]
    assert best["c"] + best["d"] == pytest.approx(100)  # a score over 100% is none, so the ceiling stops there
    assert len(data["held_out"]) == 2
    assert len(data["residuals"]) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params,tokens\n1,2\n", "no column 'loss'"),
        ("params,tokens,loss\n1e6,1e7,x\n", "line 2: loss = 'x' is not a number"),
        ("params,tokens,loss\n1e6,1e7,1.0\n1e6,2e7,\n", "line 3: loss"),
        ("", "not readable as CSV"),
        ("params,tokens,loss\n1e6,1e7,1.0\n", "1 points cannot fit"),
    ],
)
def test_bad_points_are_explained(densing, tmp_path, text, message):
    (tmp_path / "points.csv").write_text(text)
    code, _, err = densing("fit", "loss", "points.csv")
    assert code == 2
    assert message in err


def test_models_that_a_trend_lacks_something_of_are_named_on_request(densing_json):
    every, whole, rest = (densing_json("models", "list", *more) for more in ([], ["--complete"], ["--incomplete"]))
    assert {row["model"] for row in whole} | {row["model"] for row in rest} == {row["model"] for row in every}
    assert len(whole) + len(rest) == len(every)
    five = ("mmlu", "bbh", "math", "humaneval", "mbpp")
    assert all(None in [row["release_date"], *(row[name] for name in five)] for row in rest)


def test_another_registry_is_read_where_an_option_names_it(densing, densing_json, tmp_path):
    folder = tmp_path / "elsewhere"
    added = densing(
        "models", "add", "Mine-3B", "--release-date", "2025-05-01", "--total-params", "3.1B", "--source", "my report",
        *scores(*FIVE), "--registry", folder,
    )  # fmt: skip
    assert added[0] == 0, added
    assert densing("score", "Mine-3B")[0] == 2
    assert densing_json("score", "Mine-3B", "--registry", folder)[0]["model"] == "Mine-3B"
    assert densing_json("compare", "Qwen2.5-3B", "Mine-3B", "--registry", folder)[0]["model"] == "Mine-3B"
    without, with_it = (
        densing_json("trend", "--models", "registry", *more)["models"] for more in ([], ["--registry", folder])
    )
    assert with_it == without + 1


def test_a_model_of_ones_own_is_ranked_at_its_date(densing, densing_json):
    mine = ("score", "--name", "mine", "--params", "3B", *scores(*FIVE))
    placed = densing_json(*mine, "--date", "2025-07-20")[-1]["placement"]
    assert (
        placed["overall"]["low"] <= placed["overall"]["place"] <= placed["overall"]["high"] <= placed["overall"]["of"]
    )
    assert placed["within"]["of"] < placed["overall"]["of"]
    assert placed["window"] == "quarter 3 of 2025"
    assert placed["sentence"] in densing(*mine, "--date", "2025-07-20")[1]
    assert placed["sentence"] in densing(*mine, "--date", "2025-07-20", "--card")[1]
    assert "none is as new as 2030-01-01" in densing(*mine, "--date", "2030-01-01")[1]
    for arguments, message in (
        (["--date", "1.10.2026"], "not a date"),
        (["--date", "2025-07-20", "--name", "Phi-2"], "that name"),
    ):
        code, _, err = densing(*mine, *arguments)
        assert code == 2
        assert message in err


def test_a_score_under_one_percent_is_added_where_it_is_called_percent(densing):
    mine = ("models", "add", "Tiny-1B", "--release-date", "2025-05-01", "--total-params", "1B", "--source", "my report")
    assert densing(*mine, "--score", "humaneval=0.61")[0] == 2
    assert densing(*mine, "--score", "humaneval=0.61%")[0] == 0
    assert densing("models", "check")[0] == 0
