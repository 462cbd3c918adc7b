"""Density: effective size over actual size, with an interval that holds everything that is uncertain.

Errors of the frame are shared by all models: draw r of one model and draw r of another rest on the same
refit of the same replicate. What is a model's own is the noise of its scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from densing.core.arrays import FloatArray
from densing.core.draw_shares import DrawShares
from densing.core.errors import InputError, unknown
from densing.core.intervals import Interval, hull, percentile_interval
from densing.core.results import Result
from densing.core.units import short_count
from densing.density.noise import own_generator
from densing.density.panel import read_together, size_bounds
from densing.density.weighing import Hardware, load_hardware, weigh
from densing.frame.frame import AVERAGE, JOINT, ReferenceFrame
from densing.frame.inversion import checked_loss
from densing.frame.statuses import Status, extrapolation_note, judge_size
from densing.models.size import Size
from densing.models.subject import Answers, Subject

DEFAULT_HARDWARE = "rtx-4090-article"
_DISAGREES = 2.0
"""Standard deviations of the scatter from which on a benchmark is said to disagree."""
_LEAST_GAP = 0.05
"""Benchmarks nearer than this to the joint size, in ln N̂, agree however little they scatter."""


@dataclass(frozen=True, repr=False)
class Density(Result):
    """How much effective size a model packs into each of its parameters.

    Attributes
    ----------
    model, frame, benchmark : str
        The benchmark is ``joint`` where all scores of the model are read together.
    score : float
        Percent; NaN when the density comes from a measured loss or from several scores.
    loss : float
        Conditional loss the score stands for, or that was measured, nats per token; NaN for several scores.
    effective_size, size : float
        N̂ and the size it is divided by, parameters.
    value : float
        ρ; NaN where there is no size.
    status : Status
    bound : float
        At chance, ρ lies under it; above the ceiling or under the floor, over it.
    interval : Interval
        95%, full: whatever the optimum of the loss law. It holds both the conditional interval and that of
        the optima as the replicates prefer them. For several scores, it is for these benchmarks.
    interval_conditional : Interval
        95%, conditional on the optimum (or form) that the frame reads.
    interval_like_these : Interval or None
        95%, for benchmarks like these: what other benchmarks would say is in it too. None for a single benchmark.
    extrapolation : float
        Effective size over the ladder's largest model; NaN where there is no size.
    notes : tuple of str
    draws, draws_conditional : array, shape (R,)
        Zero where a draw is at chance, infinite over the ceiling or under the floor, NaN where a
        replicate has no answer because it lacks the frame's optimum.
    """

    model: str
    frame: str
    benchmark: str
    score: float
    loss: float
    effective_size: float
    size: float
    value: float
    status: Status
    bound: float
    interval: Interval
    interval_conditional: Interval
    interval_like_these: Interval | None = None
    extrapolation: float = np.nan
    notes: tuple[str, ...] = ()
    draws: FloatArray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    draws_conditional: FloatArray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        of = f"{self.model or 'model'} on {self.benchmark} in frame {self.frame}"
        return f"{of}: ρ = {self.text} (95% {self.interval}), {self.status}"

    @property
    def shares(self) -> DrawShares:
        """Shares of the full draws that are missing and out of range."""
        return _shares(self.draws)

    @property
    def shares_conditional(self) -> DrawShares:
        """Shares of the conditional draws that are missing and out of range."""
        return _shares(self.draws_conditional)

    @property
    def text(self) -> str:
        """The value, the bound that stands for it, or nothing: ``1.06``, ``< 0.02``, ``> 9.7``, ``–``."""
        if self.status.has_size:
            return f"{self.value:.3g}"
        if self.status is Status.NOT_IDENTIFIED:
            return "–"
        return f"{'<' if self.status is Status.AT_CHANCE else '>'} {self.bound:.3g}"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the draws, for tables and JSON."""
        like = self.interval_like_these or Interval(np.nan, np.nan)
        return {
            "model": self.model,
            "frame": self.frame,
            "benchmark": self.benchmark,
            "score": self.score,
            "loss": self.loss,
            "effective_size": self.effective_size,
            "size": self.size,
            "density": self.value,
            "density_low": self.interval.low,
            "density_high": self.interval.high,
            "density_low_conditional": self.interval_conditional.low,
            "density_high_conditional": self.interval_conditional.high,
            "density_low_like_these": like.low,
            "density_high_like_these": like.high,
            "missing_share": self.shares.missing,
            "out_of_range_share": self.shares.out_of_range,
            "missing_share_conditional": self.shares_conditional.missing,
            "out_of_range_share_conditional": self.shares_conditional.out_of_range,
            "status": str(self.status),
            "bound": self.bound,
            "times_largest_rung": self.extrapolation,
            "notes": "; ".join(self.notes),
        }

    def __str__(self) -> str:
        source = f"score {self.score:.4g}" if np.isfinite(self.score) else "measured loss"
        if self.benchmark == JOINT:
            source = "all scores together"
        effective = _count(self.effective_size)
        lines = [
            f"{self.model or 'model'} on {self.benchmark}, frame {self.frame}",
            f"  {source}, loss {_number(self.loss)}, effective size {effective}, size {short_count(self.size)}",
            f"  density {self.text} ({self.status})",
            f"  95% full {self.interval} (draws: {self.shares})",
            f"  95% conditional {self.interval_conditional} (draws: {self.shares_conditional})",
            *([f"  95% for benchmarks like these {self.interval_like_these}"] if self.interval_like_these else []),
            *(f"  {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _shares(draws: FloatArray) -> DrawShares:
    if not len(draws):
        return DrawShares(1.0, 0.0)
    return DrawShares(float(np.isnan(draws).mean()), float(((draws == 0) | np.isinf(draws)).mean()))


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "–"


def _count(value: float) -> str:
    return short_count(value) if np.isfinite(value) else "–"


def compute_density(
    frame: ReferenceFrame,
    *,
    params: float | None = None,
    scores: Mapping[str, float] | None = None,
    score: float | None = None,
    benchmark: str | None = None,
    loss: float | None = None,
    loss_error: float = 0.0,
    size: Size | None = None,
    model: str = "",
    items: Mapping[str, int] | None = None,
    hardware: str | Hardware = DEFAULT_HARDWARE,
    scale: str | None = None,
    seed: int = 0,
) -> Density:
    """Density of one model by all its scores together, on one benchmark, or on the frame's average.

    Parameters
    ----------
    frame : ReferenceFrame
    params : float, optional
        Parameters as the frame counts them, with or without embeddings.
    size : Size, optional
        What is known of the model's size, in place of `params`: parameters with and without embeddings, active
        ones, bits per weight.
    model : str
        Name for tables.
    scores : mapping, optional
        Percent, by benchmark.
    score : float, optional
        Percent, on `benchmark`.
    benchmark : str, optional
        The name of one, ``joint`` for all of them together, or ``average``; what the frame says in its settings
        where not given. A `score` or `loss` without a name is that of the average.
    loss, loss_error : float, optional
        Measured conditional loss on `benchmark` and its standard error, nats per token. The model must
        have the ladder's vocabulary.
    hardware : str or Hardware
        Weighs total against active parameters and bits per weight; dense models of 16 bits need none.
    scale : str, optional
        One of the frame's named factors on effective sizes.
    items : mapping, optional
        How many test items stand behind each score, where that differs from the frame's own suite.
    seed : int
        Seed of the resampled test items: how many a model would have answered had others been drawn.

    Raises
    ------
    InputError
        If neither a score nor a loss is given, if no size is, or for an unknown benchmark, hardware or scale.

    Examples
    --------
    >>> from densing import load_frame
    >>> density = compute_density(load_frame("densing-law-2025"), params=6.979e9, score=66.6, benchmark="mmlu")
    >>> print(f"{density.value:.3f}, {density.status}")
    0.932, beyond the curve
    """
    if size is None:
        if params is None:
            raise InputError("no size given: name the model's parameters")
        size = Size(**{frame.spec.params: params})
    if benchmark is None and (score is not None or loss is not None):
        benchmark = AVERAGE
    named = benchmark or frame.headline
    given = dict(scores or {}) | ({named: score} if score is not None else {})
    losses = {named: loss} if loss is not None else {}
    subject = Subject(model, size, given, items or {}, losses, {named: loss_error})
    return compute_densities(frame, [subject], benchmark, hardware=hardware, scale=scale, seed=seed)[0]


def compute_densities(
    frame: ReferenceFrame,
    subjects: Sequence[Subject],
    benchmark: str | None = None,
    *,
    hardware: str | Hardware = DEFAULT_HARDWARE,
    scale: str | None = None,
    seed: int = 0,
) -> list[Density]:
    """Densities of many models by all their scores together, on one benchmark, or on the frame's average.

    The models are read together, in arrays with a row for the frame's own fit and for each of its R draws
    and a column for each of the M models.

    Parameters
    ----------
    frame : ReferenceFrame
    subjects : sequence of Subject
    benchmark, hardware, scale, seed
        See `compute_density`.

    Returns
    -------
    list of Density
        In the order of `subjects`.

    Raises
    ------
    InputError
        If a model lacks a size, or a score that the benchmark needs; for an unknown benchmark, hardware or scale.
    """
    hardware = load_hardware(hardware) if isinstance(hardware, str) else hardware
    factor = scale_factor(frame, scale)
    weighed = [_weighed(frame, subject.size, hardware) for subject in subjects]
    benchmark = benchmark or frame.headline
    if benchmark == JOINT:
        return _joint_densities(frame, subjects, weighed, factor, seed)
    scores = np.array([_score(frame, subject, benchmark) for subject in subjects])
    losses = _losses(frame, subjects, scores, benchmark, seed)
    full = frame.sizes_of_losses(losses, benchmark, "full")
    conditional = frame.sizes_of_losses(losses, benchmark, "conditional")
    results = []
    for i, subject in enumerate(subjects):
        point = frame.describe_inversion(float(scores[i]), losses[0, i], conditional[0, i], benchmark)
        size, notes = weighed[i]
        status, value, told = point.status, point.effective_size, point.notes
        if frame.spec.drawn and status.has_size:
            judged, _ = judge_size(full[1:, i], frame.largest_rung(benchmark))
            if not judged.status.has_size:
                place = frame.judge_score(float(scores[i]), benchmark).note if np.isfinite(scores[i]) else ""
                told = tuple(f"{benchmark}: {note}" for note in (place, judged.note) if note)
                status, value = Status.NOT_IDENTIFIED, np.nan
        if subject.losses and not frame.spec.tokenizer:
            notes = (*notes, "from a measured loss: valid for the vocabulary of the frame's ladder alone")
        draws, draws_conditional = factor * full[1:, i] / size, factor * conditional[1:, i] / size
        own = percentile_interval(draws_conditional)
        results.append(
            Density(
                subject.name,
                frame.name,
                benchmark,
                point.score,
                point.loss,
                factor * value,
                size,
                factor * value / size,
                status,
                factor * point.bound / size,
                hull(own, percentile_interval(draws)),
                own,
                extrapolation=value / frame.largest_rung(benchmark),
                notes=(*told, *notes),
                draws=draws,
                draws_conditional=draws_conditional,
            )
        )
    return results


def _joint_densities(
    frame: ReferenceFrame,
    subjects: Sequence[Subject],
    weighed: Sequence[tuple[float, tuple[str, ...]]],
    factor: float,
    seed: int,
) -> list[Density]:
    """Densities by all scores of each model together; see `densing.density.joint`."""
    for subject in subjects:
        if not any(name in subject.scores or name in subject.losses for name in frame.parts):
            given = ", ".join(subject.scores) or "none"
            raise InputError(
                f"{subject.name or 'the model'}: a joint density needs a score on one or more of "
                f"{', '.join(frame.parts)}; given: {given}"
            )
        for name in set(frame.parts) & set(subject.scores):
            _score(frame, subject, name)
    read = read_together(frame, subjects)
    full, rows = read["full"], len(read["full"].centre) - 1
    normal = np.stack([own_generator(seed, s.name, i, JOINT).standard_normal(rows) for i, s in enumerate(subjects)], 1)
    draws = np.exp(full.centre[1:] + full.width_these * normal)
    draws_like = np.exp(full.centre[1:] + full.width_like_these * normal)
    draws_conditional = np.exp(read["conditional"].centre[1:] + full.width_these * normal)
    disagreement = full.disagreement()
    largest = max(frame.largest_rung(name) for name in frame.parts)
    results = []
    for i, subject in enumerate(subjects):
        size, notes = weighed[i]
        status, told = _joint_status(frame, subject, full.centre[0, i], draws[:, i], largest)
        told += _disagreements(frame, full.own[0, i] - full.centre[0, i], disagreement[i])
        value = float(np.exp(full.centre[0, i])) if status.has_size else np.nan
        interval = percentile_interval(factor * draws[:, i] / size)
        own = percentile_interval(factor * draws_conditional[:, i] / size)
        results.append(
            Density(
                subject.name,
                frame.name,
                JOINT,
                np.nan,
                np.nan,
                factor * value,
                size,
                factor * value / size,
                status,
                factor * _joint_bound(frame, subject, status) / size,
                hull(own, interval),
                own,
                hull(hull(own, interval), percentile_interval(factor * draws_like[:, i] / size)),
                extrapolation=value / largest,
                notes=(*told, *notes),
                draws=factor * draws[:, i] / size,
                draws_conditional=factor * draws_conditional[:, i] / size,
            )
        )
    return results


def _joint_status(
    frame: ReferenceFrame, subject: Subject, centre: float, draws: FloatArray, largest: float
) -> tuple[Status, tuple[str, ...]]:
    """Status of a joint size and what explains it: in range where one of the scores is."""
    scored = {name: frame.judge_score(subject.scores[name], name) for name in frame.parts if name in subject.scores}
    bounds = tuple(f"{name}: {judged.note}" for name, judged in scored.items() if not judged.status.has_size)
    if np.isnan(centre):
        return Status.NOT_IDENTIFIED, bounds
    if np.isinf(centre):
        at_ceiling = any(judged.status is Status.ABOVE_CEILING for judged in scored.values())
        over = Status.ABOVE_CEILING if at_ceiling else Status.UNDER_FLOOR
        return (Status.AT_CHANCE if centre < 0 else over), bounds
    judged, _ = judge_size(draws, largest)
    if frame.spec.drawn and not judged.status.has_size:
        return Status.NOT_IDENTIFIED, (*bounds, judged.note)
    warning = extrapolation_note(float(np.exp(centre)) / largest)
    told = (*bounds, f"the joint size is {warning}") if warning else bounds
    measured = any(name in subject.losses for name in frame.parts)
    inside = measured or any(judged.status is Status.IN_RANGE for judged in scored.values())
    return (Status.IN_RANGE if inside else Status.BEYOND), told


def _joint_bound(frame: ReferenceFrame, subject: Subject, status: Status) -> float:
    """Size that a model whose scores are all bounds lies under, or over: the one that all of its scores allow."""
    if status.has_size or status is Status.NOT_IDENTIFIED:
        return np.nan
    scored = [name in subject.scores or name in subject.losses for name in frame.parts]
    lowest, highest = size_bounds(frame)[:, scored]
    if status is Status.AT_CHANCE:
        return float(lowest.max())
    return float(highest.min())


def _disagreements(frame: ReferenceFrame, gaps: FloatArray, deviations: FloatArray) -> tuple[str, ...]:
    """Notes on benchmarks that lie apart from the others by more than benchmarks scatter."""
    return tuple(
        f"{name} says ×{np.exp(gap):.2g} of the joint size once its offset is taken off, "
        f"{abs(deviation):.1f} standard deviations of the scatter between benchmarks"
        for name, gap, deviation in zip(frame.parts, gaps, deviations, strict=True)
        if _DISAGREES < abs(deviation) < np.inf and abs(gap) > _LEAST_GAP
    )


def compute_every_density(frame: ReferenceFrame, subject: Subject, **options: Any) -> list[Density]:
    """Densities of one model on every benchmark that it has, and by what is the frame's headline last.

    Parameters
    ----------
    frame : ReferenceFrame
    subject : Subject
    **options
        hardware, scale and seed, see `compute_density`.

    Raises
    ------
    InputError
        If the model has no score or loss on any of the frame's benchmarks, or one on a benchmark that the
        frame does not have.
    """
    for name in (*subject.scores, *subject.losses):
        if name not in frame.benchmarks:
            raise unknown(f"benchmark of frame {frame.name}", name, frame.benchmarks)
    formed = [name for name in frame.benchmarks if name in subject.scores or name in subject.losses]
    if not formed:
        raise InputError(f"no scores: give --score benchmark=value for {', '.join(frame.benchmarks)}")
    if frame.headline == AVERAGE and AVERAGE not in formed and frame.average_score(subject.scores) is not None:
        formed.append(AVERAGE)
    if frame.headline == JOINT and set(formed) & set(frame.parts):
        formed.append(JOINT)
    return [compute_densities(frame, [subject], name, **options)[0] for name in formed]


def _score(frame: ReferenceFrame, subject: Subject, benchmark: str) -> float:
    """The score in percent that a density is read from; NaN where it is read from a measured loss."""
    if benchmark in subject.losses:
        return np.nan
    score = frame.average_score(subject.scores) if benchmark == AVERAGE else subject.scores.get(benchmark)
    if score is None:
        given = ", ".join(subject.scores) or "none"
        wanted = ", ".join(frame.spec.average) if benchmark == AVERAGE else benchmark
        raise InputError(f"{subject.name or 'the model'}: {benchmark} needs scores on {wanted}; given: {given}")
    if not 0 <= score <= 100:
        raise InputError(f"{subject.name or 'the model'}: {benchmark}={score:g} is not a score in percent, 0 to 100")
    return float(score)


def scale_factor(frame: ReferenceFrame, scale: str | None) -> float:
    """What effective sizes are multiplied by under a name that the frame keeps; 1 without a name.

    Raises
    ------
    InputError
        If the frame has no scale of that name.
    """
    if scale is None:
        return 1.0
    if scale not in frame.spec.scales:
        raise InputError(f"frame {frame.name} has no scale {scale!r}; it has {', '.join(frame.spec.scales) or 'none'}")
    return frame.spec.scales[scale]


def _weighed(frame: ReferenceFrame, size: Size, hardware: Hardware) -> tuple[float, tuple[str, ...]]:
    params, notes = size.counted(frame.spec.params)
    if not 0 < params < np.inf or not 0 < size.weight_bits < np.inf:
        raise InputError(f"{params:g} parameters of {size.weight_bits:g} bits are not a size")
    sparse = size.active is not None and size.active < params
    if not sparse and size.weight_bits == 16:
        return params, notes
    weights = weigh(hardware, params, size.weight_bits)
    share = weights.memory / (weights.memory + weights.compute)
    notes = (*notes, f"size weighed by k₁/(k₁ + k₂) = {share:.2f} of {hardware.title or 'the hardware given'}")
    if sparse and weights.offloaded is not None:
        times = weights.offloaded / weights.memory
        notes = (*notes, f"it does not fit there: its parameters are read {times:.0f} times as slowly")
    return weights.size(params, size.active if sparse else None, size.weight_bits), notes


def _losses(
    frame: ReferenceFrame, subjects: Sequence[Subject], scores: FloatArray, benchmark: str, seed: int
) -> FloatArray:
    """Losses (1 + R, M): in the first row as measured or by the frame's curve, then as the draws have them."""
    replicates = len(frame.draws(benchmark).curve)
    losses = np.empty((1 + replicates, len(subjects)))
    measured = np.array([benchmark in subject.losses for subject in subjects])
    for i, subject in enumerate(subjects):
        if measured[i]:
            loss = checked_loss(subject.losses[benchmark], benchmark)
            noise = own_generator(seed, subject.name, i, benchmark).standard_normal(replicates)
            losses[0, i], losses[1:, i] = loss, loss + subject.loss_errors.get(benchmark, 0.0) * noise
    if not measured.all():
        noisy = _noisy_scores(frame, subjects, scores, benchmark, replicates, seed)[:, ~measured]
        rows = np.vstack([scores[~measured], noisy])
        read = frame.losses_of_scores(rows, benchmark)
        losses[:, ~measured] = np.where(frame.at_chance(rows, benchmark), np.inf, read)
    return losses


def _noisy_scores(
    frame: ReferenceFrame,
    subjects: Sequence[Subject],
    points: FloatArray,
    benchmark: str,
    replicates: int,
    seed: int,
) -> FloatArray:
    """Scores (R, M) as other draws of as many items would have given them."""
    parts = frame.spec.average if benchmark == AVERAGE else {benchmark: 1.0}
    noisy = np.tile(points, (replicates, 1))
    for i, subject in enumerate(subjects):
        for name, weight in parts.items():
            items = subject.items.get(name, frame.spec.items.get(name, 0))
            # Of an average that came without its parts, each part has the noise of a score as high as the average.
            score = subject.scores.get(name, subject.scores.get(AVERAGE) if benchmark == AVERAGE else None)
            if name in subject.answers:
                noisy[:, i] += weight * _resampling_error(subject.answers[name], name, replicates, seed)
            elif items and score is not None:
                share = score / 100
                drawn = own_generator(seed, subject.name, i, name).binomial(items, share, replicates) / items
                noisy[:, i] += weight * 100 * (drawn - share)
    return noisy


def _resampling_error(answers: Answers, benchmark: str, replicates: int, seed: int) -> FloatArray:
    """Error of a score, (R,) in points, as its items drawn with replacement make it.

    The draws belong to the items: models that answered the same ones get the same draws, and what an easy draw gives to
    one it gives to the other.
    """
    correct = np.array(answers.correct)
    rng = own_generator(seed, "\x00".join(answers.items), 0, benchmark)
    means = [correct[rng.integers(len(correct), size=len(correct))].mean() for _ in range(replicates)]
    return 100 * (np.array(means) - correct.mean())
