from __future__ import annotations

import math

import pytest
import torch

from proband.forecast.estimators import estimate, path_values
from proband.forecast.sums import PathSums


def sums(hit: list[bool], expected: list[float], escape: list[float], cut: list[bool]) -> PathSums:
    def shaped(values: list, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype)[None, :, None, None]

    logs = [math.log(value) for value in escape]
    floats = [shaped(values, torch.float64) for values in (expected, logs)]
    return PathSums(shaped(hit, torch.bool), *floats, shaped(cut, torch.bool))


WHOLE = sums([True, False, False, True], [0.5, 0.2, 0.1, 1.2], [0.5, 0.8, 0.9, 0.2], [False] * 4)
CUT = sums([False, False], [0.4, 1.5], [0.7, 0.1], [True, True])


@pytest.mark.parametrize(
    ("estimator", "values"),
    [("mc", [1, 0, 0, 1]), ("scope", [0.5, 0.2, 0.1, 1.2]), ("reach", [0.5, 0.2, 0.1, 0.8])],
)
def test_values_means_and_errors_by_hand(estimator: str, values: list[float]) -> None:
    assert path_values(WHOLE, estimator).flatten().tolist() == pytest.approx(values)
    found = estimate(WHOLE, estimator)
    mean = sum(values) / 4
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
    assert float(found.risk) == pytest.approx(mean)
    assert float(found.standard_error) == pytest.approx(sd / 2)
    assert float(found.unresolved) == 0


@pytest.mark.parametrize(
    ("estimator", "low", "high"),
    [("mc", [0, 0], [1, 1]), ("scope", [0.4, 1.5], [1.4, 2.5]), ("reach", [0.3, 0.9], [1, 1])],
)
def test_a_cut_path_counts_with_the_middle_of_its_bounds(
    estimator: str, low: list[float], high: list[float]
) -> None:
    middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    assert path_values(CUT, estimator).flatten().tolist() == pytest.approx(middle)
    assert float(estimate(CUT, estimator).unresolved) == 1


def test_a_risk_is_a_probability() -> None:
    found = estimate(sums([False, False], [1.3, 1.1], [0.5, 0.5], [False, False]), "scope")
    assert float(found.risk) == 1
