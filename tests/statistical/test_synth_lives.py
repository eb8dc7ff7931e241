"""Lives of the synthetic biobank against their own law and independent programs, with negative controls."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.genomes.polygenic.liability import liabilities
from proband.synth.lives.calibrate import draw_cohort
from proband.synth.lives.law import Law, access, log_rate_at, read_effects, table_law
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, live
from proband.synth.lives.people import draw_deprivation
from proband.synth.oracle import oracle
from proband.synth.traits import (
    ADULT_AGE,
    DISEASE_NAMES,
    DISEASES,
    ENVIRONMENT,
    INCIDENCE_AGES,
    MORTALITY,
    TRAITS,
)
from synthetic_lives import OLDEST, LivedCohort, lived_cohort, write_biobank

pytestmark = pytest.mark.slow
COHORT = 60_000


@pytest.fixture(scope="module")
def cohort() -> LivedCohort:
    return lived_cohort(table_law(), COHORT, 11)


def incidence_scores(cohort: LivedCohort) -> np.ndarray:
    """Standardised differences from the table's incidence, by hazard, sex and five years of age."""
    state, male = cohort.state, cohort.people.male
    rows = [(disease.incidence, INCIDENCE_AGES, state.onset[:, k]) for k, disease in enumerate(DISEASES)]
    rows.append((MORTALITY.incidence, MORTALITY.ages, state.death))
    scores = []
    for incidence, ages, happened in rows:
        for sex in (0, 1):
            leave = np.minimum(happened, cohort.ends)[male == sex]
            for low in np.arange(20, 95, 5.0):
                # Person-time in quarter years of age, each at its rate: no use of the simulator's steps.
                quarters = np.arange(low, low + 5, 0.25)
                years = np.clip(leave[:, None] - quarters, 0, 0.25).sum(axis=0)
                expected = float(years @ np.exp(log_rate_at(incidence[sex], ages, quarters + 0.125)))
                observed = ((happened[male == sex] >= low) & (happened[male == sex] < low + 5)).sum()
                if expected >= 10:
                    scores.append((observed - expected) / np.sqrt(expected))
    return np.array(scores)


def test_age_sex_incidence_comes_back_as_the_table_with_every_modifier_on(cohort: LivedCohort) -> None:
    z = incidence_scores(cohort)
    assert len(z) > 500
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.25
    assert z.std() == pytest.approx(1, abs=0.15)


def test_without_its_calibration_the_incidence_is_not_the_tables() -> None:
    law = table_law()
    z = incidence_scores(lived_cohort(replace(law, log_rate=law.neutral().log_rate), 10_000, 12))
    assert np.abs(z).max() > 15


def test_records_come_late_never_or_falsely_as_often_as_the_table_says(cohort: LivedCohort) -> None:
    """Occurrences against exposure: hazards of records integrated over the time at risk of them."""
    law, people, state = table_law(), cohort.people, cohort.state
    growth = np.log(ENVIRONMENT.access_age)
    by_person = access(people.deprivation)
    scores = []
    for k, disease in enumerate(DISEASES):
        onset, recorded = state.onset[:, k], state.recorded[:, k]
        missed = people.missed[:, k]
        assert missed.mean() == pytest.approx(disease.missed, abs=5 * np.sqrt(0.25 / COHORT))
        ends = ADULT_AGE + (law.step_of(np.where(np.isfinite(onset), onset, 18)) + 1) * law.step_years
        free_until = np.minimum.reduce([onset, recorded, cohort.ends])
        spans = [(np.full(COHORT, ADULT_AGE), free_until, law.false_rate[k])]
        happened = [(recorded < onset) & (recorded < OLDEST)]
        if disease.delay_years:
            # The diagnosis may come from the step after onset on.
            waits = np.isfinite(onset) & (recorded >= onset) & ~missed
            until = np.where(waits, np.minimum(recorded, cohort.ends), ends)
            spans.append((ends, np.maximum(until, ends), 1 / disease.delay_years))
            happened.append(waits & np.isfinite(recorded) & (recorded > ends))
        else:
            known = np.isfinite(onset) & (recorded >= onset) & ~missed
            np.testing.assert_array_equal(recorded[known], onset[known])
        # In the step of an onset the hazard of a false record still holds; after it a missed one has none.
        assert not (missed & np.isfinite(onset) & np.isfinite(recorded) & (recorded > ends)).any()
        for (start, end, rate), event in zip(spans, happened, strict=True):
            integral = (np.exp(growth * (end - 50)) - np.exp(growth * (start - 50))) / growth
            expected = float((rate * by_person * integral).sum())
            scores.append((event.sum() - expected) / np.sqrt(expected))
    z = np.array(scores)
    assert len(z) > 45
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.6


def test_a_liabilitys_genetic_share_is_its_heritability() -> None:
    random = generator(4)
    genetic = random.standard_normal((60_000, len(TRAITS)))
    found = liabilities(genetic, random.standard_normal(genetic.shape))
    explained = [np.corrcoef(genetic[:, k], found[:, k])[0, 1] ** 2 for k in range(len(TRAITS))]
    stable = [getattr(trait, "stable", 1.0) for trait in TRAITS]
    # A biomarker's stable part alone is drawn: its genetic share is of that part.
    expected = [trait.heritability / part for trait, part in zip(TRAITS, stable, strict=True)]
    np.testing.assert_allclose(explained, expected, atol=0.015)
    np.testing.assert_allclose(found.var(axis=0), stable, atol=0.03)


def cox(frame: pl.DataFrame) -> tuple[float, float]:
    """Log hazard ratio of ``x`` and its standard error by lifelines, with ``age`` and ``male`` beside it."""
    from lifelines import CoxPHFitter

    fitted = CoxPHFitter().fit(frame.to_pandas(), duration_col="years", event_col="event")
    return float(fitted.params_["x"]), float(fitted.standard_errors_["x"])


def test_the_hazard_ratio_of_the_genetic_value_is_found_by_an_independent_program() -> None:
    """Other modifiers off, the effect constant with age: nothing dilutes the ratio. Control: permuted."""
    law = table_law()
    off = {name: np.zeros_like(getattr(law, name)) for name in ("weights", "deprivation", "unobserved")}
    at_60 = read_effects().at_60
    plain = replace(law, genetic=np.tile(at_60.astype(np.float32), (law.num_steps, 1)), **off)
    lives = lived_cohort(plain, 20_000, 5)
    for name in ("atrial_fibrillation", "glaucoma"):
        k = DISEASE_NAMES.index(name)
        event = lives.state.onset[:, k] <= lives.ends
        frame = pl.DataFrame(
            {
                "years": np.minimum(lives.state.onset[:, k], lives.ends) - ADULT_AGE,
                "event": event,
                "male": lives.people.male.astype(float),
                "x": lives.people.genetic[:, k],
            }
        )
        ratio, error = cox(frame)
        assert ratio == pytest.approx(at_60[k], abs=4 * error)
        ratio, error = cox(frame.with_columns(pl.col("x").shuffle(seed=1)))
        assert abs(ratio) < 4 * error


SHARD = 5000


@pytest.fixture(scope="module")
def shards() -> list[Lives]:
    return [_shard(table_law(), shard) for shard in (0, 1)]


CONFIG = SynthConfig(subjects=2 * SHARD, seed=21, truth_replicates=20)


def _shard(law: Law, shard: int) -> Lives:
    random = generator(CONFIG.seed, "people", shard)
    people = draw_cohort(law, SHARD, random)
    european = np.arange(SHARD) % 3 > 0  # as shard_subjects names them
    deprivation = draw_deprivation(np.arange(SHARD) + SHARD * shard, european, 2 / 3, CONFIG.seed, random)
    people = replace(people, deprivation=deprivation)
    first = np.datetime64(CONFIG.enrolment[0], "D").astype(np.int64)
    entry = first + random.integers(0, 1460, SHARD)
    birth = entry - (365.25 * (18 + 62 * random.beta(2.2, 1.8, SHARD))).astype(np.int64)
    return live(people, birth * MICROSECONDS_PER_DAY, entry * MICROSECONDS_PER_DAY, law, CONFIG, shard)


@pytest.fixture(scope="module")
def biobank(shards: list[Lives], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lived")
    write_biobank(out, shards, table_law(), CONFIG)
    return out


def with_events(risk: pl.DataFrame, biobank: Path, event: str) -> pl.DataFrame:
    """Risks beside what happened within the horizon; nothing is censored but by death."""
    truth = biobank / "truth"
    events = pl.read_parquet(truth / "events.parquet").filter(pl.col("event") == event)
    subjects = pl.read_parquet(truth / "subjects.parquet").select("subject_id", "birth", "population", "male")
    joined = risk.join(subjects, on="subject_id").join(
        events.select("subject_id", pl.col("name").alias("outcome"), "age_years"),
        on=["subject_id", "outcome"],
        how="left",
    )
    age = (pl.col("prediction_time") - pl.col("birth")).dt.total_microseconds() / MICROSECONDS_PER_YEAR
    happened = (pl.col("age_years") <= age + pl.col("horizon_years")).fill_null(False)
    return joined.with_columns(happened.alias("happened"))


def score(rows: pl.DataFrame) -> float:
    """Standardised difference of events from risk, with the risks' own Monte-Carlo error."""
    risk = rows["risk"]
    variance = (risk * (1 - risk)).sum() + (rows["standard_error"] ** 2).sum()
    return float((rows["happened"].sum() - risk.sum()) / np.sqrt(max(variance, 1e-9)))


KEYS = ["subject_id", "prediction_time", "outcome", "horizon_years"]


def ranked_by(risk: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The risks with those of other futures beside them as ``rank``.

    Fifths by the risks themselves would gather those whose Monte-Carlo error is high in the highest.
    """
    return risk.join(other.select(*KEYS, pl.col("risk").alias("rank")), on=KEYS, maintain_order="left")


def parts(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """All rows; fifths of them by rank; by sex; by population."""
    ranked = rows.sort("rank", "subject_id")
    edges = np.linspace(0, rows.height, 6).round().astype(int)
    fifths = [ranked[int(low) : int(high)] for low, high in itertools.pairwise(edges)]
    return [rows, *fifths, *rows.partition_by("male"), *rows.partition_by("population")]


@pytest.mark.parametrize(("name", "event"), [("risk", "recorded"), ("onset_risk", "onset")])
def test_true_risks_are_calibrated_overall_by_fifths_by_sex_and_by_population(
    biobank: Path, name: str, event: str
) -> None:
    stored = pl.read_parquet(biobank / "truth" / f"{name}.parquet")
    times = stored.select("subject_id", "prediction_time").unique()
    other = oracle(biobank, times, CONFIG.horizons_years, replicates=8, seed=6, latent=event == "onset")
    risk = with_events(ranked_by(stored, other), biobank, event)
    z = []
    for _, rows in risk.group_by("outcome", "horizon_years"):
        z += [score(part) for part in parts(rows) if part["risk"].sum() > 5]
    assert len(z) > 400
    assert np.abs(z).max() < 4.5
    assert abs(np.mean(z)) < 0.4


@pytest.mark.parametrize(("latent", "event"), [(False, "recorded"), (True, "onset")])
def test_the_oracle_is_calibrated_at_random_times(biobank: Path, latent: bool, event: str) -> None:
    subjects = pl.read_parquet(biobank / "truth" / "subjects.parquet").filter(pl.col("subject_id") % 3 == 0)
    random = generator(9, event)
    share = pl.Series(random.random(subjects.height))
    times = subjects.select(
        "subject_id",
        (pl.col("entry") + (pl.col("exit") - pl.col("entry")) * share)
        .cast(pl.Datetime("us"))
        .alias("prediction_time"),
    )
    found, other = (
        oracle(biobank, times, (1, 2), replicates=count, seed=count, latent=latent) for count in (20, 8)
    )
    risk = with_events(ranked_by(found, other), biobank, event)
    end = np.datetime64(CONFIG.end, "us").astype(object)
    seen = risk.filter(pl.col("prediction_time") + timedelta(days=2 * 366) <= end)
    assert 0.5 < seen.height / risk.height < 1
    z = [
        score(part)
        for _, rows in seen.group_by("outcome", "horizon_years")
        for part in parts(rows)
        if part["risk"].sum() > 5
    ]
    assert len(z) > 50
    assert np.abs(z).max() < 4.5
    assert abs(np.mean(z)) < 0.5


def test_shuffled_risks_are_not_calibrated_by_fifths(biobank: Path) -> None:
    risk = with_events(pl.read_parquet(biobank / "truth" / "risk.parquet"), biobank, "recorded")
    rows = risk.filter((pl.col("outcome") == "coronary_artery_disease") & (pl.col("horizon_years") == 10))
    shuffled = rows.with_columns(pl.col("risk").shuffle(seed=1)).with_columns(rank=pl.col("risk"))
    assert np.abs([score(part) for part in parts(shuffled)]).max() > 6


@pytest.mark.filterwarnings("ignore::Warning:lifelines")
def test_the_incidence_an_independent_program_finds_in_the_output_is_the_mean_risk(
    biobank: Path, shards: list[Lives]
) -> None:
    """Aalen-Johansen on the censored follow-up of the calendar, by lifelines, against the mean true risk."""
    from lifelines import AalenJohansenFitter

    risk = pl.read_parquet(biobank / "truth" / "risk.parquet")
    for name in ("type_2_diabetes", "coronary_artery_disease", "depression"):
        k = DISEASE_NAMES.index(name)
        years, kind = [], []
        for lives in shards:
            landmark = lives.entry + CONFIG.landmark_years * MICROSECONDS_PER_YEAR
            at_risk = (lives.exit > landmark) & (lives.recorded[:, k] > landmark)
            until = np.minimum(lives.recorded[:, k], lives.exit)
            dies = (lives.death < NEVER) & (lives.death <= until)
            years.append((until - landmark)[at_risk] / MICROSECONDS_PER_YEAR)
            kind.append(np.where(lives.recorded[:, k] <= lives.exit, 1, np.where(dies, 2, 0))[at_risk])
        assert (np.concatenate(kind) == 0).any()
        fitted = AalenJohansenFitter(calculate_variance=True, seed=1)
        fitted.fit(np.concatenate(years), np.concatenate(kind), event_of_interest=1)
        for horizon in (5, 10):
            asked = (pl.col("outcome") == name) & (pl.col("horizon_years") == horizon)
            mean = risk.filter(asked)["risk"].mean()
            at = fitted.cumulative_density_.index.searchsorted(horizon, side="right") - 1
            found = fitted.cumulative_density_.iloc[at, 0]
            error = np.sqrt(fitted.variance_.iloc[at])
            assert 0 < error < 0.01
            assert found == pytest.approx(mean, abs=4 * error)


def test_only_the_right_persons_genes_predict_beyond_age_and_sex(shards: list[Lives]) -> None:
    """Negative control: permuted genetic values carry nothing, true ones much."""
    for name in ("coronary_artery_disease", "type_2_diabetes"):
        k = DISEASE_NAMES.index(name)
        frames = []
        for lives in shards:
            at_risk = lives.recorded[:, k] > lives.entry
            until = np.minimum(lives.recorded[:, k], lives.exit)
            frames.append(
                pl.DataFrame(
                    {
                        "years": (until - lives.entry) / MICROSECONDS_PER_YEAR,
                        "event": lives.recorded[:, k] <= lives.exit,
                        "age": (lives.entry - lives.birth) / MICROSECONDS_PER_YEAR,
                        "male": lives.people.male.astype(float),
                        "x": lives.people.genetic[:, k],
                    }
                ).filter(pl.Series(at_risk))
            )
        frame = pl.concat(frames)
        ratio, error = cox(frame)
        assert ratio > 6 * error
        ratio, error = cox(frame.with_columns(pl.col("x").shuffle(seed=2)))
        assert abs(ratio) < 4 * error
