"""The ``proband`` command: gathers the sub-commands and turns errors into one clear line."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from types import FrameType
from typing import Annotated, Any

import typer

import proband
from proband.cli import (
    aces,
    demo,
    ehr,
    embed,
    evaluate,
    explain,
    finetune,
    forecast,
    genome,
    likelihood,
    oracle,
    realism,
    report,
    synth,
    tokens,
    train,
)
from proband.cli.options import GroupedCommand, expanded
from proband.core.errors import ConfigError, ProbandError, first_line, printable, tells_of_full_disk

INTERRUPTED, TERMINATED = 130, 143
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM)
_CANNOT_READ = (errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.ESTALE)
_NO_MEMORY = re.compile(
    r"can't (?:allocate memory|start new thread|spawn worker thread)|Cannot allocate memory|"
    r"bad_alloc|bad allocation|failed to map segment|kind: WouldBlock"
)
_FEWER = "fewer --workers, or a larger machine"
_LOWER_MEMORY = {
    "genome": "a lower --memory or fewer --workers, or a larger machine",
    "train": "a lower --token-budget, or a larger machine",
    "finetune": "a lower --batch-subjects or --queries, or a larger machine",
    "embed": "a larger machine",
    "forecast": "a lower --memory or fewer --workers, or a larger machine",
    "demo": "fewer --subjects, or a larger machine",
    "oracle": "fewer --replicates, or a larger machine",
    "likelihood": "a larger machine",
    "evaluate": "a task with fewer prediction times, or a larger machine",
    "explain": "fewer --subjects or outcomes at once, or a larger machine",
    "report": "a larger machine",
}
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for words that it cannot read; it exports only the subclass."""
_INVALID = re.compile(
    r"Invalid value for '(?P<flag>[^']+)'[^:]*: (?:Input should be |Value error, )?(?P<expected>.*)"
)
EPILOG = "Start with:  proband demo out/    Every sub-command has --help with examples."

app = typer.Typer(
    name="proband",
    help="A genomics-native foundation model for electronic health records.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _module in (
    demo,
    synth,
    oracle,
    ehr,
    aces,
    genome,
    tokens,
    train,
    finetune,
    forecast,
    embed,
    likelihood,
    evaluate,
    realism,
    explain,
    report,
):
    _name = _module.__name__.rsplit(".", 1)[-1]
    app.command(_name, cls=GroupedCommand)(expanded(_module.command))


def _version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        print(f"proband {proband.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep ``proband`` a group of sub-commands."""


def main() -> None:
    """Run the command line and exit: 0 done, 2 unusable input, 130 interrupted, 143 terminated."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGINT, _interrupt)
    if "" in sys.argv[1:]:
        sys.exit(
            _fail("an empty argument; remedy: give a value, or check the shell variable that it was to be")
        )
    try:
        sys.exit(app(standalone_mode=False))
    except BaseException as error:
        stopped = _stop_of(error)
        if stopped:
            news = "no partial output was left in place; a resumable stage keeps OUT.partial"
            print(
                f"proband: {'terminated' if stopped == TERMINATED else 'interrupted'}; {news}",
                file=sys.stderr,
            )
            _leave(stopped)
        if isinstance(error, _UsageError) and len(sys.argv) == 1:  # no words at all: the help
            error.show()
            sys.exit(2)
        message = _message(error)
        if not message:
            raise
        sys.exit(_fail(message))


_stopped = 0
"""Status of the signal that asked the run to end. What is raised from then on is its doing: a library that is
interrupted while it loads, or reads, tells of a failure of its own."""


def _stop_of(error: BaseException) -> int:
    """Status of the signal that ended a run, 0 if none did; typer turns an interruption into an exit."""
    if isinstance(error, SystemExit):
        return int(error.code or 0) if error.code in (INTERRUPTED, TERMINATED) else 0
    return _stopped or (INTERRUPTED if isinstance(error, KeyboardInterrupt) else 0)


def _message(error: BaseException) -> str:
    """The line for an error that is the input's, the disk's or the memory's; empty for another."""
    if isinstance(error, _UsageError):
        return _of_usage(error)
    if isinstance(error, MemoryError) or (isinstance(error, Exception) and _NO_MEMORY.search(str(error))):
        return _of_memory(error)  # a reader cannot tell a damaged file from memory that ran out
    if isinstance(error, ProbandError):
        return str(error)
    return _of_the_disk(error) if isinstance(error, Exception) else ""


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End as on an error; a further Ctrl-C ends the process at once, whatever is being tidied."""
    global _stopped
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _stopped = INTERRUPTED
    raise KeyboardInterrupt


def _leave(code: int) -> None:
    """End without the interpreter's own tidying, which may wait for a thread left at work."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    """End as on an error, so that temporary folders are removed; batch queues send this first."""
    global _stopped
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # they send more than one
    _stopped = TERMINATED
    raise SystemExit(TERMINATED)


def _of_usage(error: Any) -> str:
    """The line for words that are no arguments or options of the sub-command."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = f"proband {error.ctx.info_name}" if error.ctx and error.ctx.parent else "proband"
    remedy = f"see {command} --help"
    invalid = _INVALID.fullmatch(text)
    if invalid:
        return str(ConfigError(f"unusable {invalid['flag']}", expected=invalid["expected"], remedy=remedy))
    return str(ConfigError(text[0].lower() + text[1:], remedy=remedy))


def _of_memory(error: Exception) -> str:
    """The line for memory that ran out; names the option of the sub-command that lowers it."""
    found = first_line(error).partition("; remedy: ")[0] if str(error) else "no memory left"
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    return f"not enough memory; found {found}; remedy: {_LOWER_MEMORY.get(command, _FEWER)}"


def _of_the_disk(error: Exception) -> str:
    """The line for what the disk refused; empty for another error."""
    where = getattr(error, "filename", None)
    if why := _cannot_write(error):
        remedy = "free space or choose another output folder"
        return f"cannot write; in {where or 'the output'}; found {why}; remedy: {remedy}"
    if isinstance(error, FileExistsError | NotADirectoryError) and where:
        remedy = "choose another output folder"
        return f"a file where a folder is expected; in {where}; remedy: {remedy}"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"a name too long for the disk; in {str(where)[-60:]}; remedy: choose a shorter one"
    if isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and error.errno in _CANNOT_READ):
        why = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        remedy = (
            "an input was moved, or its disk failed, while it was read: put it back and run the same again"
        )
        return f"cannot read; in {where or 'an input'}; found {why}; remedy: {remedy}"
    return ""


def _cannot_write(error: Exception) -> str:
    """Why nothing can be written, in words; empty for another error.

    Polars, DuckDB and Arrow put it into a message; NumPy tells of fewer bytes written than were asked for.
    """
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        return os.strerror(error.errno)
    return os.strerror(errno.ENOSPC) if tells_of_full_disk(error) else ""


def _fail(message: str) -> int:
    print(f"proband: {printable(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
