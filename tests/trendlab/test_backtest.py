"""Forecasts of records: calibrated on a process that is known, corrected by earlier origins alone."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from densing.errors import InputError
from densing.fit.status import FitError
from densing.frontier import date_of
from densing.trendlab.backtest import Correction, backtest, forecast_record, record_draws

SLOPE = np.log(2) / 150


def population(seed=0, families=50, size=2, last=900, scatter=0.8):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(families), size)
    days = np.repeat(np.sort(rng.uniform(0, last, families)), size)
    common, own = rng.standard_normal(families)[labels], rng.standard_normal(len(labels))
    return days, np.exp(SLOPE * days - 2 + scatter * np.sqrt(0.5) * (common + own)), labels


def test_draws_of_the_record_hold_what_comes():
    held = []
    for seed in range(40):
        days, densities, labels = population(seed)
        drawn = record_draws(days, np.log(densities), labels, 600.0, [180.0], draws=400, seed=seed)[:, 0]
        actual = np.log(densities[days <= 780].max())
        low, high = np.quantile(drawn, [0.05, 0.95])
        held.append(low <= actual <= high)
    assert np.mean(held) >= 0.8


def test_the_record_never_falls_and_more_time_brings_more():
    days, densities, labels = population()
    drawn = record_draws(days, np.log(densities), labels, 700.0, [30.0, 300.0], draws=500)
    assert (drawn >= np.log(densities[days <= 700].max())).all()
    assert (drawn[:, 1] >= drawn[:, 0]).all()
    assert drawn[:, 1].mean() > drawn[:, 0].mean()


def test_later_models_change_no_earlier_forecast():
    days, densities, labels = population()
    whole = backtest(days, densities, labels, draws=200).table
    early = days <= 600
    part = backtest(days[early], densities[early], labels[early], draws=200).table
    both = whole.merge(part, on=["origin", "months"], suffixes=("", "_part"))
    assert len(both) == len(part) > 3
    assert both["predicted"].to_numpy() == pytest.approx(both["predicted_part"].to_numpy(), rel=1e-12)
    assert (whole["outcome_day"] <= days.max()).all()
    first = whole[whole["origin"] == whole["origin"].min()]
    assert (first["earlier_origins"] == 0).all()
    assert whole["earlier_origins"].max() > 0


def test_a_correction_moves_quantiles_towards_what_past_errors_showed():
    draws = np.random.default_rng(0).standard_normal(20_000)
    assert Correction.of([], []) == Correction(0.0, 1.0, 0)
    high = Correction.of([1, 1, 2, 2, 3], [1.0, 1.2, 0.9, 1.1, 1.0])
    assert high.origins == 3
    assert high.quantile(draws, 0.5) == pytest.approx(0.5, abs=0.06)  # half of the error, for three origins
    wild = Correction.of(np.arange(8), [3, -3, 3, -3, 3, -3, 3, -3])
    assert np.subtract(*wild.quantile(draws, [0.95, 0.05])) > 1.9 * np.subtract(*np.quantile(draws, [0.95, 0.05]))
    assert Correction.of(np.arange(8), np.zeros(8)).stretch == 1.0


def test_a_forecast_names_its_chance_and_how_many_origins_corrected_it():
    days, densities, labels = population()
    tested = backtest(days, densities, labels, draws=200)
    soon, late = (date_of(days.max() + ahead) for ahead in (20, 500))
    near, far = forecast_record(days, densities, labels, [soon, late], tested, draws=500)
    assert near.low <= near.value <= near.high
    assert near.low >= densities.max() * (1 - 1e-12)
    assert far.value > near.value
    assert far.chance_of_new > near.chance_of_new
    assert f"{tested.table['origin'].nunique()} origins" in str(far)
    assert "forecasts from" in str(tested)
    with pytest.raises(InputError, match="after it"):
        forecast_record(days, densities, labels, [dt.date(2023, 6, 1)], tested)


def test_what_cannot_be_forecast_is_refused():
    days, densities, labels = population()
    with pytest.raises(InputError, match="1 models have no finite density"):
        backtest(days, np.where(np.arange(len(days)) == 3, np.inf, densities), labels)
    with pytest.raises(FitError, match="no quarter since September 2023"):
        backtest(days[:8], densities[:8], labels[:8])
    with pytest.raises(FitError, match="at least 10 models"):
        record_draws(days, np.log(densities), labels, days[3], [30.0])
