"""Figures and tables: hostile names harmless, edges drawn instead of crashing."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from densing import Size, Subject, fit_trend, load_frame
from densing.core.artifacts import SCHEMA_VERSION
from densing.core.errors import InputError
from densing.core.text import latex_text, markdown_text
from densing.density.densities import compute_densities
from densing.density.sets import DensitySet
from densing.frame.store import load_frames, write_frame
from densing.report.build import MARK, build_report, replacing
from densing.report.contents import FIGURES, TABLES, made_of
from densing.report.figures.density_over_time import density_figure
from densing.report.figures.loss_law import loss_law_figure, plot_loss_law
from densing.report.figures.scales import round_ticks
from densing.report.figures.style import DOUBLE, SINGLE, new_figure, save, shortened
from tests.campaigns.inputs import built_frame

pytestmark = pytest.mark.slow

HOSTILE = [
    "<script>alert(1)</script>",
    'a "quoted" $x$ & | name',
    "通义千问-7B",
    "M" * 200,
    "=cmd()",
    r"\textbf{x}_%#~^",
]


def made_set(names, scores, start=dt.date(2023, 3, 1)):
    frame = load_frame("densing-law-2025")
    found = compute_densities(
        frame, [Subject(n, Size(non_embedding=7e9), {"average": s}) for n, s in zip(names, scores, strict=True)]
    )
    dates = np.array([start + dt.timedelta(days=60 * i) for i in range(len(names))], dtype="datetime64[D]")
    return DensitySet(
        "made", "made models", tuple(names), dates, np.array([d.value for d in found]),
        np.stack([d.draws for d in found], 1), np.stack([d.draws_conditional for d in found], 1),
        tuple(found), frame.name,
    )  # fmt: skip


def test_the_figures_are_those_wanted_in_the_usual_formats(built, data):
    wanted = {f"{name}.{kind}" for name in made_of(FIGURES, data) for kind in ("pdf", "png")}
    assert {path.name for path in (built / "figures").iterdir()} == wanted
    assert {"ladder", "score_curves", "profiles", "density_registry", "density_published", "frames_published",
            "compression", "prices", "before_after_chatgpt", "card"} <= set(made_of(FIGURES, data))  # fmt: skip


@pytest.mark.parametrize("name", ["density_registry", "density_published", "prices", "before_after_chatgpt"])
def test_labels_do_not_cover_each_other(data, name):
    figure = made_of(FIGURES, data)[name]()
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_path_effects()]
    assert len(boxes) >= 9
    overlapping = [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert overlapping == []


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
@pytest.mark.parametrize("name", ["density_registry", "density_published", "prices", "before_after_chatgpt"])
def test_no_label_lies_on_a_point_or_on_other_text(data, name, width):
    figure = made_of(FIGURES, data, width=width)[name]()
    figure.draw_without_rendering()
    ax = figure.axes[0]
    labels = [text for text in ax.texts if text.get_path_effects()]
    marks = [ax.transData.transform(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)]
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    marks += [ax.transData.transform(np.column_stack([line.get_xdata(orig=False), line.get_ydata()])) for line in lines]
    others = [text.get_window_extent() for text in ax.texts if text not in labels]
    for label in labels:
        box = label.get_window_extent()
        assert not [mark for mark in np.concatenate(marks) if box.contains(*mark)], label.get_text()
        assert not any(box.overlaps(other) for other in others), label.get_text()


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
def test_nothing_sticks_out_of_a_figure(data, width):
    for name, draw in made_of(FIGURES, data, width=width).items():
        figure = draw()
        figure.draw_without_rendering()
        box, page = figure.get_tightbbox(), figure.get_size_inches()
        assert (box.x0 > -0.02, box.y0 > -0.02, box.x1 < page[0] + 0.02, box.y1 < page[1] + 0.02) == (True,) * 4, name


def test_a_family_is_told_by_its_shape_too(data):
    marks = [
        c for c in made_of(FIGURES, data)["density_registry"]().axes[0].collections if isinstance(c, PathCollection)
    ]
    shapes = {c.get_label(): c.get_paths()[0].vertices.tobytes() for c in marks if not c.get_label().startswith("_")}
    assert len(shapes) == 7
    assert len(set(shapes.values())) == 7


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.9), (0.012, 700.0), (1e-9, 1e12), (0.99, 1.01), (3.0, 400.0)])
def test_ticks_are_round_few_and_inside(low, high):
    ticks = round_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)


def test_an_earlier_report_is_replaced_whole_and_a_foreign_folder_refused(tmp_path, data):
    out = tmp_path / "report"
    for _ in range(2):
        with replacing(out) as folder:
            (folder / "index.html").write_text("whole")
    assert sorted(path.name for path in out.iterdir()) == [MARK, "index.html"]
    with pytest.raises(RuntimeError, match="half"), replacing(out) as folder:
        (folder / "index.html").write_text("half")
        raise RuntimeError("half way")
    assert (out / "index.html").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for name in ("mine", "file"):
        with pytest.raises(InputError, match="choose another"):
            build_report(tmp_path / name)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_written_is_said_so_and_nothing_is_left(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "report", Path("/proc/report")):  # not even by root
        with pytest.raises(InputError, match=f"{re.escape(str(out))}: cannot be written"), replacing(out):
            pytest.fail("there is nowhere to write")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_unknown_names_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="Qwen9"):
        build_report(tmp_path / "report", highlight="Qwen9")
    with pytest.raises(InputError, match="no-frame"):
        build_report(tmp_path / "report", "no-frame")
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_schema_is_passed_over_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_frame(load_frame("densing-law-2025")).rename("results/frames/mine.json")
    path.write_text(path.read_text().replace(f"densing/frame/{SCHEMA_VERSION['frame']}", "densing/frame/0"))
    assert "mine" not in [frame.name for frame in load_frames()]
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(rf"{path.name}.*densing/frame/0.*make it again", said)


def test_a_frame_of_one_benchmark_has_a_report_with_a_model_to_point_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in built_frame().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    build_report(tmp_path / "out", "mine", only=["frames", "densities"], formats=["png"], highlight="Qwen2.5-7B")
    assert "mine (law of mmlu)" in (tmp_path / "out/tables/frames_registry.md").read_text()
    assert "Qwen2.5-7B" in (tmp_path / "out/tables/densities_registry.csv").read_text()


def test_one_figure_alone_is_made_into_a_folder_that_keeps_the_rest(tmp_path):
    out = tmp_path / "report"
    with replacing(out) as folder:
        (folder / "index.html").write_text("whole")
    files = build_report(out, only=["density"], width=SINGLE, formats=["pdf"], highlight="Qwen2.5-7B")
    assert [str(path) for path in files] == ["figures/density_registry.pdf", "figures/density_published.pdf"]
    assert (out / "index.html").read_text() == "whole"
    for part in ("prices", "compression"):  # a part alone is a report too, to which others are added
        build_report(tmp_path / "new", only=[part], formats=["pdf"])
    assert {path.name for path in (tmp_path / "new" / "figures").iterdir()} == {"prices.pdf", "compression.pdf"}
    with pytest.raises(InputError, match="unknown figure or table 'densty'; did you mean 'density'"):
        build_report(out, only=["densty"])
    with pytest.raises(InputError, match="a card needs --highlight"):
        build_report(out, only=["card"])


def test_a_figure_says_what_it_shows_and_what_it_was_drawn_from(data):
    for name, draw in made_of(FIGURES, data).items():
        figure = draw()
        assert len(figure.get_suptitle()) > 15, name
        assert any(text.get_fontsize() == 6 and len(text.get_text()) > 20 for text in figure.texts), name


def test_tables_are_the_same_bytes_twice_and_name_their_source(data):
    for name, make in made_of(TABLES, data).items():
        one, two = make(), make()
        assert (one.csv(), one.markdown(), one.latex(name)) == (two.csv(), two.markdown(), two.latex(name))
        assert one.source
        assert markdown_text(one.source.split(";")[0]) in one.markdown()


def test_a_table_for_a_paper_has_a_label_and_a_caption_without_paths_and_goes_on_over_pages(data):
    environments = {}
    for name, make in made_of(TABLES, replace(data, artifacts={"densities/x": Path("data/x.csv")})).items():
        text = make().latex(name)
        caption = re.search(r"\\caption\{(.*)\}", text)[1]
        assert rf"\label{{tab:{name}}}" in text
        assert not re.search(r"\w/\w|\.csv|\.json|texttt", caption), caption
        assert text.count(r"\toprule") == text.count(r"\begin{tabular}") or text.count(r"\toprule") == 2
        environments[name] = re.search(r"\\begin\{(\w+)\}", text)[1]
    assert environments["densities_registry"] == "longtable"
    assert environments["trend_registry"] == "table"


def test_the_numbers_of_a_table_are_those_of_the_set(data):
    table = made_of(TABLES, data)["densities_registry"]()
    row = data.row("registry")
    values = dict(zip(row.densities.names, row.densities.values, strict=True))
    for read in csv.DictReader(io.StringIO(table.csv())):
        value = values[read["model"].removeprefix("'")]
        assert float(read["density"] or "nan") == pytest.approx(
            value if np.isfinite(value) and value else np.nan, nan_ok=True
        )


def test_vendors_are_held_against_every_harness(data):
    rows = list(csv.DictReader(io.StringIO(made_of(TABLES, data)["harnesses"]().csv())))
    assert {(row["set"], row["benchmark"]) for row in rows} >= {("observational", "mmlu"), ("leaderboard-v2", "bbh")}
    assert all(int(row["models"]) > 20 and abs(float(row["median"])) < 10 for row in rows)


def test_hostile_names_are_only_text(data):
    chosen = made_set(HOSTILE, [20, 30, 40, 50, 55, 60])
    trend = fit_trend(chosen.dates, chosen.values, models=chosen.names, replicates=200)
    row = replace(data.row("registry"), densities=chosen, trend=trend)
    hostile = replace(data, read=lambda: {"registry": {data.frame.name: row}}, highlight=None)
    for name, make in made_of(TABLES, hostile).items():
        table = make()
        for cells in csv.reader(io.StringIO(table.csv())):
            assert not any(cell.startswith(("=", "@", "\t")) for cell in cells)
        assert "<script>" not in table.markdown()
        assert "\\textbf{x}" not in table.latex(name)
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


@pytest.mark.parametrize(
    ("highlight", "why"),
    [("low", "its density is at chance"), ("undated", "it has no release date"), ("c", "it is not one of these models"),
     ("high", None)],
)  # fmt: skip
def test_a_figure_says_why_it_does_not_show_the_model_to_point_out(highlight, why):
    chosen = made_set(["low", "undated", "high"], [5.0, 40.0, 50.0])
    dates = chosen.dates.copy()
    dates[1] = np.datetime64("NaT")
    figure = density_figure(replace(chosen, dates=dates), None, highlight=highlight)
    said = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert (f"{highlight} is not shown: {why}" in said) if why else "is not shown" not in said


def test_axes_level_functions_return_their_axes():
    fit = load_frame("densing-law-2025").law_fit()
    _, ax = new_figure(3.5, 2.5)
    assert plot_loss_law(fit, ax) is ax
    labels = ax.get_xlabel(), ax.get_ylabel()
    assert labels == ("training compute 6·N·D (FLOP)", "conditional loss (nats/token)")


def test_every_optimum_is_drawn(tmp_path):
    fit = load_frame("densing-law-2025").law_fit()
    _, ax = new_figure(3.5, 2.5)
    plot_loss_law(fit, ax)
    sizes = len(np.unique(fit.params))
    assert sum(line.get_linestyle() == "--" for line in ax.lines) == sizes * (len(fit.optima) - 1)
    loss_law_figure(fit, tmp_path / "law.svg")
    text = (tmp_path / "law.svg").read_text()
    for mode in fit.optima:
        assert f"β {mode.beta:.3f}" in text
