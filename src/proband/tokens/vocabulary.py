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
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from proband.core.errors import CheckpointError
from proband.core.files.jsonfiles import read_object, write_json
from proband.ehr.units.spelling import NO_UNIT
from proband.tokens.measurements.units import Groups, value_codes

PADDING, BIRTH_TOKEN = 0, 1
PADDING_CODE = "PADDING"
BIRTH_CODE, DEATH_CODE = "MEDS_BIRTH", "MEDS_DEATH"
UNKNOWN = "UNKNOWN"
FORMAT_VERSION = 5
_KIND = re.compile(r"([^/]+)/{1,2}[^/]")


class Token(NamedTuple):
    """What one token stands for.

    Attributes:
        code: The code; of a value bin the name of the bins, which is the code, or ``CODE//unit=UNIT`` for
            values in a unit that does not convert to the code's.
        bin: Number of its value bin, from 1; None without one.
        kind: The code's vocabulary (:func:`kind_of`).
        is_unknown: Whether it stands for rare and unknown codes.
    """

    code: str
    bin: int | None
    kind: str
    is_unknown: bool

    @classmethod
    def of(cls, code: str, bin_number: int | None = None) -> Token:
        """The token of a code, or of one of its bins.

        >>> Token.of("LOINC//1", 2), Token.of("SNOMED//UNKNOWN").is_unknown
        (Token(code='LOINC//1', bin=2, kind='LOINC', is_unknown=False), True)
        """
        return cls(code, bin_number, kind_of(code), bin_number is None and is_unknown(code))

    @property
    def name(self) -> str:
        """The code, followed by ``//Qk`` for its bin k: to show, and to sort by."""
        return self.code if self.bin is None else f"{self.code}//Q{self.bin}"


@dataclass(frozen=True)
class Vocabulary:
    """Token codes and everything needed to tokenise new subjects the same way.

    It goes with a model wherever that goes (:meth:`for_model`), so it holds no counts, and names no code that
    fewer than ``min_subjects`` train subjects had.

    Attributes:
        tokens: Token index to what it stands for.
        edges: Code to the inner bin edges of its values (ascending; a value equal to an edge goes up). Values
            in a unit that does not convert to the code's have edges under ``CODE//unit=UNIT``.
        rolled: Rare code to the code (or unknown) that stands for it. Empty in a model, which must not name
            what few people had; :func:`proband.tokens.encode.tokenize.resolve_codes` then climbs the
            hierarchy.
        once: Per token, whether no train subject ever had it twice; of a code with value bins, all or none.
        statics: Static codes; static index k + 1 is ``statics[k]``, 0 is none.
        resolution_minutes: Finest time step of the train split: 1440 when all ages are whole days, else 1.
        min_subjects: Train subjects that had each code, bin, unit and static code named here, at least.
        units: Code to its groups of units, those that convert to each other together; the first unit of a
            group is that of its edges. Codes whose values never had a unit are not there.
    """

    tokens: tuple[Token, ...]
    edges: Mapping[str, tuple[float, ...]]
    rolled: Mapping[str, str]
    once: tuple[bool, ...]
    statics: tuple[str, ...]
    resolution_minutes: int
    min_subjects: int = 1
    units: Groups = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Names of all tokens, bins included."""
        return tuple(token.name for token in self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """Code to the index of its token without a bin, of codes that have one."""
        return {token.code: number for number, token in enumerate(self.tokens) if token.bin is None}

    @cached_property
    def bin_index(self) -> dict[tuple[str, int], int]:
        """Name of bins and number of a bin to token index."""
        return {
            (token.code, token.bin): number
            for number, token in enumerate(self.tokens)
            if token.bin is not None
        }

    @property
    def death(self) -> int:
        """Token index of death, always the last."""
        return len(self) - 1

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
        columns = dict(zip(Token._fields, map(list, zip(*self.tokens, strict=True)), strict=False))
        names = {"codes": list(self.codes)}  # for whoever reads the file
        return plain | names | {"tokens": columns, "format_version": FORMAT_VERSION}

    def base_codes(self) -> list[str]:
        """Per token, its code without a value bin.

        Values in a unit of their own keep it (``CODE//unit=UNIT``): they are no repeats of the others.
        Padding, birth and unknown tokens give their own names, which no clinical code has.
        """
        return [token.code for token in self.tokens]

    def recorded_codes(self) -> list[str]:
        """Per token, its code as events have it, without bin and unit; the names outcomes are matched on."""
        known = value_codes(self.units)
        return [known[base][0] if base in known else base for base in self.base_codes()]

    def bin_units(self) -> list[str | None]:
        """Per token, the unit of its value bin; None without a bin or where values have no unit."""
        known = value_codes(self.units)
        units = [known[token.code][1] if token.bin and token.code in known else None for token in self.tokens]
        return [None if unit == NO_UNIT else unit for unit in units]

    def value_bounds(self) -> Float[np.ndarray, "vocabulary 2"]:
        """Per token, the values of its bin: from the first number on, below the second; NaN if none."""
        bounds = np.full((len(self), 2), np.nan)
        for number, token in enumerate(self.tokens):
            if token.bin is not None:
                ends = (-np.inf, *self.edges[token.code], np.inf)
                bounds[number] = ends[token.bin - 1 : token.bin + 1]
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
            bool(repeats == 1) and not token.is_unknown
            for repeats, token in zip(max_repeats, self.tokens, strict=True)
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
        return [token.kind for token in self.tokens]

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
                tokens=_tokens_of(plain["tokens"]),
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
            if plain["codes"] != list(vocabulary.codes):
                raise ValueError("codes are not the names of the tokens")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            remedy = "take vocabulary.json from the original model or tokens folder"
            found = f"{type(error).__name__} {error}"
            raise CheckpointError("unusable vocabulary", where=path, found=found, remedy=remedy) from None
        if plain.get("hash") != vocabulary.hash:
            remedy = "take vocabulary.json from the original model or tokens folder"
            raise CheckpointError("vocabulary changed after it was frozen", where=path, remedy=remedy)
        return vocabulary


def _tokens_of(columns: Mapping[str, Sequence]) -> tuple[Token, ...]:
    """Tokens of their columns.

    Raises:
        ValueError: A token is not what its code says.
    """
    rows = zip(*(columns[name] for name in Token._fields), strict=True)
    tokens = tuple(Token(*row) for row in rows)
    if wrong := [token for token in tokens if token != Token.of(token.code, token.bin)]:
        raise ValueError(f"{wrong[0].code}: kind or is_unknown is not the code's")
    return tokens


def _check(vocabulary: Vocabulary) -> None:
    """Refuse one whose parts do not fit together.

    Raises:
        ValueError: Names the part.
        TypeError: A part holds another kind of value.
    """
    texts = (*vocabulary.base_codes(), *vocabulary.statics, *vocabulary.rolled, *vocabulary.rolled.values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a code that is no text")
    if not vocabulary.tokens or len(set(vocabulary.tokens)) < len(vocabulary):
        raise ValueError("tokens are none, or one comes twice")
    if len(vocabulary.once) != len(vocabulary) or not all(type(flag) is bool for flag in vocabulary.once):
        raise ValueError(f"once: not true or false for each of {len(vocabulary)} codes")
    for code, edges in vocabulary.edges.items():
        numbers = [edge for edge in edges if type(edge) in (int, float) and math.isfinite(edge)]
        if len(numbers) < len(edges) or sorted(set(numbers)) != list(edges):
            raise ValueError(f"edges of {code}: not ascending numbers")
    for token in vocabulary.tokens:
        last = len(vocabulary.edges.get(token.code, ())) + 1
        if token.bin is not None and not (type(token.bin) is int and 1 <= token.bin <= last and last > 1):
            raise ValueError(f"{token.name}: no bin of {last - 1} edges")
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


def assemble_tokens(
    plain: Iterable[str], edges: Mapping[str, Sequence[float]], unknown: Iterable[str]
) -> tuple[Token, ...]:
    """All tokens in their fixed order.

    Args:
        plain: Codes that occur without a usable value.
        edges: Codes with value bins and their inner edges.
        unknown: Unknown tokens of all vocabularies seen.
    """
    codes = {*plain, *unknown, UNKNOWN} - {PADDING_CODE, BIRTH_CODE, DEATH_CODE}
    binned = [Token.of(code, k) for code, inner in edges.items() for k in range(1, len(inner) + 2)]
    body = sorted([*map(Token.of, codes), *binned], key=lambda token: (token.name, token.bin or 0))
    return (Token.of(PADDING_CODE), Token.of(BIRTH_CODE), *body, Token.of(DEATH_CODE))
