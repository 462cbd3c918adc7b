"""densing: how much capability a language model packs into each parameter, and how fast that grows.

The names below are the public interface. They are imported on first use, so that `import densing` costs
nothing and works without the optional packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densing.density import Density as Density
    from densing.density import Subject as Subject
    from densing.density import densities as densities
    from densing.fit.loss_law import LossLaw as LossLaw
    from densing.fit.loss_law import LossLawFit as LossLawFit
    from densing.fit.loss_law_fitting import fit_loss_law as fit_loss_law
    from densing.fit.score_curve import ScoreCurve as ScoreCurve
    from densing.fit.score_curve import ScoreCurveFit as ScoreCurveFit
    from densing.fit.score_curve_fitting import fit_score_curve as fit_score_curve
    from densing.frame import ReferenceFrame as ReferenceFrame
    from densing.frame import build_frame as build_frame
    from densing.frame import load_frame as load_frame
    from densing.frame_spec import FrameSpec as FrameSpec
    from densing.registry import Registry as Registry
    from densing.registry import load_registry as load_registry
    from densing.size import Size as Size
    from densing.trend import Trend as Trend
    from densing.trend import fit_trend as fit_trend

__version__ = "0.1.0"

_HOMES = {
    "densing.density": ("Density", "Subject", "densities"),
    "densing.fit.loss_law": ("LossLaw", "LossLawFit"),
    "densing.fit.loss_law_fitting": ("fit_loss_law",),
    "densing.fit.score_curve": ("ScoreCurve", "ScoreCurveFit"),
    "densing.fit.score_curve_fitting": ("fit_score_curve",),
    "densing.frame": ("ReferenceFrame", "build_frame", "load_frame"),
    "densing.frame_spec": ("FrameSpec",),
    "densing.registry": ("Registry", "load_registry"),
    "densing.size": ("Size",),
    "densing.trend": ("Trend", "fit_trend"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'densing' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
