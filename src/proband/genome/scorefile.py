"""PGS Catalog scoring files, the author's and harmonised, formats 1 and 2, and own files of the same columns.

Format: https://www.pgscatalog.org/downloads/#scoring_files (doi:10.1038/s41588-021-00783-5); plain or gzip,
separated by tabs, commas or spaces, with or without the header lines that begin with ``#``. In a harmonised
file ``hm_chr`` and ``hm_pos`` always win; where they are empty the row has no position.

Each row becomes what it adds to the score at 0, 1 and 2 effect alleles (``at_0, at_1, at_2``): additive
(0, w, 2w), dominant (0, w, w), recessive (0, 0, w), or the file's three dosage weights.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from proband.core.errors import DataError
from proband.core.schema import PolarsType
from proband.genome.alleles import NO_ALLELE, NO_SITE, allele_codes, is_nucleotides, row_sites
from proband.genome.builds import build_name

_SUFFIXES = tuple(f".{kind}{packed}" for kind in ("txt", "tsv", "csv") for packed in ("", ".gz"))
_DOSAGE_WEIGHTS = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
_COMPLEX = ("is_haplotype", "is_diplotype", "is_interaction")
_FLAGS = (*_COMPLEX, "is_dominant", "is_recessive")
_IDS = ("hm_rsID", "rsID", "variant_id")
_NO_VALUE = ["", "NA", "None", "."]
_GZIP = b"\x1f\x8b"
_TYPES: dict[str, PolarsType] = {"hm_pos": pl.Int64, "chr_position": pl.Int64, "effect_weight": pl.Float64}
# Names of format 1 beside those of format 2.
_OLD_COLUMNS = {"reference_allele": "other_allele"}
_OLD_FIELDS = {
    "original_genome_build": "genome_build",
    "reported_trait": "trait_reported",
    "mapped_trait(s)_(efo_label)": "trait_mapped",
    "mapped_trait(s)_(efo_id)": "trait_efo",
    "number_of_variants": "variants_number",
}


@dataclass(frozen=True)
class Rows:
    """Rows of a score, as numbers.

    Attributes:
        sites: Chromosome and position, of :func:`row_sites`; ``NO_SITE`` without position.
        effect: Code of the effect allele, of :func:`allele_codes`.
        other: Code of the other allele, ``NO_ALLELE`` where not given.
        at: What the row adds at 0, 1 and 2 effect alleles.
        is_scorable: One variant's nucleotide alleles: no haplotype, diplotype, interaction or HLA allele.
    """

    sites: Int64[np.ndarray, " rows"]
    effect: Int64[np.ndarray, " rows"]
    other: Int64[np.ndarray, " rows"]
    at: Float64[np.ndarray, "3 rows"]
    is_scorable: Bool[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.sites)


@dataclass(frozen=True)
class Scorefile:
    """One scoring file.

    Attributes:
        path: Where it was read.
        pgs_id: Its identifier; the file's name where the header has none.
        metadata: Header fields, by their names of format 2, to text.
        build: GRCh37 or GRCh38 of the positions used, None if the file does not tell.
        rows: Its rows.
        ids: The rows' identifiers (null where empty), where they were asked for.
    """

    path: Path
    pgs_id: str
    metadata: dict[str, str]
    build: str | None
    rows: Rows
    ids: pl.Series | None = None


@dataclass(frozen=True)
class _Text:
    """A file, where its table begins, and what its columns are called."""

    path: Path
    num_header: int
    separator: str
    columns: list[str]

    def read(self, names: list[str], types: dict[str, PolarsType], most: int | None = None) -> pl.DataFrame:
        """The columns called ``names``, null where empty; every column that has no type as text."""
        at = sorted(self.columns.index(name) for name in names)
        return pl.read_csv(
            self.path,  # plain or gzip, by its first bytes
            separator=self.separator,
            skip_lines=self.num_header + 1,
            has_header=False,
            columns=at,
            new_columns=[self.columns[n] for n in at],
            schema_overrides={self.columns[n]: types.get(self.columns[n], pl.String) for n in at},
            infer_schema=False,
            quote_char='"' if self.separator == "," else None,
            null_values=_NO_VALUE,
            n_rows=most,
        )


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


def read_scorefile(path: Path, *, by_id: bool = False) -> Scorefile:
    """Read one scoring file.

    Args:
        path: The file.
        by_id: Read the variants' identifiers, in place of positions that the file has or lacks.

    Raises:
        DataError: The file is unreadable, has no positions, no effect allele or no weights, or a weight is
            no finite number.
    """
    header, text = _open(path)
    metadata = dict(_field(line) for line in header if "=" in line and not line.startswith("##"))
    is_harmonised = {"hm_chr", "hm_pos"} <= set(text.columns)
    _check_columns(text, is_harmonised, by_id)
    place = ("hm_chr", "hm_pos") if is_harmonised else ("chr_name", "chr_position")
    frame = _read_rows(text, () if by_id else place)
    if frame.is_empty():
        raise _empty(path)
    return Scorefile(
        path=path,
        pgs_id=metadata.get("pgs_id") or path.name.split(".")[0],
        metadata=metadata,
        build=build_name(metadata.get("HmPOS_build") if is_harmonised else metadata.get("genome_build")),
        rows=_to_rows(frame, text, None if by_id else place),
        ids=next((frame[name] for name in _IDS if by_id and name in frame.columns), None),
    )


def read_sites(path: Path, most: int) -> list[Int64[np.ndarray, " rows"]]:
    """Sites of a file's first rows: those used, and of a harmonised file those in its author's build.

    Args:
        path: The file.
        most: Rows read.
    """
    _, text = _open(path)
    found = []
    for chrom, pos in (("hm_chr", "hm_pos"), ("chr_name", "chr_position")):
        if {chrom, pos} <= set(text.columns):
            frame = text.read([chrom, pos], {}, most)
            found.append(row_sites(frame[chrom], frame[pos].cast(pl.Int64, strict=False)))
    return found


def _unreadable(path: Path, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "the file is truncated or no scoring file: download it again"
    return DataError("unreadable scoring file", where=path, found=found, remedy=remedy)


def _empty(path: Path) -> DataError:
    return DataError("scoring file without rows", where=path, remedy="download it again")


def _open(path: Path) -> tuple[list[str], _Text]:
    """The lines before the column names, and the table below them."""
    header: list[str] = []
    try:
        with open(path, "rb") as raw:
            is_packed = raw.read(len(_GZIP)) == _GZIP or path.name.endswith(".gz")
        with (gzip.open if is_packed else open)(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            for line in lines:
                if not line.startswith("#"):
                    separator = next((mark for mark in "\t, " if mark in line), "\t")
                    names = [name.strip().strip('"') for name in line.rstrip("\r\n").split(separator)]
                    columns = [_OLD_COLUMNS.get(name, name) for name in names]
                    return header, _Text(path, len(header), separator, columns)
                header.append(line.rstrip("\r\n"))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(path, error) from None
    raise _empty(path)


def _field(line: str) -> tuple[str, str]:
    """A header field by its name of format 2; format 1 writes ``# PGS ID = PGS000001``."""
    name, _, text = line.lstrip("#").partition("=")
    name = name.strip()
    if " " in name or line.startswith("# "):
        name = name.lower().replace(" ", "_")
    return _OLD_FIELDS.get(name, name), text.strip()


def _check_columns(text: _Text, is_harmonised: bool, by_id: bool) -> None:
    columns = set(text.columns)
    found = "columns " + " ".join(text.columns[:12])
    if "effect_allele" not in columns:
        expected = "a PGS Catalog scoring file with effect_allele"
        raise DataError("no effect_allele column", where=text.path, found=found, expected=expected)
    if len(columns) < len(text.columns):
        raise DataError("column names come more than once", where=text.path, found=found)
    if by_id and not columns & set(_IDS):
        raise DataError(
            "scoring file without identifiers", where=text.path, found=found, expected=" or ".join(_IDS)
        )
    if not by_id and not is_harmonised and not {"chr_name", "chr_position"} <= columns:
        raise DataError(
            "scoring file without positions",
            where=text.path,
            found=found,
            expected="hm_chr and hm_pos, or chr_name and chr_position",
            remedy="use the harmonised file of the PGS Catalog (..._hmPOS_GRCh38.txt.gz), or --match-by id",
        )
    if "effect_weight" not in columns and not set(_DOSAGE_WEIGHTS) <= columns:
        expected = f"effect_weight, or {', '.join(_DOSAGE_WEIGHTS)}"
        raise DataError("no weights", where=text.path, found=found, expected=expected)


def _read_rows(text: _Text, place: tuple[str, ...]) -> pl.DataFrame:
    """The columns that this file needs, positions and weights as numbers where all of them are."""
    wanted = {*place, *_FLAGS, "effect_allele", "other_allele", "effect_weight"} & set(text.columns)
    wanted |= set() if place else {next(name for name in _IDS if name in text.columns)}
    if "other_allele" not in wanted:
        wanted |= {"hm_inferOtherAllele"} & set(text.columns)
    if "effect_weight" not in wanted:
        wanted |= set(_DOSAGE_WEIGHTS)
    try:
        frame = _read_typed(text, sorted(wanted))
        if "other_allele" in wanted and frame["other_allele"].null_count():
            frame = _with_columns_of(frame, text, {"hm_inferOtherAllele"})
        if "effect_weight" in wanted and frame["effect_weight"].null_count() == frame.height:
            frame = _with_columns_of(frame, text, set(_DOSAGE_WEIGHTS))
    except pl.exceptions.NoDataError:
        raise _empty(text.path) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(text.path, error) from None
    return frame


def _read_typed(text: _Text, names: list[str]) -> pl.DataFrame:
    try:
        return text.read(names, _TYPES)
    except pl.exceptions.ComputeError:  # some number is none: read it as text and look closer
        return text.read(names, {})


def _with_columns_of(frame: pl.DataFrame, text: _Text, names: set[str]) -> pl.DataFrame:
    """``frame`` with further columns, if the file has all of them."""
    return frame.hstack(text.read(sorted(names), {})) if names <= set(text.columns) else frame


def _to_rows(frame: pl.DataFrame, text: _Text, place: tuple[str, str] | None) -> Rows:
    effect = allele_codes(frame["effect_allele"])
    flags = {name: _flag(frame, name) for name in _FLAGS if name in frame.columns}
    never = np.zeros(frame.height, bool)
    dominant, recessive = flags.get("is_dominant", never), flags.get("is_recessive", never)
    is_scorable = is_nucleotides(effect) & ~(dominant & recessive)
    for name in flags.keys() & set(_COMPLEX):
        is_scorable &= ~flags[name]
    sites = np.full(frame.height, NO_SITE, np.int64)
    if place:
        chrom, pos = frame[place[0]], frame[place[1]]
        sites = row_sites(chrom, pos.cast(pl.Int64, strict=False) if pos.dtype == pl.String else pos)
    at = _weights_by_count(frame, text, dominant, recessive)
    return Rows(sites, effect, _other_alleles(frame), at, is_scorable)


def _flag(frame: pl.DataFrame, name: str) -> Bool[np.ndarray, " rows"]:
    return frame[name].str.to_lowercase().is_in(["true", "1"]).fill_null(False).to_numpy()


def _other_alleles(frame: pl.DataFrame) -> Int64[np.ndarray, " rows"]:
    """Codes of the other allele, the inferred one where none is given."""
    named = [name for name in ("other_allele", "hm_inferOtherAllele") if name in frame.columns]
    if not named:
        return np.full(frame.height, NO_ALLELE)
    other = frame.select(pl.coalesce(named)).to_series() if len(named) > 1 else frame[named[0]]
    codes = allele_codes(other)
    odd = np.flatnonzero((codes != NO_ALLELE) & ~is_nucleotides(codes))
    if len(odd):
        is_list = other.gather(odd).str.contains(r"[/,]").to_numpy()
        codes[odd[is_list]] = NO_ALLELE  # a list such as "A/T" names no one allele
    return codes


def _weights_by_count(
    frame: pl.DataFrame,
    text: _Text,
    dominant: Bool[np.ndarray, " rows"],
    recessive: Bool[np.ndarray, " rows"],
) -> Float64[np.ndarray, "3 rows"]:
    dosages = [frame[name] for name in _DOSAGE_WEIGHTS if name in frame.columns]
    has_dosages = len(dosages) == len(_DOSAGE_WEIGHTS) and any(
        series.null_count() < len(series) for series in dosages
    )
    # Where a file has both, the three weights are a second coding of the same row; effect_weight is agreed.
    if has_dosages and ("effect_weight" not in frame.columns or not frame["effect_weight"].count()):
        return np.stack([_finite(series, text) for series in dosages])
    weight = _finite(frame["effect_weight"], text)
    at = np.stack([np.zeros_like(weight), weight, 2 * weight])
    at[1, recessive] = 0
    at[2, dominant | recessive] /= 2
    return at


def _finite(column: pl.Series, text: _Text) -> Float64[np.ndarray, " rows"]:
    values = column.str.strip_chars().cast(pl.Float64, strict=False) if column.dtype == pl.String else column
    numbers = values.to_numpy()
    is_finite = np.isfinite(numbers)  # a null is NaN here
    if is_finite.all():
        return numbers
    row = int(np.argmin(is_finite))
    given = text.read([column.name], {})[column.name][row]
    raise DataError(
        "weight is no finite number",
        where=text.path,
        found=f"{'nothing' if given is None else repr(given)} in {column.name} of row {row + 1}",
        remedy="mend the row or download the file again",
    )
