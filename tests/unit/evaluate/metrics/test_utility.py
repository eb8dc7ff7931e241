import numpy as np
import pytest

from proband.evaluate.metrics.utility import decision_curve


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
