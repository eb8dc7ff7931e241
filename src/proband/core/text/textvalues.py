"""Values of text tables: what is around them goes, what stands for none is null, and whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

NO_VALUE = ("", "NA", "None", ".")
"""What stands for no value."""

MISSING = (*NO_VALUE, "nan", "NaN", "NAN", "-nan", "null", "NULL", "<NA>", "NaT", "N/A", "n/a", "#N/A")
"""The same as pandas and others spell it, where none of these can be a name."""

AROUND = ' \t\r\n"\u00a0\ufeff'
"""Blanks and quotes that may be around a value and are no part of it."""

EXACT_FLOAT = 2**53
"""The largest number up to which a float tells whole numbers apart."""

_INTEGER, _FRACTION, _EXPONENT = r"^[+-]?\d+(\.0*)?$", r"\.0*$", r"^[+-]?\d+(\.\d*)?[eE][+-]?\d+$"


def clean_text(text: str) -> str:
    """A value without the quotes and blanks around it.

    >>> clean_text(' "A" ')
    'A'
    """
    return text.strip(AROUND)


def clean(values: pl.Series, no_value: Sequence[str] = NO_VALUE) -> pl.Series:
    """The same for a column; null where nothing or one of ``no_value`` is left.

    A column without any quote or blank is returned as it is: its reader has made nulls.

    >>> clean(pl.Series(['"A"', " 1", ". ", None])).to_list()
    ['A', '1', None, None]
    """
    if values.dtype != pl.String or not _has_margins(values):
        return values
    stripped = values.str.strip_chars(AROUND).to_frame()
    kept = pl.when(~pl.first().is_in(["", *no_value])).then(pl.first()).alias(values.name)
    return stripped.select(kept).to_series()


def _has_margins(values: pl.Series) -> bool:
    """Whether any value may have quotes or blanks around it; values of one letter, the usual, go fast."""
    if (values < "#").any():  # begins with a blank or a quote
        return True
    longer = values.filter(values.str.len_bytes() > 1)
    return bool(longer.str.contains(r'[\s"\x{feff}]').any())


def whole_numbers(values: pl.Series) -> pl.Series:
    """Text as Int64, null where it is no whole number; ``100000.0`` and ``1e+05`` are whole numbers.

    Exponents are read up to 2**53, beyond which a float does not tell whole numbers apart.

    >>> whole_numbers(pl.Series(["7", "100000.0", "1e+05", "9223298823261397041", "1.5", "x"])).to_list()
    [7, 100000, 100000, 9223298823261397041, None, None]
    """
    if values.dtype != pl.String:
        return values.cast(pl.Int64, strict=False)
    plain = values.cast(pl.Int64, strict=False)
    if plain.null_count() == values.null_count():
        return plain
    name = pl.col("text")
    number = name.cast(pl.Float64, strict=False)
    is_exact = name.str.contains(_EXPONENT) & (number == number.floor()) & (number.abs() <= EXACT_FLOAT)
    text = values.str.strip_chars(AROUND).alias("text").to_frame()
    found = text.select(
        pl.when(name.str.contains(_INTEGER))
        .then(name.str.replace(_FRACTION, "").cast(pl.Int64, strict=False))
        .when(is_exact)
        .then(pl.when(is_exact).then(number).cast(pl.Int64, strict=False))
    )
    return found.to_series().alias(values.name)
