from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from onset_world import head_of, part_of
from proband.core.units import MINUTES_PER_YEAR
from proband.model.onset.head import OnsetHead
from proband.model.onset.terms import AGE_KNOTS, age_weights
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import ModalityTable
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import expected_and_happened
from proband.train.onset.stage import OnsetResult, fit_modality_terms
from proband.train.onset.terms.by_age import Dates, factors_by_age
from proband.train.onset.terms.linear import standardise_modalities
from small_world import HandStore, Record

ONSET, RATE, YEARS, EFFECT = 2, 0.02, 8.0, 0.5
CPU = torch.device("cpu")


def fitted_to(
    records: Sequence[Record], tasks: Sequence[int], rate: float, table: ModalityTable, num_train: int
) -> tuple[OnsetHead, Part]:
    """A head of constant rates with a genome's terms fitted, and its train dates; the last subjects tune."""
    store = HandStore(records, size=max(8, max(tasks) + 2))
    layout = SummaryLayout.of(store.vocabulary)
    width = table.values.shape[1]
    head = head_of(*([task] for task in tasks), num_features=layout.num_features, linear={"genome": width})
    head.log_rate.fill_(math.log(rate))

    def part(rows: np.ndarray) -> Part:
        read = part_of(store, rows, store.entry[rows], head)
        return replace(read, queries=replace(read.queries, tables={"genome": table}))

    train, tuning = part(np.arange(num_train)), part(np.arange(num_train, len(records)))
    standardise_modalities(head, train)
    fit_modality_terms(head, train, tuning, CPU, OnsetResult({}, {}))
    return head, train


def fitted(
    n: int, effect: Callable[[np.ndarray], np.ndarray], seed: int
) -> tuple[OnsetHead, Part, np.ndarray]:
    """A head fitted to n subjects who enter at 30 to 75; log hazards go up by ``effect(age)`` per SD.

    The rate that the head is given is that of everybody of an age, and one in five has no score.
    """
    rng = np.random.default_rng(seed)
    age = rng.uniform(30, 75, n)
    z = np.where(rng.random(n) < 0.2, 0.0, rng.normal(size=n)).astype(np.float32)
    slope = effect(age)
    given = z != 0
    level = np.where(given, -(slope**2) / 2, 0.0)
    wait = rng.exponential(size=n) / (RATE * np.exp(slope * z + level))
    records = []
    for born, years in zip(age.tolist(), wait.tolist(), strict=True):
        entry, exit_ = round(born * MINUTES_PER_YEAR), round((born + YEARS) * MINUTES_PER_YEAR)
        onset = [round((born + years) * MINUTES_PER_YEAR)] if years <= YEARS else []
        records.append(Record([ONSET] * len(onset), onset, entry=entry, exit=exit_))
    offsets = np.concatenate([[0], given.cumsum()])
    table = ModalityTable(z[given, None], np.zeros(given.sum(), np.int64), offsets, ("score",))
    head, train = fitted_to(records, [ONSET], RATE, table, n * 4 // 5)
    return head, train, given


def test_an_effect_that_falls_with_age_comes_back_and_levels_fit_every_age() -> None:
    head, train, given = fitted(30_000, lambda age: EFFECT * (1.6 - (age - 30) / 37.5), 0)
    linear = head.linear_of("genome")
    found = head.slope[0] * linear.beta[0, 0] * linear.by_age[:, 0] / linear.sd[0]
    assert found.numpy() == pytest.approx(EFFECT * np.array([1.6, 1.2, 0.8, 0.4]), abs=0.12)  # 3 errors
    query, followed = train.batch(np.arange(len(train)), CPU)
    with torch.no_grad():
        expected, happened = expected_and_happened(head, query, head(query), followed)
    young = query.age < 52
    for has in (given[: len(train)], ~given[: len(train)]):
        for group in (young & torch.from_numpy(has), ~young & torch.from_numpy(has)):
            ratio = float(happened[group].sum() / expected[group].sum())
            assert ratio == pytest.approx(1, abs=3 / float(happened[group].sum()) ** 0.5)


def test_a_constant_effect_and_none_keep_their_size() -> None:
    head, _, _ = fitted(20_000, lambda age: np.full_like(age, EFFECT), 1)
    factor = head.linear_of("genome").by_age[:, 0]
    assert float(factor.mean()) == pytest.approx(1, abs=0.2)
    assert float(factor[:2].mean() - factor[2:].mean()) == pytest.approx(0, abs=0.3)  # 0.8 where it falls
    head, _, _ = fitted(8_000, np.zeros_like, 2)
    linear = head.linear_of("genome")
    assert (linear.beta * linear.by_age).abs().max() < 0.05


def dates_of(slope: Callable[[np.ndarray], np.ndarray], told: float, n: int = 20_000) -> Dates:
    """Onsets of three tasks: log hazards are ``slope(age)`` times a term, which is told ``told`` times."""
    rng = np.random.default_rng(3)
    age, terms = rng.uniform(25, 80, n), rng.normal(size=(1, n, 3)) * [0.5, 0.4, 0.6]
    expected = np.full((n, 3), 0.1)
    onsets = rng.poisson(expected * np.exp(slope(age)[:, None] * terms[0]))
    effects, exposure, happened = (torch.from_numpy(x).float() for x in (told * terms, expected, onsets))
    band = torch.from_numpy(age // 5).long()
    return Dates(band, torch.arange(24), effects, torch.ones(1, n, dtype=torch.bool), exposure, happened)


@pytest.mark.parametrize("slope", [np.ones_like, lambda age: 1.6 - (age - 30) / 37.5])
@pytest.mark.parametrize("told", [0.7, 1.0, 1.4])
def test_effects_come_to_the_size_that_onsets_show(slope: Callable, told: float) -> None:
    shape, own = factors_by_age(dates_of(slope, told))
    right = slope(np.array(AGE_KNOTS)) / told
    assert shape[0, :, 0].numpy() == pytest.approx(right, abs=0.15 / told)
    assert own.mean(dim=2)[0].numpy() == pytest.approx(right, abs=0.15 / told)


def test_effects_that_onsets_know_nothing_of_become_small() -> None:
    dates = dates_of(np.ones_like, 1.0)
    others = np.random.default_rng(0).permutation(dates.terms.shape[1])
    shape, _ = factors_by_age(dates._replace(terms=dates.terms[:, others]))
    assert shape.abs().max() < 0.2


def test_no_effects_have_factors_of_1() -> None:
    shape, own = factors_by_age(dates_of(np.ones_like, 0.0, n=500))
    assert shape.numpy() == pytest.approx(1)
    assert own.numpy() == pytest.approx(1)


def test_effects_found_in_few_people_have_the_right_size_in_others() -> None:
    """Log hazards of two diseases are sums of 30 effects, those of six others have none; 1,500 people.

    To the people on whom they were found, effects of chance look too small by far, and true ones hardly:
    factors fitted to these would lower the true ones.
    """
    rng, tasks, width, n = np.random.default_rng(5), range(2, 10), 30, 1500
    effect = rng.normal(0, 0.1, (width, len(tasks))) * (np.arange(len(tasks)) < 2)
    z = rng.normal(size=(n, width)).astype(np.float32)
    wait = rng.exponential(size=(n, len(tasks))) / (0.03 * np.exp(z @ effect))
    entry, exit_ = (round(age * MINUTES_PER_YEAR) for age in (50.0, 50.0 + YEARS))
    records = []
    for years in wait:
        onsets = sorted(
            (entry + round(t * MINUTES_PER_YEAR), d) for t, d in zip(years, tasks, strict=True) if t <= YEARS
        )
        records.append(Record([d for _, d in onsets], [at for at, _ in onsets], entry=entry, exit=exit_))
    names = tuple(f"score {number}" for number in range(width))
    table = ModalityTable(z, np.zeros(n, np.int64), np.arange(n + 1), names)
    head, _ = fitted_to(records, tasks, 0.03, table, n * 9 // 10)
    others = rng.normal(size=(20_000, width)).astype(np.float32)
    found = head.linear_of("genome").effects(torch.from_numpy(others), torch.full((len(others),), 52.0))
    true = (others @ effect)[:, :2]
    slopes = [np.polyfit(one, other, 1)[0] for one, other in zip(found[:, :2].T, true.T, strict=True)]
    assert np.mean(slopes) == pytest.approx(1, abs=0.15)


def test_weights_interpolate_and_hold_beyond_the_knots() -> None:
    age = np.array([10.0, 30.0, 41.0, 60.0, 74.0, 99.0])
    values = torch.tensor([2.0, 1.5, 1.0, 0.5])
    found = age_weights(torch.from_numpy(age).float()) @ values
    assert found.numpy() == pytest.approx(np.interp(age, AGE_KNOTS, values.numpy()), abs=1e-6)
