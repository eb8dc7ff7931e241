"""Which codes a model could read at each prediction time: ever, and on the last day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from proband.ehr.cohort import read_shards
from proband.ehr.meds.dataset import ENTRY, EXIT
from proband.evaluate.groups.record import MOMENT

RECORD, LAST_DAY = "record", "last day"
WINDOWS = (RECORD, LAST_DAY)
"""Anything up to the prediction time, undated codes too; and what came in the 24 hours up to it."""
MOMENTS_AT_ONCE = 20_000
_ROW, _LAST = "row", "last"


@dataclass(frozen=True)
class Held:
    """Codes by prediction time.

    Attributes:
        codes: Names, sorted.
        matrix: Of each of :data:`WINDOWS` a sparse matrix (moments, codes), 1 where the code was recorded.
    """

    codes: list[str]
    matrix: dict[str, Any]

    def of(self, window: str, code: int) -> Bool[np.ndarray, " moments"]:
        """At which moments one code was in the window."""
        column = self.matrix[window][:, [code]]
        found = np.zeros(column.shape[0], dtype=bool)
        found[column.indices] = True
        return found

    def sums(
        self, window: str, weights: Float[np.ndarray, "moments sums"]
    ) -> Float[np.ndarray, "codes sums"]:
        """Sum of the weights of the moments that hold each code."""
        return np.asarray(self.matrix[window].T @ weights)


def codes_held(moments: pl.DataFrame, meds: Path) -> Held:
    """Read the codes that a model could read at each moment.

    That is what :mod:`proband.tokens` keeps: everything recorded by the minute of the prediction, and undated
    codes, but not the ends of observation.

    Args:
        moments: subject_id and prediction_time, each pair once.
        meds: MEDS folder.

    Returns:
        Rows in the order of ``moments``; all zero for a subject without events.

    Raises:
        DataError: A shard is unusable.
    """
    from scipy.sparse import csc_matrix

    pairs = pl.concat([pl.DataFrame(schema=_PAIRS), *_pairs(moments, meds)])
    codes = pairs["code"].unique().sort()
    column = pairs["code"].replace_strict(codes, np.arange(len(codes)), return_dtype=pl.Int32)
    matrix = {}
    for window, kept in ((RECORD, slice(None)), (LAST_DAY, pairs[LAST_DAY].to_numpy())):
        row, col = pairs[_ROW].to_numpy()[kept], column.to_numpy()[kept]
        matrix[window] = csc_matrix((np.ones(len(row)), (row, col)), shape=(moments.height, len(codes)))
    return Held(codes.to_list(), matrix)


_PAIRS = {_ROW: pl.Int32, "code": pl.Categorical, LAST_DAY: pl.Boolean}


def _pairs(moments: pl.DataFrame, meds: Path) -> Iterator[pl.DataFrame]:
    """Each moment with each of its codes, once."""
    time, asked = pl.col("time"), pl.col("prediction_time")
    numbered = moments.select(*MOMENT, pl.int_range(pl.len(), dtype=pl.Int32).alias(_ROW))
    is_recent = pl.col(_LAST) >= asked - pl.duration(days=1)
    for events, spans in read_shards(meds):
        mine = numbered.join(spans.select("subject_id"), on="subject_id", how="semi")
        read = events.lazy().filter(~pl.col("code").is_in([ENTRY, EXIT])).select("subject_id", "time", "code")
        for part in mine.iter_slices(MOMENTS_AT_ONCE):
            yield (
                read.join(part.lazy(), on="subject_id")
                .filter(time.is_null() | (time.dt.truncate("1m") <= asked))
                .group_by(_ROW, "code")
                .agg(time.max().alias(_LAST), asked.first())
                .select(_ROW, pl.col("code").cast(pl.Categorical), is_recent.fill_null(False).alias(LAST_DAY))
                .collect()
            )
