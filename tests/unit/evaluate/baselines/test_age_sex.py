from datetime import datetime

import numpy as np
import polars as pl
import pytest

from proband.core.statistics.incidence import OLDEST
from proband.evaluate.baselines.age_sex import AgeSexRates, age_sex, cumulative_incidence, fit_rates


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


def test_without_any_sex_rates_are_by_age_alone():
    rng = np.random.default_rng(2)
    age = rng.uniform(40, 70, 6000)
    time = rng.exponential(1 / (0.02 * np.exp(0.06 * (age - 55))))
    event = (time < 3).astype(np.int8)
    rates = fit_rates(age, np.full(6000, np.nan), np.minimum(time, 3.0), event)
    assert (rates.outcome[0] == rates.outcome[1]).all()
    for year in (45, 55, 65):
        assert rates.outcome[0, year] == pytest.approx(0.02 * np.exp(0.06 * (year - 55)), rel=0.2)
    risk = cumulative_incidence(rates, age, np.full(6000, np.nan), 3.0)
    assert event.sum() / risk.sum() == pytest.approx(1, abs=0.07)


def test_a_sex_that_few_have_recorded_does_not_decide():
    """Of 20 of 6,000: rates are those of everybody, not of these 20."""
    rng = np.random.default_rng(2)
    age, event = rng.uniform(40, 70, 6000), np.zeros(6000, np.int8)
    event[:600] = 1
    female = np.full(6000, np.nan)
    female[:20] = 1.0  # all of them are cases
    rates = fit_rates(age, female, np.full(6000, 2.0), event)
    assert rates.outcome[:, 55] == pytest.approx(0.05, rel=0.2)


def label_rows(size, female):
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "subject_id": np.arange(size),
            "prediction_time": [datetime(2000, 1, 1)] * size,
            "outcome": "gout",
            "split": "train",
            "time_years": rng.uniform(1, 5, size),
            "event": rng.integers(0, 2, size).astype(np.int8),
            "age_years": rng.uniform(40, 60, size),
            "female": pl.Series([female] * size, dtype=pl.Float64),
        }
    )


def test_age_alone_is_said_once_and_only_then(capsys):
    rows = label_rows(200, None)
    both = pl.concat([rows, rows.with_columns(pl.lit("flu").alias("outcome"))])
    found = age_sex(both, both, [1.0, 5.0])
    assert found["risk"].min() > 0
    assert found["model"].unique().to_list() == ["age"]
    assert capsys.readouterr().err.splitlines() == [
        "evaluate: sex is recorded of less than half of train, so the baseline of age and sex is of age "
        "alone, named age"
    ]
    few = rows.with_columns(pl.when(pl.col("subject_id") < 90).then(1.0).alias("female"))
    assert age_sex(few, few, [1.0])["model"].unique().to_list() == ["age"]
    capsys.readouterr()
    age_sex(label_rows(200, 1.0), rows, [1.0])
    assert capsys.readouterr().err == ""


def test_constant_rates_with_a_blanking_gap_have_a_closed_form():
    age, sex = np.array([50.0]), np.array([1.0])
    risk = cumulative_incidence(constant(0.03, 0.02), age, sex, 10.0, gap_years=0.3)
    assert risk == pytest.approx(np.exp(-0.02 * 0.3) * 0.6 * (1 - np.exp(-0.05 * 9.7)))
    assert cumulative_incidence(constant(0.03, 0.02), age, sex, 0.25, gap_years=0.3)[0] == 0


def test_with_a_blanking_gap_rates_and_risks_are_right():
    """Whoever has the outcome within the gap leaves: as person-time the gap would dilute the rate."""
    rng = np.random.default_rng(4)
    onset, death = rng.exponential(1 / 0.2, 20_000), rng.exponential(1 / 0.05, 20_000)
    gap = 0.25
    stays = (onset > gap) | (death < onset)
    time = np.minimum(np.minimum(onset, death), 1.0)[stays]
    event = np.where(time >= 1, 0, np.where((onset < death)[stays], 1, 2)).astype(np.int8)
    age, female = np.full(len(time), 50.0), (np.arange(len(time)) % 2).astype(float)
    rates = fit_rates(age, female, time, event, gap)
    assert rates.outcome[:, 50] == pytest.approx(0.2, rel=0.05)
    assert rates.death[:, 50] == pytest.approx(0.05, rel=0.1)
    risk = cumulative_incidence(rates, age, female, 1.0, gap)
    assert (event == 1).sum() / risk.sum() == pytest.approx(1, abs=0.04)
