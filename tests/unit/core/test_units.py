from __future__ import annotations

import pytest

from proband.core.units import MICROSECONDS_PER_YEAR, MINUTES_PER_YEAR, years_to_minutes


@pytest.mark.parametrize("years", [0.25, 1.0, 5.0, 10.0, 80.0])
def test_years_and_minutes_are_inverse(years: float) -> None:
    assert years_to_minutes(years) / MINUTES_PER_YEAR == years


def test_a_year_is_365_and_a_quarter_days_for_every_unit() -> None:
    assert MICROSECONDS_PER_YEAR == 365.25 * 24 * 3600 * 10**6
    assert years_to_minutes(4.0) == (4 * 365 + 1) * 24 * 60
