"""Values of a modality among those of the train split: percentiles, correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int

from proband.core.running.progress import say
from proband.model.onset.head import OnsetHead
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable


@dataclass(frozen=True)
class Standard:
    """Standardised values of the train subjects who have the modality.

    Attributes:
        modality: Its name.
        names: Of its values, such as pgs_ids.
        train: Values, 0 (the mean) where missing.
        rows: Rows of the store that they are of.
    """

    modality: str
    names: tuple[str, ...]
    train: Float64[np.ndarray, "subjects width"]
    rows: Int[np.ndarray, " subjects"]

    @classmethod
    def of(cls, head: OnsetHead, store: TokenStore, name: str, table: ModalityTable) -> Standard:
        """Those of a tokens folder; where no train subject has the modality, of all its subjects (said)."""
        train = (store.subjects["split"] == "train").to_numpy()
        rows = np.flatnonzero(train & table.observed)
        if not len(rows):
            say(f"explain: no train subject has {name}; percentiles are those of all subjects who have it")
            rows = np.flatnonzero(table.observed)
        return cls(name, table.names, standardised(head, name, table, rows), rows)

    def percentiles(self, values: Float64[np.ndarray, "n width"]) -> Float64[np.ndarray, "n width"]:
        """Percentile of standardised values, ties at their middle, 0 to 100."""
        ordered = np.sort(self.train, axis=0)
        found = np.empty_like(values)
        for column in range(values.shape[1]):
            low, high = (
                np.searchsorted(ordered[:, column], values[:, column], side=side)
                for side in ("left", "right")
            )
            found[:, column] = 50 * (low + high) / len(ordered)
        return found

    def at(self, percent: Float[np.ndarray, " percents"]) -> Float64[np.ndarray, "percents width"]:
        """Standardised values at percentiles."""
        return np.percentile(self.train, percent, axis=0)

    def correlations(self) -> Float64[np.ndarray, "width width"]:
        """Correlations of values; 0 with one that does not vary, 1 with itself."""
        centred = self.train - self.train.mean(axis=0)
        size = np.sqrt((centred**2).sum(axis=0))
        scaled = np.divide(centred, size, out=np.zeros_like(centred), where=size > 0)
        found = scaled.T @ scaled
        np.fill_diagonal(found, 1.0)
        return found


def standardised(
    head: OnsetHead, name: str, table: ModalityTable, rows: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, "n width"]:
    """A modality's newest values of rows as the head reads them; 0 where missing."""
    late = np.full(len(rows), np.iinfo(np.int64).max)
    values = torch.from_numpy(table.values_by(rows, late))
    return head.linear_of(name).standardised(values).double().numpy()
