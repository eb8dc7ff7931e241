import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.evaluate.metrics.utility import decision_curve, standardised_net_benefit


def test_net_benefit_by_hand():
    risk = np.array([0.05, 0.15, 0.25, 0.35])
    case = np.array([False, False, True, False])
    found = decision_curve(risk, case, np.ones(4), np.arange(4), np.array([0.01, 0.2, 0.5]))
    assert found.net_benefit == pytest.approx([1 / 4 - 3 / 4 / 99, 1 / 4 - 1 / 4 * 0.25, 0])
    assert found.net_benefit_all == pytest.approx([1 / 4 - 3 / 4 / 99, 1 / 4 - 3 / 4 * 0.25, 1 / 4 - 3 / 4])
    assert found.num_flagged.tolist() == [4, 2, 0]
    assert found.num_flagged_cases.tolist() == [1, 1, 0]


def test_weights_count():
    risk, case = np.array([0.3, 0.3]), np.array([True, False])
    assert decision_curve(risk, case, np.array([3.0, 1.0]), np.arange(2), np.array([0.2])).net_benefit[
        0
    ] == pytest.approx(3 / 4 - 1 / 4 * 0.25)


def test_a_subject_is_counted_once():
    risk, case = np.array([0.3, 0.6, 0.1]), np.array([False, True, False])
    found = decision_curve(risk, case, np.ones(3), np.array([4, 4, 8]), np.array([0.05, 0.2]))
    assert found.num_flagged.tolist() == [2, 1]
    assert found.num_flagged_cases.tolist() == [1, 1]


def test_what_acting_does_by_hand():
    """Flagged at 0.25 are a control of weight 1 and a case of weight 2; cases weigh 3, controls 2."""
    risk, case = np.array([0.1, 0.3, 0.6, 0.2]), np.array([False, False, True, True])
    weights = np.array([1.0, 1.0, 2.0, 1.0])
    found = decision_curve(risk, case, weights, np.arange(4), np.array([0.25, 0.7]))
    assert found.sensitivity.tolist() == [2 / 3, 0]
    assert found.specificity.tolist() == [0.5, 1]
    assert found.positive_predictive_value[0] == 2 / 3
    assert np.isnan(found.positive_predictive_value[1])
    assert found.share_flagged.tolist() == [0.6, 0]
    assert found.standardised_net_benefit == pytest.approx([(2 - 1 / 3) / 3, 0])
    assert found.standardised_net_benefit == pytest.approx(found.net_benefit / (3 / 5))
    both = standardised_net_benefit(risk, case, np.stack([weights, 0 * weights]), np.array([0.25, 0.7]))
    assert both[0] == pytest.approx(found.standardised_net_benefit)
    assert np.isnan(both[1]).all()


def test_standardised_net_benefit_at_several_thresholds_by_hand():
    """Cases .2 and .6 weigh 3 and 1; others .2 and .3 weigh 2 and 4. Of .2, and above, all are flagged."""
    risk, case = np.array([0.2, 0.6, 0.2, 0.3]), np.array([True, True, False, False])
    thresholds = np.array([0.5, 0.2, 0.25])
    found = standardised_net_benefit(risk, case, np.array([[3.0, 1, 2, 4], [1, 1, 0, 0]]), thresholds)
    assert found[0] == pytest.approx([1 / 4, (4 - 6 / 4) / 4, (1 - 4 / 3) / 4])
    assert found[1] == pytest.approx([1 / 2, 1, 1 / 2])


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_one_pass_equals_the_definition(rows, tenths, seed):
    risk, case = np.array([row[0] for row in rows]) / 10, np.array([row[1] for row in rows])
    thresholds = np.array(tenths) / 10
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(rows))).astype(float)
    found = standardised_net_benefit(risk, case, weights, thresholds)
    for replicate, own in enumerate(weights):
        for place, threshold in enumerate(thresholds):
            true = own[(risk >= threshold) & case].sum()
            false = own[(risk >= threshold) & ~case].sum()
            cases = own[case].sum()
            expected = (true - false * threshold / (1 - threshold)) / cases if cases else np.nan
            assert found[replicate, place] == pytest.approx(expected, nan_ok=True)
