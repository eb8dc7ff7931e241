import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.evaluate.metrics.censoring import (
    CASE,
    CENSORED,
    CONTROL,
    aalen_johansen,
    censoring_weights,
    horizon_status,
    uncensored_share,
)


@pytest.mark.parametrize(
    ("time", "event", "status"),
    [
        (4.9, 1, CASE),
        (5.0, 1, CASE),
        (5.1, 1, CONTROL),
        (4.9, 2, CONTROL),
        (5.1, 2, CONTROL),
        (5.0, 0, CONTROL),
        (5.1, 0, CONTROL),
        (4.9, 0, CENSORED),
    ],
)
def test_status_at_five_years(time, event, status):
    assert horizon_status(np.array([time]), np.array([event]), 5.0)[0] == status


def test_weights_by_hand():
    # Censored at 1 (5 at risk: G = 4/5 after) and at 3 (2 at risk: G = 4/5 x 1/2 after); event at 2, 3 and 4.
    time, event = np.array([1.0, 2.0, 3.0, 3.0, 4.0]), np.array([0, 1, 0, 1, 1])
    weights = censoring_weights(time, event, 5.0, np.ones((1, 5)))[0]
    assert weights == pytest.approx([0, 5 / 4, 0, 5 / 4, 5 / 2])


def test_no_censoring_no_weighting():
    time, event = np.array([1.0, 2.0, 3.0]), np.array([1, 2, 1])
    assert censoring_weights(time, event, 2.5, np.ones((2, 3))).tolist() == [[1, 1, 1]] * 2


def survival_data(seed, size=60):
    rng = np.random.default_rng(seed)
    time = np.round(rng.exponential(5, size) + 0.1, 1)  # rounded, so that ties occur
    return time, rng.integers(0, 3, size).astype(np.int8)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 6.0))
def test_weights_of_repeated_rows_equal_repeated_data(seed, horizon):
    time, event = survival_data(seed)
    repeats = np.random.default_rng(seed).integers(0, 4, len(time))
    if not repeats.any():
        return
    weighted = censoring_weights(time, event, horizon, repeats[None, :].astype(float))[0]
    repeated = censoring_weights(
        np.repeat(time, repeats), np.repeat(event, repeats), horizon, np.ones((1, repeats.sum()))
    )[0]
    assert np.repeat(weighted, repeats) == pytest.approx(repeated)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 6.0))
def test_mean_of_weighted_cases_is_aalen_johansen(seed, horizon):
    time, event = survival_data(seed)
    weights = np.ones((1, len(time)))
    cases = censoring_weights(time, event, horizon, weights)[0] @ (
        horizon_status(time, event, horizon) == CASE
    )
    assert cases / len(time) == pytest.approx(aalen_johansen(time, event, horizon, weights)[0])


@pytest.mark.parametrize("seed", range(5))
def test_aalen_johansen_equals_lifelines(seed):
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(seed)
    time, event = rng.exponential(5, 200) + 0.1, rng.integers(0, 3, 200).astype(np.int8)
    fitted = AalenJohansenFitter(calculate_variance=False).fit(time, event, event_of_interest=1)
    for horizon in (1.0, 4.0, 9.0):
        theirs = float(fitted.cumulative_density_.loc[:horizon].iloc[-1, 0])
        assert aalen_johansen(time, event, horizon, np.ones((1, 200)))[0] == pytest.approx(theirs, abs=1e-12)


def test_death_competes():
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2, 2, 1, 1])
    # 1 − Kaplan-Meier with the dead as censored would be 1.
    assert aalen_johansen(time, event, 5.0, np.ones((1, 4)))[0] == pytest.approx(0.5)


def test_nobody_has_the_event_or_is_at_risk():
    time, event = np.array([1.0, 2.0]), np.array([0, 0])
    assert aalen_johansen(time, event, 5.0, np.ones((1, 2)))[0] == 0
    assert aalen_johansen(time, np.array([1, 1]), 5.0, np.zeros((1, 2)))[0] == 0


def test_uncensored_share():
    time, event = np.array([1.0, 2.0, 6.0, 6.0]), np.array([0, 1, 0, 0])
    assert uncensored_share(time, event, 5.0) == pytest.approx(0.75)
    assert uncensored_share(time[:1], event[:1], 5.0) == 0
