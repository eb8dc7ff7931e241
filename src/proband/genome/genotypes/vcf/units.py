"""Calls and dosages of one VCF record as units of 2 bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt16

UNIT = 2**14
"""A dosage of 1, the precision of .pgen."""
MISSING_UNITS = np.uint16(2**16 - 1)
"""A missing call."""
_NOT_CALLED, _PADDING = -1, -2  # cyvcf2's codes of a missing allele and of what fills up haploid calls
_NO_DOSAGE = ("", ".", "NA")


def call_units(
    calls: Int16[np.ndarray, "samples ploidy_and_phase"], counted: int = 1, dropped: Sequence[int] = ()
) -> UInt16[np.ndarray, " samples"]:
    """Units of one ALT's dosage from called alleles (-1 missing, -2 padding; last column phase).

    Args:
        calls: Numbers of alleles, 0 for REF.
        counted: Number of the allele that is counted.
        dropped: Numbers of alleles that count as missing.

    >>> calls = np.array([[0, 1, 0], [1, -2, 0], [-1, 1, 0]], np.int16)
    >>> (call_units(calls) / 2**14).tolist()[:2]
    [1.0, 2.0]
    """
    alleles = calls[:, :-1]
    if dropped:
        alleles = np.where(np.isin(alleles, dropped), _NOT_CALLED, alleles)
    num_called = (alleles >= 0).sum(axis=1)
    units = (alleles == counted).sum(axis=1) * (2 * UNIT) // np.maximum(num_called, 1)
    units[(alleles == _NOT_CALLED).any(axis=1) | (num_called == 0)] = MISSING_UNITS
    return units.astype(np.uint16)


def is_haploid(calls: Int16[np.ndarray, "samples ploidy_and_phase"]) -> Bool[np.ndarray, " samples"]:
    """Whose call is of one allele, be it missing (``.``, where who has two has ``./.``)."""
    return (calls[:, 1:-1] == _PADDING).all(axis=1)


def filled(
    units: UInt16[np.ndarray, " samples"],
    dosages: Float32[np.ndarray, " samples"] | None,
    is_haploid: Bool[np.ndarray, " samples"],
) -> UInt16[np.ndarray, " samples"]:
    """Units of calls, where a call is missing those of the first ALT's dosage; that of a haploid sample, 0 to
    1, counts twice as its call does.

    >>> calls, dosages = np.array([0, 2**16 - 1], np.uint16), np.array([1.5, 0.25], np.float32)
    >>> (filled(calls, dosages, np.array([False, True])) / 2**14).tolist()
    [0.0, 0.5]
    """
    if dosages is None:
        return units
    copies = np.where(is_haploid, np.float32(2), np.float32(1))
    return np.where(units == MISSING_UNITS, dosage_units(dosages * copies), units)


def as_dosages(given: np.ndarray, counted: int = 0) -> Float32[np.ndarray, " samples"] | None:
    """One ALT's dosage of every sample, NaN or negative where missing; None where there is no value.

    Args:
        given: DS as cyvcf2 gives it: numbers, samples by alleles; or text, with commas between alleles.
        counted: Place of the ALT that is counted.

    Raises:
        ValueError: A text is no number.

    >>> as_dosages(np.array(["0.5,1", ".", "2"])).tolist(), as_dosages(np.array([[1], [-(2**31)]])).tolist()
    ([0.5, nan, 2.0], [1.0, -2147483648.0])
    """
    if given.dtype.kind in "fi":
        return given[:, counted].astype(np.float32) if given.ndim > 1 and given.shape[1] > counted else None
    values = [value.split(",") for value in given.ravel().tolist()]
    text = np.array([value[counted].strip() if len(value) > counted else "" for value in values], str)
    return np.where(np.isin(text, _NO_DOSAGE), "nan", text).astype(np.float32)


def dosage_units(dosages: Float32[np.ndarray, " samples"]) -> UInt16[np.ndarray, " samples"]:
    """Units of given dosages; NaN and values outside 0 to 2 are missing, as in plink2."""
    valid = (dosages >= 0) & (dosages <= 2)
    units = np.rint(np.where(valid, dosages, 0) * UNIT).astype(np.uint16)
    return np.where(valid, units, MISSING_UNITS)
