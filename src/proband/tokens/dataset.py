"""A tokens folder, memory-mapped."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.errors import DataError
from proband.core.provenance import read_manifest
from proband.core.schema import SPLITS, SUBJECTS
from proband.core.sex import female_of
from proband.tokens.vocabulary import Vocabulary


class TokenStore:
    """Read access to a tokens folder; nothing is copied to memory.

    Args:
        folder: A finished tokens output.

    Raises:
        DataError: The folder is unfinished or its arrays do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        read_manifest(folder)
        self.folder = folder
        self.vocabulary = Vocabulary.load(folder / "vocabulary.json")
        self.subjects = SUBJECTS.read(folder / "subjects.parquet")
        self.tokens = _map(folder / "tokens.npy")
        self.minutes = _map(folder / "minutes.npy")
        self.offsets = np.asarray(_map(folder / "offsets.npy"))
        self.statics = np.asarray(_map(folder / "statics.npy"))
        sizes = {len(self.offsets) - 1, len(self.statics), self.subjects.height}
        if len(sizes) != 1 or not len(self.tokens) == len(self.minutes) == self.offsets[-1]:
            raise DataError("arrays do not fit together", where=folder, remedy="run `proband tokens` again")
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

    def rows_of(self, split: str) -> Int[np.ndarray, " rows"]:
        """Rows of a split's subjects.

        Raises:
            DataError: Unknown or empty split.
        """
        rows = np.flatnonzero((self.subjects["split"] == split).to_numpy())
        if not len(rows):
            present = ", ".join(self.subjects["split"].unique().sort().to_list())
            raise DataError(
                "no subject in this split", where=self.folder, found=present, expected=f"{split} of {SPLITS}"
            )
        return rows

    def record(self, row: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Tokens and ages in minutes of one subject, birth first."""
        here = slice(self.offsets[row], self.offsets[row + 1])
        return self.tokens[here].astype(np.int64), self.minutes[here].astype(np.int64)

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


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        remedy = "run `proband tokens` again"
        raise DataError(
            "unreadable array", where=path, found=str(error).splitlines()[0], remedy=remedy
        ) from None
