"""Bounds of outcomes and the units of the values they are compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from proband.core.errors import ConfigError
from proband.core.running.progress import say
from proband.ehr.task.codesets import Codes
from proband.ehr.units.convert import SAME, Line, conversion
from proband.ehr.units.counts import different_units, with_spelled_units
from proband.ehr.units.spelling import NO_UNIT

Units = Mapping[str, Mapping[str, int]]
"""Code -> unit in one spelling -> number of values of the whole source."""

_TABLE = {"code": pl.String, "unit": pl.String, "scale": pl.Float64, "offset": pl.Float64}


def no_unit_given(outcome: str, code: str, units: Collection[str]) -> ConfigError:
    """The error of a bound without a unit where values come in several."""
    recorded = [unit for unit in units if unit != NO_UNIT]
    return ConfigError(
        "a bound without a unit, where values come in several",
        where=f"outcome {outcome}",
        found=f"{code} in {', '.join(units)}",
        expected="the unit of above and below",
        remedy=f"write unit: {recorded[0]}",
    )


def line_to(code: str, unit: str, wanted: str | None, units: Collection[str]) -> Line | None:
    """How values of a code in one unit become values in the unit of a bound.

    Args:
        code: The code.
        unit: Unit of the values in one spelling, or :data:`NO_UNIT`.
        wanted: Unit of the bound; None if it names none.
        units: All units of the code's values.

    Returns:
        The line; None for values that cannot be compared. Values without a unit are taken to be in the
        code's only unit, or in the one wanted where none was ever recorded.
    """
    if wanted is None:
        return SAME
    if unit != NO_UNIT:
        return conversion(code, unit, wanted)
    recorded = different_units(code, units)
    if len(recorded) > 1:
        return None
    return conversion(code, recorded[0], wanted) if recorded else SAME


def values_in_unit(events: pl.DataFrame, step: Codes, codes: Collection[str], units: Units) -> pl.DataFrame:
    """The dated values of a step's codes, in the unit of its bounds.

    Args:
        events: Columns subject_id, time, code, numeric_value, unit.
        step: The step.
        codes: Its codes.
        units: Units of each code in the whole source.

    Returns:
        subject_id, time, numeric_value (float32); without rows whose value cannot be compared.
    """
    named = pl.col("code").is_in(list(codes)) & pl.col("numeric_value").is_finite()
    rows = with_spelled_units(events.filter(named & pl.col("time").is_not_null()))
    table = []
    for code, unit in rows.select("code", "unit").unique().rows():
        line = line_to(code, unit, step.unit, units.get(code, {unit: 1}))
        if line is not None:
            table.append((code, unit, *line))
    joined = rows.join(pl.DataFrame(table, schema=_TABLE, orient="row"), on=["code", "unit"])
    value, scale, offset = pl.col("numeric_value").cast(pl.Float64), pl.col("scale"), pl.col("offset")
    return joined.select(
        "subject_id", "time", (value * scale + offset).cast(pl.Float32).alias("numeric_value")
    )


def check_bounds(steps: Mapping[str, Sequence[tuple[Codes, Collection[str]]]], units: Units) -> None:
    """Refuse bounds that cannot be compared with the values there are, and say which values do not count.

    Args:
        steps: Of each outcome its bounded steps and their codes.
        units: Units of each code in the whole source.

    Raises:
        ConfigError: A bound names no unit and values come in several, or no value converts to its unit.
    """
    for name, bounded in steps.items():
        for step, codes in bounded:
            found = {code: units[code] for code in codes if units.get(code)}
            for code, numbers in found.items():
                if step.unit is None and len(different_units(code, numbers)) > 1:
                    raise no_unit_given(name, code, list(numbers))
            if step.unit is not None:
                _account(name, step.unit, found)


def _account(outcome: str, wanted: str, units: Units) -> None:
    """Say of a bound's codes how many values are converted, taken as they are, or cannot be compared."""
    kept, converted, assumed, lost = 0, 0, 0, 0
    first = ""
    for code, numbers in units.items():
        for unit, number in numbers.items():
            line = line_to(code, unit, wanted, numbers)
            kept += number if line is not None else 0
            lost += number if line is None else 0
            converted += number if line not in (None, SAME) else 0
            assumed += number if line is not None and unit == NO_UNIT else 0
            if not first and (line != SAME or unit == NO_UNIT):
                first = f"{code} in {unit}"
    if units and not kept:
        raise ConfigError(
            "no value of an outcome's codes converts to the unit of its bounds",
            where=f"outcome {outcome}",
            found=first,
            expected=wanted,
            remedy="name a unit in which they come",
        )
    if first:
        say(
            f"task: outcome {outcome} in {wanted}: {converted:,} values are converted, {assumed:,} without a "
            f"unit count as if they were in that of their code, {lost:,} do not count; first {first}"
        )
