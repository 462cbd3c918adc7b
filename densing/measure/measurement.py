"""The measurement: what one model did on one suite, per task and per item.

`<out>/<model>/<suite>/<task>.json` holds the totals with the settings they were measured under, and
`<task>.parquet` beside it one row per item.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import Artifact, ArtifactError, read_json, sha256_of, typed, understanding, write_json
from densing.core.errors import InputError
from densing.core.files import atomic_folder, open_regular
from densing.core.paths import below, file_name
from densing.measure.tasks.metrics import NATS_PER_BIT

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KIND = "measurement"
ITEM_COLUMNS = ("item", "answer_logprob", "tokens", "bytes", "greedy", "correct", "response")
"""The columns of a task's Parquet file: name of the item; natural logarithm of the gold answer's probability, and
the tokens and UTF-8 bytes that it is over; whether greedy decoding gives the answer; score of the item (0 or 1); what
was chosen or written. Cells are empty where the task has no loss, or no score."""


MOST_ITEMS = 10**7
"""More than any benchmark has."""


@dataclass(frozen=True)
class TaskResult:
    """One task of a measurement.

    Attributes
    ----------
    task : str
        The suite's name for the benchmark.
    conditional_loss : float or None
        −ln P(answer | instruction), nats per answer token.
    bits_per_byte : float or None
        The same over the same text's UTF-8 bytes.
    score, chance : float or None
        Percent.
    items, score_items : int
        How many items the loss, and the score, is made from.
    tokens, bytes : int
        The length of all answers together.
    loss_error, score_error : float or None
        Standard errors that come from the choice of items: nats per token, and percentage points.
    settings : dict
        Shots, seeds, variants, and everything else the numbers depend on.
    """

    task: str
    conditional_loss: float | None = None
    bits_per_byte: float | None = None
    score: float | None = None
    chance: float | None = None
    items: int = 0
    score_items: int = 0
    tokens: int = 0
    bytes: int = 0
    loss_error: float | None = None
    score_error: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_items(
        cls, task: str, items: pd.DataFrame, *, score: float | None, chance: float | None, settings: dict[str, Any]
    ) -> TaskResult:
        """Totals of a table of items (`ITEM_COLUMNS`); the score is lm-eval's."""
        scored = items[items["answer_logprob"].notna()]
        nats = -math.fsum(scored["answer_logprob"])
        tokens, bytes_ = int(scored["tokens"].sum()), int(scored["bytes"].sum())
        return cls(
            task=task,
            conditional_loss=nats / tokens if tokens else None,
            bits_per_byte=nats / NATS_PER_BIT / bytes_ if bytes_ else None,
            score=score,
            chance=chance,
            items=len(scored),
            score_items=int(items["correct"].notna().sum()),
            tokens=tokens,
            bytes=bytes_,
            loss_error=loss_error(scored) if len(scored) > 1 else None,
            score_error=_score_error(items["correct"].dropna().to_numpy(float)),
            settings=settings,
        )


def loss_error(items: pd.DataFrame) -> float:
    """Standard error of a conditional loss, which is a ratio of sums over items: nats per token."""
    import numpy as np

    rows = items[items["answer_logprob"].notna()]
    nats, tokens = -rows["answer_logprob"].to_numpy(float), rows["tokens"].to_numpy(float)
    residual = nats - nats.sum() / tokens.sum() * tokens
    return float(np.sqrt(len(rows) / max(len(rows) - 1, 1) * (residual**2).sum()) / tokens.sum())


def _score_error(correct: np.ndarray) -> float | None:
    """Standard error of a mean of items, percentage points; None where there are fewer than two."""
    return 100 * float(correct.std(ddof=1)) / math.sqrt(len(correct)) if len(correct) > 1 else None


@dataclass(frozen=True)
class Measurement:
    """One model on one suite.

    Attributes
    ----------
    model, suite, engine : str
    settings : dict
        Everything that the numbers of all tasks depend on.
    tasks : dict of str to TaskResult
    made_from : dict of str to str
        Hashes of the weights, the tokeniser and the suite.
    folder : Path or None
        Where it was read from or written to.
    """

    model: str
    suite: str
    engine: str
    settings: dict[str, Any]
    tasks: dict[str, TaskResult]
    made_from: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def write(self, out: Path, items: Mapping[str, pd.DataFrame] | None = None) -> Measurement:
        """Write every task's files under `out`, and return this measurement with its folder.

        They take the place of an earlier measurement together. Tasks that it had and this one has not are removed;
        files that are no part of a measurement stay.

        Parameters
        ----------
        out : Path
            Folder of all measurements.
        items : mapping of str to DataFrame, optional
            The items of each task, in the columns `ITEM_COLUMNS`.
        """
        folder = self.place(out)
        with atomic_folder(folder) as new:
            for name, result in self.tasks.items():
                payload: dict[str, Any] = {
                    "model": self.model,
                    "suite": self.suite,
                    "engine": self.engine,
                    "settings": self.settings,
                    "result": asdict(result),
                }
                if items is not None and name in items:
                    rows = below(new, f"{name}.parquet")
                    items[name].to_parquet(rows, index=False)
                    payload["items_sha256"] = sha256_of(rows)
                write_json(below(new, f"{name}.json"), KIND, payload, made_from=self.made_from)
            _keep_the_rest(folder, new)
        return Measurement(
            self.model, self.suite, self.engine, self.settings, self.tasks, made_from=self.made_from, folder=folder
        )

    def place(self, out: Path) -> Path:
        """The folder that it is written to under `out`.

        Raises
        ------
        InputError
            If the model, the suite or a task has a name that no file can have, or a link leads out of `out`.
        """
        for name in self.tasks:
            file_name(f"{name}.parquet")
        return below(out, self.model, self.suite)

    @classmethod
    def read(cls, folder: Path) -> Measurement:
        """Read a model's folder of a suite.

        Raises
        ------
        ArtifactError
            If there is none, or a file of it is broken or belongs to another measurement.
        """
        files = sorted(folder.glob("*.json"))
        if not files:
            raise ArtifactError(f"{folder}: there is no measurement in this folder")
        artifacts = {path: _read_task(path) for path in files}
        first = artifacts[files[0]]
        for path, artifact in artifacts.items():
            for key in ("model", "suite", "engine", "settings"):
                if artifact.payload[key] != first.payload[key] or artifact.made_from != first.made_from:
                    raise ArtifactError(
                        f"{path}: this task was measured in another run than {files[0].name}; measure again"
                    )
        tasks = {artifact.payload["result"].task: artifact.payload["result"] for artifact in artifacts.values()}
        payload = first.payload
        return cls(
            payload["model"],
            payload["suite"],
            payload["engine"],
            payload["settings"],
            tasks,
            made_from=first.made_from,
            folder=folder,
        )

    def items(self, task: str) -> pd.DataFrame:
        """Rows of a task, one per item; see `ITEM_COLUMNS`.

        Raises
        ------
        InputError
            If the measurement has no rows, as an imported one.
        ArtifactError
            If the rows are not those that were measured.
        """
        import pandas as pd

        if self.folder is None or not (self.folder / f"{task}.parquet").is_file():
            raise InputError(
                f"{self.model}, {self.suite}, {task}: the items of this task were not kept; measure again to have them"
            )
        path = self.folder / f"{task}.parquet"
        expected = read_json(path.with_suffix(".json"), KIND).payload.get("items_sha256")
        if sha256_of(path) != expected:
            raise ArtifactError(f"{path}: these are not the items that {task}.json was made from; measure again")
        with understanding(path, "table of items"):
            import pyarrow.parquet

            if pyarrow.parquet.read_metadata(path).num_rows > 2 * MOST_ITEMS:
                raise ValueError(f"more than {MOST_ITEMS:,} items")
            rows = pd.read_parquet(path)
            if missing := [name for name in ITEM_COLUMNS if name not in rows]:
                raise ValueError(f"no column {missing[0]}")
            numbers = ["answer_logprob", "tokens", "bytes", "correct"]
            return rows.astype({"item": str} | dict.fromkeys(numbers, float))

    def to_frame(self) -> pd.DataFrame:
        """One row per task: the columns of `TaskResult` without its settings, and the model."""
        import pandas as pd

        rows = [{"model": self.model, **asdict(result)} for result in self.tasks.values()]
        return pd.DataFrame(rows).drop(columns="settings")


def _read_task(path: Path) -> Artifact:
    """One task's artifact, with its result as a `TaskResult`."""
    artifact = read_json(path, KIND)
    with understanding(path, KIND):
        payload = artifact.payload
        for key in ("model", "suite", "engine"):
            typed(payload[key], str)
        typed(payload["settings"], dict)
        result = typed(payload["result"], TaskResult)
        typed(result.settings.get("truncated", []), list[str])
        if min(result.items, result.score_items, result.tokens, result.bytes) < 0:
            raise ValueError("a count of items, tokens or bytes is negative")
        if max(result.items, result.score_items) > MOST_ITEMS:
            raise ValueError(f"more than {MOST_ITEMS:,} items")
        if not all(0 <= share <= 100 for share in (result.score, result.chance) if share is not None):
            raise ValueError("a score lies outside of 0 to 100 percent")
        return Artifact(payload | {"result": result}, artifact.made_from, artifact.made_with)


def _keep_the_rest(folder: Path, new: Path) -> None:
    """Copy what else lies in a measurement's folder; looked at again where another process just replaced that."""
    for last in (False, False, False, True):
        try:
            for kept in _not_measured(folder):
                if (new / kept.name).exists():
                    continue
                if kept.is_dir() and not kept.is_symlink():
                    shutil.copytree(kept, new / kept.name, symlinks=True)
                else:
                    shutil.copy2(kept, new / kept.name, follow_symlinks=False)
            return
        except FileNotFoundError:
            if last:
                raise


def _not_measured(folder: Path) -> list[Path]:
    """What in a measurement's folder no measurement wrote."""
    if not folder.is_dir():
        return []
    measured = set()
    for path in folder.glob("*.json"):
        with suppress(InputError, OSError), open_regular(path) as file:
            if f'"densing/{KIND}/'.encode() in file.read(200):  # also where the rest of it is damaged
                measured |= {path.name, path.with_suffix(".parquet").name}
    return [path for path in sorted(folder.iterdir()) if path.name not in measured]
