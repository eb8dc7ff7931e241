"""Read and match all scoring files, a batch at a time, and keep the weights of the scores that stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from proband.core.errors import DataError
from proband.core.progress import say, track
from proband.genome.genotypes import Genotypes
from proband.genome.match import REASONS, match_rows, report
from proband.genome.scorefile import Scorefile, read_scorefile
from proband.genome.weights import Weights, WeightStore

_BATCH_ROWS = 2_000_000  # rows matched together: bounds memory, and spares a join per file


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
    source: Genotypes, files: list[Path], *, min_match_rate: float, keep_ambiguous: bool = False
) -> Collected:
    """Match every scoring file to the genotypes; say which scores are left out, and why.

    Raises:
        DataError: A file is not usable or of another genome build, two files are of one score, or no
            score reaches ``min_match_rate``.
    """
    reports: list[pl.DataFrame] = []
    metadata: dict[str, dict[str, str | None]] = {}
    store = WeightStore()
    for batch in _batches(files, source.build):
        for item in batch:
            if item.pgs_id in metadata:
                found, remedy = f"{item.pgs_id} a second time", "keep one file per score, of one genome build"
                raise DataError("two scoring files of one score", where=item.path, found=found, remedy=remedy)
            metadata[item.pgs_id] = _describe(item)
        rows = pl.concat([item.rows.with_columns(score=pl.lit(n, pl.Int32)) for n, item in enumerate(batch)])
        matched = match_rows(rows, source.variants, keep_ambiguous=keep_ambiguous)
        reports.append(report(matched, [item.pgs_id for item in batch], min_match_rate))
        store.add(matched.filter(pl.col("reason") == "matched"), reports[-1]["kept"].to_numpy())
    match = pl.concat(reports)
    if not match["kept"].any():
        raise _nothing_left(match, metadata, source, min_match_rate)
    for row in match.filter(~pl.col("kept")).iter_rows(named=True):
        say(f"genome: {_left_out(row, min_match_rate)}")
    return Collected(match, metadata, store.weights(source.num_variants))


def _batches(files: list[Path], build: str | None) -> Iterator[list[Scorefile]]:
    batch: list[Scorefile] = []
    for path in track(files, "Matching scores", len(files)):
        item = read_scorefile(path)
        if build and item.build and build != item.build:
            remedy = f"use scoring files harmonised to {build}, or genotypes of {item.build}"
            raise DataError("wrong genome build", where=path, found=item.build, expected=build, remedy=remedy)
        batch.append(item)
        if sum(item.rows.height for item in batch) >= _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


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


def _reasons(counts: Mapping[str, Any]) -> str:
    ordered = sorted(((counts[f"num_{name}"], words) for name, words in REASONS.items() if name != "matched"))
    return ", ".join(f"{count} {words}" for count, words in reversed(ordered) if count)


def _left_out(row: Mapping[str, Any], min_match_rate: float) -> str:
    share = f"{row['match_rate']:.1%}, below {min_match_rate:.0%}"
    matched = f"{row['num_matched']} of {row['num_rows']} rows matched ({share})"
    return f"{row['pgs_id']} left out: {matched}; {_reasons(row)}"


def _nothing_left(
    match: pl.DataFrame, metadata: dict[str, dict[str, str | None]], source: Genotypes, min_match_rate: float
) -> DataError:
    """The error of a run without a score, with the commonest reason and what to do about that."""
    sums = match.select(pl.selectors.starts_with("num_").sum()).row(0, named=True)
    is_elsewhere = 2 * sums["num_no_variant"] > sums["num_rows"]
    builds = sorted({item["genome_build"] or "unknown" for item in metadata.values()})
    remedy = "give genotypes that hold these variants, or lower --min-match-rate"
    if is_elsewhere:
        known = f"genotypes {source.build or 'unknown'}, scoring files {', '.join(builds)}"
        remedy = f"check that the genome builds agree ({known}); else {remedy}"
    what = (
        "no score matches the genotypes well enough" if sums["num_matched"] else "no row of any score matches"
    )
    matched = f"{sums['num_matched']} of {sums['num_rows']} rows of {match.height} scores matched"
    return DataError(
        what,
        where=source.files[0],
        found=f"{matched}; {_reasons(sums)}",
        expected=f"at least one score matched to {min_match_rate:.0%}",
        remedy=remedy,
    )
