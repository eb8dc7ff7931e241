import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from proband.evaluate.leaks.rule import (
    AUROC,
    CASE_LABEL,
    HAVING,
    LACKING,
    LEAST_AUROC,
    LEAST_SUBJECTS,
    LEAST_VALUE,
    OTHER_LABEL,
    PREDICTIVE_VALUE,
    Known,
    judge,
    lower_limit,
    upper_limit,
)


def known_of(is_case, weights=None, subject_id=None):
    size = len(is_case)
    weights = np.ones(size) if weights is None else np.asarray(weights, dtype=float)
    return Known(np.asarray(is_case), weights, np.arange(size) if subject_id is None else subject_id)


def people(having_cases, having_others, lacking_cases, lacking_others):
    """Who has the code, and who is a case, of four counts."""
    counts = [having_cases, having_others, lacking_cases, lacking_others]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size))))
def test_limits_are_those_of_scipys_exact_binomial_test(counts):
    successes, size = counts
    exact = binomtest(successes, size).proportion_ci(0.95, method="exact")
    assert lower_limit(successes / size, size) == pytest.approx(exact.low, abs=1e-9)
    assert upper_limit(successes / size, size) == pytest.approx(exact.high, abs=1e-9)


@pytest.mark.parametrize(
    ("number", "named"), [(5, False), (LEAST_SUBJECTS - 1, False), (LEAST_SUBJECTS, True)]
)
def test_people_who_are_all_cases_are_named_from_36_on(number, named):
    held, is_case = people(number, 0, 100, 2000)
    assert (judge(held, known_of(is_case)) is not None) is named


def test_shares_and_counts_of_a_leak_are_those_by_hand():
    held, is_case = people(98, 2, 52, 1848)
    found = judge(held, known_of(is_case))
    assert (found.who, found.label, found.rule) == (HAVING, CASE_LABEL, PREDICTIVE_VALUE)
    assert found.value == pytest.approx(0.98)
    assert found.low == pytest.approx(binomtest(98, 100).proportion_ci(method="exact").low)
    assert found.share_of_cases == pytest.approx(98 / 150)
    assert found.share_of_others == pytest.approx(2 / 1850)
    assert (found.num_subjects, found.num_cases) == (100, 98)


def test_a_code_of_nearly_all_cases_and_few_others_is_named_by_auroc():
    """Half of those who have it are no cases, so their share tells nothing."""
    held, is_case = people(198, 190, 2, 9800)
    found = judge(held, known_of(is_case))
    assert (found.rule, found.label) == (AUROC, CASE_LABEL)
    assert found.value == pytest.approx((1 + 198 / 200 - 190 / 9990) / 2)
    limits = binomtest(198, 200).proportion_ci().low, binomtest(190, 9990).proportion_ci().high
    assert found.low == pytest.approx((1 + limits[0] - limits[1]) / 2)


@given(st.tuples(*[st.integers(0, 400)] * 4).filter(lambda counts: sum(counts) > 0))
def test_lacking_a_code_tells_what_having_its_opposite_does(counts):
    held, is_case = people(*counts)
    found, opposite = judge(held, known_of(is_case)), judge(~held, known_of(is_case))
    assert (found is None) == (opposite is None)
    if found is not None and found.rule == PREDICTIVE_VALUE == opposite.rule and found.who != opposite.who:
        assert (found.value, found.low, found.label) == (opposite.value, opposite.low, opposite.label)


def test_both_directions_are_named():
    held, is_case = people(0, 1900, 100, 0)  # nobody who has it is a case, and all who lack it are
    found = judge(held, known_of(is_case))
    assert (found.who, found.label, found.num_subjects) == (LACKING, CASE_LABEL, 100)
    held, is_case = people(100, 0, 1800, 60)  # most are cases anyway
    assert judge(held, known_of(is_case)) is None
    held, is_case = people(0, 100, 1800, 60)
    found = judge(held, known_of(is_case))
    assert (found.who, found.label) == (HAVING, OTHER_LABEL)
    held, is_case = people(2, 9800, 198, 190)
    found = judge(held, known_of(is_case))
    assert (found.rule, found.who, found.label) == (AUROC, HAVING, OTHER_LABEL)


def test_what_only_one_sex_can_have_is_not_named():
    """No man of a cohort has it, half of the people are men: sex tells who is safe, not who falls ill."""
    held, is_case = people(0, 5000, 250, 4750)
    assert judge(held, known_of(is_case)) is None


@pytest.mark.parametrize("share", [None, 0.2, 0.1, 0.05])
def test_bands_of_a_marker_with_an_auroc_of_90_are_not_named(share):
    """Normal within cases and others, d = √2 Φ⁻¹(.9): the best cut and the highest bands, 10% cases."""
    distance = np.sqrt(2) * norm.ppf(0.9)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        is_case = rng.random(20_000) < 0.1
        marker = rng.normal(size=20_000) + distance * is_case
        cut = distance / 2 if share is None else np.quantile(marker, 1 - share)
        assert judge(marker > cut, known_of(is_case)) is None


def test_the_best_cut_of_a_marker_is_named_where_it_is_better_than_99():
    """The same law at an AUROC of .998 (d = 4): Φ(2) = .977 is beyond .95."""
    rng = np.random.default_rng(0)
    is_case = rng.random(20_000) < 0.1
    marker = rng.normal(size=20_000) + 4 * is_case
    found = judge(marker > 2, known_of(is_case))
    assert found.rule == AUROC
    assert found.value == pytest.approx(norm.cdf(2), abs=0.01)
    assert LEAST_AUROC <= found.low < found.value


def test_many_predictions_of_few_people_count_as_those_people():
    held, is_case = people(400, 0, 100, 2000)
    subject = np.concatenate([np.repeat(np.arange(10), 40), np.arange(10, 2110)])
    assert judge(held, known_of(is_case)) is not None
    known = known_of(is_case, subject_id=subject)
    assert known.number(held) == pytest.approx(10)
    assert judge(held, known) is None


def test_unequal_weights_count_as_fewer_people():
    known = known_of([True, True, False], weights=[1, 1, 2])
    assert known.number(np.ones(3, dtype=bool)) == pytest.approx(16 / 6)
    assert known.number(np.zeros(3, dtype=bool)) == 0


def test_censoring_weights_decide_the_share():
    """Nine of ten who have it are cases, but each of the others stands for three people."""
    held, is_case = people(360, 40, 40, 1000)
    assert known_of(is_case, np.where(is_case, 1.0, 3.0)).share(is_case, held) == pytest.approx(360 / 480)
    held, is_case = people(380, 20, 40, 1000)
    assert judge(held, known_of(is_case)).low > LEAST_VALUE
    assert judge(held, known_of(is_case, np.where(is_case, 1.0, 3.0))) is None
