"""What followed each prediction time: the labels that risks are trained on and judged by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from proband.core.running.progress import say
from proband.core.schema import LABELS, TIME
from proband.core.units import MICROSECONDS_PER_DAY, MICROSECONDS_PER_YEAR
from proband.ehr.cohort import prediction_times, read_shards
from proband.ehr.meds.dataset import list_shards, read_codes, read_shard
from proband.ehr.outcomes import Task, require_known
from proband.ehr.selection import Selection
from proband.ehr.task.bounds import Units, check_bounds, values_in_unit
from proband.ehr.task.codesets import Codes, CodeSet, Pattern
from proband.ehr.task.labelled import VALUE, Labelled
from proband.ehr.task.patterns import completions
from proband.ehr.units.counts import numbers_by_unit, units_of

OUTCOME, DIED, CENSORED = 1, 2, 0


def labels(
    meds: Path, task: Task, splits: Collection[str] | None = None, *, report: bool = True
) -> pl.DataFrame:
    """Label every subject at every prediction time of the task, for each outcome.

    New onset only: who has a code of the outcome at or before the prediction time is not at risk and gets
    no row; nor does who gets it within the task's blanking gap.

    Args:
        meds: A MEDS folder, as ``proband ehr`` writes it.
        task: The task.
        splits: Splits wanted; default all.
        report: Say how many codes and subjects each line of an outcome selects.

    Returns:
        A frame of :data:`proband.core.schema.LABELS`, sorted by subject_id, prediction_time, outcome.

    Raises:
        ConfigError: The task names codes that the folder does not hold.
        DataError: A shard is unusable or a wanted split has no subject.
    """
    known = read_codes(meds)
    require_known(task, known)
    codes = {name: [step.select(known) for step in outcome.steps] for name, outcome in task.outcomes.items()}
    units = _units_of_bounds(meds, task, codes)
    selection, frames = Selection(task, known), []
    for events, spans in read_shards(meds, splits):
        if report:
            selection.add(events, spans["subject_id"])
        frames.append(label_events(events, spans, task, codes, units))
    found = pl.concat(frames).sort("subject_id", "prediction_time", "outcome")
    if report:
        selection.say()
        for name in task.labelled:
            event = found.filter(outcome=name)["event"]
            say(f"task: {name} has {len(event):,} labels under follow-up, {event.sum():,} of them true")
    return LABELS.check(found, meds)


def _units_of_bounds(
    meds: Path, task: Task, codes: Mapping[str, Sequence[Collection[str]]]
) -> dict[str, dict[str, int]]:
    """Units of the codes that a bound looks at, in the whole folder; reads nothing without a bound.

    Raises:
        ConfigError: As :func:`proband.ehr.task.bounds.check_bounds`.
    """
    steps = {
        name: [(step, found) for step, found in zip(outcome.steps, codes[name], strict=True) if step.bounded]
        for name, outcome in task.outcomes.items()
    }
    looked_at = sorted({code for bounded in steps.values() for _, found in bounded for code in found})
    if not looked_at:
        return {}
    named = pl.col("code").is_in(looked_at)
    units = numbers_by_unit([units_of(read_shard(shard.path).filter(named)) for shard in list_shards(meds)])
    check_bounds(steps, units)
    return units


def label_events(
    events: pl.DataFrame,
    spans: pl.DataFrame,
    task: Task,
    codes: Mapping[str, Sequence[Collection[str]]],
    units: Units | None = None,
) -> pl.DataFrame:
    """Label the subjects of one shard.

    An outcome at the very exit counts; so does one on the calendar day of death, whose hour is often not
    recorded. What comes after exit or after that day is not used.

    Args:
        events: Whole subjects' events, columns subject_id, time, code, numeric_value, unit.
        spans: Their follow-up with ``split``; subjects that are not in it get no labels.
        task: The task.
        codes: For each outcome the codes of its steps.
        units: Units of the codes in the whole source; default those of the events.

    Returns:
        A frame of :data:`proband.core.schema.LABELS`.
    """
    at = spans.join(prediction_times(spans, task), on="subject_id")
    frames = [LABELS.empty()]
    named = {code for steps in codes.values() for step in steps for code in step}
    events = events.filter(
        pl.col("code").is_in(sorted(named))
    )  # a panel looks through the rest once, not each time
    for name, outcome in task.outcomes.items():
        if isinstance(outcome, Labelled):
            frames.append(_as_labelled(at, outcome, name, task.horizons_years[0]))
            continue
        onsets = onset_times(events, outcome, codes[name], units)
        frames.append(_label(at.join(onsets, on="subject_id", how="left"), name, task.gap_days))
    return pl.concat(frames)


def onset_times(
    events: pl.DataFrame,
    outcome: CodeSet | Pattern,
    codes: Sequence[Collection[str]],
    units: Units | None = None,
) -> pl.DataFrame:
    """When each subject first had an outcome: at the first of its codes, or when its pattern was completed.

    Undated events are no part of it, nor where only some values count, those without a value or with one
    in a unit that does not convert to that of the bounds.

    Args:
        events: Whole subjects' events, columns subject_id, time, code, numeric_value, unit.
        outcome: The outcome.
        codes: The codes of its steps.
        units: Units of the codes in the whole source; default those of the events.

    Returns:
        subject_id and onset, a row for each subject who had it.
    """
    matches = [
        _matching(events, step, members, units)
        .group_by("subject_id")
        .agg(pl.col("time").unique().sort().alias(f"step_{number}"))
        for number, (step, members) in enumerate(zip(outcome.steps, codes, strict=True))
    ]
    if isinstance(outcome, Pattern):
        return _completed(matches, outcome)
    return matches[0].select("subject_id", pl.col("step_0").list.first().alias("onset")).collect()


def _matching(events: pl.DataFrame, step: Codes, codes: Collection[str], units: Units | None) -> pl.LazyFrame:
    """Rows of a step; bounds are rounded as values are, so that a value equal to one lies not beyond it."""
    if not step.bounded:
        return events.lazy().filter(pl.col("code").is_in(list(codes)) & pl.col("time").is_not_null())
    if units is None:
        units = numbers_by_unit([units_of(events)])
    value, matches = pl.col("numeric_value"), pl.lit(True)
    if step.above is not None:
        matches &= value > pl.lit(step.above, pl.Float32)
    if step.below is not None:
        matches &= value < pl.lit(step.below, pl.Float32)
    return values_in_unit(events, step, codes, units).lazy().filter(matches)


def _completed(matches: Sequence[pl.LazyFrame], pattern: Pattern) -> pl.DataFrame:
    """Onsets of a pattern, among subjects who have every step."""
    both = matches[0]
    for other in matches[1:]:
        both = both.join(other, on="subject_id")
    subjects, *lists = both.collect().get_columns()
    onsets = []
    for times in zip(*lists, strict=True):
        found = completions([one.to_physical().to_numpy() for one in times], pattern, MICROSECONDS_PER_DAY)
        onsets.append(int(found[0]) if len(found) else None)
    return pl.DataFrame([subjects, pl.Series("onset", onsets, pl.Int64).cast(TIME)]).drop_nulls("onset")


def _label(at: pl.DataFrame, outcome: str, gap_days: float) -> pl.DataFrame:
    time, onset, death = pl.col("prediction_time"), pl.col("onset"), pl.col("death_time")
    gap = pl.duration(microseconds=round(gap_days * MICROSECONDS_PER_DAY), time_unit="us")
    in_follow_up = (onset <= pl.col("exit_time")) | (onset.dt.date() == death.dt.date())
    happened = in_follow_up.fill_null(False)
    event = pl.when(happened).then(OUTCOME).when(death.is_not_null()).then(DIED).otherwise(CENSORED)
    until = pl.when(happened).then(onset).otherwise(pl.col("exit_time"))
    is_out = (onset <= time) | ((onset <= time + gap) & happened)
    return at.filter(~is_out.fill_null(False)).select(
        "subject_id",
        "prediction_time",
        pl.lit(outcome).alias("outcome"),
        "split",
        ((until - time).dt.total_microseconds() / MICROSECONDS_PER_YEAR).alias("time_years"),
        event.cast(pl.Int8).alias("event"),
    )


def _as_labelled(at: pl.DataFrame, outcome: Labelled, name: str, horizon: float) -> pl.DataFrame:
    """Labels as given: who had it counts as having it in the middle of the horizon, all others were followed
    to its end."""
    known = at.join(outcome.frame, on=["subject_id", "prediction_time"])
    had = pl.col(VALUE)
    return known.select(
        "subject_id",
        "prediction_time",
        pl.lit(name).alias("outcome"),
        "split",
        pl.when(had).then(horizon / 2).otherwise(horizon).cast(pl.Float64).alias("time_years"),
        pl.when(had).then(OUTCOME).otherwise(CENSORED).cast(pl.Int8).alias("event"),
    )
