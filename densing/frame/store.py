"""Frames on disk: those that were built, and the draws of those that come with the package."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from densing.core.artifacts import ArtifactError, finite, read_json, sha256_of, sha256_of_data, write_json
from densing.core.config import validate
from densing.core.files import atomic
from densing.core.paths import cache_folder
from densing.frame.frame import FrameDraws, ReferenceFrame, build_frame
from densing.frame.spec import FrameSpec

FRAMES = Path("results") / "frames"


def built_frames(folder: Path = FRAMES) -> dict[str, Path]:
    """Names and files of the frames built in this working directory."""
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def write_frame(frame: ReferenceFrame, folder: Path = FRAMES) -> Path:
    """Write a frame's points, settings and optima as JSON, and its draws beside it.

    Returns
    -------
    Path
        The JSON file.
    """
    draws = {
        f"{benchmark}/{part}": getattr(frame.draws(benchmark), part)
        for benchmark in frame.benchmarks
        for part in ("full", "conditional", "curve")
    }
    path = folder / f"{frame.name}.json"
    write_arrays(path.with_suffix(".npz"), draws)
    optima = {
        benchmark: {
            "read": frame.optimum(benchmark),
            "status": str(frame.law_fit(benchmark).status_of(frame.optimum(benchmark))),
            "reasons": frame.law_fit(benchmark).notes,
            "optima": frame.law_fit(benchmark).to_frame().to_dict("records"),
            "curve": frame.curve_fit(benchmark).to_frame().to_dict("records"),
        }
        for benchmark in frame.benchmarks
    }
    payload = {
        "spec": frame.spec.model_dump(),
        "losses": frame.losses.to_dict("list"),
        "scores": frame.scores.to_dict("list"),
        "fits": optima,
        "draws_sha256": sha256_of(path.with_suffix(".npz")),
    }
    write_json(path, "frame", payload, made_from=frame.made_from, seed=frame.spec.resampling.seed)
    return path


def read_frame(path: Path) -> ReferenceFrame:
    """Read a frame that `write_frame` wrote; its laws are fitted again from its points.

    Raises
    ------
    ArtifactError
        If the file is not a frame, is damaged, or its draws are not those it was written with.
    """
    import pandas as pd

    artifact = read_json(path, "frame")
    payload = artifact.payload
    spec = validate(payload["spec"], FrameSpec, str(path))
    losses, scores = pd.DataFrame(payload["losses"]), pd.DataFrame(payload["scores"])
    frame = build_frame(spec, losses, scores, made_from=artifact.made_from)
    arrays_file = path.with_suffix(".npz")
    if not arrays_file.exists() or sha256_of(arrays_file) != payload["draws_sha256"]:
        raise ArtifactError(f"{arrays_file}: missing or not the draws of {path.name}; build the frame again")
    with np.load(arrays_file) as arrays:
        for benchmark in frame.benchmarks:
            parts = (arrays[f"{benchmark}/{part}"] for part in ("full", "conditional", "curve"))
            frame.keep_draws(benchmark, FrameDraws(*parts))
    return frame


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as .npz, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic(path, "wb") as file:
        file.write(buffer.getvalue())


def cached_draws(frame: ReferenceFrame, benchmark: str) -> FrameDraws | None:
    """Draws of the same points, settings and fitting code from an earlier run, if there are any."""
    path = _cache_file(frame, benchmark)
    try:
        with np.load(path) as arrays:
            return FrameDraws(arrays["full"], arrays["conditional"], arrays["curve"])
    except (OSError, ValueError, KeyError):  # absent, or cut short by a kill
        return None


def cache_draws(frame: ReferenceFrame, benchmark: str, draws: FrameDraws) -> None:
    """Keep draws for the next run; a cache that cannot be written is no error."""
    with suppress(OSError):
        write_arrays(_cache_file(frame, benchmark), vars(draws))


def _cache_file(frame: ReferenceFrame, benchmark: str) -> Path:
    losses = frame.losses[frame.losses["benchmark"] == benchmark].to_dict("list")
    scores = frame.scores[frame.scores["benchmark"] == benchmark].to_dict("list")
    key = sha256_of_data(finite([frame.spec.model_dump(), losses, scores, _fitting_code()]))
    return cache_folder() / "draws" / f"{key[:32]}.npz"


@lru_cache(maxsize=1)
def _fitting_code() -> str:
    """Hash of the code that draws depend on, so that a changed fit never meets an old draw."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parents[1] / "fit").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
