"""What a message tells the user to do, done: the same data with the remedy applied give the right scores."""

import json
import re

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import MATCH, SCORES
from proband.genome import GenomeConfig, genome, genome_from_scores
from proband.genome.matching.match import REASONS

SITES = [("1", 10 * row, "A", "G") for row in range(1, 9)]
CALLS = [[0, 1, 2]] * 8
BY_ID = GenomeConfig(match_by="id")
ROWS = [[chrom, pos, "G", "A", 1] for chrom, pos, _, _ in SITES]
OWN = ["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]


@pytest.fixture
def told(tmp_path):
    """The one line of a run that fails."""

    def of(*inputs, **options):
        with pytest.raises(DataError) as caught:
            genome(*inputs, tmp_path / "fails", **options)
        assert not (tmp_path / "fails").exists()
        assert "\n" not in str(caught.value)
        return re.sub(".*remedy: ", "", str(caught.value))

    return of


@pytest.fixture
def sums(tmp_path):
    """The sums of a run that does not fail, one list per score."""

    def of(*inputs, **options):
        genome(*inputs, tmp_path / "works", **options)
        found = SCORES.read(tmp_path / "works" / "scores.parquet").drop("subject_id")
        return {name: found[name].to_list() for name in found.columns}

    return of


def test_keep_ambiguous(pgen, scores, told, sums):
    path = pgen([(chrom, pos, "A", "T") for chrom, pos, _, _ in SITES], CALLS)
    folder = scores("S.txt", [[chrom, pos, "T", "A", 1] for chrom, pos, _, _ in SITES])
    assert "pass --keep-ambiguous" in told(path, folder)
    assert sums(path, folder, config=GenomeConfig(keep_ambiguous=True)) == {"S": [0, 8, 16]}


def test_one_line_per_allele(vcf, scores, told, sums):
    """As ``bcftools norm -m-`` splits it."""
    folder = scores("S.txt", [["1", 10, "G", "A", 1]])
    whole = vcf(["1 10 A G,T GT 0/1 1/1 0/2"], name="whole.vcf")
    assert "one line per ALT allele (bcftools norm -m-)" in told(whole, folder)
    split = vcf(["1 10 A G GT 0/1 1/1 0/0", "1 10 A T GT 0/0 0/0 0/1"], name="split.vcf")
    assert sums(split, folder) == {"S": [1, 2, 0]}


@pytest.mark.parametrize("given", ["harmonised", "identifiers"])
def test_rows_without_position(pgen, scores, told, sums, given):
    path = pgen(SITES, CALLS)
    columns = ["rsID", "hm_chr", "hm_pos", *OWN[2:]]
    folder = scores("S.txt", [[f"v{row}", None, None, "G", "A", 1] for row in range(8)], columns)
    assert "give the harmonised file of the PGS Catalog, or --match-by id" in told(path, folder)
    if given == "harmonised":
        rows = [[f"v{row}", "1", 10 * row + 10, "G", "A", 1] for row in range(8)]
        assert sums(path, scores("S.txt", rows, columns)) == {"S": [0, 8, 16]}
    else:
        assert sums(path, folder, config=BY_ID) == {"S": [0, 8, 16]}


def test_scoring_file_without_positions(pgen, scores, told, sums):
    folder = scores("S.txt", [[f"v{row}", "G", "A", 1] for row in range(8)], ["rsID", *OWN[2:]])
    assert "or --match-by id" in told(pgen(SITES, CALLS), folder)
    assert sums(pgen(SITES, CALLS), folder, config=BY_ID) == {"S": [0, 8, 16]}


def test_a_variant_twice_in_a_scoring_file(pgen, scores, told, sums):
    folder = scores("S.txt", ROWS + ROWS)
    assert "names a variant more than once; mend it" in told(pgen(SITES, CALLS), folder)
    assert sums(pgen(SITES, CALLS), scores("S.txt", ROWS)) == {"S": [0, 8, 16]}


def test_chromosome_names(pgen, scores, told, sums):
    path = pgen([(f"NC_00000{chrom}", pos, ref, alt) for chrom, pos, ref, alt in SITES], CALLS)
    assert "name them 1 to 22, X, Y, MT, with chr or without" in told(path, scores("S.txt", ROWS))
    path = pgen([(f"chr{chrom}", pos, ref, alt) for chrom, pos, ref, alt in SITES], CALLS)
    assert sums(path, scores("S.txt", ROWS)) == {"S": [0, 8, 16]}


def test_all_files_by_a_pattern(vcf, tmp_path, scores, told, sums):
    one = vcf([f"1 {pos} A G GT 0/0 0/1 1/1" for pos in (10, 20)], name="chr1.vcf")
    vcf([f"2 {pos} A G GT 0/0 0/1 1/1" for pos in (10, 20)], name="chr2.vcf")
    folder = scores("S.txt", [[chrom, pos, "G", "A", 1] for chrom in ("1", "2") for pos in (10, 20)])
    assert "no chromosome 2: give all files, as a pattern such as 'chr{chrom}.pgen'" in told(one, folder)
    assert sums(tmp_path / "chr{chrom}.vcf", folder) == {"S": [0, 4, 8]}


def test_a_lower_match_rate(pgen, scores, told, sums):
    folder = scores("S.txt", [*ROWS[:2], ["9", 5, "G", "A", 1], ["1", 10, "C", "T", 1]])
    assert told(pgen(SITES, CALLS), folder).endswith("or lower --min-match-rate")
    folder = scores("S.txt", [*ROWS[:2], ["9", 5, "G", "A", 1], ["9", 6, "G", "A", 1]])
    assert sums(pgen(SITES, CALLS), folder, config=GenomeConfig(min_match_rate=0.5)) == {"S": [0, 2, 4]}


def test_one_of_two_equal_variants(pgen, scores, told, sums):
    folder = scores("S.txt", ROWS)
    assert "keep one of them (plink2" in told(pgen([*SITES, SITES[0]], [*CALLS, [2, 2, 2]]), folder)
    assert sums(pgen(SITES, CALLS), folder) == {"S": [0, 8, 16]}


def test_names_of_scores(pgen, tmp_path, told, sums):
    folder = tmp_path / "two"
    folder.mkdir()
    body = "\t".join(OWN) + "\n" + "\n".join("\t".join(map(str, row)) for row in ROWS) + "\n"
    (folder / "a.b.txt").write_text(body)
    (folder / "a.b.tsv").write_text(body)
    assert "name the scores by #pgs_id" in told(pgen(SITES, CALLS), folder)
    (folder / "a.b.tsv").write_text("#pgs_id=other\n" + body)
    assert sums(pgen(SITES, CALLS), folder) == {"other": [0, 8, 16], "a.b": [0, 8, 16]}


def test_weights_that_are_no_ratios(pgen, scores, told, sums):
    rows = [[chrom, pos, effect, other, -1] for chrom, pos, effect, other, _ in ROWS]
    folder = scores("S.txt", rows, OWN, weight_type="OR")
    assert "header's weight_type if these are logarithms" in told(pgen(SITES, CALLS), folder)
    assert sums(pgen(SITES, CALLS), scores("S.txt", rows, OWN, weight_type="beta")) == {"S": [0, -8, -16]}


def test_a_column_of_odds_ratios(pgen, scores, told, sums, tmp_path, capsys):
    rows = [[chrom, pos, effect, other, 2] for chrom, pos, effect, other, _ in ROWS]
    folder = scores("S.txt", rows, [*OWN[:4], "OR"])
    remedy = told(pgen(SITES, CALLS), folder)
    assert remedy.startswith(
        "call the column of weights effect_weight; of odds ratios, below a line #weight_type=OR"
    )
    found = sums(pgen(SITES, CALLS), scores("S.txt", rows, OWN, weight_type="OR"))
    np.testing.assert_allclose(found["S"], 8 * np.log(2) * np.array([0, 1, 2]), rtol=1e-6)
    assert (
        "weights of 1 scores are ratios, of which the logarithm is taken (first: S" in capsys.readouterr().err
    )
    counts = json.loads((tmp_path / "works" / "manifest.json").read_text())["counts"]
    assert counts["num_scores_logarithm_taken"] == 1
    assert json.loads((tmp_path / "works" / "scores.json").read_text())["S"]["logarithm_of"] == "OR"


def test_a_score_in_two_tables(tmp_path):
    """Each score once, or the same scores in every file, which are added."""
    paths = [tmp_path / name for name in ("one.tsv", "two.tsv")]
    for path, text in zip(paths, ("IID\tA\n1\t2\n", "IID\tA\tB\n1\t3\t4\n"), strict=True):
        path.write_text(text)
    with pytest.raises(DataError, match="give each score once, or the same scores in every file"):
        genome_from_scores(paths, tmp_path / "fails")
    paths[1].write_text("IID\tB\n1\t4\n")
    genome_from_scores(paths, tmp_path / "once")
    assert SCORES.read(tmp_path / "once" / "scores.parquet").rows() == [(1, 2, 4)]
    paths[1].write_text("IID\tA\n1\t3\n")
    genome_from_scores(paths, tmp_path / "added")
    assert SCORES.read(tmp_path / "added" / "scores.parquet").rows() == [(1, 5)]


def test_every_row_of_a_scoring_file_is_used_or_counted(pgen, scores, tmp_path):
    """One row of every fate, and blank lines: they add up, in the report and in the manifest."""
    sites = [("1", 10, "A", "G"), ("1", 20, "A", "T"), ("1", 40, "A", "G"), ("1", 50, "A", ".")]
    odd = [
        ["1", 10, "G", "A", 1], ["1", 50, "G", "A", 1], ["1", 20, "A", "T", 1], ["1", 40, "G", "A", 1],
        ["1", 40, "A", "G", 1], ["1", 10, "C", "G", 1], ["1", 99, "G", "A", 1], ["", "", "G", "A", 1],
        ["1", "ten", "G", "A", 1], ["1", 10, "P", "N", 1],
    ]  # fmt: skip
    folder = scores("S.txt", odd, OWN)
    lines = (folder / "S.txt").read_text() + "\n\n"
    (folder / "S.txt").write_text(lines)
    genome(
        pgen(sites, [[0, 1, 2]] * 3 + [[0] * 3]),
        folder,
        tmp_path / "out",
        config=GenomeConfig(min_match_rate=0.1),
    )
    row = MATCH.read(tmp_path / "out" / "match.parquet").row(0, named=True)
    assert sum(row[f"num_{name}"] for name in REASONS) == row["num_rows"] == len(odd)
    left_out = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]["rows_left_out"]
    by_reason = {entry["reason"]: (entry["num_rows"], entry["first"]) for entry in left_out}
    assert by_reason == {
        "haplotype, interaction or no nucleotide allele": (1, "row 10 of S.txt"),
        "no position": (2, "row 8 of S.txt"),
        "no variant at the position": (1, "row 7 of S.txt"),
        "other alleles at the position": (1, "row 6 of S.txt"),
        "strand-ambiguous": (1, "row 3 of S.txt"),
        "several rows on one variant": (2, "row 4 of S.txt"),
        "blank line": (2, "S.txt"),
    }
    num_lines = len([line for line in lines.split("\n")[:-1] if not line.startswith("#")]) - 1
    assert row["num_matched"] + sum(number for number, _ in by_reason.values()) == num_lines


def test_every_line_of_a_list_of_variants_is_used_or_told(pgen, scores, tmp_path):
    (tmp_path / "list.txt").write_text('1:10:A:G\n\n "1:10:A:T" \nv3\nrs_of_nobody\n9:9:A:G\n\n')
    genome(pgen(SITES, CALLS), scores("S.txt", ROWS), tmp_path / "out", variants=tmp_path / "list.txt")
    report = pl.read_csv(tmp_path / "out" / "variants.tsv", separator="\t")
    assert report["name"].to_list() == ["1:10:A:G", "1:10:A:T", "v3", "rs_of_nobody", "9:9:A:G"]
    assert report["status"].null_count() == 0
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert (counts["num_variants_listed"], counts["num_variants_listed_found"]) == (5, 2)
