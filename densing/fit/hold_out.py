"""How well a fit predicts the losses and scores that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from densing.core.errors import InputError
from densing.fit.loss_law.fit import LossLawFit, fit_loss_law
from densing.fit.score_curve.fit import ScoreCurveFit, fit_score_curve
from densing.fit.status import FitError

if TYPE_CHECKING:
    import pandas as pd


YES = ("1", "1.0", "true", "t", "yes", "y", "on")
NO = ("", "0", "0.0", "false", "f", "no", "n", "off")
"""Spellings in a column held_out, in any case; an empty cell is a no, as where only points held out are marked."""


def with_held_out(table: pd.DataFrame, source: str, lines: Sequence[int] | None = None) -> pd.DataFrame:
    """The points with a column held_out of 1, for those that a fit must not see, and 0.

    Parameters
    ----------
    table : DataFrame
        Its column held_out, in whatever case, may hold booleans, or what `YES` and `NO` list; without one,
        no point is held out.
    source : str
        For the error: the file or frame.
    lines : sequence of int, optional
        For the error: each row's line in the file; the number of the row if not given.

    Raises
    ------
    InputError
        For a cell that is neither yes nor no, and for two such columns.
    """
    columns = [c for c in table.columns if str(c).strip().lower().replace("-", "_").replace(" ", "_") == "held_out"]
    if len(columns) > 1:
        raise InputError(f"{source}: two columns say what is held out, {' and '.join(map(str, columns))}; keep one")
    if not columns:
        return table.assign(held_out=0)
    held = []
    for place, cell in enumerate(table[columns[0]].tolist()):
        word = "" if cell is None or cell != cell else str(cell).strip().lower()  # NaN is empty
        if word not in YES + NO:
            where = f"line {lines[place]}" if lines is not None else f"row {place + 1}"
            raise InputError(
                f"{source}, {where}: {columns[0]} = {str(cell)!r} is neither yes nor no; "
                "write yes or no, true or false, or 1 or 0"
            )
        held.append(int(word in YES))
    return table.rename(columns={columns[0]: "held_out"}).assign(held_out=held)


def hold_out_largest(fit: LossLawFit, sizes: int = 1) -> pd.DataFrame:
    """Predict the losses of the largest sizes from the others.

    Parameters
    ----------
    fit : LossLawFit
        The fit whose points and settings are used.
    sizes : int
        How many of the largest sizes to leave out.

    Returns
    -------
    DataFrame
        Columns params, tokens, loss, predicted, error_pct; one row per point left out.

    Raises
    ------
    FitError
        If too little is left to fit.
    """
    unique = np.unique(fit.params)
    if sizes >= len(unique):
        raise FitError(f"cannot leave out {sizes} of {len(unique)} sizes: none would be left to fit")
    return _predicted(fit, np.isin(fit.params, unique[-sizes:]))


def hold_out_scores(fit: LossLawFit, score: ArrayLike, sizes: int = 1, *, anchor: bool = True) -> pd.DataFrame:
    """Predict the scores of the largest sizes through their predicted losses: the chain from rung to score.

    Law and curve are both fitted to the other sizes alone.

    Parameters
    ----------
    fit : LossLawFit
        The fit whose points and settings are used.
    score : array, shape (n,)
        Scores in percent of the points, in the order that they were given to the fit; NaN where there is none.
    sizes : int
        How many of the largest sizes to leave out.
    anchor : bool
        Whether to hold the curve to (0 nats, 100%).

    Returns
    -------
    DataFrame
        Columns params, tokens, loss (predicted), score, predicted, error_points, error_pct; one row per point
        left out that has a score.

    Raises
    ------
    FitError
        If too little is left to fit.
    """
    scores = np.asarray(score, float)
    if len(scores) != len(fit.loss):
        raise FitError(f"columns differ in length: loss has {len(fit.loss)}, score has {len(scores)}")
    left_out, scores = hold_out_largest(fit, sizes), scores[fit.rows]
    held, known = np.isin(fit.params, left_out["params"]), np.isfinite(scores)
    curve = fit_score_curve(fit.loss[~held & known], scores[~held & known], anchor=anchor)
    asked = left_out[known[held]]
    table = predict_scores(curve, asked["predicted"], scores[held & known])
    table.insert(0, "tokens", asked["tokens"].to_numpy())
    table.insert(0, "params", asked["params"].to_numpy())
    return table


def leave_one_size_out(fit: LossLawFit) -> pd.DataFrame:
    """Predict each size from all the others.

    Returns
    -------
    DataFrame
        Columns params, points, mean_error_pct and largest_error_pct (of the absolute errors), and note, which
        says why a size could not be left out; one row per size.
    """
    import pandas as pd

    rows = []
    for size in np.unique(fit.params):
        held = fit.params == size
        try:
            table = _predicted(fit, held)
        except FitError as error:
            rows.append({"params": size, "points": int(held.sum()), "note": str(error)})
            continue
        errors = table["error_pct"].abs()
        rows.append(
            {
                "params": size,
                "points": int(held.sum()),
                "mean_error_pct": errors.mean(),
                "largest_error_pct": errors.max(),
                "note": "",
            }
        )
    return pd.DataFrame(rows)


def _predicted(fit: LossLawFit, held: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> pd.DataFrame:
    import pandas as pd

    rest = ~held
    law = fit_loss_law(
        fit.params[rest],
        fit.tokens[rest],
        fit.loss[rest],
        form=fit.form,
        objective=fit.objective,
        delta=fit.delta,
        weights=fit.weights[rest],
    ).best
    predicted = law.loss(fit.params[held], fit.tokens[held])
    measured = fit.loss[held]
    return pd.DataFrame(
        {
            "params": fit.params[held],
            "tokens": fit.tokens[held],
            "loss": measured,
            "predicted": predicted,
            "error_pct": 100 * (predicted / measured - 1),
        }
    )


def predict_scores(fit: ScoreCurveFit, loss: ArrayLike, score: ArrayLike) -> pd.DataFrame:
    """Predict the scores of held-out checkpoints from their losses.

    Parameters
    ----------
    fit : ScoreCurveFit
    loss, score : array, shape (m,)
        Of the held-out checkpoints: nats per token, and percent.

    Returns
    -------
    DataFrame
        Columns loss, score, predicted, error_points (percentage points) and error_pct; one row per checkpoint.
    """
    import pandas as pd

    losses, scores = np.asarray(loss, float), np.asarray(score, float)
    predicted = fit.best.score(losses)
    with np.errstate(divide="ignore"):
        relative = 100 * (predicted / scores - 1)
    return pd.DataFrame(
        {
            "loss": losses,
            "score": scores,
            "predicted": predicted,
            "error_points": predicted - scores,
            "error_pct": relative,
        }
    )
