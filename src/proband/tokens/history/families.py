"""Which codes belong together, read from their names: value bins of one code, and branches of ICD and ATC."""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Int

from proband.tokens.rollup import parent_of
from proband.tokens.vocabulary import Token, Vocabulary

_NOT_CODES = 2
"""Padding and birth."""


def code_families(vocabulary: Vocabulary) -> Int[np.ndarray, "vocabulary levels"]:
    """The families of every token, from the narrowest; families count from 1, and 0 fills up.

    A value bin belongs to its code, an ICD or ATC code to each of its prefixes, and every code to its kind.
    A family of one is none, and neither is one with the same members as the next narrower.

    Args:
        vocabulary: Whose tokens.

    >>> codes = ("PADDING", "MEDS_BIRTH", "ICD10//E10", "ICD10//E11", "ICD10//I10")
    >>> code_families(Vocabulary(tuple(map(Token.of, codes)), {}, {}, (), (), 1440)).tolist()
    [[0, 0], [0, 0], [1, 2], [1, 2], [2, 0]]
    """
    chains = [_families_of(token) for token in vocabulary.tokens]
    chains[:_NOT_CODES] = [[]] * _NOT_CODES
    sizes = Counter(name for chain in chains for name in chain)
    numbers: dict[str, int] = {}
    rows = []
    for chain in chains:
        inner = ["", *chain][: len(chain)]
        kept = [
            name for name, within in zip(chain, inner, strict=True) if sizes[name] > max(1, sizes[within])
        ]
        rows.append([numbers.setdefault(name, len(numbers) + 1) for name in kept])
    table = np.zeros((len(rows), max(1, *map(len, rows))), dtype=np.int64)
    for row, families in zip(table, rows, strict=True):
        row[: len(families)] = families
    return table


def _families_of(token: Token) -> list[str]:
    """The code itself, its prefixes and its kind: each nested in the next."""
    chain, at = [token.code], None if token.is_unknown else parent_of(token.code, {})
    while at is not None:
        chain.append(at)
        at = parent_of(at, {})
    return [*chain, token.kind]
