"""``proband report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proband.core.errors import ConfigError


def command(
    results: Annotated[Path | None, typer.Argument(help="Results folder of proband evaluate.")] = None,
    out: Annotated[Path | None, typer.Argument(help="HTML file to write.")] = None,
    realism: Annotated[
        Path | None, typer.Option(help="Folder of proband realism: adds a section on simulated futures.")
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder of proband explain: adds a section on why risks are what they are."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
    synthetic: Annotated[
        bool,
        typer.Option(
            help="The data are of no person: a banner says so and no count is hidden. Known without it where "
            "proband evaluate was given a truth."
        ),
    ] = False,
    check: Annotated[
        list[Path] | None,
        typer.Option(
            help="Scan finished pages instead, repeatable: a line per violation and status 2, or none and 0."
        ),
    ] = None,
) -> None:
    """Write one self-contained page that is safe to take out: counts of 1 to 20 are suppressed.

    Example: proband report results/ report.html

    Example: proband report --check report.html
    """
    if check:
        _check(check, synthetic, results)
        return
    if results is None or out is None:
        raise ConfigError(
            "no results or no file to write",
            where="proband report",
            expected="RESULTS OUT, or --check FILE",
            remedy="proband report results/ report.html",
        )
    from proband.report import report

    report(results, out, realism=realism, explain=explain, overwrite=overwrite, synthetic=synthetic)


def _check(pages: list[Path], synthetic: bool, results: Path | None) -> None:
    if results is not None:
        raise ConfigError("--check takes no results", found=results, remedy="pass --check FILE alone")
    from proband.report import check

    found = {page: check(page, synthetic) for page in pages}
    for page, lines in found.items():
        for line in lines:
            print(f"proband: {line}", file=sys.stderr)
        if not lines:
            print(f"{page.name}: nothing found that may not leave")
    if any(found.values()):
        raise typer.Exit(2)
