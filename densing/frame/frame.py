"""ReferenceFrame: the laws and curves of a family of models, read at D₀ tokens.

A frame turns a benchmark score into the size that the reference family would need to reach it. Points in,
fits out: a frame is its points and settings, and fits itself when it is loaded, so no constant in it is
anybody's word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.core.arrays import FloatArray
from densing.core.errors import InputError, unknown
from densing.core.results import Result
from densing.core.text import shortened
from densing.core.units import LARGEST
from densing.fit.hold_out import with_held_out
from densing.fit.loss_law.fit import LossLawFit, fit_loss_law
from densing.fit.loss_law.forms import Form
from densing.fit.loss_law.law import LossLaw
from densing.fit.loss_law.posterior import central_law
from densing.fit.loss_law.reading import Reading
from densing.fit.loss_law.together import LadderPoints, LadderPosterior, ladder_posterior
from densing.fit.score_curve.curve import ScoreCurve
from densing.fit.score_curve.fit import ScoreCurveFit, fit_score_curve
from densing.frame.draws import FrameDraws, draw_curves, draw_laws, of_form
from densing.frame.inversion import Inversion, checked_loss, losses_of_scores
from densing.frame.spec import FrameSpec
from densing.frame.statuses import FAR, Judged, Status, chance_margin, extrapolation_note, judge_score
from densing.models.benchmarks import load_benchmarks

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"
JOINT = "joint"
"""The size that explains all of a model's scores together; see `densing.density.joint`."""
_LEAST_FALL = 1e-3
"""A law falls with size if it does by at least this share of the loss over the ladder's sizes."""
_AS_FAR = 100.0
"""Laws that are drawn are compared from the largest rung to this many times its size, where models are read."""
DrawSource = Callable[["ReferenceFrame", str], FrameDraws]


@dataclass(frozen=True, repr=False)
class ReferenceFrame(Result):
    """Loss laws, score curves and D₀; see `build_frame` and `densing.frame.store.load_frame`.

    Attributes
    ----------
    spec : FrameSpec
    losses : DataFrame
        Ladder points: benchmark, params, tokens, conditional_loss.
    scores : DataFrame
        Curve points: benchmark, checkpoint, conditional_loss, score, held_out.
    made_from : dict
        Hashes of what the points were read from, by name.
    draw_source : callable, optional
        Returns the draws of a benchmark where they need not be made, as `densing.frame.store` does for
        frames on disk.
    """

    spec: FrameSpec
    losses: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    made_from: dict[str, str] = field(default_factory=dict, repr=False)
    draw_source: DrawSource | None = field(default=None, repr=False, compare=False)

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        return f"{self.name}, {self.spec.read_at}, with laws and curves of {', '.join(self.benchmarks)}"

    @property
    def name(self) -> str:
        """The frame's name."""
        return self.spec.name

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """Benchmarks with a law and a curve, the average last."""
        scored = set(self.scores["benchmark"].unique())
        both = [str(name) for name in self.losses["benchmark"].unique() if name in scored]
        return tuple(sorted(both, key=lambda name: (name == AVERAGE, both.index(name))))

    @property
    def parts(self) -> tuple[str, ...]:
        """Benchmarks that were measured, without their average."""
        return tuple(name for name in self.benchmarks if name != AVERAGE)

    @property
    def headline(self) -> str:
        """What a density is of where no benchmark is named: `JOINT`, `AVERAGE`, or the only benchmark."""
        if self.spec.headline == AVERAGE and AVERAGE in self.benchmarks:
            return AVERAGE
        return JOINT if len(self.parts) > 1 else self.benchmarks[0]

    @property
    def shown(self) -> str:
        """The benchmark whose law stands for the frame where one is shown: the average, or the first where none is."""
        return AVERAGE if AVERAGE in self.benchmarks else self.benchmarks[0]

    @cached_property
    def derived(self) -> dict[str, Any]:
        """What other modules computed from the frame and keep with it."""
        return {}

    def rungs(self, benchmark: str = AVERAGE) -> tuple[float, float]:
        """Parameters of the ladder's smallest and of its largest model."""
        if benchmark not in self._rungs:
            params = self._points(self.losses, benchmark)["params"]
            self._rungs[benchmark] = float(params.min()), float(params.max())
        return self._rungs[benchmark]

    def largest_rung(self, benchmark: str = AVERAGE) -> float:
        """Parameters of the ladder's largest model."""
        return self.rungs(benchmark)[1]

    def _points(self, table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
        if benchmark not in self.benchmarks:
            raise unknown(f"benchmark of frame {self.name}", benchmark, self.benchmarks)
        # Sorted by model, so that row i means the same model in every benchmark.
        keys = [column for column in ("params", "tokens", "checkpoint") if column in table]
        return table[table["benchmark"] == benchmark].sort_values(keys)

    @cached_property
    def _rungs(self) -> dict[str, tuple[float, float]]:
        return {}

    @cached_property
    def _laws(self) -> dict[str, LossLawFit]:
        return {}

    @cached_property
    def _curves(self) -> dict[str, ScoreCurveFit]:
        return {}

    @cached_property
    def _read(self) -> dict[str, LossLaw]:
        return {}

    @cached_property
    def _optima(self) -> dict[str, int]:
        return {}

    @cached_property
    def _draws(self) -> dict[str, FrameDraws]:
        return {}

    def law_fit(self, benchmark: str = AVERAGE) -> LossLawFit:
        """The fitted loss law of a benchmark, with all its optima."""
        if benchmark not in self._laws:
            points = self._points(self.losses, benchmark)
            self._laws[benchmark] = fit_loss_law(
                points["params"],
                points["tokens"],
                points["conditional_loss"],
                form=self.spec.form,
                objective=self.spec.objective,
            )
        return self._laws[benchmark]

    def curve_fit(self, benchmark: str = AVERAGE) -> ScoreCurveFit:
        """The fitted score curve of a benchmark; held-out points take no part."""
        if benchmark not in self._curves:
            points = self._points(self.scores, benchmark)
            points = points[points["held_out"] == 0]
            self._refuse_guesses(points["score"], benchmark)
            options = self.spec.curves.get(benchmark, self.spec.curve)
            self._curves[benchmark] = fit_score_curve(
                points["conditional_loss"],
                points["score"],
                anchor=options.anchor,
                floor=options.floor,
                ceiling=options.ceiling,
                open_ceiling=options.open_ceiling,
            )
        return self._curves[benchmark]

    def _refuse_guesses(self, scores: pd.Series, benchmark: str) -> None:
        """Raise where no checkpoint scores better than guessing."""
        known = load_benchmarks().get(benchmark)
        if known is None:
            return
        margin = chance_margin(known.chance, self.spec.items.get(benchmark, known.items))
        if (scores <= known.chance + margin).all():
            raise InputError(
                f"frame {self.name}: no score on {benchmark} exceeds chance, {known.chance:g} percent give or take "
                f"{margin:.2g}: the points say nothing about its curve; add better models"
            )

    def optimum(self, benchmark: str = AVERAGE) -> int:
        """Index of the optimum that the frame reads."""
        if benchmark not in self._optima:
            floors = [float(self.reading.floors(each.constants)[0]) for each in self.law_fit(benchmark).optima]
            self._optima[benchmark] = 0 if self.spec.optimum == "best" else int(np.argmin(floors))
        return self._optima[benchmark]

    def law(self, benchmark: str = AVERAGE) -> LossLaw:
        """The loss law that the frame reads: one of its optima, or where laws are drawn the draw in their middle.

        Raises
        ------
        InputError
            If its losses do not fall with size: no size can then be read off them.
        """
        if benchmark not in self._read:
            if self.spec.drawn:
                constants = self._middle(self.draws(benchmark).full, benchmark)
                law = LossLaw(*(float(constant) for constant in constants))
            else:
                law = self.law_fit(benchmark).optima[self.optimum(benchmark)]
            self._refuse_flat(law, benchmark)
            self._read[benchmark] = law
        return self._read[benchmark]

    def _refuse_flat(self, law: LossLaw, benchmark: str) -> None:
        ends, losses = self.rungs(benchmark), self._points(self.losses, benchmark)["conditional_loss"]
        fall = law.a * (ends[0] ** -law.alpha - ends[1] ** -law.alpha) / float(losses.mean())
        if not fall > _LEAST_FALL:
            raise InputError(
                f"frame {self.name}: the losses on {benchmark} do not fall with size at equal tokens "
                f"({ends[0]:.3g} to {ends[1]:.3g} parameters): no size can be read off them; check the column params"
            )

    def tied_to(self, tokens_per_param: float) -> ReferenceFrame:
        """The same laws, curves and draws, read at so many tokens per parameter."""
        spec = self.spec.model_copy(update={"tokens": None, "tokens_per_param": tokens_per_param})
        tied = replace(self, spec=spec, draw_source=lambda _, benchmark: self.draws(benchmark))
        for benchmark in self.benchmarks:
            tied._optima[benchmark] = self.optimum(benchmark)
            tied._laws[benchmark], tied._curves[benchmark] = self.law_fit(benchmark), self.curve_fit(benchmark)
        return tied

    @property
    def warnings(self) -> tuple[str, ...]:
        """How far the frame is read from what its ladder saw, where that is far."""
        points = self.losses[self.losses["benchmark"] == self.benchmarks[0]]
        if self.spec.tokens is not None:
            largest = float(points["tokens"].max())
            if (factor := self.spec.tokens / largest) > FAR:
                return (f"D₀ is {factor:.3g} times the most tokens that a model of the ladder saw, {largest:.3g}",)
            return ()
        ratios = points["tokens"] / points["params"]
        low, high, read = float(ratios.min()), float(ratios.max()), float(self.spec.tokens_per_param or 1)
        seen = f"the ladder saw {low:.3g} to {high:.3g} tokens per parameter"
        if read > FAR * high:
            return (f"{seen}; {read:g} is {read / high:.3g} times the most",)
        return (f"{seen}; {read:g} is one {low / read:.3g}th of the least",) if read * FAR < low else ()

    def _middle(self, laws: FloatArray, benchmark: str) -> FloatArray:
        sizes = self.largest_rung(benchmark) * np.geomspace(1, _AS_FAR, 25)
        return central_law(laws, sizes, self.reading.tokens_at(sizes))

    def curve(self, benchmark: str = AVERAGE) -> ScoreCurve:
        """The score curve that the frame reads."""
        return self.curve_fit(benchmark).best

    def draws(self, benchmark: str = AVERAGE) -> FrameDraws:
        """Bootstrap draws; every benchmark refits the same replicates. Made, or had from `draw_source`, once."""
        if benchmark not in self._draws:
            make: DrawSource = self.draw_source or ReferenceFrame.make_draws
            self._draws[benchmark] = make(self, benchmark)
        return self._draws[benchmark]

    def make_draws(self, benchmark: str = AVERAGE) -> FrameDraws:
        """Draws of a benchmark made anew; `draws` keeps them."""
        options = self.spec.resampling
        curve, points = self.curve_fit(benchmark), self._points(self.scores, benchmark).query("held_out == 0")
        rung = points.get("rung", points["checkpoint"])
        if self.spec.drawn:
            laws = self._posterior.laws[benchmark].laws
            far = self.reading.losses(laws, [self.largest_rung(benchmark) * _AS_FAR])[:, 0]
            form: Form = "irreducible" if self._middle(laws, benchmark)[4] > 0 else "two-term"
            return FrameDraws(laws, of_form(laws, form, far), draw_curves(curve, options, rung))
        params = self._points(self.losses, benchmark)["params"]
        full, conditional = draw_laws(self.law_fit(benchmark), self.optimum(benchmark), params, options)
        return FrameDraws(full, conditional, draw_curves(curve, options, rung))

    @cached_property
    def _posterior(self) -> LadderPosterior:
        """Laws of all benchmarks together: what a run has of good or bad luck moves all its losses."""
        options = self.spec.resampling
        points = {}
        for benchmark in self.benchmarks:
            self.law_fit(benchmark)  # which says what is wrong with points that no law can be drawn from
            rows = self._points(self.losses, benchmark)
            points[benchmark] = LadderPoints(
                rows["params"], rows["tokens"], rows["conditional_loss"], rows.get("rung", rows["params"])
            )
        return ladder_posterior(points, draws=options.replicates, seed=options.seed)

    def average_score(self, scores: Mapping[str, float]) -> float | None:
        """The weighted average of a model's scores, percent; None unless all that it needs are given."""
        if AVERAGE in scores:
            return float(scores[AVERAGE])
        if not self.spec.average or not set(self.spec.average) <= set(scores):
            return None
        return float(sum(weight * scores[name] for name, weight in self.spec.average.items()))

    @property
    def reading(self) -> Reading:
        """The tokens at which losses are carried back to sizes."""
        return self.spec.reading

    def losses_of_scores(self, scores: ArrayLike, benchmark: str = AVERAGE) -> FloatArray:
        """Losses L̂ of scores by the frame's curve and, further down, by the curves of its draws.

        Parameters
        ----------
        scores : array, shape (M,) or (1 + R, M)
            Percent. The first row is read by the frame's own curve, row r by the curve of draw r.
        benchmark : str

        Returns
        -------
        array, shape (1, M) or (1 + R, M)
            Nats per token; see `densing.frame.inversion.losses_of_scores` for scores out of range.
        """
        rows, own = np.atleast_2d(np.asarray(scores, float)), self.curve(benchmark).constants[None]
        return losses_of_scores(own if len(rows) == 1 else np.vstack([own, self.draws(benchmark).curve]), rows)

    def sizes_of_losses(
        self, losses: ArrayLike, benchmark: str = AVERAGE, kind: Literal["full", "conditional"] = "conditional"
    ) -> FloatArray:
        """Effective sizes N̂ of losses by the frame's law and, further down, by the laws of its draws.

        Parameters
        ----------
        losses : array, shape (M,) or (1 + R, M)
            Nats per token. The first row is read by the frame's own law, row r by the law of draw r.
        benchmark : str
        kind : {"full", "conditional"}
            Which laws the draws are: those of each replicate's best optimum, or of the frame's own optimum.

        Returns
        -------
        array, shape (1, M) or (1 + R, M)
            Parameters; see `densing.frame.inversion.Reading.sizes` for losses out of range.
        """
        rows, own = np.atleast_2d(np.asarray(losses, float)), self.law(benchmark).constants[None]
        laws = own if len(rows) == 1 else np.vstack([own, getattr(self.draws(benchmark), kind)])
        return self.reading.sizes(laws, rows)

    def invert(self, score: float, benchmark: str = AVERAGE) -> Inversion:
        """Carry a score back to an effective size: L̂ by the curve, N̂ by the law at D₀.

        Parameters
        ----------
        score : float
            Percent.
        benchmark : str

        Raises
        ------
        InputError
            If the score is not a number, or the frame has no such benchmark.
        """
        if not np.isfinite(score):
            raise InputError(f"{benchmark}={score:g} is not a score")
        losses = self.losses_of_scores([score], benchmark)
        return self.describe_inversion(score, losses[0, 0], self.sizes_of_losses(losses, benchmark)[0, 0], benchmark)

    def invert_loss(self, loss: float, benchmark: str = AVERAGE) -> Inversion:
        """Carry a measured conditional loss back to an effective size, without the score curve.

        Meaningful only for a model of the ladder's own vocabulary: nats per token of another tokeniser
        measure something else.

        Raises
        ------
        InputError
            If the loss is not a finite number, or the frame has no such benchmark.
        """
        size = self.sizes_of_losses([checked_loss(loss, benchmark)], benchmark)[0, 0]
        return self.describe_inversion(np.nan, loss, size, benchmark)

    def describe_inversion(self, score: float, loss: float, size: float, benchmark: str) -> Inversion:
        """What a score, the loss it stands for and its size by the frame's own law mean: a value or a bound, and why.

        Parameters
        ----------
        score : float
            Percent; NaN where `loss` was measured.
        loss, size : float
            First rows of `losses_of_scores` and `sizes_of_losses`.
        benchmark : str
        """
        notes: tuple[str, ...] = ()
        status = Status.IN_RANGE
        if np.isfinite(score):
            judged = self.judge_score(score, benchmark)
            status, notes = judged.status, (f"{benchmark}: {judged.note}",) if judged.note else ()
        # Rounding can put a score on the edge of the curve by the one of two tests and inside by the other.
        if status is Status.AT_CHANCE or np.isposinf(loss):
            bound = self._size_at_score(self.least_score(benchmark), benchmark) or np.nan
            return Inversion(score, np.nan, np.nan, Status.AT_CHANCE, bound, notes)
        if status is Status.ABOVE_CEILING or np.isneginf(loss):
            return Inversion(score, np.nan, np.nan, Status.ABOVE_CEILING, self._largest_size(benchmark), notes)
        if np.isposinf(size):
            floor = float(self.reading.floors(self.law(benchmark).constants)[0])
            name = "irreducible loss" if self.spec.tied else "data floor"
            note = f"a loss of {loss:.4g} is under the frame's {name}, {floor:.4g}: no size of the family reaches it"
            notes = (*notes, f"{benchmark}: {note}")
            return Inversion(score, float(loss), np.nan, Status.UNDER_FLOOR, self._largest_size(benchmark), notes)
        if note := extrapolation_note(size / self.largest_rung(benchmark)):
            notes = (*notes, f"{benchmark}: N̂ is {note}")
        return Inversion(score, float(loss), float(size), status, notes=notes)

    def judge_score(self, score: float, benchmark: str) -> Judged:
        """Where a score stands on the benchmark's curve: in range, beyond it, at chance or above its ceiling."""
        chance, margin = self._chance(benchmark)
        reach = self.curve_fit(benchmark).reach
        return judge_score(score, reach, chance, self.curve(benchmark).ceiling, margin)

    def at_chance(self, scores: ArrayLike, benchmark: str) -> NDArray[np.bool_]:
        """Which scores are no better than guessing."""
        return np.asarray(scores, float) <= sum(self._chance(benchmark))

    def least_score(self, benchmark: str) -> float:
        """The lowest score that the curve was fitted on, or the highest that is at chance: sizes are bounded by it."""
        return max(self.curve_fit(benchmark).reach[0], float(np.nextafter(sum(self._chance(benchmark)), np.inf)))

    def _chance(self, benchmark: str) -> tuple[float, float]:
        """Chance score and how far guessing may exceed it; the curve's floor where that is higher or all known."""
        weights = self.spec.average if benchmark == AVERAGE else {benchmark: 1.0}
        known = {name: load_benchmarks()[name] for name in weights if name in load_benchmarks()}
        floor = self.curve(benchmark).d
        if not known or len(known) < len(weights):
            return floor, 0.0
        chance = sum(weight * known[name].chance for name, weight in weights.items())
        margins = [
            weight * chance_margin(known[name].chance, self.spec.items.get(name, known[name].items))
            for name, weight in weights.items()
        ]
        margin = float(np.hypot.reduce(margins))
        return (chance, margin) if chance + margin > floor else (floor, 0.0)

    def _largest_size(self, benchmark: str) -> float:
        """Size at the highest fitted score; the ladder's largest where that score's loss is under the data floor."""
        size = self._size_at_score(self.curve_fit(benchmark).reach[1], benchmark)
        return size if np.isfinite(size) else self.largest_rung(benchmark)

    def _size_at_score(self, score: float, benchmark: str) -> float:
        return float(self.sizes_of_losses(self.losses_of_scores([score], benchmark), benchmark)[0, 0])

    def score_at(self, effective_size: ArrayLike, benchmark: str = AVERAGE) -> Any:
        """Score of a reference model of that many parameters and D₀ tokens, percent."""
        loss = self.law(benchmark).loss(effective_size, self.reading.tokens_at(effective_size))
        return self.curve(benchmark).score(loss)

    def describe(self) -> pd.DataFrame:
        """One row per benchmark: constants read, the other optima, D₀'s data floor, status."""
        import pandas as pd

        rows = []
        for benchmark in self.benchmarks:
            fit, law, curve = self.law_fit(benchmark), self.law(benchmark), self.curve(benchmark)
            rows.append(
                {
                    "benchmark": benchmark,
                    "a": law.a,
                    "alpha": law.alpha,
                    "b": law.b,
                    "beta": law.beta,
                    "E": law.E,
                    "data_floor": float(self.reading.floors(law.constants)[0]),
                    "objective": fit.optima[self.optimum(benchmark)].objective,
                    "optima": len(fit.optima),
                    "law_status": str(fit.status_of(self.optimum(benchmark))),
                    "c": curve.c,
                    "gamma": curve.gamma,
                    "l": curve.l,
                    "d": curve.d,
                    "curve_status": str(self.curve_fit(benchmark).status),
                }
            )
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        spec = self.spec
        head = f"Reference frame {spec.name}: {spec.title or 'built from a ladder'}\n"
        head += f"  read at {spec.read_at}, params {spec.params.replace('_', '-')}, optimum: {spec.optimum}"
        head += f" ({spec.reason})" if spec.reason else ""
        head += "\n" if spec.unit == "nats per token" else f", losses in {spec.unit}\n"
        head += "".join(f"  warning: {warning}\n" for warning in self.warnings)
        return head + self.describe().to_string(index=False, float_format=lambda value: f"{value:.5g}")

    def to_frame(self) -> pd.DataFrame:
        """What `describe` returns."""
        return self.describe()


def build_frame(
    spec: FrameSpec,
    losses: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    made_from: Mapping[str, str] | None = None,
    draw_source: DrawSource | None = None,
) -> ReferenceFrame:
    """A frame from the points of a ladder and of its score models.

    Parameters
    ----------
    spec : FrameSpec
    losses : DataFrame
        Columns benchmark, params, tokens, conditional_loss (nats per token), and optionally held_out.
    scores : DataFrame
        Columns benchmark, checkpoint, conditional_loss, score (percent), and optionally held_out, where yes
        keeps a point out of the fit; see `densing.fit.hold_out.with_held_out`.
    made_from, draw_source
        See `ReferenceFrame`.

    Raises
    ------
    InputError
        If a column is missing, no benchmark has both kinds of points, or the average's benchmarks are
        not there. Averages are formed by the rule of the spec where the tables do not hold them.
    """
    for table, needed in (
        (losses, ("benchmark", "params", "tokens", "conditional_loss")),
        (scores, ("benchmark", "checkpoint", "conditional_loss", "score")),
    ):
        missing = [column for column in needed if column not in table]
        if missing:
            raise InputError(
                f"frame {spec.name}: no column {', '.join(missing)}; the points have {', '.join(map(str, table))}"
            )
        for column in (*needed, "params", "tokens"):
            _refuse_other_than_numbers(table, column, spec)
    scores = with_held_out(scores, f"frame {spec.name}, scores")
    losses = with_held_out(losses, f"frame {spec.name}, losses")
    losses = losses[losses["held_out"] == 0].drop(columns="held_out")
    if spec.average:
        losses = _with_average(losses, ["params", "tokens"], ["conditional_loss"], spec)
        keys = [key for key in ("checkpoint", "held_out", "params", "tokens") if key in scores]
        scores = _with_average(scores, keys, ["conditional_loss", "score"], spec)
    frame = ReferenceFrame(spec, losses, scores, dict(made_from or {}), draw_source)
    if not frame.benchmarks:
        raise InputError(f"frame {spec.name}: no benchmark has both ladder losses and scores")
    return frame


def _refuse_other_than_numbers(table: pd.DataFrame, column: str, spec: FrameSpec) -> None:
    """Refuse a column of points that is not what its name says: names as text, scores in percent, positive numbers.

    An empty number passes: some may be, and the fits name the row where one may not.
    """
    if column not in table:
        return
    values = table[column].to_numpy()
    if column == "benchmark":
        right, rule = np.array([isinstance(value, str) for value in values], bool), "a name"
    elif column == "checkpoint":
        right, rule = table[column].notna().to_numpy(), "a name"
    else:
        empty = values != values if values.dtype.kind in "fiu" else table[column].isna().to_numpy()
        if values.dtype.kind not in "fiu":
            values = np.array([_number(value) for value in values], float)
        upper, rule = (100.0, "a percentage, 0 to 100") if column == "score" else (np.inf, "a positive number")
        right = np.isfinite(values) & (values <= upper) & ((values > 0) | ((column == "score") & (values == 0)))
        right |= empty
    if not right.all():
        row = int(np.argmin(right))
        wrong = shortened(str(table[column].iloc[row]), 80)
        raise InputError(f"frame {spec.name}: {column} = {wrong} in row {row + 1} of the points must be {rule}")


def _number(value: object) -> float:
    """A number of a column that holds other things too; NaN for those."""
    return float(value) if type(value) in (int, float) and abs(value) < LARGEST else np.nan  # type: ignore[arg-type]


def _with_average(table: pd.DataFrame, keys: Sequence[str], values: Sequence[str], spec: FrameSpec) -> pd.DataFrame:
    """The table with rows of the average appended, where it has none."""
    import pandas as pd

    names = set(table["benchmark"].unique())
    if AVERAGE in names and not spec.form_average:
        return table
    table = table[table["benchmark"] != AVERAGE]
    if absent := sorted(set(spec.average) - names):
        raise InputError(f"frame {spec.name}: its average needs {', '.join(absent)}, which the points lack")
    parts = table[table["benchmark"].isin(list(spec.average))]
    weighted = parts[list(values)].mul(parts["benchmark"].map(spec.average), axis=0)
    grouped = pd.concat([parts[list(keys)], weighted], axis=1).groupby(list(keys), sort=False, dropna=False)
    if (grouped.size() != len(spec.average)).any():
        raise InputError(f"frame {spec.name}: not every model was measured on every benchmark of the average")
    return pd.concat([table, grouped.sum().reset_index().assign(benchmark=AVERAGE)], ignore_index=True)
