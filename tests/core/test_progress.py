"""pytest tests/core/test_progress.py"""

from __future__ import annotations

import io

import pytest

from densing.core import progress


@pytest.mark.parametrize(
    ("total", "done", "shown", "absent"),
    [(None, 15181803, "15,181,803", "?"), (None, 1, "1", "-:--:--"), (3, 3, "3/3", "?"), (3, 0, "0/3", "left")],
)
def test_a_bar_says_no_more_than_is_known(monkeypatch, total, done, shown, absent):
    written = io.StringIO()
    monkeypatch.setattr(progress, "console", progress._Console(file=written, width=100))
    with progress.progress_bar("reading", total) as bar:
        bar.advance(done)
    assert shown in written.getvalue()
    assert absent not in written.getvalue()
