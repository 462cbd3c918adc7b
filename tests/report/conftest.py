"""A report of the registry with hostile models in it, and a browser to read it in."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from densing.models.changes import add
from densing.models.registry import ModelEntry, ScoreEntry
from densing.report.build import fill, replacing
from densing.report.data import gather, write_artifacts
from densing.report.page.build import write_page

from .browser import Window

HOSTILE = (
    "<script>alert(1)</script>",
    "a \"quoted\" & 'single' <b>name</b>",
    "通义千问-7B",
    "M" * 200,
    "=cmd()",
    "${alert(1)} {{ 7*7 }} --></script><img src=x onerror=alert(1)>",
)
HOSTILE_FAMILY = "<img src=x onerror=alert(2)>"
HOSTILE_SOURCE = "</script><script>alert(3)</script>"
HOSTILE_NOTE = '" onmouseover="alert(4)" <!-- <svg onload=alert(5)>'


@pytest.fixture(scope="session")
def data():
    """What the command gathers from the shipped registry, with a model to point out."""
    return gather(highlight="Qwen2.5-7B")


@pytest.fixture(scope="session")
def built(data, tmp_path_factory):
    """A whole report of it."""
    out = tmp_path_factory.mktemp("built") / "report"
    with replacing(out) as folder:
        fill(folder, data)
    return out


@pytest.fixture(scope="session")
def report_data(tmp_path_factory):
    """The registry with models whose names, families, sources and notes are traps."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for number, name in enumerate(HOSTILE):
            released = dt.date(2024, 1, 15) + dt.timedelta(days=60 * number)
            entry = ModelEntry(model=name, family=HOSTILE_FAMILY, release_date=released, total_params_B=7 + number)
            add(entry, [
                ScoreEntry(model=name, benchmark=b, score=30 + 5 * number + i, source=HOSTILE_SOURCE, note=HOSTILE_NOTE)
                for i, b in enumerate(("mmlu", "bbh", "math", "humaneval", "mbpp"))
            ])  # fmt: skip
        return gather()


@pytest.fixture(scope="session")
def report(report_data, tmp_path_factory):
    """Folder of the page and its artifacts."""
    folder = tmp_path_factory.mktemp("report")
    write_page(folder / "index.html", replace(report_data, artifacts=write_artifacts(report_data, folder)))
    return folder


@pytest.fixture(scope="session")
def window():
    chromium = Window()
    yield chromium
    chromium.driver.quit()
