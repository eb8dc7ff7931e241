"""The attack on a report's rounded shares: it recovers nothing, and all where shares are not rounded."""

import disclosure_counts
import pytest

from proband.core.statistics import suppress
from proband.tokens.measurements.steps import _of_fewest_digits


def test_between_neighbouring_points_there_are_no_1_to_20_cases() -> None:
    assert disclosure_counts.reconstruction(seed=1, worlds=25)["groups of 1 to 20 cases"] == 0


def test_no_count_of_1_to_20_would_follow_from_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppress, "_may_subtract", lambda *_: True)
    found = disclosure_counts.reconstruction(seed=1, worlds=25)
    assert found["groups of 1 to 20 cases"] > 50
    assert found["determined"] == 0


def test_the_attack_reads_counts_off_shares_that_are_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppress, "_may_subtract", lambda *_: True)
    monkeypatch.setattr(suppress, "step", lambda number: 1e-9)
    monkeypatch.setattr(suppress, "share", lambda value, number: value)
    found = disclosure_counts.reconstruction(seed=1, worlds=25)
    assert found["determined"] > 0.9 * found["groups of 1 to 20 cases"] > 0


def test_two_pages_tell_the_person_added_only_where_a_rounded_count_moves() -> None:
    found = disclosure_counts.differencing(seed=1, worlds=20)
    assert found["status of the person added follows"] <= 0.1


def test_no_neighbour_of_a_bin_edge_follows_unless_edges_lie_between_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert disclosure_counts.neighbours_told(98.5, 1.0) == []
    monkeypatch.setattr(
        disclosure_counts, "edge_between", lambda low, high, step: _of_fewest_digits(low, high)
    )
    assert disclosure_counts.neighbours_told(98.5, 1.0) == [98.0, 99.0]
