from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proband.tokens.history.edited import EditedStore
from small_world import HandStore, Record

PEOPLE = [Record([2, 3, 2, 4], [10, 20, 30, 30], exit=90), Record([], [], statics=[1]), Record([5], [7])]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(2, 5)), max_size=5))
def test_what_is_kept_stays_as_it_was(chosen: list[tuple[int, int]]) -> None:
    store = HandStore(PEOPLE)
    rows = np.array([row for row, _ in chosen], dtype=np.int64)
    keep = [store.record(int(row))[0] != left for row, left in chosen]
    edited = EditedStore.keeping(store, rows, keep)
    assert len(edited) == len(rows)
    for at, (row, left) in enumerate(chosen):
        tokens, minutes = store.record(row)
        found = edited.record(at)
        assert found[0].tolist() == [token for token in tokens.tolist() if token != left]
        assert found[1].tolist() == minutes[tokens != left].tolist()
    assert edited.subject_ids.tolist() == store.subject_ids[rows].tolist()
    assert edited.exit.tolist() == store.exit[rows].tolist()
    assert np.array_equal(edited.female, store.female[rows], equal_nan=True)


def test_birth_stays() -> None:
    edited = EditedStore.keeping(HandStore(PEOPLE), np.array([0]), [np.zeros(5, dtype=bool)])
    assert edited.record(0)[0].tolist() == [1]
