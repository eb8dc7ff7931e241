import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bed_files import write_bed_of
from proband.core.errors import DataError
from proband.core.schema import SCORES
from proband.genome import GenomeConfig, genome
from proband.genome.genotypes.formats.plink import open_plink, read_samples, read_variants

SITES = [("chr1", 10, "A", "G"), ("1", 20, "C", "T"), ("23", 30, "G", "A")]
CALLS = np.array([[0, 1, 2, -9, 0], [2, 2, 1, 0, 0], [1, -9, -9, 0, 2]])


def write_bed(stem: Path, calls: np.ndarray) -> Path:
    return write_bed_of(stem, SITES, calls)


def all_of(genotypes):
    return genotypes.reader.read(
        np.arange(genotypes.num_variants, dtype=np.uint32), 0, len(genotypes.sample_ids)
    )


def test_pgen(pgen):
    found = open_plink(pgen(SITES, CALLS))
    assert found.variants.select("index", "chrom", "pos", "ref", "alt").rows() == [
        (0, "1", 10, "A", "G"), (1, "1", 20, "C", "T"), (2, "X", 30, "G", "A"),
    ]  # fmt: skip
    assert found.sample_ids == ["1", "2", "3", "4", "5"]
    assert not found.is_male.any()
    np.testing.assert_array_equal(all_of(found), CALLS)
    assert [path.name for path in found.files] == ["toy.pgen", "toy.pvar", "toy.psam"]


def test_bed_counts_a1_as_alt(tmp_path):
    found = open_plink(write_bed(tmp_path / "toy", CALLS))
    assert found.variants.select("pos", "ref", "alt").rows() == [
        (10, "A", "G"),
        (20, "C", "T"),
        (30, "G", "A"),
    ]
    np.testing.assert_array_equal(all_of(found), CALLS)
    assert found.is_male.tolist() == [True, False, True, False, True]


def test_chosen_variants_of_a_range_of_samples(pgen):
    reader = open_plink(pgen(SITES, CALLS)).reader
    chosen = np.array([0, 2], np.uint32)
    np.testing.assert_array_equal(reader.read(chosen, 1, 4), CALLS[[0, 2], 1:4])
    np.testing.assert_array_equal(reader.read(chosen, 4, 5), CALLS[[0, 2], 4:])
    np.testing.assert_array_equal(reader.read(chosen, 0, 5), CALLS[[0, 2]])


def test_several_alt_alleles(tmp_path):
    import pgenlib

    with pgenlib.PgenWriter(
        str(tmp_path / "a.pgen").encode(), 2, variant_ct=2, nonref_flags=False, allele_ct_limit=3
    ) as file:
        file.append_alleles(np.array([0, 1, 1, 2], np.int32), allele_ct=3)
        file.append_alleles(np.array([1, 1, 0, 1], np.int32))
    (tmp_path / "a.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n1\t5\t.\tA\tC,G\n1\t6\t.\tA\tC\n")
    (tmp_path / "a.psam").write_text("#IID\n1\n2\n")
    found = open_plink(tmp_path / "a.pgen")
    assert found.variants["is_multiallelic"].to_list() == [True, True, False]
    assert found.reader.read(np.array([1], np.uint32), 0, 2).tolist() == [[2, 1]]


def test_pvar_header_tells_the_build_and_columns_by_name(tmp_path):
    path = tmp_path / "a.pvar"
    path.write_text("##contig=<ID=1,length=248956422>\n#CHROM\tPOS\tID\tREF\tALT\tINFO\n1\t5\trs1\tA\tG\tx\n")
    rows, build = read_variants(path)
    assert (rows.rows(), build) == ([("1", 5, "A", "G")], "GRCh38")


@pytest.mark.parametrize("text", ["1 rs 0 5 G A\n", "1\trs\t0\t5\tG\tA\n", "1\trs\t5\tG\tA\n"])
def test_bim_and_pvar_without_header(tmp_path, text):
    (tmp_path / "a.bim").write_text(text)
    assert read_variants(tmp_path / "a.bim")[0].rows() == [("1", 5, "A", "G")]


@pytest.mark.parametrize(
    ("text", "names", "male"),
    [
        ("#FID\tIID\tSEX\nf\ta\t1\nf\tb\t2\n", ["a", "b"], [True, False]),
        ("#IID\na\nb\n", ["a", "b"], [False, False]),
        ("##note\n#IID SEX\na M\nb NA\n", ["a", "b"], [True, False]),
        ("f a 0 0 2 -9\nf b 0 0 1 -9\n", ["a", "b"], [False, True]),
    ],
)
def test_samples(tmp_path, text, names, male):
    (tmp_path / "a.psam").write_text(text)
    found = read_samples(tmp_path / "a.psam")
    assert (found[0], found[1].tolist()) == (names, male)


@pytest.mark.parametrize("text", ["", "#FID\tSEX\nf\t1\n", "#FID\tIID\nf\ta\nf\n"])
def test_unusable_samples(tmp_path, text):
    (tmp_path / "a.psam").write_text(text)
    with pytest.raises(DataError, match=r"a\.psam"):
        read_samples(tmp_path / "a.psam")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#CHROM\tPOS\tID\tREF\n1\t5\trs\tA\n", "missing column"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t5\trs\tA\tG\n1\tfive\trs\tA\tG\n", "no integer.*'five' on line 3"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t5\trs\tA\n", "empty values|unreadable"),
        ("#CHROM\tPOS\tID\tREF\tALT\n", "unreadable|empty"),
        ("1\t5\tA\n", "not a table of variants"),
        ("", "not a table of variants"),
    ],
)
def test_unusable_variants(tmp_path, text, message):
    (tmp_path / "a.pvar").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_variants(tmp_path / "a.pvar")
    assert "a.pvar" in str(caught.value)


@pytest.mark.parametrize("suffix", [".pvar", ".psam"])
def test_missing_companion(pgen, suffix):
    path = pgen(SITES, CALLS)
    path.with_suffix(suffix).unlink()
    with pytest.raises(DataError, match=rf"missing companion file.*toy\{suffix}"):
        open_plink(path)


def packed(path: Path) -> Path:
    target = path.with_name(f"{path.name}.zst")
    with pa.CompressedOutputStream(str(target), "zstd") as file:
        file.write(path.read_bytes())
    path.unlink()
    return target


def test_companions_packed_by_zstandard(pgen):
    path = pgen(SITES, CALLS)
    plain = open_plink(path)
    files = [packed(path.with_suffix(suffix)).name for suffix in (".pvar", ".psam")]
    found = open_plink(path)
    assert [file.name for file in found.files] == ["toy.pgen", *files]
    assert found.variants.equals(plain.variants)
    assert found.sample_ids == plain.sample_ids
    np.testing.assert_array_equal(all_of(found), CALLS)


@pytest.mark.parametrize("keep", [3, 40])
def test_damaged_packed_companion(pgen, keep):
    path = pgen([("1", pos, "A", "G") for pos in range(300)], np.zeros((300, 2), int))
    target = packed(path.with_suffix(".pvar"))
    target.write_bytes(target.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"toy\.pvar\.zst") as caught:
        open_plink(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("suffix", "found"), [(".pvar", "3 variants of 5"), (".psam", "3 variants of 5")])
def test_counts_that_do_not_fit(pgen, suffix, found):
    path = pgen(SITES, CALLS)
    companion = path.with_suffix(suffix)
    companion.write_text("".join(companion.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=f"counts do not fit.*found {found} samples.*companion files"):
        open_plink(path)


def test_truncated_bed(tmp_path):
    path = write_bed(tmp_path / "toy", CALLS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"counts do not fit.*toy\.bed.*found 8 bytes.*expected 9 bytes"):
        open_plink(path)


def test_bed_of_another_kind(tmp_path):
    path = write_bed(tmp_path / "toy", CALLS)
    path.write_bytes(b"xyz" + path.read_bytes()[3:])
    with pytest.raises(DataError, match=r"unreadable genotype file.*toy\.bed"):
        open_plink(path)


@pytest.mark.parametrize("content", [b"", b"not a genotype file at all"])
def test_pgen_that_is_none(pgen, content):
    path = pgen(SITES, CALLS)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"unreadable genotype file.*toy\.pgen"):
        open_plink(path)


def test_truncated_pgen(pgen):
    rng = np.random.default_rng(0)
    sites = [("1", pos, "A", "G") for pos in range(200)]
    path = pgen(sites, rng.integers(0, 3, (200, 100)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"unreadable genotype file.*toy\.pgen"):
        all_of(open_plink(path))


CALLS_OF_SIX = np.array([[0, 1, 2, -9, 0], [2, 2, 1, 0, 0], [1, -9, -9, 0, 2]] * 2)


@pytest.mark.parametrize(
    "line",
    [
        "{chrom}\t{id}\t0\t{pos}\t{alt}\t{ref}",
        " {chrom}   {id}  0  {pos}.0  {alt}   {ref} ",
        '"{chrom}"\t"{id}"\t0\t{pos}.0\t"{alt}"\t"{ref}"',
        '"{chrom}" "{id}" 0 {pos:.6e} "{alt}" "{ref}"',
        "{chrom} {id} {pos:.0e} {alt} {ref}",
    ],
    ids=["tabs", "padded", "quoted", "quoted, blanks", "exponents, no centimorgans"],
)
def test_however_a_bim_is_spelt(tmp_path, line):
    path = write_bed(tmp_path / "toy", CALLS)
    rows = [line.format(chrom=c, id=f"v{pos}", pos=pos, alt=a, ref=r) for c, pos, r, a in SITES]
    (tmp_path / "toy.bim").write_text("\n".join(rows) + "\n\n")
    (tmp_path / "toy.fam").write_text("".join(f'"f"  "00{n}" 0 0 1 -9\n' for n in range(5)) + "\n")
    found = open_plink(path, with_ids=True)
    assert found.variants.select("chrom", "pos", "ref", "alt", "id").rows() == [
        ("1", 10, "A", "G", "v10"), ("1", 20, "C", "T", "v20"), ("X", 30, "G", "A", "v30"),
    ]  # fmt: skip
    assert found.sample_ids == [f"00{n}" for n in range(5)]
    np.testing.assert_array_equal(all_of(found), CALLS)


@pytest.mark.parametrize("place", ["0\t0", "0\t5", "1\t0", "1\t-5", "1\tNA", ".\t.", "chrUn_1\t7"])
def test_unplaced_probes_stop_nothing(tmp_path, scores, capsys, place):
    """Three probes of the same two alleles and no place: rows of the .bed that nothing matches."""
    chrom, pos = place.split("\t")
    unplaced = [f"{chrom}\tkgp{number}\t0\t{pos}\tA\tG" for number in range(3)]
    path = write_bed_of(tmp_path / "toy", [*SITES, *SITES], CALLS_OF_SIX)
    lines = (tmp_path / "toy.bim").read_text().splitlines()[:3]
    (tmp_path / "toy.bim").write_text("\n".join(unplaced + lines) + "\n")
    rows = [["1", 10, "G", "A", 1], ["0", 0, "A", "G", 7], ["1", 0, "A", "G", 9], ["1", 20, "T", "C", 0]]
    genome(path, scores("S.txt", rows), tmp_path / "out", config=GenomeConfig(min_match_rate=0.5))
    found = SCORES.read(tmp_path / "out" / "scores.parquet")["S"].to_list()
    assert found == [0, 1, 2, 0.75, 0]  # the missing call counts the mean of 0, 1, 2, 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["num_variants_unplaced"] == 3
    assert manifest["counts"]["num_variants"] == 6
    said = capsys.readouterr().err
    assert "3 of 6 variants have no position on 1 to 22, X, Y or MT; nothing matches them" in said
    assert [row["num_rows"] for row in manifest["notes"]["rows_left_out"]] == [2]
