from __future__ import annotations

import math

import pytest
import torch

from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import Precision, estimate

ESTIMATORS = ("mc", "scope", "reach")


def paths(values: list[list[float]], rooms: list[list[float]] | None = None) -> PathValues:
    """Paths by horizon, for one outcome of one subject."""
    value = torch.tensor(values, dtype=torch.float64)[None, :, None]
    room = (
        torch.zeros_like(value) if rooms is None else torch.tensor(rooms, dtype=torch.float64)[None, :, None]
    )
    return PathValues(value, room)


@pytest.mark.parametrize("estimator", ["scope", "reach"])
def test_means_and_errors_by_hand(estimator: str) -> None:
    values = [0.5, 0.2, 0.1, 0.8]
    found = estimate(paths([[value] for value in values]), estimator)
    mean = sum(values) / 4
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
    assert float(found.risk) == pytest.approx(mean)
    assert float(found.standard_error) == pytest.approx(sd / 2)
    assert float(found.unresolved) == 0
    assert float(found.low) == float(found.high) == float(found.risk)


def test_mc_is_never_sure() -> None:
    """With k of n hits the error is that of k + 2 of n + 4, by hand."""
    for hits in (0, 1, 4):
        found = estimate(paths([[float(at < hits)] for at in range(6)]), "mc")
        share = (hits + 2) / 10
        assert float(found.risk) == pytest.approx(hits / 6)
        assert float(found.standard_error) == pytest.approx(math.sqrt(share * (1 - share) / 10))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_cut_path_counts_with_the_middle_of_its_bounds(estimator: str) -> None:
    found = estimate(paths([[0.25], [0.0], [0.5]], [[0.5], [1.0], [0.0]]), estimator)
    assert float(found.risk) == pytest.approx((0.5 + 0.5 + 0.5) / 3)
    assert float(found.unresolved) == pytest.approx(2 / 3)
    assert float(found.low) == pytest.approx(0.25)
    assert float(found.high) == pytest.approx(0.75)


def test_a_risk_is_a_probability_and_so_are_its_bounds() -> None:
    found = estimate(paths([[1.3], [1.1]], [[1.0], [0.0]]), "scope")
    assert float(found.risk) == float(found.low) == float(found.high) == 1


def test_cutting_the_risk_to_1_costs_scope_what_the_docs_say() -> None:
    generator = torch.Generator().manual_seed(0)
    values = 1 + 0.5 * torch.randn(4000, 32, 1, 1, dtype=torch.float64, generator=generator)
    found = estimate(PathValues(values, torch.zeros_like(values)), "scope")
    lost = 1 - float(found.risk.mean())
    assert lost == pytest.approx(float(found.standard_error.mean()) / math.sqrt(2 * math.pi), rel=0.1)


def test_beyond_a_blanking_gap_risks_and_bounds_are_ratios() -> None:
    # early 0.1 to 0.3 with the bounds, late 0.4 to 0.7
    found = estimate(paths([[0.2, 0.4], [0.0, 0.4]], [[0.0, 0.2], [0.4, 0.4]]), "reach", after_gap=True)
    assert found.risk.shape == (1, 1, 1)
    assert float(found.risk) == pytest.approx((0.55 - 0.2) / 0.8)
    assert float(found.low) == pytest.approx((0.4 - 0.3) / 0.7)
    assert float(found.high) == pytest.approx((0.7 - 0.1) / 0.9)


@pytest.mark.parametrize(
    "values",
    [[[1.2, 1.5], [0.9, 1.4], [1.1, 1.1]], [[1.0, 1.5], [1.0, 1.0]], [[1.2, 1.3], [0.7, 0.9], [1.1, 1.2]]],
)
def test_where_a_sum_within_the_gap_reaches_1_nothing_is_known_beyond_it(values: list[list[float]]) -> None:
    found = estimate(paths(values), "scope", after_gap=True)
    assert (float(found.risk), float(found.standard_error)) == (1, 1)
    assert (float(found.low), float(found.high)) == (0, 1)


def test_a_precision_is_reached_by_the_larger_of_its_two_errors() -> None:
    risk, error = torch.tensor([0.0, 0.1, 0.5]).double(), torch.tensor([0.009, 0.011, 0.04]).double()
    assert Precision(absolute=0.01).reached(risk, error).tolist() == [True, False, False]
    assert Precision(relative=0.1).reached(risk, error).tolist() == [False, False, True]
    assert Precision(absolute=0.01, relative=0.1).reached(risk, error).tolist() == [True, False, True]
