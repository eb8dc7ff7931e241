from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import DataError
from small_world import HandStore, Record

STORE = HandStore([Record([2], [5]), Record([3, 4], [1, 2], split="held_out"), Record([], [])])


def test_records_and_splits() -> None:
    tokens, minutes = STORE.record(1)
    assert (tokens.tolist(), minutes.tolist()) == ([1, 3, 4], [0, 1, 2])
    assert STORE.rows_of("train").tolist() == [0, 2]
    assert len(STORE) == 3
    with pytest.raises(DataError, match=r"no subject in this split.*held_out, train.*expected tuning"):
        STORE.rows_of("tuning")


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 5))
def test_a_smaller_share_lies_within_a_larger(one: float, other: float, seed: int) -> None:
    store = HandStore([Record([2], [5], split=split) for split in ["train"] * 40 + ["tuning"] * 7])
    small, large = (store.fewer(share, seed) for share in sorted((one, other)))
    for split, number in (("train", 40), ("tuning", 7)):
        rows = large.rows_of(split)
        assert len(np.unique(rows)) == len(rows) == np.ceil(max(one, other) * number)
        assert np.isin(rows, store.rows_of(split)).all()
        assert np.isin(small.rows_of(split), rows).all()


def test_all_of_them_and_another_seed() -> None:
    store = HandStore([Record([2], [5], split=split) for split in ["train"] * 40 + ["tuning"] * 7])
    assert np.array_equal(store.fewer(1.0, 0).rows_of("train"), store.rows_of("train"))
    halves = [store.fewer(0.5, seed).rows_of("train").tolist() for seed in (0, 0, 1)]
    assert halves[0] == halves[1] != halves[2]


def test_a_resample_has_as_many_subjects_drawn_with_replacement() -> None:
    splits = ["train"] * 400 + ["tuning"] * 50 + ["held_out"] * 30
    store = HandStore([Record([2], [5], split=split) for split in splits])
    other = store.resampled(3)
    for split, number in (("train", 400), ("tuning", 50)):
        rows = other.rows_of(split)
        assert len(rows) == number
        assert set(rows) <= set(store.rows_of(split))
        assert (np.diff(rows) >= 0).all()
    # Each is left out with probability 1/e: 147 of 400, standard deviation 6.3.
    assert 400 - len(np.unique(other.rows_of("train"))) == pytest.approx(147, abs=4 * 6.3)
    assert other.rows_of("held_out").tolist() == store.rows_of("held_out").tolist()
    assert store.rows_of("train").tolist() == list(range(400))
    assert store.resampled(3).rows_of("train").tolist() == other.rows_of("train").tolist()
    assert store.resampled(4).rows_of("train").tolist() != other.rows_of("train").tolist()
