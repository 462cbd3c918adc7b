"""The trend from the command line: rulers, choices among models, forecasts with their record, files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

METR = Path(__file__).parents[1] / "published" / "data" / "metr_horizons.csv"
SINCE = ("--since", "2023-02-24")
ARTICLE = ("--frame", "densing-law-2025")
REGISTRY = ("--models", "registry", *SINCE)


def test_the_panel_says_where_density_grows_and_where_not(densing, densing_json):
    data = densing_json("trend", "--method", "panel", *SINCE)
    days = {row["benchmark"]: row["mean_doubling_days"] for row in data["panels"]}
    assert days["math"] < days["mbpp"] < days["mmlu"]
    assert data["rare_facts"]["size"] == pytest.approx(0.1445, abs=5e-5)
    code, out, _ = densing("trend", "--method", "panel", "--benchmark", "rare_facts")
    assert code == 0
    assert "no densing" in out
    assert "+0.0013 a month (standard error 0.0010" in out
    assert "+0.1445 for ten times the size" in out


def test_the_rulers_stand_side_by_side(densing):
    code, out, err = densing("trend", "--rulers", *SINCE)
    assert code == 0, err
    header, *rows = out.splitlines()
    for ruler in ("article's ladder", "tied ladder", "panel, mean", "panel, 0.9 quantile"):
        assert ruler in header
    assert [row.split()[0] for row in rows[:6]] == ["average", "mmlu", "bbh", "math", "humaneval", "mbpp"]
    assert "The intervals of all rulers have days in common on average" in rows[-1]
    assert "no densing" in rows[-1]


def test_parameters_and_training_are_chosen(densing, densing_json):
    plain = densing_json("trend", *REGISTRY, *ARTICLE)
    active = densing_json("trend", *REGISTRY, *ARTICLE, "--denominator", "active")
    assert active["doubling_days"] != plain["doubling_days"]
    assert active["models"] == plain["models"]
    fewer = densing_json("trend", *REGISTRY, *ARTICLE, "--without", "distilled,synthetic")
    assert fewer["models"] == plain["models"] - len(fewer["excluded"])
    assert "Seed-OSS-36B" in fewer["excluded"]
    out = densing("trend", *REGISTRY, *ARTICLE, "--without", "distilled,synthetic", "--verbose")[1]
    assert "left out, trained as distilled or synthetic_heavy" in out
    assert "Seed-OSS-36B" in out.split("left out, trained as")[1]


def test_the_interval_knows_families_and_the_median_unbiased_slope_stands_beside(densing, densing_json):
    data = densing_json("trend", *REGISTRY)
    assert data["family_share"] + data["lab_share"] > 0.3
    assert data["doubling_days_low_given_densities"] < data["doubling_days_median_unbiased"]
    assert data["doubling_days_median_unbiased"] < data["doubling_days_high_given_densities"]
    assert "median-unbiased" in densing("trend", *REGISTRY)[1]


def test_no_forecast_without_what_forecasts_were_worth(densing, densing_json):
    data = densing_json("trend", *REGISTRY, "--forecast", "2027-06-01")
    tested = data["backtest"]
    assert tested["n"] == len(tested["forecasts"]) >= 15
    assert 0.7 <= tested["bias"] <= 1.4
    assert tested["coverage"] >= 0.8
    assert data["forecast"]["origins"] == len({row["origin"] for row in tested["forecasts"]})
    out = densing("trend", *REGISTRY, "--forecast", "2027-06-01")[1]
    assert "densest model on 2027-06-01" in out
    assert f"backtest: {tested['n']} forecasts from" in out
    assert "3 months ahead: " in densing("trend", *REGISTRY, "--backtest")[1]


def test_a_trend_is_held_against_an_earlier_one(densing, tmp_path):
    assert densing("trend", "--until", "2024-09-10", "--out", "then")[0] == 0
    code, out, err = densing("trend", "--against", "then/densing-law-2025-published.json")
    assert code == 0, err
    assert "now; models: " in out
    assert "Mistral-Small-24B (new)" in out


@pytest.mark.parametrize(("since", "days"), [((), 196.475), (("--since", "2023-01-01"), 130.801)])
def test_any_exponential_in_time(densing_json, since, days):
    """METR Time Horizon 1.1: the records are its state-of-the-art models."""
    columns = "date=release_date,value=p50_min,name=model"
    data = densing_json("trend", "--csv", METR, "--columns", columns, *since)
    assert data["doubling_days"] == pytest.approx(days, abs=5e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "panels"], "unknown method 'panels'; did you mean 'panel'"),
        (["--denominator", "passive"], "unknown denominator 'passive'"),
        (["--panel", "mmlu", "--denominator", "active"], "--denominator needs densities that are computed"),
        (["--without", "destilled"], "unknown kind of training 'destilled'; did you mean 'distilled'"),
        (["--csv", METR], "no column date and no column value"),
        (["--csv", METR, "--columns", "date"], "--columns date: write each column as date=release_date"),
        (["--csv", METR, "--denominator", "active"], "--csv has values of its own"),
        (["--against", "none.json"], "none.json"),
        (["--forecast", "2024-01-01"], "a forecast is for a date after it, not for 2024-01-01"),
    ],
)
def test_bad_questions_are_explained(densing, arguments, message):
    code, out, err = densing("trend", *arguments)
    assert code == 2
    assert message in err
    assert out == ""
