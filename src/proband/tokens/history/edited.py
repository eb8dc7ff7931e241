"""Records of a store that were changed, read as any others are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from proband.tokens.dataset import TokenStore

Record = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]
"""Tokens, birth first, and ages in minutes, ascending."""


class EditedStore(TokenStore):
    """Subjects of a store, each as often as asked for, with other records than their own.

    Args:
        store: The records as they are.
        rows: Row of the store that each row of this one is made of: whose birth, sex and follow-up.
        records: Record of each row.
    """

    def __init__(self, store: TokenStore, rows: Int[np.ndarray, " rows"], records: Sequence[Record]) -> None:
        self.folder, self.vocabulary = store.folder, store.vocabulary
        nothing = np.zeros(0, dtype=np.int64)
        self.tokens, self.minutes = (
            np.concatenate([nothing, *(record[part] for record in records)]).astype(array.dtype)
            for part, array in enumerate((store.tokens, store.minutes))
        )
        self.offsets = np.cumsum([0, *(len(record[0]) for record in records)]).astype(np.int64)
        self.statics, self.subjects = store.statics[rows], store.subjects[pl.Series(rows)]
        self.subject_ids, self.died = store.subject_ids[rows], store.died[rows]
        self.entry, self.exit = store.entry[rows], store.exit[rows]

    @classmethod
    def keeping(
        cls, store: TokenStore, rows: Int[np.ndarray, " rows"], keep: Sequence[Bool[np.ndarray, " _"]]
    ) -> EditedStore:
        """Records with the tokens that ``keep`` says of each; the first, birth, always stays."""
        records = []
        for row, kept in zip(rows, keep, strict=True):
            tokens, minutes = store.record(int(row))
            stays = kept.copy()
            stays[:1] = True
            records.append((tokens[stays], minutes[stays]))
        return cls(store, rows, records)
