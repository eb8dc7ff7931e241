import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.genome.genotypes.alleles import (
    NO_ALLELE,
    NO_SITE,
    allele_codes,
    chromosome_numbers,
    complement_codes,
    is_nucleotides,
    row_sites,
    variant_sites,
)

ALLELE = st.text("ACGT", min_size=1, max_size=40) | st.sampled_from(
    ["<DEL>", "-", "P", "N", "A/T", "AN", "é", ""]
)
STRAND = str.maketrans("ACGT", "TGCA")


@given(alleles=st.lists(st.none() | ALLELE, max_size=30))
def test_codes_are_equal_where_alleles_are(alleles):
    codes = allele_codes(pl.Series(alleles, dtype=pl.String))
    for one, code in zip(alleles, codes, strict=True):
        assert (code == NO_ALLELE) == (one is None)
        for other, other_code in zip(alleles, codes, strict=True):
            assert (code == other_code) == (one == other)


@given(alleles=st.lists(ALLELE, min_size=1, max_size=30))
def test_case_does_not_matter_and_complements_are_those_of_the_letters(alleles):
    codes = allele_codes(pl.Series(alleles))
    np.testing.assert_array_equal(allele_codes(pl.Series([allele.lower() for allele in alleles])), codes)
    is_sequence = np.array([bool(allele) and not set(allele) - set("ACGT") for allele in alleles])
    np.testing.assert_array_equal(is_nucleotides(codes), is_sequence)
    strands = allele_codes(pl.Series([allele.translate(STRAND) for allele in alleles]))
    np.testing.assert_array_equal(complement_codes(codes), np.where(is_sequence, strands, NO_ALLELE))


@given(
    names=st.lists(
        st.none() | st.sampled_from(["1", "chr1", "X", "23", "chr10", "GL000192.1_random_long", ""]),
        max_size=40,
    )
)
def test_chromosomes_in_any_order(names):
    expected = {"1": 1, "chr1": 1, "X": 23, "23": 23, "chr10": 10}
    found = chromosome_numbers(pl.Series(names, dtype=pl.String))
    assert found.tolist() == [expected.get(name, 0) for name in names]


def test_slices_of_a_column():
    text = pl.Series(["1", "2", "A", "C", "chr7"])
    assert allele_codes(text[2:4]).tolist() == [4, 5]
    assert chromosome_numbers(text[4:]).tolist() == [7]


@pytest.mark.parametrize(
    ("chrom", "pos", "kind"),
    [
        ("1", None, "none"),
        (None, 5, "none"),
        ("HLA", 5, "other"),
        ("1", -5, "none"),
        ("1", 0, "none"),
        ("1", 2**40, "other"),
    ],
)
def test_sites_that_match_nothing(chrom, pos, kind):
    columns = pl.Series([chrom], dtype=pl.String), pl.Series([pos], dtype=pl.Int64)
    row, variant = row_sites(*columns)[0], variant_sites(*columns)[0]
    assert row < 0
    assert (row == NO_SITE) == (kind == "none")
    assert row != variant
