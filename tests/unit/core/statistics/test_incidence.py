import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proband.core.sex import female_of
from proband.core.statistics.incidence import (
    LOWEST_RATE,
    OLDEST,
    hide_small_counts,
    rates_by_age_and_sex,
    smooth_rates,
    years_of_age,
)


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


@given(st.integers(1, 20), st.integers(1, 20), st.integers(21, 500), st.lists(st.floats(0.1, 99), min_size=3))
def test_no_count_of_1_to_20_events_of_a_sex_follows(few: int, same: int, many: int, years: list) -> None:
    exposure = np.array([years, years[::-1]])
    ages = len(years)

    def told(men: int, women: int) -> np.ndarray:
        count = np.zeros((2, ages))
        count[0, men % ages], count[1, 0] = men, women
        return hide_small_counts(count, exposure, 21)

    assert np.array_equal(told(few, many), told(same, many))
    assert told(few, many)[0].sum() == pytest.approx(10)
    assert told(few, many)[1].sum() == many
    assert told(few, 0).sum() == pytest.approx(10)
    assert told(0, few)[0].sum() == 0
    assert told(few, same).sum() == pytest.approx(few + same if few + same > 20 else 10)
    assert np.ptp(told(few, same).sum(0) / exposure.sum(0) - told(few, same)[0] / exposure[0]) < 1e-9
    assert told(many, 0).sum() == many


def test_rates_of_one_man_and_of_twenty_are_the_same() -> None:
    entry, leave = np.full(400, 40.0), np.full(400, 80.0)
    female = np.repeat([0.0, 1.0], 200)
    found, plain = [], []
    for men in (1, 20):
        happened = np.arange(400) < men
        happened[200:260] = True
        # Men fall ill in their last week, so that the years lived without it are the same.
        end = np.where(happened, np.where(female == 1, 50.0 + np.arange(400) % 20, 79.98), leave)
        found.append(rates_by_age_and_sex(entry, end, female, happened, 21))
        plain.append(rates_by_age_and_sex(entry, end, female, happened))
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert plain[0][0].max() < 0.2 * plain[1][0].max()


@given(
    count=arrays(float, (2, 4), elements=st.sampled_from([0.0, 0.0, 1.0, 7.0, 30.0])),
    exposure=arrays(float, (2, 4), elements=st.sampled_from([0.0, 1.0, 250.0])),
)
def test_counts_that_may_leave_are_numbers_and_none_is_small(count, exposure):
    count = np.where(exposure > 0, count, 0)  # events happen where people live
    with np.errstate(all="raise"):
        hidden = hide_small_counts(count, exposure, 21)
    assert np.isfinite(hidden).all()
    few = (count.sum(axis=1) > 0) & (count.sum(axis=1) < 21)
    assert hidden[~few].tolist() == count[~few].tolist()
    if few.any() and not few.all():
        assert hidden[few].sum(axis=1).tolist() == pytest.approx([10.0] * few.sum())


AGES = np.arange(OLDEST) + 0.5
LIVED = np.where((AGES > 20) & (AGES < 90), 100.0, 0.0) * np.ones((2, 1))


def curves(number: int, seed: int) -> np.ndarray:
    """Log rates that rise by some 6% a year of age, and are some 40% higher in men."""
    rng = np.random.default_rng(seed)
    slope, of_men = rng.normal(0.06, 0.02, (number, 1)), rng.normal(0.4, 0.2, (number, 1))
    return np.stack([slope * (AGES - 55) + of_men / 2, slope * (AGES - 55) - of_men / 2], axis=1) - 6.0


def error(curve: np.ndarray, events: float, seed: int, known: np.ndarray | None) -> float:
    """Root of the mean square by which log rates differ from the truth, of so many events in the mean."""
    level = events / (np.exp(curve) * LIVED).sum()
    count = np.random.default_rng(seed).poisson(np.exp(curve) * LIVED * level).astype(float)
    off = np.log(smooth_rates(count, LIVED, known)) - curve - np.log(level)
    return float(np.sqrt(np.average(off**2, weights=np.exp(curve) * LIVED)))


def test_rates_of_few_events_have_the_shape_of_known_ones() -> None:
    known, new = curves(20, 0), curves(40, 1)
    few = np.array([[error(one, 30, at, given) for at, one in enumerate(new)] for given in (None, known)])
    many = np.array([[error(one, 6000, at, given) for at, one in enumerate(new)] for given in (None, known)])
    assert few[1].mean() < 0.7 * few[0].mean()
    assert many[1].mean() < 1.1 * many[0].mean() < 0.06


def test_known_rates_of_another_shape_give_way_to_events() -> None:
    falling = 2 * curves(1, 2).mean() - curves(40, 1)
    off = [error(one, 6000, at, curves(20, 0)) for at, one in enumerate(falling)]
    assert np.mean(off) < 0.08


def test_events_that_spare_a_sex_tell_no_shape() -> None:
    known = curves(5, 0)
    spared = np.stack([known[0, 0], np.full(OLDEST, np.log(LOWEST_RATE))])[None]
    count = np.where(AGES > 50, 1.0, 0.0) * LIVED / 100
    both = [smooth_rates(count, LIVED, one) for one in (known, np.concatenate([known, spared]))]
    assert np.array_equal(*both)
    assert np.array_equal(smooth_rates(count, LIVED, spared), smooth_rates(count, LIVED))
