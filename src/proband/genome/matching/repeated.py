"""Genotyped variants that nothing can match, and those that come more than once."""

from __future__ import annotations

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.sites import Sites
from proband.genome.matching.match import MATCHED, Matched


def say_unusable(sites: Sites, source: Genotypes) -> None:
    """Say how many variants nothing can match, and how many come more than once."""
    num_variants = len(sites.sites)
    if sites.num_unplaced:
        first = _spelt(source, sites, 0)
        say(
            f"genome: {sites.num_unplaced} of {num_variants} variants have no position on 1 to 22, X, Y or"
            f" MT; nothing matches them (first: {first})"
        )
    num_repeated = int(sites.is_repeated.sum())
    if num_repeated:
        first = _spelt(source, sites, int(np.argmax(sites.is_repeated)))
        say(
            f"genome: {num_repeated} of {num_variants} variants come more than once, an error only where they"
            f" are needed (first: {first})"
        )


def refuse_repeated(matched: Matched, sites: Sites, source: Genotypes, name: str) -> None:
    """Refuse to count a variant that comes twice, of which either might be meant.

    Raises:
        DataError: A matched row is on a variant whose site and alleles another variant has too.
    """
    used = matched.reasons == MATCHED
    is_twice = used & sites.is_repeated[matched.variants]
    if not is_twice.any():
        return
    place = int(matched.variants[int(np.argmax(is_twice))])
    part = next(part for part in reversed(source.parts) if part.first <= sites.index[place])
    raise DataError(
        "duplicate variants",
        where=part.paths[0],
        found=f"{int(sites.is_repeated.sum())} rows of variants that come more than once, of which {name}"
        f" needs {int(is_twice.sum())}, first {_spelt(source, sites, place)}",
        expected="each chromosome, position, REF and ALT once",
        remedy="keep one of them (plink2 --set-all-var-ids '@:#:$r:$a' --rm-dup force-first)",
    )


def _spelt(source: Genotypes, sites: Sites, place: int) -> str:
    row = source.variants.filter(pl.col("index") == int(sites.index[place])).row(0, named=True)
    return f"{row['chrom']}:{row['pos']}:{row['ref']}:{row['alt']}"
