"""PGS Catalog scoring files, the author's and harmonised, formats 1 and 2, and own files of the same columns.

Format: https://www.pgscatalog.org/downloads/#scoring_files (doi:10.1038/s41588-021-00783-5); plain or gzip,
separated by tabs, commas or blanks, with or without the header lines that begin with ``#``. In a harmonised
file ``hm_chr`` and ``hm_pos`` always win; where they are empty the row has no position. Weights that
``#weight_type`` calls odds or hazard ratios are read as their logarithms.

Each row becomes what it adds to the score at 0, 1 and 2 effect alleles (``at_0, at_1, at_2``): additive
(0, w, 2w), dominant (0, w, w), recessive (0, 0, w), or the file's three dosage weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from proband.core.errors import DataError, first_names
from proband.core.files.tables import PolarsType
from proband.core.running.progress import say
from proband.core.text.texttable import TextTable
from proband.core.text.textvalues import whole_numbers
from proband.genome.genotypes.alleles import row_sites
from proband.genome.genotypes.builds import build_name
from proband.genome.names import refuse_subject
from proband.genome.scorefiles.rows import DOSAGE_WEIGHTS, EFFECT_TYPE, FLAGS, Rows, to_rows
from proband.genome.scorefiles.text import empty, header_fields, open_score_text, unreadable
from proband.genome.scorefiles.weighttype import ratio_of

_SUFFIXES = tuple(f".{kind}{packed}" for kind in ("txt", "tsv", "csv") for packed in ("", ".gz", ".bgz"))
ID_COLUMNS = ("hm_rsID", "rsID", "variant_id")
"""Columns of identifiers, the first that a file has is taken."""

_WEIGHT_TYPE = "weight_type"
_ACCESSION = "accession"
_TYPES: dict[str, PolarsType] = {"hm_pos": pl.Int64, "chr_position": pl.Int64, "effect_weight": pl.Float64}


@dataclass(frozen=True)
class Scorefile:
    """One scoring file.

    Attributes:
        path: Where it was read.
        pgs_id: Its identifier; the file's name without its ending where the header has none.
        metadata: Header fields, by their names of format 2, to text.
        build: Name of the genome build of the positions used, None if the file does not tell.
        rows: Its rows.
        num_blank: Lines without any value, which are no rows.
        log_of: The kind of ratio whose logarithm the weights are; None where they are taken as they stand.
        ids: The rows' identifiers (null where empty), where they were asked for.
    """

    path: Path
    pgs_id: str
    metadata: dict[str, str]
    build: str | None
    rows: Rows
    num_blank: int = 0
    log_of: str | None = None
    ids: pl.Series | None = None


def list_scorefiles(path: Path) -> list[Path]:
    """Scoring files of a folder by name, or the one file named; one line names what else the folder holds.

    Names that begin with a dot, such as ``._PGS1.txt`` of macOS, are passed over.

    Raises:
        DataError: There are none.
    """
    if path.is_file():
        return [path]
    items = sorted(item for item in path.glob("*") if not item.name.startswith(".")) if path.is_dir() else []
    wanted = {item for item in items if item.is_file() and _suffix(item.name)}
    files = sorted(wanted)
    others = [item.name + "/" * item.is_dir() for item in items if item not in wanted]
    if not files:
        found = f"{first_names(others)} only" if others else "none" if path.exists() else "no such folder"
        remedy = "download scoring files from the PGS Catalog"
        raise DataError(
            "no scoring files", where=path, found=found, expected=", ".join(_SUFFIXES), remedy=remedy
        )
    if others:
        say(
            f"genome: {len(others)} of {len(items)} items of {path.name} are not read: {first_names(others)}"
            f" (scoring files end in {', '.join(_SUFFIXES)})"
        )
    return files


def _suffix(name: str) -> str:
    """The ending of a scoring file, as it is written in its name; empty for another file."""
    endings = [suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)]
    return name[-max(map(len, endings)) :] if endings else ""


def read_scorefile(path: Path, *, by_id: bool = False) -> Scorefile:
    """Read one scoring file.

    Args:
        path: The file.
        by_id: Read the variants' identifiers, in place of positions that the file has or lacks.

    Raises:
        DataError: The file is unreadable, has no positions, no effect allele or no weights, holds several
            scores or weights of mixed kinds, or a value is not understood.
    """
    header, text = open_score_text(path)
    metadata = header_fields(header)
    pgs_id = metadata.get("pgs_id") or name_of(path)
    refuse_subject(pgs_id, path, "write #pgs_id=NAME into the file's first line, or rename the file")
    is_harmonised = {"hm_chr", "hm_pos"} <= set(text.columns)
    _check_columns(text, is_harmonised, by_id)
    place = ("hm_chr", "hm_pos") if is_harmonised else ("chr_name", "chr_position")
    frame = _read_rows(text, () if by_id else place)
    if frame.is_empty():
        raise empty(path)
    _check_one_score(frame, path)
    column = frame[_WEIGHT_TYPE] if _WEIGHT_TYPE in frame.columns else None
    log_of = ratio_of(metadata.get(_WEIGHT_TYPE), column, path)
    return Scorefile(
        path=path,
        pgs_id=pgs_id,
        metadata=metadata,
        build=build_name(metadata.get("HmPOS_build") if is_harmonised else metadata.get("genome_build")),
        rows=to_rows(frame, text, None if by_id else place, log_of),
        num_blank=text.num_blank,
        log_of=log_of,
        ids=next((frame[name] for name in ID_COLUMNS if by_id and name in frame.columns), None),
    )


def name_of(path: Path) -> str:
    """A file's name without the ending of a scoring file; further dots are part of the name.

    >>> name_of(Path("T2D_a1_b0.5_phi1e-02.txt.gz"))
    'T2D_a1_b0.5_phi1e-02'
    """
    return path.name.removesuffix(_suffix(path.name))


def read_sites(path: Path, most: int) -> list[Int64[np.ndarray, " rows"]]:
    """Sites of a file's first rows: those used, and of a harmonised file those in its author's build.

    Args:
        path: The file.
        most: Rows read.
    """
    _, text = open_score_text(path)
    found = []
    for chrom, pos in (("hm_chr", "hm_pos"), ("chr_name", "chr_position")):
        if {chrom, pos} <= set(text.columns):
            frame = text.read([chrom, pos], {}, most)
            found.append(row_sites(frame[chrom], whole_numbers(frame[pos])))
    return found


def odd_position(path: Path, most: int) -> str | None:
    """The first position of a file's first rows that is given and no whole number; None where there is none.

    Args:
        path: The file.
        most: Rows read.
    """
    _, text = open_score_text(path)
    column = "hm_pos" if {"hm_chr", "hm_pos"} <= set(text.columns) else "chr_position"
    given = text.read([column], {}, most)[column]
    odd = given.filter(whole_numbers(given).is_null() & given.is_not_null())
    return odd[0] if len(odd) else None


def _check_columns(text: TextTable, is_harmonised: bool, by_id: bool) -> None:
    columns = set(text.columns)
    found = "columns " + " ".join(text.columns[:12])
    if "effect_allele" not in columns:
        expected = "a PGS Catalog scoring file with effect_allele"
        raise DataError("no effect_allele column", where=text.path, found=found, expected=expected)
    if by_id and not columns & set(ID_COLUMNS):
        raise DataError(
            "scoring file without identifiers", where=text.path, found=found, expected=" or ".join(ID_COLUMNS)
        )
    if not by_id and not is_harmonised and not {"chr_name", "chr_position"} <= columns:
        raise DataError(
            "scoring file without positions",
            where=text.path,
            found=found,
            expected="hm_chr and hm_pos, or chr_name and chr_position",
            remedy="use the harmonised file of the PGS Catalog (..._hmPOS_GRCh38.txt.gz), or --match-by id",
        )
    if "effect_weight" not in columns and not set(DOSAGE_WEIGHTS) <= columns:
        expected = f"effect_weight, or {', '.join(DOSAGE_WEIGHTS)}"
        remedy = "call the column of weights effect_weight; of odds ratios, below a line #weight_type=OR"
        raise DataError("no weights", where=text.path, found=found, expected=expected, remedy=remedy)


def _check_one_score(frame: pl.DataFrame, path: Path) -> None:
    """Refuse a file of pygscatalog that holds the rows of several scores."""
    if _ACCESSION not in frame.columns:
        return
    names = frame[_ACCESSION].drop_nulls().unique(maintain_order=True).to_list()
    if len(names) > 1:
        raise DataError(
            "several scores in one file",
            where=path,
            found=f"{_ACCESSION} {first_names(names)}",
            expected="one score a file",
            remedy=f"split the file by {_ACCESSION}",
        )


def _read_rows(text: TextTable, place: tuple[str, ...]) -> pl.DataFrame:
    """The columns that this file needs, positions and weights as numbers where all of them are."""
    told = {EFFECT_TYPE, _WEIGHT_TYPE, _ACCESSION, "effect_allele", "other_allele", "effect_weight"}
    wanted = {*place, *FLAGS, *told} & set(text.columns)
    wanted |= set() if place else {next(name for name in ID_COLUMNS if name in text.columns)}
    if "other_allele" not in wanted:
        wanted |= {"hm_inferOtherAllele"} & set(text.columns)
    if "effect_weight" not in wanted:
        wanted |= set(DOSAGE_WEIGHTS)
    try:
        frame = _read_typed(text, sorted(wanted))
        if "other_allele" in wanted and frame["other_allele"].null_count():
            frame = _with_columns_of(frame, text, {"hm_inferOtherAllele"})
        if "effect_weight" in wanted and frame["effect_weight"].null_count() == frame.height:
            frame = _with_columns_of(frame, text, set(DOSAGE_WEIGHTS))
    except pl.exceptions.NoDataError:
        raise empty(text.path) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(text.path, error) from None
    return frame


def _read_typed(text: TextTable, names: list[str]) -> pl.DataFrame:
    try:
        return text.read(names, _TYPES)
    except pl.exceptions.ComputeError:  # some number is none: read it as text and look closer
        return text.read(names, {})


def _with_columns_of(frame: pl.DataFrame, text: TextTable, names: set[str]) -> pl.DataFrame:
    """``frame`` with further columns, if the file has all of them."""
    return frame.hstack(text.read(sorted(names), {})) if names <= set(text.columns) else frame
