"""A list of samples is applied to every file before files are joined; sums go by name, not by row."""

import numpy as np
import pytest
from bgen import BgenWriter

from proband.core.errors import DataError
from proband.core.schema import SCORES
from proband.genome import genome
from proband.genome.genotypes.open import open_genotypes

# Dosages by name: chromosome 1 in one file, X (fewer people, in another order) in the other.
ON_1 = {"1": 0, "2": 1, "3": 2, "4": 1, "5": 0}
ON_X = {"5": 2, "3": 0, "8": 1, "1": 1}
LISTED = ["5", "8", "1", "2", "3", "9"]
SUMS = {1: 0 * 10 + 1, 3: 2 * 10 + 0, 5: 0 * 10 + 2}


def write_pgen(path, chrom, dosages, pgen):
    written = pgen([(chrom, 3_000_000, "A", "G")], [list(dosages.values())], list(dosages))
    for suffix in (".pgen", ".pvar", ".psam"):
        written.with_suffix(suffix).rename(path.with_suffix(suffix))


def write_bed(path, chrom, dosages):
    code = {2: 0, 1: 2, 0: 3}
    packed = sum(code[dosage] << 2 * row for row, dosage in enumerate(dosages.values()))
    path.write_bytes(b"\x6c\x1b\x01" + packed.to_bytes(-(-len(dosages) // 4), "little"))
    path.with_suffix(".bim").write_text(f"{chrom}\tv\t0\t3000000\tG\tA\n")
    path.with_suffix(".fam").write_text("".join(f"0 {name} 0 0 2 -9\n" for name in dosages))


def write_bgen(path, chrom, dosages):
    with BgenWriter(str(path), len(dosages)) as file:
        file.add_variant("v", "v", chrom, 3_000_000, ["A", "G"], np.eye(3)[list(dosages.values())])
    rows = "".join(f"{name} {name} 0 2\n" for name in dosages)
    path.with_suffix(".sample").write_text(f"ID_1 ID_2 missing sex\n0 0 0 D\n{rows}")


def write_vcf(path, chrom, dosages, vcf):
    calls = " ".join(("0/0", "0/1", "1/1")[dosage] for dosage in dosages.values())
    vcf([f"{chrom} 3000000 A G GT {calls}"], list(dosages), name=path.name)


@pytest.fixture
def two(tmp_path, pgen, vcf):
    """Writes the two files as one kind; returns their pattern."""
    writers = {
        "pgen": lambda *words: write_pgen(*words, pgen),
        "bed": write_bed,
        "bgen": write_bgen,
        "vcf": lambda *words: write_vcf(*words, vcf),
    }

    def write(kind, on_1=ON_1, on_x=ON_X):
        writers[kind](tmp_path / f"calls_c1.{kind}", "1", on_1)
        writers[kind](tmp_path / f"calls_cX.{kind}", "X", on_x)
        return tmp_path / f"calls_c{{chrom}}.{kind}"

    return write


@pytest.fixture
def listed(tmp_path):
    (tmp_path / "keep.txt").write_text("\n".join(LISTED))
    return tmp_path / "keep.txt"


@pytest.fixture
def folder(scores):
    return scores("S.txt", [["1", 3_000_000, "G", "A", 10], ["X", 3_000_000, "G", "A", 1]])


@pytest.mark.parametrize("kind", ["pgen", "bed", "bgen", "vcf"])
def test_sums_of_files_with_other_samples_in_other_orders(two, kind, listed, folder, tmp_path, capsys):
    genome(two(kind), folder, tmp_path / "out", keep=listed)
    found = SCORES.read(tmp_path / "out" / "scores.parquet")
    assert found["subject_id"].to_list() == list(SUMS)
    np.testing.assert_allclose(found["S"], list(SUMS.values()), rtol=1e-6)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 6 samples of keep.txt are not in the genotypes" in said
    # 2 is on chromosome 1 only, 8 on X only.
    assert "2 of 6 samples of keep.txt are not in every genotype file and are left out" in said
    assert f"(calls_c1.{kind} holds 4 of them)" in said


@pytest.mark.parametrize("kind", ["pgen", "bed", "bgen", "vcf"])
def test_ranges_of_samples_in_another_order(two, kind, listed, tmp_path):
    found = open_genotypes(two(kind), tmp_path, listed)
    assert found.sample_ids == ["1", "3", "5"]
    both = np.array([0, 1], np.uint32)
    for start, stop, expected in (
        (0, 3, [[0, 2, 0], [1, 0, 2]]),
        (1, 3, [[2, 0], [0, 2]]),
        (0, 2, [[0, 2], [1, 0]]),
        (2, 3, [[0], [2]]),
    ):
        np.testing.assert_array_equal(found.reader.read(both, start, stop), expected)
        np.testing.assert_array_equal(found.reader.read_calls(both, start, stop), expected)


def test_counts_of_samples_in_another_order(two, listed, tmp_path):
    found = open_genotypes(two("pgen"), tmp_path, listed)
    np.testing.assert_array_equal(
        found.reader.count(np.array([0, 1], np.uint32)), [[2, 0, 1, 0], [1, 1, 1, 0]]
    )


def test_sex_goes_by_name(two, listed, tmp_path):
    pattern = two("bgen")
    sample = tmp_path / "calls_cX.sample"
    sample.write_text(sample.read_text().replace("5 5 0 2", "5 5 0 1"))
    assert open_genotypes(pattern, tmp_path, listed).is_male.tolist() == [False, False, True]


def test_a_pattern_leaves_files_of_fewer_samples_out(two, listed, folder, tmp_path, capsys):
    pattern = two("bgen")
    with pytest.raises(
        DataError, match=r"different samples; in .*calls_cX\.bgen.*--keep.*'c\[0-9\]\*\.bgen'"
    ):
        genome(pattern, folder, tmp_path / "out")
    on_1 = tmp_path / "calls_c[0-9]*.bgen"
    found = open_genotypes(on_1, tmp_path, listed)
    assert found.sample_ids == ["1", "2", "3", "5"]
    assert "not in every genotype file" not in capsys.readouterr().err


def test_no_listed_sample_in_a_file(two, tmp_path):
    (tmp_path / "keep.txt").write_text("2\n4\n")
    message = (
        r"no listed sample is in one of the genotype files; in .*calls_cX\.pgen; found 4 samples.*remedy"
    )
    with pytest.raises(DataError, match=message):
        open_genotypes(two("pgen"), tmp_path, tmp_path / "keep.txt")
    (tmp_path / "keep.txt").write_text("2\n8\n")
    with pytest.raises(DataError, match=r"no listed sample is in every genotype file; in .*keep\.txt"):
        open_genotypes(two("pgen"), tmp_path, tmp_path / "keep.txt")


def test_a_name_twice_where_orders_differ(two, listed, tmp_path):
    pattern = two("pgen")
    psam = tmp_path / "calls_cX.psam"
    psam.write_text(psam.read_text().replace("\t8\t", "\t3\t"))
    with pytest.raises(DataError, match=r"duplicate sample IDs; in .*calls_cX\.pgen; found '3' twice"):
        open_genotypes(pattern, tmp_path, listed)
