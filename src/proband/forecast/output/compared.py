"""What a forecast writes and says of its scenarios."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from proband.core.files.provenance import StageRun
from proband.core.files.tables import join_parquet
from proband.core.running.progress import say
from proband.core.schema import PLAUSIBILITY, RISK, SCENARIO_FOLDS, SCENARIO_SUMMARY, SCENARIOS
from proband.forecast.answers import closed_form_risks
from proband.forecast.choices import samples_paths
from proband.forecast.job import Opened, one_thread, opened
from proband.forecast.output.shards import ShardFiles
from proband.forecast.plan import Plan
from proband.forecast.risk import Points
from proband.forecast.scenario.made import make
from proband.forecast.scenario.picture import plot_twin
from proband.forecast.scenario.summary import in_words, plausibility_in_words, summarised
from proband.tokens.dataset import TokenStore

RISKS, CURVES = "risk.parquet", "curves.parquet"
SCENARIO_RISKS, SCENARIO_MEANS = "scenarios.parquet", "scenario_summary.parquet"
SCENARIO_PLAUSIBILITY, SCENARIO_CURVES, TWIN = "plausibility.parquet", "scenario_curves.parquet", "twin.png"


def write_scenarios(run: StageRun, plan: Plan, shards: list[ShardFiles]) -> None:
    """Put the shards' scenarios together, and sum them up; of one subject draw the last prediction."""
    run.counts["num_scenario_rows"] = join_parquet(
        [files.scenarios for files in shards], run.folder / SCENARIO_RISKS
    )
    join_parquet([files.plausibility for files in shards], run.folder / SCENARIO_PLAUSIBILITY)
    folds = pl.concat([SCENARIO_FOLDS.read(files.scenario_folds) for files in shards])
    summary = summarised(pl.scan_parquet(run.folder / SCENARIO_RISKS), folds)
    SCENARIO_SUMMARY.write(summary, run.folder / SCENARIO_MEANS)
    curves = (RISKS, SCENARIO_RISKS)
    if plan.job.config.curve_points:
        join_parquet([files.scenario_curves for files in shards], run.folder / SCENARIO_CURVES)
        curves = (CURVES, SCENARIO_CURVES)
    points = plan.points
    if len(set(points.rows.tolist())) == 1:
        last = points.take(np.array([points.frame["prediction_time"].arg_max()]))
        when = last.frame["prediction_time"][0]
        risk, scenarios = (
            table.read(run.folder / name).filter(prediction_time=when)
            for table, name in zip((RISK, SCENARIOS), curves, strict=True)
        )
        exact = _closed_form(plan, last) if samples_paths(plan.job.config.estimator) else None
        plot_twin(risk, scenarios, TokenStore(plan.job.tokens), last, run.folder / TWIN, exact)


def _closed_form(plan: Plan, point: Points) -> pl.DataFrame | None:
    """Risks of a prediction in closed form, beside those of sampled paths; None without onset hazards.

    Returns:
        scenario (null as the subject is), outcome, horizon_years, risk; of outcomes that are onset tasks.
    """
    given = opened(plan.job.model, plan.job.tokens, plan.job.files, torch.device("cpu"))
    onset, compared = given.model.config.onset, plan.job.compared
    if onset is None or compared is None:
        return None
    sets = plan.job.question.outcomes.numpy()
    numbers = [onset.index_of(np.flatnonzero(members).tolist()) for members in sets]
    tasks = {name: one for name, one in zip(plan.job.outcomes, numbers, strict=False) if one is not None}
    job = replace(plan.job, outcomes=tuple(tasks), tasks=tuple(tasks.values()), patterns=())
    stores: dict[str | None, tuple[Opened, Points]] = {None: (given, point)}
    for scenario in compared.scenarios:
        made = make(scenario, given.store, given.tables, point)
        if len(made.index):
            other = Opened(given.model, made.store, made.tables)
            stores[scenario.name] = other, made.points(point, np.zeros_like(point.prevalent))
    with one_thread():
        risks = {name: closed_form_risks(*one, job)[0][0].double().numpy() for name, one in stores.items()}
    rows = [
        (name, outcome, horizon, float(risk[at, number]))
        for name, risk in risks.items()
        for at, outcome in enumerate(job.outcomes)
        for number, horizon in enumerate(job.horizons_years)
    ]
    columns = {"scenario": pl.String, "outcome": pl.String, "horizon_years": pl.Float64, "risk": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")


def say_scenarios(plan: Plan, out: Path) -> None:
    """Print what scenarios do, and warn of implausible histories."""
    assert plan.job.compared is not None
    summary, plausible = (
        SCENARIO_SUMMARY.read(out / SCENARIO_MEANS),
        PLAUSIBILITY.read(out / SCENARIO_PLAUSIBILITY),
    )
    rows = pl.scan_parquet(out / SCENARIO_RISKS).select(
        "scenario", "subject_id", "prediction_time", "is_changed"
    )
    changed = dict(rows.filter("is_changed").unique().group_by("scenario").len().collect().iter_rows())
    least = plan.job.config.least_plausible
    for scenario in plan.job.compared.scenarios:
        name = scenario.name
        say(f"forecast: {in_words(summary, name, changed.get(name, 0), len(plan.points.rows))}")
        if plausible.filter(scenario=name).height:
            line, is_odd = plausibility_in_words(plausible, name, least)
            say(f"forecast: {line}")
            if is_odd:
                say(f"forecast: warning: the model has hardly seen histories like those of scenario {name}")
    say("forecast: scenarios say what the model expects of other records; they are no effects of treatments")
