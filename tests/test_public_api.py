"""The public interface is what `help(densing)` shows: typed, documented, and never a module's name twice."""

from __future__ import annotations

import inspect
import pydoc
from importlib import import_module
from pkgutil import walk_packages

import pytest

import densing


@pytest.mark.parametrize("name", densing.__all__)
def test_every_public_name_is_documented_and_typed(name):
    found = getattr(densing, name)
    assert inspect.getdoc(found), name
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
        assert name in densing.__doc__


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
