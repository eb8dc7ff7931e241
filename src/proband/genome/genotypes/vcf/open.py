"""VCF and BCF: read once by htslib, in a process of its own, dosages kept in a temporary file.

A sample's hard call (GT) is used where there is one, else its dosage (DS), of whatever type. Dosages are kept
in units of 2^-14, the precision of .pgen. A haploid call counts 0 or 2; a half call such as ``./1`` is
missing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32, UInt32

from proband.core.errors import DataError
from proband.core.running.progress import say, track
from proband.genome.genotypes.builds import build_of_header, plain_chromosomes
from proband.genome.genotypes.dataset import MISSING, Genotypes, Part
from proband.genome.genotypes.strands import per_allele
from proband.genome.genotypes.vcf.causes import cause_of
from proband.genome.genotypes.vcf.process import read_apart
from proband.genome.genotypes.vcf.records import COLUMNS, UnreadableError
from proband.genome.genotypes.vcf.units import MISSING_UNITS, UNIT

_SCHEMA = {name: pl.Int64 if name == "pos" else pl.String for name in COLUMNS}
# The empty block that ends every whole BGZF file, and what such a file begins with (SAM specification 4.1).
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BGZF_BEGIN = _BGZF_END[:4]


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
        dosages = units.astype(np.float32) / np.float32(UNIT)
        dosages[units == MISSING_UNITS] = MISSING
        return dosages


def open_vcf(path: Path, scratch: Path, *, with_ids: bool = False) -> Genotypes:
    """Read a VCF or BCF file whole and keep its dosages in ``scratch``; perhaps with identifiers.

    Raises:
        DataError: The file is no VCF, truncated, damaged, empty, no record has GT or DS, or DS is no number.
    """
    _check_end(path)
    dosage_path = _new_file(scratch)
    try:
        header, sample_ids, table = _read(path, dosage_path)
    except UnreadableError as error:
        found, remedy = (str(error), error.remedy) if error.remedy else cause_of(path)
        remedy = remedy or "the file is truncated, damaged or no VCF: copy or make it again"
        raise DataError(
            "unreadable genotype file", where=path, found=found or str(error), remedy=remedy
        ) from None
    if not table.height or not sample_ids:
        found = f"{table.height} variants of {len(sample_ids)} samples"
        raise DataError("empty genotype file", where=path, found=found, expected="variants and samples")
    _check_called(table, path)
    part = Part((path,), _reader, table.height, len(sample_ids), dosages=dosage_path)
    table = table.drop("bare") if with_ids else table.drop("id", "bare")
    variants = per_allele(table.with_columns(plain_chromosomes(table["chrom"])))
    return Genotypes((part,), variants, sample_ids, np.zeros(len(sample_ids), bool), build_of_header(header))


def _read(path: Path, dosages: Path) -> tuple[list[str], list[str], pl.DataFrame]:
    """Lines of the header, names of the samples, one row per record."""
    header: list[str] = []
    sample_ids: list[str] = []
    batches = [pl.DataFrame(schema=_SCHEMA)]

    def records() -> Iterator[int]:
        for answer in read_apart(path, dosages):
            if "header" in answer:
                header[:], sample_ids[:], batches[1:] = answer["header"], answer["samples"], []
            else:
                batches.append(pl.DataFrame(answer["records"], _SCHEMA, orient="col"))
                yield from range(batches[-1].height)

    for _ in track(records(), f"Reading {path.name}"):
        pass
    return header, sample_ids, pl.concat(batches)


def _reader(part: Part) -> VcfReader:
    assert part.dosages is not None
    return VcfReader(part.dosages, part.num_variants, part.num_samples, part.subset)


def _new_file(folder: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix=".u16", dir=folder)
    os.close(handle)
    return Path(name)


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
    """Say how many records tell no dosages: neither GT nor DS, or DS alone where samples may be haploid.

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
        f"genome: {bare.height} of {table.height} records of {path.name} have neither GT nor DS"
        f" (on X, Y and MT no GT) and count as not called (first: {first})"
    )
