"""Frames on disk: those that come with the package, those that were built, and the draws of both."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from densing.core.arrays import FloatArray
from densing.core.artifacts import finite, read_json, sha256_of, sha256_of_data, typed, understanding, write_json
from densing.core.config import read_yaml, validate
from densing.core.errors import InputError, unknown
from densing.core.files import atomic, open_regular
from densing.core.paths import below, cache_folder
from densing.core.progress import console
from densing.frame.draws import FrameDraws
from densing.frame.frame import ReferenceFrame, build_frame
from densing.frame.spec import FrameSpec

FRAMES = Path("results") / "frames"
_SHIPPED = files("densing") / "data" / "frames"
SHIPPED_ARRAYS = Path(str(_SHIPPED / "draws.npz"))
_CHECKSUM = "checksum"
_PARTS = {"full": 5, "conditional": 5, "curve": 4}
"""Arrays of the draws of a benchmark, with how many numbers a draw has in each."""
_LARGEST_DRAWS = 1 << 28
"""Bytes of a file of draws, unpacked."""


def frame_names() -> list[str]:
    """Names of the frames that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml"))


def built_frames(folder: Path = FRAMES) -> dict[str, Path]:
    """Names and files of the frames built in this working directory."""
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def load_frame(name: str | Path) -> ReferenceFrame:
    """A frame that comes with the package, or one that was built, by name or path.

    Parameters
    ----------
    name : str or Path
        ``densing-law-2025`` or one of its variants; the name of a frame under ``results/frames``; or the
        path of a frame's JSON file.

    Raises
    ------
    InputError
        For an unknown name, with those there are.
    """
    shipped, built = frame_names(), built_frames()
    if str(name) in shipped:
        return _read_shipped(str(name))
    if str(name) in built:
        return read_frame(built[str(name)])
    if Path(name).suffix == ".json":
        return read_frame(Path(name))
    raise unknown("frame", str(name), [*shipped, *built])


def load_frames() -> list[ReferenceFrame]:
    """Every frame that comes with the package or was built here; a note on standard error names a file that is none."""
    frames = [load_frame(name) for name in frame_names()]
    for path in built_frames().values():
        try:
            frames.append(read_frame(path))
        except InputError as error:
            console.print(f"note: a frame is left out: {error}", soft_wrap=True, highlight=False)
    return frames


def _read_shipped(name: str) -> ReferenceFrame:
    import pandas as pd

    path = Path(str(_SHIPPED / f"{name}.yaml"))
    data = read_yaml(path)
    if base := data.pop("extends", None):
        data = read_yaml(Path(str(_SHIPPED / f"{base}.yaml"))) | data
    folder = path.parent.parent
    losses, scores = (pd.read_csv(folder / data.pop(key)) for key in ("losses", "scores"))
    if not data.pop("hold_out", True):
        losses, scores = losses.assign(held_out=0), scores.assign(held_out=0)
    spec = validate(data | {"name": name}, FrameSpec, str(path))
    return build_frame(spec, losses, scores, draw_source=keep_draws)


def write_frame(frame: ReferenceFrame, folder: Path = FRAMES) -> Path:
    """Write a frame's points, settings and optima as JSON, and its draws beside it.

    Returns
    -------
    Path
        The JSON file.
    """
    for benchmark in frame.benchmarks:
        frame.law(benchmark)  # refuses what no size can be read off, before anything is written
    draws = {
        f"{benchmark}/{part}": getattr(frame.draws(benchmark), part)
        for benchmark in frame.benchmarks
        for part in _PARTS
    }
    path = below(folder, f"{frame.name}.json")
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
        If the file is not a frame or is damaged. Draws that are missing, or are not those it was written with, are
        made again from its points, with a note.
    """
    import pandas as pd

    artifact = read_json(path, "frame")
    with understanding(path, "frame"):
        payload = artifact.payload
        spec = validate(payload["spec"], FrameSpec, str(path))
        losses, scores = (pd.DataFrame(typed(payload[key], _Columns)) for key in ("losses", "scores"))
        arrays_file, wanted = path.with_suffix(".npz"), typed(payload["draws_sha256"], str)
        frame = build_frame(spec, losses, scores, made_from=artifact.made_from, draw_source=keep_draws)
    try:
        if sha256_of(arrays_file) != wanted:
            raise ValueError("not the draws that the frame was written with")
        stored = read_arrays(arrays_file)
        draws = {
            benchmark: _checked({part: stored[f"{benchmark}/{part}"] for part in _PARTS})
            for benchmark in frame.benchmarks
        }
    except Exception as error:  # every library has its own for what is damaged
        _say_made_again(arrays_file, error)
        return frame
    return replace(frame, draw_source=lambda _, benchmark: draws[benchmark])


_Columns = dict[str, list[int | float | None] | list[str | None]]


def _say_made_again(path: Path, error: Exception) -> None:
    console.print(
        f"note: {path}: the draws cannot be used ({type(error).__name__}: {str(error)[:100]}); they are made again",
        soft_wrap=True,
        highlight=False,
    )


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as .npz, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic(path, "wb") as file:
        file.write(buffer.getvalue())


def read_arrays(path: Path) -> dict[str, Any]:
    """Arrays of numbers that `write_arrays` wrote; any exception at all where the file is damaged."""
    with open_regular(path, _LARGEST_DRAWS) as file, zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_DRAWS:
            raise ValueError("larger than draws are")
        contents = {entry.filename.removesuffix(".npy"): archive.read(entry) for entry in archive.infolist()}
    return {
        name: np.lib.format.read_array(io.BytesIO(content), allow_pickle=False) for name, content in contents.items()
    }


def _checked(arrays: dict[str, Any]) -> FrameDraws:
    """Draws whose arrays have the shapes of draws."""
    draws = len(arrays["full"])
    for part, numbers in _PARTS.items():
        if arrays[part].shape != (draws, numbers) or arrays[part].dtype != np.float64:
            raise ValueError(f"{part} has the shape {arrays[part].shape}, not {(draws, numbers)}")
    return FrameDraws(*(arrays[part] for part in _PARTS))


def keep_draws(frame: ReferenceFrame, benchmark: str) -> FrameDraws:
    """Draws of a benchmark, see `keep_arrays`."""
    return FrameDraws(**keep_arrays(frame, [benchmark], (), lambda: vars(frame.make_draws(benchmark))))


def keep_arrays(
    frame: ReferenceFrame, what: Sequence[str], data: Any, make: Callable[[], dict[str, FloatArray]]
) -> dict[str, FloatArray]:
    """Arrays that follow from a frame: those that came with the package, those of an earlier run, or new ones.

    They are kept in the user's cache folder by the hash of the frame's points and settings and of the code. A
    cache that cannot be read or written costs time and is no error.

    Parameters
    ----------
    what : sequence of str
        Which arrays of the frame.
    data
        What else they follow from, as JSON.
    make : callable
        Makes them anew.
    """
    points = [frame.losses.to_dict("list"), frame.scores.to_dict("list")]
    settings = frame.spec.model_dump(exclude_defaults=True)  # a setting that is new does not change what was
    key = sha256_of_data(finite([settings, points, list(what), data]))[:32]
    if found := _shipped_arrays().get(key):
        return found
    cache = cache_folder()
    if cache is None:
        return make()
    path = cache / "draws" / f"{key}-{_code()[:16]}.npz"
    if found := read_kept(path).get(key):
        return found
    if path.exists():
        _say_made_again(path, ValueError("it is damaged"))
    arrays = make()
    with suppress(OSError):
        write_kept(path, {key: arrays})
    return arrays


def write_kept(path: Path, kept: Mapping[str, Mapping[str, FloatArray]]) -> None:
    """Write arrays by key and name, with a checksum of each key's."""
    named = {f"{key}/{name}": values for key, arrays in kept.items() for name, values in arrays.items()}
    sums = {f"{key}/{_CHECKSUM}": np.frombuffer(_checksum(arrays), np.uint8) for key, arrays in kept.items()}
    write_arrays(path, named | sums)


def read_kept(path: Path) -> dict[str, dict[str, FloatArray]]:
    """What `write_kept` wrote, by key; without those that are absent, cut short or changed."""
    found: dict[str, dict[str, FloatArray]] = {}
    with suppress(Exception):  # every library has its own for what is damaged
        for name, values in read_arrays(path).items():
            key, _, part = name.partition("/")
            found.setdefault(key, {})[part] = values
    sums = {key: arrays.pop(_CHECKSUM, np.empty(0)).tobytes() for key, arrays in found.items()}
    return {key: arrays for key, arrays in found.items() if sums[key] == _checksum(arrays)}


def _checksum(arrays: Mapping[str, FloatArray]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()


@lru_cache(maxsize=1)
def _shipped_arrays() -> dict[str, dict[str, FloatArray]]:
    """Arrays of the recommended frame, made by `tools/shipped_draws.py`: its first use is as fast as the next."""
    return {
        key: {name: values.astype(float) for name, values in arrays.items()}
        for key, arrays in read_kept(SHIPPED_ARRAYS).items()
    }


@lru_cache(maxsize=1)
def _code() -> str:
    """Hash of the code that kept arrays depend on, so that a changed fit never meets an old draw."""
    digest = hashlib.sha256()
    for stage in ("fit", "frame", "density"):
        for path in sorted((Path(__file__).parents[1] / stage).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
