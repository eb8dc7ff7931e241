"""``proband report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    results: Annotated[Path, typer.Argument(help="Results folder of proband evaluate.")],
    out: Annotated[Path, typer.Argument(help="HTML file to write.")],
    realism: Annotated[
        Path | None, typer.Option(help="Folder of proband realism: adds a section on simulated futures.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
) -> None:
    """Write one self-contained page that is safe to take out: counts of 1 to 20 are suppressed.

    Example: proband report results/ report.html
    """
    from proband.report import report

    report(results, out, realism=realism, overwrite=overwrite)
