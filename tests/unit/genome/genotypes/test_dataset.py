import polars as pl

from proband.genome.genotypes.strands import per_allele


def test_one_row_per_alt_allele():
    rows = pl.DataFrame({"chrom": ["1", "1"], "pos": [5, 6], "ref": ["a", "C"], "alt": ["G", "g,<DEL>"]})
    assert per_allele(rows).rows() == [
        (0, "1", 5, "A", "G", False, False),
        (1, "1", 6, "C", "G", True, True),
        (1, "1", 6, "C", "<DEL>", True, False),
    ]
