from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from proband.core.seeds import generator
from proband.synth.genomes.plink import MISSING, PgenOutput, read_calls, write_pvar


def test_calls_written_in_runs_read_back(tmp_path: Path) -> None:
    calls = generator(1).integers(-1, 3, (50, 23)).astype(np.int8)
    calls[calls < 0] = MISSING
    with PgenOutput(tmp_path / "a.pgen", 23, 50) as output:
        for run in (calls[:7], calls[7:7], calls[7:8], calls[8:]):
            output.append(run)
    np.testing.assert_array_equal(read_calls(tmp_path / "a.pgen"), calls)


def test_variants_are_named_by_place_and_alleles(tmp_path: Path) -> None:
    variants = pl.DataFrame({"chrom": [1, 1], "pos": [5, 9], "ref": ["A", "C"], "alt": ["G", "T"]})
    write_pvar(tmp_path / "a.pvar", variants)
    lines = (tmp_path / "a.pvar").read_text().splitlines()
    assert lines == ["#CHROM\tPOS\tID\tREF\tALT", "1\t5\t1:5:A:G\tA\tG", "1\t9\t1:9:C:T\tC\tT"]
