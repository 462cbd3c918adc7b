"""The OLMo ladder's runs, read the way its paper reads them (Bhagia et al. 2024, arXiv 2412.04403)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).parent / "data"
TASKS = ("mmlu", "hellaswag", "arc_challenge", "piqa")
TRAINED = tuple(f"{size}-{budget}xC" for size in ("190M", "370M", "760M", "1B") for budget in (1, 2, 5, 10))
TARGETS = ("peteish7_eval_anneal", "peteish13_eval_final")
MMLU_SHARES = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}
"""Questions of each MMLU category over all of them, as in the authors' average."""
COLUMNS = {"hellaswag": "hellaswag_val", "arc_challenge": "arc_challenge_test", "piqa": "piqa_val"}


@dataclass(frozen=True)
class Task:
    """One task's points; losses in bits per byte, scores in percent."""

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    """Of the 16 trained runs, then of the two targets: means of the last five evaluations."""
    checkpoint_loss: np.ndarray
    checkpoint_score: np.ndarray
    """Of the trained runs' checkpoints: the first tenth left out, five averaged."""
    target_loss: np.ndarray
    target_score: np.ndarray


def load(name: str) -> Task:
    runs = pd.read_csv(DATA / "olmo_ladder.csv")
    by_run = dict(iter(runs.groupby("run", sort=False)))
    finals = []
    for run in (*TRAINED, *TARGETS):
        table = by_run[run]
        finals.append(
            (table["params"].iloc[-1], table["tokens"].iloc[-1], _column(table, name, "bpb").iloc[-5:].mean())
        )
    checkpoints = []
    for run in TRAINED:
        table = by_run[run].iloc[int(np.ceil(0.1 * len(by_run[run]))) :]
        checkpoints.append([_column(table, name, kind).rolling(5, min_periods=1).mean() for kind in ("bpb", "acc")])
    loss, share = (np.concatenate(part) for part in zip(*checkpoints, strict=True))
    at, reached = (
        np.array([_column(by_run[run], name, kind).iloc[-5:].mean() for run in TARGETS]) for kind in ("bpb", "acc")
    )
    return Task(*np.array(finals).T, loss, 100 * share, at, 100 * reached)


def published_errors() -> dict[str, dict[str, list[float]]]:
    """Relative errors in percent by step and task: fit, 7B, 13B."""
    return json.loads((DATA / "olmo_ladder_errors.json").read_text())


def _column(table: pd.DataFrame, task: str, kind: str) -> pd.Series:
    if task == "mmlu":
        return sum(share * table[f"mmlu_{name}_test_{kind}"] for name, share in MMLU_SHARES.items())
    return table[f"{COLUMNS[task]}_{kind}"]
