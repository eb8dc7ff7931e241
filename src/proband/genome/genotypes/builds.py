"""Genome builds and chromosome names, spelt one way."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import numpy as np
import polars as pl
from jaxtyping import Int64

# Lengths in bases of chromosomes 1-22 and X: Genome Reference Consortium, GRCh37.p13 and GRCh38.p14.
_LENGTHS = {
    "GRCh37": """249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431
        135534747 135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983
        63025520 48129895 51304566 155270560""",
    "GRCh38": """248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717
        133797422 135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616
        64444167 46709983 50818468 156040895""",
}
_LENGTH_OF = {build: [int(length) for length in lengths.split()] for build, lengths in _LENGTHS.items()}
_BUILD_OF_LENGTH = {int(length): build for build, lengths in _LENGTHS.items() for length in lengths.split()}
_SYNONYMS = {"grch37": "GRCh37", "hg19": "GRCh37", "b37": "GRCh37", "grch38": "GRCh38", "hg38": "GRCh38"}
# PLINK's numbers and region names beside the names used here.
_CHROMOSOMES = {"23": "X", "24": "Y", "25": "XY", "26": "MT", "PAR1": "XY", "PAR2": "XY", "M": "MT"}
_PSEUDOAUTOSOMAL = "XY"
"""On X for what is matched there, and of two copies in everybody."""

CHROMOSOMES = ("", *map(str, range(1, 23)), "X", "Y", "MT")
"""Chromosomes by their numbers here; 0 is every further contig, on which nothing is matched."""

HAPLOID = ("Y", "MT")
"""Chromosomes that plink2 counts 0 to 1."""


def build_name(text: str | None) -> str | None:
    """GRCh37 or GRCh38 where ``text`` names one of them, else None.

    >>> build_name("hg19"), build_name("GRCh38.p14"), build_name("NR")
    ('GRCh37', 'GRCh38', None)
    """
    found = re.search("|".join(_SYNONYMS), (text or "").lower())
    return _SYNONYMS[found.group()] if found else None


def build_of_header(lines: Iterable[str]) -> str | None:
    """The build told by the contig lengths or assembly names of a VCF or .pvar header, None if untold.

    >>> build_of_header(["##contig=<ID=chr22,length=50818468>"])
    'GRCh38'
    """
    for line in lines:
        if line.startswith("##contig"):
            length = re.search(r"length=(\d+)", line)
            build = _BUILD_OF_LENGTH.get(int(length.group(1))) if length else None
            assembly = re.search(r"assembly=([^,>]+)", line)
            build = build or build_name(assembly.group(1) if assembly else None)
        else:
            build = build_name(line) if line.startswith("##reference") else None
        if build:
            return build
    return None


def build_of_positions(
    chromosomes: Int64[np.ndarray, " variants"], positions: Int64[np.ndarray, " variants"]
) -> str | None:
    """The only build whose chromosomes reach far enough for all positions; None if both do, or neither.

    Args:
        chromosomes: Numbers of :data:`CHROMOSOMES`.
        positions: Positions in bases.

    >>> build_of_positions(np.array([1, 19]), np.array([5, 59_000_000]))
    'GRCh37'
    """
    fits = []
    for build, lengths in _LENGTH_OF.items():
        # Other contigs, Y and MT tell nothing.
        longest = np.full(len(CHROMOSOMES), np.iinfo(np.int64).max)
        longest[1 : len(lengths) + 1] = lengths
        if (positions <= longest[chromosomes]).all():
            fits.append(build)
    return fits[0] if len(fits) == 1 else None


def plain_chromosome(name: str) -> str:
    """A chromosome's name without ``chr`` and leading zeros, with X, Y and MT as letters, and XY for the
    regions that X and Y share.

    A data frame of floats writes ``1.0`` for 1.

    >>> [plain_chromosome(name) for name in ("chr1", "23", "chrM", "x", "02", "1.0", "PAR1", "HLA-A")]
    ['1', 'X', 'MT', 'X', '2', '1', 'XY', 'HLA-A']
    """
    plain = name.upper().removeprefix("CHR").lstrip("0")
    plain = plain.removesuffix(".0") if plain.removesuffix(".0").isdigit() else plain
    return _CHROMOSOMES.get(plain, plain)


def plain_chromosomes(names: pl.Series) -> pl.Series:
    """The same for a column; nulls stay.

    >>> plain_chromosomes(pl.Series(["chr1", "23", None])).to_list()
    ['1', 'X', None]
    """
    given = names.drop_nulls().unique()
    plain = pl.Series([plain_chromosome(name) for name in given], dtype=pl.String)
    return names if given.equals(plain) else names.replace(given, plain)


@functools.lru_cache(maxsize=4096)
def chromosome_number(name: str | None) -> int:
    """Place of a chromosome of any spelling in :data:`CHROMOSOMES`, 0 for any other contig or none."""
    plain = plain_chromosome(name or "")
    plain = "X" if plain == _PSEUDOAUTOSOMAL else plain
    return CHROMOSOMES.index(plain) if plain in CHROMOSOMES else 0
