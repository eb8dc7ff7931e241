from __future__ import annotations

import pytest

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
