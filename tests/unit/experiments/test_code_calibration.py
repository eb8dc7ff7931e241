"""A model's expectations of a code, by hand and against an untrained model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from code_calibration import compare, expected_and_observed

from proband.core.errors import DataError
from proband.model.transformer import Proband
from small_world import DAY, HandStore, Record, random_model

YEAR = 365 * DAY


@pytest.fixture
def store() -> HandStore:
    lives = [
        Record([2, 3, 2], [YEAR, 5 * YEAR, 12 * YEAR], exit=14 * YEAR),
        Record([3, 7], [3 * YEAR, 15 * YEAR], exit=15 * YEAR, died=True),
    ]
    return HandStore(lives)


def indifferent(**changes: float) -> Proband:
    """A model that gives every code the same probability."""
    model = random_model(**changes)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    clock = model.what.clock  # new codes too: one rate per event for all
    torch.nn.init.constant_(clock.slopes, -1)
    clock.log_rates.zero_()
    clock.log_middle.zero_()
    return model


def test_sums_by_decade_of_age(store: HandStore) -> None:
    found = expected_and_observed(indifferent(), store, np.array([0, 1]), 2)
    assert found["age"].to_list() == [0, 10]
    assert found["events"].to_list() == [3, 2]
    assert found["observed"].to_list() == [1, 1]
    share = found["expected"][0] / 3
    assert found["expected"].to_list() == pytest.approx([3 * share, 2 * share])
    assert share == pytest.approx(1 / 6)  # of six codes: neither padding nor birth can come


def test_dropout_is_on_and_off(store: HandStore) -> None:
    same = compare(random_model(dropout=0.0), store, ["train"], "X//2")
    assert same["expected"].to_list() == pytest.approx(same["expected_with_dropout"].to_list())
    other = compare(random_model(dropout=0.5), store, ["train"], "X//2")
    assert other["expected"].to_list() != pytest.approx(other["expected_with_dropout"].to_list())


def test_an_unknown_code_is_refused(store: HandStore) -> None:
    with pytest.raises(DataError, match=r"not in the vocabulary.*did you mean X//2"):
        compare(random_model(), store, ["train"], "X//22")
