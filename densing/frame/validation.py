"""How well a frame knows what was kept from it: losses, scores and sizes of models that took no part in its fits.

A ruler is tested on objects of known length. Each size of the ladder is left out in turn, the laws and curves are
fitted to the others, and asked for its losses, its scores and its size. Models of known size that the frame holds
out are asked for theirs. A size is read at the model's own tokens per parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from densing.core.arrays import FloatArray
from densing.core.artifacts import finite, read_json, sha256_of_data, typed, understanding, write_json
from densing.core.errors import InputError
from densing.fit.loss_law.fit import fit_loss_law
from densing.fit.loss_law.law import LossLaw
from densing.fit.loss_law.reading import Reading
from densing.fit.status import FitError
from densing.frame.frame import AVERAGE, ReferenceFrame, build_frame
from densing.frame.pooling import pooled_size
from densing.frame.statuses import judge_size

if TYPE_CHECKING:
    import pandas as pd

JOINT = "joint"
PATHS = ("loss", "score")
HELD_OUT = "held out"
IDENTIFIED, NOT_IDENTIFIED = "identified", "not identified"
TOKENS_PER_PARAM = (20.0, 60.0, 200.0, 1000.0)
"""Readings that answers are compared at; 20 is the usual compute-optimal training, 1,000 that of small models now."""
_REPLICATES = 300
"""Draws at most of each frame that lacks a size: refitting resampled points takes most of the time."""
_KEPT = "validation"


@dataclass(frozen=True)
class Validation:
    """What a frame says of models that it was not fitted to.

    Attributes
    ----------
    frame : str
    predictions : DataFrame
        A row per size left out and benchmark: left_out (parameters), benchmark, points, the mean and the largest
        absolute error of the predicted losses (percent) and scores (percentage points; NaN where no score is of a
        model of that size), and note, which says why a size could not be left out.
    sizes : DataFrame
        A row per model of known size, path (``loss`` or ``score``) and benchmark, or ``joint``: left_out (parameters,
        or ``held out``), params, tokens, path, benchmark, over_true (recovered over true size; NaN where it is not
        identified), low, high (95%), holds (whether they hold 1), status.
    sensitivity : DataFrame
        A row per change of κ, form or optimum and benchmark: change, benchmark, times (the size of the largest known
        model, by its loss, over that under the frame's own law and reading).
    """

    frame: str
    predictions: pd.DataFrame
    sizes: pd.DataFrame
    sensitivity: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """A row per kind of model (left out, held out) and path, benchmarks and joint apart: counts and median fold."""
        import pandas as pd

        rows = []
        table = self.sizes.assign(
            models=np.where(self.sizes["left_out"] == HELD_OUT, HELD_OUT, "left out"),
            of=np.where(self.sizes["benchmark"] == JOINT, JOINT, "benchmarks"),
        )
        for (models, path, of), part in table.groupby(["models", "path", "of"], sort=False):
            identified = part["over_true"].dropna()
            fold = float(np.exp(np.log(identified).abs().median())) if len(identified) else np.nan
            rows.append(
                {
                    "models": models,
                    "path": path,
                    "of": of,
                    "sizes": len(part),
                    "identified": len(identified),
                    "median_fold": fold,
                    "holds": int(part["holds"].sum()),
                }
            )
        return pd.DataFrame(rows, columns=["models", "path", "of", "sizes", "identified", "median_fold", "holds"])

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        tables = {name: getattr(self, name).to_dict("records") for name in ("predictions", "sizes", "sensitivity")}
        return {"frame": self.frame, "summary": self.summary().to_dict("records"), **tables}


class _Known(NamedTuple):
    """A model of known size; losses and scores by benchmark."""

    params: float
    tokens: float
    losses: dict[str, float]
    scores: dict[str, float]


def validate_frame(frame: ReferenceFrame, *, seed: int = 0) -> Validation:
    """Leave out each size of a frame's ladder in turn, and recover the models of known size.

    Scores of ladder models take part where the frame's scores say the size of each model, in columns params and
    tokens; without them only losses are predicted and carried back.

    Parameters
    ----------
    frame : ReferenceFrame
    seed : int
        Of the resampled test items and of what benchmarks scatter.

    Raises
    ------
    InputError
        If the ladder has too few sizes for any to be left out.
    """
    import pandas as pd

    from densing.core.progress import track

    sizes = np.unique(frame.losses["params"])[::-1]
    rng = np.random.default_rng(seed)
    predictions: list[dict[str, Any]] = []
    recovered: list[dict[str, Any]] = []
    for left_out in track([float(size) for size in sizes], "leaving out sizes"):
        known = _models(frame, left_out)
        try:
            rest = _without(frame, left_out)
            for benchmark in rest.benchmarks:
                rest.law_fit(benchmark)  # refuses too few points and sizes
            predictions += list(_predictions(rest, left_out, known))
            recovered += list(_recovered(rest, left_out, known, rng))
        except (FitError, InputError) as error:
            note = str(error) or type(error).__name__
            predictions.append({"left_out": left_out, "benchmark": "", "points": len(known), "note": note})
    if not recovered:
        raise InputError(f"frame {frame.name}: no size can be left out of {len(sizes)}: {predictions[0]['note']}")
    held_out = _held_out(frame)
    recovered += _recovered(frame, HELD_OUT, held_out, rng)
    largest = max(held_out or _models(frame, float(sizes[0])), key=lambda model: (model.params, model.tokens))
    return Validation(
        frame.name,
        pd.DataFrame(predictions),
        pd.DataFrame(recovered),
        pd.DataFrame(_sensitivity(frame, largest)),
    )


def _without(frame: ReferenceFrame, size: float) -> ReferenceFrame:
    """The frame fitted to its other sizes, with fewer draws where they are refits."""
    losses, scores = (
        table[table["params"] != size] if "params" in table else table for table in (frame.losses, frame.scores)
    )
    options = frame.spec.resampling
    fewer = options.model_copy(update={"replicates": min(options.replicates, _REPLICATES)})
    return build_frame(frame.spec.model_copy(update={"resampling": fewer}), losses, scores)


def _models(frame: ReferenceFrame, size: float) -> list[_Known]:
    """Models of the ladder of one size, as the laws know them."""
    losses, scores = frame.losses, frame.scores
    own = losses[losses["params"] == size]
    scored = scores[scores["params"] == size] if "params" in scores else scores[:0]
    return [
        _Known(size, float(tokens), _by_benchmark(own[own["tokens"] == tokens], "conditional_loss"),
               _by_benchmark(scored[scored["tokens"] == tokens], "score") if len(scored) else {})
        for tokens in np.unique(own["tokens"])
    ]  # fmt: skip


def _held_out(frame: ReferenceFrame) -> list[_Known]:
    """Models of known size among the scores that the curves do not see."""
    if "params" not in frame.scores:
        return []
    rows = frame.scores[(frame.scores["held_out"] == 1) & (frame.scores["benchmark"] != AVERAGE)]
    sizes = rows[["params", "tokens"]].dropna().drop_duplicates().sort_values(["params", "tokens"])
    found = []
    for params, tokens in sizes.to_numpy(float):
        own = rows[(rows["params"] == params) & (rows["tokens"] == tokens)]
        losses, scores = _by_benchmark(own, "conditional_loss"), _by_benchmark(own, "score")
        found.append(_Known(float(params), float(tokens), losses, scores))
    return found


def _by_benchmark(rows: pd.DataFrame, column: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in zip(rows["benchmark"], rows[column], strict=True)}


def _predictions(rest: ReferenceFrame, left_out: float, known: list[_Known]) -> Iterator[dict[str, Any]]:
    """How far the law and the chain of law and curve are from the models of a size that they never saw."""
    for benchmark in rest.benchmarks:
        law, curve = rest.law(benchmark), rest.curve(benchmark)
        models = [model for model in known if benchmark in model.losses]
        predicted = np.array([float(law.loss(model.params, model.tokens)) for model in models])
        off = 100 * np.abs(predicted / np.array([model.losses[benchmark] for model in models]) - 1)
        scores = np.array([model.scores.get(benchmark, np.nan) for model in models])
        missed = np.abs(curve.score(predicted) - scores)
        missed = missed[np.isfinite(missed)]
        yield {
            "left_out": left_out,
            "benchmark": benchmark,
            "points": len(models),
            "loss_error_pct": float(off.mean()) if len(off) else np.nan,
            "largest_loss_error_pct": float(off.max()) if len(off) else np.nan,
            "score_error_points": float(missed.mean()) if len(missed) else np.nan,
            "largest_score_error_points": float(missed.max()) if len(missed) else np.nan,
            "note": "",
        }


def _recovered(
    frame: ReferenceFrame, left_out: float | str, known: list[_Known], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Sizes of known models through their losses, their scores, and jointly, over the true ones.

    A model is off its law by as much as those of the ladder are: its own luck, taken as one for all benchmarks.
    """
    largest = float(frame.losses["params"].max())
    noise = {benchmark: _noise(frame, benchmark) for benchmark in frame.benchmarks}
    read: dict[str, Callable[[_Known, str], FloatArray | None]] = {
        "loss": lambda model, benchmark: _losses(frame, model, benchmark),
        "score": lambda model, benchmark: _losses_of_scores(frame, model, benchmark, rng),
    }
    for model in known:
        reading = Reading(tokens_per_param=model.tokens / model.params)
        luck = rng.standard_normal((frame.spec.resampling.replicates, 1))
        for path, losses_of in read.items():
            drawn = {}
            for benchmark in frame.benchmarks:
                losses = losses_of(model, benchmark)
                if losses is not None:
                    losses = losses * np.exp(noise[benchmark] * luck)
                    drawn[benchmark] = reading.sizes(frame.draws(benchmark).full, losses)[:, 0] / model.params
            answers = {name: _over_true(sizes, model.params, largest) for name, sizes in drawn.items()}
            single = [name for name in drawn if name != AVERAGE]
            with np.errstate(divide="ignore"):
                logs = [np.log(drawn[name]) for name in single if answers[name]["status"] == IDENTIFIED]
            if len(single) > 1:
                joint = np.exp(pooled_size(np.stack(logs, 1))[1]) if logs else np.empty(0)
                answers[JOINT] = _over_true(joint, model.params, largest)
            for benchmark, answer in answers.items():
                yield {
                    "left_out": left_out,
                    "params": model.params,
                    "tokens": model.tokens,
                    "path": path,
                    "benchmark": benchmark,
                    **answer,
                }


def _noise(frame: ReferenceFrame, benchmark: str) -> float:
    """Standard deviation of ln L about the frame's law, over its own points."""
    params, tokens, loss = _points(frame, benchmark)
    law = frame.law(benchmark)
    residual = np.log(loss / law.loss(params, tokens))
    return float(np.sqrt((residual**2).sum() / (len(loss) - np.count_nonzero(law.constants))))


def _losses(frame: ReferenceFrame, model: _Known, benchmark: str) -> FloatArray | None:
    """The model's measured loss for every draw, (R, 1); None where there is none."""
    if benchmark not in model.losses:
        return None
    return np.full((len(frame.draws(benchmark).full), 1), model.losses[benchmark])


def _losses_of_scores(
    frame: ReferenceFrame, model: _Known, benchmark: str, rng: np.random.Generator
) -> FloatArray | None:
    """The losses (R, 1) that the model's score stands for, with the noise of its items; None where there is none."""
    if benchmark not in model.scores:
        return None
    score, items = model.scores[benchmark], frame.spec.items.get(benchmark, 0)
    count = len(frame.draws(benchmark).full)
    noisy = 100 * rng.binomial(items, score / 100, count) / items if items else np.full(count, score)
    return frame.losses_of_scores(np.append(score, noisy)[:, None], benchmark)[1:]


def _over_true(ratio: FloatArray, params: float, largest: float) -> dict[str, Any]:
    """Median and 95% interval of draws of the recovered over the true size; no number where it is not identified."""
    ratio = ratio[~np.isnan(ratio)]
    if not len(ratio):
        return {"over_true": np.nan, "low": 0.0, "high": np.inf, "holds": True, "status": NOT_IDENTIFIED}
    with np.errstate(divide="ignore"):
        judged, factor = judge_size(ratio * params, largest)
    low, middle, high = (float(end) for end in np.quantile(ratio, [0.025, 0.5, 0.975], method="inverted_cdf"))
    if low == high == 0:
        return {"over_true": np.nan, "low": 0.0, "high": 0.0, "holds": False, "status": "at chance"}
    value = middle if np.isfinite(factor) else np.nan
    status = IDENTIFIED if np.isfinite(factor) else str(judged.status)
    return {"over_true": value, "low": low, "high": high, "holds": low <= 1 <= high, "status": status}


def _sensitivity(frame: ReferenceFrame, model: _Known) -> Iterator[dict[str, Any]]:
    """The size of one model under other readings, forms and optima, over that of the frame's own."""
    for benchmark in frame.benchmarks:
        if benchmark not in model.losses:
            continue
        own, loss = frame.law(benchmark), model.losses[benchmark]
        answer = _size(own, frame.reading, loss)
        changes: dict[str, tuple[LossLaw, Reading]] = {
            f"κ = {ratio:g}": (own, Reading(tokens_per_param=ratio)) for ratio in TOKENS_PER_PARAM
        }
        for form in ("two-term", "irreducible"):
            try:
                fit = fit_loss_law(*_points(frame, benchmark), form=form, objective=frame.spec.objective)
            except FitError:
                continue
            for i, optimum in enumerate(fit.optima):
                changes[f"{form}, optimum {i + 1}"] = optimum, frame.reading
        for change, (law, reading) in changes.items():
            yield {"change": change, "benchmark": benchmark, "times": _size(law, reading, loss) / answer}


def _size(law: LossLaw, reading: Reading, loss: float) -> float:
    return float(reading.sizes(law.constants, [loss])[0])


def _points(frame: ReferenceFrame, benchmark: str) -> tuple[FloatArray, ...]:
    rows = frame.losses[frame.losses["benchmark"] == benchmark]
    return tuple(rows[column].to_numpy(float) for column in ("params", "tokens", "conditional_loss"))


def keep_validation(frame: ReferenceFrame, validation: Validation, folder: Path) -> Path:
    """Write a validation as JSON under the frame's own folder of frames, for `read_validation`."""
    path = folder / _KEPT / f"{frame.name}.json"
    write_json(path, "validation", validation.to_dict() | {"of": _identity(frame)})
    return path


def read_validation(frame: ReferenceFrame, folder: Path) -> Validation | None:
    """The validation that was kept of a frame; None where there is none, or it is of other points or settings.

    Raises
    ------
    ArtifactError
        If the file is damaged, or is no validation.
    """
    import pandas as pd

    path = folder / _KEPT / f"{frame.name}.json"
    if not path.exists():
        return None
    with understanding(path, "validation"):
        payload = read_json(path, "validation").payload
        if payload["of"] != _identity(frame):
            return None
        kinds: dict[str, Any] = {"predictions": _Rows, "sizes": list[_Recovered], "sensitivity": _Rows}
        tables = (pd.DataFrame(typed(payload[name], kind)) for name, kind in kinds.items())
        found = Validation(typed(payload["frame"], str), *(table.fillna(np.nan).infer_objects() for table in tables))
        if found.sizes.empty:
            raise ValueError("it has no sizes")
        return found


_Rows = list[dict[str, int | float | str | bool | None]]


@dataclass(frozen=True)
class _Recovered:
    """A row of `Validation.sizes` as it is kept; None where a number is not finite."""

    left_out: float | str
    params: float
    tokens: float
    path: Literal["loss", "score"]
    benchmark: str
    over_true: float | None
    low: float | None
    high: float | None
    holds: bool
    status: str


def _identity(frame: ReferenceFrame) -> str:
    tables = [table.to_dict("list") for table in (frame.losses, frame.scores)]
    return sha256_of_data(finite([frame.spec.model_dump(), *tables]))
