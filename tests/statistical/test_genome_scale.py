"""5,000 subjects, 20,000 variants and 60 scores: seconds, and memory that follows the setting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
import pytest

NUM_SAMPLES, NUM_VARIANTS, NUM_SCORES = 5000, 20_000, 60
MOST_SECONDS = 20  # about 2 on one core; the rest is room for a busy machine
MOST_GIGABYTES = 0.6  # with 128 MiB for scoring; all dosages at once as float32 would add 0.4
RUN = """
import time
from pathlib import Path
from proband.genome import genome
begun = time.time()
genome(Path("a.pgen"), Path("scorefiles"), Path("genome"), memory_mb=128)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.time() - begun, int(peak.split()[1]) / 2**20)
"""
# VmHWM, since ru_maxrss of a started process counts what the test's own process held before.


@pytest.mark.slow
def test_seconds_and_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pgenlib.PgenWriter(str(tmp_path / "a.pgen").encode(), NUM_SAMPLES, variant_ct=NUM_VARIANTS) as file:
        for frequency in rng.uniform(0.01, 0.5, NUM_VARIANTS):
            calls = (rng.random((2, NUM_SAMPLES), np.float32) < frequency).sum(axis=0).astype(np.int8)
            calls[rng.integers(0, NUM_SAMPLES, NUM_SAMPLES // 200)] = -9
            file.append_biallelic(calls)
    rows = [f"1\t{pos}\t.\tA\tG" for pos in range(1, NUM_VARIANTS + 1)]
    (tmp_path / "a.pvar").write_text("\n".join(["#CHROM\tPOS\tID\tREF\tALT", *rows]) + "\n")
    (tmp_path / "a.psam").write_text("\n".join(["#IID", *map(str, range(NUM_SAMPLES))]) + "\n")
    (tmp_path / "scorefiles").mkdir()
    for number in range(NUM_SCORES):
        size = int(NUM_VARIANTS ** rng.uniform(0.5, 1))
        chosen = np.sort(rng.choice(NUM_VARIANTS, size, replace=False)) + 1
        table = pl.DataFrame(
            {"chr_name": 1, "chr_position": chosen, "effect_allele": "G", "other_allele": "A"}
        )
        table = table.with_columns(effect_weight=pl.Series(rng.normal(size=size)))
        table.write_csv(tmp_path / "scorefiles" / f"PGS{number}.txt", separator="\t")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    seconds, gigabytes = map(float, done.stdout.split())
    print(f"{seconds:.2f} s, {gigabytes:.2f} GB")
    assert seconds < MOST_SECONDS
    assert gigabytes < MOST_GIGABYTES
    assert pl.read_parquet(tmp_path / "genome" / "scores.parquet").shape == (NUM_SAMPLES, NUM_SCORES + 1)
