"""Codes whose values come in several units: bins and bounds would mix them, so they are named."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_MOST_NAMED = 100


def units_of(events: pl.DataFrame) -> pl.DataFrame:
    """How many values each code has in each unit.

    Args:
        events: Columns code, numeric_value and unit; rows without a value or a unit are left out.

    Returns:
        code, unit (without blanks, in lower case, since sites write mg/dL and MG/DL) and len.
    """
    unit = pl.col("unit").str.strip_chars().str.to_lowercase()
    valued = events.filter(
        pl.col("numeric_value").is_not_null() & (unit.str.len_chars() > 0).fill_null(False)
    )
    return valued.group_by("code", unit.alias("unit")).len()


def codes_of_several_units(pieces: Sequence[pl.DataFrame]) -> dict[str, dict[str, int]]:
    """Codes with values in two units or more, those of most values first.

    Args:
        pieces: Of the whole source, as :func:`units_of` gives.

    Returns:
        Code -> unit -> number of values, of at most 100 codes.
    """
    total = pl.concat(pieces).group_by("code", "unit").agg(pl.col("len").sum())
    several = total.filter(pl.len().over("code") > 1).sort("code", "unit")
    found: dict[str, dict[str, int]] = {}
    for code, unit, number in several.select("code", "unit", "len").rows():
        found.setdefault(code, {})[unit] = number
    most = sorted(found, key=lambda code: -sum(found[code].values()))
    return {code: found[code] for code in most[:_MOST_NAMED]}
