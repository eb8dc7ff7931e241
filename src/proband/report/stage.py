"""The stage: a results folder in, one HTML file out."""

from __future__ import annotations

from pathlib import Path

from proband.core.errors import ConfigError, DataError
from proband.core.files.atomic import whole_file
from proband.core.files.lock import only_writer
from proband.core.files.manifest import open_output
from proband.core.files.provenance import real_folder
from proband.core.running.progress import say
from proband.core.schema import LABELS
from proband.explain.tables import PARTS
from proband.report.sections.found import read_results
from proband.report.sections.page import content
from proband.report.size import render_within

_DOCTYPE, _TITLE, _HEAD = b"<!doctype html>", b"<title>proband: ", 4096
"""What a page begins with, and the title that it has within so many bytes."""


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
        overwrite: Replace an existing page.
        synthetic: The data are of no person: say so in a banner and hide nothing. Results beside which a
            truth was given are so without being told.
        explain: Folder of ``proband explain``, for a section on why risks are what they are.

    Raises:
        ConfigError: ``out`` exists with other content and ``overwrite`` is not given, or is no page; it is a
            folder or lies in ``results``; or another process is writing it.
        DataError: ``results``, ``realism`` or ``explain`` is no finished folder of its stage, or ``explain``
            is of other people.
    """
    if out.is_dir():
        raise ConfigError("the output is a folder", where=out, expected="a file such as report.html")
    found = read_results(results, synthetic)
    if out.resolve().is_relative_to(results.resolve()):
        remedy = "name a file beside the results folder"
        raise ConfigError("the page would lie in the results folder", where=out, remedy=remedy)
    if out.exists() and not _is_page(out):
        remedy = "choose another file"
        raise ConfigError("the output file is no page of ours and is not replaced", where=out, remedy=remedy)
    if explain is not None:
        _refuse_other_people(explain, results)
    page = render_within(content(found, realism, explain))
    if not out.exists() or overwrite:
        _write(page, out)
    elif out.read_bytes() == page.encode():
        say(f"report: {out} is already finished; nothing to do")
    else:
        remedy = "choose another file or pass --overwrite"
        raise ConfigError("the output file exists, with other content", where=out, remedy=remedy)


def _refuse_other_people(explain: Path, results: Path) -> None:
    """Refuse explanations of a cohort of which nobody is in the results.

    Raises:
        DataError: They are, or the folder is no finished one of its stage.
    """
    open_output(explain, "explain")
    explained = PARTS.read(explain / "parts.parquet")["subject_id"].unique()
    labelled = LABELS.read(results / "labels.parquet")["subject_id"]
    if len(explained) and not explained.is_in(labelled.to_list()).any():
        raise DataError(
            "explanations of other people than the results",
            where=explain,
            found=f"{len(explained):,} subjects, none of them in {results}",
            remedy="explain the predictions that were evaluated",
        )


def _is_page(file: Path) -> bool:
    """Whether a file begins as a report does, or is empty."""
    with open(file, "rb") as stream:
        head = stream.read(_HEAD)
    return not head or (head.lstrip()[: len(_DOCTYPE)].lower() == _DOCTYPE and _TITLE in head)


def _write(page: str, out: Path) -> None:
    """Write the page with the mode that the umask allows: it may leave."""
    out = real_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(out), whole_file(out, private=False) as temporary:
        temporary.write_text(page, encoding="utf-8")
