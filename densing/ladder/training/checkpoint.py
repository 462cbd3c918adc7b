"""What training leaves on disk: states to continue from, and finished checkpoints with their record.

<ladder>/<rung>/state/trunk.pt     where the trunk is
<ladder>/<rung>/state/branch.pt    where a branch is, while it is being trained
<ladder>/<rung>/<tokens>/          a finished branch: a Hugging Face folder with checkpoint.json
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import read_json, typed, understanding, write_json
from densing.core.errors import DensingError, InputError
from densing.core.files import atomic, open_regular, reading
from densing.core.ranges import Count, Finite
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.schedule import DECAY_SHARE, WARMUP_TOKENS_PER_PARAMETER

if TYPE_CHECKING:
    import torch

RECORD = "checkpoint.json"
STATE_BYTES = 12
"""Of a state per parameter: the weight and two moments of the optimiser."""
Recipe = dict[str, str | int | float]
History = list[tuple[Count, Finite]]
"""(step, mean training loss since the entry before), nats per token."""
_Groups = list[dict[str, float | bool | str | list[Any] | tuple[Any, ...] | None]]
Form = tuple[tuple[int, ...], str]
"""Of a tensor: its shape and its type."""


def recipe(config: LadderConfig, shape: Shape, corpus_sha256: str, seed: int) -> Recipe:
    """All that a model's weights depend on, budgets apart."""
    return {f"shape.{key}": value for key, value in shape.model_dump().items()} | {
        "context": config.context,
        "vocabulary": config.tokenizer.vocabulary,
        "learning_rate": config.learning_rate,
        "warmup_tokens_per_parameter": WARMUP_TOKENS_PER_PARAMETER,
        "decay_share": DECAY_SHARE,
        "corpus": corpus_sha256,
        "seed": seed,
    }


def refuse_other_recipe(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Stop before weights of another configuration are taken for this one's.

    Raises
    ------
    InputError
        Names the settings that differ.
    """
    if found == wanted:
        return
    changed = ", ".join(
        f"{key} {found.get(key)!r} instead of {wanted.get(key)!r}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    )
    raise InputError(
        f"{path}: from another configuration: {changed}. Train into another folder, or delete it to train again"
    )


@dataclass
class State:
    """Where training stands.

    Attributes
    ----------
    recipe : dict
    step : int
        Steps taken.
    branch_steps : int
        Steps of the budget whose branch this is; 0 on the trunk.
    trunk_history, branch_history : list of (int, float)
    recent : list of float
        Losses since the last entry of the history.
    snapshot : dict
        Weights and optimiser state; see `Trainer.snapshot`.
    """

    recipe: Recipe
    step: Count = 0
    branch_steps: Count = 0
    trunk_history: History = field(default_factory=list)
    branch_history: History = field(default_factory=list)
    recent: list[Finite] = field(default_factory=list)
    snapshot: dict[str, Any] = field(default_factory=dict)


def save_state(state: State, path: Path) -> None:
    """Write a state in place of an earlier one, which stays if writing fails.

    Raises
    ------
    DensingError
        If the file cannot be written, as on a full disk.
    """
    import torch

    try:
        with atomic(path, "wb") as file:
            torch.save(vars(state), file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        raise DensingError(f"{path}: cannot be written, the state before it is kept: {cause}") from error


def load_state(path: Path, wanted: Mapping[str, Any]) -> State | None:
    """The state of a file, or None where there is none.

    Raises
    ------
    InputError
        If it is damaged, or comes from another recipe.
    """
    import torch

    if not path.exists():
        return None
    with _reading_state(path), open_regular(path, 1 << 50) as file:
        with zipfile.ZipFile(file) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is packed, which no state is")
            if damaged := archive.testzip():  # torch itself does not compare the sums that it writes
                raise ValueError(f"{damaged} is not what was written")
        file.seek(0)
        state = typed(torch.load(file, map_location="cpu", weights_only=True), State)
    refuse_other_recipe(path, state.recipe, wanted)
    return state


def _reading_state(path: Path) -> AbstractContextManager[None]:
    return reading(path, "a state of training", "delete it to train again")


def form_of(tensor: torch.Tensor) -> Form:
    """Shape and type of a tensor."""
    return tuple(tensor.shape), str(tensor.dtype)


def refuse_other_model(path: Path, snapshot: Mapping[str, Any], forms: Mapping[str, Form]) -> None:
    """Stop before a state is taken that no model of these weights can continue from.

    Parameters
    ----------
    path : Path
        The state's file.
    snapshot : mapping
        See `Trainer.snapshot`.
    forms : mapping
        Of the model's weights, by their names.

    Raises
    ------
    InputError
        If weights or moments are missing, are another model's, or are no finite numbers.
    """
    with _reading_state(path):
        moments = snapshot["optimizer"]["state"]
        typed(snapshot["optimizer"]["param_groups"], _Groups)
        for tensors in (
            snapshot["model"],
            *({name: moments[name][key] for name in forms} for key in ("exp_avg", "exp_avg_sq")),
        ):
            if {name: form_of(tensor) for name, tensor in tensors.items()} != forms:
                raise ValueError("its weights or moments are another model's")
            if not all(tensor.isfinite().all() for tensor in tensors.values()):
                raise ValueError("its weights or moments are no finite numbers")
        if not all(0 <= float(moments[name]["step"]) < math.inf for name in forms):
            raise ValueError("its optimiser took less than no steps")


@dataclass(frozen=True)
class Record:
    """What is known of a finished checkpoint.

    Attributes
    ----------
    name, rung : str
    params, params_non_embedding, tokens : int
    held_out_loss : float
        Nats per token.
    held_out_bits_per_byte : float
    weights_sha256 : str
        Of model.safetensors.
    recipe : dict
    trunk_history, branch_history : list of (int, float)
    """

    name: str
    rung: str
    params: Count
    params_non_embedding: Count
    tokens: Count
    held_out_loss: Finite
    held_out_bits_per_byte: Finite
    weights_sha256: str
    recipe: Recipe
    trunk_history: History
    branch_history: History

    def write(self, folder: Path) -> None:
        """Write it into a checkpoint's folder."""
        write_json(folder / RECORD, "checkpoint", asdict(self))


def read_record(folder: Path) -> Record | None:
    """The record of a checkpoint's folder, or None where there is none.

    Raises
    ------
    ArtifactError
        If it is damaged.
    """
    if not (folder / RECORD).exists():
        return None
    payload = read_json(folder / RECORD, "checkpoint").payload
    with understanding(folder / RECORD, "checkpoint"):
        return typed(payload, Record)
