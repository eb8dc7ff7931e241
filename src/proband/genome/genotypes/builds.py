"""Genome builds and chromosome names, spelt one way."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import numpy as np
import polars as pl
from jaxtyping import Int64

# Lengths in bases of chromosomes 1-22 and X: Genome Reference Consortium, GRCh37.p13 and GRCh38.p14; UCSC's
# hg18 for NCBI36; T2T-CHM13 v2.0 (doi:10.1126/science.abj6987). NCBI35, older than VCF, is known by name
# alone.
_LENGTHS = {
    "GRCh37": """249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431
        135534747 135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983
        63025520 48129895 51304566 155270560""",
    "GRCh38": """248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717
        133797422 135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616
        64444167 46709983 50818468 156040895""",
    "NCBI36": """247249719 242951149 199501827 191273063 180857866 170899992 158821424 146274826 140273252
        135374737 134452384 132349534 114142980 106368585 100338915 88827254 78774742 76117153 63811651
        62435964 46944323 49691432 154913754""",
    "T2T-CHM13": """248387328 242696752 201105948 193574945 182045439 172126628 160567428 146259331 150617247
        134758134 135127769 133324548 113566686 101161492 99753195 96330374 84276897 80542538 61707364
        66210255 45090682 51324926 154259566""",
}
_LENGTH_OF = {build: [int(length) for length in lengths.split()] for build, lengths in _LENGTHS.items()}
_BUILD_OF_LENGTH = {length: build for build, lengths in _LENGTH_OF.items() for length in lengths}
HARMONISED = ("GRCh37", "GRCh38")
"""Builds of the PGS Catalog's harmonised files."""
_SPELLINGS = {
    "GRCh37": r"grch37|hg19|b37|hs37|(?:ncbi|build)[ _]?37",
    "GRCh38": r"grch38|hg38|hs38|(?:ncbi|build)[ _]?38",
    "NCBI36": r"grch36|hg18|(?<![a-z0-9])b36|(?:ncbi|build)[ _]?36",
    "NCBI35": r"grch35|hg17|(?<![a-z0-9])b35|(?:ncbi|build)[ _]?35",
    "T2T-CHM13": r"t2t|chm13|(?<![a-z0-9])hs1(?![a-z0-9])",
}
_NAMES = re.compile("|".join(f"({spelling})" for spelling in _SPELLINGS.values()))
# PLINK's numbers and region names beside the names used here.
_CHROMOSOMES = {"23": "X", "24": "Y", "25": "XY", "26": "MT", "PAR1": "XY", "PAR2": "XY", "M": "MT"}
_PSEUDOAUTOSOMAL = "XY"
"""On X for what is matched there, and of two copies in everybody."""

CHROMOSOMES = ("", *map(str, range(1, 23)), "X", "Y", "MT")
"""Chromosomes by their numbers here; 0 is every further contig, on which nothing is matched."""

HAPLOID = ("Y", "MT")
"""Chromosomes that plink2 counts 0 to 1."""


def build_name(text: str | None) -> str | None:
    """The build that ``text`` names: GRCh37, GRCh38, NCBI35, NCBI36 or T2T-CHM13; None if it names none.

    >>> build_name("hg19"), build_name("GRCh38.p14"), build_name("hg18"), build_name("NR")
    ('GRCh37', 'GRCh38', 'NCBI36', None)
    """
    found = _NAMES.search((text or "").lower())
    return list(_SPELLINGS)[found.lastindex - 1] if found and found.lastindex else None


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
    """Which of GRCh37 and GRCh38 alone has chromosomes that reach all positions; None if both do, or neither.

    Args:
        chromosomes: Numbers of :data:`CHROMOSOMES`.
        positions: Positions in bases.

    >>> build_of_positions(np.array([1, 19]), np.array([5, 59_000_000]))
    'GRCh37'
    """
    fits = []
    for build in HARMONISED:
        lengths = _LENGTH_OF[build]
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
