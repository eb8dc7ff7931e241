"""Alleles and sites as integers, so that millions of rows are compared without touching text.

An allele of up to 31 letters A, C, G, T is its letters two bits each behind a leading 1 (A 4, C 5, G 6, T 7,
AA 16). Longer ones, and names such as ``<DEL>``, are negative fingerprints of 56 bits; with equal sites asked
for beside them, two different alleles are never taken for one in practice. 0 is no allele.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64, UInt64

from proband.genome.genotypes.builds import chromosome_number

NO_ALLELE = 0
ABSENT_ALLELES = (".", "0", "<*>", "<NON_REF>")
"""What VCF, PLINK and gVCF files write for an allele that nobody has."""

NO_SITE = -1
"""Site of a row without position; other contigs than 1-22, X, Y and MT get numbers that match nothing."""

OTHER_SITE = -2
"""Site of a row that no genotyped variant can be at."""

_OTHER_VARIANT = -3
_POSITION_BITS = 32
_DIGITS = str.maketrans("ACGT", "0123")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_LONGEST = 31  # letters of two bits that fit beside the leading 1 in 63 bits
_FINGERPRINT_BYTES = 7
_STRAND_BITS = 2  # of a fingerprint: 0 and 1 for the two strands, 2 for what is no nucleotide sequence
_NO_SEQUENCE = 2
_LETTERS = np.zeros(256, np.int64)
_LETTERS[list(b"ACGT")] = _LETTERS[list(b"acgt")] = [4, 5, 6, 7]


def text_views(text: pl.Series) -> UInt64[np.ndarray, "rows 2"]:
    """The 16 bytes polars keeps per string: length (4), then up to 12 letters, or a reference if longer.

    Layout: https://arrow.apache.org/docs/format/Columnar.html (variable-size binary view). What stands in the
    place of a null is undefined.
    """
    array = text.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    if not len(array):
        return np.empty((0, 2), np.uint64)
    views = np.frombuffer(array.buffers()[1], np.uint64).reshape(-1, 2)
    return views[array.offset : array.offset + len(array)]


def allele_codes(alleles: pl.Series) -> Int64[np.ndarray, " rows"]:
    """Numbers of alleles, of any case; nulls are ``NO_ALLELE``.

    >>> allele_codes(pl.Series(["A", "t", None, "AA", "CAT", "-"])).tolist()[:5]
    [4, 7, 0, 16, 83]
    """
    # A single letter is all there is behind the length; with more, the number is beyond the table.
    letters = text_views(alleles)[:, 0] >> np.uint64(32)
    codes = _LETTERS[np.minimum(letters, len(_LETTERS) - 1)]
    if not alleles.null_count() and codes.all():
        return codes
    is_null = _nulls(alleles)
    codes[is_null] = NO_ALLELE
    others = np.flatnonzero((codes == 0) & ~is_null)
    if len(others):
        spelt = alleles.gather(others).str.to_uppercase()
        names = spelt.unique()
        numbers = pl.Series([_encode(name) for name in names], dtype=pl.Int64)
        codes[others] = spelt.replace_strict(names, numbers, return_dtype=pl.Int64).to_numpy()
    return codes


def _encode(allele: str) -> int:
    if not re.fullmatch("[ACGT]+", allele):
        return -1 - ((_fingerprint(allele) << _STRAND_BITS) + _NO_SEQUENCE)
    if len(allele) <= _LONGEST:
        return 4 ** len(allele) + int(allele.translate(_DIGITS), 4)
    other_strand = allele.translate(_COMPLEMENT)
    canonical = min(allele, other_strand)
    return -1 - ((_fingerprint(canonical) << _STRAND_BITS) + int(allele != canonical))


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_FINGERPRINT_BYTES).digest())


def is_nucleotides(codes: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Whether an allele is made of A, C, G and T alone."""
    return (codes > 0) | ((codes < 0) & ((-1 - codes) & 3 != _NO_SEQUENCE))


def num_letters(codes: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """Letters of alleles of up to 31 letters A, C, G, T; 0 for all others.

    >>> num_letters(allele_codes(pl.Series(["A", "T", "CAT", "<DEL>", None]))).tolist()
    [1, 1, 3, 0, 0]
    """
    bits = np.frexp(np.maximum(codes, 0).astype(np.float64))[1].astype(np.int64)
    return np.maximum(bits - 1, 0) // 2


def complement_codes(codes: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """The other strand's letters; ``NO_ALLELE`` for what is not made of A, C, G and T.

    >>> complement_codes(allele_codes(pl.Series(["A", "CAT", "-"]))).tolist()
    [7, 108, 0]
    """
    below = codes >> 1  # ones below the leading 1
    for shift in (1, 2, 4, 8, 16, 32):
        below = below | (below >> shift)
    strand = -1 - ((-1 - codes) ^ 1)
    return np.where(codes > 0, codes ^ below, np.where(is_nucleotides(codes), strand, NO_ALLELE))


def row_sites(chrom: pl.Series, pos: pl.Series) -> Int64[np.ndarray, " rows"]:
    """Chromosome (of any spelling) and position as one number; ``NO_SITE`` where either is missing.

    A position of 0 or less is a missing one, as of an array's unplaced probes.
    """
    numbers, lengths = _runs(chrom)
    bases = np.where(numbers > 0, numbers << _POSITION_BITS, OTHER_SITE)
    is_missing = _nulls(chrom) if chrom.null_count() else None
    places = pos.fill_null(0).to_numpy() if pos.null_count() else pos.to_numpy()
    is_unplaced = places <= 0
    if is_unplaced.any():
        is_missing = is_unplaced if is_missing is None else is_missing | is_unplaced
    sites = np.repeat(bases, lengths)
    is_out = (places >> _POSITION_BITS) != 0
    if (numbers == 0).any() or is_out.any():
        sites = np.where((sites < 0) | is_out, OTHER_SITE, sites + places)
    else:
        sites += places
    if is_missing is not None:
        sites[is_missing] = NO_SITE
    return sites


def variant_sites(chrom: pl.Series, pos: pl.Series) -> Int64[np.ndarray, " rows"]:
    """The same for genotyped variants."""
    sites = row_sites(chrom, pos)
    return np.where(sites < 0, _OTHER_VARIANT, sites)


def split_sites(
    sites: Int64[np.ndarray, " rows"],
) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """Chromosome numbers (0 where not known) and positions of sites."""
    return np.where(sites < 0, 0, sites >> _POSITION_BITS), sites & (2**_POSITION_BITS - 1)


def chromosome_numbers(names: pl.Series) -> Int64[np.ndarray, " rows"]:
    """Numbers of :data:`CHROMOSOMES`; 0 for other contigs and nulls."""
    return np.repeat(*_runs(names))


def _runs(names: pl.Series) -> tuple[Int64[np.ndarray, " runs"], Int64[np.ndarray, " runs"]]:
    """Numbers of chromosomes and lengths of runs of one name, of which files have few: they are sorted."""
    if names.is_empty():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    head, tail = text_views(names).T
    is_first = np.append(True, (head[1:] != head[:-1]) | (tail[1:] != tail[:-1]))
    if names.null_count():  # what stands in the place of a null is undefined
        is_null = _nulls(names)
        is_first[1:] |= is_null[1:] != is_null[:-1]
    firsts = np.flatnonzero(is_first)
    numbers = np.array([chromosome_number(name) for name in names.gather(firsts)], np.int64)
    return numbers, np.diff(firsts, append=len(names))


def _nulls(series: pl.Series) -> Bool[np.ndarray, " rows"]:
    return series.is_null().to_numpy() if series.null_count() else np.zeros(len(series), bool)
