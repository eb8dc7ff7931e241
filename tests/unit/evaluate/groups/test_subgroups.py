import numpy as np
import polars as pl
import pytest

from proband.evaluate.frames import risk_set_frames
from proband.evaluate.groups.subgroups import subgroup_frame
from proband.evaluate.metrics.calibration import expit, logit
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.registry import METRICS, metrics_of
from proband.evaluate.metrics.replicates import bootstrap
from proband.evaluate.metrics.risk_set import RiskSet
from resampled import bootstrapped

SIZE, HORIZON = 1200, 5.0


@pytest.fixture
def risk_set():
    """A model that knows the hazard of the first half and nothing of the second."""
    rng = np.random.default_rng(0)
    hazard = 0.08 * np.exp(rng.normal(size=SIZE))
    onset, leave = rng.exponential(1 / hazard), rng.uniform(3, 12, SIZE)
    time, event = np.minimum(onset, leave), (onset < leave).astype(np.int8)
    known = 1 - np.exp(-HORIZON * hazard)
    risk = np.where(np.arange(SIZE) < SIZE // 2, known, rng.permutation(known))
    return RiskSet("x", HORIZON, np.arange(SIZE), time, event, {"m": risk})


def frame_of(risk_set, members, number=60):
    resamples = Resamples(np.arange(SIZE + 50), number, np.random.default_rng(0))
    return subgroup_frame(risk_set, members, resamples)


def test_a_gap_is_found_with_its_interval_and_none_between_halves_at_random(risk_set):
    half = np.where(np.arange(SIZE) < SIZE // 2, "first", "second")
    at_random = np.where(np.arange(SIZE) % 2 == 0, "even", "odd")
    frame = frame_of(risk_set, pl.DataFrame({"half": half, "parity": at_random}))
    auroc = frame.filter(metric="auroc")
    gap = auroc.filter((pl.col("dimension") == "half") & (pl.col("subgroup") != pl.col("reference")))
    sign = 1 if gap["reference"][0] == "second" else -1
    assert sign * gap["gap"][0] > 0.15
    assert (gap["gap_low"][0] > 0) == (sign > 0)
    assert gap["gap_low"][0] < gap["gap"][0] < gap["gap_high"][0]
    none = auroc.filter((pl.col("dimension") == "parity") & (pl.col("subgroup") != pl.col("reference")))
    assert none["gap_low"][0] < 0 < none["gap_high"][0]
    assert auroc["num_subjects"].to_list() == [SIZE // 2] * 4


def test_values_are_those_of_the_subgroup_alone(risk_set):
    is_first = np.arange(SIZE) < 700
    frame = frame_of(risk_set, pl.DataFrame({"d": np.where(is_first, "a", "b")}), 0)
    alone = risk_set.part(is_first)
    expected = bootstrapped(alone, 0).values["m", "observed_expected"][0]
    assert frame.filter(subgroup="a", metric="observed_expected")["value"][0] == pytest.approx(expected)


def test_few_cases_unknown_members_and_a_single_subgroup(risk_set):
    number = np.arange(SIZE)
    members = pl.DataFrame({
        "small": np.where(number < 3, "tiny", np.where(number < 60, "some", "most")),
        "single": np.full(SIZE, "all"),
        "unknown": pl.Series([None] * 600 + ["u"] * 300 + ["v"] * 300),
    })  # fmt: skip
    frame = frame_of(risk_set, members)
    assert frame["dimension"].unique().sort().to_list() == ["small", "unknown"]
    tiny = frame.filter(subgroup="tiny")
    assert tiny["value"].null_count() == tiny.height
    assert tiny["note"].str.contains("at least 5 needed").all()
    some = frame.filter(subgroup="some", metric="auroc").row(0, named=True)
    assert some["value"] is not None
    assert some["low"] is None
    assert "no interval" in some["note"]
    assert frame.filter(dimension="unknown", metric="auroc")["num_subjects"].to_list() == [300, 300]


def split_at(number):
    return pl.DataFrame({"d": np.where(np.arange(SIZE) < number, "a", "b")})


def test_every_metric_of_the_whole_is_given_within_subgroups_but_for_those_left_out(risk_set):
    frame = frame_of(risk_set, split_at(700))
    whole = set(metrics_of(risk_set, "m"))
    left_out = {name for name in whole if not METRICS[name].by_subgroup}
    assert set(frame.filter(pl.col("threshold").is_null())["metric"]) == whole - left_out
    assert left_out == {
        "auroc_censoring_by_risk", "slope_censoring_by_risk", "observed_expected_censoring_by_risk",
        "slope_noise_corrected",
    }  # fmt: skip


def test_values_and_intervals_are_those_of_evaluating_the_subgroup_alone(risk_set):
    is_first = np.arange(SIZE) < 700
    frame = frame_of(risk_set, split_at(700)).filter(subgroup="a")
    drawn = Resamples(np.arange(SIZE + 50), 60, np.random.default_rng(0))
    alone = risk_set_frames(risk_set.part(is_first), bootstrap(risk_set.part(is_first), drawn))["metrics"]
    beside = frame.filter(pl.col("threshold").is_null()).join(alone, on="metric", suffix="_alone")
    assert beside.height > 15
    for name in ("value", "low", "high"):
        there = beside.drop_nulls(name)
        assert beside[f"{name}_alone"].null_count() == beside[name].null_count()
        assert there[name].to_numpy() == pytest.approx(there[f"{name}_alone"].to_numpy(), abs=1e-12)


def test_the_c_index_has_an_interval_and_so_has_its_gap(risk_set):
    found = frame_of(risk_set, split_at(700)).filter(metric="c_index")
    assert len(found) == 2
    assert (found["low"] < found["value"]).all()
    assert (found["value"] < found["high"]).all()
    gaps = found.drop_nulls("gap_low")
    assert len(gaps) == 1
    assert (gaps["gap_low"] < gaps["gap"]).all()
    assert (gaps["gap"] < gaps["gap_high"]).all()


def test_what_is_computed_once_has_a_value_and_a_gap_but_no_interval_of_it(risk_set):
    other = frame_of(risk_set, split_at(700)).filter(metric="ici_if_perfect").sort("subgroup")
    assert other["gap_low"].null_count() == 2
    reference = other["reference"][0]
    gap = other.filter(pl.col("subgroup") != reference)["gap"][0]
    sides = dict(other.select("subgroup", "value").iter_rows())
    (name,) = set(sides) - {reference}
    assert gap == pytest.approx(sides[name] - sides[reference])


def test_thresholds_are_the_same_in_all_subgroups_and_give_what_a_count_by_hand_gives(risk_set):
    uncensored = RiskSet(
        "x", HORIZON, risk_set.subject_id, np.where(risk_set.event == 1, risk_set.time_years, 9.0),
        risk_set.event, risk_set.risks,
    )  # fmt: skip
    at = np.array([0.2, 0.5])
    resamples = Resamples(np.arange(SIZE), 60, np.random.default_rng(0))
    frame = subgroup_frame(uncensored, split_at(700), resamples, at).drop_nulls("threshold")
    assert frame.group_by("subgroup", "metric").agg(pl.len())["len"].to_list() == [2] * 12
    case = (uncensored.status == CASE)[:700]
    for threshold in at:
        flagged = uncensored.risks["m"][:700] >= threshold
        true, false = (flagged & case).sum(), (flagged & ~case).sum()
        benefit = (true - false * threshold / (1 - threshold)) / 700
        expected = {
            "sensitivity": true / case.sum(), "specificity": 1 - false / (~case).sum(),
            "positive_predictive_value": true / flagged.sum(), "share_flagged": flagged.mean(),
            "net_benefit": benefit, "standardised_net_benefit": benefit / case.mean(),
        }  # fmt: skip
        mine = frame.filter(subgroup="a", threshold=threshold)
        assert dict(mine.select("metric", "value").iter_rows()) == pytest.approx(expected)
        assert (mine["low"] <= mine["value"]).all()
        assert (mine["value"] <= mine["high"]).all()


def test_beside_true_risks_strong_calibration_is_within_subgroups_too(risk_set):
    true = risk_set.risks["m"]
    beside = RiskSet(
        "x", HORIZON, risk_set.subject_id, risk_set.time_years, risk_set.event,
        {"m": expit(logit(true) + np.where(np.arange(SIZE) < 700, 0.5, 0.1)), "truth": true}, truth="truth",
    )  # fmt: skip
    rmse = frame_of(beside, split_at(700)).filter(metric="log_odds_rmse").sort("subgroup")
    assert rmse["model"].unique().to_list() == ["m"]
    assert rmse["value"].to_list() == pytest.approx([0.5, 0.1])
    assert rmse.filter(pl.col("subgroup") != pl.col("reference"))["gap"].abs()[0] == pytest.approx(0.4)
