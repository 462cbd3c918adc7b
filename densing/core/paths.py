"""Where things lie: what comes with the package, and what runs write into the current folder."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

DATA = _PACKAGE / "data"
"""Points, registry and hardware that come with the package."""
CONFIGS = next(
    (folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()), _PACKAGE / "configs"
)
"""Ladders, suites and pipelines: inside an installed package, or beside it in a clone."""
