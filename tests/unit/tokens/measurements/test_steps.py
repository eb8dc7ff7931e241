from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.tokens.measurements.steps import edge_between, recorded_step

MANY = [[person] for person in range(30)]


def step_of(values: list[float], least: int = 1) -> float | None:
    return recorded_step(np.float32(values).astype(np.float64), MANY[: len(values)], least)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([5.1, 5.2, 7.0], 0.1),
        ([120.0, 125.0, 140.0], 5.0),
        ([7.25, 7.5, 9.0], 0.25),
        ([1.0, 2.0, 3.0], 1.0),
        ([0.001, 0.004], 0.001),
        ([0.0], 5e6),
        ([np.pi, np.e, 1.0], None),
    ],
)
def test_the_step_of_values(values: list[float], step: float | None) -> None:
    assert step_of(values) == pytest.approx(step)


def test_a_few_people_with_more_digits_do_not_decide() -> None:
    values = [float(v) for v in range(20)] + [3.07, 5.5]
    assert step_of(values, 3) == 1.0
    assert step_of(values, 2) == 0.5
    assert step_of(values, 1) == pytest.approx(0.01)


@given(st.integers(-400, 400), st.integers(1, 400), st.sampled_from([0.001, 0.1, 0.25, 1.0, 5.0]))
def test_an_edge_parts_its_neighbours_half_a_step_off(low: int, gap: int, step: float) -> None:
    edge = edge_between(float(low), float(low + gap), step)
    assert edge is not None
    assert low * step < edge < (low + gap) * step
    assert edge / step % 1 == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("number", range(95, 106))
def test_no_neighbour_follows_from_an_edge(number: int) -> None:
    """Whoever knows rule and step finds several values that each neighbour may be."""
    pairs = [
        (low, high)
        for low in range(number - 30, number)
        for high in range(number, number + 30)
        if edge_between(float(low), float(high), 1.0) == number - 0.5
    ]
    assert len({low for low, _ in pairs}) > 1
    assert len({high for _, high in pairs}) > 1


def test_an_edge_that_is_somebodys_value_moves_or_is_none() -> None:
    assert edge_between(2.0, 3.0, 1.0, {2.5}) is None
    assert edge_between(2.0, 5.0, 1.0, {3.5}) in (2.5, 4.5)


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32))
def test_without_a_step_an_edge_lies_between(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low < high:
        edge = edge_between(low, high, None)
        assert edge is not None
        assert low < edge < high
