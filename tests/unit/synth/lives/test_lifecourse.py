from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.lives.law import NUM_DISEASES, NUM_MARKERS, Law
from proband.synth.lives.lifecourse import Course, Drift, Hazards
from proband.synth.lives.state import DRIFT_SD, healthy
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, DISEASES, ENVIRONMENT, TREATMENT_NAMES
from synthetic_lives import average_people

STROKE, DIABETES = (DISEASE_NAMES.index(name) for name in ("ischaemic_stroke", "type_2_diabetes"))


def live_years(course: Course, age: float, years: float, seed: int = 0) -> None:
    count = len(course.state.death)
    random = generator(seed)
    law = course.law
    for step in range(round(years / law.step_years)):
        start = np.full(count, age + step * law.step_years)
        hazards = course.hazards(law.step_of(start), start)
        changed = course.happen(hazards, start, np.full(count, law.step_years), random)
        course.settle(changed, count, random)


def constant(law: Law, count: int, onset: float = 0.0, death: float = 0.0, record: float = 0.0) -> Hazards:
    """Hazards of diabetes and of death alone, constant."""
    rates = np.zeros((count, NUM_DISEASES + 1), dtype=np.float32)
    rates[:, DIABETES], rates[:, -1] = onset, death
    records = np.zeros((count, NUM_DISEASES), dtype=np.float32)
    records[:, DIABETES] = record
    stop = np.zeros((count, len(law.share)), dtype=np.float32)
    total = np.full(count, onset + death + record, dtype=np.float32)
    return Hazards(rates, records, np.zeros_like(records), stop, total)


def test_events_come_at_their_competing_rates(law: Law) -> None:
    count = 80_000
    course = Course(law, average_people(count), healthy(count))
    hazards = constant(law, count, onset=0.8, death=0.4, record=0.5)
    course.happen(hazards, np.full(count, 50.0), np.full(count, 2.0), generator(1))
    state = course.state
    expected = {
        "onset": 0.8 / 1.2 * (1 - np.exp(-2.4)),
        "recorded": 0.5 / 0.9 * (1 - np.exp(-1.8)),
        "death": 1 - np.exp(-0.8),
    }
    for name, chance in expected.items():
        happened = np.isfinite(getattr(state, name))
        share = happened[:, DIABETES].mean() if happened.ndim == 2 else happened.mean()
        assert share == pytest.approx(chance, abs=5 * np.sqrt(chance / count))
    # Onset ages within the span: those of an exponential cut at death and at two years.
    mean = 1 / 1.2 - 2 * np.exp(-2.4) / (1 - np.exp(-2.4))
    ages = state.onset[np.isfinite(state.onset)]
    assert ages.mean() - 50 == pytest.approx(mean, abs=5 * ages.std() / np.sqrt(len(ages)))
    assert (np.where(np.isfinite(state.onset), state.onset, 0) <= state.death[:, None]).all()


def test_nothing_happens_without_hazards(law: Law) -> None:
    course = Course(law, average_people(50), healthy(50))
    changed = course.happen(constant(law, 50), np.full(50, 50.0), np.full(50, 9.0), generator(1))
    assert not len(changed)
    assert np.isinf(course.state.onset).all()
    assert np.isinf(course.state.death).all()


def test_the_dead_and_the_diseased_have_no_further_hazard(law: Law) -> None:
    state = healthy(3)
    state.death[0] = 55.0
    state.onset[1, DIABETES] = state.recorded[1, DIABETES] = 40.0
    course = Course(law, average_people(3), state)
    hazards = course.hazards(np.full(3, 168), np.full(3, 60.0))
    assert hazards.total[0] == 0
    assert (hazards.onset[0] == 0).all()
    assert (hazards.record[0] == 0).all()
    assert hazards.onset[1, DIABETES] == 0
    assert hazards.record[1, DIABETES] == 0
    assert hazards.onset[2, DIABETES] > 0
    assert hazards.record[2, DIABETES] > 0


def test_an_acute_disease_is_recorded_at_onset_unless_missed(law: Law) -> None:
    count = 3000
    for missed in (False, True):
        course = Course(law, average_people(count, missed=missed), healthy(count))
        live_years(course, 70, 10)
        onset, recorded = course.state.onset[:, STROKE], course.state.recorded[:, STROKE]
        true = np.isfinite(onset) & ~(recorded < onset)
        assert true.sum() > 50
        np.testing.assert_array_equal(recorded[true], np.inf if missed else onset[true])


def test_the_delay_from_onset_to_record_is_the_tables(law: Law) -> None:
    count = 20_000
    state = healthy(count)
    state.onset[:, DIABETES] = 49.9
    neutral = replace(law.neutral(), log_rate=np.full_like(law.log_rate, -np.inf))
    course = Course(neutral, average_people(count), state)
    live_years(course, 50, 10)
    delay = course.state.recorded[:, DIABETES] - 50
    rate = 1 / DISEASES[DIABETES].delay_years
    # Access rises by 1% a year from 50 on: the hazard integrated over ten years.
    growth = np.log(ENVIRONMENT.access_age)
    expected = 1 - np.exp(-rate * np.expm1(10 * growth) / growth)
    assert np.isfinite(delay).mean() == pytest.approx(expected, abs=5 * np.sqrt(0.25 / count))


def test_treatment_starts_at_the_record_in_the_willing_and_stops_for_good(law: Law) -> None:
    count = 4000
    metformin = TREATMENT_NAMES.index("metformin")
    for willing in (True, False):
        course = Course(law, average_people(count, willing=willing), healthy(count))
        live_years(course, 60, 20)
        state = course.state
        recorded, started = state.recorded[:, DIABETES], state.started[:, metformin]
        known = np.isfinite(recorded)
        assert known.sum() > 100
        np.testing.assert_array_equal(started[known], recorded[known] if willing else np.inf)
        assert np.isinf(started[~known]).all()
        stopped = np.isfinite(state.stopped[:, metformin])
        assert stopped.any() == willing
        assert (state.stopped[stopped, metformin] > started[stopped]).all()


def test_a_false_record_starts_treatment_too(law: Law) -> None:
    metformin = TREATMENT_NAMES.index("metformin")
    count = 20_000
    neutral = replace(law.neutral(), log_rate=np.full_like(law.log_rate, -np.inf))
    course = Course(neutral, average_people(count, willing=True), healthy(count))
    live_years(course, 60, 10)
    false = np.isfinite(course.state.recorded[:, DIABETES])
    rate = DISEASES[DIABETES].false_records / 1000 * ENVIRONMENT.access_age**15
    assert np.isinf(course.state.onset).all()
    assert false.sum() == pytest.approx(count * 10 * rate, abs=5 * np.sqrt(count * 10 * rate))
    assert np.isfinite(course.state.started[false, metformin]).all()


def test_drift_keeps_its_variance_and_forgets_in_its_time() -> None:
    values = np.empty((20_000, NUM_MARKERS), dtype=np.float32)
    drift = Drift(values, 0.25)
    random = generator(3)
    drift.begin(random)
    first = values.copy()
    for _ in range(12):
        drift.advance(len(values), random)
    np.testing.assert_allclose(values.std(axis=0), DRIFT_SD, rtol=0.03)
    kept = [np.corrcoef(first[:, k], values[:, k])[0, 1] for k in range(NUM_MARKERS)]
    np.testing.assert_allclose(kept, np.exp(-3 / ENVIRONMENT.drift_years), atol=0.04)
    assert DRIFT_SD[0] == pytest.approx(np.sqrt(1 - BIOMARKERS[0].stable))
