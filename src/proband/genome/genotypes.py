"""One reader of dosages over .pgen, .bed and VCF files.

Dosages count the ALT allele, 0 to 2; a missing call is ``MISSING``. For a .bed file ALT is A1 (column 5 of
the .bim) and REF is A2, as in plink2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, UInt32

from proband.core.errors import DataError

MISSING = np.float32(-9)
"""Dosage of a missing call, pgenlib's code for it."""

_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
_KINDS = (".pgen", ".bed", ".vcf.gz", ".vcf", ".bcf", ".vcf.bgz")


@runtime_checkable
class DosageReader(Protocol):
    """Reads ALT dosages of chosen variants and a range of samples."""

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages (0 to 2, ``MISSING`` where not called) of the samples ``start`` to ``stop`` - 1."""
        ...


@dataclass(frozen=True)
class Genotypes:
    """An open genotype file.

    Attributes:
        files: The files it consists of.
        variants: One row per ALT allele: ``index`` (row of the file, UInt32), ``chrom``, ``pos`` (Int64),
            ``ref``, ``alt``, ``is_multiallelic`` (the file's row has several ALT alleles), ``is_ambiguous``
            (ALT is REF on the other strand).
        num_variants: Rows of the file.
        sample_ids: Names of the samples, in the file's order.
        is_male: Recorded sex is male, per sample.
        build: GRCh37 or GRCh38 if the file tells, else None.
        reader: Reads the dosages.
    """

    files: tuple[Path, ...]
    variants: pl.DataFrame
    num_variants: int
    sample_ids: list[str]
    is_male: Bool[np.ndarray, " samples"]
    build: str | None
    reader: DosageReader


def find_genotypes(path: Path) -> Path:
    """The genotype file meant by a file name or a prefix.

    Raises:
        DataError: Neither ``path`` nor ``path`` with a known ending is a file.
    """
    for candidate in (path, *(Path(f"{path}{kind}") for kind in _KINDS)):
        if candidate.is_file() and candidate.name.endswith(_KINDS):
            return candidate
    raise DataError(
        "no genotype file",
        where=path,
        found="another kind of file" if path.is_file() else "a folder" if path.is_dir() else "nothing",
        expected=f"a file or prefix of {', '.join(_KINDS)}",
        remedy="name the file, or its path without the ending",
    )


def open_genotypes(path: Path, scratch: Path) -> Genotypes:
    """Open a genotype file.

    Args:
        path: The file, of one of the endings of :func:`find_genotypes`.
        scratch: Folder for temporary files (a VCF's dosages); it must outlive the reader.

    Raises:
        DataError: Something is missing, unreadable, truncated, or does not fit together.
    """
    if path.name.endswith((".pgen", ".bed")):
        from proband.genome.plink import open_plink

        return open_plink(path)
    from proband.genome.vcf import open_vcf

    return open_vcf(path, scratch)


def complement(column: str) -> pl.Expr:
    """The other strand's letters of alleles made of A, C, G and T; null for any other allele.

    >>> pl.DataFrame({"a": ["AC", "G", "<DEL>"]}).select(complement("a"))["a"].to_list()
    ['TG', 'C', None]
    """
    allele = pl.col(column)
    swapped = allele.str.replace_many(list(_COMPLEMENT), list(_COMPLEMENT.values()))
    return pl.when(allele.str.contains(r"^[ACGT]+$")).then(swapped)


def per_allele(rows: pl.DataFrame) -> pl.DataFrame:
    """Split comma-joined ALT alleles into one row each, as :attr:`Genotypes.variants` wants them.

    Args:
        rows: ``chrom, pos, ref, alt`` in the file's order; alleles of any case.
    """
    alleles = pl.col("alt").str.to_uppercase().str.split(",")
    rows = rows.with_row_index("index").with_columns(pl.col("ref").str.to_uppercase(), alts=alleles)
    rows = rows.with_columns(is_multiallelic=pl.col("alts").list.len() > 1)
    most = int(rows["alts"].list.len().to_numpy().max(initial=0))
    nth = [rows.with_columns(alt=pl.col("alts").list.get(n, null_on_oob=True)) for n in range(most)]
    split = pl.concat([part.filter(pl.col("alt").is_not_null()) for part in nth]).sort("index")
    is_ambiguous = (pl.col("ref") == complement("alt")).fill_null(False)
    return split.select("index", "chrom", "pos", "ref", "alt", "is_multiallelic", is_ambiguous=is_ambiguous)
