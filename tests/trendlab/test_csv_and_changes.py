"""Series from CSV files, and what changed since a trend was written."""

from __future__ import annotations

import numpy as np
import pytest

from densing.errors import InputError
from densing.frontier import date_of
from densing.trendlab.changes import what_changed
from densing.trendlab.csv_trend import doubling_days, read_series

# METR time horizon 1.1 (is_sota rows: release date, 50% horizon in minutes); published doubling times 196.475 days
# over all of them and 130.801 since 2023.
METR = """model,release_date,is_sota,p50_min
gpt2,2019-02-14,True,0.039762
davinci_002,2020-05-28,True,0.148793
gpt_3_5_turbo_instruct,2022-03-15,True,0.604245
gpt_4,2023-03-14,True,3.524514
claude_3_opus_inspect,2024-03-04,False,3.575399
gpt_4_1106_inspect,2023-11-06,True,3.609578
gpt_4o_inspect,2024-05-13,True,6.404471
claude_3_5_sonnet_20240620_inspect,2024-06-20,True,10.771603
o1_preview,2024-09-12,True,19.395096
claude_3_5_sonnet_20241022_inspect,2024-10-22,True,19.776241
o1_inspect,2024-12-05,True,37.937543
claude_3_7_sonnet_inspect,2025-02-24,True,59.763762
o3_inspect,2025-04-16,True,120.730463
gpt_5_2025_08_07_inspect,2025-08-07,True,213.954459
claude_opus_4_5_inspect,2025-11-24,True,320.422486
"""


def test_metrs_published_doubling_times(tmp_path):
    path = tmp_path / "metr.csv"
    path.write_text(METR)
    series = read_series(path, date="release_date", value="p50_min", name="model", only="is_sota=True")
    assert len(series.names) == 14
    assert doubling_days(series.dates, series.values) == pytest.approx(196.475, abs=0.001)
    recent = series.dates >= np.datetime64("2023-01-01")
    assert doubling_days(series.dates[recent], series.values[recent]) == pytest.approx(130.801, abs=0.001)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,value\n2024-01-02,1\n2024-01-02,2\n2024-01-02,3\n", "all rows have one date, 2024-01-02"),
        ("date,value\n2024-01-02,1\n2024-01-03,0\n2024-01-04,1\n", "line 3: value=0 is not positive"),
        ("date,value\n2024-01-02,1\n2024-01-03,-2\n", "line 3: value=-2 is not positive"),
        ("date,value\n2024-01-02,nan\n", "line 2: value=nan is not positive"),
        ("date,value\n2024-01-02,many\n", "line 2: value='many' is not a number"),
        ("date,value\n01/02/2024,1\n", "line 2: the date 01/02/2024 can be read in two ways"),
        ("date,value\n2024-13-02,1\n", "line 2: '2024-13-02' is not a date"),
        ("date,value,name\n2024-01-02,1,a\n2024-01-03,1,a\n", "line 3: 'a' occurs twice"),
        ("date,value\n2024-01-02,1\n2024-01-03,1\n", "2 rows; a trend needs at least 3"),
        ("day,value\n2024-01-02,1\n", "no column 'date'; it has day, value"),
        ("", "no column 'date'; it has no header"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path, text, message):
    path = tmp_path / "series.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_series(path)


def test_names_and_groups_are_optional(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("date,value,group\n2024-01-02,1,x\n2024-01-03,2,\n2024-01-04,3,x\n")
    series = read_series(path)
    assert series.names == ("line 2", "line 3", "line 4")
    assert series.groups == ("x", "line 3", "x")
    with pytest.raises(InputError, match="no such file"):
        read_series(tmp_path / "none.csv")


DAYS = [0, 100, 200, 300]
BEFORE = {
    "densities": [
        {"model": f"m{i}", "release_date": str(date_of(day)), "density": float(np.exp(day / 200))}
        for i, day in enumerate(DAYS)
    ]
}
NAMES, DATES = [f"m{i}" for i in range(4)], [date_of(day) for day in DAYS]
DENSITIES = [float(np.exp(day / 200)) for day in DAYS]


def test_the_model_that_moved_the_trend_is_named():
    found = what_changed(
        BEFORE, [*NAMES, "record", "dull"], [*DATES, date_of(400), date_of(410)], [*DENSITIES, 30.0, 0.1]
    )
    assert found.before == pytest.approx(200 * np.log(2))
    assert found.after < found.before
    assert [change.model for change in found.changes] == ["record", "dull"]
    assert [change.model for change in found.movers] == ["record"]
    assert found.changes[0].without == pytest.approx(found.before)
    assert found.changes[0].alone == pytest.approx(found.after)
    assert "2 new" in str(found)
    assert "the other 1 move nothing" in str(found)


def test_a_record_that_came_and_one_that_went_are_told_apart():
    revised = [DENSITIES[0], DENSITIES[1], DENSITIES[2] * 1.2]
    found = what_changed(BEFORE, NAMES[:3], DATES[:3], revised)
    assert {change.model: change.kind for change in found.changes} == {"m2": "read anew", "m3": "gone"}


def test_nothing_changed():
    found = what_changed(BEFORE, NAMES, DATES, DENSITIES)
    assert found.changes == ()
    assert "no model changed" in str(found)


def test_trends_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="lists no densities"):
        what_changed({}, NAMES, DATES, DENSITIES)
    with pytest.raises(InputError, match=r"quantile 0\.9"):
        what_changed(BEFORE | {"frontier": "quantile 0.9"}, NAMES, DATES, DENSITIES)
