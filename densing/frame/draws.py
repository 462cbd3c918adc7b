"""Bootstrap draws of a frame: the law and the curve of a benchmark, fitted again to resampled points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import FloatArray
from densing.fit.bootstrap import resample
from densing.fit.loss_law.fit import LossLawFit
from densing.fit.score_curve.fit import ScoreCurveFit
from densing.frame.spec import ResamplingOptions


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


def make_draws(
    law: LossLawFit, optimum: int, params: ArrayLike, curve: ScoreCurveFit, options: ResamplingOptions
) -> FrameDraws:
    """Fit the law and the curve of a benchmark again to resampled points.

    Every benchmark of a frame resamples by the same seed: what redraws checkpoint 3 in one does so in the others.

    Parameters
    ----------
    law : LossLawFit
    optimum : int
        Index of the optimum of `law` that the frame reads.
    params : array, shape (n,)
        Sizes of the law's points in the order in which they were given: points of one size share a trunk.
    curve : ScoreCurveFit
    options : ResamplingOptions
    """
    sizes = np.asarray(params, float)
    laws_rng, curves_rng = np.random.default_rng(options.seed), np.random.default_rng([options.seed, 1])
    laws = law.bootstrap(resample(options.law, len(sizes), options.replicates, laws_rng, sizes), optimum)
    curves = curve.bootstrap(resample(options.curve, len(curve.rows), options.replicates, curves_rng))
    return FrameDraws(laws.best, laws.at(optimum), curves.best)
