"""Performance by genetic distance, against laws whose lines are known."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from proband.core.schema import PCS
from proband.evaluate.groups.distance import distance_frame, genetic_distance
from proband.evaluate.metrics.calibration import expit, logit
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.risk_set import RiskSet

HORIZON = 5.0


def followed(risk, case, rng):
    """Cases come at a random time before the horizon; a quarter of the others leave before it."""
    size = len(case)
    time = np.where(case, rng.uniform(0, HORIZON, size), 9.0)
    leave = np.where(rng.random(size) < 0.25, rng.uniform(0, HORIZON, size), 10.0)
    event = (case & (time <= leave)).astype(np.int8)
    return RiskSet("x", HORIZON, np.arange(size), np.minimum(time, leave), event, {"m": risk})


def decaying(rng, size, change_of_slope=0.0, change_of_log_odds=0.0):
    """logit of the true risk is logit r + change_of_slope d logit r + change_of_log_odds d."""
    distance = rng.gamma(2, 0.5, size)
    risk = expit(rng.normal(-1.2, 1, size))
    x = logit(risk)
    true = expit(x + change_of_slope * distance * x + change_of_log_odds * distance)
    return followed(risk, rng.random(size) < true, rng), distance


def lines(risk_set, distance, replicates=0, seed=0):
    drawn = Resamples(risk_set.subject_id, replicates, np.random.default_rng(seed))
    frame = distance_frame(risk_set, distance, drawn)
    return {row["metric"]: row for row in frame.iter_rows(named=True)}


def test_a_slope_that_falls_with_distance_is_recovered():
    found = lines(*decaying(np.random.default_rng(0), 60_000, change_of_slope=-0.3), 40)
    line = found["calibration_slope"]
    assert line["at_centre"] == pytest.approx(1.0, abs=0.06)
    assert line["change"] == pytest.approx(-0.3, abs=0.05)
    assert line["high"] < 0
    assert found["auroc"]["high"] < 0


def test_odds_above_those_predicted_that_grow_with_distance_are_recovered():
    line = lines(*decaying(np.random.default_rng(1), 60_000, change_of_log_odds=0.4), 40)[
        "log_odds_observed_expected"
    ]
    assert line["at_centre"] == pytest.approx(0.0, abs=0.05)
    assert line["change"] == pytest.approx(0.4, abs=0.05)
    assert line["low"] > 0


def test_an_auroc_that_is_a_line_in_distance_is_recovered():
    """Cases normal, z apart from others, have an AUROC of Phi(z / sqrt 2)."""
    rng = np.random.default_rng(2)
    size = 80_000
    distance, case = rng.uniform(0, 2, size), rng.random(size) < 0.3
    apart = np.sqrt(2) * norm.ppf(0.8 - 0.1 * distance)
    risk = expit(rng.normal(size=size) + case * apart - 1.5)
    line = lines(followed(risk, case, rng), distance, 40)["auroc"]
    assert line["at_centre"] == pytest.approx(0.8, abs=0.012)
    assert line["change"] == pytest.approx(-0.1, abs=0.01)
    assert line["low"] < line["change"] < line["high"] < 0


def test_without_decay_nothing_falls():
    found = lines(*decaying(np.random.default_rng(3), 20_000), 100)
    for line in found.values():
        assert line["low"] < 0 < line["high"]


@pytest.mark.slow
def test_intervals_without_decay_cover_nothing_at_about_95_percent():
    """At 1,500 people and about 350 cases; 400 samples have a standard error of 1.1%."""
    runs, covered = 400, dict.fromkeys(("auroc", "calibration_slope", "log_odds_observed_expected"), 0)
    for seed in range(runs):
        found = lines(*decaying(np.random.default_rng([9, seed]), 1500), 200, seed)
        for metric, line in found.items():
            covered[metric] += line["low"] <= 0 <= line["high"]
    for number in covered.values():
        assert 0.915 <= number / runs <= 0.985


def test_few_cases_have_no_interval_and_fewer_no_value():
    rng = np.random.default_rng(4)
    risk_set, distance = decaying(rng, 2000)
    for cases, has_value in ((20, True), (3, False)):
        kept = np.concatenate(
            [np.flatnonzero(risk_set.event == 1)[:cases], np.flatnonzero(risk_set.event == 0)]
        )
        rows = np.isin(np.arange(2000), kept)
        line = lines(risk_set.part(rows), distance[rows], 20)["log_odds_observed_expected"]
        assert (line["change"] is not None) == has_value
        assert line["low"] is None
        assert f"{cases} cases" in line["note"]


def test_people_without_a_distance_are_left_out_and_too_few_give_nothing():
    risk_set, distance = decaying(np.random.default_rng(5), 2000)
    unknown = np.where(np.arange(2000) < 900, distance, np.nan)
    with_unknown = lines(risk_set, unknown, 20)
    alone = lines(risk_set.part(np.arange(2000) < 900), distance[:900])
    assert with_unknown["auroc"]["num_subjects"] == 900
    assert with_unknown["auroc"]["change"] == pytest.approx(alone["auroc"]["change"])
    assert lines(risk_set, np.where(np.arange(2000) < 99, distance, np.nan)) == {}
    assert lines(risk_set, np.ones(2000)) == {}


def test_distance_is_from_the_median_of_those_trained_on_in_units_of_their_spread(tmp_path):
    components = {"subject_id": [1, 2, 3, 4], "is_fitted": [False] * 4}
    places = {"PC1": [0.0, 0.0, 3.0, 0.0], "PC2": [0.0, 0.0, 4.0, 10.0]}
    PCS.write(
        pl.DataFrame(components | places).with_columns(pl.col("^PC.*$").cast(pl.Float32)),
        tmp_path / "pcs.parquet",
    )
    found = genetic_distance(tmp_path, pl.Series([1, 2, 3]))
    unit = np.sqrt(25 / 3)
    assert found["distance"].to_list() == pytest.approx([0, 0, 5 / unit, 10 / unit])
    assert genetic_distance(tmp_path, pl.Series([1, 2])) is None  # both at one place
    assert genetic_distance(tmp_path / "no_components") is None
