"""Small genotype files and scoring files, written as their real makers write them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pgenlib
import pytest

Variant = tuple[str, int, str, str]
COLUMNS = ["hm_chr", "hm_pos", "effect_allele", "other_allele", "effect_weight"]


def write_scores(
    path: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS, **header: str
) -> Path:
    fields = {"pgs_id": path.name.split(".")[0].split("_")[0], "HmPOS_build": "GRCh38"} | header
    lines = [
        "###PGS CATALOG SCORING FILE",
        "#format_version=2.0",
        *(f"#{name}={text}" for name, text in fields.items()),
    ]
    lines += [
        "\t".join(columns),
        *("\t".join("" if cell is None else str(cell) for cell in row) for row in rows),
    ]
    path.parent.mkdir(exist_ok=True)
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_pgen(
    path: Path, variants: Sequence[Variant], calls: np.ndarray, sample_ids: Sequence[object]
) -> Path:
    """Write .pgen, .pvar and .psam; ``calls`` is variants by samples, 0, 1, 2 or -9."""
    stem = path.with_suffix("")
    with pgenlib.PgenWriter(
        str(path).encode(), len(sample_ids), variant_ct=len(variants), nonref_flags=False
    ) as file:
        for row in np.asarray(calls, np.int8):
            file.append_biallelic(np.ascontiguousarray(row))
    rows = [
        f"{chrom}\t{pos}\tv{number}\t{ref}\t{alt}" for number, (chrom, pos, ref, alt) in enumerate(variants)
    ]
    Path(f"{stem}.pvar").write_text("\n".join(["#CHROM\tPOS\tID\tREF\tALT", *rows]) + "\n")
    Path(f"{stem}.psam").write_text(
        "\n".join(["#FID\tIID\tSEX", *(f"0\t{name}\tNA" for name in sample_ids)]) + "\n"
    )
    return path


def write_vcf(path: Path, rows: Sequence[str], sample_ids: Sequence[object], header: str = "") -> Path:
    """Write a VCF of ``CHROM POS REF ALT FORMAT sample...`` rows, space-separated here."""
    head = ["##fileformat=VCFv4.3", *header.split(), *(f"##contig=<ID={name}>" for name in ("1", "2"))]
    head += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Call">']
    head += ['##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">']
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *map(str, sample_ids)]
    head += ["\t".join(columns)]
    for row in rows:
        chrom, pos, ref, alt, *rest = row.split()
        head.append("\t".join([chrom, pos, ".", ref, alt, ".", ".", ".", *rest]))
    path.write_text("\n".join(head) + "\n")
    return path


@pytest.fixture
def scores(tmp_path: Path) -> Callable[..., Path]:
    """Writes a scoring file into the folder ``scorefiles`` of the test; returns the folder."""

    def write(
        name: str, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS, **header: str
    ) -> Path:
        return write_scores(tmp_path / "scorefiles" / name, rows, columns, **header).parent

    return write


@pytest.fixture
def pgen(tmp_path: Path) -> Callable[..., Path]:
    """Writes toy.pgen and its companions; returns its path."""

    def write(variants: Sequence[Variant], calls: object, sample_ids: Sequence[object] = ()) -> Path:
        calls = np.asarray(calls)
        return write_pgen(tmp_path / "toy.pgen", variants, calls, sample_ids or range(1, calls.shape[1] + 1))

    return write


@pytest.fixture
def vcf(tmp_path: Path) -> Callable[..., Path]:
    """Writes toy.vcf, or one of another name; returns its path."""

    def write(
        rows: Sequence[str], sample_ids: Sequence[object] = (1, 2, 3), header: str = "", name: str = "toy.vcf"
    ) -> Path:
        return write_vcf(tmp_path / name, rows, sample_ids, header)

    return write
