from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.lives.law import NUM_DISEASES, NUM_TREATMENTS, Law
from proband.synth.lives.lifecourse import Hazards
from proband.synth.lives.output.truth import Moments, moments, step_incidence, true_risks
from proband.synth.lives.state import healthy
from proband.synth.traits import DISEASE_NAMES, DISEASES, ENVIRONMENT
from synthetic_lives import average_people

DIABETES, STROKE = (DISEASE_NAMES.index(name) for name in ("type_2_diabetes", "ischaemic_stroke"))


def at_age(law: Law, age: float, count: int) -> Moments:
    return moments(law, average_people(count), healthy(count), np.full(count, age))


def test_step_incidence_by_hand() -> None:
    onset = np.zeros((2, NUM_DISEASES + 1), dtype=np.float32)
    onset[0, DIABETES], onset[0, -1], onset[0, STROKE] = 0.03, 0.01, 0.02
    record, at_onset = np.zeros((2, 2, NUM_DISEASES), dtype=np.float32)
    record[0, DIABETES], record[0, STROKE], at_onset[0, STROKE] = 0.05, 0.01, 1
    stop = np.zeros((2, NUM_TREATMENTS), dtype=np.float32)
    hazards = Hazards(onset, record, at_onset, stop, onset.sum(axis=1))
    recorded, begun = step_incidence(hazards, np.array([0.5, 0.5]))
    assert begun[0, DIABETES] == pytest.approx(0.75 * (1 - np.exp(-0.02)))
    assert recorded[0, DIABETES] == pytest.approx(5 / 6 * (1 - np.exp(-0.03)))
    assert begun[0, STROKE] == pytest.approx(2 / 3 * (1 - np.exp(-0.015)))
    assert recorded[0, STROKE] == pytest.approx(0.75 * (1 - np.exp(-0.02)))
    assert (recorded[1] == 0).all()
    assert (begun[1] == 0).all()


@pytest.mark.parametrize("age", [60.0, 60.17])
def test_without_modifiers_the_risk_is_the_competing_risk_integral(law: Law, age: float) -> None:
    """Also when the prediction time lies within a step."""
    neutral = law.neutral()
    risks = true_risks(neutral, at_age(law, age, 200), (1, 10), 20, generator(1))
    edges = np.unique(np.concatenate([[age, age + 1, age + 10], np.arange(60, 71, 0.25)]))
    edges = edges[(edges >= age) & (edges <= age + 10)]
    hazards = np.exp(neutral.log_rate[0, law.step_of((edges[1:] + edges[:-1]) / 2)].astype(float))
    years = np.diff(edges)[:, None]
    both = hazards[:, :-1] + hazards[:, -1:]
    alive = np.exp(-np.cumsum(both * years, axis=0) + both * years)
    steps = alive * hazards[:, :-1] / both * -np.expm1(-both * years)
    within = edges[1:] <= age + 1 + 1e-9
    for horizon, expected in enumerate((steps[within].sum(axis=0), steps.sum(axis=0))):
        found = risks.onset[:, :, horizon]
        np.testing.assert_allclose(
            found.mean(axis=0),
            expected,
            atol=1e-7,
            rtol=5 * (found.std(axis=0) / found.mean(axis=0).clip(1e-9)).max() / np.sqrt(200),
        )


def test_the_undiagnosed_are_diagnosed_at_the_rate_of_the_delay(law: Law) -> None:
    state = healthy(300)
    state.onset[:, DIABETES] = 55.0
    nothing = replace(law.neutral(), log_rate=np.full_like(law.log_rate, -np.inf))
    at = moments(nothing, average_people(300), state, np.full(300, 60.0))
    risks = true_risks(nothing, at, (5,), 4, generator(2))
    growth = np.log(ENVIRONMENT.access_age)
    cumulative = np.exp(10 * growth) * np.expm1(5 * growth) / growth / DISEASES[DIABETES].delay_years
    found = risks.recorded[:, DIABETES, 0]
    assert found.mean() == pytest.approx(1 - np.exp(-cumulative), abs=5 * found.std() / np.sqrt(300))
    assert (risks.onset[:, DIABETES] == 0).all()
    assert risks.hazards[1, 0, DIABETES] == pytest.approx(
        np.exp(10.125 * growth) / DISEASES[DIABETES].delay_years, rel=1e-4
    )


def test_the_rest_of_the_step_keeps_the_covariates_of_its_start(law: Law) -> None:
    """Diabetes since a moment ago raises the hazard of stroke from the next step on, not in this one."""
    state = healthy(2)
    state.onset[0, DIABETES] = 60.05
    at = moments(law, average_people(2), state, np.array([60.1, 60.1]))
    risks = true_risks(law, at, (0.1, 0.4), 50, generator(3))
    assert risks.onset[0, DIABETES].max() == 0
    np.testing.assert_allclose(risks.onset[0, STROKE, 0], risks.onset[1, STROKE, 0], rtol=1e-5)
    assert risks.onset[0, STROKE, 1] > 1.3 * risks.onset[1, STROKE, 1]


def test_risk_reflects_the_genetic_value_and_the_moments_are_not_changed(law: Law) -> None:
    people = average_people(2)
    people.genetic[1] = 2.0
    at = moments(law, people, healthy(2), np.array([60.1, 60.1]))
    before = at.take(np.arange(2))
    risks = true_risks(law, at, (1, 5), 30, generator(2))
    women = [k for k, disease in enumerate(DISEASES) if disease.incidence[0] and disease.score_ratio > 1.4]
    # Part of the effect on gout and osteoporosis runs through biomarkers, which are alike here.
    assert (risks.onset[1, women] > 1.2 * risks.onset[0, women]).all()
    for kept, found in ((before.start, at.start), (before.now, at.now)):
        for name, values in vars(kept).items():
            np.testing.assert_array_equal(getattr(found, name), values)


def test_of_nobody_there_are_risks_of_no_rows(law: Law) -> None:
    """A last shard of a few subjects may have nobody in follow-up at the landmark."""
    two = at_age(law, 60.0, 2)
    of_none, of_two = (true_risks(law, at, (1, 5), 2, generator(1)) for at in (two.take(np.arange(0)), two))
    for name, values in vars(of_two).items():
        moments_at = 1 if name == "hazards" else 0
        expected = [0 if axis == moments_at else size for axis, size in enumerate(values.shape)]
        assert list(getattr(of_none, name).shape) == expected


def test_a_standard_error_is_that_of_a_mean_of_futures(law: Law) -> None:
    at = at_age(law, 70.0, 40)
    few = np.stack([true_risks(law, at, (10,), 5, generator(3, k)).onset for k in range(40)])
    many = true_risks(law, at, (10,), 400, generator(4))
    error = many.onset_error
    # A mean of five futures is cut at 1, which narrows it where onset is near certain.
    likely = many.onset.mean(axis=(0, 2)) > 0.4
    women = [k for k, disease in enumerate(DISEASES) if disease.incidence[0] and not likely[k]]
    assert len(women) > 20
    # 40 means of 5 futures against the error of 400: their variance is 80 times larger.
    ratio = few.var(axis=0, ddof=1).mean(axis=0)[women] / (error**2).mean(axis=0)[women]
    np.testing.assert_allclose(ratio, 80, rtol=0.4)
