"""Match scoring-file rows to genotyped variants by chromosome, position and alleles.

A row takes the first rule that fits: effect/other = REF/ALT, ALT/REF, either of them on the other strand;
where no other allele is given, effect = REF, ALT, or either on the other strand. Of several equal matches
the first in the file is kept. Then excluded, in this order: strand-ambiguous variants, variants with several
ALT alleles, and all rows of a score that hit one variant together.
"""

from __future__ import annotations

import polars as pl

from proband.core.schema import MATCH
from proband.genome.genotypes import complement

REASONS = {
    "matched": "matched",
    "not_scorable": "haplotype, interaction or no nucleotide allele",
    "no_position": "no position",
    "no_variant": "no variant at the position",
    "allele_mismatch": "other alleles at the position",
    "ambiguous": "strand-ambiguous",
    "multiallelic": "multiallelic",
    "duplicated": "several rows on one variant",
}
"""What became of a row, in words; ``num_<reason>`` are the columns of the match report."""

_FLIPS = (2, 3, 6, 7)
_REVERSED = (0, 2, 4, 6)
_NO_RULE = 8


def match_rows(rows: pl.DataFrame, variants: pl.DataFrame, *, keep_ambiguous: bool = False) -> pl.DataFrame:
    """Decide for every row of any number of scores what becomes of it.

    Args:
        rows: Columns of :attr:`Scorefile.rows` and ``score`` (which score the row belongs to).
        variants: :attr:`Genotypes.variants`.
        keep_ambiguous: Trust the strand of A/T and C/G variants instead of excluding them.

    Returns:
        ``rows`` with ``index`` of the variant (null unless a rule fits), ``reason`` (a key of
        :data:`REASONS`), ``is_flipped`` and ``is_reversed`` (the effect allele is REF).
    """
    rows = rows.with_row_index("row")
    best = _best_candidates(rows, variants)
    reason = (
        pl.when(~pl.col("is_scorable")).then(pl.lit("not_scorable"))
        .when(pl.col("pos").is_null()).then(pl.lit("no_position"))
        .when(pl.col("rule").is_null()).then(pl.lit("no_variant"))
        .when(pl.col("rule") == _NO_RULE).then(pl.lit("allele_mismatch"))
        .when(pl.col("is_ambiguous") & (not keep_ambiguous)).then(pl.lit("ambiguous"))
        .when("is_multiallelic").then(pl.lit("multiallelic"))
        .when("is_duplicated").then(pl.lit("duplicated"))
        .otherwise(pl.lit("matched"))
    )  # fmt: skip
    return (
        rows.join(best, on="row", how="left", maintain_order="left")
        .with_columns(
            reason.alias("reason"),
            pl.col("rule").is_in(_FLIPS).fill_null(False).alias("is_flipped"),
            pl.col("rule").is_in(_REVERSED).fill_null(False).alias("is_reversed"),
        )
        .drop("row", "rule", "is_ambiguous", "is_multiallelic", "is_duplicated")
    )


def _best_candidates(rows: pl.DataFrame, variants: pl.DataFrame) -> pl.DataFrame:
    """One candidate variant per row that has any at its position."""
    candidates = (
        rows.filter("is_scorable")
        .select("row", "score", "chrom", "pos", "effect_allele", "other_allele")
        .join(variants, on=["chrom", "pos"], how="inner")
        .with_columns(rule=_first_rule("effect_allele", "other_allele", flipped=False))
    )
    # Few rows need the other strand, so only theirs is spelt out.
    unmatched = candidates.filter(pl.col("rule").is_null())
    unmatched = unmatched.with_columns(e=complement("effect_allele"), o=complement("other_allele"))
    flipped = _first_rule("e", "o", flipped=True).fill_null(_NO_RULE)
    unmatched = unmatched.with_columns(rule=flipped).select(candidates.columns)
    best = (
        pl.concat([candidates.filter(pl.col("rule").is_not_null()), unmatched])
        .sort("row", "rule", "index", maintain_order=True)
        .unique("row", keep="first", maintain_order=True)
        .with_columns(index=pl.when(pl.col("rule") < _NO_RULE).then("index"))
    )
    hit = pl.col("score").cast(pl.Int64) * 2**32 + pl.col("index")  # one number per score and variant
    is_duplicated = hit.is_duplicated() & pl.col("index").is_not_null()
    return best.select("row", "index", "rule", "is_ambiguous", "is_multiallelic", is_duplicated=is_duplicated)


def _first_rule(effect_column: str, other_column: str, *, flipped: bool) -> pl.Expr:
    """Number of the first rule of one strand that fits, null if none does."""
    effect, other, no_other = pl.col(effect_column), pl.col(other_column), pl.col("other_allele").is_null()
    ref, alt = pl.col("ref"), pl.col("alt")
    rules = {
        0: (effect == ref) & (other == alt),
        1: (effect == alt) & (other == ref),
        4: no_other & (effect == ref),
        5: no_other & (effect == alt),
    }
    numbers = {number + (2 if flipped else 0): rule for number, rule in rules.items()}
    return pl.coalesce(*(pl.when(rule).then(pl.lit(number, pl.Int8)) for number, rule in numbers.items()))


def report(matched: pl.DataFrame, pgs_ids: list[str], min_match_rate: float) -> pl.DataFrame:
    """Count what became of the rows of each score.

    Args:
        matched: Result of :func:`match_rows`, ``score`` numbering ``pgs_ids`` from 0.
        pgs_ids: Names of the scores.
        min_match_rate: A score is kept at or above this share of matched rows, if it has any.

    Returns:
        One row per score, of :data:`proband.core.schema.MATCH`.
    """
    counts = matched.group_by("score").agg(
        pl.len().cast(pl.Int64).alias("num_rows"),
        *((pl.col("reason") == name).sum().cast(pl.Int64).alias(f"num_{name}") for name in REASONS),
        (pl.col("is_flipped") & (pl.col("reason") == "matched")).sum().cast(pl.Int64).alias("num_flipped"),
    )
    rate = pl.col("num_matched") / pl.col("num_rows")
    return (
        counts.sort("score")
        .with_columns(
            pl.col("score").map_elements(pgs_ids.__getitem__, return_dtype=pl.String).alias("pgs_id"),
            rate.alias("match_rate"),
            ((rate >= min_match_rate) & (pl.col("num_matched") > 0)).alias("kept"),
        )
        .select(*MATCH.columns)
    )
