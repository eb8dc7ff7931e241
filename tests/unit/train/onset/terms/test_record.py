"""Terms of the record come back from a known law of hazards."""

from __future__ import annotations

import math
from dataclasses import replace

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
from proband.train.onset.terms import record
from proband.train.onset.terms.record import fit_interactions, fit_record, standardise_interactions, steps

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
        indptr, np.tile([0, 1], SUBJECTS).astype(np.int32), np.repeat(x, 2), np.zeros(2, dtype=np.int64),
        np.zeros(2, dtype=np.float32),
    )  # fmt: skip
    state, female = np.ones((SUBJECTS, DIM), dtype=np.float32), rng.integers(0, 2, SUBJECTS).astype(float)
    queries = Queries(rows, minutes, features, state, minutes, female, {})
    return Part(queries, FollowUp(first, rows, minutes, minutes + round(YEARS * MINUTES_PER_YEAR)))


def fitted(effect: float, change: float) -> tuple[OnsetHead, dict[str, float]]:
    head = head_of([2], num_features=2, first_value=0, num_valued=1)
    head.log_rate.fill_(math.log(RATE))
    train, tuning = part_of_law(effect, change, 1), part_of_law(effect, change, 2)
    standardise(head, train.queries)
    standardise_interactions(head, train, HERE)
    return head, fit_record(head, train, tuning, HERE) | fit_interactions(head, train, tuning, HERE)


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


def test_an_effect_that_falls_with_age_comes_back() -> None:
    head, notes = fitted(0.5, -0.3)
    assert notes["interactions_gain"] > 5
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
    fit_interactions(head, part, part_of_law(0.5, 0.0, 2), HERE)
    assert torch.isinf(head.interactions.sd[:6]).all()
    assert float(head.interactions.weights[:6].abs().max()) == 0


BINS, THRESHOLD = 10, 6
SHARES = np.array([0.2, 0.2, 0.2, 0.15, 0.1, 0.07, 0.02, 0.02, 0.02, 0.02])
BIN_OF_FEATURE = np.array(sorted(range(BINS), key=lambda number: f"Q{number + 1}"))
"""As a vocabulary has them: Q10 comes before Q2."""


def part_by_bins(log_ratio: np.ndarray, seed: int) -> Part:
    """One date a subject, of whom the bin of one last value is known; log ratios of the bins are given."""
    part = part_of_law(0.0, 0.0, seed)
    rng = np.random.default_rng(seed)
    own = rng.choice(BINS, SUBJECTS, p=SHARES)
    wait = rng.exponential(size=SUBJECTS) / (RATE * np.exp(log_ratio[own]))
    first = (part.queries.minutes + np.minimum(wait, 50) * MINUTES_PER_YEAR).astype(np.int32)[:, None]
    values, code_of = np.ones(SUBJECTS, dtype=np.float32), np.zeros(2 + BINS, dtype=np.int64)
    place = np.append([0, 0], BIN_OF_FEATURE / BINS).astype(np.float32)
    listed = (2 + np.argsort(BIN_OF_FEATURE)[own]).astype(np.int32)
    features = SparseFeatures(np.arange(SUBJECTS + 1), listed, values, code_of, place)
    return Part(replace(part.queries, features=features), replace(part.followed, first=first))


def by_bin(log_ratio: np.ndarray, seed: int) -> np.ndarray:
    """Fitted log ratios of the bins, less their mean over people."""
    head = head_of([2], num_features=2 + BINS, first_value=0, num_valued=1)
    head.log_rate.fill_(math.log(RATE))
    train, tuning = part_by_bins(log_ratio, 2 * seed), part_by_bins(log_ratio, 2 * seed + 1)
    standardise(head, train.queries)
    fit_record(head, train, tuning, HERE)
    bins = 2 + torch.from_numpy(np.argsort(BIN_OF_FEATURE))
    found = (head.linear[bins, 0] * head.bin_sizes(bins)).numpy()
    return found - SHARES @ found


def test_a_hazard_that_rises_at_a_threshold_and_stays_comes_back_as_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four bins of 2% of the people are above it: fitted bin by bin they differ and are too low."""
    law = np.where(np.arange(BINS) >= THRESHOLD, 1.2, 0.0)
    expected = law - SHARES @ law

    def errors() -> np.ndarray:
        return np.array([by_bin(law, seed) - expected for seed in range(1, 6)])[:, THRESHOLD:]

    by_steps = errors()
    monkeypatch.setattr(record, "steps", lambda head, bins, *_: torch.eye(len(bins)))
    bin_by_bin = errors()
    assert np.sqrt((by_steps**2).mean()) < 0.75 * np.sqrt((bin_by_bin**2).mean())
    assert np.abs(by_steps.mean(axis=0)).max() < 0.3


def test_bins_of_no_effect_get_none() -> None:
    assert max(np.abs(by_bin(np.zeros(BINS), seed)).max() for seed in range(1, 4)) < 0.1


def test_steps_are_standardised_and_each_code_has_its_own() -> None:
    rng = np.random.default_rng(0)
    own = np.stack([rng.choice(3, SUBJECTS, p=[0.5, 0.3, 0.2]), 3 + rng.choice(2, SUBJECTS)], axis=1)
    bounds, ones = 2 * np.arange(SUBJECTS + 1), np.ones(2 * SUBJECTS, dtype=np.float32)
    code_of, place = np.array([0, 0, 0, 1, 1]), np.array([-0.3, 0, 0.3, -0.25, 0.25], dtype=np.float32)
    features = SparseFeatures(bounds, own.ravel().astype(np.int32), ones, code_of, place)
    head = head_of([2], num_features=5, first_value=0, num_valued=0)
    queries = replace(part_of_law(0.0, 0.0, 1).queries, features=features)
    standardise(head, queries)
    bins = torch.arange(5)
    found = head.inputs(queries.batch(np.arange(SUBJECTS))).chosen(bins) @ steps(head, bins, code_of, place)
    raw = np.stack([own[:, 0] >= 1, own[:, 0] >= 2, own[:, 1] >= 4], axis=1)
    expected = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    assert found[:, [1, 2, 4]].numpy() == pytest.approx(expected, abs=1e-3)
    assert found[:, [0, 3]].abs().max() < 1e-3  # everybody has a value of each code
