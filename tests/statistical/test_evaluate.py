"""Estimators against a known law, each with a negative control that must be biased."""

import numpy as np
import pytest

from proband.evaluate.baselines.age_sex import cumulative_incidence, fit_rates
from proband.evaluate.metrics.censoring import CASE, aalen_johansen, horizon_status
from proband.evaluate.metrics.compare import interval, two_sided_p
from proband.evaluate.metrics.discrimination import auroc, average_precision
from proband.evaluate.metrics.risk_set import RiskSet
from resampled import bootstrapped

HORIZON = 5.0
DEATH_RATE = 0.02


def draw(rng, size, spread=1.0, noise=0.0, censored=True):
    """Onset of rate 0.03 exp(spread z), death of rate 0.02, follow-up ending early for most."""
    hazard = 0.03 * np.exp(spread * rng.normal(size=size))
    onset, death = rng.exponential(1 / hazard), rng.exponential(1 / DEATH_RATE, size)
    leave = rng.exponential(4.0, size) if censored else np.full(size, 100.0)
    time = np.minimum(np.minimum(onset, death), leave)
    event = np.where(time == onset, 1, np.where(time == death, 2, 0)).astype(np.int8)
    total = hazard + DEATH_RATE
    risk = hazard / total * (1 - np.exp(-total * HORIZON))
    shaken = risk * np.exp(noise * rng.normal(size=size))
    return RiskSet("x", HORIZON, np.arange(size), time, event, {"m": np.minimum(shaken, 1.0)})


@pytest.fixture(scope="module")
def truth():
    """What a million fully followed subjects show."""
    whole = draw(np.random.default_rng(0), 1_000_000, censored=False)
    case, risk = whole.status == CASE, whole.risks["m"]
    return {
        "auroc": auroc(risk, case),
        "auprc": average_precision(risk, case),
        "brier": float(np.mean((case - risk) ** 2)),
        "incidence": float(case.mean()),
    }


@pytest.fixture(scope="module")
def censored_samples():
    rng = np.random.default_rng(1)
    sets = [draw(rng, 4000) for _ in range(30)]
    return sets, [bootstrapped(risk_set, 0).values for risk_set in sets]


@pytest.mark.parametrize(
    ("metric", "name", "tolerance"),
    [
        ("auroc", "auroc", 0.006),
        ("auprc", "auprc", 0.008),
        ("brier", "brier", 0.002),
        ("cumulative_incidence", "incidence", 0.003),
    ],
)
def test_weighted_estimators_are_unbiased_under_censoring(truth, censored_samples, metric, name, tolerance):
    mean = np.mean([values["m", metric][0] for values in censored_samples[1]])
    assert mean == pytest.approx(truth[name], abs=tolerance)


def test_complete_cases_alone_are_biased(truth, censored_samples):
    sets, values = censored_samples
    auprc = np.mean([found["m", "auprc_complete_case"][0] for found in values])
    assert auprc > truth["auprc"] + 0.05
    share = np.mean([(s.status == CASE).sum() / (s.status >= 0).sum() for s in sets])
    assert share > truth["incidence"] + 0.05
    brier = np.mean([np.mean(((s.status == CASE) - s.risks["m"])[s.status >= 0] ** 2) for s in sets])
    assert brier > truth["brier"] + 0.01


def test_calibration_of_true_risks_under_censoring_and_of_overconfident_ones(censored_samples):
    sets, values = censored_samples
    for metric, ideal, tolerance in (
        ("calibration_slope", 1, 0.03),
        ("calibration_intercept", 0, 0.05),
        ("observed_expected", 1, 0.03),
    ):
        assert np.mean([found["m", metric][0] for found in values]) == pytest.approx(ideal, abs=tolerance)
    steep = []
    for risk_set in sets[:10]:
        odds = (risk_set.risks["m"] / (1 - risk_set.risks["m"])) ** 2
        sharpened = RiskSet(
            "x", HORIZON, risk_set.subject_id, risk_set.time_years, risk_set.event, {"m": odds / (1 + odds)}
        )
        steep.append(bootstrapped(sharpened, 0).values["m", "calibration_slope"][0])
    assert np.mean(steep) == pytest.approx(0.5, abs=0.03)


def test_aalen_johansen_is_unbiased_where_one_minus_kaplan_meier_is_not(truth):
    rng = np.random.default_rng(2)
    ours, wrong = [], []
    for _ in range(30):
        found = draw(rng, 4000)
        ones = np.ones((1, 4000))
        ours.append(aalen_johansen(found.time_years, found.event, HORIZON, ones)[0])
        death_as_censoring = np.where(found.event == 2, 0, found.event)
        wrong.append(aalen_johansen(found.time_years, death_as_censoring, HORIZON, ones)[0])
    assert np.mean(ours) == pytest.approx(truth["incidence"], abs=0.003)
    assert np.mean(wrong) > truth["incidence"] + 0.003


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["auroc", "auprc", "cumulative_incidence"])
def test_interval_covers_the_truth(truth, metric):
    rng = np.random.default_rng(3)
    target = truth["incidence" if metric == "cumulative_incidence" else metric]
    covered = []
    for _ in range(400):
        values = bootstrapped(draw(rng, 600), 200, rng).values["m", metric]
        low, high = interval(values[1:])
        covered.append(low <= target <= high)
    # 400 draws of a 95% interval: 3 standard errors are 0.033; a small sample costs a little more.
    assert 0.90 <= np.mean(covered) <= 0.985


@pytest.mark.slow
def test_interval_of_auroc_covers_the_truth_at_the_fewest_cases_that_have_one(truth):
    """With 30 to 45 cases; below 30 there is no interval."""
    rng = np.random.default_rng(5)
    covered = []
    while len(covered) < 600:
        risk_set = draw(rng, 300)
        values = bootstrapped(risk_set, 200, rng).values["m", "auroc"]
        number = int((risk_set.status == CASE).sum())
        assert (len(values) > 1) == (number >= 30)
        if 30 <= number <= 45:
            low, high = interval(values[1:])
            covered.append(low <= truth["auroc"] <= high)
    # 600 draws of a 95% interval: 3 standard errors are 0.027; so few cases cost two or three hundredths.
    assert 0.90 <= np.mean(covered) <= 0.975


@pytest.mark.slow
def test_interval_that_ignores_subjects_is_too_narrow(truth):
    """Negative control: four copies of each subject taken for independent rows."""
    rng = np.random.default_rng(4)
    covered = {"clustered": [], "independent": []}
    for _ in range(150):
        once = draw(rng, 500)  # cases enough for an interval in every draw
        for name, subject in (("clustered", np.repeat(once.subject_id, 4)), ("independent", np.arange(2000))):
            time, event = np.repeat(once.time_years, 4), np.repeat(once.event, 4)
            copies = RiskSet("x", HORIZON, subject, time, event, {"m": np.repeat(once.risks["m"], 4)})
            low, high = interval(bootstrapped(copies, 200, rng).values["m", "auroc"][1:])
            covered[name].append(low <= truth["auroc"] <= high)
    assert np.mean(covered["clustered"]) > 0.88
    assert np.mean(covered["independent"]) < 0.75


@pytest.mark.slow
def test_p_value_of_equally_good_models_is_rarely_small_and_of_a_better_one_often():
    rng = np.random.default_rng(5)
    null, real = [], []
    for _ in range(250):
        base = draw(rng, 600)
        true = base.risks["m"]
        noisy = [np.minimum(true * np.exp(0.7 * rng.normal(size=600)), 1.0) for _ in range(2)]
        models = {"a": noisy[0], "b": noisy[1], "true": true}
        values = bootstrapped(
            RiskSet("x", HORIZON, base.subject_id, base.time_years, base.event, models), 200, rng
        ).values
        null.append(two_sided_p((values["a", "auroc"] - values["b", "auroc"])[1:]))
        real.append(two_sided_p((values["true", "auroc"] - values["a", "auroc"])[1:]))
    assert np.mean(np.array(null) < 0.05) < 0.10
    assert np.mean(np.array(real) < 0.05) > 2 * np.mean(np.array(null) < 0.05) + 0.1


@pytest.mark.slow
def test_five_rows_a_subject_reject_as_often_as_they_should_and_too_often_as_strangers():
    """A prediction each fifth of a year, five of a subject; two models err alike often, each by subject."""
    rng = np.random.default_rng(8)
    small = {"subjects": [], "strangers": []}
    for _ in range(250):
        subject, later = np.repeat(np.arange(150), 5), np.tile(np.arange(5) / 5, 150)
        own = 0.05 * np.exp(1.5 * rng.normal(size=150))
        onset, leave = 1 + rng.exponential(1 / own), 1 + rng.exponential(8.0, 150)
        time, event = (np.minimum(onset, leave)[subject] - later), (onset < leave)[subject].astype(np.int8)
        hazard = own[subject]
        risk = 1 - np.exp(-HORIZON * hazard)
        noisy = {name: risk * np.exp(-0.8 * np.abs(rng.normal(size=150))[subject]) for name in "ab"}
        for name, clusters in (("subjects", subject), ("strangers", np.arange(len(subject)))):
            values = bootstrapped(RiskSet("x", HORIZON, clusters, time, event, noisy), 200, rng).values
            small[name].append(two_sided_p((values["a", "auroc"] - values["b", "auroc"])[1:]) < 0.05)
    assert np.mean(small["subjects"]) < 0.09
    assert np.mean(small["strangers"]) > 0.15


def gompertz(age, level, growth):
    return level * np.exp(growth * (age - 50))


@pytest.mark.slow
def test_age_sex_baseline_recovers_known_incidence():
    rng = np.random.default_rng(6)
    size = 60_000
    age, female = rng.uniform(35, 75, size), (rng.random(size) < 0.5).astype(float)
    level = np.where(female == 1, 0.006, 0.012)
    uniform = -np.log(rng.random((2, size)))
    # Inverse of the Gompertz cumulative hazard from the age at entry on.
    onset = np.log1p(0.06 * uniform[0] / gompertz(age, level, 0.06)) / 0.06
    death = np.log1p(0.09 * uniform[1] / gompertz(age, 0.004, 0.09)) / 0.09
    leave = rng.uniform(1, 12, size)
    time = np.minimum(np.minimum(onset, death), leave)
    event = np.where(time == onset, 1, np.where(time == death, 2, 0)).astype(np.int8)
    rates = fit_rates(age, female, time, event)
    ages, sexes = np.array([40.0, 55.0, 70.0] * 2), np.repeat([0.0, 1.0], 3)
    ours = cumulative_incidence(rates, ages, sexes, 10.0)
    steps = (np.arange(20_000) + 0.5) / 2000
    for found, start, sex in zip(ours, ages, sexes, strict=True):
        hazard = gompertz(start + steps, 0.006 if sex else 0.012, 0.06)
        other = gompertz(start + steps, 0.004, 0.09)
        staying = np.exp(-np.cumsum(hazard + other) / 2000)
        assert found == pytest.approx(float((hazard * staying).sum() / 2000), rel=0.08)
    alone = 1 - np.exp(-gompertz(70 + steps, 0.012, 0.06).sum() / 2000)
    assert alone > 1.08 * ours[2], "death must matter at this age, or the test could not fail"


def test_status_is_what_the_law_says():
    whole = draw(np.random.default_rng(7), 100_000, censored=False)
    status = horizon_status(whole.time_years, whole.event, HORIZON)
    assert (status >= 0).all()
    assert (status == CASE).mean() == pytest.approx(whole.risks["m"].mean(), abs=0.004)
