"""densing: how much capability a language model packs into each parameter, and how fast that grows.

The method goes through five stages. Each reads what the one before it made, or data from elsewhere:

========  =====================================  ==================================================================
stage     functions                              what they return
========  =====================================  ==================================================================
models    load_registry                          Registry of published models; a Subject is one with its Size
fit       fit_loss_law, fit_score_curve          LossLawFit and ScoreCurveFit: every optimum (LossLaw, ScoreCurve)
frame     load_frame, build_frame, write_frame   ReferenceFrame: laws and curves of a family, set up by a FrameSpec
density   compute_density, compute_densities,    Density: effective size over size, with its intervals;
          compute_density_set, compare           DensitySet: those of many models with their release dates;
                                                 Comparison: ratios of densities
trend     fit_density_trend, fit_trend           Trend: slope and doubling time of the densest models
========  =====================================  ==================================================================

Everything else has its place in the room of its stage, as `densing.trend.forecast` or `densing.measure.run`.
Names are imported on first use, so that `import densing` costs nothing and works without the optional packages.

Examples
--------
>>> import densing
>>> frame = densing.load_frame("densing-law-2025-tied")
>>> densing.compute_density(frame, params=7e9, score=60, benchmark="mmlu")
<Density: model on mmlu in frame densing-law-2025-tied: ρ = 1.35 (95% 0.89 to 2.2), in range>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densing.density.densities import Density, compute_densities, compute_density
    from densing.density.ratios import Comparison, compare
    from densing.density.sets import DensitySet, compute_density_set
    from densing.fit.loss_law.fit import LossLawFit, fit_loss_law
    from densing.fit.loss_law.law import LossLaw
    from densing.fit.score_curve.curve import ScoreCurve
    from densing.fit.score_curve.fit import ScoreCurveFit, fit_score_curve
    from densing.frame.frame import ReferenceFrame, build_frame
    from densing.frame.spec import FrameSpec
    from densing.frame.store import load_frame, write_frame
    from densing.models.registry import Registry, load_registry
    from densing.models.size import Size
    from densing.models.subject import Subject
    from densing.trend.exponential import Trend, fit_density_trend, fit_trend

__version__ = "0.1.0"

_HOMES = {
    "Registry": "models.registry",
    "load_registry": "models.registry",
    "Size": "models.size",
    "Subject": "models.subject",
    "LossLaw": "fit.loss_law.law",
    "LossLawFit": "fit.loss_law.fit",
    "fit_loss_law": "fit.loss_law.fit",
    "ScoreCurve": "fit.score_curve.curve",
    "ScoreCurveFit": "fit.score_curve.fit",
    "fit_score_curve": "fit.score_curve.fit",
    "FrameSpec": "frame.spec",
    "ReferenceFrame": "frame.frame",
    "build_frame": "frame.frame",
    "load_frame": "frame.store",
    "write_frame": "frame.store",
    "Density": "density.densities",
    "DensitySet": "density.sets",
    "Comparison": "density.ratios",
    "compare": "density.ratios",
    "compute_density": "density.densities",
    "compute_densities": "density.densities",
    "compute_density_set": "density.sets",
    "Trend": "trend.exponential",
    "fit_density_trend": "trend.exponential",
    "fit_trend": "trend.exponential",
}
__all__ = [
    "Comparison", "Density", "DensitySet", "FrameSpec", "LossLaw", "LossLawFit", "ReferenceFrame", "Registry",
    "ScoreCurve", "ScoreCurveFit", "Size", "Subject", "Trend", "build_frame", "compare", "compute_densities",
    "compute_density", "compute_density_set", "fit_density_trend", "fit_loss_law", "fit_score_curve", "fit_trend",
    "load_frame", "load_registry", "write_frame",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'densing' has no attribute {name!r}")
    return getattr(import_module(f"densing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
