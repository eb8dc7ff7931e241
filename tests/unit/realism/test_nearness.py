"""Copies of train subjects among many codes, and which train records they are looked for in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from proband.ehr.outcomes import Task
from proband.realism import nearness
from proband.realism.futures import Futures, Points, real_futures
from proband.realism.nearness import measure
from small_world import DAY, HandStore, Record

SIZE, NUM_TRAIN, NUM_ASKED, YEAR = 100, 400, 150, 365 * DAY
TASK = Task.model_validate(
    {"outcomes": {"x": {"codes": "X//2"}}, "prediction": {"years_after_entry": 0}, "horizons_years": 2}
)


def life(rng: np.random.Generator, split: str) -> Record:
    """Two years of a Poisson number of events, whose codes are those of one of ten diseases, or any."""
    disease = rng.integers(0, 10)
    number = 8 + rng.poisson(12)
    own = 2 + 8 * disease + rng.integers(0, 8, number)
    tokens = np.where(rng.random(number) < 0.7, own, rng.integers(2, SIZE - 1, number))
    ages = 1 + np.sort(rng.choice(2 * YEAR - 1, number, replace=False))
    return Record(tokens.tolist(), ages.tolist(), exit=2 * YEAR, split=split)


@pytest.fixture(scope="module")
def store() -> HandStore:
    rng = np.random.default_rng(0)
    splits = ["train"] * NUM_TRAIN + ["held_out"] * NUM_ASKED + ["tuning"] * NUM_ASKED
    return HandStore([life(rng, split) for split in splits], size=SIZE)


def points_of(store: HandStore, rows: np.ndarray) -> Points:
    known = store.subjects[rows]
    frame = known.select(source_subject_id="subject_id", prediction_time="birth_time")
    return Points(frame, rows, np.zeros(len(rows), dtype=np.int64), np.full(len(rows), 2 * YEAR))


def judged(store: HandStore, simulated: Futures, seed: int = 0) -> dict[str, dict]:
    """Rows of memorisation by measure; the futures are those of the held-out subjects' points."""
    points = points_of(store, store.rows_of("held_out"))
    real = real_futures(store, points)
    rows, _ = measure(store, TASK, points, real, simulated, np.full(NUM_ASKED, 2 * YEAR), seed)
    return {row["measure"]: row for row in rows.iter_rows(named=True)}


def test_lives_of_the_same_law_are_no_nearer_to_train(store: HandStore) -> None:
    fresh = real_futures(store, points_of(store, store.rows_of("tuning")))
    for row in judged(store, fresh).values():
        assert row["num_points"] == NUM_ASKED
        assert abs(row["share_nearer"] - 0.5) < 3 * row["standard_error"]


def test_replayed_train_subjects_are_nearer(store: HandStore) -> None:
    rng = np.random.default_rng(1)
    copied = real_futures(store, points_of(store, rng.integers(0, NUM_TRAIN, NUM_ASKED)))
    for name, row in judged(store, copied).items():
        assert row["share_nearer"] > 0.95, name
        assert row["num_simulated_beyond"] > 0.9 * NUM_ASKED, name


def test_only_few_train_records_are_searched_where_there_are_too_many(
    store: HandStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = real_futures(store, points_of(store, np.arange(NUM_ASKED)))
    monkeypatch.setattr(nearness, "MOST_TRAIN_TOKENS", 300)
    monkeypatch.setattr(nearness, "MOST_TRAIN_WINDOWS", 15)
    for name, row in judged(store, copied).items():
        assert 0.45 < row["share_nearer"] < 0.7, name


def test_empty_futures_say_nothing(store: HandStore) -> None:
    points = points_of(store, store.rows_of("held_out"))
    none = real_futures(store, points).followed_until(np.zeros(NUM_ASKED, dtype=np.int64))
    rows, bins = measure(store, TASK, points, none, none, np.full(NUM_ASKED, 2 * YEAR), 0)
    assert rows.is_empty()
    assert bins.is_empty()
    assert isinstance(rows, pl.DataFrame)
