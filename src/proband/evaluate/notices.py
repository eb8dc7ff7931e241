"""What is said of an evaluation's inputs, a line per kind; where nothing can be judged, an error instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import polars as pl

from proband.core.errors import DataError, first_names
from proband.core.files.provenance import StageRun
from proband.core.running.progress import say
from proband.ehr.meds.left_out import OVERSTATES
from proband.ehr.outcomes import Task
from proband.evaluate.baselines.inputs import Inputs
from proband.evaluate.frames import LARGEST_NOISE_SHARE
from proband.evaluate.groups.record import MOMENT, RECORD_YEARS
from proband.evaluate.selection.risk_sets import ROW
from proband.evaluate.tables import FLOW, METRICS

_TOO_FEW = ("too few", "follow-up of less than")
"""Beginnings of the obstacles that more subjects would remove."""
_SHORTER = "judge a shorter horizon"
_LONGER = "judge a longer horizon or more subjects, or look into the codes or labels of the outcome"
_OTHERS = "judge a shorter horizon or more subjects, or look into the codes or labels of the outcome"


def say_rows(given: pl.DataFrame, matched: pl.DataFrame, split: str) -> None:
    """Say which outcomes have no labels, which models' risks go with none, and how many predictions are left
    where RiskTables have other rows.

    Args:
        given: RiskTables of the models.
        matched: Those of their rows that have a label.
        split: The split judged.
    """
    has = set(matched["outcome"])
    if without := [name for name in given["outcome"].unique(maintain_order=True) if name not in has]:
        say(
            f"evaluate: not judged, no risk goes with a label of split {split}: {first_names(without)}; "
            "forecast the subjects labelled, at their prediction times"
        )
    _say_unlabelled_models(given, matched, split)
    place = ["outcome", "horizon_years"]
    models = matched.group_by(*place).agg(pl.col("model").n_unique().alias("num_models"))
    rows = matched.group_by(*ROW, "horizon_years").len("num_predicted").join(models, on=place)
    is_common = pl.col("num_predicted") == pl.col("num_models")
    counts = rows.group_by(place).agg(pl.len().alias("all"), is_common.sum().alias("common"))
    worst = counts.sort(pl.col("common") / pl.col("all"), *place)
    if not worst.is_empty() and worst["common"][0] < worst["all"][0]:
        outcome, horizon, every, common = worst.row(0)
        here = matched.filter(outcome=outcome, horizon_years=horizon)
        each = [
            f"{model} {number:,}"
            for model, number in here.group_by("model", maintain_order=True).len().rows()
        ]
        say(
            "evaluate: RiskTables of different rows: judged are predictions that every model makes, at the "
            f"least {common:,} of {every:,} for {outcome} at {horizon:g} years ({first_names(each)}); "
            "forecast the same subjects with each model"
        )
    _say_absent_outcomes(matched)


def _say_unlabelled_models(given: pl.DataFrame, matched: pl.DataFrame, split: str) -> None:
    """Say which models have no risk that goes with a label where others have, with a row of each kind."""
    for model in given["model"].unique(maintain_order=True) if not matched.is_empty() else ():
        if model not in set(matched["model"]):
            subject, time = given.filter(model=model).select(MOMENT).row(0)
            labelled = (
                matched.sort(pl.col("subject_id") != subject, maintain_order=True).select(MOMENT).row(0)
            )
            say(
                f"evaluate: {model} is not judged, none of its risks goes with a label of split {split}: it "
                f"has subject {subject} at {time}, labelled is subject {labelled[0]} at {labelled[1]}; "
                "forecast the subjects labelled, at their prediction times"
            )


def _say_absent_outcomes(matched: pl.DataFrame) -> None:
    """Say which models have no risks of an outcome and horizon that others have."""
    models = matched["model"].unique(maintain_order=True).to_list()
    absent = []
    for (outcome,), part in matched.group_by("outcome", maintain_order=True):
        horizons = set(part["horizon_years"])
        for model in models:
            lacking = sorted(horizons - set(part.filter(model=model)["horizon_years"]))
            if lacking:
                years = ", ".join(f"{horizon:g}" for horizon in lacking)
                absent.append(f"{model} of {outcome} at {years} years")
    if absent:
        say(
            f"evaluate: no risks, so judged without: {first_names(absent)}; "
            "forecast the same task with each model"
        )


def report_obstacles(obstacles: Mapping[tuple[str, float], str], where: str) -> None:
    """Say which outcomes cannot be judged by which horizons and why, a line per reason.

    Args:
        obstacles: (outcome, horizon) -> :meth:`~proband.evaluate.metrics.risk_set.RiskSet.obstacle`.
        where: The RiskTables, for the message.

    Raises:
        DataError: Of none there are cases and controls, or anybody followed. With too few of them there is
            nothing to estimate, but counts.
    """
    kinds: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (outcome, horizon), note in obstacles.items():
        if note:
            kinds[_kind(note)][outcome].append(horizon)
    found = {kind: _listed(places) for kind, places in kinds.items()}
    if obstacles and all(obstacles.values()) and not any(kind.startswith(_TOO_FEW) for kind in found):
        raise DataError(
            "no outcome can be judged",
            where=where,
            found="; ".join(f"{kind}: {places}" for kind, places in found.items()),
            remedy=" or ".join(dict.fromkeys(map(_remedy, found))),
        )
    for kind, places in found.items():
        say(f"evaluate: not judged, {kind}: {places}; {_remedy(kind)}")


def _kind(note: str) -> str:
    """An obstacle without its number.

    >>> _kind("0 cases by the horizon, at least 5 needed")
    'no cases by the horizon'
    >>> _kind("3 controls by the horizon, at least 5 needed")
    'too few controls by the horizon, at least 5 needed'
    """
    number, _, rest = note.partition(" ")
    if not number.isdigit():
        return note
    return f"no {rest.partition(',')[0]}" if number == "0" else f"too few {rest}"


def _remedy(kind: str) -> str:
    return _LONGER if " cases " in kind else _OTHERS if " controls " in kind else _SHORTER


def _listed(places: Mapping[str, list[float]]) -> str:
    names = [
        f"{outcome} at {', '.join(f'{one:g}' for one in horizons)} years"
        for outcome, horizons in places.items()
    ]
    return first_names(names)


def say_subgroups(members: pl.DataFrame, compared: pl.Series) -> None:
    """Say which dimensions are not compared, and why.

    Not of the length of the record where it is one for all: predictions a fixed time after entry have that.

    Args:
        members: As :func:`proband.evaluate.groups.members.members_of` returns.
        compared: Dimensions that the table of subgroups shows.
    """
    left_out = []
    for name in (name for name in members.columns if name not in MOMENT and name not in set(compared)):
        levels = members[name].drop_nulls().unique().sort().to_list()
        why = "too few cases or controls in all or all but one"
        if len(levels) < 2:
            why = f"only {levels[0]}" if levels else "known of nobody"
        if len(levels) != 1 or name != RECORD_YEARS:
            left_out.append(f"{name} ({why})")
    if left_out:
        say(
            "evaluate: subgroups not compared, since two must have cases and controls enough: "
            f"{first_names(left_out)}"
        )


def say_sexes(subjects: pl.DataFrame) -> None:
    """Say of how many subjects the sex is recorded."""
    num_female, num_male = (int((subjects["female"] == sex).sum()) for sex in (1, 0))
    say(f"evaluate: sex recorded of {num_female:,} female, {num_male:,} male of {subjects.height:,} subjects")


def say_open_ends(subjects: pl.DataFrame, task: Task) -> None:
    """Say of how many subjects follow-up ends with the last event, if of most.

    Not where all outcomes are labels of dates, which are what followed.

    Args:
        subjects: As :func:`proband.evaluate.inputs.read_subjects` returns.
        task: The task.
    """
    lacking = subjects.height - int(subjects["has_end"].sum())
    if 2 * lacking > subjects.height and len(task.labelled) < len(task.outcomes):
        say(
            f"evaluate: {lacking:,} of {subjects.height:,} subjects have no observation period that ends: "
            f"their follow-up ends with their last event, {OVERSTATES}; make the events by proband ehr with "
            "--follow-up-end DATE, the date up to which records are complete"
        )


def say_cautions(frames: Mapping[str, list[pl.DataFrame]]) -> None:
    """Say which predictions came too late to be followed, and whose risks are mostly noise."""
    flow = pl.concat([FLOW.empty(), *frames["flow"]])
    steps = flow.pivot(on="step", index=["outcome", "horizon_years"], values="num_predictions")
    if not steps.is_empty() and (steps["early enough"] < steps["predicted"]).any():
        late = (
            steps.group_by("horizon_years")
            .agg((pl.col("predicted") - pl.col("early enough")).max(), pl.col("predicted").max().alias("all"))
            .sort("horizon_years")
        )
        listed = ", ".join(
            f"{number:,} of {whole:,} at {horizon:g} years" for horizon, number, whole in late.rows()
        )
        say(
            "evaluate: predictions left out because the data, or nearly everybody's follow-up, end before "
            f"their horizon: {listed}"
        )
    metrics = pl.concat([METRICS.empty(), *frames["metrics"]]).filter(metric="monte_carlo_share")
    noisy = metrics.group_by("model", maintain_order=True).agg(pl.col("value").max())
    for model, share in noisy.filter(pl.col("value") > LARGEST_NOISE_SHARE).rows():
        say(
            f"evaluate: up to {share:.0%} of the variance of the risks of {model} is sampling noise, which "
            "lowers AUROC and flattens slopes: forecast with more paths, or read the noise-corrected values"
        )


def say_extrapolation(run: StageRun, data: Inputs) -> None:
    """Count predictions at ages at which no train subject was followed: rates by age are carried on there."""
    age, until = pl.col("age_years"), pl.col("age_years") + pl.col("time_years")
    youngest, oldest = data.train.select(age.min(), until.max().alias("until")).row(0)
    if youngest is None:
        return
    asked = data.wanted.unique(["subject_id", "prediction_time"])
    outside = asked.filter((age < youngest) | (age > oldest)).height
    run.counts["num_predictions_outside_train_ages"] = outside
    if outside:
        say(
            f"evaluate: {outside:,} of {asked.height:,} predictions are at ages at which nobody in train was "
            f"followed ({youngest:.0f} to {oldest:.0f}); the baselines carry on the nearest rate there"
        )
