"""The loss law L(N, D) = a·N^−α + b·D^−β + E: every optimum, with what the data say about each.

Equation (1) of the densing law (Xiao et al. 2025, doi 10.1038/s42256-025-01137-0) without E; E is
Hoffmann et al.'s irreducible loss (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from densing.fit.bootstrap import Resampling, leverage
from densing.fit.loss_law.forms import EXPONENT_BOX, TERMS, Design, FloorLaw, Form, PinnedLaw, PlainLaw, SizeLaw
from densing.fit.optimise.objectives import Objective, ObjectiveName
from densing.fit.optimise.projection import FloatArray, IntArray, SeparableModel
from densing.fit.optimise.search import find_optima
from densing.fit.profile import Interval, Profile, likelihood_interval, profile_costs, region_limit
from densing.fit.status import FitError, FitStatus

if TYPE_CHECKING:
    import pandas as pd

CONSTANTS = ("a", "alpha", "b", "beta", "E")
_SCAN = 61
"""Values a profile looks at before it refines the ends of its region."""
ROBUST_NODES = 8
"""Nodes of each exponent's axis that Huber's fit polishes beside what the search for squares finds."""
GRID_NODES = 48
"""Nodes of each exponent's search axis: neighbours differ by 12%, a fifth of the narrowest basin seen."""
REPLICATE_NODES = 24
"""The same for bootstrap replicates and profiles, which are many: on the published points none of 6,000
replicates misses its best optimum with it."""


@dataclass(frozen=True)
class LossLaw:
    """L(N, D) = a·N^−α + b·D^−β + E, in nats per token.

    Attributes
    ----------
    a, alpha, b, beta, E : float
        Terms that the form lacks are zero.
    """

    a: float
    alpha: float
    b: float
    beta: float
    E: float = 0.0

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Any:
        """Loss of models of N parameters trained on D tokens; arrays broadcast."""
        params, tokens = np.asarray(params, float), np.asarray(tokens, float)
        return self.a * params**-self.alpha + self.b * tokens**-self.beta + self.E

    def data_floor(self, tokens: ArrayLike) -> Any:
        """Loss that remains at D tokens when N is unlimited: b·D^−β + E."""
        return self.b * np.asarray(tokens, float) ** -self.beta + self.E

    def effective_size(self, loss: ArrayLike, tokens: float) -> Any:
        """Parameters that reach `loss` at `tokens`: ((L − floor)/a)^(−1/α); NaN at or under the floor."""
        excess = np.asarray(loss, float) - self.data_floor(tokens)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.where(excess > 0, (excess / self.a) ** (-1 / self.alpha), np.nan)

    @property
    def constants(self) -> FloatArray:
        """a, alpha, b, beta, E as an array of five."""
        return np.array([self.a, self.alpha, self.b, self.beta, self.E])


@dataclass(frozen=True)
class LossLawMode(LossLaw):
    """One optimum of a fit.

    Attributes
    ----------
    objective : float
        Sum of squares (of L or ln L) or sum of Huber's losses.
    delta_aic : float
        Akaike difference to the best optimum: n·ln of the ratio of sums of squares (twice that for
        Huber's objective, whose likelihood is Laplace's).
    status : FitStatus
        `CONVERGED` or `BOUND_HIT`.
    bounds_hit : tuple of str
        Constants on an edge of the box, or held at zero.
    """

    objective: float = np.nan
    delta_aic: float = 0.0
    status: FitStatus = FitStatus.CONVERGED
    bounds_hit: tuple[str, ...] = ()


def law_constants(design: Design, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
    """a, α, b, β, E from shape parameters (..., 2) and coefficients (..., p): (..., 5)."""
    constants = np.zeros((*theta.shape[:-1], 5))
    constants[..., 1] = theta[..., 0]
    if design.has_tokens:
        constants[..., 3] = theta[..., 1]
    one = np.ones(theta.shape[:-1])
    unit = {"a": design.params_unit ** theta[..., 0], "b": design.tokens_unit ** theta[..., 1], "E": one}
    for column, name in enumerate(design.terms):
        constants[..., CONSTANTS.index(name)] = coefficients[..., column] * unit[name]
    return constants


@dataclass(frozen=True)
class LossLawDraws:
    """Constants of every optimum of every bootstrap replicate.

    Attributes
    ----------
    kind : str
        What was resampled.
    constants : array, shape (R, M, 5)
        a, alpha, b, beta, E; best optimum first, NaN where absent.
    objective : array, shape (R, M)
        Infinite where absent.
    """

    kind: str
    constants: FloatArray
    objective: FloatArray

    @property
    def best(self) -> FloatArray:
        """Constants of each replicate's best optimum, (R, 5): optima switch from draw to draw."""
        return self.constants[:, 0]

    def at(self, optimum: int, optima: Sequence[LossLaw]) -> FloatArray:
        """Constants of the optimum that each replicate has in common with one of the fit's, (R, 5).

        Every optimum of a replicate belongs to the nearest of the fit's in (ln α, ln β). NaN where a
        replicate has none that belongs to the one asked for.
        """
        shapes = [[law.alpha, law.beta] if law.beta else [law.alpha] for law in optima]
        columns = [1, 3] if optima[0].beta else [1]
        distance = np.abs(np.log(self.constants[:, :, None, columns]) - np.log(shapes)).sum(-1)
        belongs = np.where(np.isnan(distance), np.inf, distance).argmin(2) == optimum
        objective = np.where(belongs, self.objective, np.inf)
        rows = np.arange(len(objective))
        chosen = objective.argmin(1)
        return np.where(np.isfinite(objective[rows, chosen])[:, None], self.constants[rows, chosen], np.nan)


@dataclass(frozen=True)
class LossLawFit:
    """Everything the data say about the loss law.

    Attributes
    ----------
    modes : tuple of LossLawMode
        All distinct optima, best first.
    status : FitStatus
        `NOT_IDENTIFIED` when the 95% region of the best optimum holds another one or reaches the edge
        of the box; otherwise the best optimum's status.
    reasons : tuple of str
        Why it is not identified, in words.
    limit : float
        Objective on the edge of the 95% likelihood region of one quantity.
    params, tokens, loss, weights : array, shape (n,)
        The points, in increasing order of N, D and L.
    rows : array, shape (n,)
        Row of the caller's data behind each point.
    """

    modes: tuple[LossLawMode, ...]
    status: FitStatus
    reasons: tuple[str, ...]
    limit: float
    form: Form
    objective: ObjectiveName
    delta: float
    params: FloatArray = field(repr=False)
    tokens: FloatArray = field(repr=False)
    loss: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    rows: IntArray = field(repr=False)

    @property
    def best(self) -> LossLawMode:
        """The optimum with the smallest objective."""
        return self.modes[0]

    @property
    def rivals(self) -> tuple[LossLawMode, ...]:
        """Other optima that the data cannot tell from the best one at 95%."""
        return tuple(mode for mode in self.modes[1:] if mode.objective <= self.limit)

    @property
    def modes_distinguished(self) -> bool:
        """False when the data cannot tell the optima apart."""
        return not self.rivals

    @cached_property
    def design(self) -> Design:
        """The points and form that the models are built on."""
        return Design(self.form, self.params, self.tokens)

    def residuals(self, mode: int = 0) -> pd.DataFrame:
        """Points with predicted loss, residual, and relative error in percent."""
        import pandas as pd

        predicted = self.modes[mode].loss(self.params, self.tokens)
        return pd.DataFrame(
            {
                "params": self.params,
                "tokens": self.tokens,
                "loss": self.loss,
                "predicted": predicted,
                "residual": self.loss - predicted,
                "error_pct": 100 * (predicted / self.loss - 1),
            }
        )

    def mean_relative_error_pct(self, mode: int = 0) -> float:
        """Mean of |predicted/measured − 1| over the points, in percent."""
        return float(self.residuals(mode)["error_pct"].abs().mean())

    def profile(
        self, name: str, *, tokens: float | None = None, loss: float | None = None, level: float = 0.95
    ) -> Profile:
        """Objective along one quantity with everything else at its best, and its likelihood interval.

        Parameters
        ----------
        name : str
            A constant (``a``, ``alpha``, ``b``, ``beta``, ``E``), ``data_floor`` (needs `tokens`), or
            ``effective_size`` (needs `tokens` and `loss`).
        tokens : float, optional
            D₀ at which the floor or the size is read.
        loss : float, optional
            L̂ whose size is asked for, in nats per token.
        level : float
            Confidence of the interval.

        Raises
        ------
        ValueError
            If the form has no such constant, or `tokens` or `loss` is missing.
        """
        model, axes, index, at_modes, log_box = self._profiled(name, tokens, loss)
        step = (log_box[1] - log_box[0]) / (_SCAN - 1)
        around = step * np.array([-0.6, -0.2, -0.05, 0, 0.05, 0.2, 0.6])
        near = np.concatenate([at + around for at in at_modes if np.isfinite(at)])
        scan = np.unique(np.clip(np.concatenate([np.linspace(*log_box, _SCAN), near]), *log_box))
        to_theta = np.exp if name in ("alpha", "beta") else np.asarray
        limit = self._limit(level)

        def costs(values: FloatArray) -> FloatArray:
            found = profile_costs(model, self._objective, axes, index, to_theta(values), self.loss, self.weights)
            # An optimum lies on its profile, even where the coarse grid of the profile's search misses it.
            for at, mode in zip(at_modes, self.modes, strict=True):
                found = np.where(values == at, np.minimum(found, mode.objective), found)
            return found

        interval, values, objective = likelihood_interval(costs, scan, limit, level)
        pieces = tuple((float(np.exp(low)), float(np.exp(high))) for low, high in interval.pieces)
        high = np.inf if name == "effective_size" and interval.open_high else pieces[-1][1]
        low = 0.0 if name in ("data_floor", "E") and interval.open_low else pieces[0][0]
        interval = Interval(low, high, level, interval.open_low, interval.open_high, pieces)
        return Profile(name, np.exp(values), objective, limit, interval)

    def interval(
        self, name: str, *, tokens: float | None = None, loss: float | None = None, level: float = 0.95
    ) -> Interval:
        """Likelihood interval of a quantity; see `profile`."""
        return self.profile(name, tokens=tokens, loss=loss, level=level).interval

    @cached_property
    def _objective(self) -> Objective:
        return Objective.named(self.objective, self.delta)

    def _fitted(self, mode: LossLaw) -> tuple[FloatArray, FloatArray]:
        """Prediction and residual on the objective's scale, L or ln L."""
        predicted = mode.loss(self.params, self.tokens)
        if self._objective.logarithmic:
            return np.log(predicted), np.log(self.loss / predicted)
        return predicted, self.loss - predicted

    def _limit(self, level: float) -> float:
        _, residual = self._fitted(self.best)
        count = len(TERMS[self.form]) + (2 if self.design.has_tokens else 1)
        return region_limit(self._objective, residual, self.weights, self.best.objective, count, level)

    def bootstrap(self, plan: Resampling, mode: int = 0) -> LossLawDraws:
        """Refit every replicate of a plan, looking for all optima in each.

        Parameters
        ----------
        plan : Resampling
            Over the fitted rows, in the caller's order.
        mode : int
            Optimum whose residuals a plan of residuals redraws.
        """
        design, kind = self.design, self._objective
        fitted, residual = self._fitted(self.modes[mode])
        root = np.sqrt(self.weights)
        pull = leverage(self._all_slopes(self.modes[mode]), self.weights)
        local = plan.reordered(self.rows)
        targets = local.targets(fitted * root, residual * root, pull) / root
        if kind.logarithmic:
            targets = np.exp(targets)
        unit = float(np.exp(np.log(self.loss).mean()))
        optima = find_optima(
            PlainLaw(design),
            kind,
            design.exponent_axes(REPLICATE_NODES),
            targets / unit,
            local.multiplicity * self.weights,
        )
        scale = 1.0 if kind.logarithmic else unit**2
        constants = law_constants(design, optima.theta, optima.coefficients * unit)
        return LossLawDraws(plan.kind, constants, optima.cost * scale)

    def _all_slopes(self, mode: LossLaw) -> FloatArray:
        """Slopes of the prediction by every constant, (n, k), on the objective's scale."""
        exponents = np.array([[mode.alpha, mode.beta]])
        _, columns = PlainLaw(self.design).columns(exponents)
        unit = {"a": self.design.params_unit**-mode.alpha, "b": self.design.tokens_unit**-mode.beta, "E": 1.0}
        linear = np.array([[getattr(mode, name) * unit[name] for name in self.design.terms]])
        slopes = PlainLaw(self.design).slopes(exponents, linear)[0]
        slopes = np.concatenate([slopes if self.design.has_tokens else slopes[:, :1], columns[0]], -1)
        if self._objective.logarithmic:
            slopes = slopes / mode.loss(self.params, self.tokens)[:, None]
        return slopes

    def _profiled(
        self, name: str, tokens: float | None, loss: float | None
    ) -> tuple[SeparableModel, list[FloatArray], int, list[float], tuple[float, float]]:
        """Model, axes, index of the profiled parameter, its value at the optima, its logarithmic range."""
        design = self.design
        axes = design.exponent_axes(REPLICATE_NODES)
        exponents = ("alpha", "beta") if design.has_tokens else ("alpha",)
        if name in exponents:
            at = [float(np.log(getattr(mode, name))) for mode in self.modes]
            low, high = np.log(EXPONENT_BOX)
            return PlainLaw(design), axes, exponents.index(name), at, (float(low), float(high))
        if name in design.terms:
            at = [float(np.log(max(getattr(mode, name), 1e-12))) for mode in self.modes]
            edge = (min(at) - 15.0, max(at) + 15.0)
            return PinnedLaw(design, name), [*axes, np.zeros(1)], 2, at, edge
        if tokens is None or (name == "effective_size" and loss is None):
            missing = "tokens" if tokens is None else "loss"
            if name in ("data_floor", "effective_size"):
                raise ValueError(f"the profile of {name} needs {missing}=")
            known = (*exponents, *design.terms, "data_floor", "effective_size")
            raise ValueError(f"no quantity {name!r} in the {self.form} law; choose one of {', '.join(known)}")
        if not 0 < tokens < np.inf:
            raise FitError(f"tokens={tokens:g} must be positive and finite")
        axes = [*axes, design.share_axis(), np.zeros(1)]
        if name == "data_floor":
            floors = [float(mode.data_floor(tokens)) for mode in self.modes]
            top = float(np.log(self.loss.min()))
            at = [float(np.log(max(floor, 1e-9 * self.loss.min()))) for floor in floors]
            return FloorLaw(design, tokens), axes, 3, at, (top + float(np.log(1e-9)), top)
        assert loss is not None
        sizes = [float(mode.effective_size(loss, tokens)) for mode in self.modes]
        if np.isnan(sizes).all():
            raise FitError(f"a loss of {loss:g} is under the data floor of every optimum at {tokens:g} tokens")
        at = [float(np.log(size)) for size in sizes]
        return SizeLaw(design, loss, tokens), axes, 3, at, (0.0, 60.0)

    def to_frame(self) -> pd.DataFrame:
        """One row per optimum."""
        import pandas as pd

        names = [
            c for c in CONSTANTS if c in TERMS[self.form] or c == "alpha" or (c == "beta" and self.design.has_tokens)
        ]
        return pd.DataFrame(
            [
                {name: getattr(mode, name) for name in names}
                | {"objective": mode.objective, "delta_aic": mode.delta_aic, "status": str(mode.status)}
                for mode in self.modes
            ],
            index=[f"optimum {i + 1}" for i in range(len(self.modes))],
        )

    def __str__(self) -> str:
        lines = [
            f"Loss law ({self.form}, {self.objective}) on {len(self.loss)} points: {self.status}",
            self.to_frame().to_string(float_format=lambda value: f"{value:.5g}"),
            *(f"  {reason}" for reason in self.reasons),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{reason}</li>" for reason in self.reasons)
        table = self.to_frame().to_html(float_format=lambda value: f"{value:.5g}")
        head = f"<p>Loss law ({self.form}, {self.objective}), {len(self.loss)} points: {self.status}</p>"
        return f"{head}{table}<ul>{notes}</ul>"
