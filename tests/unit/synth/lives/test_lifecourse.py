from __future__ import annotations

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.lives.lifecourse import (
    NUM_DISEASES,
    NUM_MARKERS,
    NUM_TREATMENTS,
    People,
    State,
    advance,
    covariates,
    live_to_entry,
    newborn_adults,
    static_part,
    table_law,
)
from proband.synth.traits import (
    ADULT_AGE,
    BIOMARKER_NAMES,
    BIOMARKERS,
    DISEASE_NAMES,
    DISEASES,
    MORTALITY,
    TREATMENTS,
)

LAW = table_law()


def average_people(count: int, male: bool = False, reluctance: float = 1.0) -> People:
    return People(
        male=np.full(count, male),
        liability=np.zeros((count, NUM_DISEASES)),
        stable=np.zeros((count, NUM_MARKERS)),
        deprivation=np.zeros(count),
        quit_age=np.full(count, -np.inf),
        reluctance=np.full((count, NUM_TREATMENTS), reluctance),
    )


def healthy(count: int, age: float) -> State:
    return State(
        age=np.full(count, age),
        onset=np.full((count, NUM_DISEASES), np.inf),
        death=np.full(count, np.inf),
        drift=np.zeros((count, NUM_MARKERS)),
    )


@pytest.mark.parametrize("male", [False, True])
def test_without_modifiers_the_hazards_are_the_tables(male: bool) -> None:
    people, state = average_people(1, male), healthy(1, 49.875)
    (step,) = advance(LAW.neutral(), people, state, np.array([50.125]), 0.25, generator(0))
    expected = [disease.rate[male] / 1000 * np.exp(disease.slope * (50 - 60)) for disease in DISEASES]
    expected.append(MORTALITY.rate[male] / 1000 * 2 ** (-10 / 8))
    np.testing.assert_allclose(step.hazards[0], expected, rtol=1e-12)


def test_the_hazard_stops_rising_at_its_plateau() -> None:
    diabetes = DISEASE_NAMES.index("type_2_diabetes")
    hazards = []
    for age in (70.0, 90.0):
        (step,) = advance(LAW, average_people(1), healthy(1, age), np.array([age + 0.25]), 0.25, generator(0))
        hazards.append(step.hazards[0])
    assert hazards[0][diabetes] == pytest.approx(hazards[1][diabetes], rel=1e-12)
    assert hazards[1][-1] > 5 * hazards[0][-1]


def test_each_modifier_has_its_declared_ratio() -> None:
    stroke, fibrillation = DISEASE_NAMES.index("stroke"), DISEASE_NAMES.index("atrial_fibrillation")
    people, state = average_people(4), healthy(4, 60.0)
    people.quit_age[1] = np.inf
    people.stable[2, BIOMARKER_NAMES.index("sbp")] = 1.0
    state.onset[3, fibrillation] = 50.0
    x = covariates(LAW, people, state)
    log_hazard = (static_part(LAW, people) + x @ LAW.weights)[:, stroke]
    ratios = np.exp(log_hazard - log_hazard[0])
    declared = DISEASES[stroke]
    expected = [
        1,
        declared.smoking[0],
        declared.biomarkers["sbp"],
        declared.comorbidity["atrial_fibrillation"],
    ]
    np.testing.assert_allclose(ratios, expected, rtol=1e-12)


def test_treatment_moves_its_biomarker_in_those_who_take_it() -> None:
    sbp = BIOMARKER_NAMES.index("sbp")
    state = healthy(1, 60.0)
    state.onset[0, DISEASE_NAMES.index("hypertension")] = 55.0
    taken = covariates(LAW, average_people(1, reluctance=0.0), state)[0, sbp]
    refused = covariates(LAW, average_people(1, reluctance=1.0), state)[0, sbp]
    shifts = sum(drug.shifts.get("sbp", 0) for drug in TREATMENTS if "hypertension" in drug.diseases)
    assert (taken - refused) * BIOMARKERS[sbp].sd == pytest.approx(shifts)
    assert refused * BIOMARKERS[sbp].sd == pytest.approx(10.0)


def test_centred_ratios_average_to_one_in_the_population() -> None:
    random = generator(1)
    count = 400_000
    coronary = DISEASE_NAMES.index("coronary_artery_disease")
    from proband.synth.genomes.liability import liability_correlation

    traits = random.multivariate_normal(np.zeros(13), liability_correlation(), count, method="cholesky")
    people = average_people(count)
    people.stable[:] = traits[:, :NUM_MARKERS]
    people.liability[:] = traits[:, NUM_MARKERS:]
    people.deprivation[:] = random.standard_normal(count)
    smoking = random.random(count)
    people.quit_age[:] = np.where(smoking < 0.2, np.inf, np.where(smoking < 0.4, 30.0, -np.inf))
    log_hazard = static_part(LAW, people) + covariates(LAW, people, healthy(count, 60.0)) @ LAW.weights
    ratios = np.exp(log_hazard[:, coronary] - LAW.log_rate[0, coronary])
    assert ratios.mean() == pytest.approx(1, abs=5 * ratios.std() / np.sqrt(count))
    assert ratios.std() > 0.5


def test_the_dead_and_the_diseased_have_no_further_hazard() -> None:
    people, state = average_people(3), healthy(3, 60.0)
    state.death[0] = 55.0
    state.onset[1, 2] = 40.0
    steps = advance(LAW, people, state, np.full(3, 70.0), 0.25, generator(0))
    assert len(steps) == 40
    assert all((step.hazards[0] == 0).all() for step in steps)
    assert all(step.hazards[1, 2] == 0 for step in steps)
    assert steps[0].hazards[2].min() > 0
    assert np.isinf(state.onset[0]).all()


def test_onsets_come_before_death_and_within_the_life_lived() -> None:
    count = 3000
    state = newborn_adults(count, generator(2))
    advance(LAW, average_people(count), state, np.full(count, 95.0), 0.5, generator(3))
    happened = np.isfinite(state.onset)
    assert happened.any(axis=0)[: NUM_DISEASES - 1].all()
    assert (state.onset[happened] >= ADULT_AGE).all()
    assert (np.where(happened, state.onset, 0) <= np.minimum(state.death, 95.0)[:, None]).all()


def test_everyone_is_alive_at_enrolment_at_the_right_age() -> None:
    entry_age = np.linspace(18.0, 80.0, 200)
    state, ages, markers = live_to_entry(LAW, average_people(200), entry_age, 0.5, generator(4))
    assert np.isinf(state.death).all()
    np.testing.assert_allclose(state.age, entry_age)
    assert (np.diff(ages, axis=0) >= 0).all()
    assert markers.shape == (*ages.shape, NUM_MARKERS)
