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
from proband.core.running.progress import say
from proband.core.schema import MATCH, write_tsv
from proband.genome.cohorts import SourceCohorts, cohort_counts, say_cohorts
from proband.genome.config import LeaveOut

_ADJUSTED = "adjusted"
_COPIED = ("samples.parquet", "pcs.parquet", "ancestry.parquet", "dosages.parquet", "variants.tsv")
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
        own_cohort: The cohorts whose people were scored.
        leave_out: Which scores to leave out.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The output folder is in use; scores are to be left out and their source cohorts are not
            known; no sample of the table is of the own cohort.
        DataError: ``source`` is no genome folder, the table is unusable, or no score is left.
    """
    cohorts = SourceCohorts.read(development, own_cohort)
    check_stage(source, "genome")
    before = read_manifest(source)
    asked = {"own_cohort": list(own_cohort)} if own_cohort else {}
    config = dict(before.get("config", {})) | asked | {"leave_out": leave_out}
    inputs = [source, *([development] if development else [])]
    if is_finished(out, "genome", config, overwrite, inputs):
        return
    described = read_objects(source / "scores.json")
    if cohorts:
        described = cohorts.mark(described)
    kept = _kept(described, leave_out, source)
    with stage_output(out, stage="genome", config=config, inputs=inputs) as run:
        _write(source, run.folder, kept)
        write_json(run.folder / "scores.json", kept)
        left = {name: one for name, one in before.get("counts", {}).items() if name not in _OF_ALL_SCORES}
        run.counts |= left | cohort_counts(kept)
        run.counts |= {"num_scores": len(kept), "num_scores_cohort_left_out": len(described) - len(kept)}
    say_cohorts(kept, config.get("own_cohort", ()))


def _kept(
    described: Mapping[str, dict[str, Any]], leave_out: LeaveOut, where: Path
) -> dict[str, dict[str, Any]]:
    """The scores that stay."""
    if leave_out == "none":
        return dict(described)
    flags = {name: entry.get("own_cohort") for name, entry in described.items()}
    if all(flag is None for flag in flags.values()):
        raise ConfigError(
            "--leave-out without known source cohorts", where=where,
            remedy="give --development and --own-cohort",
        )  # fmt: skip
    wanted = (False, None) if leave_out == "own" else (False,)
    kept = {name: described[name] for name, flag in flags.items() if flag in wanted}
    if not kept:
        raise DataError(
            "no score is left", where=where, found=f"{len(flags)} scores, all of the own cohort or unknown",
            remedy="leave out fewer (--leave-out own), or do without a genome",
        )  # fmt: skip
    say(f"genome: {len(flags) - len(kept)} of {len(flags)} scores are left out ({leave_out})")
    return kept


def _write(source: Path, folder: Path, kept: Mapping[str, object]) -> None:
    """The tables of scores with fewer columns, the others as they are."""
    columns = ["subject_id", *kept]
    _select(source / "scores.parquet", folder / "scores.parquet", columns)
    if (source / _ADJUSTED).is_dir():
        (folder / _ADJUSTED).mkdir()
        for path in sorted((source / _ADJUSTED).glob("*.parquet")):
            _select(path, folder / _ADJUSTED / path.name, columns)
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    match = MATCH.read(source / "match.parquet")
    match = match.filter(~pl.col("kept") | pl.col("pgs_id").is_in(list(kept)))
    MATCH.write(match, folder / "match.parquet")
    write_tsv(match, folder / "match.tsv")


def _select(source: Path, out: Path, columns: Sequence[str]) -> None:
    """Some columns of a table, a part at a time."""
    table = pl.scan_parquet(source)
    has = table.collect_schema().names()
    table.select(name for name in columns if name in has).sink_parquet(out, compression="zstd")
