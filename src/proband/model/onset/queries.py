"""Queries: dates at which risk is asked, with what is known then, as the onset head reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64

from proband.core.units import MINUTES_PER_YEAR
from proband.model.onset.inputs import Query


@runtime_checkable
class SparseRows(Protocol):
    """Rows of features that are mostly 0, in compressed form, such as
    ``proband.tokens.history.summary.SparseFeatures``."""

    @property
    def indptr(self) -> Int64[np.ndarray, " rows_and_one"]:
        """Row r has the entries ``indptr[r]`` to ``indptr[r + 1]``."""

    @property
    def indices(self) -> Int[np.ndarray, " entries"]:
        """Features of the entries."""

    @property
    def values(self) -> Float32[np.ndarray, " entries"]:
        """Values of the entries."""

    @property
    def num_features(self) -> int:
        """Features in all."""

    @property
    def code_of_feature(self) -> Int64[np.ndarray, " features"]:
        """Code that each feature is of, by number."""

    def take(self, rows: Int64[np.ndarray, " some"]) -> SparseRows:
        """Some of the rows."""


@runtime_checkable
class DatedValues(Protocol):
    """A modality's values at dates (``proband.tokens.modalities.modality.ModalityTable``)."""

    @property
    def values(self) -> Float[np.ndarray, "measurements width"]:
        """Raw values, one row per measurement."""

    @property
    def offsets(self) -> Int[np.ndarray, " bounds"]:
        """Subject s has the measurements ``offsets[s]`` to ``offsets[s + 1]``."""

    @property
    def observed(self) -> Bool[np.ndarray, " subjects"]:
        """Whether each subject has any."""

    def newest_by(self, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Row of ``values`` of each subject's newest measurement at or before an age, -1 without."""

    def values_by(
        self, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n width"]:
        """The newest values of each subject at or before an age in minutes; NaN where there are none."""


@dataclass(frozen=True)
class Queries:
    """Dates of subjects, with what is known at each.

    Attributes:
        rows: Rows of the store.
        minutes: Age in minutes.
        features: Record summary.
        state: The trunk's state at the last token by the date.
        last: Age in minutes of that token.
        female: 1, 0 or NaN.
        tables: Modalities with a linear term.
    """

    rows: Int64[np.ndarray, " n"]
    minutes: Int64[np.ndarray, " n"]
    features: SparseRows
    state: Float32[np.ndarray, "n dim"]
    last: Int64[np.ndarray, " n"]
    female: Float[np.ndarray, " n"]
    tables: Mapping[str, DatedValues]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Int[np.ndarray, " some"]) -> Query:
        """What the head reads of some of the queries."""
        chosen = self.features.take(index)
        age = self.minutes[index] / MINUTES_PER_YEAR
        modalities = {
            name: torch.from_numpy(table.values_by(self.rows[index], self.minutes[index]))
            for name, table in self.tables.items()
        }
        return Query(
            bounds=torch.from_numpy(chosen.indptr),
            features=torch.from_numpy(chosen.indices).long(),
            values=torch.from_numpy(chosen.values),
            state=torch.from_numpy(self.state[index]),
            age=torch.from_numpy(age).float(),
            silence=torch.from_numpy((self.minutes[index] - self.last[index]) / MINUTES_PER_YEAR).float(),
            female=torch.from_numpy(self.female[index]).float(),
            modalities=modalities,
        )
