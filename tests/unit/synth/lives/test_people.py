from __future__ import annotations

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.lives.law import Law
from proband.synth.lives.people import draw_deprivation, draw_people
from proband.synth.traits import DISEASES, ENVIRONMENT, TRAITS, TREATMENTS

COUNT = 60_000


def test_deprivation_is_standard_alike_in_families_and_higher_in_non_europeans() -> None:
    family = np.repeat(np.arange(COUNT // 2), 2)
    european = family % 4 > 0
    found = draw_deprivation(family, european, 0.75, 1, generator(1))
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert found.std() == pytest.approx(1, abs=0.015)
    gap = found[~european].mean() - found[european].mean()
    assert gap == pytest.approx(ENVIRONMENT.group_deprivation, abs=0.04)
    pairs = found[european].reshape(-1, 2)
    expected = ENVIRONMENT.family_deprivation
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(expected, abs=0.03)


def test_a_familys_deprivation_does_not_depend_on_the_shard() -> None:
    both = np.array([7, 8])
    shares = [draw_deprivation(both[[k]], np.array([True]), 0.5, 1, generator(1)) for k in (0, 1)]
    together = draw_deprivation(both, np.array([True, True]), 0.5, 1, generator(1))
    assert together[0] == shares[0][0]
    own = np.sqrt(1 - ENVIRONMENT.family_deprivation) * generator(1).standard_normal(2)
    rest = np.sqrt(1 - ENVIRONMENT.group_deprivation**2 / 4)
    np.testing.assert_allclose(together[1] - rest * own[1], shares[1][0] - rest * own[0])


def test_people_come_with_the_shares_of_the_table(law: Law) -> None:
    male = np.arange(COUNT) % 2 == 0
    traits = np.zeros((COUNT, len(TRAITS)))
    people = draw_people(law, male, traits, traits, np.zeros(COUNT), generator(2))
    ever = np.isfinite(people.quit_age)
    assert ever[~male].mean() == pytest.approx(ENVIRONMENT.ever_smokers[0], abs=0.012)
    assert ever[male].mean() == pytest.approx(ENVIRONMENT.ever_smokers[1], abs=0.012)
    assert people.quit_age[ever].mean() == pytest.approx(18 + 1 / ENVIRONMENT.quit_per_year, rel=0.03)
    np.testing.assert_allclose(people.willing.mean(axis=0), [drug.share for drug in TREATMENTS], atol=0.011)
    np.testing.assert_allclose(
        people.missed.mean(axis=0), [disease.missed for disease in DISEASES], atol=0.011
    )


def test_the_deprived_smoke_more(law: Law) -> None:
    traits = np.zeros((COUNT, len(TRAITS)))
    shares = []
    for deprivation in (0.0, 1.0):
        people = draw_people(
            law, np.zeros(COUNT, dtype=bool), traits, traits, np.full(COUNT, deprivation), generator(3)
        )
        shares.append(np.isfinite(people.quit_age).mean())
    odds = [share / (1 - share) for share in shares]
    assert odds[1] / odds[0] == pytest.approx(ENVIRONMENT.smoking_deprivation, rel=0.05)
