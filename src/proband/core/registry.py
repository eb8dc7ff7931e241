"""Named choices of one kind, such as encoders: help texts, checks and errors list them from one place."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Generic, TypeVar

Choice = TypeVar("Choice")


class Registry(MutableMapping[str, Choice], Generic[Choice]):
    """Choices by name. An entry may be a "module:attribute" text, imported when it is first asked for.

    So a settings module can check a name without importing what stands behind it. Another choice is added by
    assignment, before settings or models that name it are read: ``REGISTRY["name"] = choice``.

    Args:
        kind: What the choices are, for the error.
        entries: The choices there are at first, in the order in which they are listed.

    >>> numbers = Registry("number", {"pi": "math:pi"})
    >>> numbers["pi"], numbers.names()
    (3.141592653589793, ('pi',))
    >>> numbers["pi"] = 3
    Traceback (most recent call last):
    ValueError: the number pi is registered twice
    """

    def __init__(self, kind: str, entries: Mapping[str, str | Choice]) -> None:
        self.kind = kind
        self._entries: dict[str, str | Choice] = dict(entries)

    def __getitem__(self, name: str) -> Choice:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = getattr(importlib.import_module(module), attribute)
            self._entries[name] = entry
        return entry

    def __setitem__(self, name: str, choice: Choice) -> None:
        """Add a choice.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"the {self.kind} {name} is registered twice")
        self._entries[name] = choice

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # without an import

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were added."""
        return tuple(self._entries)

    def check(self, name: str) -> str:
        """``name`` if there is such a choice; as a validator of settings.

        Raises:
            ValueError: There is none; the message lists those there are.
        """
        if name not in self._entries:
            raise ValueError(f"no such {self.kind}; there are {', '.join(self._entries)}")
        return name
