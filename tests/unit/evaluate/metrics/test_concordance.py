import numpy as np
import pytest
from lifelines.utils import concordance_index

from proband.evaluate.metrics.censoring import CASE, CENSORED, censoring_weights, horizon_status
from proband.evaluate.metrics.concordance import c_index


def of(risk, time, event, horizon):
    status = horizon_status(time, event, horizon)
    known = status != CENSORED
    weights = censoring_weights(time, event, horizon, np.ones((1, len(time))))[0, known]
    return c_index(risk[known], status[known] == CASE, time[known], weights)


def world(size, leave, seed=0):
    rng = np.random.default_rng(seed)
    log_hazard = rng.normal(size=size)
    onset, death = rng.exponential(10 / np.exp(log_hazard)), rng.exponential(30, size)
    left = np.full(size, 100.0) if leave is None else rng.exponential(leave, size)
    time = np.minimum(np.minimum(onset, death), left)
    event = np.where(time == onset, 1, np.where(time == death, 2, 0)).astype(np.int8)
    return log_hazard, time, event


def test_uncensored_it_is_that_of_lifelines():
    """Who died without the outcome is without it for ever."""
    risk, time, event = world(700, None)
    horizon = 8.0
    happened = (event == 1) & (time <= horizon)
    as_told = np.where(happened, time, horizon + 1.0)
    assert of(risk, time, event, horizon) == pytest.approx(concordance_index(as_told, -risk, happened))


def test_censoring_moves_it_by_noise_alone():
    whole = of(*world(20_000, None, seed=1), 8.0)
    assert of(*world(20_000, 8.0, seed=1), 8.0) == pytest.approx(whole, abs=0.01)


def test_who_is_followed_to_the_day_of_a_case_is_without_the_outcome_then():
    """Five people to year 3. The case at 1 wins all four pairs; the case at 3 loses one and wins two, of whom
    one died; follow-up that ends a day early is followed through as well."""
    risk, event = np.array([0.5, 0.2, 0.3, 0.1, 0.1]), np.array([1, 1, 0, 0, 2])
    for end in (3.0, 3.0 - 1 / 365.25):
        time = np.array([1.0, 3.0, end, end, 2.0])
        assert of(risk, time, event, 3.0) == pytest.approx(6 / 7)


def test_cases_at_one_time_make_no_pair():
    risk, time, event = np.array([0.5, 0.2, 0.3]), np.array([2.0, 2.0, 9.0]), np.array([1, 1, 0])
    assert of(risk, time, event, 3.0) == pytest.approx(1 / 2)


def test_ties_count_half_and_no_case_gives_none():
    risk, time, event = world(100, None)
    assert of(np.zeros(100), time, event, 8.0) == pytest.approx(0.5)
    assert np.isnan(of(risk, time, np.zeros(100, np.int8), 8.0))
