"""densing: how much capability a language model packs into each parameter, and how fast that grows.

The names below are the public interface. They are imported on first use, so that `import densing` costs
nothing and works without the optional packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densing.density.densities import Density as Density
    from densing.density.densities import densities as densities
    from densing.fit.loss_law.fit import LossLawFit as LossLawFit
    from densing.fit.loss_law.fit import fit_loss_law as fit_loss_law
    from densing.fit.loss_law.law import LossLaw as LossLaw
    from densing.fit.score_curve.curve import ScoreCurve as ScoreCurve
    from densing.fit.score_curve.fit import ScoreCurveFit as ScoreCurveFit
    from densing.fit.score_curve.fit import fit_score_curve as fit_score_curve
    from densing.frame.frame import ReferenceFrame as ReferenceFrame
    from densing.frame.frame import build_frame as build_frame
    from densing.frame.frame import load_frame as load_frame
    from densing.frame.spec import FrameSpec as FrameSpec
    from densing.models.registry import Registry as Registry
    from densing.models.registry import load_registry as load_registry
    from densing.models.size import Size as Size
    from densing.models.subject import Subject as Subject
    from densing.trend.exponential import Trend as Trend
    from densing.trend.exponential import fit_trend as fit_trend
    from densing.trend.exponential import trend_of as trend_of

__version__ = "0.1.0"

_HOMES = {
    "densing.density.densities": ("Density", "densities"),
    "densing.models.subject": ("Subject",),
    "densing.fit.loss_law.law": ("LossLaw",),
    "densing.fit.loss_law.fit": ("LossLawFit", "fit_loss_law"),
    "densing.fit.score_curve.curve": ("ScoreCurve",),
    "densing.fit.score_curve.fit": ("ScoreCurveFit", "fit_score_curve"),
    "densing.frame.frame": ("ReferenceFrame", "build_frame", "load_frame"),
    "densing.frame.spec": ("FrameSpec",),
    "densing.models.registry": ("Registry", "load_registry"),
    "densing.models.size": ("Size",),
    "densing.trend.exponential": ("Trend", "fit_trend", "trend_of"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'densing' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
