import gzip
import struct
import zlib

import numpy as np
import pytest
from cyvcf2 import VCF, Writer

from proband.core.errors import DataError
from proband.core.schema import SCORES
from proband.genome import genome
from proband.genome.genotypes.alleles import ABSENT_ALLELES
from proband.genome.genotypes.dataset import MISSING
from proband.genome.genotypes.vcf.open import open_vcf
from proband.genome.genotypes.vcf.records import _UNSPECIFIED
from proband.genome.genotypes.vcf.units import call_units, dosage_units


def all_of(genotypes):
    return genotypes.reader.read(
        np.arange(genotypes.num_variants, dtype=np.uint32), 0, len(genotypes.sample_ids)
    )


def test_hard_calls(vcf, tmp_path):
    rows = ["chr1 5 A G GT 0/0 0|1 1/1", "2 6 C T GT ./. ./1 1", "2 7 C CA GT:DS 0/1:0.9 .:. 0/0:0.2"]
    found = open_vcf(vcf(rows), tmp_path)
    np.testing.assert_array_equal(all_of(found), [[0, 1, 2], [-9, -9, 2], [1, -9, 0]])
    assert found.variants.select("chrom", "pos", "ref", "alt").rows() == [
        ("1", 5, "A", "G"),
        ("2", 6, "C", "T"),
        ("2", 7, "C", "CA"),
    ]
    assert found.sample_ids == ["1", "2", "3"]


def test_dosages_only_where_there_are_no_calls(vcf, tmp_path):
    found = open_vcf(vcf(["1 5 A G DS 0.25 . 2", "1 6 A G DS 0 1.5 3.5"]), tmp_path)
    np.testing.assert_array_equal(all_of(found), [[0.25, -9, 2], [0, 1.5, -9]])


def test_dosages_fill_in_missing_calls(vcf, tmp_path):
    rows = [
        "1 5 A G GT:DS 0/1:0.9 ./.:0.25 ./1:1.5",  # a half call is a missing one
        "1 6 A G GT:DS 0/0:0 ./.:. ./.:2.5",
        "1 7 A G,T GT:DS 0/2:0,1 ./.:0.5,1 ./.",
    ]
    found = open_vcf(vcf(rows), tmp_path)
    np.testing.assert_array_equal(all_of(found)[:3], [[1, 0.25, 1.5], [0, -9, -9], [0, 0.5, -9]])


def test_a_dosage_of_one_copy_counts_as_its_call_does(vcf, tmp_path, capsys):
    """0 to 1 of who has one copy, which a missing call of one allele tells; DS alone does not tell."""
    rows = [
        "X 5 A G GT:DS 1:1 .:0.9 ./.:0.9",
        "MT 6 A G GT:DS .:0.2 1:1 .:1.5",
        "1 7 A G GT:DS .:0.9 0/1:1 ./.:1.5",
        "chrY 8 A G DS 0.5 1 0",
    ]
    found = all_of(open_vcf(vcf(rows), tmp_path))
    expected = [[2, 1.8, 0.9], [0.4, 2, -9], [0.9, 1, 1.5], [-9, -9, -9]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "1 of 4 records of toy.vcf have neither GT nor DS" in capsys.readouterr().err


DECLARED = 'FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">'


def declared(path, line):
    """The file with DS declared by another line of the header."""
    path.write_text(path.read_text().replace(f"##{DECLARED}\n", line))
    return path


@pytest.mark.parametrize(
    "line",
    [
        "",
        '##FORMAT=<ID=DS,Number=1,Type=String,Description="Dosage">\n',
        '##FORMAT=<ID=DS,Number=A,Type=String,Description="Dosage">\n',
        '##FORMAT=<Number=.,Type=Float,ID=DS,Description="Dosage">\n',
        '##INFO=<ID=DS,Number=0,Type=Flag,Description="Downsampled">\n',
    ],
    ids=["undeclared", "text", "text of alleles", "float", "another field of the name"],
)
def test_dosages_are_numbers_whatever_the_header_declares(vcf, tmp_path, line):
    rows = [
        "1 5 A G GT:DS 0/1:0.9 ./.:0.25 ./.:1.9",
        "1 6 A G DS 0.5 . 2",
        "1 7 A G,T DS 0.25,1 1.5,0 .",
        "X 8 A G GT:DS .:0.5 0/1:1 ./.:.",
    ]
    path = declared(vcf(rows), line)
    expected = [[1, 0.25, 1.9], [0.5, -9, 2], [0.25, 1.5, -9], [1, 1, -9]]
    np.testing.assert_allclose(all_of(open_vcf(path, tmp_path)), expected, atol=1e-4)


def test_whole_dosages(vcf, tmp_path):
    rows = ["1 5 A G GT:DS 0/1:1 ./.:2 ./.:.", "1 6 A G DS 0 1 3"]
    path = declared(vcf(rows), '##FORMAT=<ID=DS,Number=1,Type=Integer,Description="Dosage">\n')
    np.testing.assert_array_equal(all_of(open_vcf(path, tmp_path)), [[1, 2, -9], [0, 1, -9]])


def test_scores_of_dosages_that_are_not_declared(vcf, scores, tmp_path):
    """Filled in by the mean of the called, sample 3 had 0.4."""
    path = declared(vcf([f"1 {pos} A G GT:DS 0/0:0 0/1:1.1 ./.:1.9" for pos in range(1, 9)]), "")
    genome(path, scores("S.txt", [["1", pos, "G", "A", 0.1] for pos in range(1, 9)]), tmp_path / "out")
    sums = SCORES.read(tmp_path / "out" / "scores.parquet")["S"]
    np.testing.assert_allclose(sums, [0, 0.8, 1.52], atol=1e-4)


@pytest.mark.parametrize("kind", ["String", "Double", None])
def test_a_field_ds_that_is_no_number(vcf, tmp_path, kind):
    line = f'##FORMAT=<ID=DS,Number=1,Type={kind},Description="D">\n' if kind else ""
    path = declared(vcf(["1 5 A G GT:DS 0/1:x ./.:y 1/1:z"]), line)
    message = r"unreadable genotype file; in .*toy\.vcf; found DS at 1:5 that is no number.*Type=Float"
    with pytest.raises(DataError, match=message) as caught:
        open_vcf(path, tmp_path)
    assert "\n" not in str(caught.value)


def test_sites_with_several_or_no_alt_alleles(vcf, tmp_path):
    found = open_vcf(vcf(["1 5 A G,T GT 0/1 1/2 2/2", "1 6 A . GT 0/0 0/0 ./."]), tmp_path)
    assert found.variants.select("index", "alt", "is_multiallelic").rows() == [
        (0, "G", True), (0, "T", True), (1, ".", False),
    ]  # fmt: skip
    np.testing.assert_array_equal(all_of(found)[1], [0, 0, -9])


@pytest.mark.parametrize("name", ["<NON_REF>", "<*>", "<non_ref>"])
def test_an_allele_that_nobody_has_is_dropped_beside_others(vcf, tmp_path, name):
    """As gVCF files and bcftools mpileup write it."""
    rows = [
        f"1 5 A G,{name} GT 0/0 0/1 1/1",
        f"1 6 A G,{name} GT 0/2 1/2 2/2",  # a call of what nobody has is missing
        f"1 7 A {name},G GT:DS 0/2:0,1 ./.:0,1.5 2/2:0,2",
        f"1 8 A G,T,{name} GT 0/1 1/2 2/3",
        f"1 9 A {name} GT 0/0 0/0 ./.",
        f"1 10 A {name},G DS 0,0.5 .,. 1,0.25",
    ]
    found = open_vcf(vcf(rows), tmp_path)
    expected = [[0, 1, 2], [-9, -9, -9], [1, 1.5, 2], [1, 1, -9], [0, 0, -9], [0.5, -9, 0.25]]
    np.testing.assert_array_equal(all_of(found), expected)
    assert found.variants.select("index", "alt", "is_multiallelic").rows() == [
        (0, "G", False), (1, "G", False), (2, "G", False), (3, "G", True), (3, "T", True),
        (4, name.upper(), False), (5, "G", False),
    ]  # fmt: skip
    assert set(_UNSPECIFIED) < set(ABSENT_ALLELES)


def test_scores_of_a_gvcf(vcf, scores, tmp_path):
    path = vcf([f"1 {pos} A G,<NON_REF> GT 0/0 0/1 1/1" for pos in range(1, 9)])
    genome(path, scores("S.txt", [["1", pos, "G", "A", 0.5] for pos in range(1, 9)]), tmp_path / "out")
    assert SCORES.read(tmp_path / "out" / "scores.parquet")["S"].to_list() == [0, 4, 8]


def test_chosen_variants_of_a_range_of_samples(vcf, tmp_path):
    found = open_vcf(vcf([f"1 {pos} A G GT 0/{pos % 2} 1/1 0/0" for pos in range(1, 5)]), tmp_path)
    np.testing.assert_array_equal(found.reader.read(np.array([3, 0], np.uint32), 0, 2), [[0, 2], [1, 2]])


def test_haploid_calls_count_two():
    calls = np.array([[0, -2, 0], [1, -2, 0], [-1, -2, 0], [-1, -1, 0]], np.int16)
    units = call_units(calls)
    assert (units[:2] / 2**14).tolist() == [0, 2]
    assert (units[2:] == 2**16 - 1).all()
    assert (call_units(np.array([[1, 1], [0, 1]], np.int16)) / 2**14).tolist() == [2, 0]


def test_dosages_keep_the_precision_of_pgen():
    dosages = np.linspace(0, 2, 1001, dtype=np.float32)
    assert np.abs(dosage_units(dosages) / 2**14 - dosages).max() <= 2**-15


def test_bcf(vcf, tmp_path):
    source = VCF(str(vcf(["1 5 A G GT 0/0 0/1 1/1"])))
    writer = Writer(str(tmp_path / "a.bcf"), source, mode="wb")
    for record in source:
        writer.write_record(record)
    writer.close()
    np.testing.assert_array_equal(all_of(open_vcf(tmp_path / "a.bcf", tmp_path)), [[0, 1, 2]])


def test_build_of_the_header(vcf, tmp_path):
    path = vcf(["1 5 A G GT 0/0 0/1 1/1"], header="##contig=<ID=22,length=51304566>")
    assert open_vcf(path, tmp_path).build == "GRCh37"


@pytest.mark.parametrize("content", [b"", b"no VCF\n", b"##fileformat=VCFv4.3\n"])
def test_files_that_are_no_vcf(tmp_path, content):
    path = tmp_path / "a.vcf"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"genotype file.*a\.vcf"):
        open_vcf(path, tmp_path)


def test_truncated_vcf(vcf, tmp_path, capfd):
    rng = np.random.default_rng(0)
    rows = [
        f"1 {pos} A G GT " + " ".join(f"{a}/{b}" for a, b in rng.integers(0, 2, (3, 2)))
        for pos in range(1, 4000)
    ]
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(gzip.compress(vcf(rows).read_bytes())[:9000])
    with pytest.raises(DataError, match=r"unreadable genotype file.*a\.vcf\.gz"):
        open_vcf(path, tmp_path)
    assert capfd.readouterr().err == ""  # the error is all that is said


def bgzf(content):
    """One BGZF block of ``content``."""
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(content) + packer.flush()
    size = struct.pack("<H", len(body) + 25)
    check = struct.pack("<II", zlib.crc32(content), len(content))
    return b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + size + body + check


def test_compressed_vcf_cut_between_blocks(vcf, tmp_path):
    lines = vcf(["1 5 A G GT 0/0 0/1 1/1", "1 6 A G GT 0/0 0/1 1/1"]).read_bytes().splitlines(keepends=True)
    whole, path = bgzf(b"".join(lines[:-1])) + bgzf(lines[-1]) + bgzf(b""), tmp_path / "a.vcf.gz"
    path.write_bytes(whole)
    assert open_vcf(path, tmp_path).num_variants == 2
    path.write_bytes(bgzf(b"".join(lines[:-1])))
    with pytest.raises(DataError, match=r"unreadable genotype file.*a\.vcf\.gz.*no end-of-file block"):
        open_vcf(path, tmp_path)


def test_truncated_inside_a_line(vcf, tmp_path):
    path = vcf(["1 5 A G GT 0/0 0/1 1/1", "1 6 A G GT 0/0 0/1 1/1"])
    path.write_text(path.read_text()[:-8])
    with pytest.raises(DataError, match="unreadable genotype file"):
        open_vcf(path, tmp_path)


def test_no_variants(vcf, tmp_path):
    with pytest.raises(DataError, match=r"empty genotype file.*0 variants of 3 samples"):
        open_vcf(vcf([]), tmp_path)


def test_neither_calls_nor_dosages(vcf, tmp_path):
    path = vcf(["1 5 A G GP 0 0 0"], header='##FORMAT=<ID=GP,Number=1,Type=Float,Description="P">')
    with pytest.raises(DataError, match=r"no genotypes.*at 1:5.*found GP.*expected GT or DS"):
        open_vcf(path, tmp_path)


def test_a_record_without_calls_is_judged_by_itself(vcf, tmp_path, capsys):
    """A structural variant with a copy number only, among calls, and dosages without an ALT to count."""
    header = '##FORMAT=<ID=CN,Number=1,Type=Integer,Description="Copies">'
    path = vcf(["1 5 A G GT 0/0 0/1 1/1", "1 6 A <DEL> CN 2 1 2", "1 7 A . DS . . ."], header=header)
    found = open_vcf(path, tmp_path)
    dosages = found.reader.read(np.arange(3, dtype=np.uint32), 0, 3)
    assert dosages.tolist() == [[0, 1, 2], [MISSING] * 3, [MISSING] * 3]
    said = capsys.readouterr().err
    assert "1 of 3 records of toy.vcf have neither GT nor DS" in said
    assert "count as not called (first: 1:6)" in said


CUT = ["", "{}", "{}\t6", "{}\t6\trs1", "{}\t6\trs1\tA\tG", "{}\t6x\trs1\tA\tG\t.\t.\t.\tGT\t0/0\t0/1\t1/1"]
CUT += ["{}\t6\trs1\tA\tG\t.\t.\t.\tGT\t0/0\t" + calls for calls in ("0/1\t1/", "null\t1/1", "0/1")]


@pytest.mark.parametrize("chrom", ["1", "22", "undeclared"])
@pytest.mark.parametrize("cut", CUT)
def test_a_damaged_line_is_refused_whatever_the_header_declares(vcf, tmp_path, chrom, cut):
    """htslib's failure over the first line of an undeclared contig is not seen by cyvcf2."""
    path = vcf(["1 5 A G GT 0/0 0/1 1/1"])
    path.write_text(f"{path.read_text()}{cut.format(chrom)}\n")
    with pytest.raises(DataError, match="unreadable genotype file"):
        open_vcf(path, tmp_path)


def test_contigs_that_the_header_does_not_declare(vcf, tmp_path):
    rows = ["1 5 A G GT 0/0 0/1 1/1", "GL000192.1 6 A G GT 0/1 0/1 1/1", "HLA-A*01:01 7 A G GT 1/1 0/1 1/1"]
    found = open_vcf(vcf(rows), tmp_path)
    assert found.num_variants == 3
    np.testing.assert_array_equal(all_of(found)[:, 0], [0, 1, 2])
