"""What a baseline reads of a person at a date: the record summary, age and sex, and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.evaluate.baselines.table import floats
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout, summarise


class RecordFeatures:
    """Features of subjects at dates.

    Args:
        tokens: A tokens folder of the same subjects.
        scores: A frame of :data:`proband.core.schema.SCORES` whose scores are further columns; a subject not
            in it has NaN.
    """

    def __init__(self, tokens: Path, scores: pl.DataFrame | None = None) -> None:
        self.store = TokenStore(tokens)
        self.layout = SummaryLayout.of(self.store.vocabulary)
        self.scores = scores

    def __call__(self, moments: pl.DataFrame) -> Any:
        """A SciPy CSR matrix: the summary, age in years, female (1, 0, NaN unknown), the scores.

        Args:
            moments: subject_id, prediction_time, age_years and female. Events of the minute of the prediction
                time or before it are read.

        Raises:
            DataError: A subject has no tokens.
        """
        from scipy.sparse import csr_matrix, hstack

        rows = self._rows(moments)
        births = self.store.subjects["birth_time"].gather(rows)
        age = (moments["prediction_time"] - births).dt.total_microseconds().to_numpy()
        found = summarise(self.store, self.layout, rows, age // MICROSECONDS_PER_MINUTE)
        shape = (len(found), found.num_features)
        dense = [floats(moments, "age_years"), floats(moments, "female"), *self._scores(moments)]
        parts = [
            csr_matrix((found.values, found.indices, found.indptr), shape=shape),
            csr_matrix(np.column_stack(dense).astype(np.float32)),
        ]
        return hstack(parts, format="csr")

    def _rows(self, moments: pl.DataFrame) -> np.ndarray:
        """Row of the store of each moment's subject."""
        place = pl.DataFrame({"subject_id": self.store.subject_ids}).with_row_index("row")
        rows = moments.select("subject_id").join(place, on="subject_id", how="left", maintain_order="left")
        missing = rows.filter(pl.col("row").is_null())["subject_id"]
        if len(missing):
            raise DataError(
                "subjects without tokens",
                where=self.store.folder,
                found=f"{missing.n_unique()} of the labels' subjects, first subject_id = {missing.sort()[0]}",
                remedy="give the tokens folder of this MEDS folder",
            )
        return rows["row"].to_numpy().astype(np.int64)

    def _scores(self, moments: pl.DataFrame) -> list[np.ndarray]:
        if self.scores is None:
            return []
        joined = moments.select("subject_id").join(
            self.scores, on="subject_id", how="left", maintain_order="left"
        )
        return [floats(joined, name) for name in joined.columns if name != "subject_id"]
