"""Make tests/reference/genome_small/: genotypes with missing calls, X, MT and dosages, scored by plink2.

Usage: python tests/reference/make/genome_small.py OUT    (needs plink2 on the path; made with v2.00a3.5)

Writes calls.{pgen,pvar,psam,bed,bim,fam} (hard calls, recorded sex), dosages.vcf (DS only), weights.tsv and
sums.tsv: plink2's SCORE_SUM of every sample for additive weights on all variants, dominant and recessive
weights on the autosomes, and additive weights on the dosages.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

NUM_SAMPLES = 60
CHROMOSOMES = ["1"] * 20 + ["22"] * 10 + ["X"] * 6 + ["MT"] * 3
ALLELES = [("A", "G"), ("C", "T"), ("G", "T"), ("A", "C"), ("CA", "C")]
MISSING_SHARE = 0.12


def main(out: Path) -> None:
    rng = np.random.default_rng(1)
    out.mkdir(parents=True, exist_ok=True)
    male = rng.random(NUM_SAMPLES) < 0.5
    names = [str(1000 + row) for row in range(NUM_SAMPLES)]
    sites = [(chrom, 200_000_000 + 7 * row, *ALLELES[row % 5]) for row, chrom in enumerate(CHROMOSOMES)]
    calls, dosages, weights = [], [], []
    for row, (chrom, pos, ref, alt) in enumerate(sites):
        haploid = male if chrom == "X" else np.full(NUM_SAMPLES, chrom == "MT")
        alleles = rng.random((NUM_SAMPLES, 2)) < rng.uniform(0.05, 0.6)
        missing = (rng.random(NUM_SAMPLES) < MISSING_SHARE) | (row == 5)
        text = [call(*row) for row in zip(alleles, haploid, missing, strict=True)]
        calls.append("\t".join([*site_fields(chrom, pos, ref, alt), "GT", *text]))
        if chrom not in ("X", "MT"):
            expected = np.clip(alleles.sum(1) + rng.normal(0, 0.2, NUM_SAMPLES), 0, 2)
            text = ["." if gone else f"{dose:.3f}" for dose, gone in zip(expected, missing, strict=True)]
            dosages.append("\t".join([*site_fields(chrom, pos, ref, alt), "DS", *text]))
        effect, other = (alt, ref) if rng.random() < 0.5 else (ref, alt)
        weights.append((f"{chrom}:{pos}", chrom, pos, effect, other, round(rng.normal(), 4)))
    write_vcf(out / "calls.vcf", names, calls)
    write_vcf(out / "dosages.vcf", names, dosages)
    table = ["\t".join(map(str, row)) for row in weights]
    (out / "weights.tsv").write_text("\n".join(["id\tchrom\tpos\teffect\tother\tweight", *table]) + "\n")
    sex = [f"{name}\t{1 if is_male else 2}" for name, is_male in zip(names, male, strict=True)]
    (out / "sex.tsv").write_text("\n".join(["#IID\tSEX", *sex]) + "\n")
    score(out, names)


def site_fields(chrom: str, pos: int, ref: str, alt: str) -> list[str]:
    return [chrom, str(pos), f"{chrom}:{pos}", ref, alt, ".", ".", "."]


def call(alleles: np.ndarray, is_haploid: bool, is_missing: bool) -> str:
    if is_haploid:
        return "." if is_missing else str(int(alleles[0]))
    return "./." if is_missing else f"{int(alleles[0])}/{int(alleles[1])}"


def write_vcf(path: Path, names: list[str], rows: list[str]) -> None:
    head = ["##fileformat=VCFv4.3"] + [f"##contig=<ID={name}>" for name in ("1", "22", "X", "MT")]
    head += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Call">']
    head += ['##FORMAT=<ID=DS,Number=1,Type=Float,Description="Dosage of ALT">']
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]
    path.write_text("\n".join([*head, "\t".join(columns), *rows]) + "\n")


def plink2(out: Path, arguments: str) -> None:
    subprocess.run(["plink2", *arguments.split()], cwd=out, check=True, capture_output=True)


def score(out: Path, names: list[str]) -> None:
    plink2(out, "--vcf calls.vcf --update-sex sex.tsv --make-pgen --out calls")
    plink2(out, "--pfile calls --make-bed --out calls")
    plink2(out, "--vcf dosages.vcf dosage=DS --make-pgen --out dosages")
    runs = {
        "additive": "--pfile calls --score weights.tsv 1 4 6 header cols=scoresums",
        "dominant": "--pfile calls --autosome --score weights.tsv 1 4 6 header dominant cols=scoresums",
        "recessive": "--pfile calls --autosome --score weights.tsv 1 4 6 header recessive cols=scoresums",
        "dosage": "--pfile dosages --score weights.tsv 1 4 6 header cols=scoresums",
    }
    sums = {}
    for name, run in runs.items():
        plink2(out, f"{run} --out {name}")
        rows = [line.split() for line in (out / f"{name}.sscore").read_text().splitlines()[1:]]
        sums[name] = dict(rows)
    lines = ["\t".join(["sample_id", *runs])]
    lines += ["\t".join([sample, *(sums[name][sample] for name in runs)]) for sample in names]
    (out / "sums.tsv").write_text("\n".join(lines) + "\n")
    for file in [*out.glob("*.sscore"), *out.glob("*.log"), *out.glob("dosages.p*"), out / "sex.tsv"]:
        file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
