"""One reader of dosages over .pgen, .bed, BGEN and VCF files.

Dosages count the ALT allele, 0 to 2; a missing call is ``MISSING``. For a .bed file ALT is A1 (column 5 of
the .bim) and REF is A2, as in plink2.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int8, UInt32, UInt64

MISSING = np.float32(-9)
"""Dosage of a missing call, pgenlib's code for it."""


@runtime_checkable
class DosageReader(Protocol):
    """Reads ALT dosages of chosen variants and a range of samples."""

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages (0 to 2, ``MISSING`` where not called) of the samples ``start`` to ``stop`` - 1."""
        ...


@dataclass(frozen=True)
class Part:
    """One file of a data set: all that is needed to open it again, in another process too.

    Attributes:
        paths: The file and its companions.
        opener: Makes its reader; a function of a module, so that another process finds it.
        num_variants: Rows of the file.
        num_samples: Samples of the file, before ``subset``.
        first: Row of the data set that is the file's row 0.
        subset: Rows of the samples to read, in the order of the data set; None for all.
        offsets: What the reader needs to find a variant: alleles before each in a .pgen with several ALT
            alleles; else None.
        dosages: Of a VCF, its dosages in the scratch folder.
    """

    paths: tuple[Path, ...]
    opener: Callable[[Part], DosageReader]
    num_variants: int
    num_samples: int
    first: int = 0
    subset: UInt32[np.ndarray, " samples"] | None = None
    offsets: UInt64[np.ndarray, " offsets"] | None = None
    dosages: Path | None = None

    def open(self) -> DosageReader:
        """A reader of the part's own rows, of the samples in ``subset``.

        Raises:
            DataError: The file cannot be opened, or holds other numbers of samples or variants.
        """
        return self.opener(self)


class DataSetReader:
    """Dosages by row of the data set, whichever files hold them; files open as they are needed."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts
        self._ends = np.cumsum([part.num_variants for part in parts])
        self._open: dict[int, DosageReader] = {}

    def read(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Float32[np.ndarray, "variants samples"]:
        """Dosages of the samples ``start`` to ``stop`` - 1; see :class:`DosageReader`."""
        return self._read(indices, start, stop, counts=False)

    def read_calls(
        self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int
    ) -> Int8[np.ndarray, "variants samples"] | Float32[np.ndarray, "variants samples"]:
        """As :meth:`read`, but int8 where no file read holds anything but hard calls."""
        return self._read(indices, start, stop, counts=True)

    def count(self, indices: UInt32[np.ndarray, " variants"]) -> UInt32[np.ndarray, "variants 4"] | None:
        """Numbers of samples with 0, 1 and 2 ALT alleles and of those not called.

        None where a file read may hold other than hard calls.
        """
        chosen = self._chosen(indices)
        if not all(_hard_calls_only(reader) for reader, _, _ in chosen):
            return None
        counts = np.empty((len(indices), 4), np.uint32)
        for reader, rows, own in chosen:
            counts[rows] = reader.count(own)
        return counts

    def _read(self, indices: UInt32[np.ndarray, " variants"], start: int, stop: int, counts: bool) -> Any:
        chosen = self._chosen(indices)
        counts = counts and all(_hard_calls_only(reader) for reader, _, _ in chosen)
        dosages = np.empty((len(indices), stop - start), np.int8 if counts else np.float32)
        for reader, rows, own in chosen:
            found = (reader.read_counts if counts else reader.read)(own, start, stop)
            if len(chosen) == 1:
                return found
            dosages[rows] = found
        return dosages

    def _chosen(
        self, indices: UInt32[np.ndarray, " variants"]
    ) -> list[tuple[Any, np.ndarray, UInt32[np.ndarray, " own"]]]:
        """Readers, which of ``indices`` each holds, and their rows within the reader's file."""
        where = np.searchsorted(self._ends, indices, side="right")
        chosen = []
        for number in np.unique(where).tolist():
            rows = np.flatnonzero(where == number)
            own = (indices[rows] - self._parts[number].first).astype(np.uint32)
            chosen.append((self._reader(number), rows, own))
        return chosen

    def _reader(self, number: int) -> DosageReader:
        if number not in self._open:
            self._open[number] = self._parts[number].open()
        return self._open[number]


def _hard_calls_only(reader: DosageReader) -> bool:
    return getattr(reader, "hard_calls_only", False)


@dataclass(frozen=True)
class Genotypes:
    """A data set of genotypes in one or several files of the same samples.

    Attributes:
        parts: Its files, in the order of their rows.
        variants: One row per ALT allele: ``index`` (row of the data set, UInt32), ``chrom``, ``pos`` (Int64),
            ``ref``, ``alt``, ``is_multiallelic`` (the file's row has several ALT alleles), ``is_ambiguous``
            (ALT is REF on the other strand); if asked for, ``id`` (String).
        sample_ids: Names of the samples that are read, in the first file's order.
        is_male: Recorded sex is male, per sample.
        build: Name of the genome build if the files tell, else None.
    """

    parts: tuple[Part, ...]
    variants: pl.DataFrame
    sample_ids: list[str]
    is_male: Bool[np.ndarray, " samples"]
    build: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the data set consists of, companions included."""
        return tuple(path for part in self.parts for path in part.paths)

    @property
    def num_variants(self) -> int:
        """Rows of all files."""
        return sum(part.num_variants for part in self.parts)

    @functools.cached_property
    def reader(self) -> DataSetReader:
        """Reads dosages by ``index`` of :attr:`variants`."""
        return DataSetReader(self.parts)
