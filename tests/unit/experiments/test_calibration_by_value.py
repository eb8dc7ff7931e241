"""True over predicted risk by value: a model that ignores the value is wrong at both ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from biobank import EHR, ORACLE
from calibration_by_value import GROUPS, SHOWN, farthest, fifths, ratios
from hypothesis import given
from hypothesis import strategies as st

from paired_people import paired, rows_of


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60))
def test_fifths_rise_with_the_value(people: list[tuple[int, bool]]) -> None:
    values, known = np.array([one for one, _ in people]), np.array([one for _, one in people])
    found = fifths(values, known)
    assert set(found) <= set(range(5))
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()
    assert len(set(found[values == values[0]])) == 1


def test_distinct_values_make_equal_fifths() -> None:
    found = fifths(np.random.default_rng(0).permutation(100), np.ones(100, dtype=bool))
    assert np.bincount(found).tolist() == [20] * 5


def test_who_ignores_the_value_is_wrong_at_both_ends() -> None:
    random = np.random.default_rng(1)
    value = random.standard_normal(4000)
    truth = 1 / (1 + np.exp(2 - value))
    noisy = np.clip(truth + random.normal(0, 0.02, 4000), 0.001, 0.999)
    risks = dict.fromkeys(SHOWN, np.full(4000, truth.mean())) | {EHR.name: noisy, ORACLE: truth}
    people = {
        seed: paired({"one": rows_of("one", np.full(4000, 10.0), np.zeros(4000), risks)}, 100, seed)
        for seed in (0, 1)
    }
    groups = {seed: fifths(value, np.arange(4000) >= 100 * seed) for seed in people}
    groups[1][:100] = -1  # without a value
    labels = {"outcome": "one", "measured": "value", "horizon_years": 10.0}
    found = pl.DataFrame([labels | row for row in ratios(people, groups, "one")])
    mean = found.filter(seed="mean")
    table = mean.filter(model=SHOWN[0])["value"].to_list()
    assert table == sorted(table)
    assert table[0] < 0.5
    assert table[-1] > 1.8
    right = mean.filter(model=EHR.name)
    assert right.height == len(GROUPS)
    assert right["value"].to_numpy() == pytest.approx(1, abs=0.05)
    assert ((right["low"] < 1.02) & (right["high"] > 0.98)).all()
    number = [[int((groups[seed] == at).sum()) for at in range(5)] for seed in groups]
    for seed, own in enumerate(number):
        assert found.filter(seed=str(seed), model=EHR.name)["num_subjects"].to_list() == own
    missing = {
        name: one.with_columns(pl.lit(None, pl.Float64).alias(SHOWN[1]))
        for name, one in people[1].rows.items()
    }
    lacking = people | {1: replace(people[1], rows=missing)}
    fewer = pl.DataFrame([labels | row for row in ratios(lacking, groups, "one")])
    assert fewer["model"].unique(maintain_order=True).to_list() == [one for one in SHOWN if one != SHOWN[1]]
    assert SHOWN[1] not in farthest(fewer).columns
    worst = farthest(found)
    assert worst[SHOWN[0]].item() in (pytest.approx(table[0]), pytest.approx(table[-1]))
    assert worst[EHR.name].item() == pytest.approx(1, abs=0.05)
