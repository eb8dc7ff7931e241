from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.evaluate.baselines.records.record import RecordFeatures
from proband.tokens.history.summary import ANY_EVENT


def moments_of(features: RecordFeatures, after_birth: timedelta) -> pl.DataFrame:
    subjects = features.store.subjects.head(5)
    return subjects.select(
        "subject_id",
        pl.col("birth_time").cast(pl.Datetime("us")).alias("birth") + after_birth,
        pl.lit(40.0).alias("age_years"),
        pl.Series("female", [1.0, 0.0, None, 1.0, 0.0]),
    ).rename({"birth": "prediction_time"})


def test_summary_age_sex_and_scores(tokens_folder):
    scores = pl.DataFrame({"subject_id": [1, 3], "PGS1": [0.5, 2.0]}, schema_overrides={"PGS1": pl.Float32})
    features = RecordFeatures(tokens_folder, scores)
    moments = moments_of(features, timedelta(days=100 * 365))
    found = features(moments).joined().toarray()
    summary = features.layout.num_features
    assert found.shape == (5, summary + 3)
    assert found[:, summary].tolist() == [40.0] * 5
    assert np.isnan(found[2, summary + 1])
    assert found[[0, 1], summary + 1].tolist() == [1.0, 0.0]
    score = dict(zip(moments["subject_id"].to_list(), found[:, -1].tolist(), strict=True))
    assert {subject for subject, value in score.items() if not np.isnan(value)} == {1, 3} & set(score)
    events = features.layout.names(features.store.vocabulary).index(f"{ANY_EVENT}: count")
    stamps = [len(set(features.store.record(row)[1][1:].tolist())) for row in range(5)]
    assert sum(stamps) > 0
    assert found[:, events] == pytest.approx(np.log1p(stamps))


def test_nothing_after_the_date_is_read(tokens_folder):
    features = RecordFeatures(tokens_folder)
    found = features(moments_of(features, timedelta(days=1))).joined().toarray()
    assert (found[:, : features.layout.num_features] == 0).all()


def test_subjects_of_other_data(tokens_folder):
    features = RecordFeatures(tokens_folder)
    moments = moments_of(features, timedelta(days=1)).with_columns(pl.col("subject_id") + 10**6)
    with pytest.raises(DataError, match=r"subjects without tokens.*5 of.*first subject_id = 10000"):
        features(moments)
