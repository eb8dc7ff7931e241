import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines.utils import concordance_index

from proband.evaluate.metrics.censoring import CASE, CENSORED, censoring_weights, horizon_status
from proband.evaluate.metrics.concordance import c_index, order_cases
from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank


def of(risk, time, event, horizon):
    status = horizon_status(time, event, horizon)
    known = status != CENSORED
    weights = censoring_weights(time, event, horizon, np.ones((1, len(time))))[:, known]
    return float(replicated(risk[known], status[known] == CASE, time[known], weights)[0])


def replicated(risk, case, time, weights):
    auroc, _ = auroc_and_auprc(rank(risk, case), weights)
    return c_index(order_cases(risk, case, time), auroc, weights, weights @ case * (weights @ ~case))


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


people = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 4), *[st.sampled_from((0.0, 1.0, 2.5))] * 3),
    min_size=1,
    max_size=14,
)


@given(people)
def test_in_every_replicate_it_is_the_share_of_pairs_that_a_case_wins(rows):
    """Pair by pair; risks, times and weights tie, and replicates without a case or a pair have none."""
    risk, case, time, *weights = (np.array(column) for column in zip(*rows, strict=True))
    found = replicated(risk.astype(float), case.astype(bool), time.astype(float), np.array(weights))
    for one, got in zip(weights, found, strict=True):
        wins = pairs = 0.0
        for i in np.flatnonzero(case):
            for j in range(len(risk)):
                if not case[j] or time[j] > time[i]:
                    pairs += one[i] * one[j]
                    wins += one[i] * one[j] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
        assert got == pytest.approx(wins / pairs if pairs else np.nan, nan_ok=True)


def test_without_a_control_pairs_of_cases_are_all_there_is():
    rng = np.random.default_rng(4)
    risk, time, weights = rng.normal(size=50), rng.exponential(size=50), rng.exponential(size=(20, 50))
    found = replicated(risk, np.ones(50, bool), time, weights)
    order = np.sign(risk[:, None] - risk) * (time[:, None] < time)
    share = [(one @ (order > 0) @ one) / (one @ (order != 0) @ one) for one in weights]
    assert found == pytest.approx(share)


def test_its_interval_holds_the_truth_as_often_as_it_says():
    """Risks that order people by hazard, fifty draws of 300 people, percentiles of 200 resamples each."""
    truth, rng = of(*world(40_000, None, seed=2), 8.0), np.random.default_rng(3)
    held = 0
    for seed in range(50):
        risk, time, event = world(300, None, seed=100 + seed)
        case = (event == 1) & (time <= 8.0)
        drawn = rng.multinomial(300, np.full(300, 1 / 300), size=200).astype(float)
        low, high = np.quantile(replicated(risk, case, time, drawn), (0.025, 0.975))
        held += low <= truth <= high
        assert 0.04 < high - low < 0.2
    assert 42 <= held <= 50
