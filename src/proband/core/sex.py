"""Which codes say that a subject is female or male: the one place that decides it."""

from __future__ import annotations

import re

_KIND = re.compile(r"(?:gender|sex)/{1,2}(?P<value>.+)", re.IGNORECASE)
_FEMALE = {"F", "FEMALE", "8532"}
_MALE = {"M", "MALE", "8507"}


def female_of(code: str) -> float | None:
    """1 if ``code`` says female, 0 if male, None if it says neither.

    Read whatever the case, with one slash or two: ``Gender//F`` of OMOP, ``GENDER//FEMALE`` or ``SEX/M`` of
    other pipelines, and OMOP's two standard concepts.

    >>> female_of("Gender//F"), female_of("SEX//male"), female_of("Gender//UNKNOWN"), female_of("LOINC//1")
    (1.0, 0.0, None, None)
    """
    found = _KIND.fullmatch(code)
    value = found["value"].strip().upper() if found else ""
    return 1.0 if value in _FEMALE else 0.0 if value in _MALE else None
