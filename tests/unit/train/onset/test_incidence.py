from __future__ import annotations

import math

import numpy as np
import pytest

from proband.core.statistics.incidence import LOWEST_RATE
from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import OnsetTask
from proband.train.onset.incidence import log_rates
from small_world import HandStore, Record

FEMALE, MALE, UNKNOWN = 1, 2, 0
TASKS = (OnsetTask(name="d", tokens=(2,)), OnsetTask(name="of women", tokens=(3,)))


def store_of(*sexes: int, n: int = 400) -> HandStore:
    """People followed from 40 to 60: an onset of d at 50 in every second, one of women's in every fourth."""
    at = [round(age * MINUTES_PER_YEAR) for age in (40, 50, 60)]
    records = []
    for sex in sexes:
        for number in range(n):
            tokens = [2] * (number % 2) + [3] * (number % 4 == 0 and sex == FEMALE)
            ages = [at[1]] * len(tokens)
            records.append(Record(tokens, ages, entry=at[0], exit=at[2], statics=(sex,)))
    return HandStore(records)


def test_of_unknown_sex_the_rate_is_the_mean_and_a_spared_sex_has_the_least() -> None:
    found = log_rates(store_of(FEMALE, MALE), TASKS).double().exp().numpy()
    assert found[:, 2] == pytest.approx(found[:, :2].mean(axis=1), rel=1e-5)
    assert found[1, 0] == pytest.approx(LOWEST_RATE, rel=1e-4)
    assert found[1, 1, 50] > 1e-3
    both = found[0, :2]
    assert both[0] == pytest.approx(both[1], rel=0.05)
    lived = np.ones(20)
    lived[10:] -= 0.5
    assert both[0, 40:60] @ lived == pytest.approx(0.5, rel=0.05)  # onsets per person


def test_of_nobody_is_the_sex_known() -> None:
    everybody = log_rates(store_of(UNKNOWN), TASKS[:1])
    assert np.allclose(everybody[0, 0], everybody[0, 1], atol=1e-4)
    known = log_rates(store_of(FEMALE, MALE), TASKS[:1])
    assert float(everybody[0, 2, 50]) == pytest.approx(float(known[0, 2, 50]), abs=0.05)


def test_people_of_unknown_sex_tell_nothing_where_others_are_known() -> None:
    known, more = log_rates(store_of(FEMALE, MALE), TASKS), log_rates(store_of(FEMALE, MALE, UNKNOWN), TASKS)
    assert np.array_equal(known, more)


def test_who_had_it_by_entry_is_not_at_risk_and_no_event_is_the_least_rate() -> None:
    entry, exit_ = (round(age * MINUTES_PER_YEAR) for age in (40, 60))
    records = [Record([2], [entry], entry=entry, exit=exit_, statics=(sex,)) for sex in (1, 2)] * 50
    found = log_rates(HandStore(records), TASKS[:1])
    assert np.allclose(found, math.log(LOWEST_RATE), atol=1e-4)
