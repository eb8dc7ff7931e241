import numpy as np
import pandas as pd
import polars as pl
import pytest
from lifelines import CoxPHFitter

from proband.evaluate.baselines.scores.cox import cumulative_incidence, fit_cox
from proband.evaluate.metrics.censoring import aalen_johansen


def draw(size=600, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 3))
    hazard = 0.08 * np.exp(x @ [0.8, -0.4, 0.0])
    onset, death = rng.exponential(1 / hazard), rng.exponential(1 / (0.03 * np.exp(0.5 * x[:, 1])))
    leave = rng.uniform(2, 12, size)
    time = np.minimum(np.minimum(onset, death), leave)
    event = np.where(time == onset, 1, np.where(time == death, 2, 0))
    return x, time, event, hazard


@pytest.mark.parametrize("penalty", [0.0, 5.0])
def test_hazard_ratios_and_baseline_equal_lifelines(penalty):
    x, time, event, _ = draw()
    x = x / x.std(axis=0, ddof=1)  # their penalty is on standardised columns, and per subject
    ours = fit_cox(x, time, event == 1, np.full(3, penalty))
    frame = pd.DataFrame(x, columns=list("abc")).assign(time=time, event=event == 1)
    theirs = CoxPHFitter(penalizer=penalty / len(x)).fit(frame, "time", "event")
    assert ours.beta == pytest.approx(theirs.params_.to_numpy(), abs=2e-3)
    at_mean = theirs.baseline_cumulative_hazard_.iloc[-1, 0]
    shift = np.exp(theirs.params_.to_numpy() @ x.mean(axis=0))
    assert ours.increments.sum() * shift == pytest.approx(at_mean, rel=2e-3)


def test_tied_times_by_hand():
    """Two of three have the event at 1 year, the third at 2: the rise is 2/3, then 1."""
    found = fit_cox(np.zeros((3, 1)), np.array([1.0, 1.0, 2.0]), np.ones(3, dtype=bool), np.ones(1))
    assert found.beta[0] == 0
    assert found.between(np.array([0.0, 1.0, 1.5, 2.0])).tolist() == pytest.approx([2 / 3, 0, 1])


def test_mean_risk_is_the_aalen_johansen_incidence_and_death_competes():
    x, time, event, hazard = draw(4000)
    outcome = fit_cox(x, time, event == 1, np.zeros(3))
    death = fit_cox(x, time, event == 2, np.zeros(3))
    risk = cumulative_incidence(outcome, death, x @ outcome.beta, x @ death.beta, 5.0)
    observed = aalen_johansen(time, event.astype(np.int8), 5.0, np.ones((1, 4000)))[0]
    assert risk.mean() == pytest.approx(observed, rel=0.02)
    both = hazard + 0.03 * np.exp(0.5 * x[:, 1])
    assert risk == pytest.approx(hazard / both * (1 - np.exp(-5 * both)), abs=0.06)
    never = cumulative_incidence(outcome, death, x @ outcome.beta, np.full(4000, -30.0), 5.0)
    assert (never > risk).all()


def test_a_strong_penalty_leaves_no_effect():
    x, time, event, _ = draw()
    assert np.abs(fit_cox(x, time, event == 1, np.full(3, 1e7)).beta).max() < 1e-3
    assert pl.Series(fit_cox(x, time, event == 1, np.zeros(3)).times).is_sorted()
