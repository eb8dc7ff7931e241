import numpy as np
import pytest

from proband.core.incidence import OLDEST, rates_by_age_and_sex, years_of_age
from proband.core.sex import female_of


def test_rates_are_events_over_person_years_of_each_sex():
    rng = np.random.default_rng(0)
    enter, female = rng.uniform(40, 50, 20_000), rng.integers(0, 2, 20_000).astype(float)
    event_age = enter + rng.exponential(1 / np.where(female == 1, 0.02, 0.05))
    leave = np.minimum(event_age, enter + 10)
    rates = rates_by_age_and_sex(enter, leave, female, event_age <= enter + 10)
    assert rates[0, 45:55] == pytest.approx(0.05, rel=0.08)
    assert rates[1, 45:55] == pytest.approx(0.02, rel=0.12)
    assert rates[0, 100] == rates[0, 119]
    assert rates[0, 5] == rates[0, 0]


def test_rows_that_leave_before_they_enter_and_unknown_sex_count_nothing():
    enter, leave = np.array([50.0, 50.0, 50.0]), np.array([60.0, 40.0, 60.0])
    female = np.array([1.0, 1.0, np.nan])
    alone = rates_by_age_and_sex(enter[:1], leave[:1], female[:1], np.array([True]))
    assert rates_by_age_and_sex(enter, leave, female, np.array([True] * 3)) == pytest.approx(alone)


def test_age_goes_on_from_the_middle_of_its_month():
    assert years_of_age(np.array([599, 600]), 0.0).tolist() == [49, 50]
    assert years_of_age(np.array([600]), 200.0).tolist() == [OLDEST - 1]


@pytest.mark.parametrize("code", ["GENDER//FEMALE", "SEX/F", "sex//f", "Gender//8532"])
def test_sex_is_read_in_the_spellings_of_other_pipelines(code):
    assert female_of(code) == 1.0


@pytest.mark.parametrize("code", ["Gender//X", "LOINC//F", "Gender", "GenderF"])
def test_what_says_no_sex_is_none(code):
    assert female_of(code) is None
