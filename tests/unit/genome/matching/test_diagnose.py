"""Which remedy a score left out is given, by what the data show."""

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import MATCH
from proband.genome import GenomeConfig, genome

SITES = [("1", 10 * row, "A", "G") for row in range(1, 21)]
CALLS = [[0, 1, 2]] * 20
BOTH = ["chr_name", "chr_position", "hm_chr", "hm_pos", "effect_allele", "other_allele", "effect_weight"]
BY_ID = GenomeConfig(match_by="id")
GOOD = [[chrom, pos, alt, ref, 1] for chrom, pos, ref, alt in SITES]


@pytest.fixture
def remedy(pgen, scores, tmp_path, capsys):
    """The remedy for a score of the given rows, beside one that matches well; it is on the terminal too."""

    def of(rows, *columns, sites=SITES, **options):
        scores("GOOD.txt", GOOD)
        folder = scores("BAD.txt", rows, *columns)
        genome(pgen(sites, CALLS), folder, tmp_path / "genome", overwrite=True, **options)
        match = MATCH.read(tmp_path / "genome" / "match.parquet")
        found = match.filter(pl.col("pgs_id") == "BAD")["remedy"][0]
        assert match.filter(pl.col("pgs_id") == "GOOD")["remedy"][0] == ""
        assert f"remedy: {found}" in capsys.readouterr().err
        table = pl.read_csv(tmp_path / "genome" / "match.tsv", separator="\t")
        assert table.filter(pl.col("pgs_id") == "BAD")["remedy"][0] == found
        return found

    return of


def test_wrong_build_by_the_author_positions(remedy):
    rows = [["1", pos, "1", pos + 3, "G", "A", 1] for _, pos, _, _ in SITES]
    found = remedy(rows, BOTH)
    assert found.startswith("wrong genome build")
    assert "20 of 20 found" in found


def test_absent_variants(remedy):
    assert "impute them; sites where nobody varies" in remedy([["1", 7, "G", "A", 1], *GOOD[:1]])


def test_absent_chromosomes(remedy):
    rows = [["7", 5, "G", "A", 1], ["X", 5, "G", "A", 1], ["1", 7, "G", "A", 1]]
    assert remedy(rows).startswith("the genotypes hold no chromosome 7, X: give all files")


def test_other_alleles(remedy):
    rows = [[chrom, pos, "C", "G", 1] for chrom, pos, _, _ in SITES]
    assert "effect_allele and other_allele hold what they should" in remedy(rows)


def test_ambiguous_variants(remedy):
    sites = [*SITES[:15], *((chrom, pos, "A", "T") for chrom, pos, _, _ in SITES[15:])]
    rows = [[chrom, pos, "A", "T", 1] for chrom, pos, _, _ in SITES[15:]]
    assert "--keep-ambiguous" in remedy(rows, sites=sites)


def test_rows_of_one_variant(remedy):
    assert "names a variant more than once" in remedy([GOOD[0], GOOD[0], GOOD[1], GOOD[1]])


@pytest.mark.parametrize(
    "columns", [(), (["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"],)]
)
def test_positions_that_are_no_numbers(remedy, columns):
    found = remedy([["1", "1,000,010", "G", "A", 1], ["1", "1,000,020", "G", "A", 1], GOOD[0]], *columns)
    assert found == "'1,000,010' is no number: write positions as whole numbers without marks between digits"


def test_no_positions(remedy):
    assert "harmonised file" in remedy([[None, None, "A", "G", 1], GOOD[0]])


def test_haplotypes(remedy):
    assert "cannot be scored from single variants" in remedy([["6", 5, "P", "N", 1]])


def test_swapped_alleles_do_not_change_a_match_rate(pgen, scores, tmp_path):
    rows = [[chrom, pos, ref, alt, 1] for chrom, pos, ref, alt in SITES]
    scores("SWAPPED.txt", rows)
    genome(pgen(SITES, CALLS), scores("GOOD.txt", GOOD), tmp_path / "genome")
    match = MATCH.read(tmp_path / "genome" / "match.parquet")
    assert match["match_rate"].to_list() == [1, 1]


def test_unknown_chromosome_names(vcf, scores, tmp_path):
    path = vcf([f"NC_000001.11 {pos} A G GT 0/0 0/1 1/1" for pos in (10, 20)])
    with pytest.raises(DataError, match="chromosome names of the genotypes are unknown: name them 1 to 22"):
        genome(path, scores("A.txt", GOOD), tmp_path / "genome")


IDS = ["rsID", "effect_allele", "other_allele", "effect_weight"]


@pytest.mark.parametrize("kind", ["pgen", "vcf"])
def test_match_by_identifier(pgen, vcf, scores, tmp_path, kind):
    if kind == "pgen":
        path = pgen(
            [("1", 10, "A", "G"), ("1", 20, "C", "T"), ("1", 20, "C", "CA")],
            [[0, 1, 2], [2, 0, 1], [0, 0, 0]],
        )
        path.with_suffix(".pvar").write_text(
            "#CHROM\tPOS\tID\tREF\tALT\n1\t10\trs1\tA\tG\n1\t20\trs2\tC\tT\n1\t20\trs2\tC\tCA\n"
        )
    else:
        path = vcf(["1 10 A G GT 0/0 0/1 1/1", "1 20 C T GT 1/1 0/0 0/1"])
        path.write_text(path.read_text().replace("1\t10\t.", "1\t10\trs1").replace("1\t20\t.", "1\t20\trs2"))
    rows = [["rs1", "G", "A", 1], ["rs2", "C", "T", 10], ["rs3", "A", "G", 5], [None, "A", "G", 5]]
    genome(
        path,
        scores("A.txt", rows, IDS),
        tmp_path / "genome",
        config=GenomeConfig(match_by="id", min_match_rate=0.5),
    )
    found = pl.read_parquet(tmp_path / "genome" / "scores.parquet")
    assert found["A"].to_list() == [0, 21, 12]
    match = MATCH.read(tmp_path / "genome" / "match.parquet")
    assert match.select("num_matched", "num_no_variant", "num_no_position").row(0) == (2, 1, 1)


def test_identifiers_of_several_sites_are_no_place(pgen, scores, tmp_path):
    path = pgen(SITES, CALLS)
    rows = "".join(f"1\t{pos}\trs{pos // 30}\tA\tG\n" for _, pos, _, _ in SITES)
    path.with_suffix(".pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + rows)
    with pytest.raises(DataError, match="its identifiers are not in the genotypes"):
        genome(path, scores("A.txt", [["rs1", "G", "A", 1]], IDS), tmp_path / "genome", config=BY_ID)
