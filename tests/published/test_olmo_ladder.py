"""Two-step predictions of OLMo's 7B and 13B from its ladder, by the paper's recipe and by ours."""

from __future__ import annotations

import numpy as np
import pytest

from densing import fit_loss_law, fit_score_curve
from tests.published.olmo_ladder import TASKS, load, published_errors


@pytest.mark.parametrize("name", TASKS)
def test_the_paper_recipe_gives_the_paper_errors(name):
    task, published = load(name), published_errors()
    params, tokens, loss = (values[:16] for values in (task.params, task.tokens, task.loss))
    law = fit_loss_law(params, tokens, loss, form="irreducible", objective="huber-log").best
    step1 = 100 * np.abs(law.loss(task.params, task.tokens) / task.loss - 1)
    assert [step1[:16].mean(), *step1[16:]] == pytest.approx(published["step1"][name], abs=0.3)
    curve = fit_score_curve(task.checkpoint_loss, task.checkpoint_score).best
    if curve.ceiling > 100:  # the paper bounds the ceiling by 100
        curve = fit_score_curve(task.checkpoint_loss, task.checkpoint_score, ceiling=100).best
    fitting = 100 * np.abs(curve.score(task.checkpoint_loss) / task.checkpoint_score - 1).mean()
    step2 = 100 * np.abs(curve.score(task.target_loss) / task.target_score - 1)
    assert [fitting, *step2] == pytest.approx(published["step2"][name], abs=0.3)
    chained = 100 * np.abs(curve.score(law.loss(task.params[16:], task.tokens[16:])) / task.target_score - 1)
    assert list(chained) == pytest.approx(published["chained"][name][1:], abs=0.3)


OWN_ERRORS = {
    "mmlu": (3.26, 2.99),
    "hellaswag": (0.09, 0.52),
    "arc_challenge": (5.13, 7.21),
    "piqa": (1.71, 2.15),
}
"""Errors of the losses of 7B and 13B by least squares on ln L, percent. The paper's 1.3 and 0.2 on MMLU are
better, its 0.3 and 1.2, 7.0 and 9.4, 2.0 and 2.7 on the others worse."""


@pytest.mark.parametrize("name", TASKS)
def test_the_recipe_of_this_project_predicts_too(name):
    """Least squares on ln L with E: better than the paper's recipe on three of the four tasks, worse on MMLU."""
    task = load(name)
    law = fit_loss_law(
        task.params[:16], task.tokens[:16], task.loss[:16], form="irreducible", objective="log-least-squares"
    ).best
    errors = 100 * np.abs(law.loss(task.params[16:], task.tokens[16:]) / task.loss[16:] - 1)
    assert tuple(errors) == pytest.approx(OWN_ERRORS[name], abs=0.3)
    theirs = np.array(published_errors()["step1"][name][1:])
    assert (errors < theirs).all() if name != "mmlu" else (errors > theirs).all()
