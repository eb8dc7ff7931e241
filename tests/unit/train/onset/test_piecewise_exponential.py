from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from onset_world import head_of, part_of
from proband.core.units import MINUTES_PER_YEAR
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query
from proband.train.onset.piecewise_exponential import Outcomes, expected_and_happened, negative_log_likelihood
from small_world import HandStore, Record

YEAR = MINUTES_PER_YEAR
DEATH = 7
RATE, G = 0.1, (0.5, -0.2, 0.3, 0.0, 0.1, 0.0, 0.0, 0.0)
NOW = 40


def at(years: float) -> int:
    return round(years * YEAR)


def one(record: Record) -> tuple[OnsetHead, Query, Outcomes]:
    """A head of constant rates, and what is known and follows at the age of 40."""
    head = head_of([2, 3], [DEATH])
    head.log_rate.fill_(math.log(RATE))
    head.log_rate[1] = math.log(0.02)
    head.bias[0] = torch.tensor(G)
    part = part_of(HandStore([record]), np.zeros(1), np.array([at(NOW)]), head)
    return head, *part.batch(np.arange(1), torch.device("cpu"))


def loss_of(record: Record) -> tuple[float, float]:
    head, query, followed = one(record)
    log_ratio = (head.bias + torch.zeros(1, 1, 1)).clone()
    return tuple(negative_log_likelihood(head, query, log_ratio, followed).tolist())  # type: ignore[return-value]


def cumulative(years: float) -> float:
    """Of the first task: bins of 0.5, 0.5, 1, 1, 2, 2, 3 years."""
    widths, left, total = (0.5, 0.5, 1, 1, 2, 2, 3, math.inf), years, 0.0
    for width, g in zip(widths, G, strict=True):
        total += RATE * math.exp(g) * min(width, max(left, 0.0))
        left -= width
    return total


def test_an_onset() -> None:
    record = Record([3, 2], [at(NOW + 2.5), at(NOW + 3)], entry=at(30), exit=at(48))
    disease, death = loss_of(record)
    assert disease == pytest.approx(cumulative(2.5) - math.log(RATE) - G[3], abs=1e-5)
    assert death == pytest.approx(0.02 * 8, abs=1e-5)


def test_an_onset_at_an_edge_ends_the_bin_before_it() -> None:
    record = Record([2], [at(NOW + 1)], entry=at(30), exit=at(48))
    assert loss_of(record)[0] == pytest.approx(cumulative(1) - math.log(RATE) - G[1], abs=1e-5)


def test_who_is_censored() -> None:
    assert loss_of(Record([4], [at(41)], entry=at(30), exit=at(NOW + 6.5)))[0] == pytest.approx(
        cumulative(6.5), abs=1e-5
    )


def test_an_onset_after_the_end_of_follow_up_counts_as_none() -> None:
    record = Record([2], [at(NOW + 7)], entry=at(30), exit=at(NOW + 6.5))
    assert loss_of(record)[0] == pytest.approx(cumulative(6.5), abs=1e-5)


def test_who_dies() -> None:
    record = Record([DEATH], [at(NOW + 4)], entry=at(30), exit=at(NOW + 4), died=True)
    disease, death = loss_of(record)
    assert disease == pytest.approx(cumulative(4), abs=1e-5)
    assert death == pytest.approx(0.02 * 4 - math.log(0.02), abs=1e-5)


@pytest.mark.parametrize("years", [35.0, NOW])
def test_who_had_it_already_counts_nothing(years: float) -> None:
    record = Record([2, 2], [at(years), at(NOW + 1)], entry=at(30), exit=at(48))
    assert loss_of(record)[0] == 0


def test_the_gradient_of_a_constant_is_expected_less_happened() -> None:
    head, query, followed = one(Record([2], [at(NOW + 2.5)], entry=at(30), exit=at(48)))
    shift = torch.zeros((), requires_grad=True)
    negative_log_likelihood(head, query, head.bias + shift.expand(1, 1, 1), followed)[0].backward()
    expected, happened = expected_and_happened(head, query, head.bias[None], followed)
    assert shift.grad is not None
    assert float(shift.grad) == pytest.approx(float(expected[0, 0]) - 1, abs=1e-5)
    assert happened.tolist() == [[True, False]]
