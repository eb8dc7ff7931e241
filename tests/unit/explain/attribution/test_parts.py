"""A log hazard is the sum of its parts, and points of risk sum to the risk less that of age and sex."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onset_world import head_of, query_of, random_rates, randomise
from proband.explain.attribution.parts import (
    CALIBRATION,
    NETWORKS,
    RECORD,
    STATE,
    log_ratio_parts,
    part_names,
)
from proband.explain.attribution.shapley import Points, segments, shapley_points
from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.model.onset.head import OnsetHead, sex_rows
from proband.model.onset.inputs import Query

HORIZONS = (1.0, 2.25, 5.0, 12.0)
DEATH = 2


@pytest.fixture(scope="module")
def head() -> OnsetHead:
    valued = {"first_value": 2, "num_valued": 2}
    found = head_of([2], [3, 4], [7], linear={"genome": 2, "panel": 1}, num_networks=2, **valued)
    random_rates(found)
    found.intercept.copy_(torch.tensor([0.1, -0.2, 0.0]))
    found.slope.copy_(torch.tensor([0.9, 1.2, 1.0]))
    found.decay.copy_(torch.linspace(1.1, 0.4, 8))
    return randomise(found)


@pytest.fixture(scope="module")
def query() -> Query:
    rng = np.random.default_rng(3)
    sexes = rng.choice([0.0, 1.0, np.nan], 40).tolist()
    genome = {"genome": torch.from_numpy(rng.normal(size=(40, 2))).float()}
    return query_of(rng.uniform(0, 110, 40).tolist(), sexes, modalities=genome)


@torch.no_grad()
def points_of(head: OnsetHead, query: Query, horizons: tuple[float, ...], gap: bool = False) -> Points:
    parts = log_ratio_parts(head, query)
    where = segments(query.age.double().numpy(), horizons)
    row = sex_rows(query.female).numpy()[:, None]
    rates = head.log_rate.double().exp().numpy()
    outcomes = np.stack([rates[task][row, where.year] for task in (0, 1)], axis=1)
    death = np.repeat(rates[DEATH][row, where.year][:, None], 2, axis=1)
    stacked = np.stack([part[:, :2].numpy() for part in parts.values()])
    ratio = head.calibrated(query)[:, DEATH].numpy()
    return shapley_points(where, outcomes, stacked, death, ratio, gap)


def test_the_parts_sum_to_the_calibrated_log_ratio(head: OnsetHead, query: Query) -> None:
    with torch.no_grad():
        parts = log_ratio_parts(head, query)
        assert tuple(parts) == part_names(head)
        assert sum(parts.values()).numpy() == pytest.approx(head.calibrated(query).numpy(), abs=1e-5)
        levels = head.bias + head.calibrated(query) - head(query)
        assert parts[CALIBRATION].numpy() == pytest.approx(levels.numpy(), abs=1e-5)
        assert float(head.change_with_time(head.inputs(query)).abs().max()) > 0.05
    assert not parts["panel"].any()
    assert all(parts[name].abs().max() > 0.05 for name in (RECORD, NETWORKS, STATE, "genome", CALIBRATION))


def test_points_sum_to_the_risk_less_that_of_age_and_sex(head: OnsetHead, query: Query) -> None:
    found = points_of(head, query, HORIZONS)
    with torch.no_grad():
        given = query.age, query.female, [0, 1], DEATH, HORIZONS
        risk = cumulative_incidence(head, head.calibrated(query), *given).numpy()
        age_sex = cumulative_incidence(head, torch.zeros_like(head(query)), *given).numpy()
    assert found.risk == pytest.approx(risk, abs=1e-6)
    assert found.age_sex == pytest.approx(age_sex, abs=1e-6)
    assert found.points.sum(axis=0) == pytest.approx(risk - age_sex, abs=1e-4)
    assert np.abs(found.points).max() > 0.02


def test_a_part_of_nothing_gets_no_points(head: OnsetHead, query: Query) -> None:
    found = points_of(head, query, (10.0,))
    absent = part_names(head).index("panel")
    assert not found.points[absent].any()
    assert (found.points[-1] <= 1e-12)[found.points[-1] != 0].any()  # death takes from risks, or gives


def test_two_alike_parts_share_alike_and_one_part_has_all() -> None:
    where = segments(np.array([50.3]), (10.0,))
    rate = np.full((1, 1, where.width.shape[1]), 0.01)
    parts = np.full((2, 1, 1, 8), 0.4)
    none = np.zeros_like(rate)
    found = shapley_points(where, rate, parts, none, np.zeros((1, 8)))
    assert found.points[0] == pytest.approx(found.points[1])
    assert found.risk[0, 0, 0] == pytest.approx(1 - np.exp(-0.1 * np.exp(0.8)))
    assert found.points.sum() == pytest.approx(found.risk.item() - (1 - np.exp(-0.1)))


def test_after_a_gap_risks_are_of_those_without_the_outcome_by_then(head: OnsetHead, query: Query) -> None:
    plain, gap = points_of(head, query, (0.08, 5.0)), points_of(head, query, (0.08, 5.0), gap=True)
    early, late = plain.risk[..., 0], plain.risk[..., 1]
    assert gap.risk[..., 0] == pytest.approx((late - early) / (1 - early))
    assert gap.points.sum(axis=0) == pytest.approx(gap.risk - gap.age_sex)


def test_segments_are_months_of_equal_hazards_put_together() -> None:
    where = segments(np.array([49.95, 0.0, 119.5]), (1.0, 10.0))
    assert where.width.sum(axis=1) == pytest.approx([10.0] * 3)
    for row, until in enumerate(where.until):
        ends = np.cumsum(where.width[row])
        assert [ends[at - 1] for at in until] == pytest.approx([1.0, 10.0])
    used = where.width[0] > 0
    assert where.year[0][used][0] == 49
    assert np.cumsum(where.width[0])[used][0] == pytest.approx(1 / 12)
    assert where.year[2].max() == 119
