"""Variants that two data sets share, whichever strand and order of alleles each has."""

from __future__ import annotations

import polars as pl

from proband.genome.genotypes.alleles import ABSENT_ALLELES
from proband.genome.genotypes.strands import complement


def shared_variants(ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Match variants by chromosome, position and alleles.

    Ambiguous and multiallelic variants of either side are passed over, and whatever fits several of the other
    side. A site of theirs where nobody varies (ALT ``.``) fits if its one allele is either of ours, a base
    for a base: whether somebody there happens to vary must not decide what is shared.

    Args:
        ours: :attr:`Genotypes.variants`, or any rows of ``index, chrom, pos, ref, alt`` with its two flags.
        theirs: The same of the other data set.

    Returns:
        ``ours``'s rows that are shared, in order, with ``their_index`` and ``is_swapped`` (their REF is our
        ALT, on either strand).
    """
    clear = ~pl.col("is_ambiguous") & ~pl.col("is_multiallelic")
    ours, theirs = ours.filter(clear), theirs.filter(clear)
    theirs = theirs.select("chrom", "pos", their_index="index", their_ref="ref", their_alt="alt")
    both = ours.join(theirs, on=["chrom", "pos"], how="inner", maintain_order="left")
    both = both.with_columns(other_ref=complement("their_ref"), other_alt=complement("their_alt"))
    is_constant = pl.col("their_alt").is_in(ABSENT_ALLELES) & ~pl.col("alt").is_in(ABSENT_ALLELES)
    same_length = pl.col("ref").str.len_bytes() == pl.col("alt").str.len_bytes()
    straight, swapped = pl.lit(False), pl.lit(False)
    for ref, alt in (("their_ref", "their_alt"), ("other_ref", "other_alt")):
        is_ref, is_alt = pl.col("ref") == pl.col(ref), pl.col("alt") == pl.col(ref)
        straight |= is_ref & ((pl.col("alt") == pl.col(alt)) | (is_constant & same_length))
        swapped |= is_alt & ((pl.col("ref") == pl.col(alt)) | (is_constant & same_length))
    both = both.with_columns(
        is_swapped=swapped.fill_null(False), is_constant=is_constant, fits=straight.fill_null(False)
    )
    both = both.filter(pl.col("fits") | pl.col("is_swapped"))
    both = both.filter(~pl.col("is_constant") | pl.col("is_constant").all().over("index"))
    once = ~pl.col("index").is_duplicated() & ~pl.col("their_index").is_duplicated()
    return both.filter(once).select(*ours.columns, "their_index", "is_swapped")
