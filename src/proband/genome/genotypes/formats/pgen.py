"""Dosages of .pgen and .bed files, by pgenlib."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int8, UInt32, UInt64

from proband.core.errors import DataError

# PGEN specification (plink-ng, pgen_spec): the third byte is the storage mode, 1 (.bed) and 2 for hard calls
# of fixed width; in standard files (0x10) the low half of the twelfth byte tells whether a record's type
# takes 4 bits, which leave no room for dosages, or 8.
_MODE, _HARD_CALL_MODES, _STANDARD_MODE = 2, (1, 2), 0x10
_FORMAT, _FIRST_FORMAT_OF_8_BITS = 11, 4
_COUNTS, _MODES_WITH_COUNTS = struct.Struct("<3xII"), (2, 3, 4, 0x10)
"""Numbers of variants and samples after the mode; where an index file has them they may be missing here."""


class PlinkReader:
    """Dosages of a .pgen or .bed file through pgenlib.

    Args:
        path: The .pgen or .bed file.
        num_variants: Variants it should hold.
        num_samples: Samples it should hold.
        allele_offsets: Running count of alleles before each variant, as pgenlib wants it; None where every
            variant has two.
        subset: Rows of the samples to read, in any order; None for all.

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
        self._is_ordered = bool((self._subset[1:] > self._subset[:-1]).all())
        self._samples = (0, num_samples) if subset is None else (0, 0)
        is_bed = path.suffix == ".bed"
        if not is_bed:
            self._check_counts(_counts_of_header(path), (num_variants, num_samples))
        try:
            reader = pgenlib.PgenReader(
                str(path).encode(),
                raw_sample_ct=num_samples if is_bed else None,
                allele_idx_offsets=allele_offsets,
            )
        except (RuntimeError, OSError, ValueError, MemoryError) as error:
            raise self._unreadable(error) from None
        self._reader: Any = reader
        self.hard_calls_only = _hard_calls_only(path)
        found = (reader.get_variant_ct(), reader.get_raw_sample_ct())
        self._check_counts(found, (num_variants, num_samples))

    def _check_counts(self, found: tuple[int, int] | None, expected: tuple[int, int]) -> None:
        if found is not None and found != expected:
            raise DataError(
                "counts do not fit",
                where=self._path,
                found=f"{found[0]} variants of {found[1]} samples",
                expected=f"{expected[0]} variants of {expected[1]} samples, as its companion files say",
                remedy="the files belong to different data sets, or one is truncated: copy them again",
            )

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages of the samples ``start`` to ``stop`` - 1; see :class:`DosageReader`."""
        dosages = np.empty((len(indices), stop - start), np.float32)
        self._fill(dosages, "read_dosages_list", indices, start, stop)
        return dosages

    def read_counts(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Int8[np.ndarray, "variants samples"]:
        """Hard calls, in half the time and a quarter of the memory; where ``hard_calls_only``, the same."""
        counts = np.empty((len(indices), stop - start), np.int8)
        self._fill(counts, "read_list", indices, start, stop)
        return counts

    def count(self, indices: UInt32[np.ndarray, " variants"]) -> UInt32[np.ndarray, "variants 4"]:
        """Numbers of samples with 0, 1 and 2 ALT alleles by hard calls, and of those not called."""
        counts = np.empty((len(indices), 4), np.uint32)
        with self._of_samples(0, len(self._subset)):
            for index, row in zip(indices.tolist(), counts, strict=True):
                self._reader.count(index, row)
        return counts

    def _fill(
        self, out: np.ndarray, method: str, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> None:
        with self._of_samples(start, stop):
            getattr(self._reader, method)(indices, out)
        if not self._is_ordered:
            order = np.argsort(self._subset[start:stop])
            out[:, order] = out.copy()

    @contextlib.contextmanager
    def _of_samples(self, start: int, stop: int) -> Iterator[None]:
        try:
            if (start, stop) != self._samples:
                self._reader.change_sample_subset(np.sort(self._subset[start:stop]))  # pgenlib wants them so
                self._samples = (start, stop)
            yield
        except (RuntimeError, OSError, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> DataError:
        text = error.args[0] if error.args else type(error).__name__
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        remedy = "the file is truncated or of another kind: copy or make it again"
        return DataError("unreadable genotype file", where=self._path, found=text, remedy=remedy)


def _counts_of_header(path: Path) -> tuple[int, int] | None:
    """Variants and samples by a .pgen's own header, before anything of that size is allocated; None where it
    holds none.
    """
    with open(path, "rb") as file:
        header = file.read(_COUNTS.size)
    if len(header) < _COUNTS.size or header[_MODE] not in _MODES_WITH_COUNTS:
        return None
    return _COUNTS.unpack(header)


def _hard_calls_only(path: Path) -> bool:
    """Whether the file's header rules dosages out."""
    with open(path, "rb") as file:
        header = file.read(_FORMAT + 1)
    is_plain = header[_MODE] == _STANDARD_MODE and (header[_FORMAT] & 15) < _FIRST_FORMAT_OF_8_BITS
    return header[_MODE] in _HARD_CALL_MODES or is_plain
