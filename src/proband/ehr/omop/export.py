"""Streaming the events from the engine into files of whole subjects; an interrupted export goes on.

The engine sorts by subject_id and time alone, so that no collation matters; what has one time is ordered
later, here. Of the stream no more is held than one file's rows, or one subject's.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from proband.core.files.atomic import whole_file
from proband.core.files.jsonfiles import read_object, write_json
from proband.core.running.progress import say
from proband.ehr.meds.dataset import BIRTH, DEATH, DISCHARGE, Shard, conform, in_pieces
from proband.ehr.omop.engines.stream import stream

if TYPE_CHECKING:
    import ibis

STARTED = Path(".work") / "started.json"
"""In the folder in which the output grows: what the tables held when their export began."""

_PARTS = "events"


def parts_of(work: Path, seen: Mapping[str, Any]) -> list[Path]:
    """The files that an interrupted export finished, if the tables still hold what they held.

    Args:
        work: Folder of work in progress.
        seen: Counts of rows by table, as JSON values.
    """
    folder, path = work / _PARTS, work / STARTED.name
    if path.is_file() and read_object(path) == seen:
        return sorted(folder.glob("*.parquet"))
    if path.is_file():
        say("ehr: the tables have changed since the interrupted export began; it begins anew")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_json(path, seen)
    return []


def last_subject(parts: list[Path]) -> int | None:
    """The last subject of the files; None where there are none."""
    return None if not parts else pl.read_parquet(parts[-1], columns=["subject_id"])["subject_id"][-1]


def export(events: ibis.Table, work: Path, finished: list[Path], rows: int) -> list[Shard]:
    """Write events to files of whole subjects.

    Args:
        events: In order, of subjects after those of ``finished``.
        work: Folder of work in progress.
        finished: Files of an earlier call, as :func:`parts_of` gives.
        rows: Most rows of a file, unless one subject alone has more.

    Returns:
        All files in order of subject_id.
    """
    files = list(finished)
    batches = (conform(pl.DataFrame(batch), "the events") for batch in stream(events))
    for piece in in_pieces(batches, rows):
        path = work / _PARTS / f"{len(files):06d}.parquet"
        with whole_file(path) as temporary:
            piece.write_parquet(temporary, compression="lz4")
        files.append(path)
    return [Shard(path, None) for path in files]


def counts_by_code(files: list[Shard], person_codes: Sequence[str] = (BIRTH,)) -> dict[str, int]:
    """Events that are made beside those of each row: of person, and of the ends of visits.

    Args:
        files: All events.
        person_codes: Codes of the dated events of person.

    Returns:
        num_person_events, num_discharges, and num_deaths, wherever these were recorded.
    """
    code, of_person = pl.col("code"), pl.col("code").is_in(person_codes) | pl.col("time").is_null()
    discharges = code.str.starts_with(DISCHARGE).sum()
    counts = {"num_person_events": of_person.sum(), "num_discharges": discharges}
    counts["num_deaths"] = (code == DEATH).sum()
    if not files:
        return dict.fromkeys(counts, 0)
    counted = pl.scan_parquet([file.path for file in files]).select(**counts)
    return counted.collect(engine="streaming").row(0, named=True)
