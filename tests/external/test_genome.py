"""Real genotypes and a real scoring file, against the sums of plink2 (tests/reference/make/)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import MATCH, SAMPLES, SCORES
from proband.genome import GenomeConfig, genome
from proband.genome.genotypes.alleles import NO_SITE
from proband.genome.genotypes.vcf.open import open_vcf
from proband.genome.scorefiles.scorefile import read_scorefile

pytestmark = pytest.mark.external
FROZEN = Path(__file__).parents[1] / "reference" / "pgs001229_plink2.tsv.gz"


@pytest.fixture
def data():
    return Path(os.environ["PROBAND_DATA"])


@pytest.fixture
def scorefile(data):
    return data / "scorefiles" / "PGS001229_hmPOS_GRCh38.txt.gz"


def converted(vcf: Path, folder: Path, kind: str) -> Path:
    """The VCF's calls as .pgen (in two files for ``parts``) or .bed with companions, without plink2."""
    source = open_vcf(vcf, folder)
    calls = source.reader.read(
        np.arange(source.num_variants, dtype=np.uint32), 0, len(source.sample_ids)
    ).astype(np.int8)
    sites = source.variants.rows(named=True)
    if kind == "parts":
        half = len(calls) // 2
        write_pgen(folder / "tiny_chr1", calls[:half], sites[:half], source.sample_ids)
        write_pgen(folder / "tiny_chr2", calls[half:], sites[half:], source.sample_ids)
        return folder / "tiny_chr{chrom}"
    if kind == "pgen":
        write_pgen(folder / "tiny", calls, sites, source.sample_ids)
    else:
        bits = np.array([3, 2, 0, 1], np.uint8)[np.where(calls < 0, 3, calls)]
        bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4))).reshape(len(calls), -1, 4)
        packed = (bits << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2, dtype=np.uint8)
        (folder / "tiny.bed").write_bytes(bytes([0x6C, 0x1B, 0x01]) + packed.tobytes())
        lines = [f"{site['chrom']}\t.\t0\t{site['pos']}\t{site['alt']}\t{site['ref']}" for site in sites]
        (folder / "tiny.bim").write_text("\n".join(lines) + "\n")
        (folder / "tiny.fam").write_text("".join(f"0 {name} 0 0 0 -9\n" for name in source.sample_ids))
    return folder / "tiny"


def write_pgen(stem: Path, calls: np.ndarray, sites: list[dict], sample_ids: list[str]) -> None:
    with pgenlib.PgenWriter(f"{stem}.pgen".encode(), calls.shape[1], len(calls), False) as file:
        file.append_biallelic_batch(np.ascontiguousarray(calls))
    lines = [f"{site['chrom']}\t{site['pos']}\t.\t{site['ref']}\t{site['alt']}" for site in sites]
    Path(f"{stem}.pvar").write_text("\n".join(["#CHROM\tPOS\tID\tREF\tALT", *lines]) + "\n")
    Path(f"{stem}.psam").write_text("\n".join(["#IID", *sample_ids]) + "\n")


@pytest.mark.parametrize("kind", ["vcf", "bgen", "pgen", "parts", "bed"])
def test_pgs001229_in_tiny1000g_equals_plink2(data, scorefile, tmp_path, kind):
    vcf = data / "genotypes" / "tiny1000G.vcf.gz"
    given = {"vcf": vcf, "bgen": vcf.with_name("tiny1000G.bgen")}
    genotypes = given[kind] if kind in given else converted(vcf, tmp_path, kind)
    genome(genotypes, scorefile, tmp_path / "genome", config=GenomeConfig(min_match_rate=0.01))
    scores = SCORES.read(tmp_path / "genome" / "scores.parquet")
    names = SAMPLES.read(tmp_path / "genome" / "samples.parquet")
    both = scores.join(names, on="subject_id").join(pl.read_csv(FROZEN, separator="\t"), on="sample_id")
    assert both.height == 3202
    assert both["sum"].std() > 0.1
    np.testing.assert_allclose(both["PGS001229"], both["sum"], atol=1e-4)


def test_match_report_of_pgs001229(data, scorefile, tmp_path, capsys):
    genome(
        data / "genotypes" / "tiny1000G",
        scorefile,
        tmp_path / "genome",
        config=GenomeConfig(min_match_rate=0.01),
    )
    row = MATCH.read(tmp_path / "genome" / "match.parquet").row(0, named=True)
    # 986 of the 51,209 positions are in the file; 66 of them are A/T or C/G.
    assert row == {
        "pgs_id": "PGS001229", "num_rows": 51209, "num_matched": 920, "num_not_scorable": 4,
        "num_no_position": 22, "num_no_variant": 50197, "num_allele_mismatch": 0, "num_ambiguous": 66,
        "num_multiallelic": 0, "num_duplicated": 0, "num_flipped": 3, "num_homozygous_reference": 0,
        "match_rate": 920 / 51209,
        "kept": True, "remedy": "",
    }  # fmt: skip


def test_default_match_rate_leaves_nothing_and_says_why(data, scorefile, tmp_path):
    with pytest.raises(
        DataError, match=r"920 of 51209 rows.*50197 no variant at the position, 66 strand-ambiguous"
    ):
        genome(data / "genotypes" / "tiny1000G", scorefile, tmp_path / "genome")
    assert not (tmp_path / "genome").exists()


@pytest.mark.parametrize(
    ("name", "build", "num_rows", "num_positions"),
    [
        ("PGS000001_hmPOS_GRCh37", "GRCh37", 77, 77),
        ("PGS000001_hmPOS_GRCh38", "GRCh38", 77, 77),
        ("PGS000002_hmPOS_GRCh38", "GRCh38", 77, 77),
        ("PGS004255_hmPOS_GRCh38", "GRCh38", 30, 30),
        ("PGS001229_hmPOS_GRCh38", "GRCh38", 51209, 51209 - 26),
    ],
)
def test_real_scoring_files_are_read(data, name, build, num_rows, num_positions):
    item = read_scorefile(data / "scorefiles" / f"{name}.txt.gz")
    assert (item.pgs_id, item.build, len(item.rows)) == (name.split("_")[0], build, num_rows)
    assert (item.rows.sites != NO_SITE).sum() == num_positions


def test_dosage_weights_of_pgs004255(data):
    rows = read_scorefile(data / "scorefiles" / "PGS004255_hmPOS_GRCh38.txt.gz").rows
    assert (rows.sites[0], rows.effect[0], rows.other[0]) == ((6 << 32) + 32609603, 6, 4)  # G, A
    assert rows.at[:, 0].tolist() == [-0.09833810000000001, 0.08934160000000001, 0.4437184]
    assert rows.is_scorable[0]


def test_the_folder_of_files_names_the_one_without_positions(data, tmp_path):
    with pytest.raises(DataError, match=r"without positions.*PGS000001\.txt\.gz.*hmPOS"):
        genome(data / "genotypes" / "tiny1000G", data / "scorefiles", tmp_path / "genome")
