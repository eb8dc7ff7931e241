"""The slope of true risks on what scores add, by the record's risk: known laws give theirs back."""

from __future__ import annotations

import numpy as np
import pytest
from biobank import EHR_PCS, ORACLE, with_truth
from effects_by_risk import PGS, log_odds, slope, slopes

from paired_people import paired, rows_of


def probability(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def test_a_slope_is_that_of_the_law() -> None:
    random = np.random.default_rng(0)
    offset, added = random.normal(-2, 1, 5000), random.normal(0, 0.4, 5000)
    weights = np.vstack([np.ones(5000), random.poisson(1, (50, 5000))])
    found = slope(probability(offset + 0.2 + 0.7 * added), added, offset, weights)
    np.testing.assert_allclose(found, 0.7, atol=1e-8)  # no noise: the same in every resample


def test_one_newton_step_is_near_the_fit_of_the_resample() -> None:
    random = np.random.default_rng(1)
    offset, added = random.normal(-2, 1, 3000), random.normal(0, 0.4, 3000)
    truth = probability(offset + 0.9 * added + random.normal(0, 1, 3000))
    weights = np.vstack([np.ones(3000), random.poisson(1, (20, 3000))]).astype(float)
    exact = [slope(truth, added, offset, one[None])[0] for one in weights]
    found = slope(truth, added, offset, weights)
    assert np.abs(found - exact).max() < 0.1 * np.std(found[1:])


def test_scores_that_tell_nothing_of_those_at_high_risk_have_a_slope_of_0_there() -> None:
    random = np.random.default_rng(2)
    record, added = random.normal(-2, 1, 8000), random.normal(0, 0.4, 8000)
    high = record > np.quantile(record, 0.95)
    truth = probability(record + np.where(high, 0, 1.5) * added)
    truth[7] = np.nan  # one person without a true risk is left out
    risks = {EHR_PCS.name: probability(record), PGS.name: probability(record + added), ORACLE: truth}
    people = paired({"one": rows_of("one", np.full(8000, 10.0), np.zeros(8000), risks)}, 50, 0)
    found = [values[0] for values in slopes(with_truth(people), "one")]
    assert found == pytest.approx([1.5, 1.5, 1.5, 0], abs=1e-6)


def test_scores_that_add_nothing_have_no_slope() -> None:
    assert np.isnan(slope(np.full(9, 0.1), np.zeros(9), log_odds(np.full(9, 0.1)), np.ones((3, 9)))).all()
