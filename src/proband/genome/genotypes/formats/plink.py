"""PLINK 1 and 2 files: .pgen with .pvar and .psam, .bed with .bim and .fam."""

from __future__ import annotations

import collections
import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import polars as pl
import pyarrow as pa
from jaxtyping import Bool, UInt64

from proband.core.errors import DataError
from proband.core.text.texttable import TextTable, check_names, separator_of, split_line
from proband.core.text.textvalues import NO_VALUE, whole_numbers
from proband.genome.genotypes.builds import build_of_header, plain_chromosomes
from proband.genome.genotypes.dataset import Genotypes, Part
from proband.genome.genotypes.formats.pgen import PlinkReader
from proband.genome.genotypes.strands import per_allele

_MALE = ("1", "M", "m")
NO_FAMILY = "0"
"""FID of samples without one."""
_BED_MAGIC_BYTES = 3
_GENOTYPES_PER_BYTE = 4


def open_plink(path: Path, *, with_ids: bool = False) -> Genotypes:
    """Open a .pgen or .bed file with the two companions beside it, perhaps with the variants' identifiers.

    Raises:
        DataError: A companion is missing, something is unreadable, or the counts differ.
    """
    stem = str(path)[: -len(path.suffix)]
    if path.suffix == ".pgen":
        variants_path, samples_path = _companion(stem, ".pvar"), _companion(stem, ".psam")
    else:
        variants_path, samples_path = _companion(stem, ".bim"), _companion(stem, ".fam")
    rows, build = read_variants(variants_path, with_ids=with_ids)
    sample_ids, is_male = read_samples(samples_path)
    if path.suffix == ".bed":
        _check_bed_size(path, rows.height, len(sample_ids))
    part = Part(
        paths=(path, variants_path, samples_path),
        opener=_reader,
        num_variants=rows.height,
        num_samples=len(sample_ids),
        offsets=_allele_offsets(rows["alt"]),
    )
    part.open()  # told now, not hours later, if the files do not fit together
    return Genotypes((part,), per_allele(rows), sample_ids, is_male, build)


def _reader(part: Part) -> PlinkReader:
    return PlinkReader(part.paths[0], part.num_variants, part.num_samples, part.offsets, part.subset)


def _allele_offsets(alts: pl.Series) -> UInt64[np.ndarray, " offsets"] | None:
    """Running count of alleles before each variant; None if every variant has two."""
    num_alleles = alts.str.count_matches(",", literal=True).to_numpy() + 2
    if num_alleles.max(initial=2) == 2:
        return None
    return np.concatenate([[0], np.cumsum(num_alleles)]).astype(np.uint64)


def _companion(stem: str, suffix: str) -> Path:
    """The file of that ending, or packed as plink2 packs it (``.pvar.zst``)."""
    path = Path(stem + suffix)
    found = next((file for file in (path, Path(f"{path}.zst")) if file.is_file()), None)
    if found is None:
        remedy = "keep the three files of a PLINK data set side by side under one name"
        raise DataError("missing companion file", where=path, remedy=remedy)
    return found


def _check_bed_size(path: Path, num_variants: int, num_samples: int) -> None:
    expected = _BED_MAGIC_BYTES + num_variants * -(-num_samples // _GENOTYPES_PER_BYTE)
    if path.stat().st_size != expected:
        raise DataError(
            "counts do not fit",
            where=path,
            found=f"{path.stat().st_size} bytes",
            expected=f"{expected} bytes for {num_variants} variants of {num_samples} samples",
            remedy="the files belong to different data sets, or one is truncated: copy them again",
        )


def read_variants(path: Path, *, with_ids: bool = False) -> tuple[pl.DataFrame, str | None]:
    """Read a .pvar (or a .bim, which is a .pvar without header).

    Returns:
        ``chrom, pos, ref, alt`` (several ALT joined by commas), and ``id`` if asked for, in the file's order,
        and the genome build its header tells. A variant without chromosome or position is at ``0`` and 0,
        where nothing is matched.

    Raises:
        DataError: The file is unreadable, lacks a column or an allele, or holds a position that is no whole
            number.
    """
    header = _header_lines(path)
    named = bool(header) and header[-1].startswith("#CHROM")
    first = next(iter(_first_lines(path, len(header) + 1)[len(header) :]), "")
    separator = separator_of(header[-1] if named else first)
    names = split_line(header[-1].lstrip("#"), separator) if named else _headerless_names(path, first)
    wanted = ["CHROM", "POS", "REF", "ALT"]
    if not set(wanted) <= set(names):
        raise DataError("missing column", where=path, found=" ".join(names), expected=" ".join(wanted))
    check_names([name for name in names if name in wanted], path)
    wanted += ["ID"] if with_ids and "ID" in names else []
    rows = _read_columns(
        path, TextTable(path, len(header), separator, names, 0, _unreadable(path), ()), wanted
    )
    rows = rows.rename(str.lower)
    positions = whole_numbers(rows["pos"])
    is_wrong = positions.is_null() & rows["pos"].is_not_null() & ~rows["pos"].is_in(NO_VALUE)
    if is_wrong.any():
        line = int(is_wrong.arg_max() or 0)
        found, remedy = f"{rows['pos'][line]!r} on line {len(header) + 1 + line}", "make the file again"
        raise DataError("position is no integer", where=path, found=found, remedy=remedy)
    rows = rows.with_columns(plain_chromosomes(rows["chrom"].fill_null("0")), positions.fill_null(0))
    return rows.select("chrom", "pos", "ref", "alt", *wanted[4:] and ["id"]), build_of_header(header)


def _first_lines(path: Path, most: int) -> list[str]:
    with _open_text(path) as file:
        return [line for line, _ in zip(file, range(most), strict=False)]


def _header_lines(path: Path) -> list[str]:
    with _open_text(path) as file:
        return list(itertools.takewhile(lambda line: line.startswith("#"), file))


@contextlib.contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, unpacking .zst; damage in it is a DataError."""
    try:
        if path.suffix == ".zst":
            raw = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
            with io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as file:
                yield file
        else:
            with open(path, encoding="utf-8", errors="replace") as file:
                yield file
    except OSError as error:
        raise DataError("unreadable file", where=path, found=error, remedy="copy or make it again") from None


def _headerless_names(path: Path, first: str) -> list[str]:
    """Names of the columns of a .bim, by its first line."""
    width = len(split_line(first, separator_of(first))) if first else 0
    if width not in (5, 6):
        expected = "CHROM ID [CM] POS ALT REF in 5 or 6 columns"
        raise DataError("not a table of variants", where=path, found=f"{width} columns", expected=expected)
    return ["CHROM", "ID", *(["CM"] if width == 6 else []), "POS", "ALT", "REF"]


def _unreadable(path: Path) -> Callable[[object], DataError]:
    def error(found: object) -> DataError:
        text = str(found).splitlines()[0] if str(found) else "no rows"
        return DataError("unreadable table of variants", where=path, found=text, remedy="make it again")

    return error


def _read_columns(path: Path, table: TextTable, names: list[str]) -> pl.DataFrame:
    try:
        rows = table.read(names, {})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path)(error) from None
    if rows.is_empty():
        raise _unreadable(path)("no rows")
    if rows["REF"].null_count() or rows["ALT"].null_count():
        raise DataError("empty values", where=path, expected="alleles in every row")
    return rows


def read_samples(path: Path) -> tuple[list[str], Bool[np.ndarray, " samples"]]:
    """Read sample names (IID) and whether each is recorded as male from a .psam or .fam.

    Raises:
        DataError: There is no IID column, or a row lacks it.
    """
    names, rows = _sample_rows(path)
    name, sex = names.index("IID"), names.index("SEX") if "SEX" in names else None
    is_male = [sex is not None and len(row) > sex and row[sex] in _MALE for row in rows]
    return [row[name] for row in rows], np.array(is_male)


def read_family_ids(path: Path) -> dict[str, str]:
    """IID -> FID of a .psam or .fam; 0 in a .psam without that column, as PLINK 2 has it.

    Raises:
        DataError: As of :func:`read_samples`, or an IID comes twice.
    """
    names, rows = _sample_rows(path)
    name, family = names.index("IID"), names.index("FID") if "FID" in names else None
    found = {row[name]: NO_FAMILY if family is None else row[family] for row in rows}
    if len(found) < len(rows):
        seen = collections.Counter(row[name] for row in rows)
        twice = next(one for one, number in seen.items() if number > 1)
        expected = "each IID once: samples are told apart by it"
        raise DataError("a sample comes twice", where=path, found=f"IID {twice}", expected=expected)
    return found


def _sample_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, IID among them, and the rows of a .psam or .fam."""
    with _open_text(path) as file:
        rows = [split_line(line, " ") for line in file if line.strip() and not line.startswith("##")]
    names = ["FID", "IID", "PAT", "MAT", "SEX"]
    if rows and rows[0][0].startswith("#"):
        names = [name.lstrip("#") for name in rows.pop(0)]
    if "IID" not in names:
        raise DataError("missing column IID", where=path, found=" ".join(names), remedy="make the file again")
    least = 1 + max(names.index(name) for name in ("FID", "IID") if name in names)
    short = next((number for number, row in enumerate(rows) if len(row) < least), None)
    if short is not None or not rows:
        found = "no samples" if short is None else f"too few columns in row {short + 1} of the samples"
        raise DataError("not a table of samples", where=path, found=found, remedy="make the file again")
    return names, rows
