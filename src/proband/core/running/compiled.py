"""Functions compiled by numba, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def compiled(
    function: Callable[..., Any], fastmath: Collection[str] = (), *, inline: bool = False
) -> Callable[..., Any]:
    """``function`` compiled at its first call, without Python's lock.

    Args:
        function: Of arrays and numbers; type checks of tests, which numba cannot read, are taken off.
        fastmath: LLVM's names of the liberties with floating point that the function may take.
        inline: Whether the compiled functions that call it hold its code, and no call.
    """
    import numba  # a fifth of a second, which other uses of a room need not pay

    plain = getattr(function, "__wrapped__", function)
    options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath), "forceinline": inline}
    try:
        return _without_unreadable(numba.njit(cache=True, **options)(plain))
    except RuntimeError:  # nowhere to keep compiled code, neither beside its file nor in the user's cache
        return numba.njit(**options)(plain)


def _without_unreadable(function: Any) -> Any:
    """``function``, whose kept code is dropped if its index cannot be read.

    numba reads the index before it compares dates: that of another version of proband may name modules that
    are no more, and a file may be cut.
    """
    try:
        function._cache._cache_file.load(None)
    except Exception:
        function._cache.flush()
    return function
