from __future__ import annotations

import numpy as np

from proband.forecast.engine.histories import read_histories
from proband.tokens.modalities.modality import ModalityTable
from small_world import HandStore, Record

STORE = HandStore(
    [Record([5, 2, 3, 2], [10, 20, 20, 30], statics=(2,)), Record([6], [15], statics=(1,))], once=[5, 6]
)


def test_lengths_count_what_is_known_at_the_time() -> None:
    rows = np.array([0, 0, 0, 0, 1])
    assert STORE.history_lengths(rows, np.array([0, 19, 20, 99, 14])).tolist() == [1, 2, 4, 5, 1]


def test_a_history_holds_nothing_later_and_the_newest_context() -> None:
    found = read_histories(STORE, np.array([0, 1]), np.array([25, 14]), 3)
    assert found.tokens.tolist() == [[5, 2, 3], [1, 0, 0]]
    assert found.ages.tolist() == [[10, 20, 20], [0, 0, 0]]
    assert found.lengths.tolist() == [3, 1]
    assert found.statics.tolist() == [[2], [1]]
    assert found.subject_ids.tolist() == [100, 101]


def test_codes_that_happened_before_the_kept_part_are_remembered() -> None:
    found = read_histories(STORE, np.array([0, 1]), np.array([99, 99]), 2)
    assert found.tokens.tolist() == [[3, 2], [1, 6]]
    assert [set(row) - {0} for row in found.seen_before.tolist()] == [{1, 2, 5}, set()]


def test_what_is_measured_after_the_prediction_time_is_not_known() -> None:
    values, minutes = np.float32([[1], [2]]), np.array([25, 15])
    table = ModalityTable(values, minutes, np.array([0, 1, 2]), ("protein",), timed=True)
    found = read_histories(STORE, np.array([0, 0, 1]), np.array([24, 25, 99]), 3, {"panel": table})
    assert found.modalities["panel"].observed.tolist() == [[False], [True], [True]]


def test_the_newest_measurement_by_the_prediction_time_is_known_though_no_token_follows_it() -> None:
    values = np.float32([[1], [2], [3], [4]])
    minutes = np.array([5, 22, 25, 26])
    table = ModalityTable(values, minutes, np.array([0, 4, 4]), ("protein",), timed=True)
    found = read_histories(STORE, np.array([0]), np.array([25]), 3, {"panel": table})
    assert found.ages.tolist() == [[10, 20, 20]]
    panel = found.modalities["panel"]  # 22 was replaced before anything could read it
    assert panel.minutes.tolist() == [[5, 25]]
    assert panel.values.tolist() == [[[1], [3]]]
