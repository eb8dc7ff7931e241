from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.batch import CENSORED, EVENT
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import (
    Windows,
    epoch_batches,
    load_batch,
    make_windows,
    plan_batches,
    sequential_batches,
)
from proband.tokens.modalities.modality import ModalityTable
from small_world import HandStore, Record


def whole(store: TokenStore, context: int = 512) -> dict[str, list[list[int]]]:
    windows = make_windows(store, np.arange(len(store)), context)
    batch = load_batch(store, windows)
    return {
        name: getattr(batch, name).tolist() for name in ("tokens", "target", "next_tokens", "gaps", "waited")
    }


def test_targets_of_one_record_by_hand() -> None:
    store = HandStore([Record([2, 3, 4], [10, 30, 30], entry=0, exit=100)])
    assert whole(store) == {
        "tokens": [[1, 2, 3, 4]],
        "target": [[EVENT, EVENT, EVENT, CENSORED]],
        "next_tokens": [[2, 3, 4, 0]],
        "gaps": [[10, 20, 0, 70]],
        "waited": [[0, 0, 0, 0]],
    }


def test_delayed_entry_by_hand() -> None:
    store = HandStore([Record([2, 3, 4], [10, 30, 50], entry=30, exit=60)])
    found = whole(store)
    assert found["target"] == [[0, 0, EVENT, CENSORED]]  # the event at entry itself is history
    assert found["gaps"] == [[0, 0, 20, 10]]
    assert found["waited"] == [[0, 0, 0, 0]]
    before = whole(HandStore([Record([2, 3], [10, 50], entry=30, exit=60)]))
    assert before["target"] == [[0, EVENT, CENSORED]]
    assert before["waited"] == [[0, 20, 0]]
    silent = whole(HandStore([Record([2], [10], entry=30, exit=60)]))
    assert silent["target"] == [[0, CENSORED]]
    assert (silent["gaps"], silent["waited"]) == ([[0, 50]], [[0, 20]])


@pytest.mark.parametrize(
    "record",
    [
        Record([2, 7], [10, 50], exit=50, died=True),
        Record([2], [50], exit=50),
        Record([2], [10], entry=70, exit=60),
    ],
)
def test_no_censored_end_for_the_dead_and_where_no_time_is_left(record: Record) -> None:
    assert all(value != CENSORED for row in whole(HandStore([record]))["target"] for value in row)


records = st.builds(
    lambda steps, entry, exit_, died: Record(
        list(range(2, 2 + len(steps))),
        [int(age) for age in np.cumsum(steps)],
        entry=entry,
        exit=max(exit_, sum(steps)),
        died=died,
    ),
    st.lists(st.integers(0, 9), max_size=40),
    st.integers(-5, 120),
    st.integers(0, 200),
    st.booleans(),
)


@given(st.lists(records, min_size=1, max_size=5), st.integers(8, 25), st.integers(16, 200))
@settings(max_examples=60)
def test_every_scorable_event_is_scored_exactly_once(people: list[Record], context: int, budget: int) -> None:
    store = HandStore(people, size=64)
    scored: Counter[tuple[int, int, int, int]] = Counter()
    censored: Counter[int] = Counter()
    for batch in sequential_batches(store, np.arange(len(store)), context, budget):
        assert batch.tokens.shape[1] <= context
        for at, row in enumerate(batch.rows.tolist()):
            own = {1, *people[row].tokens}
            assert set(batch.tokens[at].tolist()) - {0} <= own  # a window holds one subject
            for p in range(batch.tokens.shape[1]):
                if batch.target[at, p] == EVENT:
                    age = int(batch.ages[at, p])
                    assert int(batch.waited[at, p]) == max(0, people[row].entry - age)
                    next_age = age + int(batch.gaps[at, p])
                    scored[row, int(batch.tokens[at, p]), int(batch.next_tokens[at, p]), next_age] += 1
                elif batch.target[at, p] == CENSORED:
                    censored[row] += 1
                    assert int(batch.ages[at, p] + batch.gaps[at, p]) == people[row].exit
    expected = {
        (row, before, token, age)
        for row, person in enumerate(people)
        for before, token, age in zip([1, *person.tokens], person.tokens, person.ages, strict=False)
        if age > person.entry
    }
    assert set(scored) == expected
    assert all(number == 1 for number in scored.values())
    last = [person.ages[-1] if person.ages else 0 for person in people]
    open_ends = {
        row
        for row, person in enumerate(people)
        if not person.died and person.exit > max(last[row], person.entry)
    }
    assert censored == dict.fromkeys(open_ends, 1)


def test_every_event_after_the_first_window_has_half_a_context_of_history() -> None:
    store = HandStore([Record([2] * 100, list(range(100)))])
    windows = make_windows(store, np.array([0]), 16)
    assert windows.start.tolist()[:3] == [0, 8, 16]
    assert np.all(windows.scored[1:] - windows.start[1:] >= 8)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(64, 300), st.booleans())
def test_batches_keep_the_token_budget_and_hold_every_window_once(
    lengths: list[int], budget: int, shuffled: bool
) -> None:
    sizes = np.asarray(lengths)
    plan = plan_batches(sizes, budget, np.random.default_rng(0) if shuffled else None)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert all(len(batch) * sizes[batch].max() <= budget for batch in plan)


def test_a_window_beyond_the_budget_is_a_batch_of_its_own() -> None:
    plan = plan_batches(np.array([5, 100, 5]), 64)
    assert sorted(batch.tolist() for batch in plan) == [[0, 2], [1]]


def test_the_order_of_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    store = HandStore([Record([2] * (k % 7), list(range(k % 7))) for k in range(200)])
    windows = make_windows(store, np.arange(200), 16)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_batches(windows, 64, seed, epoch)]

    np.random.seed(3)  # the global generator must not matter
    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_codes_are_remembered_from_before_the_window() -> None:
    store = HandStore([Record([5, *[2] * 20, 6, *[2] * 20], list(range(42)))])
    windows = make_windows(store, np.array([0]), 8)
    batch = load_batch(store, windows)
    before = [set(row) - {0} for row in batch.seen_before.tolist()]
    for at, start in enumerate(windows.start.tolist()):
        assert before[at] == {token for token, first in ((1, 0), (5, 1), (2, 2), (6, 22)) if start > first}


def test_modalities_and_statics_follow_their_subject() -> None:
    store = HandStore([Record([2], [1], statics=(1,)), Record([2], [1], statics=(2,))])
    table = ModalityTable(np.float32([[1, 2]]), np.array([0]), np.array([0, 1, 1]), ("a", "b"))
    windows = Windows(np.array([1, 0]), np.array([0, 0]), np.array([2, 2]), np.array([0, 0]))
    batch = load_batch(store, windows, {"genome": table})
    assert batch.rows.tolist() == [1, 0]
    assert batch.statics.tolist() == [[2], [1]]
    assert batch.modalities["genome"].values[1].tolist() == [[1, 2]]
    assert batch.modalities["genome"].values[0].isnan().all()
    assert batch.modalities["genome"].observed.tolist() == [[False], [True]]
    assert batch.modalities["genome"].minutes.tolist() == [[0], [0]]


def test_a_window_holds_the_measurements_that_its_positions_read() -> None:
    store = HandStore([Record([2] * 9, [10 * k for k in range(1, 10)]), Record([2], [15])])
    minutes = np.array([0, 5, 31, 34, 45, 90, 91, 3])
    table = ModalityTable(
        np.arange(8, dtype=np.float32)[:, None], minutes, np.array([0, 7, 8]), ("x",), timed=True
    )
    windows = Windows(np.array([0, 0, 1]), np.array([2, 5, 0]), np.array([6, 10, 2]), np.array([2, 6, 0]))
    panel = load_batch(store, windows, {"panel": table}).modalities["panel"]
    made = [
        list(zip(own[seen].tolist(), row[seen, 0].tolist(), strict=True))
        for own, row, seen in zip(panel.minutes, panel.values, panel.observed, strict=True)
    ]
    # Birth for the leading positions; ages 20 to 50, where 34 replaces 31 before 40; ages 50 to 90.
    birth = (0, 0.0)
    assert made == [[birth, (5, 1.0), (34, 3.0), (45, 4.0)], [birth, (45, 4.0), (90, 5.0)], [(3, 7.0)]]


def test_little_is_padded_across_pools() -> None:
    lengths = np.random.default_rng(0).integers(2, 500, size=20_000)
    plan = plan_batches(lengths, 2048, np.random.default_rng(1))
    padded = sum(len(batch) * lengths[batch].max() for batch in plan)
    assert lengths.sum() / padded > 0.95
    mixed = [np.arange(at, at + 8) for at in range(0, 20_000, 8)]
    assert lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in mixed) < 0.7
