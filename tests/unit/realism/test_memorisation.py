"""Runs and distances against brute force; what the shares mean."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.realism.memorisation import (
    DISTANCE,
    MEMORISATION,
    MOST_REPEATS,
    NEARNESS,
    RUN,
    Nearness,
    Sequences,
    longest_runs,
    nearest_distances,
    sequences,
)
from simulated_futures import hand_futures

TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=5)


def texts(rows: list[list[int]]) -> Sequences:
    return Sequences(
        np.array([token for row in rows for token in row], dtype=np.int64),
        np.cumsum([0, *(len(row) for row in rows)]),
    )


def brute_run(query: list[int], train: list[list[int]]) -> int:
    runs = {tuple(row[a:b]) for row in train for a in range(len(row)) for b in range(a, len(row) + 1)}
    return max(
        b - a
        for a in range(len(query) + 1)
        for b in range(a, len(query) + 1)
        if tuple(query[a:b]) in runs | {()}
    )


@given(TEXTS, TEXTS)
def test_longest_runs_are_those_of_brute_force(queries: list[list[int]], train: list[list[int]]) -> None:
    expected = [brute_run(query, train) for query in queries]
    assert longest_runs(texts(queries), texts(train)).tolist() == expected


def test_a_run_does_not_cross_from_one_subject_to_the_next() -> None:
    assert longest_runs(texts([[1, 2, 3, 4]]), texts([[0, 1, 2], [3, 4, 0]])).tolist() == [2]


@given(TEXTS, TEXTS)
def test_distances_are_those_of_brute_force(queries: list[list[int]], train: list[list[int]]) -> None:
    queries = [query or [0] for query in queries]
    expected = []
    for query in queries:
        common = [sum((Counter(query) & Counter(row)).values()) for row in train]
        expected.append(
            min(1 - 2 * c / (len(query) + len(row)) for c, row in zip(common, train, strict=True))
        )
    found = nearest_distances(texts(queries), texts(train), 4)
    assert found == pytest.approx(np.minimum(expected, 1))


def test_many_repeats_count_as_some() -> None:
    found = nearest_distances(texts([[1] * 99]), texts([[1] * MOST_REPEATS]), 4)
    assert found.tolist() == [0]


def test_sequences_ascend_within_a_minute_and_may_be_cut() -> None:
    futures = hand_futures(
        (0, 9, False, [(1, 5), (1, 3), (4, 1)]), (1, 9, False, []), (2, 9, False, [(1, 2)])
    )
    found = sequences(futures)
    assert found.tokens.tolist() == [3, 5, 1, 2]
    assert found.offsets.tolist() == [0, 3, 3, 4]
    short = found.cut(np.array([2, 0, 1]))
    assert short.tokens.tolist() == [3, 5, 2]
    assert short.offsets.tolist() == [0, 2, 2, 3]


def nearness(measure: str, real: list[float], simulated: list[float]) -> Nearness:
    return Nearness(measure, np.array(real), np.array(simulated), np.arange(len(real)))


def test_the_share_counts_ties_half_and_knows_which_way_is_near() -> None:
    real, simulated = [3.0, 3, 3, 3], [5.0, 3, 1, 4]
    assert nearness(RUN, real, simulated).row()["share_nearer"] == (1 + 0.5 + 0 + 1) / 4
    assert nearness(DISTANCE, real, simulated).row()["share_nearer"] == (0 + 0.5 + 1 + 0) / 4


def test_its_error_is_that_of_a_mean_over_subjects() -> None:
    rng = np.random.default_rng(0)
    real, simulated = rng.random((2, 100))
    row = Nearness(RUN, real, simulated, np.arange(100)).row()
    assert row["standard_error"] == pytest.approx(np.std(simulated > real, ddof=1) / 10)
    doubled = Nearness(RUN, np.tile(real, 2), np.tile(simulated, 2), np.tile(np.arange(100), 2)).row()
    assert doubled["standard_error"] == pytest.approx(row["standard_error"])
    assert doubled["num_subjects"] == 100


def test_a_few_copies_show_beyond_the_extreme() -> None:
    rng = np.random.default_rng(1)
    real, simulated = rng.random((2, 2000))
    simulated[:100] = 0.0
    row = nearness(DISTANCE, real.tolist(), simulated.tolist()).row()
    assert row["share_nearer"] < 0.55
    assert row["num_real_beyond"] <= 20
    assert 100 <= row["num_simulated_beyond"] < 150
    assert 0 < row["extreme"] < 0.03


def test_rows_and_histograms_are_as_declared() -> None:
    found = nearness(RUN, [1.0, 300, 7], [2.0, 2, 2])
    bins = NEARNESS.check(found.histogram(), "test")
    assert bins["num_real"].sum() == bins["num_simulated"].sum() == 3
    assert bins["high"].max() == 300
    import polars as pl

    MEMORISATION.check(pl.DataFrame([found.row()], schema=MEMORISATION.empty().schema), "test")
