"""The stage: a results folder in, one HTML file out."""

from __future__ import annotations

from pathlib import Path

from proband.core.atomic import whole_file
from proband.core.errors import ConfigError
from proband.core.lock import only_writer
from proband.core.progress import say
from proband.core.provenance import open_output, real_folder
from proband.report import sections
from proband.report.html import render
from proband.report.simulated import how_compared, simulated_section
from proband.report.tables import cohort_table


def report(results: Path, out: Path, realism: Path | None = None, overwrite: bool = False) -> None:
    """Write the report of a results folder.

    Args:
        results: Folder of ``proband evaluate``.
        out: HTML file to write, whole or not at all.
        realism: Folder of ``proband realism``, for a section on simulated futures.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: ``out`` exists with other content and ``overwrite`` is not given, it is a folder, or
            another process is writing it.
        DataError: ``results`` or ``realism`` is no finished folder of its stage.
    """
    if out.is_dir():
        raise ConfigError("the output is a folder", where=out, expected="a file such as report.html")
    manifest = open_output(results, "evaluate")
    tables = sections.read_results(results)
    outcomes = sections.outcome_sections(tables)
    page = render(
        {
            "title": "Risk model evaluation",
            "warning": sections.warning(tables, outcomes),
            "outcomes": outcomes,
            "overview": sections.overview(tables, outcomes),
            "legend": sections.legend(tables),
            "cohort": cohort_table(tables["cohort"]),
            "simulated": None if realism is None else simulated_section(realism),
            "how_made": sections.how_made(manifest) + ([] if realism is None else how_compared(realism)),
        }
    )
    if not out.exists() or overwrite:
        _write(page, out)
    elif out.read_bytes() == page.encode():
        say(f"report: {out} is already finished; nothing to do")
    else:
        remedy = "choose another file or pass --overwrite"
        raise ConfigError("the output file exists, with other content", where=out, remedy=remedy)


def _write(page: str, out: Path) -> None:
    """Write the page with the mode that the umask allows: it may leave."""
    out = real_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(out), whole_file(out, private=False) as temporary:
        temporary.write_text(page, encoding="utf-8")
