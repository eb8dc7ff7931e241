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
    Step,
    table_law,
)
from proband.synth.lives.truth import step_incidence, true_risks
from proband.synth.traits import DISEASES, MORTALITY

LAW = table_law()


def people_at(age: float, count: int) -> tuple[People, State]:
    people = People(
        np.zeros(count, dtype=bool),
        np.zeros((count, NUM_DISEASES)),
        np.zeros((count, NUM_MARKERS)),
        np.zeros(count),
        np.full(count, -np.inf),
        np.ones((count, NUM_TREATMENTS)),
    )
    state = State(
        np.full(count, age),
        np.full((count, NUM_DISEASES), np.inf),
        np.full(count, np.inf),
        np.zeros((count, NUM_MARKERS)),
    )
    return people, state


def test_step_incidence_by_hand() -> None:
    hazards = np.zeros((1, NUM_DISEASES + 1))
    hazards[0, 0], hazards[0, -1] = 0.03, 0.01
    step = Step(np.array([50.0]), np.array([0.5]), np.zeros((1, NUM_MARKERS), dtype=np.float32), hazards)
    found = step_incidence(step)
    assert found[0, 0] == pytest.approx(0.75 * (1 - np.exp(-0.02)))
    assert (found[0, 1:] == 0).all()


def test_without_modifiers_the_risk_is_the_competing_risk_integral() -> None:
    people, state = people_at(60.0, 2000)
    risk, error = true_risks(LAW.neutral(), people, state, (1, 10), 4, 0.25, generator(1))
    midpoints = 60 + np.arange(0.125, 10, 0.25)
    death = MORTALITY.rate[0] / 1000 * np.exp(MORTALITY.slope * (midpoints - 60))
    for index, disease in enumerate(DISEASES):
        hazard = (
            disease.rate[0] / 1000 * np.exp(disease.slope * (np.minimum(midpoints, disease.plateau) - 60))
        )
        alive = np.concatenate([[1], np.exp(-np.cumsum((hazard + death) * 0.25))[:-1]])
        expected = np.sum(alive * hazard / (hazard + death) * -np.expm1(-(hazard + death) * 0.25))
        found = risk[:, index, 1]
        assert found.mean() == pytest.approx(expected, abs=5 * found.std() / np.sqrt(2000))
        one_year = np.sum((alive * hazard / (hazard + death) * -np.expm1(-(hazard + death) * 0.25))[:4])
        assert risk[:, index, 0].mean() == pytest.approx(one_year, rel=0.02)
    assert (error >= 0).all()
    # Where nothing has happened yet the first step is certain: 1-year risks vary less than 10-year ones.
    assert error[:, 1, 0].mean() < error[:, 1, 1].mean()


def test_risk_reflects_liability_and_the_state_is_not_changed() -> None:
    people, state = people_at(60.0, 2)
    people.liability[1] = 2.0
    before = state.take(np.arange(2))
    risk, _ = true_risks(LAW, people, state, (1, 5), 30, 0.25, generator(2))
    assert (risk[1] > 1.5 * risk[0]).all()
    for name, values in vars(before).items():
        np.testing.assert_array_equal(getattr(state, name), values)


def test_a_standard_error_is_that_of_a_mean_of_futures() -> None:
    people, state = people_at(70.0, 40)
    few = np.stack([true_risks(LAW, people, state, (10,), 5, 0.5, generator(3, k))[0] for k in range(40)])
    _, error = true_risks(LAW, people, state, (10,), 400, 0.5, generator(4))
    # 40 means of 5 futures against the error of 400: their spread is sqrt(80) times larger.
    np.testing.assert_allclose(few.std(axis=0).mean(axis=0), error.mean(axis=0) * np.sqrt(80), rtol=0.25)
