"""Chosen variants and people of a data set, read block by block with the alleles as they are wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt32

from proband.core.running.progress import track
from proband.genome.genotypes.dataset import DosageReader, Genotypes

_MOST_ROWS = 1024  # larger blocks gain no speed
_BYTES_PER_MB = 2**20
_COPIES = 3  # a block, its mask of missing calls and what is made of it


@dataclass(frozen=True)
class Panel:
    """Variants (rows) and people (columns) of a data set.

    Attributes:
        reader: Reads ALT dosages of the whole data set.
        variants: Rows of the data set.
        is_swapped: REF and ALT are to be exchanged, per variant.
        people: Columns of the data set, ascending.
        memory_mb: Size of a block.
    """

    reader: DosageReader
    variants: UInt32[np.ndarray, " variants"]
    is_swapped: Bool[np.ndarray, " variants"]
    people: Int64[np.ndarray, " people"]
    memory_mb: int

    def of_variants(self, rows: Int64[np.ndarray, " rows"]) -> Panel:
        """The panel of some of the variants."""
        return dataclasses.replace(self, variants=self.variants[rows], is_swapped=self.is_swapped[rows])

    def of_people(self, people: Int64[np.ndarray, " chosen"]) -> Panel:
        """The panel of other columns of the data set."""
        return dataclasses.replace(self, people=people)

    def blocks(self, description: str) -> Iterator[tuple[slice, Float32[np.ndarray, "block people"]]]:
        """Dosages of the variants in order, ``MISSING`` (negative) where not called; free to overwrite."""
        if not len(self.people):
            return
        start, stop = int(self.people[0]), int(self.people[-1]) + 1
        columns = None if stop - start == len(self.people) else self.people - start
        rows = self.memory_mb * _BYTES_PER_MB // (4 * _COPIES * (stop - start))
        step = int(np.clip(rows, 1, _MOST_ROWS))
        for first in track(range(0, len(self.variants), step), description):
            block = slice(first, first + step)
            dosages = self.reader.read(self.variants[block], start, stop)
            if columns is not None:
                dosages = dosages[:, columns]
            swapped = self.is_swapped[block]
            if swapped.any():
                turned = dosages[swapped]
                dosages[swapped] = np.where(turned < 0, turned, 2 - turned)
            yield block, dosages


def open_panel(
    source: Genotypes,
    variants: UInt32[np.ndarray, " variants"],
    memory_mb: int,
    is_swapped: Bool[np.ndarray, " variants"] | None = None,
) -> Panel:
    """Chosen rows of a data set for all its people, alleles as they are unless told."""
    people = np.arange(len(source.sample_ids), dtype=np.int64)
    swapped = np.zeros(len(variants), bool) if is_swapped is None else is_swapped
    return Panel(source.reader, variants, swapped, people, memory_mb)


def means_and_missing(
    dosages: Float32[np.ndarray, "block people"],
) -> tuple[Float64[np.ndarray, " block"], Float64[np.ndarray, " block"]]:
    """Mean dosage of the called people (0 where none is) and share of missing calls, per variant."""
    missing = dosages < 0
    num_missing = missing.sum(axis=1)
    num_called = dosages.shape[1] - num_missing
    total = dosages.sum(axis=1, dtype=np.float64, where=~missing)
    return total / np.maximum(num_called, 1), num_missing / dosages.shape[1]


def frequencies(panel: Panel) -> tuple[Float64[np.ndarray, " variants"], Float64[np.ndarray, " variants"]]:
    """Frequency of ALT among the called people, and share of missing calls, per variant."""
    frequency, missing = np.zeros(len(panel.variants)), np.ones(len(panel.variants))
    for block, dosages in panel.blocks("Counting alleles"):
        frequency[block], missing[block] = means_and_missing(dosages)
    return frequency / 2, missing


def standardise(
    dosages: Float32[np.ndarray, "block people"], frequency: Float64[np.ndarray, " block"]
) -> Float32[np.ndarray, "block people"]:
    """``(d - 2f) / sqrt(2f(1 - f))`` in place; a missing call is the mean, so 0. ``f`` is neither 0 nor 1."""
    missing = dosages < 0
    dosages -= (2 * frequency).astype(np.float32)[:, None]
    dosages *= (1 / np.sqrt(2 * frequency * (1 - frequency))).astype(np.float32)[:, None]
    dosages[missing] = 0
    return dosages
