"""Read and match all scoring files, one after the other, and keep the weights of the scores that stay."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.progress import say, track
from proband.genome.alleles import NO_SITE, OTHER_SITE, variant_sites
from proband.genome.diagnose import left_out, nothing_left, with_remedies
from proband.genome.genotypes import Genotypes
from proband.genome.match import MATCHED, Matched, Sites, is_kept, match_rows, report, tally
from proband.genome.scorefile import Scorefile, read_scorefile
from proband.genome.scorerows import Rows
from proband.genome.weights import Weights, WeightStore


@dataclass(frozen=True)
class Collected:
    """All scores, matched.

    Attributes:
        match: The match report, of :data:`proband.core.schema.MATCH`, in the order of the files.
        metadata: ``pgs_id`` to what the scoring file says of itself.
        weights: Weights of the scores kept, in the report's order.
    """

    match: pl.DataFrame
    metadata: dict[str, dict[str, str | None]]
    weights: Weights

    @property
    def kept(self) -> list[str]:
        """Names of the scores kept, in the order of the weights' columns."""
        return self.match.filter("kept")["pgs_id"].to_list()


def collect(
    source: Genotypes,
    files: list[Path],
    *,
    min_match_rate: float,
    keep_ambiguous: bool = False,
    by_id: bool = False,
) -> Collected:
    """Match every scoring file to the genotypes; say which scores are left out, why, and what to do.

    ``by_id`` takes a row's place from the genotyped variant of its identifier, which the genotypes then need.

    Raises:
        DataError: A file is not usable or of another genome build, two files are of one score, or no
            score reaches ``min_match_rate``.
    """
    sites = Sites.of(source.variants)
    places = _places(source) if by_id else None
    store, tallies = WeightStore(), []
    metadata: dict[str, dict[str, str | None]] = {}
    for path in track(files, "Matching scores", len(files)):
        item = read_scorefile(path, by_id=by_id)
        item = _placed(item, places) if places is not None else item
        _check(item, metadata, source.build)
        metadata[item.pgs_id] = _describe(item)
        matched = match_rows(item.rows, sites, keep_ambiguous=keep_ambiguous)
        tallies.append(tally(matched))
        if is_kept(tallies[-1], min_match_rate):
            _add(store, item.rows, matched, sites)
    match = report(list(metadata), tallies, min_match_rate)
    paths = dict(zip(metadata, files, strict=True))
    match = with_remedies(match, {} if by_id else paths, sites)
    if not match["kept"].any():
        raise nothing_left(match, metadata, source, min_match_rate)
    for row in match.filter(~pl.col("kept")).iter_rows(named=True):
        say(f"genome: {left_out(row, min_match_rate)}")
    return Collected(match, metadata, store.weights(source.num_variants))


def _places(source: Genotypes) -> pl.DataFrame:
    """``id`` and ``site`` of the identifiers that stand for one site."""
    if "id" not in source.variants.columns:
        raise DataError("genotypes without identifiers", where=source.files[0], expected="an ID column")
    variants = source.variants
    sites = pl.Series("site", variant_sites(variants["chrom"], variants["pos"]))
    return pl.DataFrame([variants["id"], sites]).unique().unique("id", keep="none")


def _placed(item: Scorefile, places: pl.DataFrame) -> Scorefile:
    assert item.ids is not None
    ids = item.ids.alias("id").to_frame()
    sites = ids.join(places, on="id", how="left", maintain_order="left")["site"].fill_null(OTHER_SITE)
    sites = sites.zip_with(item.ids.is_not_null(), pl.Series([NO_SITE], dtype=pl.Int64))
    return dataclasses.replace(item, build=None, rows=dataclasses.replace(item.rows, sites=sites.to_numpy()))


def _add(store: WeightStore, rows: Rows, matched: Matched, sites: Sites) -> None:
    used = np.flatnonzero(matched.reasons == MATCHED)
    variants = matched.variants[used]
    store.add(
        sites.index[variants].astype(np.uint32),
        rows.at[:, used],
        matched.is_reversed[used],
        sites.is_haploid[variants],
    )


def _check(item: Scorefile, metadata: dict[str, dict[str, str | None]], build: str | None) -> None:
    if item.pgs_id in metadata:
        found, remedy = f"{item.pgs_id} a second time", "keep one file per score, of one genome build"
        raise DataError("two scoring files of one score", where=item.path, found=found, remedy=remedy)
    if build and item.build and build != item.build:
        remedy = f"use scoring files harmonised to {build}, or genotypes of {item.build}"
        raise DataError(
            "wrong genome build", where=item.path, found=item.build, expected=build, remedy=remedy
        )


def _describe(item: Scorefile) -> dict[str, str | None]:
    told = {name: text for name, text in item.metadata.items() if text not in ("", "NR")}
    return {
        "name": told.get("pgs_name"),
        "trait": told.get("trait_reported") or told.get("trait_mapped"),
        "trait_efo": told.get("trait_efo"),
        "source": told.get("citation"),
        "publication": told.get("pgp_id"),
        "license": told.get("license"),
        "weight_type": told.get("weight_type"),
        "genome_build": item.build,
        "file": item.path.name,
    }
