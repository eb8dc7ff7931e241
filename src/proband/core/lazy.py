"""Names of a package that are imported at first use, so that importing its settings stays fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package (PEP 562).

    Args:
        package: Name of the package.
        homes: Module of each name. No module of the package may have such a name: once imported, it would
            stand in the name's place.

    >>> lazy_names("proband.core", {"DataError": "proband.core.errors"})("DataError").__name__
    'DataError'
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load
