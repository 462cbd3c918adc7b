"""What the fits of the loss law and of the score curve have in common.

A fit is its points, its settings and the optima found in them. All that it says beyond that, its status,
its intervals, its bootstrap, follows from those three and is worked out when it is first asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from densing.core.arrays import FloatArray, IntArray
from densing.core.intervals import Interval
from densing.core.results import Result
from densing.fit.bootstrap import Kind, Resampling, leverage
from densing.fit.profile import Problem, Profile, Quantity, likelihood_interval, profile_costs, region_limit
from densing.fit.status import FitStatus

if TYPE_CHECKING:
    import pandas as pd


class Optimum(Protocol):
    """One local minimum of a fit's objective."""

    @property
    def constants(self) -> FloatArray:
        """Constants of the law or curve, shape (k,)."""

    @property
    def objective(self) -> float:
        """Value of the objective."""

    @property
    def bounds_hit(self) -> tuple[str, ...]:
        """Names of the constants that lie on a bound."""


OptimumT = TypeVar("OptimumT", bound=Optimum)


@dataclass(frozen=True)
class Draws:
    """Constants of every optimum of every bootstrap replicate.

    Attributes
    ----------
    kind : {"points", "clusters", "residuals"}
        What was resampled.
    constants : array, shape (R, M, k)
        The best optimum of each replicate first; NaN where there are fewer.
    objective : array, shape (R, M)
        Infinite where there are fewer.
    nearest : array, shape (R, M)
        Index of the fit's optimum that each optimum of a replicate lies nearest to.
    """

    kind: Kind
    constants: FloatArray
    objective: FloatArray
    nearest: IntArray

    @property
    def best(self) -> FloatArray:
        """Constants of each replicate's best optimum, (R, k): optima switch from draw to draw."""
        return self.constants[:, 0]

    def at(self, optimum: int) -> FloatArray:
        """Constants of the optimum that each replicate has in common with the fit, (R, k).

        Parameters
        ----------
        optimum : int
            Index of the fit's optimum.

        Returns
        -------
        array, shape (R, k)
            The best of a replicate's optima that lie nearest to the one asked for; NaN where there is none.
        """
        objective = np.where(self.nearest == optimum, self.objective, np.inf)
        rows, chosen = np.arange(len(objective)), objective.argmin(1)
        known = np.isfinite(objective[rows, chosen])
        return np.where(known[:, None], self.constants[rows, chosen], np.nan)


@dataclass(frozen=True, repr=False)
class FittedModel(Result, ABC, Generic[OptimumT]):
    """Everything the data say about a law or a curve.

    Attributes
    ----------
    optima : tuple
        All distinct optima, the best first.
    rows : array, shape (n,)
        Row of the caller's data behind each point.
    """

    optima: tuple[OptimumT, ...]
    rows: IntArray = field(repr=False)

    scan_nodes: ClassVar[int]
    """Values that a profile looks at before it refines the ends of its region."""

    @property
    @abstractmethod
    def problem(self) -> Problem:
        """What was minimised. Its first n points are the fit's; those after them belong to every replicate."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What was fitted to what, in a few words."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """What `to_frame` shows of an optimum."""

    @abstractmethod
    def predicted(self, optimum: int = 0) -> FloatArray:
        """Prediction of an optimum at every point of the problem."""

    @abstractmethod
    def shape_of(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shape parameters (..., q) and coefficients (..., p) of the problem's model from constants (..., k)."""

    @abstractmethod
    def distances(self, constants: FloatArray) -> FloatArray:
        """Distances (..., K) of laws or curves with these constants (..., k) from the fit's K optima."""

    @abstractmethod
    def refit(self, targets: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find all optima of R other data at the same points: constants (R, M, k) and objective (R, M)."""

    @abstractmethod
    def residuals(self, optimum: int = 0) -> pd.DataFrame:
        """Points with what an optimum predicts of them and by how much it errs."""

    @abstractmethod
    def quantity(self, name: str, *, tokens: float | None = None, loss: float | None = None) -> Quantity:
        """The quantity of that name, ready to be profiled; the arguments are those of `profile`."""

    @abstractmethod
    def describe(self, optimum: OptimumT) -> str:
        """An optimum in a few words, enough to tell it from the others."""

    @abstractmethod
    def doubts(self) -> Sequence[str]:
        """Why the data do not identify the best optimum, other optima apart."""

    def remarks(self) -> Sequence[str]:
        """What a reader should know about a fit even where it is identified."""
        return ()

    @property
    def best(self) -> OptimumT:
        """The optimum with the smallest objective."""
        return self.optima[0]

    @cached_property
    def limit(self) -> float:
        """Objective on the edge of the 95% likelihood region of one quantity."""
        return self.limit_at(0.95)

    def limit_at(self, level: float) -> float:
        """Objective on the edge of the likelihood region of one quantity at a confidence."""
        return region_limit(self.problem, self._residual(0), self.best.objective, level)

    @property
    def rivals(self) -> tuple[OptimumT, ...]:
        """Other optima that the data cannot tell from the best one at 95%."""
        return tuple(optimum for optimum in self.optima[1:] if optimum.objective <= self.limit)

    @cached_property
    def _reasons(self) -> tuple[str, ...]:
        """Why the best optimum is not identified."""
        others = "; ".join(self.describe(rival) for rival in self.rivals)
        return (*((f"the data cannot tell the best optimum from {others} at 95%",) if others else ()), *self.doubts())

    @property
    def notes(self) -> tuple[str, ...]:
        """Why the fit is not identified, and what else its points leave open."""
        return (*self._reasons, *self.remarks())

    @property
    def status(self) -> FitStatus:
        """How far the best optimum can be trusted."""
        return self.status_of(0)

    def status_of(self, optimum: int) -> FitStatus:
        """How far one of the optima can be trusted; see `FitStatus`."""
        if self.optima[optimum].objective > self.limit:
            return FitStatus.REJECTED
        if optimum or self._reasons:
            return FitStatus.NOT_IDENTIFIED
        return FitStatus.BOUND_HIT if self.best.bounds_hit else FitStatus.CONVERGED

    def profile(
        self, name: str, *, tokens: float | None = None, loss: float | None = None, level: float = 0.95
    ) -> Profile:
        """Objective along one quantity with everything else at its best, and its likelihood interval.

        Parameters
        ----------
        name : str
            For a loss law a constant (``a``, ``alpha``, ``b``, ``beta``, ``E``), ``data_floor`` (needs
            `tokens`) or ``effective_size`` (needs `tokens` and `loss`); for a score curve ``l`` or ``gamma``.
        tokens : float, optional
            D₀ at which the data floor or the effective size is read.
        loss : float, optional
            L̂ whose effective size is asked for, nats per token.
        level : float
            Confidence of the interval, 0 to 1.

        Raises
        ------
        FitError
            If the fit has no such quantity, or `tokens` or `loss` is missing or out of range.
        """
        quantity = self.quantity(name, tokens=tokens, loss=loss)

        def costs(coordinates: FloatArray) -> FloatArray:
            found = profile_costs(self.problem, quantity, coordinates)
            # An optimum lies on its profile, even where the coarse grid of the profile's search misses it.
            for at, optimum in zip(quantity.at, self.optima, strict=True):
                found = np.where(coordinates == at, np.minimum(found, optimum.objective), found)
            return found

        limit = self.limit_at(level)
        region, coordinates, objective = likelihood_interval(costs, quantity.scan(self.scan_nodes), limit, level)
        return Profile(name, quantity.value(coordinates), objective, limit, quantity.interval(region))

    def interval(
        self, name: str, *, tokens: float | None = None, loss: float | None = None, level: float = 0.95
    ) -> Interval:
        """Likelihood interval of a quantity; the arguments are those of `profile`."""
        return self.profile(name, tokens=tokens, loss=loss, level=level).interval

    def bootstrap(self, plan: Resampling, optimum: int = 0) -> Draws:
        """Refit every replicate of a plan, looking for all optima in each.

        Parameters
        ----------
        plan : Resampling
            A plan over the fitted rows, in the caller's order.
        optimum : int
            Index of the optimum whose fitted values and residuals make the replicates, where the plan
            redraws residuals.

        Raises
        ------
        FitError
            If the plan is over another number of rows.
        """
        problem, points = self.problem, len(self.rows)
        plan = plan.reordered(self.rows)
        fitted = problem.objective.scaled(self.predicted(optimum))[:points]
        residual, pull = self._residual(optimum)[:points], self._pull(optimum)[:points]
        # Residuals of unequal weight are made comparable before they change places.
        root = np.sqrt(problem.weights[:points])
        redrawn = problem.objective.unscaled(plan.targets(fitted * root, residual * root, pull) / root)
        fixed = np.tile(problem.target[points:], (len(plan), 1))
        taken = np.concatenate([plan.multiplicity, np.ones_like(fixed)], 1)
        constants, objective = self.refit(np.concatenate([redrawn, fixed], 1), taken * problem.weights)
        distance = self.distances(constants)
        nearest = np.where(np.isnan(distance), np.inf, distance).argmin(-1)
        return Draws(plan.kind, constants, objective, nearest)

    def _residual(self, optimum: int) -> FloatArray:
        """Residuals at every point of the problem, on the scale of its objective."""
        return self.problem.objective.residual(self.problem.target, self.predicted(optimum))

    def _pull(self, optimum: int) -> FloatArray:
        """Leverage of every point of the problem."""
        problem = self.problem
        theta, coefficients = self.shape_of(self.optima[optimum].constants[None])
        by_coefficient = problem.model.columns(theta)[1][0]
        slopes = np.concatenate([problem.model.slopes(theta, coefficients)[0], by_coefficient], -1)
        if problem.objective.logarithmic:
            slopes = slopes / self.predicted(optimum)[:, None]
        return leverage(slopes, problem.weights)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row per optimum: its constants, its objective and its status."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {name: getattr(optimum, name) for name in self.columns} | {"status": str(self.status_of(index))}
            for index, optimum in enumerate(self.optima)
        ]
        return pd.DataFrame(rows, index=[f"optimum {i + 1}" for i in range(len(rows))])

    @property
    def brief(self) -> str:
        """The fit's status, and its best optimum in a few words."""
        others = f", and {len(self.optima) - 1} other optima" if len(self.optima) > 1 else ""
        return f"{self.title}, {self.status}: {self.describe(self.best)}{others}"

    def __str__(self) -> str:
        table = self.to_frame().to_string(float_format=_short)
        return "\n".join([f"{self.title}: {self.status}", table, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        table = self.to_frame().to_html(float_format=_short)
        return f"<p>{escape(self.title)}: {self.status}</p>{table}<ul>{notes}</ul>"


def _short(value: float) -> str:
    return f"{value:.5g}"
