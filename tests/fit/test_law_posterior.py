"""The posterior of a loss law."""

from __future__ import annotations

import numpy as np
import pytest

from densing.fit.loss_law.posterior import Prior, law_posterior
from densing.fit.loss_law.reading import Reading
from densing.fit.loss_law.together import LadderPoints, ladder_posterior
from densing.fit.status import FitError

PARAMS, TOKENS = (
    values.ravel() for values in np.meshgrid(np.geomspace(5e6, 8e8, 6), np.geomspace(1.5e8, 5e10, 6), indexing="ij")
)
WITH_E = np.array([16.722, 0.28513, 42.962, 0.22766, 0.091705])
WITHOUT = np.array([55.38, 0.3647, 16.006, 0.16754, 0.0])
READING = Reading(tokens_per_param=60)


def ladder(law, noise, seed=0):
    exact = law[0] * PARAMS ** -law[1] + law[2] * TOKENS ** -law[3] + law[4]
    return exact * np.exp(noise * np.random.default_rng(seed).standard_normal(len(exact)))


@pytest.mark.parametrize("law", [WITH_E, WITHOUT], ids=["with E", "without"])
def test_exact_losses_give_the_law_back(law):
    found = law_posterior(PARAMS, TOKENS, ladder(law, 1e-6), draws=200)
    assert np.median(found.laws, 0) == pytest.approx(law, rel=1e-3, abs=1e-4)
    assert (found.irreducible > 0.9) == (law[4] > 0)


@pytest.mark.parametrize("law", [WITH_E, WITHOUT], ids=["with E", "without"])
def test_intervals_hold_the_truth_most_of_the_time(law):
    """20 ladders of 1% noise: by a binomial of 0.95, fewer than 15 would be one chance in 40,000."""
    truth = READING.losses(law, [1e10])
    held = 0
    for seed in range(20):
        sizes = READING.sizes(law_posterior(PARAMS, TOKENS, ladder(law, 0.01, seed), draws=300, seed=seed).laws, truth)
        low, high = np.quantile(sizes, [0.025, 0.975])
        held += low <= 1e10 <= high
    assert held >= 15


def test_noise_is_found_and_constants_are_positive():
    found = law_posterior(PARAMS, TOKENS, ladder(WITH_E, 0.01), draws=500)
    assert np.median(found.noise) == pytest.approx(0.01, rel=0.35)
    assert (found.laws[:, :4] > 0).all()
    assert (found.laws[:, 4] >= 0).all()
    assert found.effective > 200


def test_a_form_can_be_asked_for():
    loss = ladder(WITH_E, 0.01)
    assert (law_posterior(PARAMS, TOKENS, loss, draws=100, prior=Prior(irreducible=0.0)).laws[:, 4] == 0).all()
    assert (law_posterior(PARAMS, TOKENS, loss, draws=100, prior=Prior(irreducible=1.0)).laws[:, 4] > 0).all()


def test_units_do_not_matter_and_seeds_repeat():
    loss = ladder(WITH_E, 0.01)
    one, same = (law_posterior(PARAMS, TOKENS, loss, draws=100, seed=3) for _ in range(2))
    scaled = law_posterior(PARAMS, TOKENS, 7 * loss, draws=100, seed=3)
    assert np.array_equal(one.laws, same.laws)
    assert scaled.laws[:, [1, 3]] == pytest.approx(one.laws[:, [1, 3]], rel=1e-6)
    assert scaled.laws[:, 4] == pytest.approx(7 * one.laws[:, 4], rel=1e-4, abs=1e-9)


def test_shared_errors_of_a_rung_are_found():
    rng = np.random.default_rng(1)
    shared = np.repeat(rng.standard_normal(6), 6)
    loss = ladder(WITH_E, 0.002) * np.exp(0.01 * shared)
    alone = law_posterior(PARAMS, TOKENS, loss, np.arange(len(loss)), draws=300)
    found = law_posterior(PARAMS, TOKENS, loss, draws=300)
    assert found.correlation.mean() > alone.correlation.mean()


def test_related_benchmarks_have_related_draws():
    loss = ladder(WITH_E, 0.01)
    both = ladder_posterior({name: LadderPoints(PARAMS, TOKENS, loss, PARAMS) for name in ("one", "other")}, draws=400)
    sizes = [READING.sizes(part.laws, READING.losses(WITH_E, [1e10]))[:, 0] for part in both.laws.values()]
    assert both.correlation[0, 1] > 0.95
    assert np.corrcoef(np.argsort(np.argsort(sizes)))[0, 1] > 0.8


def test_a_loss_that_rises_with_size_has_no_law():
    rng = np.random.default_rng(0)
    loss = 0.01 * (PARAMS / 1e7) ** 2 * (TOKENS / 1e9) ** 2 * np.exp(0.001 * rng.standard_normal(len(PARAMS)))
    with pytest.raises(FitError, match="do not fall"):
        law_posterior(PARAMS, TOKENS, loss, draws=50)
