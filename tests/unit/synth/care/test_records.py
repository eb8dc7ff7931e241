from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from proband.synth.care import concepts
from proband.synth.care.concepts import concept_table, descendants
from proband.synth.care.events import diagnoses, drugs, laboratory, observations
from proband.synth.care.events.everyday import CONDITIONS
from proband.synth.care.events.visits import LONGEST_STAY, enrolment_time
from proband.synth.care.practice import PANELS, PRACTICE
from proband.synth.care.records import make_records
from proband.synth.lives.lives import MICROSECONDS_PER_DAY, NEVER, Lives, to_minutes
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, DISEASES, TREATMENTS

KINDS = ("condition", "drug", "procedure", "measurement", "observation", "visit")


def micros(frame: pl.DataFrame, name: str = "time") -> np.ndarray:
    return frame[name].cast(pl.Int64).to_numpy()


def codes_of(disease: int) -> list[int]:
    parent = DISEASES[disease].concept_id
    return [parent, *descendants(parent)]


def first_times(records: dict[str, pl.DataFrame], num: int) -> np.ndarray:
    """First record of each subject and disease in the frames, NEVER for none, (subjects, diseases)."""
    found = np.full((num, len(DISEASES)), NEVER)
    for disease in range(len(DISEASES)):
        mine = records["condition"].filter(pl.col("concept_id").is_in(codes_of(disease)))
        first = mine.group_by("subject").agg(pl.col("time").min())
        found[first["subject"].to_numpy(), disease] = micros(first)
    return found


def expected_first(lives: Lives) -> np.ndarray:
    at = np.maximum(to_minutes(lives.recorded), lives.record_start[:, None])
    return np.where(lives.recorded <= lives.exit[:, None], at, NEVER)


def test_a_disease_is_first_recorded_exactly_when_the_law_says(
    lives: Lives, records: dict[str, pl.DataFrame]
) -> None:
    found = first_times(records, len(lives.birth))
    assert np.array_equal(found, expected_first(lives))
    within = (lives.recorded >= lives.record_start[:, None]) & (lives.recorded <= lives.exit[:, None])
    assert (found[within] == lives.recorded[within]).all()
    history = lives.recorded < lives.record_start[:, None]
    first_visit = np.broadcast_to(lives.record_start[:, None], found.shape)
    assert (found[history] == first_visit[history]).all()
    assert min(within.sum(), history.sum(), (lives.recorded < lives.onset)[within].sum()) > 20


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_first_records_are_exact_for_any_lives(make_lives: Callable, seed: int, num: int) -> None:
    lives = make_lives(num, seed)
    made = make_records(lives, np.random.default_rng(seed))
    assert np.array_equal(first_times(made, num), expected_first(lives))
    for kind in KINDS:
        subject = made[kind]["subject"].to_numpy()
        assert (micros(made[kind]) >= lives.record_start[subject]).all()
        assert (micros(made[kind]) <= lives.exit[subject]).all()


def test_nothing_lies_outside_the_record(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    for kind in KINDS:
        frame = records[kind]
        subject, time = frame["subject"].to_numpy(), micros(frame)
        assert frame.height > len(lives.birth), kind
        assert (time >= lives.record_start[subject]).all()
        assert (time <= lives.exit[subject]).all()
        assert (time % 60_000_000 == 0).all()
        assert frame.select("subject", "time").equals(frame.select("subject", "time").sort("subject", "time"))
    end = micros(records["visit"], "end")
    stay = (end - micros(records["visit"])) / MICROSECONDS_PER_DAY
    assert (stay >= 0).all()
    assert stay.max() <= LONGEST_STAY
    assert (end <= lives.exit[records["visit"]["subject"].to_numpy()]).all()


def test_every_row_but_a_renewal_is_at_a_visit(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    visits = records["visit"].select("subject", "time")
    assert visits.is_unique().all()
    for kind in ("condition", "procedure", "measurement"):
        assert records[kind].join(visits, on=["subject", "time"], how="anti").is_empty(), kind
    index = records["observation"].filter(pl.col("concept_id") == concepts.NO_CONCEPT)
    assert index.join(visits, on=["subject", "time"], how="anti").is_empty()
    everyone = visits.group_by("subject").agg(pl.col("time").min()).sort("subject")
    assert np.array_equal(micros(everyone), lives.record_start)
    enrolled = enrolment_time(lives)
    due = pl.DataFrame({"subject": np.arange(len(enrolled)), "time": enrolled}).with_columns(
        pl.col("time").cast(pl.Datetime("us"))
    )
    there = due.join(visits, on=["subject", "time"], how="semi").height
    assert there == (enrolled <= lives.exit).sum()


def test_a_concept_comes_once_at_a_time(records: dict[str, pl.DataFrame]) -> None:
    for kind in KINDS:
        assert records[kind].select("subject", "time", "concept_id").is_unique().all(), kind


def test_tests_and_visits_know_nothing_of_the_future(lives: Lives) -> None:
    """What is due at a time is the same for lives that differ only after it."""
    now = enrolment_time(lives)
    subject = np.arange(len(now))

    def cut(events: np.ndarray) -> np.ndarray:
        return np.where(events > now[:, None], NEVER, events)

    other = replace(lives, onset=cut(lives.onset), recorded=cut(lives.recorded), exit=lives.exit + 10**15)
    assert (other.recorded != lives.recorded).sum() > 100
    for due in (laboratory.panel_chances, diagnoses.undiagnosed, diagnoses.diagnosed):
        assert np.array_equal(due(lives, subject, now), due(other, subject, now)), due.__name__


def test_suspicion_diagnosis_and_follow_up_each_raise_their_tests(lives: Lives) -> None:
    name = DISEASE_NAMES.index("type_2_diabetes")
    glycaemia, lipids = (list(PANELS).index(panel) for panel in ("glycaemia", "lipids"))
    routine = PANELS["glycaemia"].routine
    healthy = np.full_like(lives.onset, NEVER)
    onset, recorded = healthy.copy(), healthy.copy()
    onset[:, name] = lives.record_start
    recorded[:, name] = lives.record_start + 10 * MICROSECONDS_PER_DAY
    ill = replace(lives, onset=onset, recorded=recorded)
    subject = np.arange(len(lives.birth))
    days = {"before": -1, "suspected": 3, "found": 10, "followed": 11}
    chance = {
        case: laboratory.panel_chances(ill, subject, lives.record_start + day * MICROSECONDS_PER_DAY)[0]
        for case, day in days.items()
    }
    seen = {case: float(panels[glycaemia]) for case, panels in chance.items()}
    left = 1 - routine
    assert seen["before"] == pytest.approx(routine)
    assert seen["suspected"] == pytest.approx(1 - left * (1 - laboratory.ON_SUSPICION))
    both = (1 - laboratory.AT_DIAGNOSIS) * (1 - laboratory.FOLLOW_UP)
    assert seen["found"] == pytest.approx(1 - left * both)
    assert seen["followed"] == pytest.approx(1 - left * (1 - laboratory.FOLLOW_UP))
    assert chance["suspected"][lipids] == pytest.approx(PANELS["lipids"].routine)
    bone, silent = (
        list(PANELS).index("bone"),
        np.roll(onset, DISEASE_NAMES.index("osteoporosis") - name, axis=1),
    )
    unfelt = replace(lives, onset=silent, recorded=healthy)
    later = lives.record_start + 3 * MICROSECONDS_PER_DAY
    untested = laboratory.panel_chances(unfelt, subject, later)[0, bone]
    assert untested == pytest.approx(PANELS["bone"].routine, abs=1e-6)


def test_false_records_are_seldom_repeated(make_lives: Callable) -> None:
    lives = make_lives(3000, 8)
    visits = make_records(lives, np.random.default_rng(0))["visit"]
    table = {name: visits[name].cast(pl.Int64).to_numpy() for name in ("subject", "time", "concept_id")}
    random = np.random.default_rng(1)
    rows = diagnoses.repeats(lives, table, diagnoses.Codes(len(lives.birth), random), random)
    disease_of = {code: disease for disease in range(len(DISEASES)) for code in codes_of(disease)}
    disease = np.array([disease_of[code] for code in rows["concept_id"]])
    standing = (lives.recorded[table["subject"]] < table["time"][:, None]) & (
        table["time"] > lives.record_start[table["subject"]]
    )[:, None]
    true = lives.onset[table["subject"]] <= table["time"][:, None]
    repeated_true = lives.onset[rows["subject"], disease] <= rows["time"]
    for case, at_risk, chance in ((True, standing & true, diagnoses.REPEATED),
                                  (False, standing & ~true, diagnoses.REPEATED_IF_FALSE)):  # fmt: skip
        num, repeats = at_risk.sum(), (repeated_true == case).sum()
        assert num > 500
        assert repeats / num == pytest.approx(chance, abs=5 * np.sqrt(chance / num))


def test_part_of_the_records_names_a_more_specific_form_and_a_person_keeps_to_one(
    records: dict[str, pl.DataFrame],
) -> None:
    forms = {code: disease for disease in range(len(DISEASES)) for code in codes_of(disease)[1:]}
    parents = {row.concept_id: disease for disease, row in enumerate(DISEASES) if codes_of(disease)[1:]}
    disease = pl.col("concept_id").replace_strict({**forms, **parents}, default=None, return_dtype=pl.Int64)
    rows = records["condition"].with_columns(disease=disease).drop_nulls()
    specific = rows.filter(pl.col("concept_id").is_in(list(forms)))
    share = specific.height / rows.height
    error = np.sqrt(diagnoses.SPECIFIC * (1 - diagnoses.SPECIFIC) / rows.height)
    assert share == pytest.approx(diagnoses.SPECIFIC, abs=5 * error)
    assert (
        specific.group_by("subject", "disease").agg(pl.col("concept_id").n_unique())["concept_id"].max() == 1
    )


def test_drugs_last_from_their_start_to_their_stop(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    for column, treatment in enumerate(TREATMENTS):
        forms = descendants(treatment.drug_concept_id) or (treatment.drug_concept_id,)
        mine = records["drug"].filter(pl.col("concept_id").is_in(list(forms)))
        subject, time = mine["subject"].to_numpy(), micros(mine)
        begin = np.maximum(lives.started[:, column], lives.record_start)
        end = np.minimum(lives.stopped[:, column], lives.exit)
        assert ((time >= begin[subject]) & (time < end[subject])).all(), treatment.name
        takers = np.flatnonzero((lives.started[:, column] <= lives.exit) & (begin < end))
        first = (
            mine.group_by("subject")
            .agg(pl.col("time").min(), pl.col("concept_id").n_unique())
            .sort("subject")
        )
        assert np.array_equal(first["subject"], takers)
        assert np.array_equal(micros(first), begin[takers])
        assert set(first["concept_id"]) <= {1}
        apart = np.diff(time)[np.diff(subject) == 0]
        assert (apart >= drugs.SUPPLY_DAYS * MICROSECONDS_PER_DAY - 60_000_000).all()


def test_renewals_come_with_gaps_and_some_are_missing() -> None:
    begin, random = np.zeros(2000, dtype=np.int64), np.random.default_rng(2)
    years = 10 * 365 * MICROSECONDS_PER_DAY
    form = np.full(2000, 1)
    rows = drugs._course(np.arange(2000), begin, begin + years, form, random)
    apart = np.diff(rows["time"])[np.diff(rows["subject"]) == 0] / MICROSECONDS_PER_DAY
    # A renewal that is recorded comes after a geometric number of supplies with their gaps.
    mean = (drugs.SUPPLY_DAYS + drugs.GAP_DAYS) / drugs.FILLED
    assert apart.mean() == pytest.approx(mean, rel=0.02)
    assert (apart < 1.5 * drugs.SUPPLY_DAYS).mean() == pytest.approx(drugs.FILLED, abs=0.04)


def test_values_have_error_slips_and_gaps(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    values = records["measurement"]
    missing = values["value"].null_count() / values.height
    assert missing == pytest.approx(laboratory.NOT_REPORTED, abs=5 * np.sqrt(0.01 / values.height))
    strange = 0
    for marker in BIOMARKERS:
        mine = values.filter(pl.col("concept_id") == marker.concept_id)
        assert set(mine["unit_concept_id"]) == {marker.unit_concept_id}
        known = mine["value"].drop_nulls()
        assert known.is_finite().all()
        low, high = marker.bounds
        strange += ((known < low) | (known > high)).sum()
        typical = float(marker.values(np.zeros(1), np.zeros(1, dtype=bool), np.full(1, 50.0))[0])
        assert known.median() == pytest.approx(typical, rel=0.35), marker.name
    assert 0 < strange < 2 * laboratory.SLIPPED * values.height


def test_a_value_follows_the_persons_level(lives: Lives) -> None:
    random = np.random.default_rng(3)
    level = random.standard_normal(40_000)
    age, male = random.uniform(20, 90, 40_000), random.random(40_000) < 0.5
    for marker in BIOMARKERS:
        value = laboratory._reported(marker, level, male, age, random)
        usual = ~np.isnan(value)
        true = marker.values(level, male, age)
        low, high = marker.bounds
        free = usual & (true > low) & (true < high)
        scale = np.log if marker.log else np.asarray
        error = scale(np.maximum(value[free], 1e-3)) - scale(true[free])
        spread = (np.quantile(error, 0.84) - np.quantile(error, 0.16)) / 2
        rounding = 10.0**-marker.decimals / np.sqrt(12) / (np.median(true) if marker.log else 1)
        assert np.median(error) == pytest.approx(0, abs=0.05 * marker.sd + rounding), marker.name
        assert spread == pytest.approx(np.hypot(marker.noise_sd, rounding), rel=0.15), marker.name


def test_smoking_and_deprivation_are_known_of_a_part(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    rows = records["observation"]
    index = rows.filter(pl.col("concept_id") == concepts.NO_CONCEPT)
    smoking = rows.filter(pl.col("concept_id") != concepts.NO_CONCEPT)
    num = len(lives.birth)
    for frame, share in ((index, observations.HAS_INDEX), (smoking, observations.ANSWERS_SMOKING)):
        known = frame["subject"].n_unique() / num
        assert known == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / num) + 0.02)
    assert index["value"].is_between(0, 100).all()
    assert smoking["value"].null_count() == smoking.height
    deprivation = lives.people.deprivation[index["subject"].to_numpy()]
    assert np.corrcoef(deprivation, index["value"].to_numpy())[0, 1] > 0.7
    subject = smoking["subject"].to_numpy()
    quit_age = lives.people.quit_age[subject]
    age = lives.age(subject, micros(smoking))
    truth = np.where(quit_age > age, concepts.SMOKER, concepts.EX_SMOKER)
    truth = np.where(quit_age == -np.inf, concepts.NEVER_SMOKED, truth)
    assert np.array_equal(smoking["concept_id"].to_numpy(), truth)


def test_hospital_stays_begin_with_acute_diagnoses(make_lives: Callable) -> None:
    lives = make_lives(2000, 4)
    records = make_records(lives, np.random.default_rng(5))
    stroke = DISEASE_NAMES.index("ischaemic_stroke")
    at = lives.recorded[:, stroke]
    new = np.flatnonzero((at >= lives.record_start) & (at <= lives.exit))
    due = pl.DataFrame({"subject": new, "time": at[new]}).with_columns(pl.col("time").cast(pl.Datetime("us")))
    visit = due.join(records["visit"], on=["subject", "time"])
    assert visit.height == len(new) > 50
    admitted = PRACTICE["ischaemic_stroke"].admitted
    error = np.sqrt(admitted * (1 - admitted) / len(new))
    share = (visit["concept_id"] == concepts.EMERGENCY_INPATIENT).mean()
    assert share == pytest.approx(admitted, abs=5 * error)
    kinds = set(records["visit"]["concept_id"])
    assert kinds == {
        concepts.OUTPATIENT, concepts.INPATIENT, concepts.EMERGENCY, concepts.EMERGENCY_INPATIENT
    }  # fmt: skip


def test_sex_and_season_have_their_say(make_lives: Callable) -> None:
    lives = make_lives(3000, 9)
    made = make_records(lives, np.random.default_rng(3))
    mammography = made["procedure"].filter(pl.col("concept_id") == 4324693)
    assert mammography.height > 500
    assert not lives.people.male[mammography["subject"].to_numpy()].any()
    bronchitis = made["condition"].filter(pl.col("concept_id") == CONDITIONS[0].concept_id)
    winter = bronchitis["time"].dt.month().is_in([12, 1, 2]).mean()
    summer = bronchitis["time"].dt.month().is_in([6, 7, 8]).mean()
    assert winter > 2 * summer


def test_every_concept_recorded_is_in_the_table(records: dict[str, pl.DataFrame]) -> None:
    known = set(concept_table()["concept_id"])
    for kind in KINDS:
        assert set(records[kind]["concept_id"]) <= known, kind


def test_the_same_stream_gives_the_same_records(lives: Lives, records: dict[str, pl.DataFrame]) -> None:
    again = make_records(lives, np.random.default_rng(6))
    other = make_records(lives, np.random.default_rng(7))
    for kind in KINDS:
        assert_frame_equal(again[kind], records[kind])
        assert not other[kind].equals(records[kind])
