"""What a baseline reads of a person at a date: the record summary, age and sex, and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import DataError
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.evaluate.baselines.features import Features
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

    def __call__(self, moments: pl.DataFrame) -> Features:
        """The summary, age in years and female (1, 0, NaN unknown) of moments, the scores of their subjects.

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
        dense = np.column_stack([floats(moments, "age_years"), floats(moments, "female")])
        parts = [
            csr_matrix((found.values, found.indices, found.indptr), shape=shape),
            csr_matrix(dense.astype(np.float32)),
        ]
        subjects, subject = np.unique(rows, return_inverse=True)
        return Features(hstack(parts, format="csr"), self._scores(subjects), subject.reshape(-1))

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

    def _scores(self, rows: Int[np.ndarray, " subjects"]) -> Float[np.ndarray, "subjects scores"]:
        """Of subjects by their rows of the store."""
        if self.scores is None:
            return np.zeros((len(rows), 0), dtype=np.float32)
        subjects = pl.DataFrame({"subject_id": self.store.subject_ids[rows]})
        joined = subjects.join(self.scores, on="subject_id", how="left", maintain_order="left")
        columns = [floats(joined, name) for name in joined.columns if name != "subject_id"]
        return np.column_stack(columns).astype(np.float32)
