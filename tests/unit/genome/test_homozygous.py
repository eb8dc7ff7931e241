"""Sites where nobody varies: ALT ``.`` of a VCF called at all sites, allele 0 of a .bim."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bed_files import write_bed_of
from matched_rows import match, one
from proband.core.schema import MATCH, SCORES
from proband.genome import genome

LETTERS = st.sampled_from("ACGT")


@pytest.mark.parametrize("absent", [".", "0", "<NON_REF>", "<*>"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("G", "A"), ("matched", 0, False, False)),  # 0 of an allele that nobody has
        (("A", "G"), ("matched", 0, True, False)),  # 2 of REF
        (("C", "T"), ("matched", 0, False, True)),  # the same on the other strand
        (("T", "C"), ("matched", 0, True, True)),
        (("A", None), ("matched", 0, True, False)),
        (("G", None), ("matched", 0, False, False)),
        (("A", "T"), ("ambiguous", 0, True, False)),
        (("T", None), ("ambiguous", 0, False, False)),
        (("C", "G"), ("allele_mismatch", None, False, False)),
        (("AT", "A"), ("allele_mismatch", None, False, False)),  # which bases an indel changes is not told
        (("A", "AT"), ("allele_mismatch", None, False, False)),
        (("P", "N"), ("not_scorable", None, False, False)),
    ],
)
def test_every_kind_of_row(row, expected, absent):
    found = one("1", 10, *row, variants=[("1", 10, "A", absent)])
    assert found[:2] == expected[:2]
    if expected[0] == "matched":
        assert found == expected


def test_trusted_strands():
    variants = [("1", 10, "A", ".")]
    assert one("1", 10, "A", "T", variants=variants, keep_ambiguous=True) == ("matched", 0, True, False)
    assert one("1", 10, "T", "A", variants=variants, keep_ambiguous=True) == ("matched", 0, False, False)


def test_a_variant_goes_before_a_site_where_nobody_varies():
    variants = [("1", 10, "A", "."), ("1", 10, "A", "G")]
    assert one("1", 10, "G", "A", variants=variants)[1] == 1
    assert one("1", 10, "C", "A", variants=variants)[1] == 0


@given(ref=LETTERS, effect=LETTERS, other=LETTERS)
def test_as_if_the_other_allele_were_the_one_that_nobody_has(ref, effect, other):
    """A row counts at ``ref .`` what it counts at the site with its own allele written out as ALT."""
    found = one("1", 10, effect, other, variants=[("1", 10, ref, ".")])
    turned = {"A": "T", "T": "A", "C": "G", "G": "C"}
    alts = {effect, other, turned[effect], turned[other]} - {ref}
    written = [one("1", 10, effect, other, variants=[("1", 10, ref, alt)]) for alt in sorted(alts)]
    fates = {item for item in written if item[0] in ("matched", "ambiguous")}
    if effect == other:
        assert found[0] == "allele_mismatch"
    elif found[0] == "matched":
        assert found in fates
    else:
        assert not any(fate[0] == "matched" for fate in fates)


VARYING = ["1 100 A G GT 0/0 0/1 1/1", "1 200 C T GT 0/1 0/0 ./."]
CONSTANT = ["1 300 A . GT 0/0 0/0 0/0", "1 400 T . GT 0/0 ./. 0/0", "2 500 G . GT 0/0 0/0 0/0"]
ROWS = [["1", 100, "G", "A", 1], ["1", 200, "T", "C", 2], ["1", 300, "G", "A", 4], ["1", 400, "T", "C", 8],
        ["2", 500, "G", "A", 16]]  # fmt: skip
# The missing call of 200 counts its mean, 1/2; those of constant sites theirs: 2 of T.
EXPECTED = np.array([0 + 2, 1 + 0, 2 + 1]) + 2 * 8 + 2 * 16


def sums(folder):
    return SCORES.read(folder / "scores.parquet").drop("subject_id").to_numpy()[:, 0]


def test_the_remedy_of_absent_variants(vcf, scores, tmp_path, capsys):
    """Variants only: left out, told to call the sites. The sites called: all rows count, and are counted."""
    scores("GOOD.txt", ROWS[:2])
    folder = scores("PGS.txt", ROWS)
    genome(vcf(VARYING, name="variants.vcf"), folder, tmp_path / "before")
    assert "PGS left out" in (said := capsys.readouterr().err)
    assert "sites where nobody varies, absent from whole-genome VCFs, must be called as homozygous" in said
    (folder / "GOOD.txt").unlink()
    genome(vcf(VARYING + CONSTANT, name="all.vcf"), folder, tmp_path / "after")
    np.testing.assert_allclose(sums(tmp_path / "after"), EXPECTED, rtol=1e-6)
    report = MATCH.read(tmp_path / "after" / "match.parquet").row(0, named=True)
    assert (report["num_matched"], report["num_homozygous_reference"], report["num_rows"]) == (5, 3, 5)
    manifest = json.loads((tmp_path / "after" / "manifest.json").read_text())
    assert manifest["counts"]["num_rows_homozygous_reference"] == 3


@pytest.mark.parametrize("kind", ["bim", "pvar"])
def test_in_plink_files(tmp_path, scores, pgen, kind):
    calls = np.array([[0, 1, 2], [0, 0, 0], [0, 0, 0]])
    sites = [("1", 100, "A", "G"), ("1", 300, "A", "." if kind == "pvar" else "0"), ("1", 400, "T", ".")]
    path = pgen(sites, calls) if kind == "pvar" else write_bed_of(tmp_path / "toy", sites, calls)
    folder = scores("PGS.txt", [["1", 100, "G", "A", 1], ["1", 300, "G", "A", 4], ["1", 400, "T", "C", 8]])
    genome(path, folder, tmp_path / "out")
    np.testing.assert_allclose(sums(tmp_path / "out"), np.array([0, 1, 2]) + 16, rtol=1e-6)


def test_lists_of_variants(vcf, scores, tmp_path):
    (tmp_path / "list.txt").write_text("1:300:A:G\n1:300:G:A\n1:100:A:G\n")
    path = vcf(VARYING + CONSTANT)
    genome(path, scores("PGS.txt", ROWS), tmp_path / "out", variants=tmp_path / "list.txt")
    found = pl.read_parquet(tmp_path / "out" / "dosages.parquet")
    assert found.select("1:300:A:G", "1:300:G:A").rows() == [(0, 2)] * 3
    assert found["1:100:A:G"].to_list() == [0, 1, 2]


def test_rows_are_told_apart():
    rows = [("1", 10, "G", "A"), ("1", 20, "C", "T"), ("1", 99, "C", "T")]
    variants = [("1", 10, "A", "."), ("1", 20, "T", "C")]
    assert [row[0] for row in match(*rows, variants=variants)] == ["matched", "matched", "no_variant"]
