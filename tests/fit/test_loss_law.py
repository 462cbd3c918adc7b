"""The loss law is recovered, whatever the order, the units or the company of its points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import f

from densing import LossLaw, fit_loss_law
from densing.fit.bootstrap import resample
from densing.fit.hold_out import hold_out_largest, hold_out_scores, leave_one_size_out
from densing.fit.optimise.objectives import Objective
from densing.fit.score_curve.curve import ScoreCurve
from densing.fit.status import FitError, FitStatus

TRUTH = LossLaw(a=12.0, alpha=0.25, b=60.0, beta=0.3, E=0.0)
SIZES = np.array([5e6, 3e7, 1e8, 2.5e8, 5e8, 8e8])


def design(ratios=(10, 15, 20, 30, 40, 60)):
    params = np.repeat(SIZES, len(ratios))
    return params, params * np.tile(ratios, len(SIZES))


def noisy(law, sigma, seed=0):
    params, tokens = design()
    rng = np.random.default_rng(seed)
    return params, tokens, law.loss(params, tokens) * np.exp(sigma * rng.standard_normal(len(params)))


@pytest.mark.parametrize("objective", ["least-squares", "log-least-squares", "huber-log"])
@pytest.mark.parametrize(
    ("form", "law"),
    [
        ("two-term", TRUTH),
        ("irreducible", LossLaw(20.0, 0.3, 80.0, 0.28, 0.15)),
        ("params-only", LossLaw(20.0, 0.3, 0.0, 0.0, 0.15)),
    ],
)
def test_an_exact_law_is_recovered(form, law, objective):
    params, tokens = design()
    loss = law.a * params**-law.alpha + law.E + (law.b * tokens**-law.beta if law.b else 0.0)
    fit = fit_loss_law(params, tokens, loss, form=form, objective=objective)
    for name in ("a", "alpha", "b", "beta", "E"):
        assert getattr(fit.best, name) == pytest.approx(getattr(law, name), rel=2e-4, abs=1e-12), name
    assert fit.best.objective < 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_points_does_not_matter(seed):
    params, tokens, loss = noisy(TRUTH, 0.01)
    order = np.random.default_rng(seed).permutation(len(params))
    shuffled, straight = fit_loss_law(params[order], tokens[order], loss[order]), fit_loss_law(params, tokens, loss)
    assert shuffled.optima == straight.optima
    np.testing.assert_array_equal(params[order][shuffled.rows], straight.params)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.sampled_from(["least-squares", "log-least-squares", "huber-log"]))
def test_scaling_the_loss_scales_the_coefficients(scale, objective):
    params, tokens, loss = noisy(LossLaw(20.0, 0.3, 80.0, 0.28, 0.15), 0.005)
    plain = fit_loss_law(params, tokens, loss, form="irreducible", objective=objective)
    scaled = fit_loss_law(params, tokens, scale * loss, form="irreducible", objective=objective)
    assert len(scaled.optima) == len(plain.optima)
    for one, other in zip(plain.optima, scaled.optima, strict=True):
        assert other.alpha == pytest.approx(one.alpha, rel=1e-5)
        assert other.beta == pytest.approx(one.beta, rel=1e-5)
        assert [other.a, other.b, other.E] == pytest.approx([scale * one.a, scale * one.b, scale * one.E], rel=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_units_of_params_and_tokens_do_not_matter(params_unit, tokens_unit):
    params, tokens, loss = noisy(TRUTH, 0.005)
    plain = fit_loss_law(params, tokens, loss).best
    other = fit_loss_law(params * params_unit, tokens * tokens_unit, loss).best
    assert (other.alpha, other.beta) == pytest.approx((plain.alpha, plain.beta), rel=1e-5)
    assert other.a == pytest.approx(plain.a * params_unit**plain.alpha, rel=1e-3)
    assert other.objective == pytest.approx(plain.objective, rel=1e-9)


def test_duplicated_points_change_nothing_but_the_objective():
    params, tokens, loss = noisy(TRUTH, 0.01)
    once, twice = (fit_loss_law(*(np.tile(v, k) for v in (params, tokens, loss))).best for k in (1, 2))
    assert twice.constants == pytest.approx(once.constants, rel=1e-5)
    assert twice.objective == pytest.approx(2 * once.objective, rel=1e-9)


def test_weights_are_multiplicities():
    params, tokens, loss = noisy(TRUTH, 0.01)
    counts = np.random.default_rng(3).integers(1, 4, len(params))
    repeated = fit_loss_law(*(np.repeat(v, counts) for v in (params, tokens, loss))).best
    weighted = fit_loss_law(params, tokens, loss, weights=counts).best
    assert weighted.constants == pytest.approx(repeated.constants, rel=1e-5)


def test_huber_shrugs_off_one_outlier():
    params, tokens, loss = noisy(TRUTH, 0.002)
    clean = fit_loss_law(params, tokens, loss, objective="huber-log").best
    loss[7] *= 3
    robust = fit_loss_law(params, tokens, loss, objective="huber-log").best
    pulled = fit_loss_law(params, tokens, loss).best
    assert robust.alpha == pytest.approx(clean.alpha, rel=0.05)
    assert abs(pulled.alpha - clean.alpha) > 5 * abs(robust.alpha - clean.alpha)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_descent_from_a_random_start_ends_below_the_best_optimum(seed):
    """The gradient is checked on the way: SciPy descends with a numerical one."""
    from scipy.optimize import minimize

    params, tokens, loss = noisy(TRUTH, 0.01, seed=seed % 1000)
    fit = fit_loss_law(params, tokens, loss)
    start = np.random.default_rng(seed).uniform([np.log(0.1), 0.02, np.log(0.1), 0.02], [8, 1.5, 8, 1.5])

    def squares(x):
        a, alpha, b, beta = np.exp(x[0]), x[1], np.exp(x[2]), x[3]
        return float(((loss - a * (params / 1e8) ** -alpha - b * (tokens / 1e9) ** -beta) ** 2).sum())

    found = minimize(squares, start, method="L-BFGS-B", bounds=[(-20, 20), (0.01, 2), (-20, 20), (0.01, 2)])
    assert found.fun >= fit.best.objective * (1 - 1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d, y: (n[:4], d[:4], y[:4]), "4 points cannot fit the 4 constants"),
        (lambda n, d, y: (np.full_like(n, 1e8), d, y), "one size says nothing"),
        (lambda n, d, y: (n, np.full_like(d, 1e10), y), "one budget says nothing"),
        (lambda n, d, y: (n, 20 * n, y), "20 times params at every point"),
        (lambda n, d, y: (n, d, np.where(np.arange(len(y)) == 3, np.nan, y)), "row 4 is nan"),
        (lambda n, d, y: (n, d, np.where(np.arange(len(y)) == 3, -1.0, y)), "loss must be positive and finite"),
        (lambda n, d, y: (np.where(np.arange(len(n)) == 0, np.inf, n), d, y), "params must be positive and finite"),
        (lambda n, d, y: (n[:-1], d, y), "columns differ in length"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(change, message):
    with pytest.raises(FitError, match=message):
        fit_loss_law(*change(*noisy(TRUTH, 0.01)))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["params", "tokens", "loss", "weights"]),
    st.integers(0, 35),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -2.0]),
)
def test_one_bad_value_anywhere_is_named(column, row, value):
    points = dict(zip(("params", "tokens", "loss"), noisy(TRUTH, 0.01), strict=True)) | {"weights": np.ones(36)}
    points[column][row] = value
    with pytest.raises(FitError, match=f"{column} must be positive and finite: row {row + 1} is {value:g}"):
        fit_loss_law(**points)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 35),
    st.floats(0.05, 20),
    st.sampled_from(["two-term", "irreducible", "params-only"]),
    st.sampled_from(["least-squares", "log-least-squares", "huber-log"]),
)
def test_one_outlier_leaves_a_law(row, factor, form, objective):
    params, tokens, loss = noisy(TRUTH, 0.01)
    loss[row] *= factor
    for optimum in fit_loss_law(params, tokens, loss, form=form, objective=objective).optima:
        assert np.isfinite(optimum.constants).all()
        assert (optimum.constants >= 0).all()
        assert np.isfinite(optimum.objective)


def test_the_region_is_that_of_the_f_test():
    fit = fit_loss_law(*noisy(TRUTH, 0.01))
    assert fit.limit == pytest.approx(fit.best.objective * (1 + f.ppf(0.95, 1, 36 - 4) / (36 - 4)))


def test_sizes_that_leave_the_exponent_open_are_said_to():
    """Two sizes give two levels, which a and E fit with any α."""
    params, tokens = np.repeat([1e7, 1e8], 6), np.tile(np.geomspace(1e9, 1e11, 6), 2)
    loss = TRUTH.loss(params, tokens) * np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    fit = fit_loss_law(params, tokens, loss, form="irreducible")
    assert fit.status is FitStatus.NOT_IDENTIFIED
    assert any("alpha reaches the edge" in reason for reason in fit.notes)


@pytest.mark.parametrize("delta", [0.0, -1e-3, np.nan, np.inf])
def test_a_delta_that_is_none_is_refused(delta):
    with pytest.raises(FitError, match=r"delta=.* must be positive and finite"):
        fit_loss_law(*noisy(TRUTH, 0.01), objective="huber-log", delta=delta)


def test_words_instead_of_numbers_are_refused():
    params, tokens, loss = noisy(TRUTH, 0.01)
    with pytest.raises(FitError, match="must be numbers"):
        fit_loss_law(params, tokens, loss, weights=["one"] * 36)


def test_proportional_tokens_are_no_matter_without_a_term_in_them():
    params = np.geomspace(1e6, 1e9, 8)
    fit = fit_loss_law(params, 20 * params, 20 * params**-0.3 + 0.1, form="params-only")
    assert pytest.approx(0.1, rel=1e-4) == fit.best.E
    assert fit.best.b == 0


def test_unknown_forms_and_objectives_are_named():
    points = noisy(TRUTH, 0.01)
    with pytest.raises(ValueError, match="unknown form 'three-term'"):
        fit_loss_law(*points, form="three-term")
    with pytest.raises(ValueError, match="unknown objective 'mean'"):
        fit_loss_law(*points, objective="mean")


def test_a_term_that_is_not_there_is_a_bound_not_a_number():
    params, tokens = design()
    rng = np.random.default_rng(0)
    loss = 20 * params**-0.3 * np.exp(1e-3 * rng.standard_normal(len(params)))
    fit = fit_loss_law(params, tokens, loss, form="irreducible")
    assert fit.status in (FitStatus.BOUND_HIT, FitStatus.NOT_IDENTIFIED)
    assert fit.best.alpha == pytest.approx(0.3, rel=0.05)


def test_intervals_hold_the_best_value_and_shrink_with_the_noise():
    size = {"tokens": 5e12, "loss": 0.12}
    widths = {}
    for sigma in (0.01, 0.002):
        fit = fit_loss_law(*noisy(TRUTH, sigma), objective="log-least-squares")
        values = {name: getattr(fit.best, name) for name in ("alpha", "beta", "a", "b")}
        values["data_floor"] = fit.best.data_floor(5e12)
        values["effective_size"] = ((0.12 - values["data_floor"]) / values["a"]) ** (-1 / values["alpha"])
        for name, value in values.items():
            asked = {"data_floor": {"tokens": 5e12}, "effective_size": size}.get(name, {})
            interval = fit.interval(name, **asked)
            assert interval.low < value < interval.high, name
            widths.setdefault(name, []).append(np.log(interval.high / interval.low))
    assert all(wide > 1.5 * narrow for wide, narrow in widths.values())


@pytest.mark.parametrize("tokens", [10, 1e8, 1e10, 1e15])
def test_the_floor_has_an_interval_at_any_number_of_tokens(tokens):
    fit = fit_loss_law(*noisy(TRUTH, 0.002), objective="log-least-squares")
    interval = fit.interval("data_floor", tokens=tokens)
    assert interval.low <= fit.best.data_floor(tokens) <= interval.high < np.inf


def test_a_size_beyond_all_that_are_looked_at_is_refused():
    fit = fit_loss_law(*noisy(TRUTH, 0.002), objective="log-least-squares")
    with pytest.raises(FitError, match="outside of the range"):
        fit.profile("effective_size", tokens=5e12, loss=1e6)


def test_a_weight_that_leaves_the_other_points_out_is_refused():
    params, tokens, loss = noisy(TRUTH, 0.002)
    with pytest.raises(FitError, match=r"weights from 1 to 8e\+09"):
        fit_loss_law(params, tokens, loss, weights=np.where(np.arange(len(loss)), 1, 8e9))


def test_the_profile_touches_the_best_objective_and_rises_from_it():
    fit = fit_loss_law(*noisy(TRUTH, 0.005))
    profile = fit.profile("alpha")
    at = int(profile.objective.argmin())
    assert profile.objective[at] == pytest.approx(fit.best.objective, rel=1e-6)
    assert profile.values[at] == pytest.approx(fit.best.alpha, rel=1e-3)
    assert (np.diff(profile.objective[: at + 1]) <= 1e-12).all()


def test_a_profile_of_something_else_is_refused():
    fit = fit_loss_law(*noisy(TRUTH, 0.005))
    with pytest.raises(FitError, match="needs tokens"):
        fit.profile("data_floor")
    with pytest.raises(FitError, match="no quantity 'E' in the two-term law"):
        fit.profile("E")
    with pytest.raises(FitError, match=r"a loss of 0\.0001 is under the data floor of every optimum"):
        fit.profile("effective_size", tokens=5e12, loss=1e-4)
    with pytest.raises(FitError, match="tokens=0 must be positive"):
        fit.profile("data_floor", tokens=0)


@pytest.mark.parametrize("kind", ["points", "clusters", "residuals"])
def test_bootstrap_draws_scatter_about_the_fit(kind):
    params, tokens, loss = noisy(TRUTH, 0.003)
    fit = fit_loss_law(params, tokens, loss)
    plan = resample(kind, len(params), 200, np.random.default_rng(0), params)
    draws = fit.bootstrap(plan)
    alpha = draws.best[:, 1]
    assert np.median(alpha) == pytest.approx(fit.best.alpha, rel=0.1)
    assert 0.001 < alpha.std() < 0.1
    assert (np.diff(draws.objective[:, :2], axis=1) >= 0).all()


def test_a_replicate_is_the_fit_of_its_own_points():
    params, tokens, loss = noisy(TRUTH, 0.01)
    order = np.random.default_rng(9).permutation(len(params))
    params, tokens, loss = params[order], tokens[order], loss[order]
    plan = resample("points", len(params), 4, np.random.default_rng(1))
    draws = fit_loss_law(params, tokens, loss).bootstrap(plan)
    for row in range(4):
        taken = np.repeat(np.arange(len(params)), plan.multiplicity[row].astype(int))
        alone = fit_loss_law(params[taken], tokens[taken], loss[taken])
        assert draws.best[row] == pytest.approx(alone.best.constants, rel=1e-4)
        assert draws.objective[row, 0] == pytest.approx(alone.best.objective, rel=1e-8)


def test_clusters_need_three_sizes():
    with pytest.raises(FitError, match="2 clusters cannot be resampled"):
        resample("clusters", 4, 10, np.random.default_rng(0), [1, 1, 2, 2])


def test_a_plan_for_other_rows_is_refused():
    fit = fit_loss_law(*noisy(TRUTH, 0.01))
    with pytest.raises(FitError, match="plan is over 5 rows, the fit over 36"):
        fit.bootstrap(resample("points", 5, 10, np.random.default_rng(0)))


def test_the_largest_size_is_predicted_from_the_others():
    fit = fit_loss_law(*noisy(TRUTH, 0.002))
    table = hold_out_largest(fit, 1)
    assert set(table["params"]) == {SIZES.max()}
    assert table["error_pct"].abs().max() < 2
    assert len(leave_one_size_out(fit)) == len(SIZES)
    with pytest.raises(FitError, match="cannot leave out 6 of 6 sizes"):
        hold_out_largest(fit, 6)


@pytest.mark.parametrize("seed", [14, 17, 24, 28, 29, 37])
def test_outliers_do_not_hide_the_best_optimum(seed):
    """No worse than a local search that starts from the true law, whatever outliers do to squares."""
    law = LossLaw(20.0, 0.3, 80.0, 0.28, 0.15)
    params, tokens, loss = noisy(law, 0.005, seed)
    rng = np.random.default_rng([seed, 1])
    outliers = rng.choice(len(loss), 4, replace=False)
    loss[outliers] *= np.exp(rng.choice([-1, 1], 4) * rng.uniform(0.1, 0.4, 4))

    def cost(x):
        predicted = np.exp(x[0]) * params ** -x[1] + np.exp(x[2]) * tokens ** -x[3] + np.exp(x[4])
        return 1e3 * Objective(True, 1e-3).rho(np.log(loss / predicted)).sum()

    start = (np.log(20), 0.3, np.log(80), 0.28, np.log(0.15))
    reference = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 5000, "maxfev": 5000}).fun / 1e3
    fit = fit_loss_law(params, tokens, loss, form="irreducible", objective="huber-log")
    assert fit.best.objective <= reference * (1 + 1e-6)


def test_scores_of_the_largest_sizes_follow_from_the_others():
    """The chain on exact data predicts exactly, in any order of the points, and looks at no held-out score."""
    params, tokens = design()
    law, curve = LossLaw(20.0, 0.3, 80.0, 0.28, 0.0), ScoreCurve(c=75.0, gamma=-12.0, l=0.35, d=25.0)
    loss = law.loss(params, tokens)
    order = np.random.default_rng(0).permutation(len(loss))
    params, tokens, loss = params[order], tokens[order], loss[order]
    score = curve.score(loss)
    fit = fit_loss_law(params, tokens, loss)
    table = hold_out_scores(fit, score, 2, anchor=False)
    assert set(table["params"]) == {5e8, 8e8}
    assert table["error_points"].abs().max() < 0.05
    shifted = np.where(params >= 5e8, score - 5, score)
    assert hold_out_scores(fit, shifted, 2, anchor=False)["error_points"].to_numpy() == pytest.approx(5, abs=0.05)
    score[params == 5e8] = np.nan
    assert set(hold_out_scores(fit, score, 2, anchor=False)["params"]) == {8e8}
    with pytest.raises(FitError, match="loss has 36, score has 35"):
        hold_out_scores(fit, score[1:], 2)
