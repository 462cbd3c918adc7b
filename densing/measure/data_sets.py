"""The data sets of a suite's tasks: where they come from, at which revision, and what exactly they held.

They are read from the hub, at the revision that the suite names, or from a folder that holds them as the hub does:
`FOLDER/organisation/name/...`. Whatever the source, a measurement keeps the hash of the items that were asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from densing.core.artifacts import sha256_of_data
from densing.core.config import data_of_yaml
from densing.core.errors import DensingError, InputError
from densing.core.files import read_text, reading, refuse_special_files
from densing.core.hub import HUB_NAME, download

LARGEST_CARD = 1 << 24
"""Bytes of a README."""


@contextmanager
def data_sets_from(root: Path | None, revisions: Mapping[str, str], suite: str) -> Iterator[None]:
    """lm-eval's tasks read their data sets from `root`, or from the hub at these revisions, within the block.

    Parameters
    ----------
    root : Path or None
        The folder that stands in for the hub.
    revisions : mapping
        Commits of data sets on the hub, by name.
    suite : str
        The suite's name, for what a message says to do.

    Raises
    ------
    InputError
        If `root` lacks a data set.
    DensingError
        If a data set is neither on this machine nor to be had from the hub.
    """
    import datasets

    load = datasets.load_dataset

    def load_ours(path: str, name: str | None = None, **options: Any) -> Any:
        if Path(path).exists() or not HUB_NAME.fullmatch(path):  # a folder, or a format such as json
            return load(path, name, **options)
        if root is not None:
            folder = folder_of(path, root, suite)
            refuse_special_files(folder, "**/*")
            # Its cache knows a local folder by its name alone, so it would give what was there before.
            anew = {"download_mode": "force_redownload"}
            return _read_parquet(folder, name) or load(str(folder), name, **(options | anew))
        options = {"revision": revisions.get(path)} | options
        try:
            return load(path, name, **options)
        except Exception as error:
            raise DensingError(
                f"the data set {path} is not on this machine and cannot be had from the hub "
                f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); run {how_to_fetch(suite)}"
            ) from error

    datasets.load_dataset = load_ours
    try:
        yield
    finally:
        datasets.load_dataset = load


def _read_parquet(folder: Path, config: str | None) -> Any:
    """The splits of a repository whose README names its Parquet files; None where it is laid out otherwise.

    `datasets` reads the README anew for each of a repository's configurations, of which MMLU has 57, and copies the
    files into its cache.
    """
    import datasets

    readme = folder / "README.md"
    described = _configurations(readme, readme.stat().st_mtime_ns) if readme.is_file() else ()
    chosen = [one for one in described if (one.get("config_name") == config if config else one.get("default"))]
    chosen = chosen or [one for one in described if config is None and len(described) == 1]
    parts = chosen[0].get("data_files") if chosen else None
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and {"split", "path"} <= part.keys() for part in parts
    ):
        return None
    splits = {}
    with reading(readme, "the card of a data set", "correct it, or fetch it again"):
        for part in parts:
            patterns = [str(one) for one in (part["path"] if isinstance(part["path"], list) else [part["path"]])]
            if outside := [one for one in patterns if Path(one).is_absolute() or ".." in Path(one).parts]:
                raise ValueError(f"{outside[0]!r} leads out of its folder")
            files = sorted(str(file) for pattern in patterns for file in folder.glob(pattern))
            if not files or not all(file.endswith(".parquet") for file in files):
                return None
            splits[str(part["split"])] = _table(files)
    return datasets.DatasetDict(splits)


def _table(files: list[str]) -> Any:
    import datasets
    from pyarrow.parquet import ParquetDataset

    with reading(files[0], "Parquet", "fetch it again"):
        return datasets.Dataset(datasets.table.InMemoryTable(ParquetDataset(files).read()))


@lru_cache(maxsize=32)
def _configurations(readme: Path, _modified: int) -> tuple[dict[str, Any], ...]:
    """What the README of a repository says of its configurations, between its first two lines of dashes."""
    head = read_text(readme, "the card of a data set", LARGEST_CARD).replace("\r\n", "\n").split("---\n", 2)
    said = data_of_yaml(head[1], readme) if len(head) > 2 and not head[0] else None
    described = said.get("configs") if isinstance(said, dict) else None
    return tuple(one for one in described if isinstance(one, dict)) if isinstance(described, list) else ()


def folder_of(name: str, root: Path, suite: str) -> Path:
    """Where a data set lies under the folder that stands in for the hub.

    Raises
    ------
    InputError
        If it is not there.
    """
    if not (root / name).is_dir():
        raise InputError(f"{root}: the data set {name} is not in this folder; run {how_to_fetch(suite)}")
    return root / name


def how_to_fetch(suite: str) -> str:
    """What to do where there is no hub."""
    return f"`densing suites fetch {suite} --data-root FOLDER` where there is a hub, and give --data-root FOLDER here"


def source_of(task: Any, root: Path | None) -> tuple[str, str | None]:
    """Name of a task's data set, and the commit it was read at where that is known."""
    path = str(task.config.dataset_path or "this suite's documents")
    if root is not None and (root / path).is_dir():
        return path, _fetched_revision(root / path)
    for split in _splits(task).values():
        for file in (getattr(split.info, "download_checksums", None) or {}) if hasattr(split, "info") else {}:
            if found := re.search(r"@([0-9a-f]{40})/", file):
                return path, found[1]
    return path, None


def items_hash(task: Any) -> str:
    """Hash of the items that a task asks and draws its worked examples from, whatever files they came in."""
    return sha256_of_data(
        {name: [json.dumps(row, sort_keys=True, default=str) for row in split] for name, split in _splits(task).items()}
    )


def fetch(name: str, root: Path, revision: str | None) -> Path:
    """Copy a data set from the hub to its place under `root`.

    Raises
    ------
    DensingError
        If it cannot be had.
    """
    return download(name, "dataset", ["*"], revision=revision, to=root / name)


def _splits(task: Any) -> dict[str, Any]:
    config = task.config
    asked = config.test_split or config.validation_split or config.training_split
    examples = config.fewshot_split or config.training_split if config.num_fewshot else None
    return {name: task.dataset[name] for name in dict.fromkeys((asked, examples)) if name and name in task.dataset}


def _fetched_revision(folder: Path) -> str | None:
    """The commit that the hub's client notes beside what it fetches."""
    for note in sorted((folder / ".cache" / "huggingface" / "download").rglob("*.metadata")):
        first = ""
        with suppress(InputError):
            first = read_text(note, "a note of the hub's client", LARGEST_CARD).partition("\n")[0].strip()
        if re.fullmatch(r"[0-9a-f]{40}", first):
            return first
    return None
