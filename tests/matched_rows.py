"""Rows of a score matched to a few variants, as short tuples."""

import numpy as np
import polars as pl

from proband.genome.genotypes.alleles import allele_codes, is_nucleotides, row_sites
from proband.genome.genotypes.sites import Sites
from proband.genome.genotypes.strands import per_allele
from proband.genome.matching.match import REASONS, match_rows
from proband.genome.scorefiles.rows import Rows

VARIANTS = [
    ("1", 10, "A", "G"),
    ("1", 20, "A", "T"),
    ("1", 30, "C", "G,T"),
    ("1", 40, "C", "CAT"),
    ("1", 50, "G", "A"),
    ("1", 50, "G", "C"),
    ("1", 60, "C", "T"),
    ("1", 60, "C", "T"),
    ("X", 10, "A", "<DEL>"),
]


def rows_of(rows):
    chrom, pos, effect, other = (list(column) for column in zip(*rows, strict=True))
    codes = allele_codes(pl.Series(effect, dtype=pl.String))
    sites = row_sites(pl.Series(chrom, dtype=pl.String), pl.Series(pos, dtype=pl.Int64))
    others = allele_codes(pl.Series(other, dtype=pl.String))
    return Rows(sites, codes, others, np.zeros((3, len(rows))), is_nucleotides(codes))


def sites_of(variants=VARIANTS):
    schema = {"chrom": pl.String, "pos": pl.Int64, "ref": pl.String, "alt": pl.String}
    return Sites.of(per_allele(pl.DataFrame(variants, schema=schema, orient="row")))


def match(*rows, variants=VARIANTS, **options):
    """What becomes of a score's rows (chrom, pos, effect, other): reason, index, is_reversed, is_flipped."""
    sites = sites_of(variants)
    found = match_rows(rows_of(rows), sites, **options)
    index = [int(sites.index[at]) if at >= 0 else None for at in found.variants]
    names = [list(REASONS)[number] for number in found.reasons]
    return list(zip(names, index, found.is_reversed.tolist(), found.is_flipped.tolist(), strict=True))


def one(*row, **options):
    return match(row, **options)[0]
