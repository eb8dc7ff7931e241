"""The frozen vocabulary: which token every code and value becomes.

Fitted on the train split alone. A code seen in too few subjects rolls up to its parent, step by step, then
to an unknown token of its kind (the part before the first ``//``); numeric values become quantile bins of
their code. Token order is fixed: padding, birth, all codes alphabetically, death last; it is also the order
of tokens inside one time stamp.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import CheckpointError
from proband.core.provenance import read_object, write_json
from proband.ehr.units.spelling import NO_UNIT
from proband.tokens.units import Groups, value_codes

PADDING, BIRTH_TOKEN = 0, 1
PADDING_CODE = "PADDING"
BIRTH_CODE, DEATH_CODE = "MEDS_BIRTH", "MEDS_DEATH"
UNKNOWN = "UNKNOWN"
FORMAT_VERSION = 4
_BIN_SUFFIX = re.compile(r"//Q\d+$")
_KIND = re.compile(r"([^/]+)/{1,2}[^/]")
_HIERARCHICAL = re.compile(
    r"(?P<head>(?:.+/)?(?:ICD|ATC)[^/]*/{1,2}(?:\d+/{1,2})?)(?P<tail>[^/]+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Vocabulary:
    """Token codes and everything needed to tokenise new subjects the same way.

    It goes with a model wherever that goes (:meth:`for_model`), so it holds no counts, and names no code that
    fewer than ``min_subjects`` train subjects had.

    Attributes:
        codes: Token index to its code; binned values end in ``//Qk``, k from 1.
        edges: Code to the inner bin edges of its values (ascending; a value equal to an edge goes up). Values
            in a unit that does not convert to the code's have edges under ``CODE//unit=UNIT``.
        rolled: Rare code to the code (or unknown) that stands for it. Empty in a model, which must not name
            what few people had; :func:`proband.tokens.tokenize.resolve_codes` then climbs the hierarchy.
        once: Per token, whether no train subject ever had it twice; of a code with value bins, all or none.
        statics: Static codes; static index k + 1 is ``statics[k]``, 0 is none.
        resolution_minutes: Finest time step of the train split: 1440 when all ages are whole days, else 1.
        min_subjects: Train subjects that had each code, bin, unit and static code named here, at least.
        units: Code to its groups of units, those that convert to each other together; the first unit of a
            group is that of its edges. Codes whose values never had a unit are not there.
    """

    codes: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]
    rolled: Mapping[str, str]
    once: tuple[bool, ...]
    statics: tuple[str, ...]
    resolution_minutes: int
    min_subjects: int = 1
    units: Groups = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def index(self) -> dict[str, int]:
        """Code to token index."""
        return {code: token for token, code in enumerate(self.codes)}

    @property
    def death(self) -> int:
        """Token index of death, always the last."""
        return len(self.codes) - 1

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that decides which token is which (not of ``rolled``, which a model leaves out)."""
        plain = self._plain()
        del plain["rolled"]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def for_model(self) -> Vocabulary:
        """The same without the names of rare codes."""
        return replace(self, rolled={})

    def _plain(self) -> dict:
        plain = json.loads(json.dumps(asdict(self)))
        return plain | {"format_version": FORMAT_VERSION}

    def base_codes(self) -> list[str]:
        """Per token, its code without a value bin.

        Values in a unit of their own keep it (``CODE//unit=UNIT``): they are no repeats of the others.
        Padding, birth and unknown tokens give their own names, which no clinical code has.
        """
        return [self._without_bin(code) for code in self.codes]

    def _without_bin(self, code: str) -> str:
        plain = _BIN_SUFFIX.sub("", code)
        return plain if plain in self.edges else code  # ICD-10's chapter Q (ICD10//Q21) is no bin

    def recorded_codes(self) -> list[str]:
        """Per token, its code as events have it, without bin and unit; the names outcomes are matched on."""
        known = value_codes(self.units)
        return [known[base][0] if base in known else base for base in self.base_codes()]

    def bin_units(self) -> list[str | None]:
        """Per token, the unit of its value bin; None without a bin or where values have no unit."""
        known = value_codes(self.units)
        pairs = zip(self.codes, self.base_codes(), strict=True)
        units = [known[base][1] if code != base and base in known else None for code, base in pairs]
        return [None if unit == NO_UNIT else unit for unit in units]

    def value_bounds(self) -> Float[np.ndarray, "vocabulary 2"]:
        """Per token, the values of its bin: from the first number on, below the second; NaN if none."""
        bounds = np.full((len(self), 2), np.nan)
        for token, (code, base) in enumerate(zip(self.codes, self.base_codes(), strict=True)):
            if code != base:
                ends = (-np.inf, *self.edges[base], np.inf)
                number = int(code.removeprefix(f"{base}//Q"))
                bounds[token] = ends[number - 1 : number + 1]
        return bounds

    def with_repeats(self, max_repeats: Int[np.ndarray, " vocabulary"]) -> Vocabulary:
        """The vocabulary with what tokenising the train split found.

        A token happens once if its code occurred and never twice in one subject, whatever the values: after
        any bin of a code measured once, none of its bins comes again. Unknown tokens stand for many things:
        that none was seen twice says nothing about the next, so they are never flagged.

        Args:
            max_repeats: Most times each token occurred in one subject; of a token with a value bin, any
                token of its code.
        """
        once = [
            bool(repeats == 1) and not code.endswith(UNKNOWN)
            for repeats, code in zip(max_repeats, self.codes, strict=True)
        ]
        return replace(self, once=tuple(once))

    def alike(self) -> Int[np.ndarray, " vocabulary"]:
        """Per token, the lowest token of those that happen once among them: of its code if that is flagged
        ``once``, else itself.
        """
        bases = self.base_codes()
        lowest: dict[str, int] = {}
        for token, code in enumerate(bases):
            lowest.setdefault(code, token)
        tokens = enumerate(zip(bases, self.once, strict=True))
        return np.array([lowest[code] if once else token for token, (code, once) in tokens], dtype=np.int64)

    def kinds(self) -> list[str]:
        """Per token, its kind: the part of the code before the first ``//``."""
        return [kind_of(code) for code in self.codes]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, self._plain() | {"hash": self.hash})

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a saved vocabulary.

        Raises:
            CheckpointError: Another format version, or the content does not fit its hash.
        """
        plain = read_object(path)
        if plain.get("format_version") != FORMAT_VERSION:
            raise CheckpointError(
                "unknown vocabulary version",
                where=path,
                found=plain.get("format_version"),
                expected=FORMAT_VERSION,
                remedy="use the proband version that wrote it, or tokenise again",
            )
        try:
            vocabulary = cls(
                codes=tuple(plain["codes"]),
                edges={code: tuple(edges) for code, edges in plain["edges"].items()},
                rolled=dict(plain["rolled"]),
                once=tuple(plain["once"]),
                statics=tuple(plain["statics"]),
                resolution_minutes=int(plain["resolution_minutes"]),
                min_subjects=int(plain["min_subjects"]),
                units={
                    code: tuple(tuple(group) for group in groups) for code, groups in plain["units"].items()
                },
            )
            _check(vocabulary)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            remedy = "take vocabulary.json from the original model or tokens folder"
            found = f"{type(error).__name__} {error}"
            raise CheckpointError("unusable vocabulary", where=path, found=found, remedy=remedy) from None
        if plain.get("hash") != vocabulary.hash:
            remedy = "take vocabulary.json from the original model or tokens folder"
            raise CheckpointError("vocabulary changed after it was frozen", where=path, remedy=remedy)
        return vocabulary


def _check(vocabulary: Vocabulary) -> None:
    """Refuse one whose parts do not fit together.

    Raises:
        ValueError: Names the part.
        TypeError: A part holds another kind of value.
    """
    texts = (*vocabulary.codes, *vocabulary.statics, *vocabulary.rolled, *vocabulary.rolled.values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a code that is no text")
    if not vocabulary.codes or len(set(vocabulary.codes)) < len(vocabulary.codes):
        raise ValueError("codes are none, or one comes twice")
    if len(vocabulary.once) != len(vocabulary) or not all(type(flag) is bool for flag in vocabulary.once):
        raise ValueError(f"once: not true or false for each of {len(vocabulary)} codes")
    for code, edges in vocabulary.edges.items():
        numbers = [edge for edge in edges if type(edge) in (int, float) and math.isfinite(edge)]
        if len(numbers) < len(edges) or sorted(set(numbers)) != list(edges):
            raise ValueError(f"edges of {code}: not ascending numbers")
    for code, base in zip(vocabulary.codes, vocabulary.base_codes(), strict=True):
        if code != base and not 1 <= int(code.removeprefix(f"{base}//Q")) <= len(vocabulary.edges[base]) + 1:
            raise ValueError(f"{code}: no bin of {len(vocabulary.edges[base])} edges")
    for code, groups in vocabulary.units.items():
        if not groups or not all(group and all(isinstance(unit, str) for unit in group) for group in groups):
            raise ValueError(f"units of {code}: no groups of texts")
    if vocabulary.resolution_minutes < 1 or vocabulary.min_subjects < 0:
        raise ValueError("resolution_minutes or min_subjects below its least value")


def kind_of(code: str) -> str:
    """The vocabulary of a code: what stands before the first slash or two; without any the code itself.

    >>> kind_of("LOINC//4548-4//Q3"), kind_of("SNOMED/123"), kind_of("MEDS_DEATH")
    ('LOINC', 'SNOMED', 'MEDS_DEATH')
    """
    found = _KIND.match(code)
    return found[1] if found else code


def unknown_of(code: str) -> str:
    """The unknown token of a code's vocabulary; of codes without one it is the general unknown token.

    >>> unknown_of("SNOMED/123"), unknown_of("SNOMED//123"), unknown_of("fever")
    ('SNOMED//UNKNOWN', 'SNOMED//UNKNOWN', 'UNKNOWN')
    """
    kind = kind_of(code)
    return UNKNOWN if kind == code else f"{kind}//{UNKNOWN}"


def is_unknown(code: str) -> bool:
    """Whether a code is an unknown token."""
    return code == UNKNOWN or code.endswith(f"//{UNKNOWN}")


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
    return dict(sorted(rolled.items()))


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


def assemble_codes(
    plain: Iterable[str], edges: Mapping[str, Sequence[float]], unknown: Iterable[str]
) -> list[str]:
    """All token codes in their fixed order.

    Args:
        plain: Codes that occur without a usable value.
        edges: Codes with value bins and their inner edges.
        unknown: Unknown tokens of all vocabularies seen.
    """
    binned = [f"{code}//Q{k}" for code, inner in edges.items() for k in range(1, len(inner) + 2)]
    body = (set(plain) | set(binned) | set(unknown) | {UNKNOWN}) - {PADDING_CODE, BIRTH_CODE, DEATH_CODE}
    return [PADDING_CODE, BIRTH_CODE, *sorted(body), DEATH_CODE]
