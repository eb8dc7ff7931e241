"""The ``proband`` command: gathers the sub-commands and turns errors into one clear line."""

from __future__ import annotations

import errno
import os
import sys

import typer

from proband.cli import (
    demo,
    ehr,
    evaluate,
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
from proband.cli.options import GroupedCommand
from proband.core.errors import ProbandError

INTERRUPTED = 130
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
    genome,
    tokens,
    train,
    forecast,
    likelihood,
    evaluate,
    realism,
    report,
):
    _name = _module.__name__.rsplit(".", 1)[-1]
    app.command(_name, cls=GroupedCommand)(_module.command)


@app.callback()
def _root() -> None:
    """Keep ``proband`` a group of sub-commands."""


def main() -> None:
    """Run the command line and exit: 0 done, 2 unusable input, 130 interrupted."""
    try:
        app()
    except ProbandError as error:
        sys.exit(_fail(str(error)))
    except (KeyboardInterrupt, SystemExit) as ending:  # typer turns the first into the second
        if isinstance(ending, SystemExit) and ending.code != INTERRUPTED:
            raise
        news = "no partial output was left in place; a resumable stage keeps OUT.partial"
        print(f"proband: interrupted; {news}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        sys.exit(
            _fail(
                f"cannot write; in {error.filename or 'the output'}; found {os.strerror(error.errno)}; "
                "remedy: free space or choose another output folder"
            )
        )


def _fail(message: str) -> int:
    print(f"proband: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
