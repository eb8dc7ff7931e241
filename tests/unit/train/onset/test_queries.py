from __future__ import annotations

import numpy as np
import pytest

from onset_world import head_of, part_of
from proband.core.units import MINUTES_PER_YEAR
from proband.tokens.modalities.modality import ModalityTable
from proband.train.onset.queries import draw_dates
from small_world import HandStore, Record

YEAR = round(MINUTES_PER_YEAR)
DEATH = 7


def test_dates_are_uniform_over_person_time() -> None:
    store = HandStore(
        [
            Record([2], [YEAR], entry=50 * YEAR, exit=51 * YEAR),
            Record([2], [YEAR], entry=40 * YEAR, exit=43 * YEAR),
            Record([2], [YEAR], entry=60 * YEAR, exit=60 * YEAR),  # not followed
        ]
    )
    rows, minutes = draw_dates(store, np.arange(3), 500, 0, "train")
    assert len(rows) == 1000
    assert np.bincount(rows, minlength=3).tolist() == pytest.approx([250, 750, 0], abs=2)
    assert (np.diff(rows) >= 0).all()
    for row in (0, 1):
        share = (minutes[rows == row] - store.entry[row]) / (store.exit[row] - store.entry[row])
        assert (share >= 0).all()
        assert (share < 1).all()
        assert np.histogram(share, 5, (0, 1))[0] / len(share) == pytest.approx(0.2, abs=0.02)
    again, at = draw_dates(store, np.arange(3), 500, 0, "train")
    assert np.array_equal(at, minutes)
    assert np.array_equal(again, rows)
    assert not np.array_equal(draw_dates(store, np.arange(3), 500, 1, "train")[1], minutes)


def test_nobody_followed_gives_no_dates() -> None:
    store = HandStore([Record([2], [YEAR], entry=YEAR, exit=YEAR)])
    rows, minutes = draw_dates(store, np.arange(1), 5, 0, "train")
    assert len(rows) == len(minutes) == 0


def test_the_death_rate_comes_back_where_dates_per_subject_would_multiply_it() -> None:
    rng, rate = np.random.default_rng(0), 0.2
    life = rng.exponential(1 / rate, 3000)
    exit_ = (np.minimum(life, 12) * YEAR).astype(int) + 1
    store = HandStore(
        [
            Record([DEATH] if years < 12 else [], [end] if years < 12 else [], exit=end)
            for years, end in zip(life, exit_.tolist(), strict=True)
        ]
    )
    head = head_of([DEATH])

    def death_rate(rows: np.ndarray, minutes: np.ndarray) -> float:
        followed = part_of(store, rows, minutes, head).followed.batch(np.arange(len(rows)))
        return float(followed.happened.double().sum() / followed.until.double().sum())

    rows, minutes = draw_dates(store, np.arange(3000), 8, 0, "train")
    assert death_rate(rows, minutes) == pytest.approx(rate, rel=0.05)
    each = np.repeat(np.arange(3000), 8)
    per_subject = (store.exit[each] * rng.random(len(each))).astype(np.int64)
    assert death_rate(each, per_subject) > 1.5 * rate


def test_the_last_token_by_a_date() -> None:
    store = HandStore([Record([2, 3, 4], [YEAR, YEAR, 2 * YEAR], exit=9 * YEAR)])
    minutes = np.array([0, YEAR - 1, YEAR, 2 * YEAR - 1, 2 * YEAR])
    assert store.history_lengths(np.zeros(5, np.int64), minutes).tolist() == [1, 1, 3, 3, 4]


def table(timed: bool) -> ModalityTable:
    minutes = np.array([YEAR, 3 * YEAR, 2 * YEAR])
    return ModalityTable(
        values=np.array([[1.0], [2.0], [3.0]], dtype=np.float32),
        offsets=np.array([0, 2, 2, 3]) if timed else np.array([0, 1, 1, 2]),
        minutes=minutes if timed else minutes[:2],
        names=("x",),
        timed=timed,
    )


def test_the_newest_measurement_by_a_date() -> None:
    rows = np.array([0, 0, 0, 0, 1, 2])
    minutes = np.array([YEAR - 1, YEAR, 3 * YEAR - 1, 3 * YEAR, 9 * YEAR, 9 * YEAR])
    assert table(True).newest_by(rows, minutes).tolist() == [-1, 0, 0, 1, -1, 2]
    values = table(True).values_by(rows, minutes)[:, 0]
    assert np.isnan(values).tolist() == [True, False, False, False, True, False]
    assert values[[1, 2, 3, 5]].tolist() == [1.0, 1.0, 2.0, 3.0]
