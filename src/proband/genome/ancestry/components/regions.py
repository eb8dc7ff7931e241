"""Regions of long-range linkage disequilibrium, which would make components of their own."""

from __future__ import annotations

import polars as pl

# Chromosome, first and last megabase. Price 2008 (doi:10.1016/j.ajhg.2008.06.005) and Anderson 2010
# (doi:10.1038/nprot.2010.116), as listed for both builds by the University of Michigan's Genome Analysis
# Wiki ("Regions of high linkage disequilibrium"); of GRCh38, splinters below half a megabase are left out.
_REGIONS = {
    "GRCh37": """1:48-52 2:86-100.5 2:134.5-138 2:183-190 3:47.5-50 3:83.5-87 3:89-97.5 5:44.5-50.5 5:98-100.5
        5:129-132 5:135.5-138.5 6:25-35 6:57-64 6:140-142.5 7:55-66 8:7-13 8:43-50 8:112-115 10:37-43 11:46-57
        11:87.5-90.5 12:33-40 12:109.5-112 20:32-34.5""",
    "GRCh38": """1:47.761740-51.761740 2:85.919365-100.517106 3:47.483505-49.987563 3:83.368158-86.868160
        5:44.464140-51.168409 5:129.636407-132.636409 6:25.391792-33.424245 6:57.788603-58.453888
        6:139.637169-142.137170 7:54.964812-66.897578 8:8.105067-12.105082 8:43.025699-48.924888
        8:110.918594-113.918595 10:36.671065-43.184546 11:88.127183-91.127184 12:32.955798-41.319931
        20:33.948532-36.438183""",
}
_BASES_PER_MEGABASE = 1_000_000


def outside_long_range_ld(build: str | None) -> pl.Expr:
    """Whether ``chrom, pos`` lies outside every such region; true everywhere where the build is unknown.

    >>> sites = pl.DataFrame({"chrom": ["6", "6", "7"], "pos": [30_000_000, 10_000_000, 30_000_000]})
    >>> sites.select(outside_long_range_ld("GRCh38")).to_series().to_list()
    [False, True, True]
    """
    inside = pl.lit(False)
    for region in _REGIONS.get(build or "", "").split():
        chrom, reach = region.split(":")
        low, high = (round(float(edge) * _BASES_PER_MEGABASE) for edge in reach.split("-"))
        inside = inside | ((pl.col("chrom") == chrom) & pl.col("pos").is_between(low, high))
    return ~inside
