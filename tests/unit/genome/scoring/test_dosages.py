from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from bgen import BgenWriter
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.core.schema import SCORES
from proband.genome import GenomeConfig, genome
from proband.genome.scoring import dosages

SITES = [("1", 10, "A", "G"), ("1", 20, "C", "T"), ("2", 30, "A", "T"), ("MT", 5, "A", "C")]
CALLS = np.array([[0, 1, 2], [2, -9, 1], [1, 1, 0], [2, 0, -9]])
"""ALT alleles of three subjects; -9 is missing."""

NAN = float("nan")
BY_HAND = {
    "1:10:A:G": [0.0, 1.0, 2.0],  # ALT
    "chr1:20:T:C": [0.0, NAN, 1.0],  # the allele counted is REF
    "1:10:T:C": [0.0, 1.0, 2.0],  # the first again, on the other strand
    "MT:5:A:C": [1.0, 0.0, NAN],  # counts 0 to 1
}
LOST = {
    "2:30:A:T": "strand-ambiguous",
    "1:10:G:T": "other alleles at the position",
    "7:7:A:C": "no variant at the position",
}
SCORE = [["1", 10, "G", "A", 0.5]]
Pgen = Callable[..., Path]


def write_bed(stem: Path) -> Path:
    """Two bits a call: 00 two A1 (ALT), 01 missing, 10 one, 11 none."""
    bits = {2: 0, -9: 1, 1: 2, 0: 3}
    packed = [sum(bits[int(call)] << 2 * n for n, call in enumerate(row)) for row in CALLS]
    Path(f"{stem}.bed").write_bytes(bytes([0x6C, 0x1B, 0x01, *packed]))
    lines = [f"{chrom}\tv{n}\t0\t{pos}\t{alt}\t{ref}\n" for n, (chrom, pos, ref, alt) in enumerate(SITES)]
    Path(f"{stem}.bim").write_text("".join(lines))
    Path(f"{stem}.fam").write_text("".join(f"f {name} 0 0 2 -9\n" for name in (1, 2, 3)))
    return Path(f"{stem}.bed")


def write_bgen(path: Path) -> Path:
    certain = {0: [1, 0, 0], 1: [0, 1, 0], 2: [0, 0, 1], -9: [NAN] * 3}
    with BgenWriter(str(path), 3, samples=("1", "2", "3")) as file:
        for n, ((chrom, pos, ref, alt), row) in enumerate(zip(SITES, CALLS, strict=True)):
            file.add_variant(
                f"v{n}", f"v{n}", chrom, pos, [ref, alt], np.array([certain[c] for c in row.tolist()])
            )
    return path


def listed(folder: Path, *names: str) -> Path:
    path = folder / "lead.txt"
    path.write_text("\n".join(["# lead variants", *names]) + "\n")
    return path


def columns(folder: Path) -> dict[str, list[float]]:
    return SCORES.read(folder / "dosages.parquet").drop("subject_id").to_dict(as_series=False)


def same(found: dict[str, list[float]], expected: dict[str, list[float]]) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name], equal_nan=True) for name in expected
    )


@pytest.fixture
def sources(pgen: Pgen, vcf: Pgen, tmp_path: Path) -> dict[str, Callable[[], Path]]:
    calls = {0: "0/0", 1: "0/1", 2: "1/1", -9: "./."}
    rows = [
        " ".join([*map(str, site), "GT", *(calls[call] for call in row)])
        for site, row in zip(SITES, CALLS.tolist(), strict=True)
    ]
    return {
        "pgen": lambda: pgen(SITES, CALLS),
        "bed": lambda: write_bed(tmp_path / "toy"),
        "vcf": lambda: vcf(rows, header="##contig=<ID=MT>"),
        "bgen": lambda: write_bgen(tmp_path / "toy.bgen"),
    }


@pytest.mark.parametrize("kind", ["pgen", "bed", "vcf", "bgen"])
def test_dosages_by_hand(
    kind: str, sources: dict[str, Callable[[], Path]], scores: Pgen, tmp_path: Path, capsys: Any
) -> None:
    out, names = tmp_path / "genome", listed(tmp_path, *BY_HAND, *LOST)
    genome(sources[kind](), scores("PGS1.txt", SCORE), out, variants=names)
    assert SCORES.read(out / "dosages.parquet")["subject_id"].to_list() == [1, 2, 3]
    assert same(columns(out), BY_HAND)
    report = pl.read_csv(out / "variants.tsv", separator="\t")
    assert dict(report.select("name", "status").rows()) == dict.fromkeys(BY_HAND, "matched") | LOST
    told = report.filter(pl.col("status") == "matched").drop("name", "status", "mean_dosage")
    assert told.rows() == [
        ("1", 10, "A", "G", "G", False, 0),
        ("1", 20, "C", "T", "C", False, 1),
        ("1", 10, "A", "G", "G", True, 0),
        ("MT", 5, "A", "C", "C", False, 1),
    ]
    assert report["mean_dosage"].to_list()[:4] == [1.0, 0.5, 1.0, 0.5]
    assert "3 of 7 listed variants are left out, first 2:30:A:T: strand-ambiguous" in capsys.readouterr().err
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert (counts["num_variants_listed"], counts["num_variants_listed_found"]) == (7, 4)


@pytest.mark.parametrize("kind", ["pgen", "bed", "bgen"])
def test_identifiers_alone_count_alt_whatever_the_strand(
    kind: str, sources: dict[str, Callable[[], Path]], scores: Pgen, tmp_path: Path
) -> None:
    out = tmp_path / "genome"
    genome(
        sources[kind](),
        scores("PGS1.txt", SCORE),
        out,
        variants=listed(tmp_path, "v2", "v1", "rs9", "1:10:A:G"),
    )
    assert same(columns(out), {"v2": [1, 1, 0], "v1": [2, NAN, 1], "1:10:A:G": [0, 1, 2]})
    report = pl.read_csv(out / "variants.tsv", separator="\t")
    assert report.filter(pl.col("name") == "rs9")["status"].to_list() == ["no variant at the position"]


def test_a_table_like_a_scoring_file(pgen: Pgen, scores: Pgen, tmp_path: Path) -> None:
    table = tmp_path / "lead.tsv"
    head = "#genome_build=GRCh38\nrsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
    rows = ["lead1\t1\t10\tA\tG\t0.3", "\t1\t20\tT\t\tx", "v2\t\t\tT\tA\t", "v3\t\t\ta\tc\t"]
    table.write_text(head + "\n".join(rows) + "\n")
    folder = scores("PGS1.txt", SCORE)
    genome(pgen(SITES, CALLS), folder, tmp_path / "a", variants=table)
    expected = {"lead1": [2, 1, 0], "1:20:?:T": [2, NAN, 1], "v3": [0, 1, NAN]}
    assert same(columns(tmp_path / "a"), expected)
    genome(
        tmp_path / "toy.pgen",
        folder,
        tmp_path / "b",
        variants=table,
        config=GenomeConfig(keep_ambiguous=True),
    )
    assert same(columns(tmp_path / "b"), expected | {"v2": [1, 1, 0]})


def test_slices_of_samples_change_nothing(
    pgen: Pgen, scores: Pgen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dosages, "_CELL_BYTES", 2**30)  # one sample at a time
    genome(pgen(SITES, CALLS), scores("PGS1.txt", SCORE), tmp_path / "g", variants=listed(tmp_path, *BY_HAND))
    assert same(columns(tmp_path / "g"), BY_HAND)
    report = pl.read_csv(tmp_path / "g" / "variants.tsv", separator="\t")
    assert report["num_missing"].to_list() == [0, 1, 0, 1]


def test_several_variants_of_a_name_and_of_a_line_are_left_out(
    pgen: Pgen, scores: Pgen, tmp_path: Path
) -> None:
    path = pgen(SITES, CALLS)
    companion = path.with_suffix(".pvar")
    companion.write_text(companion.read_text().replace("v1\t", "v0\t"))
    folder = scores("PGS1.txt", SCORE)
    genome(path, folder, tmp_path / "a", variants=listed(tmp_path, "v0", "v2"))
    assert same(columns(tmp_path / "a"), {"v2": [1, 1, 0]})
    report = pl.read_csv(tmp_path / "a" / "variants.tsv", separator="\t")
    assert report["status"].to_list() == ["multiallelic", "matched"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v0 v1 v2\n", "no list of variants.*found v0 v1 v2.*effect_allele"),
        ("v0\nv0\n", "a variant is listed twice.*found v0"),
        ("rs1\n8:1:A:C\n", "no variant of the list is usable.*rs1: no variant at the position"),
        ("2:30:A:T\n", "no variant of the list is usable.*strand-ambiguous"),
        ("", "scoring file without rows"),
    ],
)
def test_unusable_lists(pgen: Pgen, scores: Pgen, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lead.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        genome(pgen(SITES, CALLS), scores("PGS1.txt", SCORE), tmp_path / "g", variants=tmp_path / "lead.txt")
    assert not (tmp_path / "g").exists()


def test_another_genome_build_and_genotypes_without_identifiers(
    pgen: Pgen, scores: Pgen, tmp_path: Path
) -> None:
    path, folder = pgen(SITES, CALLS), scores("PGS1.txt", SCORE)
    table = tmp_path / "lead.tsv"
    table.write_text("#genome_build=GRCh37\nchr_name\tchr_position\teffect_allele\n1\t10\tG\n")
    companion = path.with_suffix(".pvar")
    plain = companion.read_text()
    companion.write_text("##contig=<ID=1,length=248956422>\n" + plain)
    with pytest.raises(DataError, match=r"wrong genome build.*found GRCh37.*expected GRCh38"):
        genome(path, folder, tmp_path / "g", variants=table)
    lines = [line.split("\t") for line in plain.splitlines()]
    companion.write_text("\n".join("\t".join(line[:2] + line[3:]) for line in lines) + "\n")
    with pytest.raises(DataError, match="genotypes without identifiers"):
        genome(path, folder, tmp_path / "g", variants=listed(tmp_path, "v0"))


def test_scores_computed_elsewhere_have_no_dosages(tmp_path: Path) -> None:
    given = ["genome", "--from-scores", "a.tsv", "--variants", "b.txt", str(tmp_path / "g")]
    found = CliRunner().invoke(app, given)
    assert isinstance(found.exception, ConfigError)
    assert "--variants is of no use with --from-scores" in str(found.exception)


@pytest.mark.skipif(not shutil.which("plink2"), reason="plink2 is not installed")
def test_dosages_equal_an_independent_programs(pgen: Pgen, scores: Pgen, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    calls = rng.binomial(2, rng.uniform(0.05, 0.9, (40, 1)), (40, 30))
    calls[rng.random(calls.shape) < 0.1] = -9
    sites = [(str(1 + n // 20), 100 + n, "AC"[n % 2], "GT"[n % 2]) for n in range(40)]
    path = pgen(sites, calls)
    genome(path, scores("PGS1.txt", [["1", 100, "A", "G", 1]]), tmp_path / "g",
           variants=listed(tmp_path, *(f"v{n}" for n in range(40))))  # fmt: skip
    export = ["--export", "A", "--export-allele", str(tmp_path / "alt.txt"), "--out", str(tmp_path / "x")]
    (tmp_path / "alt.txt").write_text("".join(f"v{n} {site[3]}\n" for n, site in enumerate(sites)))
    subprocess.run(["plink2", "--pfile", str(path.with_suffix("")), *export], check=True, capture_output=True)
    theirs = pl.read_csv(tmp_path / "x.raw", separator="\t", null_values="NA")
    for n, site in enumerate(sites):
        ours = SCORES.read(tmp_path / "g" / "dosages.parquet")[f"v{n}"].fill_nan(None).to_list()
        assert ours == theirs[f"v{n}_{site[3]}"].to_list()
