from datetime import datetime

import numpy as np
import polars as pl
import pytest

from proband.evaluate.baselines.scores.pgs_logistic import (
    PENALTIES,
    choose_penalty,
    fit_standardiser,
    pgs_logistic,
)
from proband.evaluate.metrics.discrimination import auroc


def make(size=800, seed=0, effect=1.0):
    rng = np.random.default_rng(seed)
    pgs = rng.normal(5, 2, size=(size, 4)).astype(np.float32)
    hazard = 0.05 * np.exp(effect * (pgs[:, 0] - 5) / 2)
    time = rng.exponential(1 / hazard)
    rows = pl.DataFrame(
        {
            "subject_id": np.arange(size),
            "prediction_time": [datetime(2000, 1, 1)] * size,
            "outcome": "gout",
            "split": "train",
            "time_years": np.minimum(time, 8.0),
            "event": (time < 8).astype(np.int8),
            "age_years": rng.uniform(40, 60, size),
            "female": rng.integers(0, 2, size).astype(float),
        }
    )
    scores = pl.DataFrame({"subject_id": np.arange(size)}).with_columns(
        *(pl.Series(f"PGS{number}", pgs[:, number]) for number in range(4))
    )
    return rows, scores, hazard


def test_finds_the_score_that_matters():
    rows, scores, hazard = make()
    risk = (
        pgs_logistic(rows[:400], rows[400:], (1.0, 5.0), scores, 0)
        .filter(horizon_years=5.0)["risk"]
        .to_numpy()
    )
    case = rows[400:]["event"].to_numpy() == 1
    assert auroc(risk, case) > 0.7
    assert np.corrcoef(risk, hazard[400:])[0, 1] > 0.8


def test_scaling_is_learned_on_train_and_missing_is_average():
    rows, scores, _ = make(100)
    holes = scores.with_columns(
        pl.when(pl.col("subject_id") == 99)
        .then(float("nan"))
        .otherwise("PGS1")
        .alias("PGS1")
        .cast(pl.Float32)
    )
    scaling = fit_standardiser(rows["subject_id"][:50], holes)
    assert scaling.mean[0] == pytest.approx(scores["PGS0"][:50].mean(), rel=1e-5)
    values = scaling.transform(rows[50:], holes)
    assert values[-1, 1] == 0
    assert np.isfinite(values).all()
    assert (scaling.transform(rows[50:].with_columns(pl.col("subject_id") + 1000), holes) == 0).all()


def test_score_without_variance_is_left_out():
    rows, scores, _ = make(50)
    flat = scores.with_columns(
        pl.lit(1.0, pl.Float32).alias("PGS2"), pl.lit(float("nan"), pl.Float32).alias("PGS3")
    )
    assert fit_standardiser(rows["subject_id"], flat).columns == ("PGS0", "PGS1")


def test_too_few_cases_is_left_out():
    rows, scores, _ = make(100)
    quiet = rows.with_columns(pl.lit(0, pl.Int8).alias("event"))
    assert pgs_logistic(quiet, rows, (1.0, 5.0), scores, 0).is_empty()


def test_noise_chooses_a_strong_penalty_and_signal_a_weak_one():
    rng = np.random.default_rng(0)
    features, fold = rng.normal(size=(300, 30)), np.arange(300) % 5
    noise = rng.random(300) < 0.3
    signal = rng.random(300) < 1 / (1 + np.exp(-3 * features[:, 0]))
    weak, strong = (choose_penalty(features, case, np.ones(300), fold) for case in (signal, noise))
    assert strong < PENALTIES[3] <= weak
