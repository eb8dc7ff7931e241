"""What every engine gives: tables, a description for the manifest, its complaints in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proband.core.errors import ProbandError

if TYPE_CHECKING:
    import ibis


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Engine:
    """Tables and what runs expressions over them.

    Attributes:
        tables: By name in lower case.
        complaint: The engine's error as one line; None for an error that is not its own.
        about: What the manifest says of it; no user, no host, no credentials.
        close: Ends the connection.
        fuse_selects: Whether ibis merges selects of selects into one. What an engine merges by itself is left
            to it: on a small source ibis takes a quarter of the CPU time of the stage for that.
    """

    tables: dict[str, ibis.Table]
    complaint: Callable[[Exception], ProbandError | None]
    about: dict[str, object] = field(default_factory=dict)
    close: Callable[[], None] = _nothing
    fuse_selects: bool = True

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Closes the connection if the block fails, with the engine's complaint in one line."""
        try:
            yield
        except Exception as error:
            self.close()
            if isinstance(error, ProbandError) or (told := self.complaint(error)) is None:
                raise
            raise told from None

    @contextlib.contextmanager
    def at_work(self) -> Iterator[dict[str, ibis.Table]]:
        """The tables, while they are read; closes the connection afterwards.

        Raises:
            ProbandError: In place of what the engine raised.
        """
        with self.closed_on_error(), _fused(self.fuse_selects):
            yield self.tables
        self.close()


@contextlib.contextmanager
def _fused(wanted: bool) -> Iterator[None]:
    """ibis's option of that name within the block, and as it was afterwards."""
    import ibis

    before = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = wanted
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before
