"""PLINK 1 files by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_BITS = {2: 0, -9: 1, 1: 2, 0: 3}


def write_bed_of(stem: Path, sites: Sequence[tuple[str, int, str, str]], calls: np.ndarray) -> Path:
    """Write .bed, .bim, .fam: two bits a call, 00 two A1 (ALT), 01 missing, 10 one, 11 none."""
    rows = [[_BITS[int(call)] for call in row] + [0] * (-len(row) % 4) for row in calls]
    packed = [sum(row[at + n] << 2 * n for n in range(4)) for row in rows for at in range(0, len(row), 4)]
    Path(f"{stem}.bed").write_bytes(bytes([0x6C, 0x1B, 0x01, *packed]))
    Path(f"{stem}.bim").write_text(
        "".join(f"{chrom}\tv\t0\t{pos}\t{alt}\t{ref}\n" for chrom, pos, ref, alt in sites)
    )
    Path(f"{stem}.fam").write_text(
        "".join(f"f {name} 0 0 {1 + name % 2} -9\n" for name in range(calls.shape[1]))
    )
    return Path(f"{stem}.bed")
