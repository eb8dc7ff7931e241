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
        DataError: A weight is no finite number, or a ratio not above 0.
    """
    effect = allele_codes(frame["effect_allele"])
    flags = {name: _flag(frame, name) for name in FLAGS if name in frame.columns}
    never = np.zeros(frame.height, bool)
    dominant, recessive = flags.get("is_dominant", never), flags.get("is_recessive", never)
    is_scorable = is_nucleotides(effect) & ~(dominant & recessive)
    for name in flags.keys() & set(_COMPLEX):
        is_scorable &= ~flags[name]
    sites = np.full(frame.height, NO_SITE, np.int64)
    if place:
        sites = row_sites(frame[place[0]], whole_numbers(frame[place[1]]))
    at = _weights_by_count(frame, text, dominant, recessive, log_of)
    return Rows(sites, effect, _other_alleles(frame), at, is_scorable)


def _flag(frame: pl.DataFrame, name: str) -> Bool[np.ndarray, " rows"]:
    return frame[name].str.to_lowercase().is_in(["true", "1"]).fill_null(False).to_numpy()


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
    dosages = [frame[name] for name in DOSAGE_WEIGHTS if name in frame.columns]
    has_dosages = len(dosages) == len(DOSAGE_WEIGHTS) and any(
        series.null_count() < len(series) for series in dosages
    )
    # Where a file has both, the three weights are a second coding of the same row; effect_weight is agreed.
    if has_dosages and ("effect_weight" not in frame.columns or not frame["effect_weight"].count()):
        return np.stack([_weights(series, text, log_of) for series in dosages])
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
