"""Rare codes roll up: to the nearest ancestor that subjects enough have, else to the unknown of its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from proband.tokens.vocabulary import DEATH_CODE, UNKNOWN, is_unknown, unknown_of

_HIERARCHICAL = re.compile(
    r"(?P<head>(?:.+/)?(?:ICD|ATC)[^/]*/{1,2}(?:\d+/{1,2})?)(?P<tail>[^/]+)", re.IGNORECASE
)


def roll_up(
    subject_codes: pl.DataFrame, parents: Mapping[str, Sequence[str]], min_subjects: int
) -> dict[str, str]:
    """Map every rare code to the nearest ancestor that is common enough, or to its kind's unknown.

    The deepest codes climb first, so that all rare descendants of a code meet in it before it is judged.

    Args:
        subject_codes: Unique pairs ``subject_id``, ``code`` of the train split.
        parents: Code to its parents, nearest first.
        min_subjects: A code (with all that rolled up to it) in fewer subjects is rare.

    Returns:
        Rare code to what stands for it. Common codes are not in it.
    """
    rolled: dict[str, str] = {}
    current = subject_codes.select("subject_id", "code")
    depths = {code: _depth(code, parents) for code in current["code"].unique().to_list()}
    for depth in range(max(depths.values(), default=0), -1, -1):
        counts = current.unique().group_by("code").len().filter(pl.col("len") < min_subjects)
        step = {}
        for code in counts["code"].sort().to_list():
            if code == DEATH_CODE or is_unknown(code) or depths[code] != depth:
                continue
            parent = parent_of(code, parents)
            if parent is None or depths.setdefault(parent, _depth(parent, parents)) != depth - 1:
                parent = unknown_of(code)
            step[code] = parent
        rolled = {code: step.get(target, target) for code, target in rolled.items()} | step
        current = current.with_columns(pl.col("code").replace(step))
    # A code that climbed into another vocabulary is an unknown of its own, whoever reads it.
    return {
        code: unknown_of(code) if is_unknown(target) else target for code, target in sorted(rolled.items())
    }


def common_unknowns(subject_codes: pl.DataFrame, min_subjects: int) -> set[str]:
    """Unknown tokens of the vocabularies of which enough subjects had a code.

    The name of another vocabulary may be a rare code itself; its codes go to the general unknown token.

    Args:
        subject_codes: As of :func:`roll_up`.
        min_subjects: Subjects a vocabulary needs.
    """
    names = subject_codes["code"].unique()
    unknown = pl.DataFrame({"code": names, "unknown": pl.Series(map(unknown_of, names), dtype=pl.String)})
    pairs = subject_codes.join(unknown, on="code").select("subject_id", "unknown").unique()
    counts = pairs.group_by("unknown").len().filter(pl.col("len") >= min_subjects)
    return {*counts["unknown"].to_list(), UNKNOWN}


def parent_of(code: str, parents: Mapping[str, Sequence[str]]) -> str | None:
    """The code a rare ``code`` rolls up to, or None.

    The first of its ``parent_codes``; without any, an ICD or ATC code loses its last character (and a dot),
    whether slashes stand one by one or in pairs and whatever stands before the vocabulary.

    >>> parent_of("ICD10CM/E11.65", {}), parent_of("SNOMED//1", {"SNOMED//1": ["SNOMED//2"]})
    ('ICD10CM/E11.6', 'SNOMED//2')
    >>> parent_of("DIAGNOSIS//ICD//10//E119", {}), parent_of("LOINC//1", {})
    ('DIAGNOSIS//ICD//10//E11', None)
    """
    if parents.get(code):
        return parents[code][0]
    found = _HIERARCHICAL.fullmatch(code)
    if found and len(found["tail"]) > 1:
        return found["head"] + found["tail"][:-1].rstrip(".")
    return None


def _depth(code: str, parents: Mapping[str, Sequence[str]]) -> int:
    """Number of ancestors of a code along its first parents; a circle ends where it closes."""
    seen = {code}
    while (parent := parent_of(code, parents)) is not None and parent not in seen:
        seen.add(parent)
        code = parent
    return len(seen) - 1
