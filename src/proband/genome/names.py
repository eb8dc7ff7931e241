"""Columns that name people in tables of other programs, and the one name that no score may have."""

from __future__ import annotations

from collections.abc import Sequence

from proband.core.errors import DataError

SUBJECT = "subject_id"
_SAMPLES = (
    "iid", "sampleid", "samplename", "sample", SUBJECT.replace("_", ""), "eid", "feid", "neid", "personid",
    "person", "participantid", "participant", "participanteid", "researchid",
    "individualid", "individual", "indid", "individ", "patientid",
    "subject", "id",
)  # fmt: skip
"""Names of a column of samples, of :func:`_plain`; ``f.eid``, ``n_eid`` and ``participant.eid`` are UK
Biobank's, ``research_id`` All of Us's."""
_FAMILIES = ("fid", "familyid", "family", "famid")


def _plain(name: str) -> str:
    """A name without ``#``, case, dots, dashes, blanks and underscores."""
    return "".join(letter for letter in name.lower() if letter not in "#._- ")


def is_sample_name(name: str) -> bool:
    """Whether a column of this name holds samples.

    >>> [is_sample_name(name) for name in ("#IID", "sample.ID", "eid", "FID", "PGS1")]
    [True, True, True, False, False]
    """
    return _plain(name) in _SAMPLES


def is_subject_name(name: str) -> bool:
    """Whether a column of this name holds subjects."""
    return _plain(name) == _plain(SUBJECT)


def is_family_name(name: str) -> bool:
    """Whether a column of this name holds families.

    >>> [is_family_name(name) for name in ("#FID", "family.ID", "IID")]
    [True, True, False]
    """
    return _plain(name) in _FAMILIES


def by_rank(names: Sequence[str]) -> list[str]:
    """Those that name samples, plink's ``IID`` first, a plain ``id`` last.

    >>> by_rank(["id", "FID", "IID"])
    ['IID', 'id']
    """
    return sorted(filter(is_sample_name, names), key=lambda name: _SAMPLES.index(_plain(name)))


def refuse_subject(score: str, where: object, remedy: str) -> None:
    """Refuse a score that is called as the column of subjects in scores.parquet.

    Raises:
        DataError: It is.
    """
    if score == SUBJECT:
        expected = "a name of the score"
        raise DataError(
            "a score has the name of the subjects' column",
            where=where,
            found=score,
            expected=expected,
            remedy=remedy,
        )
