import numpy as np
import pytest

from proband.core.incidence import OLDEST
from proband.evaluate.baselines.age_sex import AgeSexRates, cumulative_incidence, fit_rates


def constant(outcome, death):
    return AgeSexRates(np.full((2, OLDEST), outcome), np.full((2, OLDEST), death))


def test_constant_rates_have_a_closed_form():
    risk = cumulative_incidence(constant(0.03, 0.02), np.array([40.0, 70.0]), np.array([0.0, 1.0]), 10.0)
    assert risk == pytest.approx([0.6 * (1 - np.exp(-0.5))] * 2)


def test_no_rate_no_risk_and_death_lowers_risk():
    age, sex = np.array([50.0]), np.array([1.0])
    assert cumulative_incidence(constant(0.0, 0.1), age, sex, 10.0)[0] == 0
    alone, competing = (
        cumulative_incidence(constant(0.05, death), age, sex, 10.0)[0] for death in (0.0, 0.2)
    )
    assert competing < alone == pytest.approx(1 - np.exp(-0.5))


def test_unknown_sex_is_the_mean_of_both():
    rates = AgeSexRates(np.stack([np.full(OLDEST, 0.01), np.full(OLDEST, 0.09)]), np.zeros((2, OLDEST)))
    risk = cumulative_incidence(rates, np.full(3, 50.0), np.array([0.0, 1.0, np.nan]), 5.0)
    assert risk[2] == pytest.approx((risk[0] + risk[1]) / 2)


def test_rates_count_person_time_from_entry_only():
    # Everybody enters at 60: with delayed entry ignored the rate would be diluted by 60 empty years.
    size = 4000
    rng = np.random.default_rng(0)
    time = rng.exponential(1 / 0.1, size)
    event = (time < 5).astype(np.int8)
    rates = fit_rates(np.full(size, 60.0), (np.arange(size) % 2).astype(float), np.minimum(time, 5.0), event)
    assert rates.outcome[:, 62] == pytest.approx(0.1, rel=0.1)
    assert (rates.death == 0).all()


def test_rates_are_the_same_from_predictions_again_and_again():
    rng = np.random.default_rng(1)
    age, onset = rng.uniform(50, 60, 3000), rng.exponential(1 / 0.1, 3000)
    start = np.arange(5.0)
    person, number = np.nonzero(onset[:, None] > start)
    left = np.minimum(onset, 5.0)[person] - start[number]
    event = (onset[person] < 5).astype(np.int8)
    female = (person % 2).astype(float)
    rates = fit_rates(age[person] + start[number], female, left, event)
    assert rates.outcome[:, 52:63] == pytest.approx(0.1, rel=0.15)


def test_sex_without_events_and_no_events_stay_finite():
    age, time = np.full(200, 50.0), np.full(200, 5.0)
    female = (np.arange(200) % 2).astype(float)
    event = ((female == 1) & (np.arange(200) < 60)).astype(np.int8)
    rates = fit_rates(age, female, time, event)
    assert 0 < rates.outcome[0, 52] < 0.1 * rates.outcome[1, 52]
    assert (fit_rates(age, female, time, np.zeros(200, np.int8)).outcome == 0).all()


def test_nobody_of_known_sex():
    rates = fit_rates(np.full(5, 50.0), np.full(5, np.nan), np.full(5, 2.0), np.ones(5, np.int8))
    assert (rates.outcome == 0).all()
