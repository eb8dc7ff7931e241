"""BGEN files (layouts 1 and 2, 1 to 32 bits, phased or not), read in place through the ``bgen`` package.

Format: https://www.chg.ox.ac.uk/~gav/bgen_format (Band and Marchini 2018, doi:10.1101/308296). Which allele
is REF the format leaves open: the first is taken for it, as UK Biobank writes them; sums of scores do not
depend on it. Dosages are expected counts, sum of genotype times probability; a haploid call counts 0 to 2.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, UInt32

from proband.core.errors import DataError
from proband.core.running.progress import track
from proband.core.text.texttable import split_line
from proband.genome.genotypes.builds import plain_chromosomes
from proband.genome.genotypes.dataset import MISSING, Genotypes, Part
from proband.genome.genotypes.strands import per_allele
from proband.genome.names import by_rank

_DIPLOID = 2
_OF_PYTHON = (ValueError, TypeError, OSError, IndexError, OverflowError, RuntimeError)
_ERRORS = (*_OF_PYTHON, sqlite3.Error, pl.exceptions.PolarsError)
_MALE = ("1", "M", "m")
_SAMPLE_HEADER_LINES = 2
_INDEX_QUERY = """SELECT chromosome, position, allele1, allele2, number_of_alleles, rsid FROM Variant
    ORDER BY file_start_position"""
_HEADER, _LEAST_HEADER, _MAGIC = struct.Struct("<IIII4s"), 20, (b"bgen", b"\0\0\0\0")
_BYTES_PER_VARIANT, _BYTES_PER_NAME = 16, 2
"""At least: lengths of names, position, alleles and data; and the length of a sample's name."""
_MOST_TIMES = 10_000
"""Samples per byte of a file: deflate packs equal bytes 1,000 times, zstd more."""
_Row = tuple[str, int, str, str, str]
_SCHEMA = {"chrom": pl.String, "pos": pl.Int64, "ref": pl.String, "alt": pl.String, "id": pl.String}


class BgenReader:
    """Dosages of the second allele; a variant with more than two alleles reads as missing.

    Every variant is decoded whole, whatever the range of samples.
    """

    def __init__(self, path: Path, subset: UInt32[np.ndarray, " samples"] | None = None) -> None:
        self._path = path
        self._subset = subset
        self._file = _open(path)

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages of the samples ``start`` to ``stop`` - 1; see :class:`DosageReader`."""
        samples = slice(start, stop) if self._subset is None else self._subset[start:stop]
        dosages = np.empty((len(indices), stop - start), np.float32)
        try:
            for row, index in enumerate(indices):
                dosages[row] = _dosages(self._file[int(index)])[samples]
        except _ERRORS as error:
            raise _unreadable(self._path, error) from None
        return dosages


def _dosages(variant: Any) -> Float32[np.ndarray, " samples"]:
    if len(variant.alleles) != _DIPLOID:
        return np.full(variant.n_samples, MISSING, np.float32)
    dosages, ploidy = variant.alt_dosage, variant.ploidy
    if (ploidy != _DIPLOID).any():
        dosages = dosages * np.float32(_DIPLOID) / np.maximum(ploidy, 1)
    return np.where(np.isnan(dosages), MISSING, dosages).astype(np.float32)


def open_bgen(path: Path, *, with_ids: bool = False) -> Genotypes:
    """Open a BGEN file, perhaps with identifiers; ``PATH.bgi`` and a .sample beside it are used if there.

    Without an index the file is walked through once for its variants (and again by every process that reads
    it), which takes about 10 microseconds each and a seek on disk.

    Raises:
        DataError: The file is no BGEN, truncated or empty, its index or samples do not fit, or the samples
            have no names.
    """
    file = _open(path)
    try:
        rows, end = _indexed(path, file) if _index_path(path).is_file() else _walked(path, file)
        table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    except _ERRORS as error:
        raise _unreadable(path, error) from None
    if not rows:
        raise DataError("empty genotype file", where=path, expected="variants and samples")
    if end > path.stat().st_size:
        raise _unreadable(path, f"{path.stat().st_size} bytes where the last variant ends at {end}")
    table = table if with_ids else table.drop("id")
    sample_path = _sample_path(path, file.header.has_sample_ids)
    sample_ids, is_male = _read_samples(sample_path) if sample_path else (_own_names(path, file), None)
    if len(sample_ids) != file.header.nsamples:
        found = f"{len(sample_ids)} samples"
        expected = f"{file.header.nsamples}, as in {path.name}"
        raise DataError("counts do not fit", where=sample_path, found=found, expected=expected)
    part = Part(
        paths=(path, *([sample_path] if sample_path else [])),
        opener=_reader,
        num_variants=table.height,
        num_samples=len(sample_ids),
    )
    variants = per_allele(table.with_columns(plain_chromosomes(table["chrom"])))
    is_male = np.zeros(len(sample_ids), bool) if is_male is None else is_male
    return Genotypes((part,), variants, sample_ids, is_male, None)


def _reader(part: Part) -> BgenReader:
    return BgenReader(part.paths[0], part.subset)


def _check_header(path: Path) -> None:
    """Refuse a header whose sizes do not fit the file: the reader would make room for what they say.

    Layout: https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html, little-endian numbers of 4 bytes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(_HEADER.size)
        if len(start) < _HEADER.size:
            raise _unreadable(path, f"{size} bytes")
        offset, length, num_variants, num_samples, magic = _HEADER.unpack(start)
        file.seek(min(length, size))
        flags = int.from_bytes(file.read(4), "little")
    if magic not in _MAGIC or not _LEAST_HEADER <= length <= offset <= size - 4:
        raise _unreadable(path, f"a header of {length:,} bytes, variants from byte {offset:,} on")
    named = _BYTES_PER_NAME * num_samples if flags >> 31 else 0
    if num_variants * _BYTES_PER_VARIANT > size or named > offset or num_samples > _MOST_TIMES * size:
        raise _unreadable(path, f"{num_variants:,} variants of {num_samples:,} samples in {size:,} bytes")


def _open(path: Path) -> Any:
    import bgen

    try:
        _check_header(path)
        return bgen.BgenReader(str(path))
    except _ERRORS as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: object) -> DataError:
    remedy = "the file is truncated or no BGEN: copy or make it again"
    return DataError("unreadable genotype file", where=path, found=error, remedy=remedy)


def _index_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.bgi")


def _own_names(path: Path, file: Any) -> list[str]:
    try:
        return list(file.samples)
    except _ERRORS as error:  # no UTF-8
        raise _unreadable(path, error) from None


def _indexed(path: Path, file: Any) -> tuple[list[_Row], int]:
    """Chromosome, position, REF and ALT of every variant, and the byte after the last."""
    with closing(sqlite3.connect(f"file:{_index_path(path)}?mode=ro", uri=True)) as index:
        found = index.execute(_INDEX_QUERY).fetchall()
    if len(found) != file.header.nvariants:
        raise DataError(
            "counts do not fit",
            where=_index_path(path),
            found=f"{len(found)} variants",
            expected=f"{file.header.nvariants}, as in {path.name}",
            remedy="make the index again (bgenix -index -clobber)",
        )
    # The index names two alleles only.
    rows = [
        (chrom, pos, one, two if number == _DIPLOID else ",".join(file[row].alleles[1:]), name)
        for row, (chrom, pos, one, two, number, name) in enumerate(found)
    ]
    return rows, file[len(rows) - 1].next_variant_offset if rows else 0


def _walked(path: Path, file: Any) -> tuple[list[_Row], int]:
    rows, end = [], 0
    for item in track(file, f"Reading {path.name}", file.header.nvariants):
        rows.append((item.chrom, item.pos, item.alleles[0], ",".join(item.alleles[1:]), item.rsid))
        end = item.next_variant_offset
    return rows, end


def _sample_path(path: Path, has_names: bool) -> Path | None:
    """The .sample of the same name; for a BGEN without names of its own, else the only one in the folder."""
    own = path.with_suffix(".sample")
    if own.is_file():
        return own
    if has_names:
        return None
    others = sorted(path.parent.glob("*.sample"))
    if len(others) == 1:
        return others[0]
    raise DataError(
        "samples without names",
        where=path,
        found=f"{len(others)} .sample files beside it",
        expected=own.name,
        remedy="put the .sample file beside the BGEN under the same name",
    )


def _read_samples(path: Path) -> tuple[list[str], Bool[np.ndarray, " samples"]]:
    """Names and recorded sex from a .sample file (https://www.cog-genomics.org/plink/2.0/formats#sample).

    Names are in ``ID_2``, else ``IID`` or the like, such as QCTOOL's ``ID``, else in the first column; the
    case of columns' names does not matter. The second line tells types.
    """
    rows = [
        split_line(line, " ")
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if line.strip()
    ]
    head, people = (rows[0] if rows else []), rows[_SAMPLE_HEADER_LINES:]
    if not people or any(len(row) != len(head) for row in people):
        uneven = next((row for row in people if len(row) != len(head)), None)
        found = f"columns {' '.join(head[:4]) or 'nothing'}"
        found += f" above {len(uneven)} values" if uneven else f" and {len(rows)} lines"
        expected = "a line of names such as ID_1 ID_2 missing sex, one of types, and a line per sample"
        raise DataError("not a .sample file", where=path, found=found, expected=expected)
    columns = [name.lower() for name in head]
    name = columns.index(next((name for name in ("id_2", *by_rank(columns)) if name in columns), columns[0]))
    sex = columns.index("sex") if "sex" in columns else None
    is_male = [sex is not None and row[sex] in _MALE for row in people]
    return [row[name] for row in people], np.array(is_male)
