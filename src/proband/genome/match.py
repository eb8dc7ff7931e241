"""Match scoring-file rows to genotyped variants by chromosome, position and alleles.

A row takes the first rule that fits: effect/other = REF/ALT, ALT/REF, either of them on the other strand;
where no other allele is given, effect = REF, ALT, or either on the other strand. Of several equal matches
the first in the file is kept. Then excluded, in this order: strand-ambiguous variants, variants with several
ALT alleles, and all rows of a score that hit one variant together.
"""

from __future__ import annotations

import polars as pl

from proband.core.schema import MATCH

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

_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
_FLIPS = (2, 3, 6, 7)
_REVERSED = (0, 2, 4, 6)
_NO_RULE = 8


def complement(column: str) -> pl.Expr:
    """The other strand's letters of alleles made of A, C, G and T; null for any other allele.

    >>> pl.DataFrame({"a": ["AC", "G", "<DEL>"]}).select(complement("a"))["a"].to_list()
    ['TG', 'C', None]
    """
    allele = pl.col(column)
    swapped = allele.str.replace_many(list(_COMPLEMENT), list(_COMPLEMENT.values()))
    return pl.when(allele.str.contains(r"^[ACGT]+$")).then(swapped)


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
    effect, other = pl.col("effect_allele"), pl.col("other_allele")
    on_reverse, other_on_reverse = pl.col("effect_reverse"), pl.col("other_reverse")
    ref, alt, no_other = pl.col("ref"), pl.col("alt"), other.is_null()
    rules = (
        (effect == ref) & (other == alt),
        (effect == alt) & (other == ref),
        (on_reverse == ref) & (other_on_reverse == alt),
        (on_reverse == alt) & (other_on_reverse == ref),
        no_other & (effect == ref),
        no_other & (effect == alt),
        no_other & (on_reverse == ref),
        no_other & (on_reverse == alt),
    )
    first_rule = pl.coalesce(
        *(pl.when(rule).then(pl.lit(number, pl.Int8)) for number, rule in enumerate(rules))
    )
    return (
        rows.lazy()
        .filter("is_scorable")
        .select("row", "score", "chrom", "pos", "effect_allele", "other_allele")
        .join(variants.lazy(), on=["chrom", "pos"], how="inner")
        .with_columns(effect_reverse=complement("effect_allele"), other_reverse=complement("other_allele"))
        .with_columns(
            rule=first_rule.fill_null(_NO_RULE),
            is_ambiguous=(ref == complement("alt")).fill_null(False),
        )
        .sort("row", "rule", "index", maintain_order=True)
        .unique("row", keep="first", maintain_order=True)
        .with_columns(is_duplicated=(pl.col("rule") < _NO_RULE).sum().over("score", "index") > 1)
        .with_columns(index=pl.when(pl.col("rule") < _NO_RULE).then("index"))
        .select("row", "index", "rule", "is_ambiguous", "is_multiallelic", "is_duplicated")
        .collect()
    )


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
