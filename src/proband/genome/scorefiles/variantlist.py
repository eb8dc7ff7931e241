"""Lists of variants: a table with the columns of a scoring file (weights are not read), or one name a line.

A name is an identifier such as rs7903146, of which the ALT allele is counted, or ``chrom:pos:other:effect``,
of which the last allele is counted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.text.texttable import TextTable
from proband.core.text.textvalues import whole_numbers
from proband.genome.genotypes.builds import build_name
from proband.genome.scorefiles.scorefile import ID_COLUMNS
from proband.genome.scorefiles.text import empty, header_fields, open_score_text, unreadable

_PLACE = r"^(?:chr)?([0-9XYMTxymt]+):(\d+):([ACGTacgt]+):([ACGTacgt]+)$"


@dataclass(frozen=True)
class VariantList:
    """The variants asked for.

    Attributes:
        path: The list.
        rows: Text columns ``name`` (each once), ``id``, ``chrom``, ``effect_allele``, ``other_allele`` and
            integers ``pos``, null where not given.
        build: Name of the genome build if the list tells, else None.
    """

    path: Path
    rows: pl.DataFrame
    build: str | None

    @property
    def needs_ids(self) -> bool:
        """Whether any variant is known by its identifier alone."""
        return bool(self.rows["pos"].null_count())


def read_variant_list(path: Path) -> VariantList:
    """Read a list of variants.

    Raises:
        DataError: It is unreadable or empty, neither a table with ``effect_allele`` nor one name a line, or
            names a variant twice.
    """
    header, text = open_score_text(path)
    try:
        rows = _rows(text)
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, error) from None
    if rows.is_empty():
        raise empty(path)
    if rows["name"].is_duplicated().any():
        twice = rows["name"].filter(rows["name"].is_duplicated())[0]
        raise DataError("a variant is listed twice", where=path, found=twice, expected="each once")
    fields = header_fields(header)
    return VariantList(path, rows, build_name(fields.get("HmPOS_build") or fields.get("genome_build")))


def _rows(text: TextTable) -> pl.DataFrame:
    if "effect_allele" in text.columns:
        return _table(text)
    if len(text.columns) == 1:
        return _names(dataclasses.replace(text, num_header=text.num_header - 1, columns=["name"]))
    found, expected = " ".join(text.columns[:6]), "one name a line, or columns with effect_allele"
    raise DataError("no list of variants", where=text.path, found=found, expected=expected)


def _names(text: TextTable) -> pl.DataFrame:
    names = text.read(["name"], {})["name"].drop_nulls()
    given = names.to_frame().with_columns(pl.col("name").str.extract_groups(_PLACE).alias("place"))
    chrom, pos, other, effect = (pl.col("place").struct.field(str(number)) for number in range(1, 5))
    return given.select(
        "name",
        id=pl.when(chrom.is_null()).then("name"),
        chrom=chrom,
        pos=pos.cast(pl.Int64),
        effect_allele=effect,
        other_allele=other,
    )


def _table(text: TextTable) -> pl.DataFrame:
    place = ("hm_chr", "hm_pos") if "hm_chr" in text.columns else ("chr_name", "chr_position")
    names = [*ID_COLUMNS, *place, "effect_allele", "other_allele"]
    frame = text.read([name for name in names if name in text.columns], {})
    if place[1] in frame.columns:
        frame = frame.with_columns(whole_numbers(frame[place[1]]))
    columns = {name: pl.col(name) if name in frame.columns else pl.lit(None, pl.String) for name in names}
    rows = frame.select(
        id=pl.coalesce(*(columns[name] for name in ID_COLUMNS)),
        chrom=columns[place[0]],
        pos=columns[place[1]].cast(pl.Int64),
        effect_allele="effect_allele",
        other_allele=columns["other_allele"],
    )
    spelt = pl.concat_str(
        pl.col("chrom", "pos", "other_allele", "effect_allele").fill_null("?"), separator=":"
    )
    return rows.select(pl.coalesce("id", spelt).alias("name"), *rows.columns)
