"""ReferenceFrame: the laws and curves of a family of models, read at D₀ tokens.

A frame turns a benchmark score into the size that the reference family would need to reach it. Points in,
fits out: a frame is its points and settings, and fits itself when it is loaded, so no constant in it is
anybody's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.core.config import read_yaml, validate
from densing.core.errors import InputError, unknown
from densing.fit.bootstrap import resample
from densing.fit.hold_out import with_held_out
from densing.fit.loss_law.fit import LossLawFit, fit_loss_law
from densing.fit.loss_law.law import LossLawOptimum
from densing.fit.score_curve.curve import ScoreCurve
from densing.fit.score_curve.fit import ScoreCurveFit, fit_score_curve
from densing.frame.spec import FrameSpec

if TYPE_CHECKING:
    import pandas as pd

    from densing.density.densities import Density

FloatArray = NDArray[np.float64]
AVERAGE = "average"


class Range(str, Enum):
    """Where a score or loss stands in a frame; all but the first have a bound instead of a value."""

    IN_RANGE = "in range"
    AT_CHANCE = "at or under chance"
    ABOVE_CEILING = "above the curve's ceiling"
    UNDER_FLOOR = "loss under the data floor"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Inversion:
    """A score (or a loss) carried back to an effective size.

    Attributes
    ----------
    score : float
        Percent; NaN when a measured loss was given.
    loss : float
        L̂, nats per token; NaN out of range.
    effective_size : float
        N̂, parameters; NaN out of range.
    status : Range
    bound : float
        Out of range: N̂ lies under it (at chance) or over it; NaN in range.
    notes : tuple of str
    """

    score: float
    loss: float
    effective_size: float
    status: Range
    bound: float = np.nan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameDraws:
    """Bootstrap draws of one benchmark, row by row from the same replicate in every benchmark.

    Attributes
    ----------
    full : array, shape (R, 5)
        The law at each replicate's best optimum: optima switch, as the data would have it.
    conditional : array, shape (R, 5)
        The law at the frame's own optimum; NaN where a replicate has no such optimum.
    curve : array, shape (R, 4)
    """

    full: FloatArray
    conditional: FloatArray
    curve: FloatArray


@dataclass(frozen=True)
class ReferenceFrame:
    """Loss laws, score curves and D₀; see `load_frame` and `build_frame`.

    Attributes
    ----------
    spec : FrameSpec
    losses : DataFrame
        Ladder points: benchmark, params, tokens, conditional_loss.
    scores : DataFrame
        Curve points: benchmark, checkpoint, conditional_loss, score, held_out.
    """

    spec: FrameSpec
    losses: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    made_from: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The frame's name."""
        return self.spec.name

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """Benchmarks with a law and a curve, the average last."""
        names = [str(name) for name in self.losses["benchmark"].unique()]
        both = [name for name in names if name in set(self.scores["benchmark"])]
        return tuple(sorted(both, key=lambda name: (name == AVERAGE, both.index(name))))

    def _points(self, table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
        if benchmark not in self.benchmarks:
            raise unknown(f"benchmark of frame {self.name}", benchmark, self.benchmarks)
        # Sorted by model, so that row i means the same model in every benchmark.
        keys = [column for column in ("params", "tokens", "checkpoint") if column in table]
        return table[table["benchmark"] == benchmark].sort_values(keys)

    @cached_property
    def _laws(self) -> dict[str, LossLawFit]:
        return {}

    @cached_property
    def _curves(self) -> dict[str, ScoreCurveFit]:
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

    def optimum(self, benchmark: str = AVERAGE) -> int:
        """Index of the optimum that the frame reads."""
        optima = self.law_fit(benchmark).optima
        if self.spec.optimum == "best":
            return 0
        return int(np.argmin([optimum.data_floor(self.spec.tokens) for optimum in optima]))

    def law(self, benchmark: str = AVERAGE) -> LossLawOptimum:
        """The loss law that the frame reads."""
        return self.law_fit(benchmark).optima[self.optimum(benchmark)]

    def curve(self, benchmark: str = AVERAGE) -> ScoreCurve:
        """The score curve that the frame reads."""
        return self.curve_fit(benchmark).best

    def draws(self, benchmark: str = AVERAGE) -> FrameDraws:
        """Bootstrap draws; every benchmark refits the same replicates.

        Made once, then kept in the frame and, for the next run, in the user's cache folder.
        """
        if benchmark not in self._draws:
            from densing.frame.store import cache_draws, cached_draws

            draws = cached_draws(self, benchmark)
            if draws is None:
                draws = self._drawn(benchmark)
                cache_draws(self, benchmark, draws)
            self._draws[benchmark] = draws
        return self._draws[benchmark]

    def keep_draws(self, benchmark: str, draws: FrameDraws) -> None:
        """Use draws that were read from the frame's artifact."""
        self._draws[benchmark] = draws

    def _drawn(self, benchmark: str) -> FrameDraws:
        options = self.spec.resampling
        points = self._points(self.losses, benchmark)
        fitted = self._points(self.scores, benchmark)
        fitted = fitted[fitted["held_out"] == 0]
        # One seed for all benchmarks: what resamples checkpoint 3 in one does so in the others.
        rng = np.random.default_rng(options.seed)
        law_plan = resample(options.law, len(points), options.replicates, rng, points["params"])
        curve_rng = np.random.default_rng([options.seed, 1])
        curve_plan = resample(options.curve, len(fitted), options.replicates, curve_rng)
        fit, optimum = self.law_fit(benchmark), self.optimum(benchmark)
        laws = fit.bootstrap(law_plan, optimum)
        curves = self.curve_fit(benchmark).bootstrap(curve_plan)
        return FrameDraws(laws.best, laws.at(optimum), curves.best)

    def average_score(self, scores: Mapping[str, float]) -> float | None:
        """The weighted average of a model's scores, percent; None unless all that it needs are given."""
        if AVERAGE in scores:
            return float(scores[AVERAGE])
        if not self.spec.average or not set(self.spec.average) <= set(scores):
            return None
        return float(sum(weight * scores[name] for name, weight in self.spec.average.items()))

    def invert(self, score: float, benchmark: str = AVERAGE) -> Inversion:
        """Carry a score back to an effective size: L̂ by the curve, N̂ by the law at D₀.

        Parameters
        ----------
        score : float
            Percent.
        benchmark : str

        Returns
        -------
        Inversion
            METHOD step 3: L̂ = l − ln(c/(S − d) − 1)/γ; N̂ = ((L̂ − b·D₀^−β − E)/a)^(−1/α).
        """
        if not np.isfinite(score):
            raise InputError(f"{benchmark}={score:g} is not a score")
        curve, fit = self.curve(benchmark), self.curve_fit(benchmark)
        low, high = fit.reach
        if score <= curve.d:
            bound = self._size_at(float(curve.loss(low)), benchmark)
            note = f"a score of {score:.4g} does not exceed the curve's floor, {curve.d:.4g}"
            return Inversion(score, np.nan, np.nan, Range.AT_CHANCE, bound, (note,))
        if score >= curve.ceiling:
            bound = self._largest_size(benchmark)
            note = f"a score of {score:.4g} reaches the curve's ceiling, {curve.ceiling:.4g}"
            return Inversion(score, np.nan, np.nan, Range.ABOVE_CEILING, bound, (note,))
        notes = []
        if score < low or score > high:
            side = "under" if score < low else "over"
            notes.append(f"a score of {score:.4g} lies {side} those the curve was fitted on, {low:.3g} to {high:.3g}")
        inverted = self.invert_loss(float(curve.loss(score)), benchmark)
        return Inversion(
            score, inverted.loss, inverted.effective_size, inverted.status, inverted.bound, (*notes, *inverted.notes)
        )

    def invert_loss(self, loss: float, benchmark: str = AVERAGE) -> Inversion:
        """Carry a measured conditional loss back to an effective size, without the score curve.

        Meaningful only for a model of the ladder's own vocabulary: nats per token of another tokeniser
        measure something else.
        """
        if not np.isfinite(loss):
            raise InputError(f"a loss of {loss:g} on {benchmark} is not a measured loss")
        law = self.law(benchmark)
        floor = float(law.data_floor(self.spec.tokens))
        if loss <= floor:
            bound = self._largest_size(benchmark)
            note = (
                f"a loss of {loss:.4g} is under the frame's data floor, {floor:.4g}: no size of the family reaches it"
            )
            return Inversion(np.nan, loss, np.nan, Range.UNDER_FLOOR, bound, (note,))
        return Inversion(np.nan, loss, self._size_at(loss, benchmark), Range.IN_RANGE)

    def _largest_size(self, benchmark: str) -> float:
        """Size at the highest fitted score; the ladder's largest where that score's loss is under the data floor."""
        fit = self.curve_fit(benchmark)
        size = self._size_at(float(fit.best.loss(fit.reach[1])), benchmark)
        return size if np.isfinite(size) else float(self.law_fit(benchmark).params.max())

    def _size_at(self, loss: float, benchmark: str) -> float:
        return float(self.law(benchmark).effective_size(loss, self.spec.tokens))

    def score_at(self, effective_size: ArrayLike, benchmark: str = AVERAGE) -> Any:
        """Score of a reference model of that many parameters and D₀ tokens, percent."""
        loss = self.law(benchmark).loss(effective_size, self.spec.tokens)
        return self.curve(benchmark).score(loss)

    def density(self, **given: Any) -> Density:
        """Density of a model; the arguments are those of `densing.density.densities.density`."""
        from densing.density.densities import density

        return density(self, **given)

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
                    "data_floor": float(law.data_floor(self.spec.tokens)),
                    "objective": law.objective,
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
        head += (
            f"  read at D₀ = {spec.tokens:.3g} tokens, params {spec.params.replace('_', '-')}, optimum: {spec.optimum}"
        )
        head += f" ({spec.reason})\n" if spec.reason else "\n"
        return head + self.describe().to_string(index=False, float_format=lambda value: f"{value:.5g}")

    def _repr_html_(self) -> str:
        return f"<p><b>{self.name}</b>, D₀ = {self.spec.tokens:.3g} tokens</p>" + self.describe().to_html(index=False)


_SHIPPED = files("densing") / "data" / "frames"


def frame_names() -> list[str]:
    """Names of the frames that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml"))


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
    if str(name) in frame_names():
        return _shipped(str(name))
    from densing.frame.store import built_frames, read_frame

    built = built_frames()
    if str(name) in built:
        return read_frame(built[str(name)])
    if Path(name).suffix == ".json":
        return read_frame(Path(name))
    raise unknown("frame", str(name), [*frame_names(), *built])


def _shipped(name: str) -> ReferenceFrame:
    import pandas as pd

    path = Path(str(_SHIPPED / f"{name}.yaml"))
    data = read_yaml(path)
    if base := data.pop("extends", None):
        data = read_yaml(Path(str(_SHIPPED / f"{base}.yaml"))) | data
    folder = path.parent.parent
    losses, scores = (pd.read_csv(folder / data.pop(key)) for key in ("losses", "scores"))
    return build_frame(validate(data | {"name": name}, FrameSpec, str(path)), losses, scores)


def build_frame(
    spec: FrameSpec, losses: pd.DataFrame, scores: pd.DataFrame, *, made_from: Mapping[str, str] | None = None
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
    scores = with_held_out(scores, f"frame {spec.name}, scores")
    losses = with_held_out(losses, f"frame {spec.name}, losses").query("held_out == 0").drop(columns="held_out")
    if spec.average:
        losses = _with_average(losses, ["params", "tokens"], ["conditional_loss"], spec)
        scores = _with_average(scores, ["checkpoint", "held_out"], ["conditional_loss", "score"], spec)
    frame = ReferenceFrame(spec, losses, scores, dict(made_from or {}))
    if not frame.benchmarks:
        raise InputError(f"frame {spec.name}: no benchmark has both ladder losses and scores")
    return frame


def _with_average(table: pd.DataFrame, keys: Sequence[str], values: Sequence[str], spec: FrameSpec) -> pd.DataFrame:
    """The table with rows of the average appended, where it has none."""
    import pandas as pd

    names = set(table["benchmark"])
    if AVERAGE in names and not spec.form_average:
        return table
    table = table[table["benchmark"] != AVERAGE]
    if absent := sorted(set(spec.average) - names):
        raise InputError(f"frame {spec.name}: its average needs {', '.join(absent)}, which the points lack")
    parts = table[table["benchmark"].isin(list(spec.average))]
    weighted = parts[list(values)].mul(parts["benchmark"].map(spec.average), axis=0)
    grouped = pd.concat([parts[list(keys)], weighted], axis=1).groupby(list(keys), sort=False)
    if (grouped.size() != len(spec.average)).any():
        raise InputError(f"frame {spec.name}: not every model was measured on every benchmark of the average")
    return pd.concat([table, grouped.sum().reset_index().assign(benchmark=AVERAGE)], ignore_index=True)
