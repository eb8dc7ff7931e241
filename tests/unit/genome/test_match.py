import polars as pl
import pytest

from proband.core.schema import MATCH
from proband.genome.genotypes import per_allele
from proband.genome.match import REASONS, match_rows, report

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


def match(*rows, variants=VARIANTS, **options):
    """Rows are (chrom, pos, effect, other) or with a score number after."""
    variants = pl.DataFrame(
        variants,
        schema={"chrom": pl.String, "pos": pl.Int64, "ref": pl.String, "alt": pl.String},
        orient="row",
    )
    full = [(*row[:4], row[4] if len(row) > 4 else 0) for row in rows]
    schema = {
        "chrom": pl.String,
        "pos": pl.Int64,
        "effect_allele": pl.String,
        "other_allele": pl.String,
        "score": pl.Int32,
    }
    frame = pl.DataFrame(full, schema=schema, orient="row").with_columns(
        is_scorable=pl.col("effect_allele").str.contains("^[ACGT]+$").fill_null(False)
    )
    return match_rows(frame, per_allele(variants), **options)


def one(*row, **options):
    found = match(row, **options).row(0, named=True)
    return found["reason"], found["index"], found["is_reversed"], found["is_flipped"]


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


def test_rows_on_one_variant_are_all_excluded_within_a_score_only():
    rows = [("1", 10, "A", "G"), ("1", 10, "C", "T"), ("1", 50, "A", "G"), ("1", 10, "G", "A", 1)]
    assert match(*rows)["reason"].to_list() == ["duplicated", "duplicated", "matched", "matched"]


def test_a_mismatched_row_does_not_make_another_a_duplicate():
    assert match(("1", 10, "A", "G"), ("1", 10, "A", "C"))["reason"].to_list() == [
        "matched",
        "allele_mismatch",
    ]


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
    rows += [("1", 10, "A", "G", 1), ("1", 99, "A", "G", 1)]
    table = report(match(*rows), ["PGS1", "PGS2"], 0.5)
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
    assert report(match(("1", 99, "A", "G")), ["PGS1"], 0.0)["kept"].to_list() == [False]


def test_row_order_does_not_matter():
    rows = [("1", 10, "A", "G"), ("1", 50, "C", "G"), ("1", 20, "A", "T"), ("1", 60, "T", "C")]
    forward, backward = match(*rows), match(*rows[::-1])
    assert forward.select("pos", "index", "reason").equals(
        backward.reverse().select("pos", "index", "reason")
    )
