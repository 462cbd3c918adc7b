"""Where things lie: what comes with the package, and what is kept between runs."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

DATA = _PACKAGE / "data"
"""Points, registry and hardware that come with the package."""
CONFIGS = next(
    (folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()), _PACKAGE / "configs"
)
"""Ladders, suites and pipelines: inside an installed package, or beside it in a clone."""

MEASUREMENTS = Path("results") / "measurements"
"""Root of the measurements that commands make and read, under the working directory."""


def cache_folder() -> Path:
    """Where densing keeps what it can compute again; ``$XDG_CACHE_HOME/densing`` on Linux."""
    from platformdirs import user_cache_path

    return user_cache_path("densing")
