"""Fitting the loss law: check the points, find every optimum, say what the data can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import FloatArray, IntArray
from densing.fit.loss_law.forms import EXPONENT_BOX, TERMS, Design, FloorLaw, Form, PinnedLaw, PlainLaw, SizeLaw
from densing.fit.loss_law.law import CONSTANTS, LossLawOptimum, law_constants, law_shape
from densing.fit.model import FittedModel
from densing.fit.optimise.objectives import Objective, ObjectiveName
from densing.fit.optimise.projection import SeparableModel
from densing.fit.optimise.search import find_optima, finish
from densing.fit.points import as_columns, demand_positive
from densing.fit.profile import Problem, Quantity, profile_costs
from densing.fit.status import FitError

if TYPE_CHECKING:
    import pandas as pd

GRID_NODES = 48
"""Nodes of each exponent's search axis: neighbours differ by 12%, a fifth of the narrowest basin seen."""
REPLICATE_NODES = 24
"""The same for bootstrap replicates and profiles, which are many: on the published points none of 6,000
replicates misses its best optimum with it."""
ROBUST_NODES = 8
"""Nodes of each exponent's axis that Huber's fit polishes beside what the search for squares finds."""
LARGEST_WEIGHT = 1e6
"""Times the smallest weight of a point."""


@dataclass(frozen=True, repr=False)
class LossLawFit(FittedModel[LossLawOptimum]):
    """Everything the data say about the loss law; see `fit_loss_law`.

    Attributes
    ----------
    optima : tuple of LossLawOptimum
        All distinct optima, the best first.
    form : {"two-term", "irreducible", "params-only"}
        Form of the law.
    objective : {"least-squares", "log-least-squares", "huber-log"}
        What was minimised.
    delta : float
        Huber's δ, in units of ln L.
    params, tokens, loss, weights : array, shape (n,)
        The points, in increasing order of N, D and L.
    rows : array, shape (n,)
        Row of the caller's data behind each point.
    """

    form: Form
    objective: ObjectiveName
    delta: float
    params: FloatArray = field(repr=False)
    tokens: FloatArray = field(repr=False)
    loss: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)

    scan_nodes = 61

    @cached_property
    def design(self) -> Design:
        """The points and the form that the models are built on."""
        return Design(self.form, self.params, self.tokens)

    @cached_property
    def problem(self) -> Problem:
        """The law on its points."""
        objective = Objective.named(self.objective, self.delta)
        return Problem(PlainLaw(self.design), objective, self.loss, self.weights, _constants(self.form))

    @property
    def title(self) -> str:
        """Form, objective and number of points."""
        return f"Loss law ({self.form}, {self.objective}) on {len(self.loss)} points"

    @property
    def fitted_constants(self) -> tuple[str, ...]:
        """Names of the constants that the form has."""
        return tuple(name for name in CONSTANTS if name in (*self._exponents, *self.design.terms))

    @property
    def columns(self) -> tuple[str, ...]:
        """Constants, objective and the difference of Akaike's criterion."""
        return (*self.fitted_constants, "objective", "delta_aic")

    @property
    def _exponents(self) -> tuple[str, ...]:
        return ("alpha", "beta") if self.design.has_tokens else ("alpha",)

    def predicted(self, optimum: int = 0) -> FloatArray:
        """Loss that an optimum predicts at every point, nats per token."""
        predicted: FloatArray = self.optima[optimum].loss(self.params, self.tokens)
        return predicted

    def residuals(self, optimum: int = 0) -> pd.DataFrame:
        """Points with predicted loss, residual (nats per token), and relative error in percent."""
        import pandas as pd

        predicted = self.predicted(optimum)
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

    def mean_relative_error_pct(self, optimum: int = 0) -> float:
        """Mean of ``|predicted/measured − 1|`` over the points, in percent."""
        return float(self.residuals(optimum)["error_pct"].abs().mean())

    def shape_of(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Exponents (..., 2) and coefficients (..., p) of the design's columns from constants (..., 5)."""
        return law_shape(self.design, constants)

    def distances(self, constants: FloatArray) -> FloatArray:
        """Distances in (ln α, ln β) of laws with these constants (..., 5) from the fit's optima (..., K)."""
        exponents = [CONSTANTS.index(name) for name in self._exponents]
        own = np.log(np.array([optimum.constants for optimum in self.optima])[:, exponents])
        return np.abs(np.log(constants[..., None, exponents]) - own).sum(-1)

    def refit(self, targets: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find all optima of R other sets of losses at the same points: constants (R, M, 5), objective (R, M)."""
        objective, unit = self.problem.objective, _unit(self.loss)
        axes = self.design.exponent_axes(REPLICATE_NODES)
        optima = find_optima(self.problem.model, objective, axes, targets / unit, weights)
        constants = law_constants(self.design, optima.theta, optima.coefficients * unit)
        return constants, optima.cost * (1.0 if objective.logarithmic else unit**2)

    def describe(self, optimum: LossLawOptimum) -> str:
        """Exponents and irreducible loss of an optimum."""
        return f"(α {optimum.alpha:.3g}, β {optimum.beta:.3g}, E {optimum.E:.3g})"

    def doubts(self) -> list[str]:
        """Exponents whose 95% region reaches the edge of its box."""
        found = []
        for name in self._exponents:
            quantity = self.quantity(name)
            costs = profile_costs(self.problem, quantity, np.array(quantity.box))
            for edge, cost in zip(EXPONENT_BOX, costs, strict=True):
                if cost <= self.limit:
                    found.append(f"the 95% region of {name} reaches the edge of its box, {edge:g}")
        return found

    def quantity(self, name: str, *, tokens: float | None = None, loss: float | None = None) -> Quantity:
        """A constant, the data floor at `tokens`, or the effective size of `loss` at `tokens`.

        Raises
        ------
        FitError
            If the form has no such constant, or `tokens` or `loss` is missing or out of range.
        """
        design, axes = self.design, self.design.exponent_axes(REPLICATE_NODES)
        if name in self._exponents:
            at = [np.log(getattr(optimum, name)) for optimum in self.optima]
            index = self._exponents.index(name)
            return _log_quantity(name, PlainLaw(design), axes, index, at, np.log(EXPONENT_BOX), shape=np.exp)
        if name in design.terms:
            at = [np.log(max(getattr(optimum, name), 1e-12)) for optimum in self.optima]
            box = np.array([min(at) - 15.0, max(at) + 15.0])
            return _log_quantity(name, PinnedLaw(design, name), [*axes, np.zeros(1)], 2, at, box)
        if name not in ("data_floor", "effective_size"):
            known = (*self.fitted_constants, "data_floor", "effective_size")
            raise FitError(f"there is no quantity {name!r} in the {self.form} law; choose one of {', '.join(known)}")
        if tokens is None or (name == "effective_size" and loss is None):
            missing = "tokens, the D₀ it is read at" if tokens is None else "loss, the L̂ whose size is asked for"
            raise FitError(f"the profile of {name} needs {missing}")
        if not 0 < tokens < np.inf:
            raise FitError(f"tokens={tokens:g} must be positive and finite")
        axes = [*axes, design.share_axis(), np.zeros(1)]
        if name == "data_floor":
            at = [np.log(max(optimum.data_floor(tokens), 1e-300)) for optimum in self.optima]
            # A loss at D₀ or fewer tokens holds the floor under it; one at more says nothing of it.
            above = self.loss[self.tokens <= tokens]
            top = max(*at, np.log(above.min()) if len(above) else max(at) + np.log(10))
            box = np.array([top + np.log(1e-9), top])
            at = np.maximum(at, box[0]).tolist()
            return _log_quantity(name, FloorLaw(design, tokens), axes, 3, at, box)
        assert loss is not None
        excess = [loss - float(optimum.data_floor(tokens)) for optimum in self.optima]
        at = [
            np.log(optimum.a / over) / optimum.alpha if over > 0 else np.nan
            for optimum, over in zip(self.optima, excess, strict=True)
        ]
        if np.isnan(at).all():
            raise FitError(
                f"a loss of {loss:g} is under the data floor of every optimum at {tokens:g} tokens, so no size "
                "reaches it; ask for a higher loss or more tokens"
            )
        return _log_quantity(name, SizeLaw(design, loss, tokens), axes, 3, at, np.array([0.0, 60.0]))


def _log_quantity(
    name: str,
    model: SeparableModel,
    axes: list[FloatArray],
    index: int,
    at: list[float],
    box: FloatArray,
    shape: Callable[[FloatArray], FloatArray] = np.asarray,
) -> Quantity:
    """A quantity whose coordinate is its logarithm."""
    low = 0.0 if name in ("data_floor", "E") else float(np.exp(box[0]))
    high = np.inf if name == "effective_size" else float(np.exp(box[1]))
    edges = (float(box[0]), float(box[1]))
    return Quantity(name, model, axes, index, tuple(map(float, at)), edges, shape, np.exp, (low, high))


def fit_loss_law(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    form: Form = "two-term",
    objective: ObjectiveName = "least-squares",
    delta: float = 1e-3,
    weights: ArrayLike | None = None,
) -> LossLawFit:
    """Fit the loss law to measured losses and return every distinct optimum.

    Parameters
    ----------
    params : array, shape (n,)
        N of each model, without or with embeddings, as the frame to be made will be read.
    tokens : array, shape (n,)
        D of each model.
    loss : array, shape (n,)
        Conditional loss, nats per token.
    form : {"two-term", "irreducible", "params-only"}
        The law is a·N^−α + b·D^−β; the same with + E; or a·N^−α + E.
    objective : {"least-squares", "log-least-squares", "huber-log"}
        What is summed over the points: squares of residuals of L; squares of residuals of ln L; Huber's
        loss of residuals of ln L.
    delta : float
        Huber's δ, in units of ln L.
    weights : array, shape (n,), optional
        Weight of each point in the objective; 1 where not given.

    Returns
    -------
    LossLawFit
        All distinct optima; the same whatever the order of the points.

    Raises
    ------
    FitError
        If the data cannot be fitted: fewer points than constants + 1, a single N or D, D proportional
        to N, values that are not positive and finite, an unknown form or objective.
    """
    if form not in get_args(Form):
        raise FitError(f"unknown form {form!r}; choose one of {', '.join(get_args(Form))}")
    kind = Objective.named(objective, delta)
    n, d, measured, weight, rows = _checked_points(params, tokens, loss, weights, form)
    design, unit = Design(form, n, d), _unit(measured)
    model, target = PlainLaw(design), measured / unit
    extra = np.stack(np.meshgrid(*design.exponent_axes(ROBUST_NODES)), -1).reshape(-1, 2) if kind.delta else None
    found = find_optima(model, kind, design.exponent_axes(GRID_NODES), target[None], weight[None], extra)
    finished = finish(model, kind, found, target, weight)
    theta, coefficients, cost = (np.array(part) for part in zip(*finished, strict=True))
    cost = cost * (1.0 if kind.logarithmic else unit**2)
    optima = _optima(design, theta, coefficients * unit, cost, kind)
    return LossLawFit(optima, rows, form, objective, delta, n, d, measured, weight)


def _constants(form: Form) -> int:
    """Number of constants of a form."""
    return len(TERMS[form]) + (2 if "b" in TERMS[form] else 1)


def _unit(loss: FloatArray) -> float:
    """Geometric mean of the losses, by which they are divided in the search."""
    return float(np.exp(np.log(loss).mean()))


def _checked_points(
    params: ArrayLike, tokens: ArrayLike, loss: ArrayLike, weights: ArrayLike | None, form: Form
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
    """The points in increasing order and their rows, or a FitError that says what is wrong with them."""
    named = {"params": params, "tokens": tokens, "loss": loss}
    arrays = as_columns(named if weights is None else named | {"weights": weights})
    for name, values in arrays.items():
        demand_positive(name, values)
    count, constants = len(arrays["loss"]), _constants(form)
    if count < constants + 1:
        raise FitError(
            f"{count} points cannot fit the {constants} constants of the {form} law; give at least {constants + 1}"
        )
    rows = np.lexsort((arrays["loss"], arrays["tokens"], arrays["params"]))
    n, d, measured = (arrays[name][rows] for name in ("params", "tokens", "loss"))
    if np.ptp(n) == 0:
        raise FitError(f"all points have params = {n[0]:g}: one size says nothing about α; add models of other sizes")
    if "b" in TERMS[form]:
        if np.ptp(d) == 0:
            raise FitError(
                f"all points have tokens = {d[0]:g}: one budget says nothing about β (the form params-only needs none)"
            )
        ratio = d / n
        if np.ptp(ratio) <= 1e-6 * ratio.max():
            raise FitError(
                f"tokens are {ratio[0]:g} times params at every point: the terms in N and in D cannot be told apart; "
                "add points of another ratio, or fit the form params-only"
            )
    weight = arrays["weights"][rows] if weights is not None else np.ones(count)
    if weight.max() > LARGEST_WEIGHT * weight.min():
        raise FitError(
            f"weights from {weight.min():g} to {weight.max():g}: a point with less than {1 / LARGEST_WEIGHT:g} of "
            "another's weight has no part in the fit; leave it out, or correct the weights"
        )
    return n, d, measured, weight, rows


def _optima(
    design: Design, theta: FloatArray, coefficients: FloatArray, cost: FloatArray, objective: Objective
) -> tuple[LossLawOptimum, ...]:
    optima = []
    tiny = 1e-9 * coefficients.max()
    # A logarithm comes near zero and never there; how near is chance.
    for shape, linear, value in zip(theta, np.where(coefficients <= tiny, 0.0, coefficients), cost, strict=True):
        hit = [
            name
            for name, exponent in zip(("alpha", "beta"), shape, strict=True)
            if (name == "alpha" or design.has_tokens)
            and not EXPONENT_BOX[0] * 1.0001 < exponent < EXPONENT_BOX[1] * 0.9999
        ]
        hit += [name for name, coefficient in zip(design.terms, linear, strict=True) if coefficient <= tiny]
        ratio = float(np.log(max(value, 1e-300) / max(cost[0], 1e-300)))
        delta_aic = (1 if objective.delta is None else 2) * len(design.params) * ratio
        constants = dict(zip(CONSTANTS, law_constants(design, shape, linear).tolist(), strict=True))
        optima.append(LossLawOptimum(**constants, objective=float(value), delta_aic=delta_aic, bounds_hit=tuple(hit)))
    return tuple(optima)
