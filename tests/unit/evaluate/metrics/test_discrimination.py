import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.evaluate.metrics.discrimination import (
    auroc,
    auroc_and_auprc,
    average_precision,
    curve,
    rank,
    weighted_quantiles,
)


def test_hand_numbers_with_ties():
    risk = np.array([0.1, 0.2, 0.2, 0.2, 0.9])
    case = np.array([False, True, False, True, False])
    # Each case beats one control, ties with one and loses to one: (1 + 1/2) / 3.
    assert auroc(risk, case) == pytest.approx(0.5)
    # At 0.9 nothing is gained; at 0.2 both cases come among four flagged: precision 2/4, recall 0 to 1.
    assert average_precision(risk, case) == pytest.approx(0.5)


def test_average_precision_is_not_auroc_minus_one_nor_trapezoid():
    risk, case = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, False, True])
    assert average_precision(risk, case) == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_all_risks_equal_is_chance():
    case = np.array([True, False, False, False])
    assert auroc(np.full(4, 0.3), case) == 0.5
    assert average_precision(np.full(4, 0.3), case) == 0.25


samples = st.integers(0, 100_000).map(np.random.default_rng)


@settings(max_examples=60)
@given(samples, st.integers(2, 60), st.integers(1, 30))
def test_equals_scikit_learn(rng, size, levels):
    from sklearn.metrics import average_precision_score, roc_auc_score

    risk = rng.integers(0, levels, size) / levels
    case = rng.random(size) < 0.4
    case[:2] = [True, False]
    weights = rng.random(size) + 0.1
    assert average_precision(risk, case) == pytest.approx(average_precision_score(case, risk))
    assert average_precision(risk, case, weights) == pytest.approx(
        average_precision_score(case, risk, sample_weight=weights)
    )
    assert auroc(risk, case, weights) == pytest.approx(roc_auc_score(case, risk, sample_weight=weights))


@settings(max_examples=30)
@given(samples)
def test_replicates_equal_repeated_data(rng):
    risk, case = rng.integers(0, 8, 40) / 8, rng.random(40) < 0.5
    repeats = rng.multinomial(40, np.full(40, 1 / 40), size=5)
    found = auroc_and_auprc(rank(risk, case), repeats.astype(float))
    for row, times in enumerate(repeats):
        again = np.repeat(risk, times), np.repeat(case, times)
        if 0 < again[1].sum() < 40:
            assert found[0][row] == pytest.approx(auroc(*again))
            assert found[1][row] == pytest.approx(average_precision(*again))


def test_no_cases_or_no_controls_is_nan_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([False, False])))
        assert np.isnan(average_precision(np.array([0.1, 0.2]), np.array([False, False])))
        assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True])))


def test_curve_ends_with_everybody_and_its_area_is_auroc():
    rng = np.random.default_rng(0)
    risk, case = np.round(rng.random(500), 2), rng.random(500) < 0.3
    found = curve(risk, case, np.ones(500), np.arange(500), 10_000)
    assert found.num_flagged[-1] == 500
    assert found.num_flagged_cases[-1] == case.sum()
    assert found.sensitivity[-1] == found.false_positive_rate[-1] == 1
    area = np.trapezoid(np.append(0, found.sensitivity), np.append(0, found.false_positive_rate))
    assert area == pytest.approx(auroc(risk, case))
    assert len(curve(risk, case, np.ones(500), np.arange(500), 20).threshold) == 20


def test_curve_counts_a_subject_once():
    risk, case = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    found = curve(risk, case, np.ones(4), np.array([5, 5, 5, 6]), 10)
    assert found.num_flagged.tolist() == [1, 1, 1, 2]
    assert found.num_flagged_cases.tolist() == [1, 1, 1, 1]


def test_auroc_within_strata_by_hand_and_weighted():
    """Stratum 0: the case beats one of two controls; stratum 1: it ties with one; stratum 2 has no case."""
    risk = np.array([0.5, 0.4, 0.6, 0.2, 0.2, 0.9])
    case = np.array([True, False, False, True, False, False])
    within = rank(risk, case, np.array([0, 0, 0, 1, 1, 2]))
    weights = np.array([[1.0, 1, 1, 1, 1, 1], [1, 1, 1, 2, 1, 1], [0, 1, 1, 0, 1, 1]])
    found = auroc_and_auprc(within, weights)[0]
    assert found[:2] == pytest.approx([(1 + 0.5) / 3, (1 + 1) / 4])
    assert np.isnan(found[2])
    nowhere = rank(risk, case, np.full(6, -1))
    assert np.isnan(auroc_and_auprc(nowhere, weights)).all()


def test_auroc_within_one_stratum_is_the_auroc():
    rng = np.random.default_rng(0)
    risk, case = rng.integers(0, 9, 200) / 10, rng.random(200) < 0.3
    one = rank(risk, case, np.full(200, 3))
    assert auroc_and_auprc(one, np.ones((1, 200)))[0][0] == pytest.approx(auroc(risk, case))


def test_weighted_quantiles_equal_those_of_repeated_data():
    rng = np.random.default_rng(0)
    values, weights = rng.random((3, 40)), rng.integers(0, 4, (3, 40)).astype(float)
    shares = (0.1, 0.5, 0.9)
    theirs = [
        np.quantile(np.repeat(row, times.astype(int)), shares, method="inverted_cdf")
        for row, times in zip(values, weights, strict=True)
    ]
    assert weighted_quantiles(values, weights, shares) == pytest.approx(np.transpose(theirs))
