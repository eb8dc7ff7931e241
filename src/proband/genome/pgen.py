"""Dosages of .pgen and .bed files, by pgenlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt32, UInt64

from proband.core.errors import DataError


class PlinkReader:
    """Dosages of a .pgen or .bed file through pgenlib.

    Args:
        path: The .pgen or .bed file.
        num_variants: Variants it should hold.
        num_samples: Samples it should hold.
        allele_offsets: Running count of alleles before each variant, as pgenlib wants it; None where every
            variant has two.
        subset: Rows of the samples to read, ascending; None for all.

    Raises:
        DataError: The file cannot be opened or holds other numbers of samples or variants.
    """

    def __init__(
        self,
        path: Path,
        num_variants: int,
        num_samples: int,
        allele_offsets: UInt64[np.ndarray, " offsets"] | None = None,
        subset: UInt32[np.ndarray, " samples"] | None = None,
    ) -> None:
        import pgenlib

        self._path = path
        self._subset = np.arange(num_samples, dtype=np.uint32) if subset is None else subset
        self._samples = (0, num_samples) if subset is None else (0, 0)
        is_bed = path.suffix == ".bed"
        try:
            reader = pgenlib.PgenReader(
                str(path).encode(),
                raw_sample_ct=num_samples if is_bed else None,
                allele_idx_offsets=allele_offsets,
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        self._reader: Any = reader
        found = (reader.get_variant_ct(), reader.get_raw_sample_ct())
        if found != (num_variants, num_samples):
            raise DataError(
                "counts do not fit",
                where=path,
                found=f"{found[0]} variants of {found[1]} samples",
                expected=f"{num_variants} variants of {num_samples} samples, as its companion files say",
                remedy="the files belong to different data sets, or one is truncated: copy them again",
            )

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages of the samples ``start`` to ``stop`` - 1; see :class:`DosageReader`."""
        try:
            if (start, stop) != self._samples:
                self._reader.change_sample_subset(self._subset[start:stop])
                self._samples = (start, stop)
            dosages = np.empty((len(indices), stop - start), np.float32)
            self._reader.read_dosages_list(indices, dosages)
        except (RuntimeError, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        return dosages

    def _unreadable(self, error: Exception) -> DataError:
        text = error.args[0] if error.args else type(error).__name__
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        remedy = "the file is truncated or of another kind: copy or make it again"
        return DataError("unreadable genotype file", where=self._path, found=text, remedy=remedy)
