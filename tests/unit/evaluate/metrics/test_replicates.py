import numpy as np
import pytest

from proband.evaluate.frames import risk_set_frames
from proband.evaluate.metrics.replicates import METRICS, RiskSet, bootstrap, brier_score


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
    frame = risk_set_frames(make(), 50, np.random.default_rng(0))["differences"]
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
    single = bootstrap(once, 100, np.random.default_rng(0)).values["a", "auroc"]
    double = bootstrap(twice, 100, np.random.default_rng(0)).values["a", "auroc"]
    assert double == pytest.approx(single)


def test_values_do_not_depend_on_block_size(monkeypatch):
    risk_set = make(200, models=("a",))
    whole = bootstrap(risk_set, 30, np.random.default_rng(0))
    monkeypatch.setattr("proband.evaluate.compare._BLOCK_ELEMENTS", 1)
    parts = bootstrap(risk_set, 30, np.random.default_rng(0))
    for metric in METRICS[:-1]:
        assert parts.values["a", metric] == pytest.approx(whole.values["a", metric], nan_ok=True)


@pytest.mark.parametrize(
    ("time", "event", "reason"),
    [
        (np.full(50, 6.0), np.zeros(50, np.int8), "0 cases"),
        (np.full(50, 2.0), np.ones(50, np.int8), "0 controls"),
        (
            np.repeat([1.0, 1.5, 2.0], [10, 10, 500]),
            np.repeat([1, 2, 0], [10, 10, 500]).astype(np.int8),
            "follow-up",
        ),
    ],
)
def test_obstacles_are_named(time, event, reason):
    risk_set = RiskSet("x", 5.0, np.arange(len(time)), time, event, {"a": np.full(len(time), 0.1)})
    frames = risk_set_frames(risk_set, 10, np.random.default_rng(0))
    assert set(frames) == {"metrics"}
    assert frames["metrics"]["value"].null_count() == len(METRICS)
    assert reason in frames["metrics"]["note"][0]


def test_constant_risk_has_no_slope_but_all_else():
    risk_set = make(300, models=("a",))
    flat = RiskSet(
        "x", 5.0, risk_set.subject_id, risk_set.time_years, risk_set.event, {"a": np.full(300, 0.2)}
    )
    metrics = risk_set_frames(flat, 20, np.random.default_rng(0))["metrics"]
    empty = metrics.filter(metrics["value"].is_null())
    assert empty["metric"].to_list() == ["calibration_slope"]
    assert "not estimable" in empty["note"][0]
    assert metrics.filter(metric="auroc")["value"][0] == 0.5
