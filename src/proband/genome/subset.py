"""Some of the scores of a genome folder, as a genome folder: without those of the own cohort."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from proband.core.errors import ConfigError, DataError
from proband.core.files.jsonfiles import read_objects, write_json
from proband.core.files.manifest import check_stage, read_manifest
from proband.core.files.provenance import is_finished, stage_output
from proband.core.files.tables import write_tsv
from proband.core.running.progress import say
from proband.core.schema import ADJUSTED, MATCH, scores_file
from proband.genome.cohorts import SourceCohorts, cohort_counts, say_cohorts
from proband.genome.config import LeaveOut

_COPIED = ("samples.parquet", "pcs.parquet", "ancestry.parquet", "dosages.parquet", "variants.tsv")
_LEFT_OUT = "num_scores_cohort_left_out"
_OF_ALL_SCORES = ("num_scores", "num_variants_used", "num_rows_matched", "num_rows_homozygous_reference")
"""Counts that hold for all scores together and are not known of some of them."""


def genome_from_genome(
    source: Path,
    out: Path,
    *,
    development: Path | None = None,
    own_cohort: Sequence[str] = (),
    leave_out: LeaveOut = "none",
    overwrite: bool = False,
) -> None:
    """Write a genome folder with some of the scores of another; nothing is scored or fitted again.

    The fit of the ancestry step (ancestry_model.npz) and the pictures stay with the other folder.

    Args:
        source: A genome folder.
        out: Output folder.
        development: Table of source cohorts, see :func:`proband.genome.cohorts.read_cohorts`; default what
            the folder knows.
        own_cohort: The cohorts whose people were scored, beside those that the folder names.
        leave_out: Which scores to leave out.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The output folder is in use; scores are to be left out and their source cohorts are not
            known; no sample of the table is of the own cohort.
        DataError: ``source`` is no genome folder, the table is unusable, or no score is left.
    """
    if development is None:
        SourceCohorts.read(None, own_cohort)  # refuses an own cohort without a table
    check_stage(source, "genome")
    before = read_manifest(source)
    config = dict(before.get("config", {})) | {"leave_out": leave_out}
    own = list(dict.fromkeys([*config.get("own_cohort", ()), *own_cohort]))
    config |= {"own_cohort": own} if own else {}
    cohorts = SourceCohorts.read(development, own) if development else None
    inputs = [source, *([development] if development else [])]
    if is_finished(out, "genome", config, overwrite, inputs):
        return
    described = read_objects(source / "scores.json")
    if cohorts:
        described = cohorts.mark(described)
    kept = _kept(described, leave_out, source)
    with stage_output(out, stage="genome", config=config, inputs=inputs, overwrite=overwrite) as run:
        num_adjusted = _write(source, run.folder, kept)
        write_json(run.folder / "scores.json", kept)
        counts = before.get("counts", {})
        run.counts |= {name: one for name, one in counts.items() if name not in _OF_ALL_SCORES}
        run.counts |= cohort_counts(kept) | {"num_scores": len(kept)}
        run.counts |= {} if num_adjusted is None else {"num_scores_adjusted": num_adjusted}
        run.counts[_LEFT_OUT] = counts.get(_LEFT_OUT, 0) + len(described) - len(kept)
    say_cohorts(kept, own)


def _kept(
    described: Mapping[str, dict[str, Any]], leave_out: LeaveOut, where: Path
) -> dict[str, dict[str, Any]]:
    """The scores that stay."""
    if leave_out == "none":
        return dict(described)
    if not any("own_cohort" in entry for entry in described.values()):
        raise ConfigError(
            "--leave-out without known source cohorts", where=where,
            remedy="give --development and --own-cohort",
        )  # fmt: skip
    wanted = (False, None) if leave_out == "own" else (False,)
    kept = {name: entry for name, entry in described.items() if entry.get("own_cohort") in wanted}
    read = [name for name in pl.read_parquet_schema(scores_file(where)) if name in kept]
    if not read:
        others = "" if leave_out == "own" else " or of unknown cohorts"
        raise DataError(
            "no score is left", where=where, found=f"{len(described)} scores, all of the own cohort{others}",
            remedy="do without a genome, or give more scores",
        )  # fmt: skip
    say(f"genome: left out ({leave_out}): {len(described) - len(kept)} of {len(described)} scores")
    return kept


def _write(source: Path, folder: Path, kept: Mapping[str, object]) -> int | None:
    """The tables of scores with fewer columns, the others as they are; returns how many are adjusted."""
    columns, num_adjusted = ["subject_id", *kept], None
    _select(source / "scores.parquet", folder / "scores.parquet", columns)
    if (source / ADJUSTED).is_dir():
        (folder / ADJUSTED).mkdir()
        for path in sorted((source / ADJUSTED).glob("*.parquet")):
            num_adjusted = _select(path, folder / ADJUSTED / path.name, columns)
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    match = MATCH.read(source / "match.parquet")
    match = match.filter(~pl.col("kept") | pl.col("pgs_id").is_in(list(kept)))
    MATCH.write(match, folder / "match.parquet")
    write_tsv(match, folder / "match.tsv")
    return num_adjusted


def _select(source: Path, out: Path, columns: Sequence[str]) -> int:
    """Some columns of a table, a part at a time; returns how many scores these are."""
    table = pl.scan_parquet(source)
    has = set(table.collect_schema().names())
    chosen = [name for name in columns if name in has]
    table.select(chosen).sink_parquet(out, compression="zstd")
    return len(chosen) - 1
