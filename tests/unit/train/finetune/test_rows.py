"""A new row is a sum of known rows where the law says so, and old rows say the same as before."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from onset_world import DIM, query_of, random_rates, randomise
from proband.core.statistics.incidence import OLDEST
from proband.core.units import MINUTES_PER_YEAR
from proband.model.config import FOLDS, OnsetConfig, OnsetTask
from proband.model.onset.head import OnsetHead
from proband.model.onset.queries import Queries
from proband.model.transformer import Proband
from proband.tokens.history.summary import SparseFeatures
from proband.train.finetune.rows import add_rows, fit_known_tasks, rows_head
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import FollowUp
from small_world import random_model

RATE, YEARS, SUBJECTS = 0.02, 10.0, 6_000
HERE = torch.device("cpu")
NEW = (OnsetTask(name="new", tokens=(4,)),)


def model_of(num_features: int, **shape: Any) -> Proband:
    """Named tasks of tokens 2 and 3, and rows of the codes 4 and 5."""
    model = random_model()
    tasks = tuple(OnsetTask(name=f"X//{token}", tokens=(token,)) for token in (2, 3, 4, 5))
    model.attach_onset(
        OnsetConfig(
            tasks=tasks, num_named=2, num_features=num_features, rank=4, linear={"genome": 2}, **shape
        )
    )
    return model.eval()


def part_of_law(effect: float, seed: int, subjects: int = SUBJECTS) -> Part:
    """One date a subject; its log ratio is ``effect`` times the first of two features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(subjects, 2)).astype(np.float32)
    minutes = (rng.uniform(30, 80, subjects) * MINUTES_PER_YEAR).astype(np.int64)
    wait = rng.exponential(size=subjects) / (RATE * np.exp(effect * x[:, 0]))
    first = (minutes + np.minimum(wait, 50) * MINUTES_PER_YEAR).astype(np.int32)[:, None]
    rows, indptr = np.arange(subjects), 2 * np.arange(subjects + 1)
    features = SparseFeatures(indptr, np.tile([0, 1], subjects).astype(np.int32), x.ravel(), np.arange(2))
    state, female = np.ones((subjects, DIM), dtype=np.float32), rng.integers(0, 2, subjects).astype(float)
    queries = Queries(rows, minutes, features, state, minutes, female, {})
    return Part(queries, FollowUp(first, rows, minutes, minutes + round(YEARS * MINUTES_PER_YEAR)))


def test_a_row_that_is_a_share_of_a_known_one() -> None:
    model = model_of(2)
    assert model.onset is not None
    model.onset.linear[:, :2] = torch.tensor([[0.8, 0.0], [0.0, 0.8]])  # of the first feature, of the second
    head = rows_head(model, NEW, torch.full((1, 3, OLDEST), math.log(RATE)), ())
    notes = fit_known_tasks(head, model.onset, part_of_law(0.4, 1), part_of_law(0.4, 2), HERE)
    assert float(head.linear[0, 0]) == pytest.approx(0.4, abs=0.06)
    assert float(head.linear[1, 0]) == pytest.approx(0, abs=0.06)
    assert notes["known_tasks_gain"] > 20
    nothing = rows_head(model, NEW, torch.full((1, 3, OLDEST), math.log(RATE)), ())
    fit_known_tasks(nothing, model.onset, part_of_law(0.0, 1), part_of_law(0.0, 2), HERE)
    assert float(nothing.linear.abs().max()) < 0.05


def head_of_few(effect: float, task: OnsetTask, subjects: int, seed: int) -> OnsetHead:
    """A new task by few labels, of a model whose known tasks all have the coefficient 0.8."""
    model = model_of(2)
    assert model.onset is not None
    model.onset.linear[0, :2] = 0.8
    head = rows_head(model, (task,), torch.full((1, 3, OLDEST), math.log(RATE)), ())
    fit_known_tasks(
        head, model.onset, part_of_law(effect, seed, subjects), part_of_law(effect, 99, 500), HERE
    )
    return head


def fitted_to_few(effect: float, task: OnsetTask, subjects: int, seed: int) -> float:
    """What the record says of it: this coefficient."""
    return float(head_of_few(effect, task, subjects, seed).linear[0, 0])


def test_a_new_row_begins_at_the_mean_of_known_onsets() -> None:
    few = [fitted_to_few(0.8, NEW[0], 200, seed) for seed in range(8)]  # some 30 onsets
    assert np.mean(few) == pytest.approx(0.8, abs=0.1)
    assert np.std(few) < 0.25
    assert abs(fitted_to_few(0.0, NEW[0], SUBJECTS, 0)) < 0.08
    none = [fitted_to_few(0.0, NEW[0], 200, seed) for seed in range(8)]
    assert 0.0 < np.mean(none) < 0.4  # the price: labels have to undo what known tasks say


def test_changes_by_fold_give_the_spread_over_samples() -> None:
    """Of the part of a new row that known tasks tell, by the jackknife, over samples of 400 people."""
    heads = [head_of_few(0.5, NEW[0], 400, seed) for seed in range(24)]
    folds = torch.stack([head.linear_folds[:, 0, 0] for head in heads])
    assert torch.allclose(folds.sum(dim=1), torch.zeros(24), atol=1e-5)
    error = ((FOLDS - 1) / FOLDS * folds.square().sum(dim=1)).mean().sqrt()
    spread = torch.stack([head.linear[0, 0] for head in heads]).std()
    assert 0.6 < float(error / spread) < 1.7
    many = head_of_few(0.5, NEW[0], SUBJECTS, 0).linear_folds[:, 0, 0]
    assert float(many.abs().max()) < float(error) / 2


def test_what_known_tasks_change_by_fold_reaches_new_rows() -> None:
    """By their weights, half each."""
    model = model_of(2, first_value=0, num_valued=1)
    own, law = model.onset, (part_of_law(0.8, 1), part_of_law(0.8, 2))
    assert own is not None
    own.linear[0, :2] = 0.8
    plain = rows_head(model, NEW, torch.full((1, 3, OLDEST), math.log(RATE)), ())
    fit_known_tasks(plain, own, *law, HERE)
    own.linear_folds[2, 1, :2] = torch.tensor([0.1, 0.3])
    own.by_time_folds[4, 2, :2] = 0.2
    head = rows_head(model, NEW, torch.full((1, 3, OLDEST), math.log(RATE)), ())
    fit_known_tasks(head, own, *law, HERE)
    change = head.linear_folds - plain.linear_folds
    assert float(change[2, 1, 0]) == pytest.approx(0.2, abs=0.03)
    assert change.count_nonzero() == 1
    assert float(head.by_time_folds[4, 2, 0]) == pytest.approx(0.2, abs=0.03)
    assert head.by_time_folds.count_nonzero() == 1


def test_new_onsets_begin_with_values_by_time_and_labels_without() -> None:
    model = model_of(2, first_value=0, num_valued=1)
    assert model.onset is not None
    model.onset.linear[0, :2] = 0.8
    model.onset.by_time[0] = torch.tensor([0.4, 0.2])
    label = OnsetTask(name="label", tokens=(), horizon_years=YEARS)
    for task, least, most in ((NEW[0], 0.1, 0.5), (label, 0.0, 0.0)):
        head = rows_head(model, (task,), torch.full((1, 3, OLDEST), math.log(RATE)), ())
        assert torch.equal(head.tau, model.onset.tau)
        fit_known_tasks(head, model.onset, part_of_law(0.8, 1), part_of_law(0.8, 2), HERE)
        assert least <= float(head.by_time[0, 0]) <= most
        assert float(head.linear[0, 0]) > 0.2
    rows = rows_head(model, NEW, torch.full((1, 3, OLDEST), math.log(RATE)), ())
    rows.by_time.fill_(0.7)
    add_rows(model, rows)
    assert model.onset.by_time[:, 2].tolist() == pytest.approx([0.7, 0.7, 0.7])
    assert model.onset.by_time[0].tolist() == pytest.approx([0.4, 0.2, 0.7])


def test_labels_begin_at_nothing() -> None:
    label = OnsetTask(name="label", tokens=(), horizon_years=YEARS)
    none = [fitted_to_few(0.0, label, 200, seed) for seed in range(8)]
    assert np.mean(none) == pytest.approx(0, abs=0.15)


def test_old_rows_say_the_same_and_the_row_of_the_code_goes() -> None:
    model = model_of(6)
    own = model.onset
    assert own is not None
    random_rates(own)
    randomise(own)
    rows = rows_head(model, NEW, torch.full((1, 3, OLDEST), -4.0), {"genome"})
    randomise(rows)
    query = query_of([40.0, 55.0, 70.0], [0.0, 1.0, float("nan")])
    query = replace(query, modalities={"genome": torch.randn(3, 2)})
    with torch.no_grad():
        before = own(query)
        add_rows(model, rows)
        assert model.onset is not None
        after = model.onset(query)
    assert [task.tokens[0] for task in model.onset.config.tasks] == [2, 3, 4, 5]
    assert model.onset.config.num_named == 3
    assert [task.name for task in model.onset.config.tasks][2] == "new"
    assert torch.allclose(after[:, [0, 1, 3]], before[:, [0, 1, 3]], atol=1e-5)
    assert torch.equal(model.onset.linear[:, 2:], rows.linear)
    assert torch.equal(model.onset.log_rate[2], rows.log_rate[0])
    for name in ("beta", "by_age", "level"):
        joined, own = (getattr(head.linear_of("genome"), name) for head in (model.onset, rows))
        assert torch.equal(joined[:, 2:3], own)
