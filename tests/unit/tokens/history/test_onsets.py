from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.tokens.history.onsets import NEVER, first_occurrences
from small_world import HandStore, Record

EVENTS = st.lists(st.tuples(st.integers(2, 7), st.integers(0, 50)), max_size=8)


@settings(max_examples=80)
@given(
    st.lists(EVENTS, min_size=1, max_size=5),
    st.lists(st.lists(st.integers(2, 7), min_size=1, max_size=4), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_first_occurrences_by_brute_force(people: list, sets: list, random: object) -> None:
    records = []
    for events in people:
        events = sorted(events, key=lambda event: event[1])
        records.append(Record([token for token, _ in events], [at for _, at in events], exit=60))
    store = HandStore(records)
    rows = np.array([*range(len(people)), 0], dtype=np.int64)  # a subject may stand twice
    random.shuffle(rows)  # type: ignore[attr-defined]
    found = first_occurrences(store, rows, sets)
    expected = [
        [min((at for token, at in people[row] if token in members), default=NEVER) for members in sets]
        for row in rows.tolist()
    ]
    assert found.tolist() == expected
