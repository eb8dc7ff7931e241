"""What a forecast writes and says of its scenarios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from proband.core.progress import say
from proband.core.provenance import StageRun
from proband.core.schema import PLAUSIBILITY, RISK, SCENARIO_SUMMARY, SCENARIOS, join_parquet
from proband.forecast.plan import Plan
from proband.forecast.scenario.picture import plot_twin
from proband.forecast.scenario.summary import in_words, plausibility_in_words, summarised
from proband.forecast.shards import ShardFiles
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
    summary = summarised(pl.scan_parquet(run.folder / SCENARIO_RISKS))
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
        plot_twin(risk, scenarios, TokenStore(plan.job.tokens), last, run.folder / TWIN)


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
