"""Dosages of listed variants, such as the lead variants of a disease: one column per variant.

A row of the list is matched as a row of a score is (:mod:`proband.genome.matching.match`), swapped alleles
and the other strand included. Strand-ambiguous variants are left out, unless the list gives an identifier
alone and so no alleles to compare; so are variants with several ALT alleles in one line. Two names of one
variant are two equal columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int64

from proband.core.errors import DataError
from proband.core.files.tables import write_tsv
from proband.core.running.progress import say
from proband.genome.genotypes.alleles import allele_codes, is_nucleotides, row_sites
from proband.genome.genotypes.dataset import MISSING, Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.matching.match import (
    AMBIGUOUS,
    DUPLICATED,
    MATCHED,
    MULTIALLELIC,
    NO_VARIANT,
    REASONS,
    match_rows,
)
from proband.genome.matching.repeated import refuse_repeated
from proband.genome.scorefiles.rows import Rows
from proband.genome.scorefiles.variantlist import VariantList

DOSAGES, REPORT = "dosages.parquet", "variants.tsv"
_CELL_BYTES = 24  # of a dosage: read, turned, and in the table that is written


@dataclass(frozen=True)
class Found:
    """What became of the variants of a list.

    Attributes:
        names: The list's names.
        reasons: Number of the key of :data:`REASONS`.
        variants: Row of the data set; of no meaning where not matched, as the rest.
        is_reversed: The allele counted is REF.
        is_flipped: Matched on the other strand.
        is_haploid: On a chromosome that counts 0 to 1.
    """

    names: list[str]
    reasons: Int64[np.ndarray, " rows"]
    variants: Int64[np.ndarray, " rows"]
    is_reversed: Bool[np.ndarray, " rows"]
    is_flipped: Bool[np.ndarray, " rows"]
    is_haploid: Bool[np.ndarray, " rows"]

    @property
    def used(self) -> Int64[np.ndarray, " used"]:
        """The rows that get a column."""
        return np.flatnonzero(self.reasons == MATCHED)


def find_variants(asked: VariantList, source: Genotypes, *, keep_ambiguous: bool = False) -> Found:
    """Match a list to the genotypes.

    Raises:
        DataError: The list is of another genome build, needs identifiers that the genotypes lack, or none of
            its variants is usable.
    """
    if source.build and asked.build and source.build != asked.build:
        remedy = f"give positions of {source.build}"
        raise DataError(
            "wrong genome build", where=asked.path, found=asked.build, expected=source.build, remedy=remedy
        )
    rows = _placed(asked, source)
    sites = Sites.of(source.variants)
    effect, other = allele_codes(rows["effect_allele"]), allele_codes(rows["other_allele"])
    place, nothing = row_sites(rows["chrom"], rows["pos"]), np.zeros((3, rows.height))
    as_score = Rows(place, effect, other, nothing, is_nucleotides(effect))
    matched = match_rows(as_score, sites, keep_ambiguous=True)
    refuse_repeated(matched, sites, source, asked.path.name)
    reasons, named = matched.reasons.astype(np.int64), rows["is_named"].to_numpy()
    reasons[reasons == DUPLICATED] = MATCHED
    if not keep_ambiguous:
        reasons[(reasons == MATCHED) & matched.is_ambiguous & ~named] = AMBIGUOUS
    reasons[rows["is_several"].to_numpy()] = MULTIALLELIC
    reasons[(rows["id"].is_not_null() & rows["pos"].is_null()).to_numpy()] = NO_VARIANT
    if not (reasons == MATCHED).any():
        found = f"{rows['name'][0]}: {list(REASONS.values())[int(reasons[0])]}"
        remedy = "compare names, genome build and alleles with the genotypes"
        raise DataError("no variant of the list is usable", where=asked.path, found=found, remedy=remedy)
    return Found(
        names=rows["name"].to_list(),
        reasons=reasons,
        variants=sites.index[matched.variants],
        is_reversed=matched.is_reversed,
        is_flipped=matched.is_flipped,
        is_haploid=sites.is_haploid[matched.variants],
    )


def _placed(asked: VariantList, source: Genotypes) -> pl.DataFrame:
    """The list's rows, those without place with that of their identifier.

    Adds ``is_named``, for a variant known by its identifier alone, whose alleles are then its own, and
    ``is_several``, where several variants have this identifier.
    """
    never = pl.lit(False)
    if not asked.needs_ids:
        return asked.rows.with_columns(is_named=never, is_several=never)
    if "id" not in source.variants.columns:
        raise DataError("genotypes without identifiers", where=source.files[0], expected="an ID column")
    wanted = source.variants.filter(pl.col("id").is_in(asked.rows["id"].drop_nulls().implode()))
    places = wanted.select("id", "chrom", "pos", "ref", "alt", number=pl.len().over("id"))
    places = places.unique("id", keep="first", maintain_order=True)
    rows = asked.rows.join(places, on="id", how="left", maintain_order="left", suffix="_found")
    by_id, alone = pl.col("pos").is_null(), pl.col("effect_allele").is_null()
    return rows.with_columns(
        chrom=pl.when(by_id).then("chrom_found").otherwise("chrom"),
        pos=pl.when(by_id).then("pos_found").otherwise("pos"),
        effect_allele=pl.when(by_id & alone).then("alt").otherwise("effect_allele"),
        other_allele=pl.when(by_id & alone).then("ref").otherwise("other_allele"),
        is_named=by_id & alone,
        is_several=(by_id & alone & (pl.col("number") > 1)).fill_null(False),
    )


def write_dosages(
    source: Genotypes, found: Found, subject_ids: pl.Series, folder: Path, *, memory_mb: int
) -> dict[str, int]:
    """Write dosages.parquet, of :data:`proband.core.schema.SCORES`, and the report variants.tsv.

    Args:
        source: The data set.
        found: Its variants that are asked for.
        subject_ids: Subject of each sample, each once.
        folder: Where to write.
        memory_mb: Memory in MiB; samples are read in as many slices as fit.

    Returns:
        Counts for the manifest.
    """
    used = found.used
    schema = pa.schema([("subject_id", pa.int64()), *((found.names[row], pa.float32()) for row in used)])
    missing, total = np.zeros(len(used), np.int64), np.zeros(len(used))
    with pq.ParquetWriter(folder / DOSAGES, schema, compression="zstd") as writer:
        for start, dosages in _slices(source, found, memory_mb):
            is_missing = np.isnan(dosages)
            missing += is_missing.sum(axis=1)
            total += np.where(is_missing, 0, dosages).sum(axis=1, dtype=np.float64)
            subjects = subject_ids.slice(start, dosages.shape[1]).to_numpy()
            writer.write_table(pa.table([pa.array(subjects), *map(pa.array, dosages)], schema=schema))
    report = _report(source, found, missing, total / np.maximum(1, len(subject_ids) - missing))
    write_tsv(report, folder / REPORT)
    lost = report.filter(pl.col("status") != REASONS["matched"])
    if lost.height:
        first = f"first {lost['name'][0]}: {lost['status'][0]}"
        say(f"genome: {lost.height} of {report.height} listed variants are left out, {first}; see {REPORT}")
    return {"num_variants_listed": report.height, "num_variants_listed_found": len(used)}


def _slices(
    source: Genotypes, found: Found, memory_mb: int
) -> Iterator[tuple[int, Float32[np.ndarray, "used samples"]]]:
    """Dosages of the alleles asked for, NaN where missing, some samples at a time."""
    used = found.used
    variants, place = np.unique(found.variants[used], return_inverse=True)
    is_reversed, is_haploid = found.is_reversed[used, None], found.is_haploid[used, None]
    num_samples = len(source.sample_ids)
    step = max(1, memory_mb * 2**20 // (_CELL_BYTES * len(used)))
    for start in range(0, num_samples, step):
        stop = min(start + step, num_samples)
        dosages = source.reader.read(variants.astype(np.uint32), start, stop)[place]
        is_missing = dosages == MISSING
        turned = np.where(is_reversed, 2 - dosages, dosages)
        halved = np.where(is_haploid, turned / 2, turned)  # stored as 0 or 2
        yield start, np.where(is_missing, np.float32(np.nan), halved).astype(np.float32)


def _report(source: Genotypes, found: Found, missing: np.ndarray, mean: np.ndarray) -> pl.DataFrame:
    """What became of every name, and what the column of a variant that is used counts."""
    used = found.used
    words = list(REASONS.values())
    rows = pl.DataFrame({"name": found.names, "status": [words[reason] for reason in found.reasons]})
    used_variants = source.variants.unique("index", keep="first").select(
        "index", "chrom", "pos", "ref", "alt"
    )
    columns = {
        "name": [found.names[row] for row in used],
        "index": found.variants[used],
        "is_reversed": found.is_reversed[used],
        "is_flipped": found.is_flipped[used],
        "num_missing": missing,
        "mean_dosage": mean,
    }
    told = pl.DataFrame(columns).join(
        used_variants.with_columns(pl.col("index").cast(pl.Int64)), on="index", how="left"
    )
    counted = pl.when("is_reversed").then("ref").otherwise("alt").alias("counted_allele")
    told = told.select(
        "name", "chrom", "pos", "ref", "alt", counted, "is_flipped", "num_missing", "mean_dosage"
    )
    return rows.join(told, on="name", how="left", maintain_order="left")
