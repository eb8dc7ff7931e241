"""``proband aces``: an ACES configuration -> a task file and a label file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from proband.core.errors import ConfigError, DataError
from proband.core.files.provenance import is_finished, stage_output
from proband.core.running.progress import say, track
from proband.core.units import MICROSECONDS_PER_DAY, MICROSECONDS_PER_YEAR
from proband.ehr.aces.cohort import ROWS, cohort
from proband.ehr.aces.config import Aces, Predicate, load_aces
from proband.ehr.meds.dataset import DEATH, list_shards, read_codes, read_shard
from proband.ehr.outcomes import PredictionTimes, Task, require_known
from proband.ehr.task.codesets import CodeSet

STAGE, LABEL_FILE, TASK_FILE = "aces", "labels.parquet", "task.yaml"


def aces(
    config: Path, meds: Path, out: Path, *, predicates: Path | None = None, overwrite: bool = False
) -> None:
    """Write a task file that asks what an ACES configuration asks, and the configuration's label file.

    Args:
        config: The configuration (YAML).
        meds: A MEDS folder.
        out: Output folder.
        predicates: A file with predicates of the dataset, which stand in the place of the configuration's.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The configuration is unusable, or of a form that a task file does not have.
        DataError: The MEDS folder is unusable, or no trigger makes a row.
    """
    inputs = [config, meds, *([predicates] if predicates else [])]
    settings = {"config": str(config), "predicates": None if predicates is None else str(predicates)}
    if is_finished(out, STAGE, settings, overwrite, inputs):
        return
    asked = load_aces(config, predicates)
    known = read_codes(meds)
    task = task_of(asked, known)
    require_known(task, known)
    frames = [cohort(read_shard(shard.path), asked) for shard in track(list_shards(meds), "Reading shards")]
    rows = pl.concat([pl.DataFrame(schema=ROWS), *frames]).sort("subject_id", "prediction_time")
    if rows.is_empty():
        remedy = "look at its predicates' codes in metadata/codes.parquet, and at the windows' has"
        raise DataError("no trigger makes a row", where=config, remedy=remedy)
    with stage_output(out, stage=STAGE, config=settings, inputs=inputs, overwrite=overwrite) as run:
        rows.write_parquet(run.folder / LABEL_FILE, compression="zstd")
        (run.folder / TASK_FILE).write_text(_yaml(task), encoding="utf-8")
        run.counts.update(num_rows=rows.height, num_subjects=rows["subject_id"].n_unique())
        run.counts["num_true"] = int(rows["boolean_value"].sum())
    true, people = int(rows["boolean_value"].sum()), rows["subject_id"].n_unique()
    say(f"aces: {rows.height:,} rows of {people:,} subjects, {true:,} true, and the task in {out}")


def task_of(asked: Aces, known: Collection[str]) -> Task:
    """The task that asks for the label of a configuration at its prediction times.

    Args:
        asked: The configuration.
        known: Codes of the data.

    Raises:
        ConfigError: A task cannot ask for it: the target window does not lie after the prediction time, or
            who had the label before, or in the gap, is not kept out.
    """
    target, where = asked.target, asked.where
    place = f"windows.{target.name}"
    if target.start is None or target.end is None or not asked.index <= target.start < target.end:
        found = "a target that does not lie between the prediction time and a fixed time after it"
        expected = "bounds such as start: trigger and end: start + 1826d"
        raise ConfigError(f"{place} is no horizon", where=where, found=found, expected=expected)
    if target.start_inclusive or not target.end_inclusive:
        expected = "start_inclusive: false and end_inclusive: true, since a horizon is counted so"
        raise ConfigError(f"{place} is no horizon", where=where, expected=expected)
    codes = _label_codes(asked)
    if codes.select(known) != [DEATH]:  # nobody dies twice
        _require_new(asked, None, asked.index, "by the prediction time")
    if target.start > asked.index:
        _require_new(asked, asked.index, target.start, "between the prediction time and the target")
    return Task(
        outcomes={asked.label: codes},
        prediction=PredictionTimes(file=LABEL_FILE),
        horizons_years=((target.end - asked.index) / MICROSECONDS_PER_YEAR,),
        gap_days=(target.start - asked.index) / MICROSECONDS_PER_DAY,
    )


def _require_new(asked: Aces, start: int | None, end: int, when: str) -> None:
    """Refuse a configuration none of whose windows keeps out who has the label in a stretch of time.

    Raises:
        ConfigError: There is no such window.
    """
    for span in asked.spans:
        begins = span.start is None or (start is not None and span.start <= start)
        ends = span.end is None or span.end > end or (span.end == end and span.end_inclusive)
        if begins and ends and span.has.get(asked.label, (None, None))[1] == 0:
            return
    expected = f"a window over that time with has: {{{asked.label}: (None, 0)}}"
    remedy = f"add it: risks are of first occurrences; or ask for {DEATH}"
    raise ConfigError(
        f"who has {asked.label} {when} is not kept out", where=asked.where, expected=expected, remedy=remedy
    )


def _label_codes(asked: Aces) -> CodeSet:
    """The codes of the label predicate, and its bounds.

    Raises:
        ConfigError: It is no set of codes, or its parts have different bounds, or ones that count themselves.
    """
    parts = [asked.label]
    plain: list[Predicate] = []
    while parts:
        name = parts.pop()
        combines, inner = asked.predicates[name].combined if name in asked.predicates else ("and", ())
        if combines == "and":
            raise _no_codes(asked)
        parts += inner
        plain += [] if combines else [asked.predicates[name]]
    bounds = {(one.value_min, one.value_max) for one in plain}
    counted = any(
        (one.value_min is not None and one.value_min_inclusive)
        or (one.value_max is not None and one.value_max_inclusive)
        for one in plain
    )
    if len(bounds) > 1 or counted:
        raise _no_codes(asked)
    ((above, below),) = bounds
    codes = dict.fromkeys(code for one in plain for code in one.codes)
    regexes = sorted({one.regex for one in plain if one.regex})
    regex = "|".join(f"(?:{one})" for one in regexes) if len(regexes) > 1 else "".join(regexes)
    return CodeSet(codes=tuple(codes), regex=regex or None, above=above, below=below)


def _no_codes(asked: Aces) -> ConfigError:
    expected = "codes, or an or() of codes, with one pair of bounds that do not count themselves, or without"
    return ConfigError(f"the label {asked.label} is no set of codes", where=asked.where, expected=expected)


def _yaml(task: Task) -> str:
    """The task file's text."""
    import yaml

    content = task.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
