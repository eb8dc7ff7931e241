"""Antecedents of codes in simulated lives of a known law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from proband.core.units import MINUTES_PER_YEAR
from proband.model.next_event.clock import MOST_ANTECEDENTS, Moment, PersonClock
from proband.train.initial.antecedents import Antecedents, find_antecedents
from proband.train.initial.code_rates import log_rates
from small_world import HandStore, Record

FIRST, SECOND, OTHER = 2, 3, 4
RATE, AFTER, ENTRY, EXIT = 0.02, 0.5, 40, 60


def simulated(after: float, seed: int = 0) -> HandStore:
    """FIRST and OTHER come at RATE; SECOND at a tenth of it, and at ``after`` a year once FIRST was had."""
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(3000):
        first, other, second = rng.exponential(size=3) / [RATE, RATE, RATE / 10] + ENTRY
        later = first + rng.exponential() / after
        ages = {FIRST: first, OTHER: other, SECOND: min(second, later) if second > first else second}
        had = sorted((age, code) for code, age in ages.items() if age <= EXIT)
        minutes = [round(age * MINUTES_PER_YEAR) for age, _ in had]
        entry, exit_ = (age * MINUTES_PER_YEAR for age in (ENTRY, EXIT))
        records.append(Record([code for _, code in had], minutes, entry=entry, exit=exit_))
    return HandStore(records)


@pytest.fixture(scope="module")
def found() -> Antecedents:
    store = simulated(AFTER)
    return find_antecedents(store, log_rates(store))


def test_a_code_that_follows_another_has_it_as_antecedent(found: Antecedents) -> None:
    assert found.tokens[SECOND].tolist() == [FIRST, *[0] * (MOST_ANTECEDENTS - 1)]
    assert int((found.tokens > 0).sum()) == 1
    # By the rates of all, SECOND comes as often in both states; the factors tell them apart as the law does.
    told_apart = float(found.log_ratio_with[SECOND] - found.log_ratio_without[SECOND])
    assert told_apart == pytest.approx(math.log(AFTER / (RATE / 10)), abs=0.3)
    assert float(found.log_ratio_without[SECOND]) < -1
    assert (
        found.log_ratio_without[[FIRST, OTHER]].tolist()
        == found.log_ratio_with[[FIRST, OTHER]].tolist()
        == [0, 0]
    )


def test_codes_that_come_independently_have_no_antecedents() -> None:
    store = simulated(RATE / 10)
    independent = find_antecedents(store, log_rates(store))
    assert not independent.tokens.any()
    assert not independent.log_ratio_without.any()
    assert not independent.log_ratio_with.any()


def test_a_train_split_with_no_code_frequent_enough_has_no_antecedents() -> None:
    store = HandStore([Record([FIRST, SECOND], [1, 2], entry=0, exit=3)])
    assert not find_antecedents(store, log_rates(store)).tokens.any()


def test_the_clock_takes_the_factor_of_who_has_had_an_antecedent(found: Antecedents) -> None:
    clock = PersonClock(len(found.tokens), 1)
    moment = Moment(
        torch.tensor([50 * MINUTES_PER_YEAR] * 3), torch.zeros(3), torch.zeros(3, 1, dtype=torch.long)
    )
    seen = torch.zeros(3, len(found.tokens), dtype=torch.bool)
    seen[1, FIRST] = True
    seen[2, [0, OTHER]] = True  # padding and others are no antecedents
    before = clock(moment, seen)
    clock.set_antecedents(*found)
    gained = (clock(moment, seen) - before)[:, SECOND]
    alone, joined = float(found.log_ratio_without[SECOND]), float(found.log_ratio_with[SECOND])
    assert gained.tolist() == pytest.approx([alone, joined, alone])
