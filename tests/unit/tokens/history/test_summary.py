import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.units import MINUTES_PER_YEAR
from proband.tokens.history.summary import ANY_EVENT, SummaryLayout, summarise
from small_world import HandStore, Record
from vocabularies import vocabulary_named

YEAR = round(MINUTES_PER_YEAR)
CODES = ("PADDING", "MEDS_BIRTH", "A//1", "LOINC//7//Q1", "LOINC//7//Q2", "MEDS_DEATH")
VOCABULARY = vocabulary_named(CODES, {"LOINC//7": (5.0,)}, {}, (False,) * len(CODES), (), 1)
LAYOUT = SummaryLayout.of(VOCABULARY)
NAMES = LAYOUT.names(VOCABULARY)


def named(store, rows, minutes):
    found = summarise(store, LAYOUT, np.asarray(rows, np.int64), np.asarray(minutes, np.int64))
    return [
        {
            NAMES[feature]: float(value)
            for feature, value in zip(
                found.indices[found.indptr[row] : found.indptr[row + 1]],
                found.values[found.indptr[row] : found.indptr[row + 1]],
                strict=True,
            )
        }
        for row in range(len(found))
    ]


def by_hand(store, row, now):
    """The definition, in a few slow lines."""
    tokens, minutes = store.record(row)
    past = [(token, time) for token, time in zip(tokens, minutes, strict=True) if time <= now and token > 1]
    found = {}
    for name in {CODES[token].split("//Q")[0] for token, _ in past}:
        own = [(token, time) for token, time in past if CODES[token].split("//Q")[0] == name]
        since = [(now - time) / MINUTES_PER_YEAR for _, time in own]
        found |= {
            f"{name}: count": np.log1p(len(own)),
            f"{name}: recent": np.log1p(np.exp(-np.array(since)).sum()),
            f"{name}: recency": 1 / (1 + since[-1]),
        }
        if name == "LOINC//7":
            places = [-0.25 if token == 3 else 0.25 for token, _ in own]
            found |= {f"{name}: mean value": np.mean(places), f"{name}: last value": places[-1]}
            found[f"{CODES[own[-1][0]]}: last"] = 1.0
    times = sorted({time for _, time in past})
    if times:
        since = (now - np.array(times)) / MINUTES_PER_YEAR
        found |= {
            f"{ANY_EVENT}: count": np.log1p(len(times)),
            f"{ANY_EVENT}: recent": np.log1p(np.exp(-since).sum()),
            f"{ANY_EVENT}: recency": 1 / (1 + since[-1]),
        }
    return found


def test_a_record_by_hand():
    store = HandStore([Record([2, 3, 2, 4], [YEAR, YEAR, 2 * YEAR, 3 * YEAR], exit=9 * YEAR)])
    (found,) = named(store, [0], [3 * YEAR])
    assert found["A//1: count"] == pytest.approx(np.log(3))
    assert found["A//1: recent"] == pytest.approx(np.log(1 + np.exp(-2) + np.exp(-1)), rel=1e-5)
    assert found["A//1: recency"] == pytest.approx(0.5, rel=1e-5)
    assert found["LOINC//7: mean value"] == pytest.approx(0.0)
    assert found["LOINC//7: last value"] == pytest.approx(0.25)
    assert found["LOINC//7//Q2: last"] == 1
    assert "LOINC//7//Q1: last" not in found
    assert found["any event: count"] == pytest.approx(np.log(4))  # three time stamps
    assert LAYOUT.num_features == len(NAMES) == len(set(NAMES)) == 3 * 4 + 2 + 2


def test_nothing_had_gives_no_features():
    store = HandStore([Record([2], [YEAR], exit=2 * YEAR)])
    assert named(store, [0], [YEAR - 1]) == [{}]


@settings(max_examples=60)
@given(
    records=st.lists(
        st.lists(st.tuples(st.integers(2, 5), st.integers(1, 20)), max_size=12), min_size=1, max_size=4
    ),
    queries=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 120)), max_size=12),
)
def test_equals_the_definition_whatever_the_order_of_queries(records, queries):
    def record(items):
        ages = np.cumsum([gap for _, gap in items]) * YEAR // 8
        return Record([token for token, _ in items], ages.tolist(), exit=400 * YEAR)

    store = HandStore([record(items) for items in records])
    asked = [(row % len(records), when * YEAR // 8) for row, when in queries]
    found = named(store, [row for row, _ in asked], [when for _, when in asked])
    for (row, when), one in zip(asked, found, strict=True):
        assert one == pytest.approx(by_hand(store, row, when), rel=1e-4, abs=1e-6)


def test_nothing_after_the_date_changes_it():
    before = HandStore([Record([2, 3], [YEAR, 2 * YEAR], exit=9 * YEAR)])
    after = HandStore([Record([2, 3, 4, 5], [YEAR, 2 * YEAR, 2 * YEAR + 1, 3 * YEAR], exit=9 * YEAR)])
    assert named(before, [0], [2 * YEAR]) == named(after, [0], [2 * YEAR])
    assert named(before, [0], [3 * YEAR]) != named(after, [0], [3 * YEAR])  # it does see what it may


def test_rows_are_taken_in_the_order_asked_for():
    store = HandStore([Record([2, 3, 2], [YEAR, 2 * YEAR, 3 * YEAR], exit=9 * YEAR)])
    all_ = summarise(store, LAYOUT, np.zeros(4, np.int64), np.arange(4) * YEAR)
    some = all_.take(np.array([3, 0, 2]))
    assert np.diff(some.indptr).tolist() == np.diff(all_.indptr)[[3, 0, 2]].tolist()
    assert some.values[: some.indptr[1]].tolist() == all_.values[all_.indptr[3] :].tolist()
