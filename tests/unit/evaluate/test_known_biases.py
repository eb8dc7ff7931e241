"""Biases that an evaluation can have, each in a world of known law, the biased way as negative control."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from proband.core.schema import LABELS, RISK
from proband.ehr.cohort import follow_up
from proband.ehr.labels import label_events
from proband.ehr.meds.kinship import Families
from proband.ehr.outcomes import Task
from proband.evaluate.baselines.age_sex import cumulative_incidence, fit_rates
from proband.evaluate.groups.deciles import ChosenScore, Deciles
from proband.evaluate.metrics.calibration import expit, fit_logistic, logit, slope
from proband.evaluate.metrics.censoring import aalen_johansen, censoring_weights, horizon_status
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.discrimination import auroc
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.smooth import Smoother
from proband.evaluate.metrics.utility import decision_thresholds
from proband.evaluate.selection.landmarks import early_enough, end_of_data, landmarks
from proband.evaluate.selection.risk_sets import risk_sets
from resampled import bootstrapped, frames_of

HORIZON = 5.0
START = datetime(2000, 1, 1)


def years_after(years):
    return [START + timedelta(days=365.25 * value) for value in years]


_computed = {}


def value_of(risk_set, metric, model="m"):
    """The sample's value; all metrics of a risk set are computed once."""
    if id(risk_set) not in _computed:
        _computed[id(risk_set)] = risk_set, bootstrapped(risk_set, 0).values
    return _computed[id(risk_set)][1][model, metric][0]


class Yearly:
    """Predictions each year until the data end at 8 years; hazards rise by 30% a year of age.

    Who entered at 0 to 1 years leaves at random at 5% a year. The true risk is known, and so is what
    happened after follow-up.
    """

    def __init__(self, size=12_000, seed=0):
        rng = np.random.default_rng(seed)
        entry, personal = rng.random(size), np.exp(rng.normal(size=size) * 0.7)
        level, growth = 0.004 * personal, 0.3
        onset = entry + np.log1p(rng.exponential(size=size) * growth / level) / growth
        leave = entry + rng.exponential(20, size)
        rows = []
        for year in range(8):
            at = entry + year
            here = (onset > at) & (leave > at) & (at < 8)
            last = np.minimum(leave, 8.0)
            ahead = level * np.exp(growth * year) / growth
            rows.append(
                pl.DataFrame(
                    {
                        "subject_id": np.flatnonzero(here),
                        "at": at[here],
                        "time_years": (np.minimum(onset, last) - at)[here],
                        "event": (onset < last)[here].astype(np.int8),
                        "case": (onset < at + HORIZON)[here],
                        "risk": (1 - np.exp(-ahead * np.expm1(growth * HORIZON)))[here],
                    }
                )
            )
        rows = pl.concat(rows).with_columns(
            pl.lit("x").alias("outcome"),
            pl.lit("held_out").alias("split"),
            pl.lit(50.0).alias("age_years"),
            pl.lit(1.0).alias("female"),
        )
        self.rows = rows.with_columns(
            pl.Series("prediction_time", years_after(rows["at"]), pl.Datetime("us"))
        )
        self.labels = self.rows.select(*LABELS.columns)

    def table(self):
        said = self.rows.with_columns(
            pl.lit(HORIZON).alias("horizon_years"),
            pl.lit("m").alias("model"),
            pl.lit(0.0).alias("standard_error"),
            pl.lit(0.0).alias("unresolved"),
        )
        return said.select(*RISK.columns)

    def judged(self, end):
        rows = self.rows.select(*LABELS.columns, "age_years", "female")
        return next(iter(risk_sets(self.table(), RISK.empty(), rows, end, None)))


@pytest.fixture(scope="module")
def world():
    return Yearly()


def test_repeated_predictions_are_judged_on_those_that_can_be_followed(world):
    found = world.judged(end_of_data(world.labels))
    kept = world.rows.filter(pl.Series(early_enough(world.rows, HORIZON, end_of_data(world.labels))))
    right = auroc(kept["risk"].to_numpy(), kept["case"].to_numpy())
    assert value_of(found.risk_set, "auroc") == pytest.approx(right, abs=0.01)
    assert value_of(found.risk_set, "observed_expected") == pytest.approx(1, abs=0.05)
    assert value_of(found.risk_set, "calibration_slope") == pytest.approx(1, abs=0.07)
    steps = dict(found.flow.select("step", "num_predictions").iter_rows())
    assert steps["predicted"] == world.rows.height > steps["early enough"] == kept.height
    assert steps["case"] + steps["control"] + steps["censored"] == kept.height


def test_deciles_of_a_score_hold_the_predictions_that_can_be_followed(world):
    """All of them together, as one decile each: what is observed is what is predicted."""
    found = world.judged(end_of_data(world.labels)).risk_set
    subjects = np.unique(world.rows["subject_id"].to_numpy())
    score = np.random.default_rng(7).normal(size=len(subjects))
    scores = pl.DataFrame({"subject_id": subjects, "PGS1": score})
    alone = Resamples(subjects, 0, np.random.default_rng(0))

    def ratio(risk_set):
        deciles = Deciles.of(risk_set, ChosenScore("PGS1", "PGS1", "trait"), scores)
        return deciles.observed(alone)["observed"].mean() / deciles.predicted()["predicted"].mean()

    assert ratio(found) == pytest.approx(1, abs=0.05)
    whole = world.rows
    every = RiskSet(
        "x", HORIZON, *(whole[name].to_numpy() for name in ("subject_id", "time_years", "event")),
        {"m": whole["risk"].to_numpy()},
    )  # fmt: skip
    assert ratio(every) < 0.92


def test_a_part_of_repeated_predictions_has_rows_enough_in_each_landmark(world):
    whole = world.judged(end_of_data(world.labels)).risk_set
    some = whole.subject_id % 200 == 0
    assert whole.landmark.max() == whole.part(whole.subject_id % 5 == 0).landmark.max() == 2
    assert np.bincount(whole.landmark[some]).max() < 100
    assert np.bincount(whole.part(some).landmark).min() >= 100


def test_with_one_censoring_distribution_for_all_repeated_predictions_it_would_be_wrong(world):
    whole = world.rows
    pooled = RiskSet(
        "x",
        HORIZON,
        whole["subject_id"].to_numpy(),
        whole["time_years"].to_numpy(),
        whole["event"].to_numpy(),
        {"m": whole["risk"].to_numpy()},
    )
    right = auroc(whole["risk"].to_numpy(), whole["case"].to_numpy())
    assert abs(value_of(pooled, "auroc") - right) > 0.02
    assert abs(value_of(pooled, "observed_expected") - 1) > 0.05


def test_single_predictions_are_all_judged_and_landmarks_number_the_others():
    rows = pl.DataFrame(
        {
            "subject_id": [1, 1, 2, 3],
            "prediction_time": years_after([0, 2, 0, 1]),
            "outcome": "x",
            "time_years": [8.0, 6.0, 3.0, 2.0],
            "event": [0, 1, 2, 0],
        },
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )
    end = end_of_data(rows)
    assert end == years_after([8.0])[0]
    dead = rows.with_columns(pl.when(pl.col("time_years") == 8).then(2).otherwise("event").alias("event"))
    assert end_of_data(dead.with_columns(pl.col("time_years") - 1)) == years_after([7.0])[0]
    assert end_of_data(rows.with_columns(event=2)) == end
    assert early_enough(rows, 6.5, end).tolist() == [True, False, True, True]
    assert early_enough(rows[1:], 6.5, end).tolist() == [True, True, True]
    assert landmarks(rows[1:]) is None
    assert landmarks(rows).tolist() == [0, 0, 0, 0]  # too few rows for landmarks of their own
    many = pl.concat([rows.with_columns(pl.col("subject_id") + 10 * number) for number in range(120)])
    assert landmarks(many)[:4].tolist() == [0, 1, 0, 0]


def test_a_subject_followed_far_beyond_the_others_does_not_bring_back_late_predictions(world):
    """A date of a wrong century: the data seem to end in forty years, and nobody else's follow-up does."""
    stray = pl.col("subject_id") == world.rows.filter(event=0)["subject_id"][0]
    longer = pl.when(stray).then(pl.col("time_years") + 40).otherwise("time_years").alias("time_years")
    rows = world.rows.with_columns(longer)
    end = end_of_data(rows)
    assert end is not None
    assert end > years_after([40.0])[0]
    found = next(iter(risk_sets(world.table(), RISK.empty(), rows, end, None)))
    usual = world.judged(end_of_data(world.labels)).risk_set
    assert found.moments.height == pytest.approx(len(usual.risks["m"]), rel=0.01)
    for metric in ("auroc", "observed_expected", "calibration_slope"):
        assert value_of(found.risk_set, metric) == pytest.approx(value_of(usual, metric), abs=0.01)


def test_a_landmark_that_nobody_is_followed_from_is_seen_among_others():
    """Together 25% of the follow-up reaches five years; of the second landmark none does."""
    time, landmark = np.repeat([6.0, 2.0, 1.0], [100, 250, 50]), np.repeat([0, 0, 1], [100, 50, 250])
    event = (np.arange(400) % 10 == 0).astype(np.int8)

    def obstacle(number):
        return RiskSet("x", HORIZON, np.arange(400), time, event, {}, landmark=number).obstacle()

    assert obstacle(None) == ""
    assert obstacle(landmark) == "follow-up of less than 5% reaches the horizon"


def test_strata_of_censoring_by_hand():
    """Stratum 0 loses half of its rows at 1 year, stratum 1 none."""
    time, event = np.array([1.0, 1.0, 6.0, 6.0, 3.0, 6.0]), np.array([0, 0, 0, 0, 1, 0])
    stratum = np.array([0, 0, 0, 0, 1, 1])
    weights = censoring_weights(time, event, HORIZON, np.ones((1, 6)), stratum)
    assert weights[0].tolist() == [0, 0, 2, 2, 1, 1]
    assert aalen_johansen(time, event, HORIZON, np.ones((1, 6)), stratum)[0] == pytest.approx(1 / 6)


def registry_times(size=12_000, seed=0):
    """20% a year leave the record; onsets and deaths, 10% a year each, come from a registry all the same."""
    rng = np.random.default_rng(seed)
    onset, death, leave = (rng.exponential(1 / rate, size) for rate in (0.1, 0.1, 0.2))
    return onset, death, np.minimum(leave, 12.0)


REGISTRY_RISK = 0.1 / 0.2 * (1 - np.exp(-10 * 0.2))
"""Of an onset by ten years, and of a death before it."""


def registry_world():
    onset, death, leave = registry_times()
    size = len(leave)
    rows = [(number, -18_000.0, "MEDS_BIRTH") for number in range(size)]
    for code, years in (("OBSERVATION_PERIOD//START", np.zeros(size)), ("OBSERVATION_PERIOD//END", leave)):
        rows += [(number, year * 365.25, code) for number, year in enumerate(years)]
    rows += [(number, year * 365.25, "MEDS_DEATH") for number, year in enumerate(death) if year < 12]
    rows += [(n, year * 365.25, "X//1") for n, year in enumerate(onset) if year < min(death[n], 12)]
    frame = pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "days": pl.Float64, "code": pl.String}, orient="row"
    )
    moment = pl.lit(START).cast(pl.Datetime("us")) + pl.duration(
        microseconds=(pl.col("days") * 86_400e6).cast(pl.Int64)
    )
    return frame.select(
        "subject_id", moment.alias("time"), "code", pl.lit(None, pl.Float32).alias("numeric_value")
    )


def test_who_dies_is_not_followed_beyond_the_record():
    events = registry_world()
    task = Task.model_validate(
        {
            "outcomes": {"x": {"codes": ["X//1"]}},
            "prediction": {"years_after_entry": 0},
            "horizons_years": [10],
        }
    )
    spans = follow_up(events).with_columns(pl.lit("train").alias("split"))
    rows = label_events(events, spans, task, {"x": [["X//1"]]})
    time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
    # Deaths within 30 days of the end of a period count, and only they lengthen follow-up.
    assert incidences(time, event) == pytest.approx([REGISTRY_RISK, REGISTRY_RISK], abs=0.02)


def test_with_who_dies_followed_beyond_the_record_both_incidences_would_be_wrong():
    onset, death, leave = registry_times()
    until = np.where(death < 12, np.maximum(leave, death), leave)
    event = np.where(onset <= np.minimum(until, death), 1, np.where(death <= until, 2, 0))
    found = incidences(np.minimum(np.minimum(onset, death), until), event)
    assert found[0] < REGISTRY_RISK - 0.02
    assert found[1] > REGISTRY_RISK + 0.05


def incidences(time, event):
    """Of onset and of death by ten years, the other competing."""
    ones = np.ones((1, len(time)))
    died = np.where(event == 0, 0, 3 - event)
    return [float(aalen_johansen(time, causes, 10.0, ones)[0]) for causes in (event, died)]


def noisy(share_of_noise, size=8000, seed=0):
    """True risks, and the same with sampling noise that makes up a share of their variance."""
    rng = np.random.default_rng(seed)
    risk = 1 - np.exp(-0.15 * np.exp(rng.normal(size=size)))
    case = rng.random(size) < risk
    unit = np.sqrt(risk * (1 - risk))
    scale = np.sqrt(share_of_noise / (1 - share_of_noise) * risk.var() / np.mean(unit**2))
    shaken = np.clip(risk + scale * unit * rng.normal(size=size), 0, 1)
    time, event = np.where(case, 1.0, 9.0), case.astype(np.int8)
    risks, errors = {"true": risk, "m": shaken}, {"m": scale * unit}
    return RiskSet("x", HORIZON, np.arange(size), time, event, risks, errors)


@pytest.mark.parametrize("share", [0.04, 0.2])
def test_sampling_noise_is_told_from_miscalibration(share):
    risk_set = noisy(share)
    assert value_of(risk_set, "monte_carlo_share") == pytest.approx(share, abs=0.02)
    assert value_of(risk_set, "calibration_slope") < 1 - share
    assert value_of(risk_set, "slope_noise_corrected") == pytest.approx(
        value_of(risk_set, "calibration_slope", "true"), abs=0.05
    )
    assert value_of(risk_set, "brier_noise_corrected") == pytest.approx(
        value_of(risk_set, "brier", "true"), abs=0.0012
    )
    assert value_of(risk_set, "slope_noise_corrected", "true") == value_of(
        risk_set, "calibration_slope", "true"
    )
    metrics = frames_of(risk_set, 0)["metrics"].filter(metric="brier")
    notes = dict(metrics.select("model", "note").iter_rows())
    assert notes["true"] == ""
    assert ("sampling noise is" in notes["m"]) == (share > 0.05)


def plain_set(num_cases, size=400):
    rng = np.random.default_rng(1)
    event = (np.arange(size) < num_cases).astype(np.int8)
    return RiskSet("x", HORIZON, np.arange(size), np.where(event == 1, 1.0, 6.0), event, {
        "a": rng.random(size) * 0.5, "b": rng.random(size) * 0.5})  # fmt: skip


@pytest.mark.parametrize("num_cases", [8, 29, 30, 120])
def test_no_interval_nor_p_value_from_few_cases(num_cases):
    frames = frames_of(plain_set(num_cases), 40)
    row = frames["metrics"].filter(metric="auroc", model="a").row(0, named=True)
    assert (row["low"] is None) == (num_cases < 30)
    assert (f"{num_cases} cases, at least 30 needed" in row["note"]) == (num_cases < 30)
    assert frames["differences"]["p_value"].null_count() == (
        frames["differences"].height if num_cases < 30 else 0
    )
    note = frames["metrics"].filter(metric="auprc", model="a")["note"][0]
    assert ("biased upwards" in note) == (num_cases < 100)


def test_censoring_by_risk_is_weighted_for_by_the_analysis_beside():
    rng = np.random.default_rng(2)
    size = 20_000
    hazard = 0.05 * np.exp(rng.normal(size=size))
    onset, leave = rng.exponential(1 / hazard), rng.exponential(1 / (2 * hazard + 0.02))
    time, event = np.minimum(onset, leave), (onset < leave).astype(np.int8)
    risk = 1 - np.exp(-hazard * HORIZON)
    risk_set = RiskSet("x", HORIZON, np.arange(size), time, event, {"m": risk})
    right = auroc(risk, onset < HORIZON)
    assert value_of(risk_set, "observed_expected") < 0.9
    assert abs(value_of(risk_set, "auroc") - right) > 0.015
    assert value_of(risk_set, "observed_expected_censoring_by_risk") == pytest.approx(1, abs=0.05)
    assert value_of(risk_set, "slope_censoring_by_risk") == pytest.approx(1, abs=0.08)
    assert value_of(risk_set, "auroc_censoring_by_risk") == pytest.approx(right, abs=0.01)


def index_of(smoother, case):
    return smoother.errors(smoother.coefficients(case, np.ones((1, len(case))))).mean()


def test_the_ici_of_a_perfect_model_has_a_reference():
    rng = np.random.default_rng(3)
    found, references = [], []
    for _ in range(20):
        risk = expit(rng.normal(-2, 1, 2000))
        smoother, ones = Smoother(risk, np.arange(2000)), np.ones((1, 2000))
        found.append(index_of(smoother, rng.random(2000) < risk))
        references.append(smoother.errors_of_a_perfect_model(ones[0], 50, rng).mean())
    assert np.mean(found) == pytest.approx(np.mean(references), rel=0.2)
    assert np.mean(references) == pytest.approx(0.011, abs=0.003)
    tripled = index_of(Smoother(risk**0.7, np.arange(2000)), rng.random(2000) < risk)
    assert tripled > 3 * np.mean(references)


def test_a_converged_fit_with_large_coefficients_is_kept():
    """Risks that hardly differ have a steep slope; it is estimable all the same."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=3000)
    case = rng.random(3000) < expit(-1 + x)
    narrow = expit(-1 + x / 300)
    assert slope(narrow, case, np.ones((1, 3000)))[0] == pytest.approx(300, rel=0.15)
    design = np.column_stack([np.ones(4), [0.0, 1, 2, 3]])
    separated = fit_logistic(design, np.array([False, False, True, True]), np.ones(4))
    assert np.isnan(separated).all()


def test_five_calendar_years_reach_a_horizon_of_five_years():
    calendar = (datetime(2020, 1, 1) - datetime(2015, 1, 1)).days / 365.25
    assert calendar < 5
    time, event = np.array([calendar, calendar, 4.98, 2.0]), np.array([0, 1, 0, 1])
    assert horizon_status(time, event, 5.0).tolist() == [0, 1, -1, 1]
    assert censoring_weights(time[:2], event[:2], 5.0, np.ones((1, 2))).tolist() == [[1.0, 1.0]]


def test_slopes_of_rare_outcomes_are_not_bent_by_the_floor_of_risks():
    rng = np.random.default_rng(5)
    risk = expit(rng.normal(-7.5, 1.5, 200_000))
    case = rng.random(len(risk)) < risk
    assert slope(risk, case, np.ones((1, len(risk))))[0] == pytest.approx(1, abs=0.06)
    assert logit(np.array([2e-6]))[0] == pytest.approx(np.log(2e-6), abs=1e-4)


def test_age_sex_carries_on_the_nearest_rate_below_the_ages_seen():
    rng = np.random.default_rng(6)
    age = rng.uniform(50, 70, 5000)
    hazard = 0.01 * np.exp(0.08 * (age - 60))
    time = rng.exponential(1 / hazard)
    rates = fit_rates(age, np.ones(5000), np.minimum(time, 5), (time < 5).astype(np.int8))
    risk = cumulative_incidence(rates, np.array([42.0, 50.0]), np.ones(2), 1.0)
    assert risk[0] == pytest.approx(risk[1], rel=0.02)


def test_decision_thresholds_lie_around_the_incidence():
    for incidence in (0.002, 0.05, 0.3):
        thresholds = decision_thresholds(incidence)
        assert thresholds[0] == pytest.approx(incidence / 5)
        assert thresholds[-1] <= min(8.001 * incidence, 0.9)
        assert len(thresholds) >= 30


def test_relatives_are_resampled_together():
    """Four copies of each person under names of their own: only as families is the interval right."""
    once = plain_set(60)
    size = 4 * len(once.subject_id)
    copies = {
        "subject_id": np.arange(size),
        "time_years": np.tile(once.time_years, 4),
        "event": np.tile(once.event, 4),
        "risks": {"a": np.tile(once.risks["a"], 4)},
    }
    families = Families(
        pl.DataFrame({"subject_id": np.arange(size), "cluster": np.arange(size) % (size // 4)}), 0, 0
    )
    family = families.representatives(np.arange(size))
    spread = {
        name: bootstrapped(RiskSet("x", HORIZON, **copies, cluster=cluster), 300)
        .values["a", "auroc"][1:]
        .std()
        for name, cluster in (("families", family), ("strangers", None))
    }
    alone = bootstrapped(once, 300).values["a", "auroc"][1:].std()
    assert spread["families"] == pytest.approx(alone, rel=0.15)
    assert spread["strangers"] == pytest.approx(alone / 2, rel=0.15)


@pytest.mark.parametrize("with_periods", [True, False])
def test_follow_up_that_ends_with_the_last_event_overstates_risk(with_periods):
    """Half a visit a year, onset 4% a year, data until 6 years: the onset itself would prolong follow-up."""
    rng = np.random.default_rng(7)
    size = 4000
    onset = rng.exponential(25, size)
    rows = [(n, -18_000.0, "MEDS_BIRTH") for n in range(size)] + [(n, 0.0, "VISIT") for n in range(size)]
    if with_periods:
        rows += [(n, 6 * 365.25, "OBSERVATION_PERIOD//END") for n in range(size)]
    rows += [(n, time * 365.25, "X//1") for n, time in enumerate(onset) if time < 6]
    visits = np.cumsum(rng.exponential(2, (size, 20)), axis=1)
    rows += [(int(n), visits[n, k] * 365.25, "VISIT") for n, k in np.argwhere(visits < 6)]
    schema = {"subject_id": pl.Int64, "days": pl.Float64, "code": pl.String}
    events = pl.DataFrame(rows, schema=schema, orient="row")
    after = pl.duration(microseconds=(pl.col("days") * 86_400e6).cast(pl.Int64))
    events = events.select(
        "subject_id", (pl.lit(START).cast(pl.Datetime("us")) + after).alias("time"), "code"
    )
    spans = follow_up(events)
    exit_years = (spans["exit_time"] - pl.Series([START]).cast(pl.Datetime("us"))[0]).dt.total_microseconds()
    leave = exit_years.to_numpy() / 365.25 / 86_400e6
    event = (onset <= leave + 1e-6).astype(np.int8)
    incidence = aalen_johansen(np.minimum(onset, leave), event, 5.0, np.ones((1, size)))[0]
    right = 1 - np.exp(-0.2)
    assert (incidence == pytest.approx(right, rel=0.08)) if with_periods else (incidence > 1.15 * right)
