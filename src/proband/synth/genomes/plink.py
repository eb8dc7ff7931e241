"""PLINK 2 files: written in runs of variants, read back whole."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import pgenlib
import polars as pl
from jaxtyping import Int8

MISSING = -9
"""Code of a missing genotype call in ``int8`` dosages, as pgenlib has it."""


class PgenOutput:
    """A .pgen file of hard calls that grows by runs of variants; a context manager."""

    def __init__(self, path: Path, num_samples: int, num_variants: int) -> None:
        self._writer = pgenlib.PgenWriter(
            str(path).encode(), num_samples, variant_ct=num_variants, nonref_flags=False
        )

    def __enter__(self) -> PgenOutput:
        return self

    def append(self, calls: Int8[np.ndarray, "variants samples"]) -> None:
        """Add the next variants; -9 is missing."""
        if len(calls):
            self._writer.append_biallelic_batch(np.ascontiguousarray(calls))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def write_pvar(path: Path, variants: pl.DataFrame) -> None:
    """Write the .pvar beside a .pgen; ``variants`` has chrom, pos, ref, alt."""
    name = pl.concat_str(["chrom", "pos", "ref", "alt"], separator=":")
    variants.select(
        pl.col("chrom").alias("#CHROM"), pl.col("pos").alias("POS"), name.alias("ID"),
        pl.col("ref").alias("REF"), pl.col("alt").alias("ALT"),
    ).write_csv(path, separator="\t")  # fmt: skip


def read_calls(path: Path) -> Int8[np.ndarray, "variants samples"]:
    """All calls of a .pgen file."""
    with pgenlib.PgenReader(str(path).encode()) as reader:
        calls = np.empty((reader.get_variant_ct(), reader.get_raw_sample_ct()), dtype=np.int8)
        reader.read_range(0, len(calls), calls)
    return calls
