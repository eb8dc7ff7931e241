import numpy as np
import pytest
from bgen import BgenWriter

from proband.core.errors import DataError
from proband.genome.genotypes.formats.bgen import open_bgen
from proband.genome.genotypes.open import open_genotypes

UNPHASED = np.array([[1, 0, 0], [0.25, 0.5, 0.25], [np.nan] * 3])
PHASED = np.array([[1, 0, 0, 1], [0.5, 0.5, 0, 1], [np.nan] * 4])
SAMPLE = "ID_1 ID_2 missing sex\n0 0 0 D\n0 x 0 1\n0 y 0 2\n0 z 0 NA\n"


def write(path, *, compression="zlib", bits=8, samples=("a", "b", "c"), index=True, layout=2):
    with BgenWriter(str(path), 3, samples=samples, compression=compression, layout=layout) as file:
        file.add_variant("v1", "rs1", "01", 5, ["A", "G"], UNPHASED, bit_depth=bits)
        if layout == 2:
            file.add_variant("v2", "rs2", "chr2", 6, ["c", "T"], PHASED, phased=True, bit_depth=bits)
    if not index:
        path.with_name(f"{path.name}.bgi").unlink()
    return path


def all_of(genotypes):
    return genotypes.reader.read(
        np.arange(genotypes.num_variants, dtype=np.uint32), 0, len(genotypes.sample_ids)
    )


@pytest.mark.parametrize("compression", ["zlib", "zstd", None])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("index", [True, False])
def test_dosages_of_the_second_allele(tmp_path, compression, bits, index):
    found = open_bgen(write(tmp_path / "a.bgen", compression=compression, bits=bits, index=index))
    assert found.variants.select("index", "chrom", "pos", "ref", "alt").rows() == [
        (0, "1", 5, "A", "G"),
        (1, "2", 6, "C", "T"),
    ]
    assert found.sample_ids == ["a", "b", "c"]
    # 8 bits hold a probability of 1/2 to 1/510.
    np.testing.assert_allclose(all_of(found), [[0, 1, -9], [1, 1.5, -9]], atol=0.008 if bits == 8 else 4e-5)


def test_first_layout(tmp_path):
    found = open_bgen(write(tmp_path / "a.bgen", layout=1, index=False))
    np.testing.assert_allclose(all_of(found)[:, :2], [[0, 1]], atol=1e-4)


def test_haploid_calls_count_two_and_several_alleles_are_missing(tmp_path):
    path = tmp_path / "a.bgen"
    with BgenWriter(str(path), 3, samples=["a", "b", "c"]) as file:
        haploid = np.array([[0.25, 0.75, np.nan], [0, 1, 0], [0, 0, 1]])
        file.add_variant(
            "v", "r", "X", 6, ["A", "G"], haploid, ploidy=np.array([1, 2, 2], np.uint8), bit_depth=16
        )
        calls = np.eye(6)[[0, 1, 3]]
        file.add_variant("v", "r", "X", 8, ["A", "G", "T"], calls)
    found = open_bgen(path)
    np.testing.assert_allclose(all_of(found), [[1.5, 1, 2], [-9, -9, -9]], atol=1e-4)
    assert found.variants.select("index", "alt", "is_multiallelic").rows() == [
        (0, "G", False), (1, "G", True), (1, "T", True),
    ]  # fmt: skip


def test_sample_file_names_the_samples(tmp_path):
    path = write(tmp_path / "a.bgen")
    (tmp_path / "other.sample").write_text(SAMPLE)
    assert open_bgen(path).sample_ids == ["a", "b", "c"]
    (tmp_path / "other.sample").rename(tmp_path / "a.sample")
    found = open_bgen(path)
    assert (found.sample_ids, found.is_male.tolist()) == (["x", "y", "z"], [True, False, False])
    assert [file.name for file in found.files] == ["a.bgen", "a.sample"]


def test_a_file_without_names_takes_the_only_sample_file(tmp_path):
    path = write(tmp_path / "a.bgen", samples=None)
    with pytest.raises(DataError, match=r"samples without names.*0 \.sample files.*expected a\.sample"):
        open_bgen(path)
    (tmp_path / "ukb_s3.sample").write_text(SAMPLE)
    assert open_bgen(path).sample_ids == ["x", "y", "z"]
    (tmp_path / "more.sample").write_text(SAMPLE)
    with pytest.raises(DataError, match=r"samples without names.*2 \.sample files"):
        open_bgen(path)


@pytest.mark.parametrize(
    "text",
    [
        "ID missing sex\n0 0 D\nx 0 1\ny 0 2\nz 0 NA\n",
        "ID SEX\n0 D\nx 1\ny 2\nz NA\n",
        "id_1 id_2 missing Sex\n0 0 0 D\n1 x 0 1\n2 y 0 2\n3 z 0 NA\n",
        "FID IID missing sex\n0 0 0 D\n1 x 0 M\n2 y 0 F\n3 z 0 NA\n",
        "FID\tIID\tmissing\tsex\r\n0\t0\t0\tD\r\n1\tx\t0\t1\r\n2\ty\t0\t2\r\n3\tz\t0\tNA\r\n",
        "barcode missing sex\n0 0 D\nx 0 1\ny 0 2\nz 0 NA\n",
    ],
    ids=["QCTOOL", "one column of names", "small letters", "FID and IID", "tabs", "another name"],
)
def test_columns_of_sample_files(tmp_path, text):
    path = write(tmp_path / "a.bgen")
    (tmp_path / "a.sample").write_bytes(text.encode())
    found = open_bgen(path)
    assert (found.sample_ids, found.is_male.tolist()) == (["x", "y", "z"], [True, False, False])


@pytest.mark.parametrize("text", ["", "ID_1 ID_2\n", "#IID\nx\n", SAMPLE + "0 w\n"])
def test_unusable_sample_files(tmp_path, text):
    path = write(tmp_path / "a.bgen")
    (tmp_path / "a.sample").write_text(text)
    with pytest.raises(
        DataError, match=r"not a \.sample file.*a\.sample; found columns .*; expected a line of"
    ):
        open_bgen(path)


def test_sample_file_of_another_data_set(tmp_path):
    path = write(tmp_path / "a.bgen")
    (tmp_path / "a.sample").write_text(SAMPLE + "0 w 0 1\n")
    with pytest.raises(DataError, match=r"counts do not fit.*a\.sample; found 4 samples; expected 3"):
        open_bgen(path)


def test_list_of_samples_and_range(tmp_path):
    path = write(tmp_path / "a.bgen", bits=16)
    (tmp_path / "keep").write_text("c\nb\n")
    found = open_genotypes(path, tmp_path, tmp_path / "keep")
    assert found.sample_ids == ["b", "c"]
    np.testing.assert_allclose(all_of(found), [[1, -9], [1.5, -9]], atol=1e-4)
    np.testing.assert_allclose(found.reader.read(np.array([1], np.uint32), 0, 1), [[1.5]], atol=1e-4)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("size", [0, 10, 60, -3])
def test_truncated(tmp_path, size, index):
    path = write(tmp_path / "a.bgen", index=index)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"unreadable genotype file.*a\.bgen") as caught:
        open_bgen(path)
    assert "\n" not in str(caught.value)


def test_index_of_another_file(tmp_path):
    path = write(tmp_path / "a.bgen")
    write(tmp_path / "b.bgen", layout=1)
    (tmp_path / "b.bgen.bgi").rename(tmp_path / "a.bgen.bgi")
    with pytest.raises(DataError, match=r"counts do not fit.*a\.bgen\.bgi.*1 variants.*bgenix"):
        open_bgen(path)
    (tmp_path / "a.bgen.bgi").write_bytes(b"no index")
    with pytest.raises(DataError, match=r"unreadable genotype file"):
        open_bgen(path)
