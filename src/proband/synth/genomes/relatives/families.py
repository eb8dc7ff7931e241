"""Kinds of families among the subjects: who is whose parent, who takes part, and when they were born."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.errors import ConfigError
from proband.core.units import DAYS_PER_YEAR
from proband.synth.config import SynthConfig

YOUNGEST, OLDEST = 18.0, 80.0
"""Ages at enrolment, years."""
ENTRY_AGE_BETA = (2.2, 1.8)
"""Shape of ages at enrolment between the bounds: middle age most. Rounded choice of ours, as are the next."""
_MOTHER_AGE = (28.0, 5.5, 16.0, 45.0)
"""Mean, standard deviation, least and most of a mother's age at a birth, years; the first birth draws it."""
_FATHER_AGE = (16.0, 60.0)
_HUSBAND_OLDER = (2.5, 4.0)
_SPACING = (3.0, 1.5, 0.8)
"""Mean, standard deviation and least years between the births of one mother; no twins."""
_MOST_ROUNDS = 5000


@dataclass(frozen=True)
class Member:
    """One person of a family; the others are named by their place in it, -1 for none.

    Attributes:
        father: Place of the father.
        mother: Place of the mother.
        spouse: Place of the partner whose birth this one's lies near; for those who marry in.
        older: Place of the mother's child born before this one.
        male: Sex, or None if it is drawn.
        subject: Whether the person is in the biobank.
    """

    father: int = -1
    mother: int = -1
    spouse: int = -1
    older: int = -1
    male: bool | None = None
    subject: bool = False


_WIFE = Member(male=False)
_HUSBAND = Member(spouse=0, male=True)
_CHILD = Member(father=1, mother=0)
_SIB = Member(father=1, mother=0, older=2)


def _in(member: Member, **changes: Any) -> Member:
    return replace(member, subject=True, **changes)


KINDS: dict[str, tuple[float, tuple[Member, ...]]] = {
    "mother and child": (0.12, (_in(_WIFE), _HUSBAND, _in(_CHILD))),
    "father and child": (0.08, (_WIFE, _in(_HUSBAND), _in(_CHILD))),
    "two full sibs": (0.24, (_WIFE, _HUSBAND, _in(_CHILD), _in(_SIB))),
    "three full sibs": (0.06, (_WIFE, _HUSBAND, _in(_CHILD), _in(_SIB), _in(_SIB, older=3))),
    "half sibs": (
        0.06,
        (_WIFE, _HUSBAND, _in(_CHILD), _HUSBAND, _in(Member(father=3, mother=0, older=2))),
    ),
    "grandmother": (
        0.06,
        (_in(_WIFE), _HUSBAND, replace(_CHILD, male=False), Member(spouse=2, male=True), _in(Member(3, 2))),
    ),
    "uncle or aunt": (
        0.12,
        (
            _WIFE,
            _HUSBAND,
            _in(_CHILD),
            replace(_SIB, male=True),
            Member(spouse=3, male=False),
            _in(Member(3, 4)),
        ),
    ),
    "first cousins": (
        0.2,
        (
            *(_WIFE, _HUSBAND, replace(_CHILD, male=False), replace(_SIB, male=True)),
            *(
                Member(spouse=2, male=True),
                Member(spouse=3, male=False),
                _in(Member(4, 2)),
                _in(Member(3, 5)),
            ),
        ),
    ),
    "three generations": (
        0.06,
        (
            *(_in(_WIFE), _HUSBAND, _in(_CHILD, male=False), _in(_SIB), Member(spouse=2, male=True)),
            _in(Member(4, 2)),
        ),
    ),
}
"""Kind of family to its share of the families of relatives and its members, parents before children.

Shares are rounded choices of ours; as in UK Biobank (Bycroft 2018, doi:10.1038/s41586-018-0579-z), sibs are
commoner than parents with a child, and cousins are many.
"""

ALONE: tuple[Member, ...] = (Member(subject=True),)
"""The family of a subject without relatives in the biobank."""


def num_subjects(members: Sequence[Member]) -> int:
    """Members who are in the biobank.

    >>> num_subjects(KINDS["three generations"][1])
    4
    """
    return sum(member.subject for member in members)


def draw_calendar(
    members: Sequence[Member], count: int, config: SynthConfig, random: np.random.Generator
) -> tuple[Int[np.ndarray, "families members"], Int[np.ndarray, "families members"]]:
    """Days since 1970 on which everyone was born and, for subjects, enrolled.

    The age of one subject of the family, drawn at random, comes from the law of ages; families in which
    parents are too young or old, or subjects not adults of enrolment age, are drawn again.

    Args:
        members: The kind of family.
        count: Families.
        config: Settings; the days of enrolment.
        random: Source of the draws.

    Raises:
        ConfigError: No such family fits the days of enrolment.
    """
    birth = np.zeros((count, len(members)), dtype=np.int64)
    entry = np.zeros_like(birth)
    left = np.arange(count)
    for _ in range(_MOST_ROUNDS):
        if not len(left):
            return birth, entry
        birth[left], entry[left], fits = _attempt(members, len(left), config, random)
        left = left[~fits]
    raise ConfigError("no family fits the days of enrolment", found=config.enrolment, remedy="enrol earlier")


def _attempt(
    members: Sequence[Member], count: int, config: SynthConfig, random: np.random.Generator
) -> tuple[Int[np.ndarray, "families members"], Int[np.ndarray, "families members"], Bool[np.ndarray, " n"]]:
    born = _relative_births(members, count, random)
    first, last = (np.datetime64(day, "D").astype(np.int64) for day in config.enrolment)
    entry = random.integers(first, last + 1, born.shape)
    subjects = np.flatnonzero([member.subject for member in members])
    anchor = (np.arange(count), random.choice(subjects, count))
    age = YOUNGEST + (OLDEST - YOUNGEST) * random.beta(*ENTRY_AGE_BETA, count)
    shift = entry[anchor] / DAYS_PER_YEAR - age - born[anchor]
    birth = np.floor((born + shift[:, None]) * DAYS_PER_YEAR).astype(np.int64)
    ages = (entry - birth)[:, subjects] / DAYS_PER_YEAR
    fits = _parents_fit(members, born) & ((ages >= YOUNGEST) & (ages <= OLDEST)).all(axis=1)
    entry[:, [not member.subject for member in members]] = 0
    return birth, entry, fits


def _relative_births(
    members: Sequence[Member], count: int, random: np.random.Generator
) -> Float[np.ndarray, "families members"]:
    """Births in years, the first member's at 0."""
    born = np.zeros((count, len(members)))
    for place, member in enumerate(members):
        if member.older >= 0:
            mean, sd, least = _SPACING
            born[:, place] = born[:, member.older] + np.maximum(random.normal(mean, sd, count), least)
        elif member.mother >= 0:
            born[:, place] = born[:, member.mother] + random.normal(*_MOTHER_AGE[:2], count)
        elif member.spouse >= 0:
            older = random.normal(*_HUSBAND_OLDER, count)
            born[:, place] = born[:, member.spouse] + (-older if member.male else older)
    return born


def _parents_fit(
    members: Sequence[Member], born: Float[np.ndarray, "families members"]
) -> Bool[np.ndarray, " families"]:
    fits = np.ones(len(born), dtype=bool)
    for place, member in enumerate(members):
        for parent, (least, most) in ((member.mother, _MOTHER_AGE[2:]), (member.father, _FATHER_AGE)):
            if parent >= 0:
                age = born[:, place] - born[:, parent]
                fits &= (age >= least) & (age <= most)
    return fits
