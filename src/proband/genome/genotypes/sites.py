"""Genotyped variants in the order of their sites, for looking up the rows of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from proband.genome.genotypes.alleles import ABSENT_ALLELES, allele_codes, variant_sites
from proband.genome.genotypes.builds import HAPLOID

_ABSENT = allele_codes(pl.Series(ABSENT_ALLELES))


@dataclass(frozen=True)
class Sites:
    """Genotyped variants in the order of their sites, for looking up.

    Attributes:
        sites: Chromosome and position as one number, ascending; equal ones in the file's order.
        ends: End of the run of equal sites that begins here.
        ref, alt: Codes of the alleles.
        index: Row of the data set.
        is_ambiguous, is_multiallelic, is_haploid: Of the variant.
        is_constant: Nobody varies: ALT is none of a base.
        is_repeated: Another variant has the same site and alleles.
    """

    sites: Int64[np.ndarray, " variants"]
    ends: Int64[np.ndarray, " variants"]
    ref: Int64[np.ndarray, " variants"]
    alt: Int64[np.ndarray, " variants"]
    index: Int64[np.ndarray, " variants"]
    is_ambiguous: Bool[np.ndarray, " variants"]
    is_multiallelic: Bool[np.ndarray, " variants"]
    is_haploid: Bool[np.ndarray, " variants"]
    is_constant: Bool[np.ndarray, " variants"]
    is_repeated: Bool[np.ndarray, " variants"]

    @classmethod
    def of(cls, variants: pl.DataFrame) -> Sites:
        """Sort :attr:`Genotypes.variants`."""
        sites = variant_sites(variants["chrom"], variants["pos"])
        order = np.argsort(sites, kind="stable")
        sites = sites[order]
        columns = {name: variants[name].to_numpy()[order] for name in ("is_ambiguous", "is_multiallelic")}
        ref, alt = allele_codes(variants["ref"])[order], allele_codes(variants["alt"])[order]
        ends = np.searchsorted(sites, sites, side="right")
        return cls(
            sites=sites,
            ends=ends,
            ref=ref,
            alt=alt,
            index=variants["index"].to_numpy()[order].astype(np.int64),
            is_haploid=variants["chrom"].is_in(HAPLOID).to_numpy()[order],
            is_constant=np.isin(alt, _ABSENT),
            is_repeated=_repeated(sites, ends, ref, alt),
            **columns,
        )

    @property
    def num_unplaced(self) -> int:
        """Variants that nothing can match: on other contigs, or without position."""
        return int(np.searchsorted(self.sites, 0))

    def find(self, sites: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        """First variant at each site, -1 where there is none."""
        if not len(self.sites):
            return np.full(len(sites), -1)
        at = np.searchsorted(self.sites, sites)
        at[at == len(self.sites)] = 0
        return np.where(self.sites[at] == sites, at, -1)


def _repeated(
    sites: Int64[np.ndarray, " variants"],
    ends: Int64[np.ndarray, " variants"],
    ref: Int64[np.ndarray, " variants"],
    alt: Int64[np.ndarray, " variants"],
) -> Bool[np.ndarray, " variants"]:
    """Which variants have site, REF and ALT of another; those without a site are passed over."""
    repeated = np.zeros(len(sites), bool)
    is_first = np.append(True, sites[1:] != sites[:-1])[: len(sites)]
    crowded = np.flatnonzero((sites >= 0) & ~(is_first & (ends == np.arange(len(sites)) + 1)))
    if len(crowded):
        keys = pl.DataFrame({"site": sites[crowded], "ref": ref[crowded], "alt": alt[crowded]})
        repeated[crowded] = keys.is_duplicated().to_numpy()
    return repeated
