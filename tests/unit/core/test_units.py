from __future__ import annotations

from datetime import datetime

import pytest

from proband.core.units import MICROSECONDS_PER_YEAR, add_years, minutes_to_years, years_to_minutes


@pytest.mark.parametrize("years", [0.25, 1.0, 5.0, 10.0, 80.0])
def test_years_and_minutes_are_inverse(years: float) -> None:
    assert minutes_to_years(years_to_minutes(years)) == years


def test_a_year_is_365_and_a_quarter_days_for_every_unit() -> None:
    assert MICROSECONDS_PER_YEAR == 365.25 * 24 * 3600 * 10**6
    assert add_years(datetime(1899, 12, 31), 4.0) == datetime(1904, 1, 1)
