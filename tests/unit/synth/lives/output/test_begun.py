from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from proband.synth.lives.law import NUM_DISEASES
from proband.synth.lives.output.begun import already_begun, join_already_begun
from proband.synth.oracle import already_begun_at
from proband.synth.traits import DISEASE_NAMES


def test_cases_and_those_begun_are_counted_by_hand() -> None:
    onset, recorded = np.full((2, 6, NUM_DISEASES), np.inf)
    # Recorded before; begun, recorded in a year; begun after; false record; begun, recorded late; never.
    onset[:, 0] = [40, 48, 50.2, np.inf, 49, np.inf]
    recorded[:, 0] = [45, 50.5, 50.9, 50.4, 53, np.inf]
    found = already_begun(onset, recorded, np.full(6, 50.0), (1, 5))
    assert found.columns == [
        "outcome", "horizon_years", "num_at_risk", "num_cases", "num_already_begun", "share_already_begun"
    ]  # fmt: skip
    assert found.height == 2 * NUM_DISEASES
    first = found.filter(pl.col("outcome") == DISEASE_NAMES[0]).drop("outcome")
    assert first.rows() == [(1.0, 5, 3, 1, 1 / 3), (5.0, 5, 4, 2, 0.5)]
    other = found.filter(pl.col("outcome") == DISEASE_NAMES[1])
    assert other["num_cases"].sum() == 0
    assert other["share_already_begun"].null_count() == 2


def test_parts_add_up_to_the_whole() -> None:
    random = np.random.default_rng(3)
    onset, recorded = random.uniform(30, 90, (2, 40, NUM_DISEASES))
    age = random.uniform(40, 60, 40)
    whole = already_begun(onset, recorded, age, (1, 5, 10))
    halves = [
        already_begun(onset[part], recorded[part], age[part], (1, 5, 10))
        for part in np.split(np.arange(40), 2)
    ]
    assert_frame_equal(join_already_begun(halves), whole)
    assert 0 < whole["num_already_begun"].sum() < whole["num_cases"].sum()


def test_the_oracle_counts_at_the_landmark_what_the_truth_holds(lived: Path) -> None:
    stored = pl.read_parquet(lived / "truth" / "already_begun.parquet")
    risk = pl.read_parquet(lived / "truth" / "risk.parquet")
    found = already_begun_at(lived, risk.select("subject_id", "prediction_time").unique(), (1, 5, 10))
    assert_frame_equal(found, stored)
    at_risk = risk.group_by("outcome", "horizon_years").agg(pl.col("subject_id").n_unique().alias("n"))
    both = stored.join(at_risk, on=["outcome", "horizon_years"])
    assert both.height == stored.height
    # Times are whole minutes in the risks and exact ages here, which may differ by a case or two.
    assert ((both["num_at_risk"] - both["n"]).abs() <= 1).all()
