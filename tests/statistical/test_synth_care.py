"""The records of the synthetic biobank against their design and the law, with negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lifelines import KaplanMeierFitter

from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_YEAR
from proband.synth.care.events import laboratory, observations
from proband.synth.care.events.everyday import CONDITIONS, OLDEST, REFERENCE_AGE, SEASON_AMPLITUDE
from proband.synth.care.events.visits import enrolment_time, routine_visits, visit_rate
from proband.synth.care.omop import write_omop_shard
from proband.synth.care.practice import PANELS, SYMPTOMATIC
from proband.synth.care.records import make_records
from proband.synth.config import SynthConfig
from proband.synth.lives.law import table_law
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, live
from proband.synth.lives.people import draw_people
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, DISEASES, ENVIRONMENT, TRAIT_NAMES, TRAITS

pytestmark = pytest.mark.slow
NUM = 8000


@dataclass(frozen=True)
class Cohort:
    """Lives by the law, what was recorded of them, their traits, and the OMOP tables."""

    lives: Lives
    records: dict[str, pl.DataFrame]
    traits: np.ndarray
    omop: Path


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    random, config = generator(17, "care"), SynthConfig(subjects=NUM, seed=17)
    first, last = (np.datetime64(day, "D").astype(np.int64) for day in config.enrolment)
    entry = random.integers(first, last + 1, NUM) * MICROSECONDS_PER_DAY
    age = random.uniform(20, 80, NUM)
    birth = np.floor(entry / MICROSECONDS_PER_DAY - age * 365.25).astype(np.int64) * MICROSECONDS_PER_DAY
    law, (traits, unobserved) = table_law(), random.standard_normal((2, NUM, len(TRAITS)))
    male, deprivation = random.random(NUM) < 0.5, random.standard_normal(NUM)
    people = draw_people(law, male, traits, unobserved, deprivation, random)
    lives = live(people, birth, entry, law, config)
    records = make_records(lives, generator(17, "records"))
    folder = tmp_path_factory.mktemp("care")
    write_omop_shard(folder, lives, np.arange(NUM), records, 0)
    return Cohort(lives, records, traits, folder)


def person_time(lives: Lives, parts: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subject, time and length in years of equal parts of everyone's record."""
    span = (lives.exit - lives.record_start)[:, None] / parts
    time = lives.record_start[:, None] + (span * (np.arange(parts) + 0.5)).astype(np.int64)
    years = np.broadcast_to(span / MICROSECONDS_PER_YEAR, time.shape)
    return np.repeat(np.arange(len(span)), parts), time.ravel(), years.ravel()


def designed_visits(lives: Lives, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Visits per year, from the lives and the documented formula's terms."""
    had, known = lives.onset[subject] <= time[:, None], lives.recorded[subject] <= time[:, None]
    people = lives.people
    return visit_rate(
        lives.age(subject, time),
        people.male[subject],
        people.deprivation[subject],
        (had & known).sum(axis=1),
        ((had & ~known) & SYMPTOMATIC).sum(axis=1),
    )


def test_visits_come_at_their_rate_by_age_sex_deprivation_and_illness(cohort: Cohort) -> None:
    lives = cohort.lives
    subject, time, years = person_time(lives)
    expected = designed_visits(lives, subject, time) * years
    visits = routine_visits(lives, generator(3, "visits"))
    scores = []
    for values in (
        lambda who, when: np.digitize(lives.age(who, when), [30, 40, 50, 60, 70, 80]),
        lambda who, when: np.digitize(lives.people.deprivation[who], [-1, -0.3, 0.3, 1]),
        lambda who, when: lives.people.male[who].astype(int),
        lambda who, when: np.minimum((lives.recorded[who] <= when[:, None]).sum(axis=1), 6),
    ):
        groups = values(subject, time)
        found = np.bincount(values(visits["subject"], visits["time"]), minlength=groups.max() + 1)
        due = np.bincount(groups, expected)
        scores += list((found - due) / np.sqrt(due))
    assert len(scores) == 21
    assert np.abs(scores).max() < 4, scores
    per_year = len(visits["time"]) / years.sum()
    assert 1.5 < per_year < 4


def test_no_visit_or_test_announces_a_diagnosis(cohort: Cohort) -> None:
    """Before a record of a disease already there, visits and work-up are as at any such time."""
    lives = cohort.lives
    window = 90 * MICROSECONDS_PER_DAY
    delayed = np.array([disease.delay_years > 0 for disease in DISEASES])
    earliest = np.maximum(lives.onset, lives.record_start[:, None])
    kept = (lives.recorded < NEVER) & (lives.recorded <= lives.exit[:, None]) & delayed
    kept &= np.where(kept, lives.recorded, 0) - window > np.where(kept, earliest, 0)
    who, disease = np.nonzero(kept)
    assert len(who) > 1500
    end = lives.recorded[who, disease]
    visits = routine_visits(lives, generator(4, "visits"))

    def line(subject: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Everyone's time on one line, in minutes; no record is as long as 10^9 of them."""
        return subject * 10**9 + time // MICROSECONDS_PER_MINUTE

    seen = np.sort(line(visits["subject"], visits["time"]))
    found = np.searchsorted(seen, line(who, end)) - np.searchsorted(seen, line(who, end - window))
    parts = end[:, None] - window + ((np.arange(30) + 0.5) * window / 30).astype(np.int64)
    rate = designed_visits(lives, np.repeat(who, 30), parts.ravel())
    due = rate.sum() * window / 30 / MICROSECONDS_PER_YEAR
    assert (found.sum() - due) / np.sqrt(due) == pytest.approx(0, abs=4)
    # Work-up of diabetes not yet found: as often in its last half year as before.
    column, panel = DISEASE_NAMES.index("type_2_diabetes"), list(PANELS).index("glycaemia")
    table = {name: cohort.records["visit"][name].cast(pl.Int64).to_numpy() for name in ("subject", "time")}
    onset, recorded = lives.onset[table["subject"], column], lives.recorded[table["subject"], column]
    felt = (onset <= table["time"]) & (table["time"] < recorded) & (recorded < NEVER)
    felt &= table["time"] != lives.record_start[table["subject"]]
    subject, time = table["subject"][felt], table["time"][felt]
    tests = cohort.records["measurement"].filter(pl.col("concept_id") == BIOMARKERS[3].concept_id)
    taken = pl.DataFrame({"subject": subject, "time": time}).with_columns(
        pl.col("time").cast(pl.Datetime("us"))
    )
    done = taken.join(tests.with_columns(done=1), on=["subject", "time"], how="left", maintain_order="left")
    chance = laboratory.panel_chances(lives, subject, time)[:, panel].astype(float)
    difference = done["done"].fill_null(0).to_numpy() - chance
    soon = lives.recorded[subject, column] - time < MICROSECONDS_PER_YEAR // 2
    assert BIOMARKERS[3].name == "hba1c"
    for part in (soon, ~soon):
        spread = np.sqrt((chance[part] * (1 - chance[part])).sum())
        assert part.sum() > 100
        assert difference[part].sum() / spread == pytest.approx(0, abs=4)


def first_conditions(folder: Path) -> dict[str, np.ndarray]:
    """First time of each disease in the OMOP table, through concept_ancestor alone; NEVER for none."""
    from proband.synth.care.concepts import ancestors

    below = pl.DataFrame(
        [(above, one) for above, one, _ in ancestors()],
        schema=["parent", "condition_concept_id"],
        orient="row",
    ).cast(pl.Int32)
    rows = pl.read_parquet(folder / "condition_occurrence.parquet").join(below, on="condition_concept_id")
    found = {}
    for disease in DISEASES:
        mine = rows.filter(pl.col("parent") == disease.concept_id)
        first = mine.group_by("person_id").agg(pl.col("condition_start_datetime").min().cast(pl.Int64))
        found[disease.name] = np.full(NUM, NEVER)
        found[disease.name][first["person_id"].to_numpy()] = first["condition_start_datetime"].to_numpy()
    return found


def test_first_records_are_the_laws_to_the_minute(cohort: Cohort) -> None:
    lives, first = cohort.lives, first_conditions(cohort.omop)
    at = np.maximum(lives.recorded, lives.record_start[:, None])
    due = np.where(lives.recorded <= lives.exit[:, None], at, NEVER)
    assert (due < NEVER).sum() > 10_000
    for column, name in enumerate(DISEASE_NAMES):
        assert np.array_equal(first[name], due[:, column]), name


def test_records_follow_onset_by_the_laws_delay(cohort: Cohort) -> None:
    """Cumulative hazard of the record, from the OMOP table and the true onset, is a unit exponential."""
    lives, first = cohort.lives, first_conditions(cohort.omop)
    access = ENVIRONMENT.access_deprivation**lives.people.deprivation
    slope = np.log(ENVIRONMENT.access_age)
    step = 0.25 * MICROSECONDS_PER_YEAR
    spent, happened, scores = [], [], []
    for column, disease in enumerate(DISEASES):
        onset, recorded = lives.onset[:, column], first[disease.name]
        if not disease.delay_years:
            seen = (onset >= lives.record_start) & (onset <= lives.exit) & ~lives.people.missed[:, column]
            assert (recorded[seen] <= onset[seen]).all()
            continue
        # Hazards are those of the state at a step's start: the diagnosis can come from the next step on.
        since = np.where(onset < NEVER, onset, 0) - lives.birth
        begin = (
            lives.birth
            + ((since - 18 * MICROSECONDS_PER_YEAR) // step + 1) * step
            + 18 * MICROSECONDS_PER_YEAR
        )
        kept = (onset >= lives.record_start) & (onset < NEVER) & ~lives.people.missed[:, column]
        kept &= (recorded > begin) & (lives.exit > begin)
        end = np.minimum(recorded, lives.exit)[kept]
        from_age = lives.age(np.flatnonzero(kept), begin[kept].astype(np.int64)) - 50
        to_age = lives.age(np.flatnonzero(kept), end) - 50
        hazard = access[kept] / disease.delay_years
        hazard *= (np.exp(slope * to_age) - np.exp(slope * from_age)) / slope
        events = recorded[kept] <= lives.exit[kept]
        scores.append((events.sum() - hazard.sum()) / np.sqrt(hazard.sum()))
        spent.append(hazard)
        happened.append(events)
    assert np.abs(scores).max() < 4, scores
    total, events = np.concatenate(spent), np.concatenate(happened)
    assert events.sum() > 1500
    assert (events.sum() - total.sum()) / np.sqrt(total.sum()) == pytest.approx(0, abs=3)
    curve = KaplanMeierFitter().fit(total, events)
    for hazard in (0.1, 0.3, 0.7, 1.2, 2.0):
        low, high = curve.confidence_interval_survival_function_.asof(hazard)
        width = (high - low) / 2
        assert float(curve.predict(hazard)) == pytest.approx(np.exp(-hazard), abs=2 * width), hazard


def test_missed_diseases_stay_missed_and_false_records_come_at_their_rate(cohort: Cohort) -> None:
    lives, first = cohort.lives, first_conditions(cohort.omop)
    access = ENVIRONMENT.access_deprivation**lives.people.deprivation
    subject, time, years = person_time(lives, 60)
    age_factor = ENVIRONMENT.access_age ** (lives.age(subject, time) - 50)
    found = due = missed_recorded = missed = 0
    for column, disease in enumerate(DISEASES):
        onset, recorded = lives.onset[:, column], first[disease.name]
        false = recorded < onset
        in_record = (recorded > lives.record_start) & (recorded <= lives.exit)
        found += (false & in_record).sum()
        at_risk = (np.minimum(onset, recorded)[subject] > time) * years
        due += (at_risk * access[subject] * age_factor).sum() * disease.false_records / 1000
        never = lives.people.missed[:, column] & (onset >= lives.record_start) & (onset <= lives.exit)
        missed += never.sum()
        missed_recorded += (never & (recorded < NEVER) & (recorded > onset)).sum()
    assert found > 300
    assert (found - due) / np.sqrt(due) == pytest.approx(0, abs=4)
    # A missed disease can still be written down by the rate of false records, which is low.
    assert missed > 1000
    assert missed_recorded / missed < 0.03


def test_measured_means_are_those_of_the_levels_by_age_and_sex(cohort: Cohort) -> None:
    lives = cohort.lives
    enrolled = enrolment_time(lives)
    everyone = np.flatnonzero(enrolled <= lives.exit)
    age = lives.age(everyone, enrolled[everyone])
    level = lives.level(everyone, age)
    male = lives.people.male[everyone]
    at = pl.DataFrame({"subject": everyone, "time": enrolled[everyone]}).with_columns(
        pl.col("time").cast(pl.Datetime("us"))
    )
    scores = []
    for column, marker in enumerate(BIOMARKERS):
        panel = next(panel for panel in PANELS.values() if marker.name in panel.markers)
        if not panel.enrolment:
            continue
        rows = cohort.records["measurement"].filter(pl.col("concept_id") == marker.concept_id)
        measured = at.join(rows, on=["subject", "time"], how="left", maintain_order="left")["value"]
        value = measured.to_numpy()
        true = marker.values(level[:, column], male, age)
        scale = np.log if marker.log else np.asarray
        with np.errstate(invalid="ignore", divide="ignore"):
            error = scale(value) - scale(true)
        usual = np.abs(error) < 5 * marker.noise_sd + 10.0**-marker.decimals
        assert usual.mean() > 1 - laboratory.NOT_REPORTED - laboratory.SLIPPED - 0.02, marker.name
        for of_sex in (False, True):
            for low in (20, 40, 60):
                cell = usual & (male == of_sex) & (age >= low) & (age < low + 20)
                bound = (true > marker.bounds[0]) & (true < marker.bounds[1]) & cell
                spread = error[bound].std() / np.sqrt(bound.sum())
                scores.append(error[bound].mean() / spread)
    assert len(scores) == 60
    assert np.abs(scores).max() < 4.5, scores
    # The table's own mean comes back in young people without a disease that shifts it.
    young = (age < 40) & (lives.onset[everyone] > enrolled[everyone][:, None]).all(axis=1)
    for name in ("sbp", "ldl", "egfr"):
        marker = BIOMARKERS[[one.name for one in BIOMARKERS].index(name)]
        rows = cohort.records["measurement"].filter(pl.col("concept_id") == marker.concept_id)
        value = at.join(rows, on=["subject", "time"], how="left", maintain_order="left")["value"].to_numpy()
        design = marker.values(np.zeros(len(age)), male, age)
        assert np.nanmedian((value - design)[young]) == pytest.approx(0, abs=0.12 * marker.sd), name


def test_smoking_status_is_known_of_its_share(cohort: Cohort) -> None:
    rows = pl.read_parquet(cohort.omop / "observation.parquet").filter(pl.col("observation_concept_id") != 0)
    enrolled = np.flatnonzero(enrolment_time(cohort.lives) <= cohort.lives.exit)
    known = len(set(rows["person_id"]) & set(enrolled.tolist())) / len(enrolled)
    share = observations.ANSWERS_SMOKING
    assert known == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(enrolled)))


def test_everyday_conditions_are_unrelated_to_every_trait_and_diseases_are_not(cohort: Cohort) -> None:
    lives = cohort.lives
    subject, time, years = person_time(lives, 120)
    age = lives.age(subject, time)
    residuals = []
    for kind in CONDITIONS:
        by_sex = kind.rate * np.where(lives.people.male, kind.men, kind.women)
        rate = by_sex[subject] * np.exp(kind.age * (np.minimum(age, OLDEST) - REFERENCE_AGE)) * years
        if kind.peak_month:
            year = time / MICROSECONDS_PER_YEAR - (kind.peak_month - 0.5) / 12
            rate = rate * (1 + SEASON_AMPLITUDE * np.cos(2 * np.pi * year))
        due = np.bincount(subject, rate, minlength=NUM)
        rows = cohort.records["condition"].filter(pl.col("concept_id") == kind.concept_id)
        count = np.bincount(rows["subject"].to_numpy(), minlength=NUM)
        assert (count.sum() - due.sum()) / np.sqrt(due.sum()) == pytest.approx(0, abs=4), kind
        residuals.append((count - due) / np.sqrt(due.mean()))
    traits = (cohort.traits - cohort.traits.mean(axis=0)) / cohort.traits.std(axis=0)
    spread = np.std(residuals, axis=1, keepdims=True)
    scores = np.array(residuals) / spread @ traits / np.sqrt(NUM)
    assert np.abs(scores).max() < 4.5
    assert (scores**2).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / scores.size))
    first = first_conditions(cohort.omop)
    for name in ("type_2_diabetes", "coronary_artery_disease", "prostate_cancer"):
        ill = first[name] < NEVER
        genetic = traits[:, TRAIT_NAMES.index(name)]
        score = (genetic[ill].mean() - genetic[~ill].mean()) * np.sqrt(ill.sum() * (~ill).mean())
        assert score > 5, name
