import pytest

from matched_rows import VARIANTS, match, one, rows_of, sites_of
from proband.core.schema import MATCH
from proband.genome.matching.match import REASONS, match_rows, report, tally


def reasons(*rows):
    return [found[0] for found in match(*rows)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("1", 10, "A", "G"), ("matched", 0, True, False)),
        (("1", 10, "G", "A"), ("matched", 0, False, False)),
        (("1", 10, "T", "C"), ("matched", 0, True, True)),
        (("1", 10, "C", "T"), ("matched", 0, False, True)),
        (("1", 10, "A", None), ("matched", 0, True, False)),
        (("1", 10, "G", None), ("matched", 0, False, False)),
        (("1", 10, "T", None), ("matched", 0, True, True)),
        (("1", 10, "C", None), ("matched", 0, False, True)),
        (("1", 40, "CAT", "C"), ("matched", 3, False, False)),
        (("1", 40, "GTA", "G"), ("matched", 3, False, True)),
        (("1", 10, "A", "C"), ("allele_mismatch", None, False, False)),
        (("1", 10, "AA", "G"), ("allele_mismatch", None, False, False)),
        (("X", 10, "A", "-"), ("allele_mismatch", None, False, False)),
        (("1", 11, "A", "G"), ("no_variant", None, False, False)),
        (("2", 10, "A", "G"), ("no_variant", None, False, False)),
        ((None, None, "A", "G"), ("no_position", None, False, False)),
        (("1", 10, "N", "P"), ("not_scorable", None, False, False)),
        ((None, None, "N", "P"), ("not_scorable", None, False, False)),
    ],
)
def test_each_rule(row, expected):
    assert one(*row) == expected


def test_strand_ambiguous_variants_are_excluded_unless_trusted():
    assert one("1", 20, "A", "T")[0] == one("1", 20, "T", "A")[0] == one("1", 20, "T", None)[0] == "ambiguous"
    assert one("1", 20, "T", "A", keep_ambiguous=True) == ("matched", 1, False, False)
    assert one("1", 20, "A", "T", keep_ambiguous=True) == ("matched", 1, True, False)


def test_variants_with_several_alt_alleles_are_excluded():
    assert one("1", 30, "C", "G")[0] == "ambiguous"  # C/G: named by the first reason that holds
    assert one("1", 30, "T", "C")[:2] == ("multiallelic", 2)


def test_alleles_choose_among_variants_of_one_position():
    assert one("1", 50, "A", "G") == ("matched", 4, False, False)
    assert one("1", 50, "A", None) == ("matched", 4, False, False)
    # G is REF of both; the first of equal matches is kept.
    assert one("1", 50, "G", None) == ("matched", 4, True, False)


def test_a_match_on_the_same_strand_goes_before_a_flip():
    variants = [("1", 5, "T", "C"), ("1", 5, "A", "G")]
    assert one("1", 5, "A", "G", variants=variants) == ("matched", 1, True, False)
    assert one("1", 5, "C", None, variants=variants) == ("matched", 0, False, False)


def test_first_of_equal_variants_is_kept():
    assert one("1", 60, "T", "C")[:2] == ("matched", 6)


def test_rows_on_one_variant_are_all_excluded():
    rows = [("1", 10, "A", "G"), ("1", 50, "A", "G"), ("1", 10, "C", "T")]
    assert reasons(*rows) == ["duplicated", "matched", "duplicated"]
    assert reasons(*rows[1:]) == ["matched", "matched"]


def test_a_mismatched_row_does_not_make_another_a_duplicate():
    assert reasons(("1", 10, "A", "G"), ("1", 10, "A", "C")) == ["matched", "allele_mismatch"]


def test_report_adds_up_and_rates_over_all_rows():
    rows = [
        ("1", 10, "T", "C"),
        ("1", 20, "A", "T"),
        ("1", 30, "T", "C"),
        ("1", 99, "A", "G"),
        (None, None, "A", "G"),
    ]
    rows += [
        ("6", 1, "P", "N"),
        ("1", 60, "A", "C"),
        ("1", 40, "CAT", "C"),
        ("1", 50, "A", "G"),
        ("1", 50, "A", None),
    ]
    others = [("1", 10, "A", "G"), ("1", 99, "A", "G")]
    found = [match_rows(rows_of(given), sites_of()) for given in (rows, others)]
    table = report(["PGS1", "PGS2"], [tally(item) for item in found], 0.5)
    MATCH.check(table, "test")
    first, second = table.rows(named=True)
    assert {name: first[f"num_{name}"] for name in REASONS} == {
        "matched": 2, "not_scorable": 1, "no_position": 1, "no_variant": 1,
        "allele_mismatch": 1, "ambiguous": 1, "multiallelic": 1, "duplicated": 2,
    }  # fmt: skip
    assert (first["num_rows"], first["num_flipped"], first["match_rate"], first["kept"]) == (
        10,
        1,
        0.2,
        False,
    )
    assert (second["pgs_id"], second["match_rate"], second["kept"]) == ("PGS2", 0.5, True)


def test_a_score_without_any_match_is_left_out_at_any_rate():
    found = match_rows(rows_of([("1", 99, "A", "G")]), sites_of())
    assert report(["PGS1"], [tally(found)], 0.0)["kept"].to_list() == [False]


def test_row_order_does_not_matter():
    rows = [("1", 10, "A", "G"), ("1", 50, "C", "G"), ("1", 20, "A", "T"), ("1", 60, "T", "C")]
    assert match(*rows) == match(*rows[::-1])[::-1]


def test_variants_in_any_order_are_found():
    rows = [("1", 10, "A", "G"), ("X", 10, "A", "-"), ("1", 50, "A", "G")]
    assert [found[1] for found in match(*rows, variants=VARIANTS[::-1])] == [8, None, 4]


@pytest.mark.parametrize("chrom", ["HLA-A", "GL000192.1"])
def test_nothing_is_matched_on_further_contigs(chrom):
    assert one(chrom, 10, "A", "G", variants=[(chrom, 10, "A", "G")])[0] == "no_variant"


def test_long_alleles_match_on_both_strands():
    long = "ACGT" * 20
    strand = long.translate(str.maketrans("ACGT", "TGCA"))
    variants = [("1", 5, "A", long)]
    assert one("1", 5, long, "A", variants=variants) == ("matched", 0, False, False)
    assert one("1", 5, strand, "T", variants=variants) == ("matched", 0, False, True)
    assert one("1", 5, long[:-1], "A", variants=variants)[0] == "allele_mismatch"
