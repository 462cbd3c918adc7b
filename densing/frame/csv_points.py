"""A user's points for a frame, from two CSV files: checked as a whole before anything is fitted or written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from densing.core.errors import InputError
from densing.core.files import parse_table
from densing.core.units import refuse_fractions
from densing.fit.hold_out import with_held_out
from densing.fit.loss_law.forms import Form
from densing.frame.spec import Unit

if TYPE_CHECKING:
    import pandas as pd

LOSS_COLUMNS = ("benchmark", "params", "tokens", "conditional_loss")
SCORE_COLUMNS = ("benchmark", "checkpoint", "conditional_loss", "score")
UNITS: dict[str, tuple[Unit, float]] = {
    "nats": ("nats per token", 1.0),
    "nats per token": ("nats per token", 1.0),
    "bits per token": ("nats per token", float(np.log(2))),
    "bits per byte": ("bits per byte", 1.0),
    "nats per byte": ("bits per byte", float(1 / np.log(2))),
}
"""What a column unit may say: the unit that losses are kept in, and the factor to it."""
_CONSTANTS: dict[Form, int] = {"two-term": 4, "irreducible": 5, "params-only": 2}


def read_points(losses: Path, scores: Path, form: Form) -> tuple[pd.DataFrame, pd.DataFrame, Unit, dict[str, float]]:
    """Read and check the points of a frame; see `densing.frame.from_ladder.frame_from_csv` for the columns.

    Returns
    -------
    losses, scores : DataFrame
        Losses in the unit of the frame, held_out as 0 or 1.
    unit : Unit
    chance : dict
        Chance score of each benchmark, percent, where the scores say it.

    Raises
    ------
    InputError
        If a file cannot be read, or its points cannot make a frame.
    """
    tables, units = [], {}
    for path, columns in ((losses, LOSS_COLUMNS), (scores, SCORE_COLUMNS)):
        table, units[str(path)] = _in_one_unit(_read(path, columns), path)
        tables.append(table)
    if len(set(units.values())) > 1:
        said = " and ".join(f"{name} in {unit}" for name, unit in units.items())
        raise InputError(f"losses are in two units, {said}: give both files in one, none converts without the texts")
    laws, curves = tables
    chance = _chance(curves, scores)
    curves = curves.drop(columns="chance", errors="ignore")
    for table, path in ((laws, losses), (curves, scores)):
        _check_rungs(table, path)
    for benchmark, own in curves.groupby("benchmark"):
        refuse_fractions(own["score"], f"{scores}, {benchmark}")
    for benchmark in laws["benchmark"].unique():
        if benchmark in set(curves["benchmark"]):
            _check_law(laws[laws["benchmark"] == benchmark], f"{losses}, {benchmark}", form)
            own = curves[curves["benchmark"] == benchmark]
            _check_curve(own, f"{scores}, {benchmark}", chance.get(benchmark))
    return laws, curves, units[str(losses)], chance


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    table = parse_table(path)
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    table = with_held_out(table, str(path), range(2, len(table) + 2))
    for column in {"params", "tokens", "conditional_loss", "score", "chance"} & set(table):
        numbers = pd.to_numeric(table[column], errors="coerce")
        optional = column in ("params", "tokens") and column not in columns
        wrong = ~np.isfinite(numbers) & ~(optional & table[column].isna())
        wrong |= (numbers <= 0) if column not in ("score", "chance") else (numbers < 0) | (numbers > 100)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            rule = "a percentage, 0 to 100" if column in ("score", "chance") else "a positive number"
            raise InputError(f"{path}, line {row + 2}: {column} = {table[column].iloc[row]} must be {rule}")
        table[column] = numbers.astype(float)
    return table


def _in_one_unit(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, Unit]:
    """The table with its losses in one unit, and that unit."""
    if "unit" not in table:
        return table, "nats per token"
    said = table["unit"].astype(str).str.strip().str.lower()
    for row, unit in enumerate(said):
        if unit not in UNITS:
            raise InputError(f"{path}, line {row + 2}: unit {unit!r} is not one of {', '.join(UNITS)}")
    kept = {UNITS[unit][0] for unit in said}
    if len(kept) > 1:
        raise InputError(f"{path}: losses are in {' and in '.join(sorted(kept))}: give them in one unit")
    factors = said.map({unit: factor for unit, (_, factor) in UNITS.items()})
    return table.assign(conditional_loss=table["conditional_loss"] * factors).drop(columns="unit"), kept.pop()


def _chance(scores: pd.DataFrame, path: Path) -> dict[str, float]:
    if "chance" not in scores:
        return {}
    found = {}
    for benchmark, values in scores.groupby("benchmark")["chance"]:
        if values.nunique() > 1:
            said = ", ".join(f"{value:g}" for value in values.unique())
            raise InputError(f"{path}: {benchmark} has {values.nunique()} chance scores, {said}; a benchmark has one")
        found[str(benchmark)] = float(values.iloc[0])
    return found


def _check_rungs(table: pd.DataFrame, path: Path) -> None:
    """A rung is one size trained for one or several budgets."""
    if "rung" not in table or "params" not in table:
        return
    for rung, sizes in table.groupby("rung")["params"]:
        if sizes.nunique() > 1:
            said = " and ".join(f"{size:g}" for size in sizes.unique()[:2])
            raise InputError(f"{path}: rung {rung} holds models of {said} parameters; a rung is one size, name another")


def _check_law(rows: pd.DataFrame, where: str, form: Form) -> None:
    """Points that a loss law can be fitted to: enough of them, of several sizes, falling with size."""
    if form not in get_args(Form):
        return  # the frame's settings say which forms there are
    fitted = rows[rows["held_out"] == 0]
    if fitted.empty:
        raise InputError(f"{where}: every point is held out, so no law can be fitted; let some take part")
    sizes = fitted["params"].nunique()
    if sizes == 1:
        raise InputError(f"{where}: all points have {fitted['params'].iloc[0]:g} parameters; a law needs several sizes")
    if len(fitted) <= _CONSTANTS[form]:
        raise InputError(
            f"{where}: {len(fitted)} points cannot fit the {_CONSTANTS[form]} constants of the {form} law; "
            f"give at least {_CONSTANTS[form] + 1}"
        )
    logs = np.log(fitted[["params", "tokens", "conditional_loss"]].to_numpy(float))
    columns = np.column_stack([np.ones(len(logs)), logs[:, 0], logs[:, 1]])
    slope = np.linalg.lstsq(columns, logs[:, 2], rcond=None)[0][1]
    if slope >= 0:
        raise InputError(
            f"{where}: the loss does not fall with the number of parameters at equal tokens, so no size follows from "
            "it; check the columns, or train the larger models to the end"
        )


def _check_curve(rows: pd.DataFrame, where: str, chance: float | None) -> None:
    """Points that a score curve can be fitted to: some that take part, some over chance."""
    fitted = rows[rows["held_out"] == 0]
    if fitted.empty:
        raise InputError(f"{where}: every point is held out, so no curve can be fitted; let some take part")
    if chance is not None and (fitted["score"] <= chance).all():
        raise InputError(f"{where}: no score exceeds chance, {chance:g}: they say nothing about a curve; add models")
