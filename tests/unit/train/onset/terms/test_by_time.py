"""Values and recencies that fade with the time ahead come back from a known law; those that stay do not."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from onset_world import DIM, head_of
from proband.core.units import MINUTES_PER_YEAR
from proband.model import config
from proband.model.config import BIN_EDGES
from proband.model.onset.head import TAU, OnsetHead
from proband.model.onset.queries import Queries
from proband.tokens.history.summary import SparseFeatures
from proband.train.onset.decay import fit_levels
from proband.train.onset.fit import Part, mean_loss, standardise
from proband.train.onset.piecewise_exponential import FollowUp
from proband.train.onset.terms import by_time, record
from proband.train.onset.terms.by_time import CountsByBin, centre_time, fit_by_time
from proband.train.onset.terms.record import choose_fitted, fit_record, standardise_interactions
from proband.train.onset.terms.shrinkage import fit_of_width

RATE, YEARS, SUBJECTS, STAYS, FADES, MIDDLE = 0.03, 12.0, 12_000, 0.4, -0.5, math.log(4)
HERE = torch.device("cpu")


def part_of_law(fades: float, seed: int, subjects: int = SUBJECTS, squared: float = 0.0) -> Part:
    """One date a subject, two values; the effect of the first in bin b is STAYS + fades (tau_b - MIDDLE),
    of its square squared (tau_b - MIDDLE), of the second STAYS."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(subjects, 2)).astype(np.float32)
    wait, first = rng.exponential(size=subjects), np.full(subjects, 50.0)
    for tau, begin, end in zip(TAU, BIN_EDGES, [*BIN_EDGES[1:], math.inf], strict=True):
        late = tau - MIDDLE
        hazard = RATE * np.exp(
            x[:, 0] * (STAYS + fades * late) + x[:, 1] * STAYS + squared * late * x[:, 0] ** 2
        )
        comes = (first == 50.0) & (wait < hazard * (end - begin))
        first[comes] = begin + (wait / hazard)[comes]
        wait = wait - hazard * (end - begin)
    minutes = np.full(subjects, round(50 * MINUTES_PER_YEAR))
    onset = (minutes + np.minimum(first, 50) * MINUTES_PER_YEAR).astype(np.int32)[:, None]
    rows, indptr = np.arange(subjects), 4 * np.arange(subjects + 1)
    indices = np.tile([0, 1, 2, 3], subjects).astype(np.int32)
    features = SparseFeatures(indptr, indices, np.tile(x, 2).reshape(-1), np.arange(4))
    state, female = np.ones((subjects, DIM), dtype=np.float32), rng.integers(0, 2, subjects).astype(float)
    queries = Queries(rows, minutes, features, state, minutes, female, {})
    return Part(queries, FollowUp(onset, rows, minutes, minutes + round(YEARS * MINUTES_PER_YEAR)))


def head_of_values() -> OnsetHead:
    head = head_of([2], num_features=4, first_value=0, num_valued=2)
    head.log_rate.fill_(math.log(RATE))
    return head


def effects(head: OnsetHead, value: int) -> np.ndarray:
    """Of one standard deviation of a value, mean and last together, by bin, in the mean from -1 to 1."""
    part = part_of_law(0.0, 3)
    part.queries.features.values[:8] = 0
    part.queries.features.values[[value, 2 + value]] = 1
    part.queries.features.values[[4 + value, 6 + value]] = -1
    query, _ = part.batch(np.arange(2), HERE)
    query.female.fill_(float("nan"))
    with torch.no_grad():
        high, low = head(query)[:, 0]
    return ((high - low) / 2).numpy()


@pytest.fixture(scope="module")
def parts() -> tuple[Part, Part]:
    return part_of_law(FADES, 1), part_of_law(FADES, 2)


def found_by_time(head: OnsetHead, parts: tuple[Part, Part]) -> tuple[float, float]:
    """Nats of tuning that effects by time gain after the record's terms, and by how much the loss falls."""
    centre_time(head, parts[0])
    fit_record(head, *parts, HERE)
    fit_levels(head, parts[0], HERE)
    before = mean_loss(head, parts[1], HERE)
    assert np.ptp(effects(head, 0)) == pytest.approx(0, abs=1e-6)
    notes = fit_by_time(head, *parts, HERE)
    fit_levels(head, parts[0], HERE)
    return notes["by_time_gain"], before - mean_loss(head, parts[1], HERE)


def test_a_value_that_fades_comes_back_beside_one_that_stays(parts: tuple[Part, Part]) -> None:
    head = head_of_values()
    standardise(head, parts[0].queries)
    head.interactions.sd.fill_(math.inf)
    gain, fall = found_by_time(head, parts)
    assert gain > 50
    assert fall > 0.005
    assert effects(head, 0)[:7] == pytest.approx(STAYS + FADES * (np.array(TAU)[:7] - MIDDLE), abs=0.12)
    assert effects(head, 1)[:7] == pytest.approx(STAYS, abs=0.1)


def test_beside_interactions_a_value_fades_by_less(parts: tuple[Part, Part]) -> None:
    """In the mean over time the hazard ratio is curved in the value; the square takes a part of it."""
    head = head_of_values()
    standardise(head, parts[0].queries)
    standardise_interactions(head, parts[0], HERE)
    gain, fall = found_by_time(head, parts)
    assert gain > 50
    assert fall > 0.005
    assert 0.7 < np.polyfit(np.array(TAU)[:7], effects(head, 0)[:7], 1)[0] / FADES < 1
    assert effects(head, 1)[:7] == pytest.approx(STAYS, abs=0.1)


def test_a_recency_that_fades_comes_back_where_it_may(parts: tuple[Part, Part]) -> None:
    """The same law on the recencies of two codes; where only values may change with time, nothing does."""
    losses = {}
    for number in (2, 0):
        head = head_of([2], num_features=4, first_value=2, num_valued=1, num_recencies=number)
        head.log_rate.fill_(math.log(RATE))
        some = [
            replace(part, queries=replace(part.queries, features=recencies_alone(part))) for part in parts
        ]
        standardise(head, some[0].queries)
        standardise_interactions(head, some[0], HERE)
        centre_time(head, some[0])
        fit_record(head, *some, HERE)
        fit_levels(head, some[0], HERE)
        notes = fit_by_time(head, *some, HERE)
        fit_levels(head, some[0], HERE)
        losses[number] = mean_loss(head, some[1], HERE)
        assert bool(notes) == bool(number)
        if number:
            assert notes["by_time_gain"] > 50
            assert float(head.by_time[0]) == pytest.approx(FADES, abs=0.12)
            assert float(head.by_time[1]) == pytest.approx(0, abs=0.1)
    assert losses[2] < losses[0] - 0.005


def test_a_value_whose_extremes_come_first_changes_by_its_square() -> None:
    """Of the first value the square fades, of the second nothing."""
    train, tuning = (part_of_law(0.0, seed, squared=-0.2) for seed in (1, 2))
    head = head_of_values()
    standardise(head, train.queries)
    standardise_interactions(head, train, HERE)
    centre_time(head, train)
    fit_record(head, train, tuning, HERE)
    fit_levels(head, train, HERE)
    before = mean_loss(head, tuning, HERE)
    notes = fit_by_time(head, train, tuning, HERE)
    fit_levels(head, train, HERE)
    squares, lines = head.by_time[4:, 0], head.by_time[:2, 0] + head.by_time[2:4, 0]
    assert notes["by_time_gain"] > 20
    assert mean_loss(head, tuning, HERE) < before - 0.002
    assert float(squares[0]) == pytest.approx(-0.2, abs=0.05)
    assert squares[1:].abs().max() < 0.05
    assert lines.abs().max() < 0.1


def recencies_alone(part: Part) -> SparseFeatures:
    """The first two features of each date; the others are never there."""
    read = part.queries.features
    kept = np.tile([True, True, False, False], len(read))
    return replace(read, indptr=read.indptr // 2, indices=read.indices[kept], values=read.values[kept])


def test_values_that_stay_get_less_than_chance_gives() -> None:
    """With some 350 onsets an effect by time has a standard error of 0.1 where nothing shrinks it."""
    sizes: dict[str, list[float]] = {"cross-validated": [], "not shrunk": []}
    plain = functools.partial(fit_of_width, width=100.0)
    given = zip(sizes, ((), (plain,)), strict=True)
    for name, fit in given:
        for seed in range(10, 18, 2):
            head = head_of_values()
            train, tuning = part_of_law(0.0, seed, 1200), part_of_law(0.0, seed + 1, 1200)
            standardise(head, train.queries)
            standardise_interactions(head, train, HERE)
            centre_time(head, train)
            fit_record(head, train, tuning, HERE)
            fit_by_time(head, train, tuning, HERE, *fit)
            sizes[name] += (head.by_time[:2] + head.by_time[2:4]).abs().flatten().tolist()
    mean = {name: float(np.mean(found)) for name, found in sizes.items()}
    assert mean["not shrunk"] > 0.04
    assert mean["cross-validated"] < 0.5 * mean["not shrunk"]


def test_a_value_that_does_not_vary_or_that_few_have_gets_nothing(parts: tuple[Part, Part]) -> None:
    head = head_of_values()
    standardise(head, parts[0].queries)
    head.feature_sd[[0, 2]] = torch.inf
    fit_by_time(head, *parts, HERE)
    assert not head.by_time[[0, 2, 4]].any()
    assert head.by_time[[1, 3, 5]].any()
    read, last = parts[0].queries.features, 4 * 19  # of the first 19 dates alone
    few_have = replace(
        read, indptr=np.minimum(read.indptr, last), indices=read.indices[:last], values=read.values[:last]
    )
    few = replace(parts[0], queries=replace(parts[0].queries, features=few_have))
    standardise(head, few.queries)
    assert fit_by_time(head, few, parts[1], HERE) == {}


def test_of_many_features_the_most_frequent_are_fitted(
    parts: tuple[Part, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second value, features 1 and 3, is known at every other date; three effects may be fitted: of the
    first value the mean, the last and its square, and of linear terms besides the second's mean."""
    for module in (config, record, by_time):
        monkeypatch.setattr(module, "MOST_FITTED", 3)
    head = head_of_values()
    some = [replace(part, queries=replace(part.queries, features=second_at_half(part))) for part in parts]
    standardise(head, some[0].queries)
    choose_fitted(head, some[0])
    standardise_interactions(head, some[0], HERE)
    centre_time(head, some[0])
    fit_record(head, *some, HERE)
    fit_by_time(head, *some, HERE)
    assert head.fitted.tolist() == [0, 1, 2]
    assert head.linear[:, 0].bool().tolist() == [True, True, True, False]
    assert head.fitted_by_time.tolist() == [0, 2, 4]
    assert head.by_time[:, 0].bool().tolist() == [True, False, True, False, True, False]
    assert head.by_time_folds.shape == (5, 3, 1)
    assert head.by_time_folds.all()


def second_at_half(part: Part) -> SparseFeatures:
    """Features of which every other date lacks the second and the fourth."""
    read = part.queries.features
    kept = np.tile([True, True, True, True, True, False, True, False], len(read) // 2)
    indptr = np.concatenate([[0], np.cumsum(np.tile([4, 2], len(read) // 2))])
    return replace(read, indptr=indptr, indices=read.indices[kept], values=read.values[kept])


def test_time_is_centred_on_onsets() -> None:
    head, part = head_of_values(), part_of_law(FADES, 6)
    centre_time(head, part)
    years = (part.followed.first[:, 0] - part.followed.minutes) / MINUTES_PER_YEAR
    bins = np.searchsorted(BIN_EDGES, years[years <= YEARS]) - 1
    assert float(head.tau.numpy()[bins].mean()) == pytest.approx(0, abs=1e-3)
    assert head.tau.diff().numpy() == pytest.approx(np.diff(TAU), abs=1e-6)


def test_one_bin_is_a_regression_without_time(parts: tuple[Part, Part]) -> None:
    """With one bin of tau 1 the loss is that of plain counts."""
    rng = np.random.default_rng(0)
    x, onsets, exposure = (torch.from_numpy(rng.uniform(size=(40, 2)).astype(np.float32)) for _ in range(3))
    found = CountsByBin.of(x, onsets[:, :, None], exposure[:, :, None], torch.ones(2, 1))
    beta = torch.tensor([[0.3, -1.0], [0.1, 0.7]])
    plain = super(CountsByBin, found).loss(beta)
    assert found.loss(beta).numpy() == pytest.approx(plain.numpy(), rel=1e-5)
    assert found.thinned(20).loss(beta).numpy() == pytest.approx(
        super(CountsByBin, found.thinned(20)).loss(beta).numpy(), rel=1e-5
    )
    rows = torch.arange(40) < 25
    assert found.take(rows).onsets.sum() == pytest.approx(float(onsets[:25].sum()), rel=1e-5)
