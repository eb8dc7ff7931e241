from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.replicates import bootstrap
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.panel.multiplicity import Panel
from resampled import frames_of

SIZE = 400


def risk_set(outcome, horizon, seed):
    rng = np.random.default_rng(seed)
    onset, leave = rng.exponential(8, SIZE), rng.uniform(1, 12, SIZE)
    time, event = np.minimum(onset, leave), (onset < leave).astype(np.int8)
    risks = {"a": 1 / (1 + onset + rng.exponential(2, SIZE)), "b": rng.random(SIZE)}
    return RiskSet(outcome, horizon, np.arange(SIZE), time, event, risks)


@pytest.fixture
def panel():
    resamples = Resamples(np.arange(SIZE), 60, np.random.default_rng(0))
    found, frames = Panel(), []
    for seed, outcome in enumerate(("x", "y")):
        for horizon in (2.0, 5.0):
            one = risk_set(outcome, horizon, seed)
            found.add(one, bootstrap(one, resamples).values)
            frames.append(frames_of(one, 60))
    return found, frames


def test_differences_keep_their_order_and_get_adjusted_p_values(panel):
    found, frames = panel
    given = pl.concat(frame["differences"] for frame in frames)
    adjusted = found.adjusted(given)
    plain = ["outcome", "horizon_years", "metric", "model_a", "model_b", "difference", "p_value"]
    assert adjusted.select(plain).equals(given.select(plain))
    assert (adjusted["q_value"] >= adjusted["p_value"]).all()
    one = adjusted.filter(metric="auroc", horizon_years=5.0)
    assert one["q_value"].to_list() == pytest.approx([one["p_value"].max()] * 2)
    assert one["p_value_max_t"].to_list() == pytest.approx([1 / 61] * 2)
    assert one["verdict"].to_list() == ["superior"] * 2


def test_brier_score_is_integrated_by_the_trapezoid_rule(panel):
    found, frames = panel
    metrics = pl.concat(frame["metrics"] for frame in frames).filter(metric="brier", outcome="x", model="a")
    short, long = (metrics.filter(horizon_years=horizon)["value"][0] for horizon in (2.0, 5.0))
    row = found.integrated_brier().filter(outcome="x", model="a").row(0, named=True)
    assert row["value"] == pytest.approx((short * 2 / 2 + (short + long) / 2 * 3) / 5)
    assert row["low"] < row["value"] < row["high"]
    assert row["note"] == "horizons 2, 5 years"


def test_few_cases_at_one_horizon_leave_no_interval():
    resamples = Resamples(np.arange(SIZE), 20, np.random.default_rng(0))
    found = Panel()
    for one in (risk_set("x", 5.0, 0), replace(risk_set("x", 0.3, 0))):
        found.add(one, bootstrap(one, resamples).values)
    row = found.integrated_brier().row(0, named=True)
    assert row["low"] is None
    assert "at least 30 needed" in row["note"]
