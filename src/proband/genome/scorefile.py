"""PGS Catalog scoring files, the author's and harmonised (format 2.0), plain or gzip.

Format: https://www.pgscatalog.org/downloads/#scoring_files (doi:10.1038/s41588-021-00783-5). In a harmonised
file ``hm_chr`` and ``hm_pos`` always win; where they are empty the row has no position.

Each row becomes what it adds to the score at 0, 1 and 2 effect alleles (``at_0, at_1, at_2``): additive
(0, w, 2w), dominant (0, w, w), recessive (0, 0, w), or the file's three dosage weights.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.genome.builds import build_name, plain_chromosomes

_SUFFIXES = (".txt", ".txt.gz", ".tsv", ".tsv.gz")
_DOSAGE_WEIGHTS = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
_COMPLEX = ("is_haplotype", "is_diplotype", "is_interaction")
_FLAGS = (*_COMPLEX, "is_dominant", "is_recessive")
_TEXT = (
    "chr_name",
    "chr_position",
    "hm_chr",
    "hm_pos",
    "effect_allele",
    "other_allele",
    "hm_inferOtherAllele",
)
_READ = (*_TEXT, *_FLAGS, "effect_weight", *_DOSAGE_WEIGHTS)
_NO_VALUE = ["", "NA", "None", "."]


@dataclass(frozen=True)
class Scorefile:
    """One scoring file.

    Attributes:
        path: Where it was read.
        pgs_id: Its identifier; the file's name where the header has none.
        metadata: Header fields, name to text.
        build: GRCh37 or GRCh38 of the positions used, None if the file does not tell.
        rows: ``chrom`` (null without position), ``pos`` (Int64, null), ``effect_allele`` (null),
            ``other_allele`` (null where not given), ``at_0, at_1, at_2`` (Float64), ``is_scorable``.
    """

    path: Path
    pgs_id: str
    metadata: dict[str, str]
    build: str | None
    rows: pl.DataFrame


def list_scorefiles(path: Path) -> list[Path]:
    """Scoring files of a folder by name, or the one file named.

    Raises:
        DataError: There are none.
    """
    if path.is_file():
        return [path]
    files = sorted(file for file in path.glob("*") if file.name.endswith(_SUFFIXES)) if path.is_dir() else []
    if not files:
        found = "no such folder" if not path.exists() else "none"
        remedy = "download scoring files from the PGS Catalog"
        raise DataError(
            "no scoring files", where=path, found=found, expected=", ".join(_SUFFIXES), remedy=remedy
        )
    return files


def read_scorefile(path: Path) -> Scorefile:
    """Read one scoring file.

    Raises:
        DataError: The file is unreadable, has no positions, no effect allele or no weights, or a weight is
            no finite number.
    """
    header, columns = _read_header(path)
    metadata = dict(line[1:].split("=", 1) for line in header if "=" in line and not line.startswith("##"))
    metadata = {name.strip(): text.strip() for name, text in metadata.items()}
    is_harmonised = {"hm_chr", "hm_pos"} <= set(columns)
    _check_columns(path, columns, is_harmonised)
    frame = _read_rows(path, columns, len(header))
    if frame.is_empty():
        raise DataError("scoring file without rows", where=path, remedy="download it again")
    chromosome, position = ("hm_chr", "hm_pos") if is_harmonised else ("chr_name", "chr_position")
    return Scorefile(
        path=path,
        pgs_id=metadata.get("pgs_id") or path.name.split(".")[0],
        metadata=metadata,
        build=build_name(metadata.get("HmPOS_build") if is_harmonised else metadata.get("genome_build")),
        rows=_to_rows(_with_weights(frame, path), chromosome, position),
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "the file is truncated or no scoring file: download it again"
    return DataError("unreadable scoring file", where=path, found=found, remedy=remedy)


def _read_header(path: Path) -> tuple[list[str], list[str]]:
    """The lines before the column names, and the column names."""
    lines: list[str] = []
    try:
        with (gzip.open if path.name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
            for line in file:
                if not line.startswith("#"):
                    return lines, line.rstrip("\r\n").split("\t")
                lines.append(line.rstrip("\r\n"))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(path, error) from None
    raise DataError("scoring file without rows", where=path, remedy="download it again")


def _check_columns(path: Path, columns: list[str], is_harmonised: bool) -> None:
    found = "columns " + " ".join(columns[:12])
    if "effect_allele" not in columns:
        expected = "a PGS Catalog scoring file with effect_allele"
        raise DataError("no effect_allele column", where=path, found=found, expected=expected)
    if not is_harmonised and not {"chr_name", "chr_position"} <= set(columns):
        raise DataError(
            "scoring file without positions",
            where=path,
            found=found,
            expected="hm_chr and hm_pos, or chr_name and chr_position",
            remedy="use the harmonised file of the PGS Catalog (..._hmPOS_GRCh38.txt.gz)",
        )
    if "effect_weight" not in columns and not set(_DOSAGE_WEIGHTS) <= set(columns):
        expected = f"effect_weight, or {', '.join(_DOSAGE_WEIGHTS)}"
        raise DataError("no weights", where=path, found=found, expected=expected)


def _read_rows(path: Path, columns: list[str], num_header: int) -> pl.DataFrame:
    wanted = [name for name in columns if name in _READ]
    try:
        frame = pl.read_csv(
            path,
            separator="\t",
            skip_lines=num_header,
            columns=wanted,
            infer_schema=False,
            quote_char=None,
            null_values=_NO_VALUE,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from None
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in _READ if name not in wanted)


def _with_weights(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Turn the text of the weights used into finite numbers."""
    has_dosage_weights = any(frame[name].null_count() < frame.height for name in _DOSAGE_WEIGHTS)
    has_effect_weight = frame["effect_weight"].null_count() < frame.height or not has_dosage_weights
    names = ("effect_weight",) if has_effect_weight else _DOSAGE_WEIGHTS
    for name in names:
        values = frame[name].str.strip_chars().cast(pl.Float64, strict=False)
        bad = ~values.is_finite().fill_null(False)
        if bad.any():
            row = int(bad.arg_max() or 0)
            text = frame[name][row]
            found = f"{'nothing' if text is None else repr(text)} in {name} of row {row + 1}"
            remedy = "mend the row or download the file again"
            raise DataError("weight is no finite number", where=path, found=found, remedy=remedy)
        frame = frame.with_columns(values)
    if has_effect_weight:
        # The file's own three weights are a second coding of the same row; effect_weight is the one agreed.
        return frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _DOSAGE_WEIGHTS)
    return frame.with_columns(pl.lit(None, pl.Float64).alias("effect_weight"))


def _to_rows(frame: pl.DataFrame, chromosome: str, position: str) -> pl.DataFrame:
    flags = {name: pl.col(name).str.to_lowercase().is_in(["true", "1"]).fill_null(False) for name in _FLAGS}
    frame = frame.with_columns(
        plain_chromosomes(frame[chromosome]).alias("chrom"),
        pl.col(position).cast(pl.Int64, strict=False).alias("pos"),
        pl.col("effect_allele").str.to_uppercase(),
        pl.coalesce("other_allele", "hm_inferOtherAllele").str.to_uppercase().alias("other_allele"),
        **flags,
    )
    weight, dominant, recessive = pl.col("effect_weight"), pl.col("is_dominant"), pl.col("is_recessive")
    at_2 = pl.when(dominant | recessive).then(weight).otherwise(2 * weight)
    is_nucleotides = pl.col("effect_allele").str.contains(r"^[ACGT]+$").fill_null(False)
    return frame.select(
        pl.when(pl.col("pos").is_not_null()).then("chrom").alias("chrom"),
        pl.when(pl.col("chrom").is_not_null()).then("pos").alias("pos"),
        "effect_allele",
        # A list such as "A/T" names no one allele.
        pl.when(~pl.col("other_allele").str.contains(r"[/,]")).then("other_allele").alias("other_allele"),
        at_0=pl.coalesce("dosage_0_weight", 0.0),
        at_1=pl.coalesce("dosage_1_weight", pl.when(recessive).then(0.0).otherwise(weight)),
        at_2=pl.coalesce("dosage_2_weight", at_2),
        is_scorable=is_nucleotides & ~pl.any_horizontal(*_COMPLEX) & ~(dominant & recessive),
    )
