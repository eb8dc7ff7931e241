"""Vocabularies from names, for tests: ``CODE//Qk`` is bin k where the code has edges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from proband.tokens.vocabulary import Token, Vocabulary

_BIN = re.compile(r"(.+)//Q(\d+)")


def tokens_named(names: Iterable[str], edges: Mapping[str, Sequence[float]]) -> tuple[Token, ...]:
    """One token for each name."""
    found = [(name, _BIN.fullmatch(name)) for name in names]
    return tuple(
        Token.of(parts[1], int(parts[2])) if parts and parts[1] in edges else Token.of(name)
        for name, parts in found
    )


def vocabulary_named(names: Iterable[str], edges: Mapping[str, Sequence[float]], *rest, **more) -> Vocabulary:
    """A vocabulary of names; the other arguments are its own."""
    return Vocabulary(tokens_named(names, edges), edges, *rest, **more)
