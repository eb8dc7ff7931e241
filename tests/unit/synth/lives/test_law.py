from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proband.core.errors import DataError
from proband.synth.lives.calibrate import find_effects, live_cohort, write_calibration
from proband.synth.lives.law import (
    CALIBRATION,
    EFFECTS,
    NUM_DISEASES,
    GeneticEffects,
    Law,
    log_rate_at,
    read_calibration,
    read_effects,
)
from proband.synth.lives.lifecourse import Course
from proband.synth.lives.state import healthy
from proband.synth.traits import (
    BIOMARKER_NAMES,
    BIOMARKERS,
    DISEASE_NAMES,
    DISEASES,
    ENVIRONMENT,
    MORTALITY,
    TREATMENT_NAMES,
    TREATMENTS,
)
from synthetic_lives import average_people

STROKE = DISEASE_NAMES.index("ischaemic_stroke")


def test_rates_are_log_linear_between_ages_and_constant_outside() -> None:
    found = log_rate_at((1.0, 4.0), (20.0, 30.0), np.array([10.0, 20.0, 25.0, 30.0, 99.0]))
    np.testing.assert_allclose(np.exp(found) * 1000, [1, 1, 2, 4, 4])


def test_where_a_rate_is_null_nothing_begins() -> None:
    assert (log_rate_at(None, (20.0, 30.0), np.array([25.0])) == -np.inf).all()
    assert log_rate_at((None, 4.0), (20.0, 30.0), np.array([25.0]))[0] == -np.inf


@pytest.mark.parametrize("male", [False, True])
def test_without_modifiers_the_hazards_are_the_tables(law: Law, male: bool) -> None:
    course = Course(law.neutral(), average_people(1, male), healthy(1))
    step = law.step_of(np.array([50.0]))
    found = course.hazards(step, np.array([50.0])).onset[0]
    share = 0.125 / 10
    for column, disease in enumerate(DISEASES):
        rates = disease.incidence[male]
        at = rates[3] ** (1 - share) * rates[4] ** share / 1000 if rates else 0.0
        assert found[column] == pytest.approx(at, rel=1e-5)
    deaths = MORTALITY.incidence[male]
    assert found[-1] == pytest.approx(deaths[3] ** (1 - share) * deaths[4] ** share / 1000, rel=1e-5)


def test_each_modifier_has_its_declared_ratio(law: Law) -> None:
    people, state = average_people(8), healthy(8)
    people.quit_age[1] = 80.0
    people.quit_age[2] = 50.0
    people.stable[3, BIOMARKER_NAMES.index("sbp")] = 1.0
    people.deprivation[4] = 1.0
    people.genetic[5, STROKE] = 2.0
    people.unobserved[6, STROKE] = 2.0
    state.onset[7, DISEASE_NAMES.index("atrial_fibrillation")] = 50.0
    hazards = Course(law, people, state).hazards(
        np.full(8, law.step_of(np.array([60.0]))[0]), np.full(8, 60.0)
    )
    stroke, effects = DISEASES[STROKE], read_effects()
    expected = [
        1,
        *stroke.smoking,
        stroke.biomarkers["sbp"],
        stroke.deprivation,
        np.exp(2 * effects.at_60[STROKE] * (1 + effects.slope[STROKE] * 0.0125)),
        stroke.unobserved_ratio**2,
        stroke.comorbidity["atrial_fibrillation"],
    ]
    np.testing.assert_allclose(hazards.onset[:, STROKE] / hazards.onset[0, STROKE], expected, rtol=1e-4)


def test_a_treatment_works_through_its_biomarker_and_beside_it(law: Law) -> None:
    people, state = average_people(3), healthy(3)
    for row, drug in ((1, "lisinopril"), (2, "warfarin")):
        state.started[row, TREATMENT_NAMES.index(drug)] = 55.0
    step = law.step_of(np.array([60.0]))
    hazards = Course(law, people, state).hazards(np.repeat(step, 3), np.full(3, 60.0)).onset[:, STROKE]
    sbp = BIOMARKERS[BIOMARKER_NAMES.index("sbp")]
    lower = TREATMENTS[TREATMENT_NAMES.index("lisinopril")].shifts["sbp"] / sbp.sd
    assert hazards[1] / hazards[0] == pytest.approx(DISEASES[STROKE].biomarkers["sbp"] ** lower, rel=1e-4)
    assert hazards[2] / hazards[0] == pytest.approx(0.36, rel=1e-4)


def test_access_scales_the_hazard_of_a_record(law: Law) -> None:
    diabetes = DISEASE_NAMES.index("type_2_diabetes")
    people, state = average_people(4), healthy(4)
    people.deprivation[1] = 2.0
    people.missed[2] = True
    state.onset[:3, diabetes] = 45.0
    step = law.step_of(np.array([60.0]))
    record = Course(law, people, state).hazards(np.repeat(step, 4), np.full(4, 60.0)).record[:, diabetes]
    of_age = ENVIRONMENT.access_age**10.125
    usual = of_age / DISEASES[diabetes].delay_years
    false = of_age * DISEASES[diabetes].false_records / 1000
    expected = [usual, usual * ENVIRONMENT.access_deprivation**2, 0, false]
    np.testing.assert_allclose(record, expected, rtol=1e-5)


def test_a_calibration_of_another_table_is_refused(tmp_path: Path) -> None:
    for read, path in ((read_calibration, CALIBRATION), (read_effects, EFFECTS)):
        stale = tmp_path / path.name
        stale.write_text(path.read_text().replace("# table ", "# table 0", 1))
        with pytest.raises(DataError, match=r"belongs to another table of traits.*run python -m"):
            read(stale)


def test_a_calibration_written_is_read_back(tmp_path: Path) -> None:
    path, effects_path = tmp_path / "baseline.csv", tmp_path / "genetic_effects.csv"
    write_calibration(path, effects_path, 400)
    found, effects = read_calibration(path), read_effects(effects_path)
    assert found.shape == (2, 102, NUM_DISEASES + 1)
    np.testing.assert_allclose(found, live_cohort(effects, 400).centre, atol=1e-4)
    again = find_effects(400)
    np.testing.assert_array_equal([effects.at_60, effects.slope], [again.at_60, again.slope])


def test_the_calibration_in_the_package_is_of_this_table() -> None:
    assert read_calibration().shape == (2, 102, NUM_DISEASES + 1)
    assert read_effects().at_60.shape == (NUM_DISEASES,)
    assert (read_effects().slope <= 0).all()


def test_at_18_the_mean_ratio_is_that_of_its_normal_predictor() -> None:
    effects = GeneticEffects(np.full(NUM_DISEASES, 0.5), np.full(NUM_DISEASES, -0.1))
    found = np.exp(live_cohort(effects, 20_000, years=1).centre)[:, 0]
    of_genes = 0.5 * (1 - 0.1 * (18.5 - 60) / 10)
    for name in ("glaucoma", "breast_cancer"):
        disease = DISEASES[DISEASE_NAMES.index(name)]
        (_marker, ratio), *_ = disease.biomarkers.items()
        assert not disease.shared  # its genes are independent of the biomarker, so variances add
        spread = of_genes**2 + np.log(disease.unobserved_ratio) ** 2 + np.log(ratio) ** 2
        expected = np.exp(spread / 2)
        # The ratio's coefficient of variation is below 1 here, and 10,000 people of a sex are averaged.
        np.testing.assert_allclose(found[:, DISEASE_NAMES.index(name)], expected, rtol=4 / 100)
