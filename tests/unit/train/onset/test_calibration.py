from __future__ import annotations

import numpy as np
import pytest
import torch

from proband.train.onset.calibration import PRIOR_SD, fit_calibration

INTERCEPT, SLOPE = 0.6, 1.25


def simulated(n: int, intercept: float, slope: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Log hazards, expected and happened, of a model that is off by intercept and slope."""
    rng = np.random.default_rng(seed)
    log_total = rng.normal(-2, 0.8, size=(n, 1))
    expected = np.exp(log_total) * rng.uniform(0.5, 1, size=(n, 1))
    mean = expected * np.exp(intercept + (slope - 1) * log_total)
    happened = rng.poisson(mean)
    return tuple(torch.from_numpy(part.astype(np.float64)) for part in (log_total, expected, happened))


def test_much_data_gives_intercept_and_slope() -> None:
    intercept, slope = fit_calibration(*simulated(200_000, INTERCEPT, SLOPE))
    assert float(intercept[0]) == pytest.approx(INTERCEPT, abs=0.05)
    assert float(slope[0]) == pytest.approx(SLOPE, abs=0.03)


def test_little_data_stays_near_none() -> None:
    log_total, expected, happened = simulated(30, 1.2, 1.0)
    assert happened.sum() > 1.5 * expected.sum()
    intercept, slope = fit_calibration(log_total, expected, happened)
    centre = (expected * log_total).sum() / expected.sum()
    level = float(intercept[0] + (slope[0] - 1) * centre)
    assert 0 < level < 2 * PRIOR_SD[0]
    assert abs(float(slope[0]) - 1) < PRIOR_SD[1]


def test_dates_of_a_subject_count_as_one() -> None:
    once = simulated(300, INTERCEPT, SLOPE)
    often = tuple(part.repeat(8, 1) for part in once)
    for one, other in zip(fit_calibration(*once), fit_calibration(*often, 8.0), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(fit_calibration(*once)[1], fit_calibration(*often)[1], atol=1e-3)


def test_a_calibrated_model_is_left_alone() -> None:
    intercept, slope = fit_calibration(*simulated(200_000, 0.0, 1.0))
    assert float(intercept[0]) == pytest.approx(0, abs=0.05)
    assert float(slope[0]) == pytest.approx(1, abs=0.03)


def test_a_level_that_train_knows_is_not_moved_by_a_tuning_split_with_more_cases_by_chance() -> None:
    log_total, expected, happened = simulated(400, 0.3, 1.0)
    centre = (expected * log_total).sum() / expected.sum()

    def level(known: float) -> float:
        sd = torch.tensor([known], dtype=torch.float64)
        intercept, slope = fit_calibration(log_total, expected, happened, level_sd=sd)
        return float(intercept[0] + (slope[0] - 1) * centre)

    # Posterior of a normal prior and about as many onsets as information: by hand n x / (n + 1 / sd^2).
    number, raw = float(happened.sum()), float((happened.sum() / expected.sum()).log())
    for sd in (0.02, 0.05):
        assert level(sd) == pytest.approx(raw * number / (number + sd**-2), rel=0.25)
    assert level(10.0) == level(PRIOR_SD[0])  # never wider than the prior
