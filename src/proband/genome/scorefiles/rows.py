"""Rows of a scoring file as numbers: sites, alleles, and what each adds at 0, 1 and 2 effect alleles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from proband.core.errors import DataError
from proband.core.text.texttable import TextTable
from proband.core.text.textvalues import whole_numbers
from proband.genome.genotypes.alleles import NO_ALLELE, NO_SITE, allele_codes, is_nucleotides, row_sites

DOSAGE_WEIGHTS = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
_COMPLEX = ("is_haplotype", "is_diplotype", "is_interaction")
FLAGS = (*_COMPLEX, "is_dominant", "is_recessive")
EFFECT_TYPE = "effect_type"
"""Column of pygscatalog's normalised files in place of ``is_dominant`` and ``is_recessive``."""
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0", "nan")
_EFFECT_TYPES = ("additive", "dominant", "recessive")
_NOT_ADDITIVE = "nonadditive"


@dataclass(frozen=True)
class Rows:
    """Rows of a score, as numbers.

    Attributes:
        sites: Chromosome and position, of :func:`row_sites`; ``NO_SITE`` without position.
        effect: Code of the effect allele, of :func:`allele_codes`.
        other: Code of the other allele, ``NO_ALLELE`` where not given.
        at: What the row adds at 0, 1 and 2 effect alleles.
        is_scorable: One variant's nucleotide alleles: no haplotype, diplotype, interaction or HLA allele.
    """

    sites: Int64[np.ndarray, " rows"]
    effect: Int64[np.ndarray, " rows"]
    other: Int64[np.ndarray, " rows"]
    at: Float64[np.ndarray, "3 rows"]
    is_scorable: Bool[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.sites)


def to_rows(
    frame: pl.DataFrame, text: TextTable, place: tuple[str, str] | None, log_of: str | None = None
) -> Rows:
    """A table of text as numbers.

    Args:
        frame: The columns that the file needs.
        text: The file, for messages.
        place: Columns of chromosome and position; None where identifiers take their place.
        log_of: The kind of ratio that the weights are, of which the logarithm is taken; None for none.

    Raises:
        DataError: A weight is no finite number, or a ratio not above 0; a flag is neither true nor false, or
            an effect type not known.
    """
    effect = allele_codes(frame["effect_allele"])
    flags = {name: _flag(frame, name, text) for name in FLAGS if name in frame.columns}
    dominant, recessive = _effects(frame, flags, text)
    is_scorable = is_nucleotides(effect) & ~(dominant & recessive)
    for name in flags.keys() & set(_COMPLEX):
        is_scorable &= ~flags[name]
    sites = np.full(frame.height, NO_SITE, np.int64)
    if place:
        sites = row_sites(frame[place[0]], whole_numbers(frame[place[1]]))
    at = _weights_by_count(frame, text, dominant, recessive, log_of)
    return Rows(sites, effect, _other_alleles(frame), at, is_scorable)


def _flag(frame: pl.DataFrame, name: str, text: TextTable) -> Bool[np.ndarray, " rows"]:
    """Which rows a flag holds for; where empty it does not."""
    values = _one_of(frame[name], (*_TRUE, *_FALSE), text, "true or false (or t, yes, y, 1; f, no, n, 0)")
    return values.is_in(_TRUE).fill_null(False).to_numpy()


def _effects(
    frame: pl.DataFrame, flags: dict[str, Bool[np.ndarray, " rows"]], text: TextTable
) -> tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
    """Which rows are dominant and which recessive, by their flags or by ``effect_type``."""
    never = np.zeros(frame.height, bool)
    dominant, recessive = flags.get("is_dominant", never), flags.get("is_recessive", never)
    if EFFECT_TYPE not in frame.columns:
        return dominant, recessive
    known = (*_EFFECT_TYPES, _NOT_ADDITIVE) if _has_dosage_weights(frame) else _EFFECT_TYPES
    kinds = _one_of(frame[EFFECT_TYPE], known, text, ", ".join(known))
    is_kind = [(kinds == kind).fill_null(False).to_numpy() for kind in ("dominant", "recessive")]
    return dominant | is_kind[0], recessive | is_kind[1]


def _one_of(column: pl.Series, known: tuple[str, ...], text: TextTable, expected: str) -> pl.Series:
    """Values in lower case, null where empty.

    Raises:
        DataError: One is not among those known.
    """
    values = column.str.to_lowercase()
    is_odd = ~values.is_in(known).fill_null(True)
    if is_odd.any():
        row = int(is_odd.arg_max() or 0)
        found = f"{column[row]!r} in {column.name} of row {row + 1}"
        raise DataError(
            f"{column.name} is not understood", where=text.path, found=found, expected=expected,
            remedy="mend the row",
        )  # fmt: skip
    return values


def _has_dosage_weights(frame: pl.DataFrame) -> bool:
    """Whether the three weights by dosage are what the file has.

    Where it has both, they are a second coding of the same row; effect_weight is agreed.
    """
    has_dosages = set(DOSAGE_WEIGHTS) <= set(frame.columns) and any(
        frame[name].count() for name in DOSAGE_WEIGHTS
    )
    return has_dosages and ("effect_weight" not in frame.columns or not frame["effect_weight"].count())


def _other_alleles(frame: pl.DataFrame) -> Int64[np.ndarray, " rows"]:
    """Codes of the other allele, the inferred one where none is given."""
    named = [name for name in ("other_allele", "hm_inferOtherAllele") if name in frame.columns]
    if not named:
        return np.full(frame.height, NO_ALLELE)
    other = frame.select(pl.coalesce(named)).to_series() if len(named) > 1 else frame[named[0]]
    codes = allele_codes(other)
    odd = np.flatnonzero((codes != NO_ALLELE) & ~is_nucleotides(codes))
    if len(odd):
        is_list = other.gather(odd).str.contains(r"[/,]").to_numpy()
        codes[odd[is_list]] = NO_ALLELE  # a list such as "A/T" names no one allele
    return codes


def _weights_by_count(
    frame: pl.DataFrame,
    text: TextTable,
    dominant: Bool[np.ndarray, " rows"],
    recessive: Bool[np.ndarray, " rows"],
    log_of: str | None,
) -> Float64[np.ndarray, "3 rows"]:
    if _has_dosage_weights(frame):
        return np.stack([_weights(frame[name], text, log_of) for name in DOSAGE_WEIGHTS])
    weight = _weights(frame["effect_weight"], text, log_of)
    at = np.stack([np.zeros_like(weight), weight, 2 * weight])
    at[1, recessive] = 0
    at[2, dominant | recessive] /= 2
    return at


def _weights(column: pl.Series, text: TextTable, log_of: str | None) -> Float64[np.ndarray, " rows"]:
    """A column of weights as numbers, of ratios their logarithms."""
    values = column.str.strip_chars().cast(pl.Float64, strict=False) if column.dtype == pl.String else column
    numbers = values.to_numpy()
    is_usable = np.isfinite(numbers)  # a null is NaN here
    if not is_usable.all():
        what, remedy = "weight is no finite number", "mend the row or download the file again"
        raise _unusable(what, column, int(np.argmin(is_usable)), text, remedy)
    if log_of is None:
        return numbers
    is_usable = numbers > 0
    if not is_usable.all():
        remedy = "mend the row, or the header's weight_type if these are logarithms or betas"
        what = f"weight of type {log_of} is not above 0"
        raise _unusable(what, column, int(np.argmin(is_usable)), text, remedy)
    return np.log(numbers)


def _unusable(what: str, column: pl.Series, row: int, text: TextTable, remedy: str) -> DataError:
    given = text.read([column.name], {})[column.name][row]
    found = f"{'nothing' if given is None else repr(given)} in {column.name} of row {row + 1}"
    return DataError(what, where=text.path, found=found, remedy=remedy)
