"""Writing MEDS: shards by split, the subjects' splits, the codes' metadata."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError, first_line
from proband.core.files.jsonfiles import write_json
from proband.core.files.provenance import StageRun
from proband.core.running.engine import map_shards
from proband.core.running.progress import say
from proband.core.schema import SPLITS
from proband.ehr.config import EhrConfig
from proband.ehr.meds.clean import Early, refuse_early, repeated, tidy
from proband.ehr.meds.dataset import (
    CODES,
    DATA,
    DATASET,
    EXIT,
    MEDS_VERSION,
    SUBJECT_SPLITS,
    Shard,
    bare,
    whole_subjects,
)
from proband.ehr.meds.follow_up_end import (
    Ends,
    add_ends,
    cut_ends,
    cut_unsupported,
    first_after_birth,
    last_end,
    last_open,
    last_second,
    num_open,
    record_days,
    refuse_before_records,
    without_later_deaths,
)
from proband.ehr.meds.kinship import Families
from proband.ehr.meds.left_out import say_what_was_left_out
from proband.ehr.meds.splits import assign_splits
from proband.ehr.units.counts import codes_of_several_units, units_of

_CODE_COLUMNS = "columns code and description of text, parent_codes of lists of text"


@dataclass(frozen=True)
class _Piece:
    """What became of one piece of an input shard: subjects seen in it, subjects kept, their splits, ..."""

    seen: np.ndarray
    subject_ids: np.ndarray
    splits: pl.Series
    codes: set[str]
    files: list[Shard]
    counts: Counter[str]
    early: Early | None
    examples: dict[str, str]
    days: pl.DataFrame
    first: datetime | None
    last_end: datetime | None
    last_open: datetime | None
    units: pl.DataFrame


def write_events(
    source: object,
    shards: list[Shard],
    given: pl.DataFrame | None,
    config: EhrConfig,
    run: StageRun,
    workers: int | None,
    families: Families | None = None,
    examples: Mapping[str, str] | None = None,
) -> tuple[list[str], pl.DataFrame]:
    """Write data/ and the splits, and fill in the counts.

    ``source`` is what messages call the data; ``examples`` are of rows left out before.

    Returns:
        The codes that occur, and subject_id and split of every subject.
    """
    if given is not None and families is not None:
        given = _with_relatives(given, families)
    write = functools.partial(_write_shard, given=given, config=config, folder=run.folder, families=families)
    jobs = list(enumerate(shards))
    results = map_shards(write, jobs, description="Writing events", workers=workers)
    pieces = [piece for result in results for piece in result]
    if not pieces:
        raise DataError("no events", where=source, expected="at least one person with a record")
    _refuse_shared(shards, results)
    counts: Counter[str] = Counter()
    for piece in pieces:
        counts.update(piece.counts)
    early = [piece.early for piece in pieces if piece.early]
    if early and not config.drop_before_birth:
        refuse_early(early, counts["num_before_birth"], source)
    if config.follow_up_end is not None:
        refuse_before_records([piece.first for piece in pieces if piece.first], config.follow_up_end)
    cut_at = None if config.follow_up_end else cut_unsupported(_ends(pieces), counts, write_table)
    if cut_at is not None:
        run.notes["follow_up_cut_at"] = cut_at.isoformat()
    _number_files([file for piece in pieces for file in piece.files], run.folder / DATA)
    subjects = _write_splits(pieces, counts, run, source, came_with_splits=given is not None)
    _note_what_was_found(pieces, counts, run, config, examples or {})
    codes = sorted(set().union(*(piece.codes for piece in pieces)))
    run.counts["num_codes"] = len(codes)
    return codes, subjects


def _ends(pieces: list[_Piece]) -> list[Ends]:
    return [
        Ends(piece.days, piece.last_end, piece.last_open, [file.path for file in piece.files])
        for piece in pieces
    ]


def _write_splits(
    pieces: list[_Piece], counts: Counter[str], run: StageRun, source: object, came_with_splits: bool
) -> pl.DataFrame:
    """Write subject_id and split of every subject, and count them."""
    subjects = pl.DataFrame(
        {
            "subject_id": np.concatenate([piece.subject_ids for piece in pieces]),
            "split": pl.concat([piece.splits for piece in pieces]),
        }
    ).sort("subject_id")
    if subjects.is_empty():
        found = f"{counts['num_no_birth']:,} subjects without a birth"
        if impossible := run.counts.get("num_impossible_birth"):
            found += f", {impossible:,} births of a year, month or day in no calendar or before 1800"
        remedy = "give births, with years of four digits, or pass --assume-birth"
        raise DataError("no subject is left", where=source, found=found, remedy=remedy)
    (run.folder / SUBJECT_SPLITS).parent.mkdir()
    write_table(subjects, run.folder / SUBJECT_SPLITS)
    run.counts["num_subjects"] = subjects.height
    for split in SPLITS:
        run.counts[f"num_subjects_{split}"] = int((subjects["split"] == split).sum())
    num_drawn = counts["num_drawn_splits"]
    if num_drawn and (came_with_splits or num_drawn < subjects.height):
        drawn = ", ".join(f"{counts[f'num_drawn_{split}']:,} {split}" for split in SPLITS)
        say(f"ehr: {num_drawn:,} subjects came without a split; drawn: {drawn}")
    return subjects


def _note_what_was_found(
    pieces: list[_Piece],
    counts: Counter[str],
    run: StageRun,
    config: EhrConfig,
    examples: Mapping[str, str],
) -> None:
    """Counts, first examples of rows left out and codes of several units, in the manifest and said."""
    for name, count in sorted(counts.items()):
        run.counts[name] = run.counts.get(name, 0) + count
    later = {reason: one for piece in reversed(pieces) for reason, one in piece.examples.items()}
    run.notes["first_left_out"] = later | dict(examples)
    run.notes["codes_of_several_units"] = several = codes_of_several_units([piece.units for piece in pieces])
    if several:
        first, units = next(iter(several.items()))
        say(
            f"ehr: {len(several)} codes have values in several units, first {first} ({', '.join(units)}); "
            "tokens converts or separates them, bounds of outcomes need a unit (all are in manifest.json)"
        )
    say_what_was_left_out(run.counts, examples, followed_to=config.follow_up_end)


def _write_shard(
    job: tuple[int, Shard],
    given: pl.DataFrame | None,
    config: EhrConfig,
    folder: Path,
    families: Families | None,
) -> list[_Piece]:
    number, shard = job
    counts: Counter[str] = Counter()
    frames = whole_subjects(shard.path, config.rows_per_shard, config.sort, counts)
    pieces = [
        _write_piece(frame, f"{number}-{index}", shard.split, given, config, folder, families)
        for index, frame in enumerate(frames)
    ]
    if pieces:
        pieces[0].counts.update(counts)
    return pieces


def _write_piece(
    raw: pl.DataFrame,
    name: str,
    split: str | None,
    given: pl.DataFrame | None,
    config: EhrConfig,
    folder: Path,
    families: Families | None,
) -> _Piece:
    frame, counts, early, examples = tidy(raw, config.assume_birth, config.latest_year)
    counts["num_open_periods"] = num_open(frame)
    first = None
    if config.follow_up_end is not None:
        first = first_after_birth(frame)
        until = last_second(config.follow_up_end)
        frame = without_later_deaths(frame, until, counts)
        frame = add_ends(cut_ends(frame, until, timedelta(0), counts), until, counts)
    counts["num_no_period"] = frame["subject_id"].n_unique() - _num_with(frame, EXIT)
    counts.update({"num_events_in": raw.height, "num_events": frame.height})
    subject_ids = frame["subject_id"].unique(maintain_order=True)
    splits = _splits_of(subject_ids, split, given, config, counts, families)
    frame = frame.join(
        pl.DataFrame({"subject_id": subject_ids, "split": splits}), on="subject_id", maintain_order="left"
    )
    files = _write_by_split(frame, name, folder)
    codes = set(frame["code"].unique())
    seen = raw["subject_id"].unique().to_numpy()
    return _Piece(
        seen=seen,
        subject_ids=subject_ids.to_numpy(),
        splits=splits,
        codes=codes,
        files=files,
        counts=counts,
        early=early,
        examples=examples,
        days=record_days(frame),
        first=first,
        last_end=last_end(frame),
        last_open=last_open(frame),
        units=units_of(frame),
    )


def _write_by_split(frame: pl.DataFrame, name: str, folder: Path) -> list[Shard]:
    """Write the rows of each split, given as a column, to a file of their own."""
    files = []
    for each in SPLITS:
        rows = frame.filter(pl.col("split") == each).drop("split")
        if rows.height:
            path = folder / DATA / each / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(rows, path)
            files.append(Shard(path, each))
    return files


def _num_with(frame: pl.DataFrame, code: str) -> int:
    return frame.filter(pl.col("code") == code)["subject_id"].n_unique()


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write Parquet in the Arrow types of the MEDS schemas, whose strings are not polars' large ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = {pl.String(): pa.string(), pl.List(pl.String): pa.list_(pa.string())}
    table = frame.to_arrow()
    fields = [field.with_type(plain.get(frame.schema[field.name], field.type)) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path, compression="zstd")


def _splits_of(
    subject_ids: pl.Series,
    split: str | None,
    given: pl.DataFrame | None,
    config: EhrConfig,
    counts: Counter[str],
    families: Families | None,
) -> pl.Series:
    """The split that came with the data, by table or else by folder, else a drawn one."""
    table = pl.DataFrame({"subject_id": subject_ids})
    if given is None:
        table = table.with_columns(pl.lit(None, pl.String).alias("split"))
    else:
        table = table.join(given, on="subject_id", how="left", maintain_order="left")
    by_folder = pl.Series("folder", [split] * table.height, dtype=pl.String)
    came = table.select(pl.coalesce("split", by_folder)).to_series()
    counts["num_drawn_splits"] = came.null_count()
    drawn = assign_splits(subject_ids.to_numpy(), config.splits, config.seed, families)
    for each in SPLITS:
        counts[f"num_drawn_{each}"] = int((came.is_null() & (drawn == each)).sum())
    return came.fill_null(drawn).rename("split")


def _with_relatives(given: pl.DataFrame, families: Families) -> pl.DataFrame:
    """The splits given, and of relatives without one that of their family, if it has one alone."""
    members = families.cluster_of.join(given, on="subject_id", how="left")
    split = pl.col("split")
    one = pl.when(split.n_unique() - split.has_nulls().cast(pl.Int64) == 1).then(split.drop_nulls().first())
    found = members.with_columns(one.over("cluster").alias("own")).filter(split.is_null())
    relatives = found.select("subject_id", pl.col("own").alias("split")).drop_nulls()
    known = given.drop_nulls("split")
    return pl.concat([known, relatives.select(known.columns)], how="vertical_relaxed")


def _refuse_shared(shards: list[Shard], results: list[list[_Piece]]) -> None:
    """Refuse a subject whose rows lie in two places."""
    for shard, pieces in zip(shards, results, strict=True):
        again = repeated([piece.seen for piece in pieces])
        if again is not None:
            expected = "each subject's rows together"
            raise DataError(
                "events are not sorted",
                where=shard.path,
                found=f"rows of subject {again} in two places",
                expected=expected,
                remedy="pass --sort",
            )
    again = repeated([piece.seen for pieces in results for piece in pieces])
    if again is not None:
        holders = [
            str(shard.path.name if shard.split is None else shard.path)
            for shard, pieces in zip(shards, results, strict=True)
            if any((piece.seen == again).any() for piece in pieces)
        ]
        found = f"subject {again} in {' and '.join(holders[:2])}"
        raise DataError(
            "subject in two shards", where=shards[0].path.parent, found=found, expected="one shard each"
        )


def _number_files(files: list[Shard], data: Path) -> None:
    """Name the shards of each split 0.parquet, 1.parquet, ... in the order of their making."""
    numbers: Counter[str] = Counter()
    for file in files:
        split = str(file.split)
        os.replace(file.path, data / split / f"{numbers[split]}.parquet")
        numbers[split] += 1


def write_codes(
    described: pl.DataFrame, codes: list[str], folder: Path, etl_name: str = "proband ehr"
) -> None:
    """Write metadata/codes.parquet, one row per code that occurs, and metadata/dataset.json."""
    table = pl.DataFrame({"code": codes}, schema={"code": pl.String}).join(
        described, on="code", how="left", maintain_order="left"
    )
    write_table(table.select("code", "description", "parent_codes"), folder / CODES)
    about = {"etl_name": etl_name, "meds_version": MEDS_VERSION, "code_modifier_columns": ["unit"]}
    write_json(folder / DATASET, about)


def conform_codes(frame: pl.DataFrame, where: Path) -> pl.DataFrame:
    """The codes' metadata that came with a MEDS dataset: code, description and parent_codes.

    Of several rows of a code the first; of ``MEDS_BIRTH`` and ``MEDS_DEATH`` the bare one, if there is one.

    Raises:
        DataError: There is no code column, or a column has a wrong type.
    """
    types = {"code": pl.String(), "description": pl.String(), "parent_codes": pl.List(pl.String)}
    if "code" not in frame.columns:
        found = f"columns {', '.join(frame.columns[:12])}"
        raise DataError("missing column code", where=where, found=found, expected=_CODE_COLUMNS)
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in frame.columns]
    try:
        frame = frame.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in types.items())
    except pl.exceptions.PolarsError as error:
        raise DataError("wrong type", where=where, found=first_line(error), expected=_CODE_COLUMNS) from None
    own = pl.col("code")
    rows = frame.sort(bare(own) != own, maintain_order=True).with_columns(bare(own))
    return rows.unique("code", keep="first", maintain_order=True)
