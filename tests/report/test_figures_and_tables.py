"""Figures and tables: the same bytes twice, hostile names harmless, edges drawn instead of crashing."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from densing import Size, Subject, fit_trend, load_frame
from densing.density import densities
from densing.density_sets import DensitySet
from densing.report import plots
from densing.report.data import gather
from densing.report.figures import all_figures, density_figure, loss_law_figure
from densing.report.style import new_figure, save, shortened
from densing.report.tables import all_tables, latex_text, markdown_text

HOSTILE = [
    "<script>alert(1)</script>",
    'a "quoted" $x$ & | name',
    "通义千问-7B",
    "M" * 200,
    "=cmd()",
    r"\textbf{x}_%#~^",
]


@pytest.fixture(scope="module")
def data():
    return gather(highlight="Qwen2.5-7B")


def made_set(names, scores, start=dt.date(2023, 3, 1)):
    frame = load_frame("densing-law-2025")
    found = densities(
        frame, [Subject(n, Size(non_embedding=7e9), {"average": s}) for n, s in zip(names, scores, strict=True)]
    )
    dates = np.array([start + dt.timedelta(days=60 * i) for i in range(len(names))], dtype="datetime64[D]")
    return DensitySet(
        "made", "made models", tuple(names), dates, np.array([d.value for d in found]),
        np.stack([d.draws_within for d in found], 1), np.stack([d.draws for d in found], 1), tuple(found), frame.name,
    )  # fmt: skip


def test_figures_are_the_same_bytes_twice(data, tmp_path):
    figures = all_figures(data)
    assert {"ladder", "score_curves", "profiles", "density_registry", "density_published", "frames_published",
            "compression", "prices", "before_after_chatgpt", "card"} <= set(figures)  # fmt: skip
    for name in ("density_registry", "frames_published", "prices", "card", "compression"):
        for kind in ("png", "svg", "pdf"):
            first, second = tmp_path / f"1.{kind}", tmp_path / f"2.{kind}"
            save(figures[name](), first)
            save(figures[name](), second)
            assert first.read_bytes() == second.read_bytes(), (name, kind)
            assert first.stat().st_size > 2000


def test_tables_are_the_same_bytes_twice_and_name_their_source(data):
    first, second = all_tables(data), all_tables(data)
    for one, two in zip(first, second, strict=True):
        assert (one.csv(), one.markdown(), one.latex()) == (two.csv(), two.markdown(), two.latex())
        assert one.source
        assert one.source.split(";")[0] in one.markdown()
        assert r"\toprule" in one.latex()


def test_the_numbers_of_a_table_are_those_of_the_set(data):
    table = next(t for t in all_tables(data) if t.name == "densities_registry")
    row = data.row("registry")
    values = dict(zip(row.densities.names, row.densities.values, strict=True))
    for read in csv.DictReader(io.StringIO(table.csv())):
        assert float(read["density"]) == pytest.approx(values[read["model"].removeprefix("'")])


def test_hostile_names_are_only_text(data):
    chosen = made_set(HOSTILE, [20, 30, 40, 50, 55, 60])
    trend = fit_trend(chosen.dates, chosen.values, models=chosen.names, replicates=200)
    row = replace(data.row("registry"), densities=chosen, trend=trend, across=trend)
    hostile = replace(data, rows={"registry": {"densing-law-2025": row}}, highlight=None)
    for table in all_tables(hostile):
        for cells in csv.reader(io.StringIO(table.csv())):
            assert not any(cell.startswith(("=", "@", "\t")) for cell in cells)
        assert "<script>" not in table.markdown()
        assert "\\textbf{x}" not in table.latex()
    figure = density_figure(chosen, trend, highlight=HOSTILE[0])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    assert b"<script>" not in buffer.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_escaping(name):
    assert not re.search(r"(?<!\\)[|<>]", markdown_text(name))
    assert not re.search(r"(?<!\\)[&%#_]", latex_text(name))
    assert len(shortened(name)) <= 30


@pytest.mark.parametrize(
    ("names", "scores"),
    [(["alone"], [40.0]), (["a", "b", "c"], [5.0, 8.0, 2.0]), (["a", "b"], [40.0, 30.0])],
)
def test_one_model_none_in_range_and_no_frontier_are_drawn(names, scores, tmp_path):
    chosen = made_set(names, scores)
    save(density_figure(chosen, None), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 2000


def test_axes_level_functions_return_their_axes():
    fit = load_frame("densing-law-2025").law_fit()
    _, ax = new_figure(3.5, 2.5)
    assert plots.plot_loss_law(fit, ax) is ax
    labels = ax.get_xlabel(), ax.get_ylabel()
    assert labels == ("training compute 6·N·D (FLOP)", "conditional loss (nats/token)")


def test_every_optimum_is_drawn(tmp_path):
    fit = load_frame("densing-law-2025").law_fit()
    _, ax = new_figure(3.5, 2.5)
    plots.plot_loss_law(fit, ax)
    sizes = len(np.unique(fit.params))
    assert sum(line.get_linestyle() == "--" for line in ax.lines) == sizes * (len(fit.modes) - 1)
    loss_law_figure(fit, tmp_path / "law.svg")
    text = (tmp_path / "law.svg").read_text()
    for mode in fit.modes:
        assert f"β {mode.beta:.3f}" in text
