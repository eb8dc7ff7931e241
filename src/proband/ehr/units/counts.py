"""In which units the values of each code come."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from proband.ehr.units.convert import SAME, conversion
from proband.ehr.units.spelling import NO_UNIT, spelled

_MOST_NAMED = 100


def with_spelled_units(events: pl.DataFrame) -> pl.DataFrame:
    """``unit`` in one spelling each; :data:`NO_UNIT` where there is none."""
    found = events["unit"].unique().to_list()
    names = pl.DataFrame(
        {"unit": found, "_spelled": [spelled(unit) for unit in found]},
        schema={"unit": pl.String, "_spelled": pl.String},
    )
    joined = events.join(names, on="unit", how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(pl.col("_spelled").alias("unit")).drop("_spelled")


def units_of(events: pl.DataFrame) -> pl.DataFrame:
    """How many values each code has in each unit.

    Args:
        events: Columns subject_id, code, numeric_value and unit; rows without a finite value are left out.

    Returns:
        code, unit (in one spelling, :data:`NO_UNIT` for none), len and num_subjects.
    """
    valued = events.filter(pl.col("numeric_value").is_finite())
    raw = valued.select("subject_id", "code", "unit")
    return (
        with_spelled_units(raw)
        .group_by("code", "unit")
        .agg(pl.len(), pl.col("subject_id").n_unique().alias("num_subjects"))
    )


def total_units(pieces: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Sums over pieces of whole subjects, each as :func:`units_of` gives; by code, most values first."""
    total = pl.concat(pieces).group_by("code", "unit").agg(pl.col("len", "num_subjects").sum())
    return total.sort("code", "len", "unit", descending=[False, True, False])


def numbers_by_unit(pieces: Sequence[pl.DataFrame]) -> dict[str, dict[str, int]]:
    """Code -> unit -> number of values, most first; of pieces as :func:`units_of` gives."""
    found: dict[str, dict[str, int]] = {}
    for code, unit, number in total_units(pieces).select("code", "unit", "len").rows():
        found.setdefault(code, {})[unit] = number
    return found


def different_units(code: str, units: Collection[str]) -> list[str]:
    """Those of ``units`` in which numbers differ: of 10*3/uL and 10*9/L the first; not :data:`NO_UNIT`."""
    kept: list[str] = []
    for unit in units:
        if unit != NO_UNIT and all(conversion(code, unit, other) != SAME for other in kept):
            kept.append(unit)
    return kept


def codes_of_several_units(pieces: Sequence[pl.DataFrame]) -> dict[str, dict[str, int]]:
    """Codes with values in two different units or more, those of most values first.

    Args:
        pieces: Of the whole source, as :func:`units_of` gives.

    Returns:
        Code -> unit -> number of values, of at most 100 codes.
    """
    found = numbers_by_unit(pieces)
    several = [code for code, units in found.items() if len(different_units(code, units)) > 1]
    most = sorted(several, key=lambda code: -sum(found[code].values()))
    return {code: found[code] for code in most[:_MOST_NAMED]}
