"""ALT alleles a row each, and the other strand's letters."""

from __future__ import annotations

import polars as pl

_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def complement(column: str) -> pl.Expr:
    """The other strand's letters of alleles made of A, C, G and T; null for any other allele.

    >>> pl.DataFrame({"a": ["AC", "G", "<DEL>"]}).select(complement("a"))["a"].to_list()
    ['TG', 'C', None]
    """
    allele = pl.col(column)
    swapped = allele.str.replace_many(list(_COMPLEMENT), list(_COMPLEMENT.values()))
    return pl.when(allele.str.contains(r"^[ACGT]+$")).then(swapped)


def per_allele(rows: pl.DataFrame) -> pl.DataFrame:
    """Split comma-joined ALT alleles into one row each, as ``Genotypes.variants`` wants them.

    Args:
        rows: ``chrom, pos, ref, alt``, perhaps ``id``, in the file's order; alleles of any case.
    """
    alleles = pl.col("alt").str.to_uppercase().str.split(",")
    rows = rows.with_row_index("index").with_columns(pl.col("ref").str.to_uppercase(), alts=alleles)
    rows = rows.with_columns(is_multiallelic=pl.col("alts").list.len() > 1)
    most = int(rows["alts"].list.len().to_numpy().max(initial=0))
    nth = [rows.with_columns(alt=pl.col("alts").list.get(n, null_on_oob=True)) for n in range(most)]
    split = pl.concat([part.filter(pl.col("alt").is_not_null()) for part in nth]).sort("index")
    is_ambiguous = (pl.col("ref") == complement("alt")).fill_null(False)
    columns = ["index", "chrom", "pos", "ref", "alt", *({"id"} & set(rows.columns)), "is_multiallelic"]
    return split.select(*columns, is_ambiguous=is_ambiguous)
