"""The public interface is what `help(densing)` shows: typed, documented, and never a module's name twice."""

from __future__ import annotations

import doctest
import inspect
import pydoc
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import densing
from densing.core.results import Result
from densing.report.contents import FIGURES
from tests.conftest import ROOT


@pytest.mark.parametrize("name", densing.__all__)
def test_every_public_name_is_documented_and_typed(name):
    found = getattr(densing, name)
    assert inspect.getdoc(found), name
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
        assert name in densing.__doc__


EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.glob("densing/**/*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of_docstrings_print_what_they_say(module):
    assert doctest.testmod(import_module(module)).failed == 0


@pytest.fixture(scope="module")
def results():
    """One of each kind of result."""
    frame = densing.load_frame("densing-law-2025-tied")
    models = densing.compute_density_set("densing-law-2025", "published")
    found = [
        frame, frame.law_fit("mmlu"), frame.law("mmlu"), frame.curve_fit("mmlu"), frame.curve("mmlu"),
        densing.load_registry(), models, models.details[0], densing.fit_density_trend(models, replicates=200),
        densing.compare(["Llama-2-7B", "Qwen2.5-7B"])[-1],
    ]  # fmt: skip
    return {kind: one for kind in PUBLIC_RESULTS for one in found if isinstance(one, getattr(densing, kind))}


PUBLIC_RESULTS = [
    name for name in densing.__all__ if inspect.isclass(kind := getattr(densing, name)) and issubclass(kind, Result)
]


@pytest.mark.parametrize("name", PUBLIC_RESULTS)
def test_a_result_shows_itself_in_a_line_in_a_notebook_and_as_a_frame(results, name):
    found = results[name]
    assert re.fullmatch(r"<\w+: .+>", repr(found))
    assert len(repr(found)) < 250
    assert not re.search(r"\bnp\.|array\(|0x[0-9a-f]", repr(found))
    rows = found.to_frame()
    assert len(rows) >= 1
    assert len(rows.columns) >= 4
    assert found.to_dict()
    assert "<table" in found._repr_html_() or "<pre" in found._repr_html_()


def test_every_class_is_a_result_or_what_one_is_asked_with():
    classes = {name for name in densing.__all__ if inspect.isclass(getattr(densing, name))}
    assert classes - set(PUBLIC_RESULTS) == {"FrameSpec", "Size", "Subject"}
    assert len(PUBLIC_RESULTS) == 10


def test_a_name_from_elsewhere_is_text_in_a_notebook():
    frame = densing.load_frame("densing-law-2025-tied")
    mine = densing.Subject("<img src=x>", densing.Size(non_embedding=3e9), {"mmlu": 58})
    for found in densing.compare(["Qwen2.5-7B", mine], frame):
        assert "<img" not in found._repr_html_()
        assert "<img" not in found.density._repr_html_()


@pytest.mark.parametrize("part", FIGURES.values(), ids=FIGURES)
def test_every_figure_has_a_function_that_takes_axes_and_returns_them(part):
    module = import_module(part.load().__module__)
    plots = [found for name, found in inspect.getmembers(module, inspect.isfunction)
             if name.startswith("plot_") and found.__module__ == module.__name__]  # fmt: skip
    assert len(plots) == 1
    signature = inspect.signature(plots[0])
    assert signature.parameters["ax"].annotation == signature.return_annotation == "Axes"
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    assert f"{module.__name__}.{plots[0].__name__}" in (Path(__file__).parents[1] / "docs" / "api.md").read_text()


def test_help_lists_them():
    text = pydoc.plain(pydoc.render_doc(densing))
    for name in densing.__all__:
        assert name in text


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="module 'densing' has no attribute 'densities'"):
        densing.densities  # noqa: B018


@pytest.mark.parametrize("room", ["frame", "density", "trend", "article"])
def test_no_name_is_a_module_and_a_function(room):
    package = import_module(f"densing.{room}")
    modules = [info.name for info in walk_packages(package.__path__, f"{package.__name__}.")]
    names = {name.rpartition(".")[2] for name in modules} | {room}
    for module in modules:
        functions = inspect.getmembers(import_module(module), inspect.isfunction)
        assert not names & {name for name, _ in functions}, module
