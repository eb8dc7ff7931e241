"""VCF and BCF: read once through cyvcf2, dosages kept in a temporary file.

Hard calls (GT) are used where a record has them, else dosages (DS). Dosages are kept in units of 2^-14, the
precision of .pgen. A haploid call counts 0 or 2; a half call such as ``./1`` is missing.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from jaxtyping import Float32, Int16, UInt16, UInt32

from proband.core.errors import DataError, first_line
from proband.core.progress import say, track
from proband.genome.genotypes.builds import build_of_header, plain_chromosomes
from proband.genome.genotypes.dataset import MISSING, Genotypes, Part
from proband.genome.genotypes.strands import per_allele

_UNIT = 2**14
_MISSING_UNITS = np.uint16(2**16 - 1)
# The empty block that ends every whole BGZF file, and what such a file begins with (SAM specification 4.1).
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BGZF_BEGIN = _BGZF_END[:4]
_REF = 3
"""Column of REF, from 0."""
_NOT_CALLED = -1  # cyvcf2's code of a missing allele; -2 fills up haploid calls


class VcfReader:
    """Dosages from the temporary file of 2-byte units, variants by samples."""

    def __init__(
        self,
        path: Path,
        num_variants: int,
        num_samples: int,
        subset: UInt32[np.ndarray, " samples"] | None = None,
    ) -> None:
        self._units = np.memmap(path, np.uint16, "r", shape=(num_variants, num_samples))
        self._subset = subset

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages of the samples ``start`` to ``stop`` - 1; see :class:`DosageReader`."""
        if self._subset is None:
            units = self._units[indices, start:stop]
        else:
            units = self._units[np.ix_(indices, self._subset[start:stop])]
        dosages = units.astype(np.float32) / np.float32(_UNIT)
        dosages[units == _MISSING_UNITS] = MISSING
        return dosages


_USUAL_CONTIGS = [
    f"{prefix}{name}" for prefix in ("", "chr") for name in (*range(1, 23), "X", "Y", "M", "MT")
]
"""Declared where a header does not: a damaged call on a contig that is not crashes htslib's reader."""


def open_vcf(path: Path, scratch: Path, *, with_ids: bool = False) -> Genotypes:
    """Read a VCF or BCF file whole and keep its dosages in ``scratch``; perhaps with identifiers.

    Raises:
        DataError: The file is no VCF, truncated, empty, or no record has GT or DS.
    """
    from cyvcf2 import VCF

    _check_end(path)
    _quieten_htslib()
    dosage_path = _new_file(scratch)
    try:
        vcf = VCF(str(path))
        header, sample_ids = vcf.raw_header.splitlines(), list(vcf.samples)
        for name in _USUAL_CONTIGS:
            vcf.add_to_header(f"##contig=<ID={name}>")
        with open(dosage_path, "wb") as file:
            records = map(_check_alleles, track(vcf, f"Reading {path.name}"))
            rows = [_keep(record, file, len(sample_ids)) for record in records]
    except Exception as error:  # cyvcf2 raises bare Exception on a damaged file
        found = first_line(error)
        remedy = "the file is truncated or no VCF: copy or make it again"
        raise DataError("unreadable genotype file", where=path, found=found, remedy=remedy) from None
    if not rows or not sample_ids:
        found = f"{len(rows)} variants of {len(sample_ids)} samples"
        raise DataError("empty genotype file", where=path, found=found, expected="variants and samples")
    schema = {"chrom": pl.String, "pos": pl.Int64, "ref": pl.String, "alt": pl.String, "id": pl.String}
    table = pl.DataFrame(rows, schema=schema | {"bare": pl.String}, orient="row")
    _check_called(table, path)
    table = table.drop("bare") if with_ids else table.drop("id", "bare")
    part = Part((path,), _reader, len(rows), len(sample_ids), dosages=dosage_path)
    variants = per_allele(table.with_columns(plain_chromosomes(table["chrom"])))
    return Genotypes((part,), variants, sample_ids, np.zeros(len(sample_ids), bool), build_of_header(header))


def _reader(part: Part) -> VcfReader:
    assert part.dosages is not None
    return VcfReader(part.dosages, part.num_variants, part.num_samples, part.subset)


def _new_file(folder: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix=".u16", dir=folder)
    os.close(handle)
    return Path(name)


def _quieten_htslib() -> None:
    """Keep htslib's own warnings off the terminal: a contig without header line is no news, and a damaged
    file is told of once, by the error raised."""
    with contextlib.suppress(ImportError):  # older cyvcf2 has no such switch
        from cyvcf2.cyvcf2 import set_htslib_log_level

        set_htslib_log_level(0)


def _check_end(path: Path) -> None:
    """Refuse a compressed file cut between two blocks, which reads as if it were whole."""
    with open(path, "rb") as file:
        is_bgzf = file.read(len(_BGZF_BEGIN)) == _BGZF_BEGIN
        file.seek(-min(len(_BGZF_END), path.stat().st_size), 2)
        if is_bgzf and file.read() != _BGZF_END:
            remedy = "the file is truncated: copy or make it again"
            raise DataError(
                "unreadable genotype file", where=path, found="no end-of-file block", remedy=remedy
            )


def _check_called(table: pl.DataFrame, path: Path) -> None:
    """Say how many records hold neither GT nor DS; their calls are missing.

    Raises:
        DataError: None holds any.
    """
    bare = table.filter(pl.col("bare").is_not_null())
    if not bare.height:
        return
    first = f"{bare['chrom'][0]}:{bare['pos'][0]}"
    if bare.height == table.height:
        where = f"{path} at {first}"
        raise DataError(
            "no genotypes", where=where, found=bare["bare"][0] or "no FORMAT", expected="GT or DS"
        )
    say(
        f"genome: {bare.height} of {table.height} records of {path.name} have neither GT nor DS and count as"
        f" not called (first: {first})"
    )


def _check_alleles(record: Any) -> Any:
    """The record, if its line reached the alleles.

    Raises:
        ValueError: It is blank or ends before them. htslib takes such a line of an undeclared chromosome, and
            to read its alleles would crash.
    """
    if not record.FORMAT and str(record).split("\t")[_REF : _REF + 1] in ([], ["."]):
        raise ValueError("a line that is blank or ends before its alleles")
    return record


def _keep(record: Any, file: BinaryIO, num_samples: int) -> tuple[str, int, str, str, str | None, str | None]:
    """Append a record's dosages to ``file``.

    Returns:
        Chromosome, position, REF, ALT and identifier; and, if it has neither GT nor DS, what it has.
    """
    dosages = record.format("DS") if "GT" not in record.FORMAT and "DS" in record.FORMAT else None
    if "GT" in record.FORMAT:
        units = call_units(record.genotype.array())
    elif dosages is not None and dosages.ndim > 1 and dosages.shape[1]:
        units = dosage_units(dosages[:, 0])
    else:
        units = np.full(num_samples, _MISSING_UNITS)
    file.write(units.tobytes())
    alt = ",".join(record.ALT) or "."
    is_bare = not {"GT", "DS"} & set(record.FORMAT)
    return record.CHROM, record.POS, record.REF, alt, record.ID, " ".join(record.FORMAT) if is_bare else None


def call_units(calls: Int16[np.ndarray, "samples ploidy_and_phase"]) -> UInt16[np.ndarray, " samples"]:
    """Units of the first ALT's dosage from called alleles (-1 missing, -2 padding; last column phase).

    >>> calls = np.array([[0, 1, 0], [1, -2, 0], [-1, 1, 0]], np.int16)
    >>> (call_units(calls) / 2**14).tolist()[:2]
    [1.0, 2.0]
    """
    alleles = calls[:, :-1]
    num_called = (alleles >= 0).sum(axis=1)
    units = (alleles == 1).sum(axis=1) * (2 * _UNIT) // np.maximum(num_called, 1)
    units[(alleles == _NOT_CALLED).any(axis=1) | (num_called == 0)] = _MISSING_UNITS
    return units.astype(np.uint16)


def dosage_units(dosages: Float32[np.ndarray, " samples"]) -> UInt16[np.ndarray, " samples"]:
    """Units of given dosages; NaN and values outside 0 to 2 are missing, as in plink2."""
    valid = (dosages >= 0) & (dosages <= 2)
    units = np.rint(np.where(valid, dosages, 0) * _UNIT).astype(np.uint16)
    return np.where(valid, units, _MISSING_UNITS)
