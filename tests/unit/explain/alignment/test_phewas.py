"""Cox models of one score at a time, against the Cox regression of all columns together."""

from __future__ import annotations

import numpy as np
import pytest

from proband.evaluate.baselines.scores.cox import fit_cox
from proband.explain.alignment.phewas import cox_by_score, false_discovery_rates


def survival(n: int = 1500) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    beside, scores = rng.normal(size=(n, 2)), rng.normal(size=(n, 3))
    scores[:, 2] = 0.0
    wait = rng.exponential(size=n) / (0.05 * np.exp(0.5 * beside[:, 0] + 0.4 * scores[:, 0]))
    time = np.minimum(np.round(wait, 1), 10.0)  # with ties
    return scores, beside, time, wait < 10.0


def test_one_score_at_a_time_is_cox_regression() -> None:
    scores, beside, time, event = survival()
    found = cox_by_score(scores, beside, time, event)
    for at in (0, 1):
        both = np.column_stack([beside, scores[:, at]])
        expected = fit_cox(both, time, event, np.zeros(3)).beta[2]
        assert found.log_hazard_ratio[at] == pytest.approx(expected, abs=0.01)
        assert found.standard_error[at] == pytest.approx(1 / np.sqrt(event.sum()), rel=0.1)
    assert np.isnan(found.log_hazard_ratio[2])
    assert np.isnan(found.standard_error[2])


def test_false_discovery_rates() -> None:
    p = np.array([0.001, 0.2, np.nan, 0.01, 0.9])
    assert false_discovery_rates(p) == pytest.approx([0.004, 0.8 / 3, np.nan, 0.02, 0.9], nan_ok=True)
    assert np.isnan(false_discovery_rates(np.array([np.nan]))).all()
