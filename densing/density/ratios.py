"""Ratios of densities from shared draws: what a density can be trusted for.

Draw r of every model rests on the same refit of the same frame, so an error of the frame is in all of them and cancels
between two. What is left is the noise of the scores, and how far the two sizes lie apart on an uncertain law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from densing.core.arrays import FloatArray
from densing.core.errors import InputError
from densing.core.intervals import Interval, percentile_interval
from densing.core.results import Result
from densing.density.densities import Density, compute_every_density
from densing.density.subjects import find_subject
from densing.frame.frame import ReferenceFrame
from densing.frame.names import RECOMMENDED_FRAME
from densing.frame.store import load_frame
from densing.models.subject import Subject


@dataclass(frozen=True)
class Ratio:
    """Density of one model over that of another.

    Attributes
    ----------
    value : float
        Of the densities as read; NaN where one of them is out of range.
    interval : Interval
        95%, from the shared draws.
    denser : float
        Probability that the first is the denser one; a draw in which they tie counts half.
    undecided : float
        Share of draws that say nothing about the ratio, because both models are at chance or both too dense for the
        frame to give them a size.
    """

    value: float
    interval: Interval
    denser: float
    undecided: float = 0.0


def ratio(first: FloatArray, second: FloatArray, values: tuple[float, float]) -> Ratio:
    """Ratio of the densities of two models.

    Parameters
    ----------
    first, second : array, shape (R,)
        Shared draws of their densities: zero at chance, infinite over the frame's reach, NaN where missing.
    values : tuple of float
        Their densities as read.

    Raises
    ------
    InputError
        If the draws are not of one frame: row r of one then has nothing to do with row r of the other.
    """
    if first.shape != second.shape:
        raise InputError(f"{len(first)} and {len(second)} draws are not shared: compare models in one frame")
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = first / second
        value = float(np.divide(*values))
    known = ~(np.isnan(first) | np.isnan(second))
    ahead = (first[known] > second[known]) + 0.5 * (first[known] == second[known])
    denser = float(ahead.mean()) if known.any() else np.nan
    undecided = float(np.isnan(drawn[known]).mean()) if known.any() else np.nan
    return Ratio(value, percentile_interval(drawn), denser, undecided)


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Two models on one benchmark, on the frame's average, or by all of their scores.

    Attributes
    ----------
    density, reference : Density
        Of the model, and of the one that it is compared with.
    ratio : Ratio
        The first over the second.
    paired_items : int
        Test items that both answered, where the interval rests on the same ones; zero where it does not.
    """

    density: Density
    reference: Density
    ratio: Ratio
    paired_items: int = 0

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        one = self.density
        of = f"{one.model} over {self.reference.model} on {one.benchmark} in frame {one.frame}"
        return f"{of}: {self.ratio.value:.3g} (95% {self.ratio.interval})"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the draws, for tables and JSON."""
        return {
            "model": self.density.model,
            "reference": self.reference.model,
            "frame": self.density.frame,
            "benchmark": self.density.benchmark,
            "density": self.density.value,
            "density_status": str(self.density.status),
            "reference_density": self.reference.value,
            "reference_status": str(self.reference.status),
            "ratio": self.ratio.value,
            "ratio_low": self.ratio.interval.low,
            "ratio_high": self.ratio.interval.high,
            "probability_denser": self.ratio.denser,
            "undecided_share": self.ratio.undecided,
            "paired_items": self.paired_items,
        }


def compare(
    models: Sequence[str | Subject],
    frame: str | ReferenceFrame = RECOMMENDED_FRAME,
    *,
    registry: Path | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Densities of models over that of the first, on every benchmark that both have and by all scores together.

    Parameters
    ----------
    models : sequence of str or Subject
        Names of the registry, or models of your own; the first is the one that the others are compared with.
        `densing.density.subjects.find_subject` makes one of a results file or of a folder of measurements.
    frame : str or ReferenceFrame
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.
    seed : int
        Seed of the resampled test items.

    Returns
    -------
    list of Comparison
        Model after model, what is the frame's headline last. A model against itself has a ratio of exactly 1.

    Raises
    ------
    InputError
        If fewer than two models are given, different ones have one name, one is not known or has a score on a
        benchmark that the frame does not have, or it has no benchmark in common with the first.

    Examples
    --------
    >>> joint = compare(["Llama-2-7B", "Qwen2.5-7B"])[-1]
    >>> joint.density.benchmark, joint.ratio.denser > 0.95
    ('joint', True)
    """
    if len(models) < 2:
        raise InputError(f"{len(models)} model given: a comparison needs two or more")
    reference = load_frame(frame) if isinstance(frame, str) else frame
    subjects = [
        find_subject(model, reference, registry=registry) if isinstance(model, str) else model for model in models
    ]
    named: dict[str, Subject] = {}
    for subject in subjects:
        if not subject.name:
            raise InputError("a model without a name cannot be told apart from the others; give it one")
        if named.setdefault(subject.name, subject) != subject:
            raise InputError(f"two different models are called {subject.name!r}; give one of them another name")
    densities = {
        name: {density.benchmark: density for density in compute_every_density(reference, subject, seed=seed)}
        for name, subject in named.items()
    }
    base = densities[subjects[0].name]
    found = []
    for subject in subjects[1:]:
        own = densities[subject.name]
        common = [benchmark for benchmark in base if benchmark in own]
        if not common:
            raise InputError(
                f"{subject.name} and {subjects[0].name} have no benchmark in common: "
                f"one has {', '.join(own)}, the other {', '.join(base)}"
            )
        found += [
            _compared(own[benchmark], base[benchmark], _paired_items(subject, subjects[0], benchmark))
            for benchmark in common
        ]
    return found


def _compared(density: Density, reference: Density, paired: int) -> Comparison:
    if density.model == reference.model:
        return Comparison(density, reference, Ratio(1.0, Interval(1.0, 1.0), 0.5))
    found = ratio(density.draws, reference.draws, (density.value, reference.value))
    return Comparison(density, reference, found, paired)


def _paired_items(subject: Subject, reference: Subject, benchmark: str) -> int:
    one, other = subject.answers.get(benchmark), reference.answers.get(benchmark)
    return len(one.items) if one is not None and other is not None and one.items == other.items else 0
