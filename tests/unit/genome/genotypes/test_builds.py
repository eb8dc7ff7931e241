import numpy as np
import pytest

from proband.genome.genotypes.builds import build_name, build_of_header, build_of_positions


def test_builds_by_their_names():
    assert [build_name(text) for text in ("GRCh37", "hg19", "hg38", "GRCh38.p14", "NR", "", None)] == [
        "GRCh37", "GRCh37", "GRCh38", "GRCh38", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "names"),
    [
        ("NCBI36", ["hg18", "NCBI36", "NCBI Build 36.1", "build36", "human_b36_both.fasta", "GRCh36"]),
        ("NCBI35", ["hg17", "NCBI35"]),
        ("T2T-CHM13", ["T2T-CHM13v2.0", "chm13v2.0.fa", "hs1", "file:///ref/hs1.fa.gz"]),
        ("GRCh37", ["hs37d5.fa", "human_g1k_b37.fasta", "NCBI37"]),
        ("GRCh38", ["GCA_000001405.15_GRCh38_no_alt", "hs38DH.fa"]),
        (None, ["ths1", "hs10", "mm36", "fb36a", "2.36"]),
    ],
)
def test_older_and_newer_builds_by_their_names(build, names):
    assert [build_name(name) for name in names] == [build] * len(names)


@pytest.mark.parametrize(
    ("build", "length"),
    [("T2T-CHM13", 248387328), ("T2T-CHM13", 154259566), ("NCBI36", 247249719), ("NCBI36", 140273252)],
)
def test_older_and_newer_builds_by_lengths_of_contigs(build, length):
    assert build_of_header([f"##contig=<ID=chr1,length={length}>"]) == build


def test_build_by_contig_length_wins_over_silence():
    assert (
        build_of_header(["##fileformat=VCFv4.3", "##contig=<ID=1>", "##contig=<ID=chr2,length=243199373>"])
        == "GRCh37"
    )
    assert build_of_header(["##contig=<ID=1,length=248956422>"]) == "GRCh38"
    assert build_of_header(["##contig=<ID=1,assembly=hg38>"]) == "GRCh38"
    assert build_of_header(["##reference=file:///ref/Homo_sapiens_assembly_b37.fasta"]) == "GRCh37"


def test_a_header_that_does_not_tell():
    assert build_of_header(["##contig=<ID=1,length=500>", "##source=hg38 panel"]) is None


@pytest.mark.parametrize(
    ("chromosome", "position", "build"),
    [
        (19, 59_000_000, "GRCh37"),  # GRCh38's chromosome 19 ends at 58,617,616
        (17, 83_000_000, "GRCh38"),  # GRCh37's chromosome 17 ends at 81,195,210
        (1, 1_000_000, None),
        (22, 200_000_000, None),  # beyond both
        (25, 200_000_000, None),  # MT tells nothing
    ],
)
def test_build_by_positions_beyond_the_ends_of_the_other(chromosome, position, build):
    assert build_of_positions(np.array([1, chromosome]), np.array([5, position])) == build
