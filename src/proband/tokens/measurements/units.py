"""Values of one code in several units: converted to one, or with value bins of their own.

A code's main group are the units that convert to each other and have most train values; its bins are in the
most frequent of them. Units that do not convert to it make groups of their own, with bins
``CODE//unit=UNIT//Qk``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from proband.ehr.units.convert import SAME, Line, conversion
from proband.ehr.units.counts import different_units
from proband.ehr.units.spelling import NO_UNIT, spelled

Groups = Mapping[str, tuple[tuple[str, ...], ...]]
"""Code -> groups of units; of a group the first unit is that of its bins. The main group comes first."""

_MARK = "//unit="
_PLACES = {
    "code": pl.String,
    "unit": pl.String,
    "value_code": pl.String,
    "scale": pl.Float64,
    "offset": pl.Float64,
    "unit_count": pl.String,
}
COUNTS = (
    "num_values_converted",
    "num_values_unit_assumed",
    "num_values_unit_apart",
    "num_values_unit_unknown",
)
"""Values converted to the unit of the bins; taken as they are, since they or all of train's have no unit;
with bins of their own unit; of a unit without bins, which are not used."""
CONVERTED, ASSUMED, APART, UNUSED = COUNTS


def value_code(code: str, groups: Sequence[Sequence[str]], number: int) -> str:
    """What the bins of a group of units are named after: the code itself for the main group.

    >>> value_code("LAB//1", [["mg/dL"], ["mmol/L"]], 1)
    'LAB//1//unit=mmol/L'
    """
    return f"{code}{_MARK}{groups[number][0]}" if number else code


def value_codes(units: Groups) -> dict[str, tuple[str, str]]:
    """Of every name of bins its code as recorded and its unit."""
    return {
        value_code(code, groups, number): (code, group[0])
        for code, groups in units.items()
        for number, group in enumerate(groups)
    }


def group_units(counts: pl.DataFrame, min_subjects: int) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The groups of units of every code with values, as train has them.

    Units of fewer subjects are not named: they convert if they can, and decide nothing.

    Args:
        counts: As :func:`proband.ehr.units.counts.total_units` gives for the train split.
        min_subjects: Train subjects a unit needs.

    Returns:
        Groups per code. Values without a unit are those of the code's only unit, or else a group of
        their own. A code that never had a unit is left out.
    """
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for (code,), rows in counts.group_by("code", maintain_order=True):
        name = str(code)
        numbers = dict(rows.select("unit", "len").rows())
        common = rows.filter(pl.col("num_subjects") >= min_subjects)["unit"].to_list()
        groups = _groups(name, common, numbers)
        if not groups and len(different_units(name, numbers)) > 1:
            groups = [[NO_UNIT]]
        if groups:
            found[name] = tuple(tuple(group) for group in groups)
    return dict(sorted(found.items()))


def _groups(code: str, common: Sequence[str], numbers: Mapping[str, int]) -> list[list[str]]:
    """Units that convert to each other, together; all by number of values, most first."""
    groups: list[list[str]] = []
    for unit in common:
        if unit == NO_UNIT:
            continue
        for group in groups:
            if conversion(code, unit, group[0]) is not None:
                group.append(unit)
                break
        else:
            groups.append([unit])
    if NO_UNIT in common and len(different_units(code, common)) > 1:
        groups.append([NO_UNIT])
    return sorted(groups, key=lambda group: -sum(numbers[unit] for unit in group))


def place(code: str, unit: str, groups: Sequence[Sequence[str]]) -> tuple[str | None, Line, str | None]:
    """Where a value goes.

    Args:
        code: Its code.
        unit: Its unit in one spelling, or :data:`NO_UNIT`.
        groups: The groups of its code.

    Returns:
        The name of its bins (None: it has none), the line to their unit, and the count it adds to if any.
    """
    for number, group in enumerate(groups):
        line = conversion(code, unit, group[0]) if (unit == NO_UNIT) == (group[0] == NO_UNIT) else None
        if line is not None:
            converted = CONVERTED if line != SAME else None
            return value_code(code, groups, number), line, APART if number else converted
    if not groups:
        return code, SAME, None if unit == NO_UNIT else ASSUMED
    recorded = {one for group in groups for one in group}
    if unit == NO_UNIT and len(different_units(code, sorted(recorded))) == 1 and NO_UNIT not in recorded:
        return code, SAME, ASSUMED
    return None, SAME, UNUSED


def place_values(events: pl.DataFrame, units: Groups) -> pl.DataFrame:
    """Convert every value to the unit of its bins.

    Args:
        events: Columns code, numeric_value, unit and any others.
        units: Groups of every code.

    Returns:
        The same rows in the same order with numeric_value converted (float32, null where the unit has no
        bins), ``value_code`` (the name of the bins) and ``unit_count`` (one of :data:`COUNTS` or null).
    """
    pairs = events.filter(pl.col("numeric_value").is_finite()).select("code", "unit").unique()
    places = []
    for code, unit in pairs.rows():
        name, line, count = place(code, spelled(unit), units.get(code, ()))
        places.append((code, unit, name, *line, count))
    table = pl.DataFrame(places, schema=_PLACES, orient="row")
    rows = events.join(table, on=["code", "unit"], how="left", nulls_equal=True, maintain_order="left")
    usable, scale, offset = pl.col("numeric_value").is_finite(), pl.col("scale"), pl.col("offset")
    value = pl.col("numeric_value")
    converted = (value.cast(pl.Float64) * scale + offset).cast(pl.Float32)
    same = (scale == 1) & (offset == 0)
    return rows.with_columns(
        pl.when(pl.col("value_code").is_null()).then(None).when(same).then(value).otherwise(converted)
        .alias("numeric_value"),
        pl.when(usable).then("unit_count").alias("unit_count"),
        pl.coalesce("value_code", "code").alias("value_code"),
    ).drop("scale", "offset", "unit")  # fmt: skip


def count_units(placed: pl.DataFrame, edges: Mapping[str, Sequence[float]], units: Groups) -> dict[str, int]:
    """Values of each of :data:`COUNTS`, among the codes that have bins in some unit.

    Args:
        placed: As :func:`place_values` returns.
        edges: Edges per name of bins.
        units: Groups of every code.
    """
    known = value_codes(units)
    binned = {known[name][0] if name in known else name for name in edges}
    found = placed.filter(pl.col("code").is_in(list(binned)))["unit_count"].value_counts()
    return dict.fromkeys(COUNTS, 0) | {name: number for name, number in found.rows() if name is not None}
