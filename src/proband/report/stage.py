"""The stage: a results folder in, one HTML file out."""

from __future__ import annotations

from pathlib import Path

from proband.core.errors import ConfigError
from proband.core.files.atomic import whole_file
from proband.core.files.lock import only_writer
from proband.core.files.provenance import real_folder
from proband.core.running.progress import say
from proband.report.sections.found import read_results
from proband.report.sections.page import content
from proband.report.size import render_within


def report(
    results: Path,
    out: Path,
    realism: Path | None = None,
    overwrite: bool = False,
    synthetic: bool = False,
    explain: Path | None = None,
) -> None:
    """Write the report of a results folder.

    Args:
        results: Folder of ``proband evaluate``.
        out: HTML file to write, whole or not at all.
        realism: Folder of ``proband realism``, for a section on simulated futures.
        overwrite: Replace an existing file.
        synthetic: The data are of no person: say so in a banner and hide nothing. Results beside which a
            truth was given are so without being told.
        explain: Folder of ``proband explain``, for a section on why risks are what they are.

    Raises:
        ConfigError: ``out`` exists with other content and ``overwrite`` is not given, it is a folder, or
            another process is writing it.
        DataError: ``results``, ``realism`` or ``explain`` is no finished folder of its stage.
    """
    if out.is_dir():
        raise ConfigError("the output is a folder", where=out, expected="a file such as report.html")
    page = render_within(content(read_results(results, synthetic), realism, explain))
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
