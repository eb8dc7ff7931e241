"""Terms of the record come back from a known law of hazards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from onset_world import DIM, head_of
from proband.core.units import MINUTES_PER_YEAR
from proband.model.onset.head import OnsetHead
from proband.model.onset.queries import Queries
from proband.tokens.history.summary import SparseFeatures
from proband.train.onset.fit import Part, standardise
from proband.train.onset.piecewise_exponential import FollowUp
from proband.train.onset.terms.record import fit_record, standardise_interactions

RATE, YEARS, SUBJECTS = 0.02, 10.0, 8_000
HERE = torch.device("cpu")


def part_of_law(effect: float, change: float, seed: int) -> Part:
    """One date a subject; the log ratio of a value x is effect + change (age - 55) / 15."""
    rng = np.random.default_rng(seed)
    age, x = rng.uniform(30, 80, SUBJECTS), rng.normal(size=SUBJECTS).astype(np.float32)
    hazard = RATE * np.exp(x * (effect + change * (age - 55) / 15))
    wait = rng.exponential(size=SUBJECTS) / hazard
    minutes = (age * MINUTES_PER_YEAR).astype(np.int64)
    first = (minutes + np.minimum(wait, 50) * MINUTES_PER_YEAR).astype(np.int32)[:, None]
    rows, indptr = np.arange(SUBJECTS), 2 * np.arange(SUBJECTS + 1)
    features = SparseFeatures(
        indptr, np.tile([0, 1], SUBJECTS).astype(np.int32), np.repeat(x, 2), np.zeros(2, dtype=np.int64)
    )
    state, female = np.ones((SUBJECTS, DIM), dtype=np.float32), rng.integers(0, 2, SUBJECTS).astype(float)
    queries = Queries(rows, minutes, features, state, minutes, female, {})
    return Part(queries, FollowUp(first, rows, minutes, minutes + round(YEARS * MINUTES_PER_YEAR)))


def fitted(effect: float, change: float) -> tuple[OnsetHead, dict[str, float]]:
    head = head_of([2], num_features=2, first_value=0, num_valued=1)
    head.log_rate.fill_(math.log(RATE))
    train, tuning = part_of_law(effect, change, 1), part_of_law(effect, change, 2)
    standardise(head, train.queries)
    standardise_interactions(head, train, HERE)
    return head, fit_record(head, train, tuning, HERE)


def slope_at(head: OnsetHead, age: float) -> float:
    """Mean change of the log ratio for one standard deviation of the value, from -1 to 1."""
    part = part_of_law(0.0, 0.0, 3)
    part.queries.minutes[:2] = round(age * MINUTES_PER_YEAR)
    part.queries.features.values[:4] = [-1, -1, 1, 1]
    query, _ = part.batch(np.arange(2), HERE)
    query.female.fill_(float("nan"))
    with torch.no_grad():
        low, high = head(query)[:, 0, 0].tolist()
    return (high - low) / 2


@pytest.mark.parametrize("most", [1, 7, 3_999, SUBJECTS, 2 * SUBJECTS])
def test_some_dates_are_equally_far_apart_and_at_most_so_many(most: int) -> None:
    dates = part_of_law(0.0, 0.0, 1).dates(most)
    assert dates[0] == 0
    assert min(most, SUBJECTS) / 2 <= len(dates) <= most
    assert len(set(np.diff(dates))) <= 1


def test_an_effect_that_falls_with_age_comes_back() -> None:
    head, notes = fitted(0.5, -0.3)
    assert notes["record_gain"] > 5
    for age, effect in ((40, 0.8), (55, 0.5), (70, 0.2)):
        assert slope_at(head, age) == pytest.approx(effect, abs=0.1)


def test_an_effect_of_all_ages_gets_no_interaction() -> None:
    head, _ = fitted(0.5, 0.0)
    assert slope_at(head, 40) == pytest.approx(slope_at(head, 70), abs=0.06)
    assert slope_at(head, 55) == pytest.approx(0.5, abs=0.06)
    assert float(head.interactions.weights.abs().max()) < 0.06


def test_what_does_not_vary_has_no_weight() -> None:
    head = head_of([2], num_features=2, first_value=0, num_valued=1)
    head.log_rate.fill_(math.log(RATE))
    part = part_of_law(0.5, 0.0, 1)
    part.queries.features.values[:] = 1.0
    standardise(head, part.queries)
    standardise_interactions(head, part, HERE)
    fit_record(head, part, part_of_law(0.5, 0.0, 2), HERE)
    assert torch.isinf(head.interactions.sd[:6]).all()
    assert float(head.interactions.weights[:6].abs().max()) == 0
