from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from proband.core.errors import ConfigError
from proband.core.seeds import generator
from proband.core.units import DAYS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.genomes.relatives import families
from proband.synth.genomes.relatives.families import ALONE, KINDS, Member, draw_calendar, num_subjects


@pytest.mark.parametrize("kind", list(KINDS))
def test_parents_come_first_and_their_sexes_fit(kind: str) -> None:
    _, members = KINDS[kind]
    assert num_subjects(members) >= 2
    for place, member in enumerate(members):
        assert max(member.father, member.mother, member.spouse, member.older) < place
        assert (member.father < 0) == (member.mother < 0)
        if member.father >= 0:
            assert members[member.father].male is True
            assert members[member.mother].male is False
        if member.spouse >= 0:
            assert member.male is not None
            assert members[member.spouse].male is not member.male


@pytest.mark.parametrize("kind", list(KINDS))
def test_ages_fit_births_and_enrolment(kind: str) -> None:
    _, members = KINDS[kind]
    config = SynthConfig()
    birth, entry = draw_calendar(members, 60, config, generator(1, kind))
    for place, member in enumerate(members):
        if member.subject:
            age = (entry[:, place] - birth[:, place]) / DAYS_PER_YEAR
            assert age.min() >= families.YOUNGEST
            assert age.max() <= families.OLDEST
        else:
            assert (entry[:, place] == 0).all()
        if member.mother >= 0:
            mother, father = (
                (birth[:, place] - birth[:, parent]) / DAYS_PER_YEAR
                for parent in (member.mother, member.father)
            )
            # Days are whole, so an age may be a day over its bound.
            assert mother.min() > 15.99
            assert mother.max() < 45.01
            assert father.min() > 15.99
            assert father.max() < 60.01
        if member.older >= 0:
            assert (birth[:, place] - birth[:, member.older]).min() > 0.79 * DAYS_PER_YEAR


def test_subjects_without_relatives_have_the_law_of_ages() -> None:
    birth, entry = draw_calendar(ALONE, 20_000, SynthConfig(), generator(2))
    age = (entry - birth)[:, 0] / DAYS_PER_YEAR
    # Mean of a Beta(2.2, 1.8) is 2.2 / 4 and its variance 2.2 x 1.8 / (16 x 5).
    assert age.mean() == pytest.approx(18 + 62 * 0.55, abs=0.4)
    assert age.std() == pytest.approx(62 * np.sqrt(2.2 * 1.8 / 80), abs=0.3)
    days = (entry - np.datetime64(date(2008, 1, 1), "D").astype(int))[:, 0]
    assert days.min() >= 0
    assert days.max() <= 1826


def test_a_family_that_cannot_be_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_MOST_ROUNDS", 3)
    # Three mothers in a line, the oldest and the youngest enrolled as adults of at most 80, and all of them
    # a year apart: nobody is old enough to have a child.
    impossible = (
        Member(male=False, subject=True),
        Member(spouse=0, male=True),
        Member(father=1, mother=0, subject=True, older=0),
    )
    with pytest.raises(ConfigError, match="no family fits the days of enrolment"):
        draw_calendar(impossible, 5, SynthConfig(), generator(3))
