"""Which codes say that a subject is female or male: the one place that decides it."""

from __future__ import annotations

import re

SEX_PREFIXES = ("Gender//", "Sex//")
"""Beginnings of the codes of sex, in any case and with one slash or two."""

SEX_PATTERN = r"omop(?:_concept)?/{1,2}(?:8507|8532)$"
"""Regular expression of the start of codes that say a sex without beginning so, whatever the case."""

_KIND = re.compile(r"(?:(?P<kind>gender|sex)|omop(?:_concept)?)/{1,2}(?P<value>[^/]+)", re.IGNORECASE)
_FEMALE, _MALE = "8532", "8507"
_VALUES = {"F": 1.0, "FEMALE": 1.0, _FEMALE: 1.0, "M": 0.0, "MALE": 0.0, _MALE: 0.0}


def female_of(code: str) -> float | None:
    """1 if ``code`` says female, 0 if male, None if it says neither.

    Read whatever the case, with one slash or two: ``Gender//F`` of OMOP, ``GENDER//FEMALE`` or ``SEX/M`` of
    other pipelines, and OMOP's two standard concepts, also as ``OMOP//8532``.

    >>> female_of("Gender//F"), female_of("SEX/male"), female_of("Gender//UNKNOWN"), female_of("LOINC//1")
    (1.0, 0.0, None, None)
    """
    found = _KIND.fullmatch(code.strip())
    if found is None:
        return None
    value = found["value"].strip().upper()
    return _VALUES.get(value) if found["kind"] or value in (_FEMALE, _MALE) else None
