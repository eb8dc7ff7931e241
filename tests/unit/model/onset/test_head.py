from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from onset_world import head_of, query_of, random_rates, randomise
from proband.core.statistics.incidence import OLDEST
from proband.evaluate.baselines import age_sex
from proband.evaluate.baselines.age_sex import AgeSexRates
from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.model.config import BIN_EDGES, OnsetTask
from proband.model.onset import inputs as onset_inputs
from proband.model.onset.head import CALIBRATION_YEARS, TAU, OnsetHead
from proband.model.onset.inputs import Query
from proband.model.onset.terms import Interactions

HORIZONS = (1.0, 2.25, 5.0, 10.0)
DEATH = 2


def risks_of(head: OnsetHead, query: Query, tasks: list[int]) -> np.ndarray:
    with torch.no_grad():
        return cumulative_incidence(
            head, head.calibrated(query), query.age, query.female, tasks, DEATH, HORIZONS
        ).numpy()


@pytest.mark.parametrize("sex", [0, 1])
def test_the_untrained_head_is_the_table_of_age_and_sex(sex: int) -> None:
    head = head_of([2], [3, 4], [7], linear={"genome": 2})
    rates = random_rates(head)
    age = np.random.default_rng(0).uniform(0, 119, 60)
    genome = {"genome": torch.randn(60, 2)}
    query = query_of(age.tolist(), [float(sex)] * 60, modalities=genome)
    found = risks_of(head, query, [0, 1])
    for task in (0, 1):
        table = AgeSexRates(outcome=rates[task, :2], death=rates[DEATH, :2])
        for at, horizon in enumerate(HORIZONS):
            expected = age_sex.cumulative_incidence(
                table, query.age.double().numpy(), np.full(60, float(sex)), horizon
            )
            assert found[:, task, at] == pytest.approx(expected, abs=1e-6)
    assert np.ptp(found) > 0.1
    assert not np.allclose(risks_of(randomise(head), query, [0, 1]), found, atol=1e-3)


def test_of_unknown_sex_the_rate_is_the_mean_of_both() -> None:
    head = head_of([2], [3], [7])
    rates = random_rates(head)
    query = query_of([40.0, 71.5], [np.nan, np.nan])
    mean = [rates[task, :2].mean(axis=0) for task in (0, DEATH)]
    table = AgeSexRates(*(np.stack([rate, rate]) for rate in mean))
    expected = age_sex.cumulative_incidence(table, query.age.double().numpy(), np.zeros(2), 10.0)
    assert risks_of(head, query, [0])[:, 0, -1] == pytest.approx(expected, abs=1e-6)


def test_dense_and_sparse_products_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    head = randomise(head_of([2], [7]))
    head.feature_mean.uniform_(-1, 1)
    head.feature_sd.uniform_(0.5, 2)
    query = query_of(np.linspace(20, 80, 12).tolist(), [0.0, 1.0, np.nan] * 4)
    with torch.no_grad():
        dense = head(query)
        assert head.inputs(query).dense() @ head.linear == pytest.approx(
            head.inputs(query).times(head.linear), abs=1e-5
        )
        monkeypatch.setattr(onset_inputs, "_DENSE_FEATURES", 0)
        assert torch.allclose(head(query), dense, atol=1e-5)
    assert dense.std() > 0.1


def test_columns_are_a_part_of_the_dense_features() -> None:
    head = randomise(head_of([2]))
    head.feature_mean.uniform_(-1, 1)
    inputs = head.inputs(query_of(np.linspace(20, 80, 12).tolist(), [0.0] * 12))
    assert torch.equal(inputs.columns(1, 4), inputs.dense()[:, 1:4])
    assert inputs.columns(2, 2).shape == (12, 0)
    some = torch.tensor([4, 0, 3])
    assert torch.equal(inputs.chosen(some), inputs.dense()[:, some])


def test_columns_of_interactions() -> None:
    terms = Interactions(num_valued=2, num_named=1)
    query = query_of([70.0, 40.0], [0.0, np.nan])
    values = torch.tensor([[2.0, -1.0, 3.0, 0.5], [1.0, 0.0, 0.0, 0.0]])
    first = [2, -1, 3, 0.5, -2, 1, 4, 1, 1.5, 0, 0, 0.5, 1, 1, -1, -1]
    second = [-1, 0, 0, 0, 0, 0, 1, 0, 0.5, 0, 0, 0, -1, 1, 0, 0]
    assert terms.columns(values, query).tolist() == [pytest.approx(first), pytest.approx(second)]
    assert terms.columns_of(torch.tensor([1])).tolist() == [1, 3, 5, 7, 9, 11, 12, 13, 14, 15]


def test_values_change_with_time_for_named_onsets_alone() -> None:
    """Of a named onset, a label and a code: effects by time are those of the first."""
    tasks = (
        OnsetTask(name="onset", tokens=(2,)),
        OnsetTask(name="label", tokens=(), horizon_years=5.0),
        OnsetTask(name="code", tokens=(7,)),
    )
    head = head_of(num_features=4, tasks=tasks, num_named=2, first_value=0, num_valued=2)
    rows = [[0.5, 1.0], [0.0, 1.0], [0.25, 1.0], [0.0, 1.0], [-0.125, 1.0], [0.0, 1.0]]
    head.by_time.copy_(torch.tensor(rows))
    head.tau -= 1.5
    query = query_of([50.0, 60.0], [1.0, 0.0], num_features=4)
    inputs = head.inputs(query)
    mean, last = head.values_of(inputs)[:, 0], head.values_of(inputs)[:, 2]
    found = head.change_with_time(inputs)
    expected = (0.5 * mean + 0.25 * last - 0.125 * last**2)[:, None] * (torch.tensor(TAU) - 1.5)
    assert found[:, 0].numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    assert found[:, 0].abs().max() > 0.05
    assert not found[:, 1:].any()
    with torch.no_grad():
        assert head(query).numpy() == pytest.approx(found.numpy(), abs=1e-6)


def test_recencies_change_with_time_beside_values() -> None:
    """Features 1 to 5: a recency, two means and two last values, of which the recency and a mean change."""
    tasks = (OnsetTask(name="onset", tokens=(2,)),)
    shape = {"first_value": 2, "num_valued": 2, "num_recencies": 1}
    head = head_of(num_features=6, tasks=tasks, num_named=1, **shape)
    assert (head.config.first_timed, head.config.num_timed, head.config.num_timed_columns) == (1, 5, 7)
    head.by_time.copy_(torch.tensor([[-0.5], [0.25], *[[0.0]] * 5]))
    query = query_of([50.0, 60.0], [1.0, 0.0], num_features=6)
    inputs = head.inputs(query)
    recency, mean = inputs.columns(1, 2)[:, 0], head.values_of(inputs)[:, 0]
    expected = (-0.5 * recency + 0.25 * mean)[:, None] * torch.tensor(TAU)
    assert head.change_with_time(inputs)[:, 0].numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_without_a_fold_coefficients_of_named_tasks_are_others() -> None:
    """A named task and a code, which has no linear terms of the record: of it a modality's effects stay."""
    head = randomise(head_of([2], [7], num_named=1, first_value=4, num_valued=1, linear={"genome": 2}))
    head.feature_sd.uniform_(0.5, 2)
    values = torch.tensor([[1.0, -2.0], [0.5, 0.0], [np.nan, np.nan]])
    query = query_of([50.0, 60.0, 70.0], [1.0, 0.0, 1.0], modalities={"genome": values})
    with torch.no_grad():
        whole = head(query)
        assert not torch.stack(list(head.changes_by_fold(query))).any()
        genome = head.linear_of("genome")
        pairs = [
            (head.linear, head.linear_folds), (head.state_linear, head.state_linear_folds),
            (head.by_time, head.by_time_folds), (genome.beta, genome.beta_folds),
            (head.interactions.weights, head.interactions.weights_folds),
        ]  # fmt: skip
        for _, folds in pairs:
            folds[2].normal_(std=0.2)
        changes = list(head.changes_by_fold(query))
        assert torch.equal(head(query), whole)
        for coefficients, folds in pairs:
            coefficients[:, :1] += folds[2]
        expected = head(query) - whole
    assert [bool(change.any()) for change in changes] == [False, False, True, False, False]
    assert changes[2].shape == (3, 1, whole.shape[2])
    assert torch.allclose(changes[2], expected[:, :1], atol=1e-6)
    assert changes[2].abs().min() > 0.01
    assert not expected[:, 1].any()


def test_a_feature_that_does_not_vary_counts_nothing() -> None:
    head = randomise(head_of([2]))
    query = query_of([50.0, 50.0], [0.0, 0.0])
    with torch.no_grad():
        before = head(query)
        sd = torch.ones(6)
        sd[query.features] = 0.0
        head.standardise_with((torch.zeros(6), sd), (torch.zeros(16), torch.ones(16)))
        after = head(query)
        other = head(Query(**(vars(query) | {"values": query.values + 3})))
    assert torch.equal(after, other)
    assert not torch.allclose(after, before)


def test_values_that_are_missing_and_modalities_that_are_absent_give_0() -> None:
    head = randomise(head_of([2], [7], linear={"genome": 2}))
    genome = head.linear_of("genome")
    genome.mean.copy_(torch.tensor([1.0, -2.0]))
    genome.sd.copy_(torch.tensor([2.0, 0.5]))
    values = torch.tensor([[np.nan, np.nan], [3.0, np.nan], [3.0, -1.0]])
    found = head.of_modalities(query_of([50.0] * 3, [1.0] * 3, modalities={"genome": values}))
    factor, level = (
        torch.lerp(of_knots[1], of_knots[2], 1 / 3) for of_knots in (genome.by_age, genome.level)
    )
    assert torch.equal(found[0], torch.zeros(2))
    assert torch.allclose(found[1], factor * genome.beta[0] + level)
    assert torch.allclose(found[2], factor * (genome.beta[0] + 2 * genome.beta[1]) + level)
    absent = query_of([50.0] * 3, [1.0] * 3)
    assert torch.equal(head.of_modalities(absent), torch.zeros(3, 2))
    given = query_of([50.0] * 3, [1.0] * 3, modalities={"genome": values})
    with torch.no_grad():
        assert torch.equal(head(given)[0], head(absent)[0])
        assert not torch.allclose(head(given)[1], head(absent)[1])


def test_expected_is_the_integral_of_the_rate() -> None:
    head = head_of([2], [7])
    rates = random_rates(head)
    age, sex, until = [0.3, 44.9, 61.0, 116.2], [0.0, 1.0, np.nan, 1.0], [0.4, 2.7, 12.5, 9.0]
    ends = torch.tensor([[end, end / 2] for end in until])
    found = head.expected(torch.tensor(age), torch.tensor(sex), ends).numpy()
    step = 1e-4
    edges = [*BIN_EDGES, np.inf]
    for row, (start, female) in enumerate(zip(age, sex, strict=True)):
        side = 2 if np.isnan(female) else int(female)
        for task in (0, 1):
            ahead = np.arange(step / 2, float(ends[row, task]), step)
            lived = start + ahead < OLDEST  # beyond, nobody is
            rate = rates[task, side, np.minimum((start + ahead).astype(int), OLDEST - 1)] * lived
            expected = [
                rate[(ahead >= low) & (ahead < high)].sum() * step for low, high in itertools.pairwise(edges)
            ]
            assert found[row, task] == pytest.approx(expected, abs=1e-4)


def test_who_is_not_followed_expects_nothing() -> None:
    head = head_of([2])
    random_rates(head)
    assert not head.expected(torch.tensor([50.0]), torch.tensor([0.0]), torch.zeros(1, 1)).any()


def test_calibration_moves_the_log_hazard_of_ten_years_as_stated() -> None:
    head = randomise(head_of([2], [3], [7]))
    random_rates(head)
    query = query_of([30.0, 55.0, 80.0], [0.0, 1.0, np.nan])
    with torch.no_grad():
        raw = head(query)
        assert torch.equal(head.calibrated(query), raw)
        before = head.log_expected(query.age, query.female, raw, CALIBRATION_YEARS)
        head.intercept.copy_(torch.tensor([0.3, 0.0, -0.5]))
        head.slope.copy_(torch.tensor([0.8, 1.2, 1.0]))
        after = head.log_expected(query.age, query.female, head.calibrated(query), CALIBRATION_YEARS)
    assert torch.allclose(after, head.intercept + head.slope * before, atol=1e-5)
