from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from proband.core.config import validated
from proband.core.errors import ConfigError
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.metrics.censoring import CASE, censoring_weights
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.judged import brier_score
from proband.evaluate.metrics.registry import METRICS, Metric, metrics_of
from proband.evaluate.metrics.risk_set import RiskSet
from resampled import bootstrapped, frames_of


def make(size=400, seed=0, models=("a", "b")):
    rng = np.random.default_rng(seed)
    hazard = 0.05 * np.exp(rng.normal(size=size))
    onset, death = rng.exponential(1 / hazard), rng.exponential(40, size)
    leave = rng.uniform(1, 12, size)
    time = np.minimum(np.minimum(onset, death), leave)
    event = np.where(time == onset, 1, np.where(time == death, 2, 0)).astype(np.int8)
    risk = 1 - np.exp(-hazard * 5)
    return RiskSet("x", 5.0, np.arange(size), time, event, dict.fromkeys(models, risk))


def test_brier_by_hand():
    case = np.array([False, True, True])
    assert brier_score(np.array([0.1, 0.4, 0.4]), case, np.ones((1, 3)))[0] == pytest.approx(
        (0.01 + 0.72) / 3
    )
    assert brier_score(np.array([0.1, 0.4, 0.4]), case, np.array([[2.0, 1, 0]]))[0] == pytest.approx(
        (0.02 + 0.36) / 3
    )


def test_equal_models_differ_by_exactly_nothing():
    frame = frames_of(make(), 50)["differences"]
    assert (frame["difference"] == 0).all()
    assert (frame["p_value"] == 1).all()
    assert (frame["low"] == 0).all()
    assert (frame["high"] == 0).all()


def test_a_subjects_rows_are_one_draw():
    once = make(300)
    twice = RiskSet(
        "x",
        5.0,
        np.repeat(once.subject_id, 2),
        np.repeat(once.time_years, 2),
        np.repeat(once.event, 2),
        {"a": np.repeat(once.risks["a"], 2)},
    )
    single = bootstrapped(once, 100).values["a", "auroc"]
    double = bootstrapped(twice, 100).values["a", "auroc"]
    assert double == pytest.approx(single)


def test_values_do_not_depend_on_block_size(monkeypatch):
    risk_set = make(200, models=("a",))
    whole = bootstrapped(risk_set, 30)
    monkeypatch.setattr("proband.evaluate.metrics.compare._BLOCK_ELEMENTS", 1)
    parts = bootstrapped(risk_set, 30)
    for metric in metrics_of(risk_set, "a"):
        assert parts.values["a", metric] == pytest.approx(whole.values["a", metric], nan_ok=True)


@pytest.mark.parametrize(
    ("time", "event", "reason"),
    [
        (np.full(50, 6.0), np.zeros(50, np.int8), "0 cases"),
        (np.full(50, 2.0), np.ones(50, np.int8), "0 controls"),
        (np.full(1, 2.0), np.ones(1, np.int8), "0 controls"),  # and but one case
        (
            np.repeat([1.0, 1.5, 2.0], [10, 10, 500]),
            np.repeat([1, 2, 0], [10, 10, 500]).astype(np.int8),
            "nobody is followed to the horizon",
        ),
        (
            np.repeat([1.0, 1.5, 2.0, 6.0], [10, 10, 500, 1]),
            np.repeat([1, 2, 0, 0], [10, 10, 500, 1]).astype(np.int8),
            "follow-up of less than 5%",
        ),
    ],
)
def test_obstacles_are_named(time, event, reason):
    risk_set = RiskSet("x", 5.0, np.arange(len(time)), time, event, {"a": np.full(len(time), 0.1)})
    frames = frames_of(risk_set, 10)
    assert set(frames) == {"metrics"}
    assert frames["metrics"]["value"].null_count() == len(metrics_of(risk_set, "a"))
    assert reason in frames["metrics"]["note"][0]


def test_constant_risk_has_no_slope_but_all_else():
    risk_set = make(300, models=("a",))
    flat = RiskSet(
        "x", 5.0, risk_set.subject_id, risk_set.time_years, risk_set.event, {"a": np.full(300, 0.2)}
    )
    metrics = frames_of(flat, 20)["metrics"]
    empty = metrics.filter(metrics["value"].is_null())
    slopes = [name for name in METRICS if "slope" in name]
    assert empty["metric"].to_list() == ["auroc_within_age_sex", *slopes]
    assert empty["note"].str.contains("not estimable").all()
    assert metrics.filter(metric="auroc")["value"][0] == 0.5


def test_a_metric_from_outside_is_one_entry(monkeypatch):
    toy = Metric("mean of the risks", lambda on: on.mean(on.risk), is_compared=True)
    monkeypatch.setitem(METRICS, "mean_risk", toy)
    with pytest.raises(ValueError, match="the metric mean_risk is registered twice"):
        METRICS["mean_risk"] = toy
    risk_set = make()
    frames = frames_of(risk_set, 20)
    row = frames["metrics"].filter(metric="mean_risk", model="a").row(0, named=True)
    assert row["value"] == pytest.approx(risk_set.risks["a"].mean())
    assert row["low"] < row["value"] < row["high"]
    assert frames["differences"].filter(metric="mean_risk")["difference"].to_list() == [0.0]


def test_errors_of_calibration_and_prediction_accuracy_by_hand():
    """All risks 0.2 where a quarter are cases: every difference is 0.05, and Brier scores follow."""
    event = (np.arange(400) % 4 == 0).astype(np.int8)
    time = np.where(event == 1, 1.0, 6.0)
    values = bootstrapped(RiskSet("x", 5.0, np.arange(400), time, event, {"a": np.full(400, 0.2)}), 0).values
    for metric in ("ici", "e50", "e90"):
        assert values["a", metric][0] == pytest.approx(0.05)
    brier = 0.25 * 0.64 + 0.75 * 0.04
    assert values["a", "brier"][0] == pytest.approx(brier)
    assert values["a", "brier_scaled"][0] == pytest.approx(1 - brier / (0.25 * 0.75))


def test_net_benefit_is_compared_with_the_references():
    risk_set = make(models=("a",))
    risk_set = replace(risk_set, risks=dict(risk_set.risks) | {"age_sex": np.full(400, 0.95)})
    utility = frames_of(risk_set, 30, ["age_sex", "absent"])["utility"]
    beside = utility.filter(model="a")
    assert beside["reference"].unique(maintain_order=True).to_list() == ["age_sex", "all", "none"]
    assert utility.filter(model="age_sex")["reference"].unique(maintain_order=True).to_list() == [
        "all",
        "none",
    ]
    lowest = beside.filter(pl.col("threshold") == pl.col("threshold").min())
    by = dict(lowest.select("reference", "difference").iter_rows())
    assert by["age_sex"] == pytest.approx(by["all"])  # a risk of 0.95 flags everybody
    assert by["none"] > 0
    assert (beside["low"] <= beside["difference"]).all()


def test_the_band_of_a_decision_curve_equals_a_slow_bootstrap_on_the_same_draws():
    risk_set = make(300, models=("a",))
    rng = np.random.default_rng(5)
    risk_set = replace(risk_set, risks={"a": rng.permutation(risk_set.risks["a"]) * 0.7 + 0.02})
    frame = frames_of(risk_set, 80)["decision"]
    known, risk = risk_set.known, risk_set.risks["a"][risk_set.known]
    case = risk_set.status[known] == CASE
    found = []
    draws = Resamples(risk_set.clusters, 80, np.random.default_rng(0))
    for block in draws.weights(risk_set.clusters):
        for own in block[1:]:
            # every row as often as it was drawn, censoring weights estimated on these rows alone
            drawn = np.repeat(np.arange(len(own)), own.astype(int))
            followed = risk_set.time_years[drawn], risk_set.event[drawn], 5.0
            weight = censoring_weights(*followed, np.ones((1, len(drawn))))[0]
            by_row = np.bincount(drawn, weight, minlength=len(own))[known]
            row = []
            for threshold in frame["threshold"]:
                flagged = risk >= threshold
                true, false = by_row[flagged & case].sum(), by_row[flagged & ~case].sum()
                row.append((true - false * threshold / (1 - threshold)) / by_row[case].sum())
            found.append(row)
    assert len(found) == 80
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    assert frame["low"].to_numpy() == pytest.approx(low)
    assert frame["high"].to_numpy() == pytest.approx(high)
    assert (frame["high"] - frame["low"]).max() > 0.05


def test_a_decision_curve_has_no_band_without_replicates():
    frame = frames_of(make(), 0)["decision"]
    assert frame.height > 60
    assert frame["low"].null_count() == frame["high"].null_count() == frame.height


def test_net_benefit_is_compared_at_stated_thresholds_and_beside_the_model_without_a_genome():
    risk_set = make(models=("a",))
    blunt = risk_set.risks["a"] ** np.random.default_rng(1).uniform(0.5, 1.5, 400)
    risk_set = replace(risk_set, risks=dict(risk_set.risks) | {"b": blunt})
    frames = frames_of(risk_set, 30, pairs=[("a", "b")], stated=(0.07, 0.2))
    decision, utility = frames["decision"], frames["utility"]
    for model in ("a", "b"):
        assert {0.07, 0.2} <= set(decision.filter(model=model)["threshold"])
    beside = utility.filter(model="a", reference="b")
    assert {0.07, 0.2} <= set(beside["threshold"])
    assert utility.filter(model="b", reference="a").is_empty()
    benefit = dict(
        decision.filter(pl.col("threshold") == 0.2).select("model", "standardised_net_benefit").iter_rows()
    )
    [row] = beside.filter(pl.col("threshold") == 0.2).iter_rows(named=True)
    assert row["difference"] == pytest.approx(benefit["a"] - benefit["b"])
    assert row["low"] <= row["difference"] <= row["high"]
    without = frames_of(risk_set, 0)["utility"]
    assert set(utility["threshold"]) == set(without["threshold"]) | {0.07, 0.2}


@pytest.mark.parametrize("given", [("0",), ("0.95",), ("-0.1", "0.2"), ("ten",)])
def test_thresholds_that_are_no_risks_are_refused(given):
    with pytest.raises(ConfigError, match="--thresholds"):
        validated(EvaluateConfig, risks=("a",), thresholds=given)
    rising = validated(EvaluateConfig, risks=("a",), thresholds=("0.2", "0.05", "0.2"))
    assert rising.thresholds == (0.05, 0.2)
    assert "thresholds" not in validated(EvaluateConfig, risks=("a",)).model_dump()
