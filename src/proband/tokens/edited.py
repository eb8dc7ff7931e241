"""Records of a store with some of their tokens left out, read as any others are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from proband.tokens.dataset import TokenStore


class EditedStore(TokenStore):
    """Subjects of a store, each as often as asked for, with what is kept of their records.

    Args:
        store: The records as they are.
        rows: Row of the store that each row of this one is made of.
        keep: For each row, which tokens of the record stay; the first, birth, always does.
    """

    def __init__(
        self, store: TokenStore, rows: Int[np.ndarray, " rows"], keep: Sequence[Bool[np.ndarray, " _"]]
    ) -> None:
        self.folder, self.vocabulary = store.folder, store.vocabulary
        places = [np.zeros(0, dtype=np.int64)]
        for row, kept in zip(rows, keep, strict=True):
            inside = np.flatnonzero(kept)
            places.append(store.offsets[row] + np.concatenate([[0], inside[inside > 0]]).astype(np.int64))
        index = np.concatenate(places)
        self.tokens, self.minutes = np.asarray(store.tokens)[index], np.asarray(store.minutes)[index]
        self.offsets = np.cumsum([len(place) for place in places]).astype(np.int64)
        self.statics, self.subjects = store.statics[rows], store.subjects[pl.Series(rows)]
        self.subject_ids, self.died = store.subject_ids[rows], store.died[rows]
        self.entry, self.exit = store.entry[rows], store.exit[rows]
