"""The page: what a reader sees is what the artifacts hold, foreign text stays text, nothing is loaded."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import re
import time
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from densing import fit_trend
from densing.core.artifacts import read_csv, read_json
from densing.core.intervals import Interval
from densing.core.units import short_count
from densing.density.ratios import ratio
from densing.fit.status import FitError
from densing.report.data import SETS
from densing.report.page.build import page, write_page
from densing.trend.exponential import doubling_text
from densing.trend.rulers import FrameRow

from .browser import colour, contrast, over
from .conftest import HOSTILE, HOSTILE_FAMILY, HOSTILE_NOTE, HOSTILE_SOURCE

pytestmark = pytest.mark.slow

FRAMES = ("densing-law-2025-tied", "densing-law-2025", "densing-law-2025-irreducible")
MAIN = FRAMES[0]


def densities_of(report, which, frame=MAIN):
    return read_csv(report / "data" / "densities" / f"{frame}-{which}.csv", "densities")[0]


def trend_of(report, which, frame=MAIN):
    return read_json(report / "data" / "trends" / f"{frame}-{which}.json", "trend").payload


def percent(score, sign):
    """A score as the page prints it; a joint density has none of its own."""
    return f"{score:.1f}{sign}" if np.isfinite(score) else ""


def named(table):
    """Names as they were before the spreadsheet's quote."""
    return [name.removeprefix("'") for name in table["model"]]


def block(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


# Without a browser


def test_the_same_data_give_the_same_bytes_within_five_megabytes(report, report_data):
    first, second = page(report_data), page(report_data)
    assert first == second
    assert (report / "index.html").stat().st_size < 5e6


def test_foreign_text_is_never_markup(report):
    html = (report / "index.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<script", html)) == 3  # data, D3, the page's own
    assert not re.search(r"<(img|b>|svg onload)", html)
    names = [model["name"] for model in block(html)["sets"]["registry"]["models"]]
    assert set(HOSTILE) <= set(names)


def test_the_policy_allows_the_page_s_own_code_alone(report):
    html = (report / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    scripts = re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", html, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for rule, codes in (("script-src", scripts), ("style-src", styles)):
        hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in codes]
        assert rules[rule].split() == [f"'sha256-{digest}'" for digest in hashes]


def test_the_page_s_numbers_are_the_artifacts_to_the_last_digit(report):
    data = block((report / "index.html").read_text(encoding="utf-8"))
    for which in SETS:
        for frame, reading in data["sets"][which]["readings"].items():
            table = densities_of(report, which, frame).assign(model=lambda t: named(t)).set_index("model")
            names = [data["sets"][which]["models"][place]["name"] for place in reading["models"]["model"]]
            assert sorted(names) == sorted(table.index)
            for column, key in (("density", "density"), ("score", "score"), ("density_low", "low")):
                ours = np.array(reading["models"][key], dtype=float)
                assert np.array_equal(ours, table.loc[names, column].to_numpy(float), equal_nan=True)
            trend = trend_of(report, which, frame)
            if not trend["identified"]:
                assert (reading["trend"], reading["doubling_text"]) == (None, "not identified")
                assert reading["reason"] == trend["reason"]
                continue
            assert reading["trend"]["doubling_days"] == trend["doubling_days"]
            assert (reading["trend"]["low"], reading["trend"]["high"]) == (
                trend["doubling_days_low"],
                trend["doubling_days_high"],
            )


# In Chromium


@pytest.mark.browser
def test_it_opens_from_disk_without_a_network_and_without_an_error(window, report):
    window.open(report / "index.html")
    assert window.errors() == []
    assert window.js("return performance.getEntriesByType('resource').length") == 0
    assert len(window.rows()) == len(densities_of(report, "registry"))


@pytest.mark.browser
@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("frame", FRAMES)
def test_set_and_frame_move_every_number_to_the_artifact_s(window, report, which, frame):
    window.open(report / "index.html").choose(which, frame)
    trend, table = trend_of(report, which, frame), densities_of(report, which, frame)
    facts = dict(zip(window.texts("#facts dt"), window.texts("#facts dd"), strict=True))
    assert window.text(".frames .chosen th small") == frame
    if trend["identified"]:
        bounded = trend["doubling_days_high"] is not None
        full = doubling_text(Interval(trend["doubling_days_low"], trend["doubling_days_high"] if bounded else np.inf))
        days = f"{trend['doubling_days']:.0f} days"
        assert window.text(".doubling") == (full if bounded else "not bounded")
        assert window.text(".sub").startswith(f"95% full: {full}; as read {days}")
        assert next(iter(facts)).startswith("95% full")
        assert facts["Frontier"] == f"{trend['on_frontier']} models, R² {trend['r_squared']:.3f}"
        assert window.text(".frames .chosen b") == (days if bounded else "not bounded")
        assert window.text(".frames .chosen .days small") == ("" if bounded else f"{days} as read")
    else:
        assert window.text(".doubling") == window.text(".frames .chosen b") == "not identified"
        assert facts["Why"] == trend["reason"]
        assert "including the densest" in facts["Why"]
    for reason, names in trend["left_out"].items():
        assert f"left out, {reason}: {len(names)} model" in window.text("#facts")
    rows = window.rows()
    assert [row["Model"] for row in rows] == named(table)  # the densest first, those out of range last
    for shown, row in zip(rows, table.to_dict("records"), strict=True):
        bound = f"{'<' if 'chance' in row['status'] else '>'} {row['bound']:.3g}"
        if not np.isfinite(row["bound"]):
            bound = "–"  # not identified
        assert shown["Density ρ"] == (f"{row['density']:.3g}" if np.isfinite(row["density"]) else bound)
        assert shown["95% full"] == str(Interval(row["density_low"], row["density_high"]))
        conditional = Interval(row["density_low_conditional"], row["density_high_conditional"])
        assert shown["95% conditional"] == str(conditional)
        assert (shown["Size"], shown["Score, %"]) == (short_count(row["size"]), percent(row["score"], ""))
        assert shown["Status"].startswith(row["status"])
    frontier = {row["Model"] for row in rows if row["Status"].endswith("frontier")}
    assert frontier == {member["model"] for member in trend["members"] if trend["identified"]}
    drawn = table[np.isfinite(table["density"]) & table["release_date"].notna()]
    assert sorted(window.marks()) == sorted(named(drawn))
    assert window.errors() == []


@pytest.mark.browser
def test_the_line_moves_with_the_frame_and_runs_through_the_artifact_s_values(window, report):
    """The line's ends, read back from pixels through two models of known density."""
    window.open(report / "index.html")
    for frame in (MAIN, "densing-law-2025-preprint"):
        window.choose("published", frame)
        trend = trend_of(report, "published", frame)
        pixels = {m: window.js("return arguments[0].transform.baseVal[0].matrix.f", window.mark(m))
                  for m in ("Llama-65B", "Phi-2-2B")}  # fmt: skip
        densities = {row["model"]: row["density"] for row in trend["densities"]}
        (a, b), (p, q) = [[np.log(densities[m]) for m in pixels], list(pixels.values())]
        start, end = window.js("const p = document.querySelector('.trend:not(.ahead)'), n = p.getTotalLength();"
                               "return [p.getPointAtLength(0).y, p.getPointAtLength(n).y]")  # fmt: skip
        days = (dt.date.fromisoformat(trend["last_date"]) - dt.date.fromisoformat(trend["first_date"])).days
        slope = (end - start) * (b - a) / (q - p) / days
        assert slope == pytest.approx(trend["slope_per_day"], rel=0.01)


@pytest.mark.browser
def test_pointing_at_a_model_shows_it(window, report, report_data):
    window.open(report / "index.html")
    table = densities_of(report, "registry").assign(model=lambda t: named(t)).set_index("model")
    for name in ("Phi-2", "Qwen2-7B"):
        window.hover(window.mark(name))
        row, shown = table.loc[name], window.text("#readout")
        assert window.text("#readout h3") == name
        facts = dict(zip(window.texts("#readout dt"), window.texts("#readout dd"), strict=True))
        assert facts["Density ρ"].startswith(f"{row['density']:.3g}")
        assert facts["95% full"] == str(Interval(row["density_low"], row["density_high"]))
        assert (facts["Size"], facts.get("Score")) == (short_count(row["size"]), percent(row["score"], "%") or None)
        assert (facts["Status"], facts["Released"].lstrip("≈ ")) == (row["status"], row["release_date"])
        for value in report_data.registry.preferred(name).values():
            assert (value.source in shown) == (value.benchmark in report_data.frame.spec.average)


@pytest.mark.browser
def test_filters_leave_the_models_of_the_artifact_that_pass(window, report, report_data):
    window.open(report / "index.html")
    table = densities_of(report, "registry").assign(model=lambda t: named(t))
    entries = {name: report_data.registry.entry(name) for name in table["model"]}
    cases = {
        "family": lambda row: entries[row["model"]].family == "Qwen2.5",
        "architecture": lambda row: entries[row["model"]].architecture == "moe",
        "size": lambda row: 3e9 <= row["size"] <= 9e9,
        "date": lambda row: "2024-03-01" <= str(row["release_date"]) <= "2024-09-30",
        "search": lambda row: "llama" in (row["model"] + entries[row["model"]].family).lower(),
    }
    for kind, passes in cases.items():
        if kind == "family":
            window.click("#filters .picker summary")
            window.click("#families input[value='Qwen2.5']")
            assert window.text("#family-choice") == "Qwen2.5"
        elif kind == "architecture":
            window.fill("[name=architecture]", "moe")
        elif kind == "size":
            window.fill("[name=smallest]", "3")
            window.fill("[name=largest]", "9")
        elif kind == "date":
            window.fill("[name=since]", "2024-03-01")
            window.fill("[name=until]", "2024-09-30")
        else:
            window.fill("[name=search]", "LLAMA")
        kept = table[[passes(row) for row in table.to_dict("records")]]
        assert 0 < len(kept) < len(table)
        assert [row["Model"] for row in window.rows()] == list(kept["model"])
        drawn = kept["release_date"].notna() & np.isfinite(kept["density"])
        assert sorted(window.marks()) == sorted(kept.loc[drawn, "model"])
        densest = kept.iloc[0]
        summary = window.text("#shown")
        assert summary.startswith(f"{len(kept)} of {len(table)} models")
        assert summary.endswith(f"{densest['model']}, ρ {densest['density']:.3g}")
        window.click("#filters [type=reset]")
        window.wait("return document.querySelectorAll('table.models tbody[hidden]').length === 0")
    window.fill("[name=search]", "no model has this name")
    assert window.rows() == []
    assert window.find("#none-shown").is_displayed()
    assert "No model" in window.text(".empty")
    assert window.errors() == []


@pytest.mark.browser
def test_the_table_sorts_by_every_column_and_says_so(window, report):
    window.open(report / "index.html")
    table = densities_of(report, "registry").assign(model=lambda t: named(t)).set_index("model")
    for column, key in (
        ("Size", "size"),
        ("Score, %", "score"),
        ("Released", "release_date"),
        ("Density ρ", "density"),
    ):
        place = window.texts("#columns th").index(column) + 1
        orders = []
        for _ in range(2):
            window.click(f"#columns th:nth-child({place}) button")
            direction = window.find(f"#columns th:nth-child({place})").get_attribute("aria-sort")
            values = table.loc[[row["Model"] for row in window.rows()], key].dropna()
            assert values.equals(values.sort_values(ascending=direction == "ascending", kind="stable"))
            orders.append(direction)
        assert sorted(orders) == ["ascending", "descending"]
        assert window.js("return document.querySelectorAll('#columns [aria-sort$=cending]').length") == 1


@pytest.mark.browser
def test_a_name_opens_all_sources_of_the_model(window, report, report_data):
    window.open(report / "index.html")
    button = "table.models tbody:nth-of-type(3) button"
    name = window.text(button)
    window.click(button)
    opened = window.text("table.models .details")
    for benchmark in report_data.frame.spec.average:
        for value in report_data.registry.values(name)[benchmark]:
            assert f"{benchmark} {value.score:g}" in opened
            assert value.source in opened
    assert window.find(button).get_attribute("aria-expanded") == "true"
    assert window.find("table.models .details").get_attribute("id") == window.find(button).get_attribute(
        "aria-controls"
    )
    window.click(button)
    assert window.texts("table.models .details") == []


@pytest.mark.browser
def test_hostile_names_do_nothing_and_show_as_text(window, report):
    window.open(report / "index.html")
    assert set(HOSTILE) <= {row["Model"] for row in window.rows()}
    assert HOSTILE_FAMILY in window.texts("#families label")
    for name in HOSTILE:
        window.js("arguments[0].focus()", window.mark(name))
        assert window.text("#readout h3") == name
        assert HOSTILE_SOURCE in window.text("#readout")
        assert HOSTILE_NOTE in window.text("#readout")
    window.js("document.querySelectorAll('table.models tbody th button').forEach(button => button.click())")
    assert HOSTILE_SOURCE in window.text("table.models")
    assert window.js("return document.querySelectorAll('img, script, iframe, [onerror], [onload]').length") == 3
    assert window.js("return document.scripts.length") == 3
    assert window.errors() == []  # and an alert would have ended the test before


@pytest.mark.browser
def test_the_policy_stops_a_script_that_would_get_in(window, report):
    window.open(report / "index.html")
    window.js(
        "const s = document.createElement('script'); s.textContent = 'window.stolen = 1'; document.body.append(s)"
    )
    assert window.js("return window.stolen") is None
    assert any("Content Security Policy" in message for message in window.errors())


@pytest.mark.browser
def test_the_chart_is_one_stop_of_the_tab_key_and_arrows_walk_its_models(window, report):
    from selenium.webdriver.common.keys import Keys

    window.open(report / "index.html")
    stops = []
    for _ in range(60):
        window.press(Keys.TAB)
        stop = window.js(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.closest('[id]')?.id ?? '', e.classList.contains('model'), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]"
        )
        stops.append(stop)
        if stop[0] == "columns":
            break
    assert [stop for stop in stops if not (stop[1] or stop[2])] == []  # a mark has a ring instead
    assert sum(mark for _, mark, _ in stops) == 1
    order = [place for place, _, _ in stops]
    landmarks = [
        "theme",
        "sets",
        "ruler",
        "take",
        "chart",
        "scale",
        "zoom-in",
        "legend",
        "readout",
        "filters",
        "columns",
    ]
    assert [place for place in dict.fromkeys(order) if place in landmarks] == landmarks

    window.js("document.querySelector('.model[tabindex=\"0\"]').focus()")
    window.press(Keys.HOME)
    dates = window.js("return [...document.querySelectorAll('.model')].map(m => m.__data__.date)")
    assert dates == sorted(dates)
    walked = [window.text("#readout h3")]
    for _ in range(3):
        window.press(Keys.ARROW_RIGHT)
        walked.append(window.text("#readout h3"))
    assert walked == window.marks()[:4]
    ring = window.js(
        "const r = document.querySelector('.active-ring'); return [r.getAttribute('display'), r.getAttribute('r') > 0]"
    )
    assert ring == [None, True]
    window.press(Keys.ARROW_UP)
    assert window.text("#readout h3") != walked[-1]
    window.press(Keys.ESCAPE)
    assert window.texts("#readout h3") == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 900, 390])
def test_names_in_the_chart_cover_no_mark_and_no_other_name(window, built, width):
    window.open(built / "index.html", width=width)
    window.click("#chart .model:nth-of-type(9)")  # names are placed anew
    covered = window.js("""
        const inside = (box, x, y) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height;
        const names = [...document.querySelectorAll('#chart .names text')].filter((text) => text.getClientRects().length);
        // A box holds room for accents and descenders that no name has.
        const boxes = names.map((text) => text.getBBox()).map(({x, y, width, height}) => ({x, y: y + 2, width, height: height - 4}));
        const marks = [...document.querySelectorAll('#chart .model')]
          .map((mark) => mark.getAttribute('transform').match(/[\\d.]+/g).map(Number));
        const apart = (a, b) => a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
        return [names.length, names.filter((_, i) => marks.some(([x, y]) => inside(boxes[i], x, y))
          || boxes.some((box, j) => j !== i && !apart(boxes[i], box))).map((text) => text.textContent)];
    """)
    assert covered[0] >= 3
    assert covered[1] == []


def test_zoom_by_buttons_keys_wheel_and_drag_and_back(window, report):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    window.open(report / "index.html")
    view = "const z = d3.zoomTransform(document.querySelector('#chart svg')); return [z.k, z.x, z.y]"
    place = "return document.querySelector('.model').getAttribute('transform')"
    home = window.js(place)
    window.click("#zoom-in")
    assert window.js(view)[0] == pytest.approx(1.5)
    assert window.js(place) != home
    before = window.js(view)
    chart = window.find("#chart svg")
    ActionChains(window.driver).move_to_element(chart).click_and_hold().move_by_offset(40, 20).release().perform()
    after = window.js(view)
    assert [after[1] - before[1], after[2] - before[2]] == pytest.approx([40, 20], abs=2)
    window.js("document.querySelector('.model[tabindex=\"0\"]').focus()")
    window.press("+")
    assert window.js(view)[0] == pytest.approx(2.25)
    window.press("0")
    assert window.js(view) == [1, 0, 0]
    assert window.js(place) == home
    wheel = "document.querySelector('#chart svg').dispatchEvent(new WheelEvent('wheel', {deltaY: -200, ctrlKey: arguments[0], bubbles: true, clientX: 400, clientY: 500}))"
    window.js(wheel, False)
    assert window.js(view) == [1, 0, 0]  # the wheel alone scrolls the page
    window.js(wheel, True)
    assert window.js(view)[0] > 1
    window.press(Keys.NULL)
    window.click("#zoom-reset")
    assert window.js(view) == [1, 0, 0]
    window.click("#scale [value=linear]")
    heights = window.js(
        "return ['Qwen2.5-7B', 'Phi-2', 'Llama-7B'].map(n => [...document.querySelectorAll('.model')].find(m => m.__data__.name === n)).map(m => [m.__data__.density, m.transform.baseVal[0].matrix.f])"
    )
    (a, p), (b, q), (c, r) = heights
    assert (p - q) / (a - b) == pytest.approx((q - r) / (b - c), rel=1e-3)


def texts_on_screen(window):
    """Text, its colour and the backgrounds behind it from the nearest outward, for everything that is seen."""
    return window.js("""
    const found = [];
    for (const e of document.querySelectorAll("body *")) {
      const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
      const field = e.matches("input[placeholder]") ? e.placeholder : "";
      if (!(own || field) || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
      const style = getComputedStyle(e, field ? "::placeholder" : undefined), behind = [];
      for (let p = e; p; p = p.parentElement) behind.push(getComputedStyle(p).backgroundColor);
      found.push([own || field, e.closest("#chart") ? style.fill : style.color, behind]);
    }
    return found""")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("by", ["system", "button"])
def test_both_themes_are_readable(window, report, theme, by):
    window.open(report / "index.html", theme=theme if by == "system" else {"light": "dark", "dark": "light"}[theme])
    if by == "button":
        window.click("#theme")
    window.click("table.models tbody button")
    texts = texts_on_screen(window)
    assert len(texts) > 300
    papers = set()
    for text, ink, behind in texts:
        paper = [1.0, 1.0, 1.0, 1.0]
        for layer in reversed(behind):
            paper = over(colour(layer), paper)
        papers.add(tuple(paper))
        assert contrast(over(colour(ink), paper), paper) >= 4.5, (text, ink, behind)
    assert all((sum(paper[:3]) > 2) == (theme == "light") for paper in papers)
    card = colour(window.js("return getComputedStyle(document.querySelector('figure')).backgroundColor"))
    fills = window.js(
        "return [...document.querySelectorAll('.model path')].map(p => [getComputedStyle(p).fill, getComputedStyle(p).fillOpacity])"
    )
    for fill, opacity in {tuple(fill) for fill in fills}:
        assert contrast(over([*colour(fill)[:3], float(opacity)], card), card) >= 3, fill
    assert window.text("#theme").endswith("Dark theme" if theme == "light" else "Light theme")


@pytest.mark.browser
def test_everything_that_takes_the_focus_has_a_name_and_the_page_its_landmarks(window, report):
    window.open(report / "index.html")
    nameless = [node for node in window.accessible() if not node[1] and node[0] not in ("RootWebArea", "generic")]
    assert nameless == []
    for landmark in (
        "header",
        "main",
        "footer",
        "h1",
        "aside[aria-label]",
        "#headline[role=status]",
        "#shown[role=status]",
    ):
        assert window.js("return document.querySelectorAll(arguments[0]).length", landmark) == 1, landmark
    levels = window.js("return [...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    shapes = window.js(
        "return [...document.querySelectorAll('.model')].map(m => [m.firstChild.style.fill, m.firstChild.getAttribute('d').replace(/(?:[-\\d.,]|e-)+/g, ' ')])"
    )
    assert len({fill for fill, _ in shapes}) == len({tuple(pair) for pair in shapes})  # a colour is one shape


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_scrolls_down_only(window, report, theme):
    window.open(report / "index.html", width=360, height=740, theme=theme)
    width = "return [document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert max(window.js(width)) <= 360
    for name in HOSTILE:
        window.js("arguments[0].focus()", window.mark(name))
        assert max(window.js(width)) <= 360, name
        label, plot = (window.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector)
                       for selector in (".active-name", "#chart svg"))  # fmt: skip
        assert plot["left"] <= label["left"] <= label["right"] <= plot["right"], name
    window.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    window.js("document.querySelectorAll('table.models tbody th button').forEach(button => button.click())")
    assert max(window.js(width)) <= 360
    cut = window.js("""return [...document.querySelectorAll("body *")]
      .filter(e => e.checkVisibility() && !e.closest("svg, .skip, .frames thead, .corollaries thead") && e.getBoundingClientRect().right > 361)
      .map(e => e.outerHTML.slice(0, 100))""")
    assert cut == []
    smallest = window.js(
        "return Math.min(...[...document.querySelectorAll('p, td, th, li, label, button')].filter(e => e.checkVisibility()).map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12


@pytest.mark.browser
def test_on_paper_it_is_light_and_without_controls(window, report):
    window.open(report / "index.html", theme="dark", media="print", width=720)
    paper = colour(window.js("return getComputedStyle(document.body).backgroundColor"))
    assert sum(paper[:3]) == 3
    for control in ("#filters", ".tools", "#theme", "#readout"):
        assert not window.find(control).is_displayed(), control
    assert window.find("#chart svg").is_displayed()


# Edges


def reading_of(report_data, frame, rows):
    """A report of some rows of the registry set in one frame, its trend as the package fits it."""
    row = report_data.rows["registry"][frame]
    chosen = row.densities.take(rows)
    try:
        trend = fit_trend(chosen.dates, chosen.values, models=chosen.names, replicates=200)
        found = FrameRow(row.frame, chosen, trend, trend.censored)
    except FitError as error:
        found = FrameRow(row.frame, chosen, None, str(error))
    return replace(report_data, frame=row.frame, read=lambda: {"registry": {frame: found}})


@pytest.mark.browser
def test_one_model(window, report_data, tmp_path):
    write_page(tmp_path / "index.html", reading_of(report_data, MAIN, [5]))
    window.open(tmp_path / "index.html")
    assert window.errors() == []
    assert window.text(".doubling") == "no trend"
    assert "a trend needs at least 3" in window.text("#headline")  # the reason
    assert window.marks() == [report_data.rows["registry"][MAIN].densities.names[5]]
    assert not window.find(".trend").get_attribute("d")


@pytest.mark.browser
def test_no_frontier(window, report_data, tmp_path):
    """Densities that only fall: the first model is the whole frontier."""
    densities = report_data.rows["registry"][FRAMES[1]].densities
    dated = [i for i in np.argsort(densities.dates) if not np.isnat(densities.dates[i])]
    falling = [dated[0]]
    for i in dated:
        if densities.values[i] < densities.values[falling[-1]] and densities.dates[i] > densities.dates[falling[-1]]:
            falling.append(i)
    assert len(falling) > 2
    write_page(tmp_path / "index.html", reading_of(report_data, FRAMES[1], falling))
    window.open(tmp_path / "index.html", width=360)
    assert window.errors() == []
    assert "1 models on the frontier" in window.text("#facts")
    assert "no trend" in window.text("#frames")
    assert len(window.marks()) == len(falling)


@pytest.mark.browser
def test_all_out_of_range(window, report_data, tmp_path):
    frame = "densing-law-2025-irreducible"
    densities = report_data.rows["registry"][frame].densities
    outside = np.flatnonzero(~np.isfinite(densities.values))
    assert len(outside) > 3
    write_page(tmp_path / "index.html", reading_of(report_data, frame, outside))
    window.open(tmp_path / "index.html")
    assert window.errors() == []
    assert window.marks() == []
    assert window.text(".empty") == "No model of this set is in range of the frame"
    assert f"{len(outside)} of them out of range" in window.text("#shown")
    for row in window.rows():
        assert row["Density ρ"].startswith("> ")
        assert row["Status"].strip() == "loss under the floor"
    window.click("#columns th:nth-child(2) button")
    assert len(window.rows()) == len(outside)


# Comparison, address, downloads


def enter(window, name):
    """Choose a model as the keyboard does."""
    from selenium.webdriver.common.keys import Keys

    window.js("arguments[0].focus()", window.mark(name))
    window.press(Keys.ENTER)


@pytest.mark.browser
@pytest.mark.parametrize("frame", FRAMES[:2])
def test_clicking_models_compares_them_by_the_draws_that_they_share(window, report, report_data, frame):
    names = ("Llama-2-7B", "Qwen2.5-7B", "Mistral-7B-v0.1")
    window.open(report / "index.html").choose("registry", frame)
    enter(window, names[0])
    enter(window, names[1])
    window.js("arguments[0].scrollIntoView({block: 'center'})", window.mark(names[2]))
    window.click("table.models [aria-label='Compare Mistral-7B-v0.1']")
    details = {one.model: one for one in report_data.rows["registry"][frame].densities.details}
    first = details[names[0]]
    shown = window.js(
        "return [...document.querySelectorAll('#compared tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    assert [row[0].splitlines()[0] for row in shown] == list(names)
    assert shown[0][3].strip() == "1"
    for row in shown[1:]:
        one = details[row[0].splitlines()[0]]
        found = ratio(one.draws, first.draws, (one.value, first.value))
        value, interval = row[3].splitlines()
        assert float(value) == pytest.approx(found.value, rel=0.05)
        low, high = re.fullmatch(r"95%: (\S+) to (\S+)", interval).groups()
        assert float(low) == pytest.approx(found.interval.low, rel=0.05)
        assert float(high.replace("∞", "inf")) == pytest.approx(found.interval.high, rel=0.05)
        share = {"> 99%": 1.0, "< 1%": 0.0}.get(row[4])
        assert (share if share is not None else int(row[4].rstrip("%")) / 100) == pytest.approx(found.denser, abs=0.011)
    window.click("#compared tr:first-child button")
    assert len(window.texts("#compared tr")) == 2
    assert window.errors() == []


@pytest.mark.browser
def test_the_address_brings_the_view_back(window, report):
    window.open(report / "index.html").choose("published", "densing-law-2025-rule")
    enter(window, "Phi-2-2B")
    window.fill("[name=search]", "phi & <b>")
    window.fill("[name=search]", "phi")
    window.fill("[name=largest]", "20")
    window.click("#scale [value=linear]")
    seen = "return [document.querySelector('.doubling').textContent, [...document.querySelectorAll('.model')].map(m => m.getAttribute('aria-label')), document.querySelector('#compared').textContent, document.querySelector('#scale :checked').value]"
    before, address = window.js(seen), window.js("return location.href")
    assert "#" in address
    window.driver.get("about:blank")
    window.driver.get(address)
    window.wait("return performance.getEntriesByName('interactive').length === 1")
    assert window.js(seen) == before
    window.js("location.hash = '#ruler=nothing&set=<img>&compare=nobody&scale=7'")
    window.wait("return document.querySelectorAll('#compared tr').length === 0")
    assert window.js("return document.querySelector('[name=set]:checked').value") == "registry"
    assert window.errors() == []


@pytest.mark.browser
def test_downloads_hold_what_is_shown(window, report, tmp_path):
    window.open(report / "index.html")
    window._command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    window.fill("[name=search]", "qwen")
    shown = [row["Model"] for row in window.rows()]
    window.click("#take summary")

    def taken(kind, ending):
        window.click(f"#take-{kind}")
        for _ in range(200):
            found = [path for path in tmp_path.glob(f"*.{ending}") if path.stat().st_size]
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no .{ending} file came")

    table = pd.read_csv(taken("csv", "csv"))
    assert [name.removeprefix("'") for name in table["model"]] == shown
    drawing = ElementTree.parse(taken("svg", "svg")).getroot()
    marks = [part for part in drawing.iter() if part.get("class") == "model"]
    assert len(marks) == len(window.marks())
    assert taken("png", "png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(taken("json", "json").read_text())["set"] == "registry"
    assert window.errors() == []


@pytest.mark.browser
def test_a_family_in_the_legend_shows_its_models_alone(window, report, report_data):
    window.open(report / "index.html")
    family = window.text("#legend button")
    window.click("#legend button")
    assert {report_data.registry.entry(name).family for name in window.marks()} == {family}
    window.click("#legend button[aria-pressed=true]")
    assert len(window.marks()) > 50


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (900, "dark"), (390, "light")])
def test_the_chart_is_above_the_fold(window, report, width, theme):
    window.open(report / "index.html", width=width, height=900, theme=theme)
    top, bottom = window.js(
        "const b = document.querySelector('#chart svg').getBoundingClientRect(); return [b.top, b.bottom]"
    )
    assert top < 250
    assert bottom <= 900


@pytest.mark.browser
def test_axe_finds_no_serious_violation(window, report):
    script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    for width, theme in ((1400, "light"), (390, "dark")):
        window.open(report / "index.html", width=width, height=900, theme=theme)
        enter(window, "Qwen2.5-7B")
        window.js("document.querySelectorAll('.controls details').forEach(d => d.open = true)")
        window.js(script)
        window.driver.set_script_timeout(120)
        found = window.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document).then(r => done(r.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html)])))"
        )
        assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_without_javascript_there_is_a_picture_and_the_table(built, data):
    html = (built / "index.html").read_text(encoding="utf-8")
    plain = re.search(r"<noscript>(.*?)</noscript>", html, re.DOTALL)[1]
    picture = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]*)"', plain)[1])
    assert picture == (built / "figures" / f"density_{data.main_set}.png").read_bytes()
    assert plain.count("<tr>") == 1 + len(data.row(data.main_set).densities.names)
