"""A tokens folder, memory-mapped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.errors import NUMPY_ERRORS, DataError, first_line
from proband.core.files.manifest import open_output
from proband.core.running.progress import is_worker
from proband.core.schema import SPLITS, SUBJECTS
from proband.core.seeds import generator
from proband.core.sex import female_of
from proband.tokens.vocabulary import Vocabulary

FILES = ("vocabulary.json", "subjects.parquet", "tokens.npy", "minutes.npy", "offsets.npy", "statics.npy")
_REMEDY = "run `proband tokens` again"
_CHECKED_AT_ONCE = 2**22
LEARNT = ("train", "tuning")
"""Splits that training reads."""


class TokenStore:
    """Read access to a tokens folder; nothing is copied to memory.

    Attributes:
        drawn: By split, rows that stand for it; empty unless :meth:`resampled` or :meth:`fewer`.

    Args:
        folder: A finished tokens output.

    Raises:
        DataError: The folder is unfinished or of another stage; a file is not as it was written; or an array
            is no such array, or does not fit with the others.
    """

    drawn: Mapping[str, Int[np.ndarray, " rows"]] = MappingProxyType({})

    def __init__(self, folder: Path) -> None:
        open_output(folder, "tokens", FILES)
        self.folder = folder
        self.vocabulary = Vocabulary.load(folder / "vocabulary.json")
        self.subjects = _read_subjects(folder / "subjects.parquet")
        self.tokens = _map(folder / "tokens.npy", 1, len(self.vocabulary))
        self.minutes = _map(folder / "minutes.npy", 1, np.iinfo(np.int32).max)
        self.offsets = np.asarray(_map(folder / "offsets.npy", 1, len(self.tokens) + 1))
        self.statics = np.asarray(_map(folder / "statics.npy", 2, len(self.vocabulary.statics) + 1))
        sizes = {len(self.offsets) - 1, len(self.statics), self.subjects.height}
        if len(sizes) != 1 or not len(self.tokens) == len(self.minutes) == self.offsets[-1]:
            raise DataError("arrays do not fit together", where=folder, remedy=_REMEDY)
        if self.offsets[0] != 0 or (np.diff(self.offsets) < 0).any():
            expected = "numbers that start at 0 and never fall"
            raise DataError("unusable array", where=folder / "offsets.npy", expected=expected, remedy=_REMEDY)
        self.subject_ids = self.subjects["subject_id"].to_numpy()
        self.entry = self.subjects["entry_minutes"].to_numpy()
        self.exit = self.subjects["exit_minutes"].to_numpy()
        self.died = self.subjects["died"].to_numpy()

    def __len__(self) -> int:
        return self.subjects.height

    @cached_property
    def once(self) -> Bool[np.ndarray, " vocabulary"]:
        """Per token, whether it happens at most once in a life."""
        return np.asarray(self.vocabulary.once, dtype=bool)

    @cached_property
    def alike(self) -> Int[np.ndarray, " vocabulary"]:
        """Per token, the lowest token of the same code whose value bins happen once among them."""
        return self.vocabulary.alike()

    @cached_property
    def female(self) -> Float[np.ndarray, " subjects"]:
        """1 female, 0 male, NaN not recorded, of each subject; read from the static codes."""
        said = [female_of(code) for code in self.vocabulary.statics]
        of_static = np.array([np.nan, *(np.nan if sex is None else sex for sex in said)])
        known = of_static[self.statics]
        first = np.argmax(np.isfinite(known), axis=1)
        return known[np.arange(len(known)), first]

    def resampled(self, seed: int) -> TokenStore:
        """The same records, of which as many subjects of train, and of tuning, are drawn with replacement.

        Only :meth:`rows_of` is another: it has the rows of those drawn, in rising order, a subject's as often
        as it was drawn.
        """
        other = copy(self)
        other.drawn = {split: _drawn(self.rows_of(split), seed, split) for split in LEARNT}
        return other

    def fewer(self, share: float, seed: int) -> TokenStore:
        """The same records, of which a share of the subjects of train, and of tuning, is drawn, rounded up.

        Only :meth:`rows_of` is another. Those of a smaller share are among those of a larger one of the same
        seed.

        Args:
            share: Above 0, at most 1.
            seed: Seed of the draw.
        """
        other = copy(self)
        other.drawn = {split: _some(self.rows_of(split), share, seed, split) for split in LEARNT}
        return other

    def rows_of(self, split: str) -> Int[np.ndarray, " rows"]:
        """Rows of a split's subjects.

        Raises:
            DataError: Unknown or empty split.
        """
        if split in self.drawn:
            return self.drawn[split]
        rows = np.flatnonzero((self.subjects["split"] == split).to_numpy())
        if not len(rows):
            present = ", ".join(self.subjects["split"].unique().sort().to_list())
            raise DataError(
                "no subject in this split", where=self.folder, found=present, expected=f"{split} of {SPLITS}"
            )
        return rows

    def follow_up(self, split: str | None = None) -> pl.DataFrame:
        """Follow-up of a split's subjects, or of all, as :func:`proband.ehr.cohort.follow_up` gives it, with
        their ``row``.

        Raises:
            DataError: Unknown or empty split.
        """
        dead = pl.when(pl.col("died")).then(pl.col("exit_time")).alias("death_time")
        everybody = self.subjects.with_row_index("row").with_columns(dead)
        return everybody if split is None else everybody[self.rows_of(split)]

    def record(self, row: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Tokens and ages in minutes of one subject, birth first."""
        here = slice(self.offsets[row], self.offsets[row + 1])
        return self.tokens[here].astype(np.int64), self.minutes[here].astype(np.int64)

    def history_lengths(
        self, rows: Int[np.ndarray, " n"], until: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Tokens of each record at or before an age in minutes, birth included: where histories are cut."""
        ages = np.asarray(self.minutes)
        found = np.empty(len(rows), dtype=np.int64)
        for at, (row, last) in enumerate(zip(rows, until, strict=True)):
            here = ages[self.offsets[row] : self.offsets[row + 1]]
            found[at] = np.searchsorted(here, last, side="right")
        return found

    def history(self, row: int, until: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Tokens and ages in minutes of one subject at or before an age, birth first."""
        length = int(self.history_lengths(np.array([row]), np.array([until]))[0])
        tokens, minutes = self.record(row)
        return tokens[:length], minutes[:length]

    def codes_before(
        self, rows: Int[np.ndarray, " n"], positions: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, "n codes"]:
        """The distinct tokens of each record before a position, padded with 0."""
        subject = np.repeat(np.arange(len(rows)), positions)
        within = np.arange(len(subject)) - np.repeat(np.cumsum(positions) - positions, positions)
        had = np.zeros((len(rows), len(self.vocabulary)), dtype=bool)
        had[subject, self.tokens[self.offsets[rows][subject] + within]] = True
        found, codes = np.nonzero(had)
        numbers = np.count_nonzero(had, axis=1)
        padded = np.zeros((len(rows), max(1, int(numbers.max(initial=0)))), dtype=np.int64)
        padded[found, np.arange(len(found)) - np.repeat(np.cumsum(numbers) - numbers, numbers)] = codes
        return padded


def _map(path: Path, dimensions: int, limit: int) -> np.ndarray:
    """An array of integers from 0 to below ``limit``."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except NUMPY_ERRORS as error:
        found = first_line(error)
        raise DataError("unreadable array", where=path, found=found, remedy=_REMEDY) from None
    expected = f"integers of 0 to {limit - 1:,} in {dimensions} dimensions"
    if array.ndim != dimensions or not np.issubdtype(array.dtype, np.integer):
        found = f"{array.dtype} of shape {array.shape}"
        raise DataError("unusable array", where=path, found=found, expected=expected, remedy=_REMEDY)
    if not is_worker():  # whose caller has looked
        for at in range(0, len(array), _CHECKED_AT_ONCE):
            part = array[at : at + _CHECKED_AT_ONCE]
            low, high = int(part.min(initial=0)), int(part.max(initial=0))
            if low < 0 or high >= limit:
                outside = low if low < 0 else high
                raise DataError(
                    "unusable array", where=path, found=outside, expected=expected, remedy=_REMEDY
                )
    return array


def _drawn(rows: Int[np.ndarray, " rows"], seed: int, split: str) -> Int[np.ndarray, " rows"]:
    return np.sort(generator(seed, "resampled subjects", split).choice(rows, len(rows)))


def _some(rows: Int[np.ndarray, " rows"], share: float, seed: int, split: str) -> Int[np.ndarray, " some"]:
    order = generator(seed, "labelled subjects", split).permutation(len(rows))
    return np.sort(rows[order[: math.ceil(share * len(rows))]])


def _read_subjects(path: Path) -> pl.DataFrame:
    """The subjects in the order of the arrays, whatever their order in the file."""
    subjects = SUBJECTS.read(path)
    if "row" not in subjects.columns:  # of a version that kept them in order
        return subjects
    subjects = subjects.sort("row")
    if not (subjects["row"] == pl.int_range(subjects.height, eager=True)).all():
        expected = "each number from 0 on once"
        raise DataError("unusable rows of subjects", where=path, expected=expected, remedy=_REMEDY)
    return subjects.drop("row")
