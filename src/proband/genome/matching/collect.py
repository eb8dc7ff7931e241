"""Read and match all scoring files, one after the other, and keep the weights of the scores that stay."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.running.progress import say, track
from proband.genome.genotypes.alleles import NO_SITE, OTHER_SITE, variant_sites
from proband.genome.genotypes.builds import HARMONISED
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.matching.diagnose import left_out as left_out_line
from proband.genome.matching.diagnose import nothing_left, with_remedies
from proband.genome.matching.match import MATCHED, REASONS, Matched, is_kept, match_rows, report, tally
from proband.genome.matching.repeated import refuse_repeated, say_unusable
from proband.genome.matching.weights import Weights, WeightStore
from proband.genome.scorefiles.rows import Rows
from proband.genome.scorefiles.scorefile import Scorefile, read_scorefile


@dataclass(frozen=True)
class Collected:
    """All scores, matched.

    Attributes:
        match: The match report, of :data:`proband.core.schema.MATCH`, in the order of the files.
        metadata: ``pgs_id`` to what the scoring file says of itself.
        weights: Weights of the scores kept, in the report's order.
        rows_left_out: Rows of all scores left out, by reason, for the manifest.
        counts: Of variants that nothing matches or that come more than once, for the manifest.
    """

    match: pl.DataFrame
    metadata: dict[str, dict[str, str | None]]
    weights: Weights
    rows_left_out: list[dict[str, str | int]]
    counts: dict[str, int]

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
    say_unusable(sites, source)
    places = _places(source) if by_id else None
    store, tallies, left_out = WeightStore(), [], _RowsLeftOut()
    metadata: dict[str, dict[str, str | None]] = {}
    for path in track(files, "Matching scores", len(files)):
        item = read_scorefile(path, by_id=by_id)
        item = _placed(item, places) if places is not None else item
        _check(item, metadata, source.build)
        metadata[item.pgs_id] = _describe(item)
        matched = match_rows(item.rows, sites, keep_ambiguous=keep_ambiguous)
        tallies.append(tally(matched))
        left_out.add(item, matched)
        if is_kept(tallies[-1], min_match_rate):
            refuse_repeated(matched, sites, source, item.pgs_id)
            _add(store, item.rows, matched, sites)
    match = report(list(metadata), tallies, min_match_rate)
    paths = dict(zip(metadata, files, strict=True))
    match = with_remedies(match, {} if by_id else paths, sites)
    if not match["kept"].any():
        raise nothing_left(match, metadata, source, min_match_rate)
    for row in match.filter(~pl.col("kept")).iter_rows(named=True):
        say(f"genome: {left_out_line(row, min_match_rate)}")
    counts = {
        "num_variants_unplaced": sites.num_unplaced,
        "num_variants_repeated": int(sites.is_repeated.sum()),
        "num_scores_logarithm_taken": _say_logarithms(metadata),
    }
    number = max(source.num_variants, int(sites.index.max(initial=-1)) + 1)
    return Collected(match, metadata, store.weights(number), left_out.counted(), counts)


class _RowsLeftOut:
    """Rows of scoring files by what became of them, with the first of each kind."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, item: Scorefile, matched: Matched) -> None:
        """Count the rows of one file."""
        numbers = np.bincount(matched.reasons, minlength=len(REASONS))
        for number, words in enumerate(REASONS.values()):
            if number != MATCHED and numbers[number]:
                row = int(np.argmax(matched.reasons == number)) + 1
                self._add(words, int(numbers[number]), f"row {row} of {item.path.name}")
        if item.num_blank:
            self._add("blank line", item.num_blank, item.path.name)

    def _add(self, words: str, number: int, where: str) -> None:
        self._counts[words] = self._counts.get(words, 0) + number
        self._first.setdefault(words, where)

    def counted(self) -> list[dict[str, str | int]]:
        """One entry per reason, for the manifest; each is said."""
        for words, number in self._counts.items():
            say(f"genome: {number} rows of scoring files not used: {words} (first: {self._first[words]})")
        return [
            {"file": "scoring files", "reason": words, "num_rows": number, "first": self._first[words]}
            for words, number in self._counts.items()
        ]


def _say_logarithms(metadata: dict[str, dict[str, str | None]]) -> int:
    """Say how many scores have ratios as weights, and return it."""
    names = [name for name, item in metadata.items() if item["logarithm_of"]]
    if names:
        kind = metadata[names[0]]["logarithm_of"]
        say(
            f"genome: the weights of {len(names)} scores are ratios, of which the logarithm is taken"
            f" (first: {names[0]}, weight_type {kind})"
        )
    return len(names)


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
        found = f"{item.pgs_id}, as in {metadata[item.pgs_id]['file']}"
        remedy = (
            "keep one file per score, of one genome build, or name the scores by #pgs_id; without it a score "
            "is called as its file"
        )
        raise DataError("two scoring files of one score", where=item.path, found=found, remedy=remedy)
    if build and item.build and build != item.build:
        remedy = f"use scoring files harmonised to {build}, or genotypes of {item.build}"
        if build not in HARMONISED:
            remedy = f"lift the genotypes over to {' or '.join(HARMONISED)}, which harmonised files are of"
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
        "logarithm_of": item.log_of,
        "genome_build": item.build,
        "file": item.path.name,
    }
