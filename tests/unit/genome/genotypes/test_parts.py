import json
import pickle
from pathlib import Path

import numpy as np
import pgenlib
import pytest

from proband.core.errors import DataError
from proband.genome import genome
from proband.genome.genotypes.open import open_genotypes
from proband.genome.genotypes.parts import find_genotypes


@pytest.fixture
def write(tmp_path):
    """Writes one .pgen of a data set into the folder ``data``; returns the folder."""

    def of(name: str, sites, calls, sample_ids=("a", "b", "c"), header: str = "") -> Path:
        stem = tmp_path / "data" / name
        stem.parent.mkdir(exist_ok=True)
        with pgenlib.PgenWriter(
            f"{stem}.pgen".encode(), len(sample_ids), variant_ct=len(sites), nonref_flags=False
        ) as file:
            for row in np.asarray(calls, np.int8):
                file.append_biallelic(np.ascontiguousarray(row))
        rows = ["\t".join(map(str, (chrom, pos, ".", ref, alt))) for chrom, pos, ref, alt in sites]
        head = [*header.split(), "#CHROM\tPOS\tID\tREF\tALT"]
        Path(f"{stem}.pvar").write_text("\n".join([*head, *rows]) + "\n")
        Path(f"{stem}.psam").write_text("\n".join(["#IID", *sample_ids]) + "\n")
        return stem.parent

    return of


@pytest.fixture
def two(write):
    """Chromosomes 2 and 10 in two files."""
    write("calls_chr10", [("chr10", 5, "A", "G")], [[2, 1, 0]])
    return write("calls_chr2", [("2", 5, "A", "G"), ("2", 6, "C", "T")], [[0, 1, 2], [-9, 0, 1]])


def names(paths):
    return [path.name for path in paths]


def test_a_file_or_its_prefix(tmp_path):
    for name in ("biobank.pgen", "chip.v2.bed", "wgs.vcf.gz", "both.bed", "both.pgen"):
        (tmp_path / name).touch()
    for given, found in [
        ("biobank", "biobank.pgen"), ("biobank.pgen", "biobank.pgen"), ("chip.v2", "chip.v2.bed"),
        ("wgs", "wgs.vcf.gz"), ("both", "both.pgen"),
    ]:  # fmt: skip
        assert names(find_genotypes(tmp_path / given)) == [found]


@pytest.mark.parametrize(
    ("name", "found"), [("absent", "nothing"), ("notes.txt", "another kind"), ("a*", "nothing")]
)
def test_no_genotype_file(tmp_path, name, found):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=rf"no genotype file.*found {found}.*\.pgen"):
        find_genotypes(tmp_path / name)


def test_patterns_list_chromosomes_in_order(tmp_path):
    chromosomes = ["1", "2", "10", "22", "X"]
    for name in [*chromosomes, "X_old", "1.backup"]:
        (tmp_path / f"calls_chr{name}.bed").touch()
    (tmp_path / "._calls_chr10.bed").touch()
    expected = [f"calls_chr{name}.bed" for name in chromosomes]
    for pattern in ("calls_chr{chrom}.bed", "calls_chr{chrom}", "calls_{chrom}.bed"):
        assert names(find_genotypes(tmp_path / pattern)) == expected
    assert names(find_genotypes(tmp_path / "calls_chr*0.bed")) == ["calls_chr10.bed"]
    assert names(find_genotypes(tmp_path / "*0.bed")) == ["calls_chr10.bed"]
    assert names(find_genotypes(tmp_path / "calls_chr?")) == [
        "calls_chr1.bed",
        "calls_chr2.bed",
        expected[-1],
    ]


def test_a_folder_holds_one_kind(tmp_path):
    with pytest.raises(DataError, match=r"no genotype file.*a folder without"):
        find_genotypes(tmp_path)
    for name in ("c2.pgen", "c10.pgen", "c2.pvar"):
        (tmp_path / name).touch()
    assert names(find_genotypes(tmp_path)) == ["c2.pgen", "c10.pgen"]
    (tmp_path / "c2.vcf.gz").touch()
    with pytest.raises(
        DataError, match=r"several kinds of genotype files.*2 \.pgen, 1 \.vcf\.gz.*quoted pattern"
    ):
        find_genotypes(tmp_path)


def test_files_join_to_one_data_set(two, tmp_path):
    found = open_genotypes(two / "calls_chr{chrom}.pgen", tmp_path)
    assert found.variants.select("index", "chrom", "pos").rows() == [(0, "2", 5), (1, "2", 6), (2, "10", 5)]
    assert [(part.first, part.num_variants) for part in found.parts] == [(0, 2), (2, 1)]
    assert found.num_variants == 3
    assert len(found.files) == 6
    mixed = found.reader.read(np.array([2, 0, 1], np.uint32), 1, 3)
    np.testing.assert_array_equal(mixed, [[1, 0], [1, 2], [0, 1]])


def test_a_part_opens_in_another_process(two, tmp_path):
    found = open_genotypes(two, tmp_path)
    part = pickle.loads(pickle.dumps(found.parts[1]))
    np.testing.assert_array_equal(part.open().read(np.array([0], np.uint32), 0, 3), [[2, 1, 0]])


def test_a_list_of_samples(two, tmp_path, capsys):
    keep = tmp_path / "keep.txt"
    keep.write_text("#FID IID\n0 c\n0 a\n0 stranger\n")
    found = open_genotypes(two, tmp_path, keep)
    assert found.sample_ids == ["a", "c"]
    np.testing.assert_array_equal(
        found.reader.read(np.arange(3, dtype=np.uint32), 0, 2), [[0, 2], [-9, 1], [2, 0]]
    )
    np.testing.assert_array_equal(found.reader.read(np.array([1], np.uint32), 1, 2), [[1]])
    assert "1 of 3 samples of keep.txt are not in the genotypes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\ny\n", "no listed sample is in the genotypes.*found 2 names, first 'x'.*such as 'a'"),
        ("", "not a list of samples.*no names"),
        ("a b c\n", "not a list of samples.*3 columns"),
        (None, "unreadable list of samples"),
    ],
)
def test_unusable_lists_of_samples(two, tmp_path, text, message):
    if text is not None:
        (tmp_path / "keep.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        open_genotypes(two, tmp_path, tmp_path / "keep.txt")


@pytest.mark.parametrize(
    ("sample_ids", "message"),
    [
        (("a", "c", "b"), "found 'c' as sample 2 of 3; expected 'b' of 3, as in c1.pgen"),
        (("a", "b"), "found none as sample 3 of 2; expected 'c' of 3"),
    ],
)
def test_other_samples(write, tmp_path, sample_ids, message):
    write("c1", [("1", 5, "A", "G")], [[0, 1, 2]])
    calls = [[0] * len(sample_ids)]
    folder = write("c2", [("2", 5, "A", "G")], calls, sample_ids)
    with pytest.raises(DataError, match=rf"different samples.*c2\.pgen; {message}"):
        open_genotypes(folder, tmp_path)


@pytest.mark.parametrize("files", [("c1", "c2"), ("c1", "c1")])
def test_duplicate_variants_stop_a_run_only_where_a_score_needs_one(write, tmp_path, scores, capsys, files):
    sites = [("1", 5, "A", "G"), ("1", 5, "A", "C"), ("1", 7, "A", "G")]
    if files[0] == files[1]:
        folder = write("c1", [*sites, ("chr1", 5, "a", "g")], [[0, 1, 2]] * 4)
    else:
        write("c1", sites, [[0, 1, 2]] * 3)
        folder = write("c2", [("1", 5, "A", "G")], [[0, 1, 2]])
    out = tmp_path / "out"
    genome(folder, scores("S.txt", [["1", 5, "C", "A", 1], ["1", 7, "G", "A", 1]]), out)
    assert "2 of 4 variants come more than once" in capsys.readouterr().err
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert counts["num_variants_repeated"] == 2
    with pytest.raises(
        DataError, match=r"duplicate variants.*2 rows.*T needs 1, first 1:5:A:G.*--rm-dup"
    ) as caught:
        genome(folder, scores("T.txt", [["1", 5, "G", "A", 1]]), tmp_path / "other")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "other").exists()


def test_mixed_builds(write, tmp_path):
    write("c1", [("1", 5, "A", "G")], [[0, 0, 0]], header="##contig=<ID=22,length=51304566>")
    folder = write("c2", [("2", 5, "A", "G")], [[0, 0, 0]], header="##contig=<ID=22,length=50818468>")
    with pytest.raises(
        DataError, match=r"mixed genome builds.*c2\.pgen; found GRCh38; expected GRCh37, as c1"
    ):
        open_genotypes(folder, tmp_path)


def test_positions_give_the_build_away(write, tmp_path):
    folder = write("c1", [("19", 59_000_000, "A", "G")], [[0, 0, 0]])
    assert open_genotypes(folder, tmp_path).build == "GRCh37"
    write("c1", [("19", 59_000_000, "A", "G")], [[0, 0, 0]], header="##contig=<ID=22,length=50818468>")
    with pytest.raises(DataError, match=r"positions of another genome build.*ends of GRCh38.*fit GRCh37"):
        open_genotypes(folder, tmp_path)
