"""The forecast stage: risks of a task's outcomes for a split's subjects."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.files.digests import hash_file
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.files.resume import clear_marks, map_resumably, resumable
from proband.core.files.tables import join_parquet
from proband.core.running.device import choose_device
from proband.core.running.engine import available_cores
from proband.core.running.progress import say
from proband.core.running.team import Team, join_team
from proband.core.running.unused import say_unused
from proband.ehr.outcomes import save_task, task_files
from proband.forecast.choices import samples_paths
from proband.forecast.config import ForecastConfig, precision_of
from proband.forecast.job import input_files
from proband.forecast.output.compared import CURVES, RISKS, say_scenarios, write_scenarios
from proband.forecast.output.curves import plot_curves
from proband.forecast.output.shards import ShardFiles, forecast_shard
from proband.forecast.output.trajectories import STAGE, refuse_folder, refuse_settings, write_dataset
from proband.forecast.plan import Plan, make_plan
from proband.forecast.scenario.file import load_scenarios
from proband.genome.cohorts import sample_overlap
from proband.tokens.modalities.modality import GENOME, given_paths, modality_files

CURVES_PICTURE, SHARDS = "curves.png", "shards"
_SHARD_POINTS = 150
"""Predictions after which what was found is kept: a minute's work or so. Fixed, so that an interrupted run
may go on with another number of processes."""


def forecast(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    task: Path,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    trajectories: Path | None = None,
    subjects: Path | None = None,
    scenario: Path | None = None,
    config: ForecastConfig | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Estimate risks from onset hazards in closed form, or by sampled futures.

    Under torchrun the subjects are shared among its processes, each with a GPU of its own where there are
    some; all must see the same files.

    Args:
        model: A model folder.
        tokens: A tokens folder with the model's vocabulary.
        out: Output folder.
        task: Task file: outcomes, prediction times, horizons.
        genome: Genome folder for a model that reads it; without it all count as ungenotyped.
        modalities: Parquet files of other modalities by name; one not given counts as absent.
        trajectories: Folder for the simulated futures as a MEDS dataset; default, none are written.
        subjects: List of subject_ids, of whatever split; default a split.
        scenario: Scenario file of changes whose risks are compared with those of the subjects as they are.
        config: Settings.
        workers: Processes; default one per core. Under torchrun, and on a GPU, each process works alone.
        overwrite: Replace a finished output.

    Raises:
        ConfigError: Outcome codes or a modality unknown to the model, a bad task or scenario file, or no such
            device.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to predict for, or a subject asked for is not in the tokens.
    """
    files, extra = modality_files(genome, modalities), [path for path in (subjects, scenario) if path]
    task_inputs = [*task_files(task), *extra]
    if scenario is not None:
        load_scenarios(scenario)  # a fault of the file is said before anything is opened
    named = {"modalities": tuple(files), "trajectories": trajectories is not None}
    config = (config or ForecastConfig()).model_copy(update=named)
    config = _resolved(config, model, task=task, subjects=subjects, scenario=scenario)
    refuse_settings(config)
    outputs = _outputs(out, trajectories)
    inputs = [model, tokens, *task_inputs, *given_paths(genome, files)]
    with join_team(choose_device(config.device)) as team:
        done = team.decide(
            lambda: [is_finished(folder, stage, config, overwrite, inputs) for folder, stage in outputs]
        )
        if all(done):
            return
        if team.is_first:
            _say_unused(config, scenario)
        plan = team.decide(lambda: make_plan(model, tokens, files, task, config, subjects, scenario))
        if genome is not None and GENOME in plan.read:
            plan = dataclasses.replace(plan, overlap=sample_overlap(genome))
        reads = [*input_files(model, tokens, files), *task_inputs]
        with team.sharing(resumable(out, "forecast", config, inputs=reads, overwrite=overwrite)) as work:
            shards = _forecast_all(plan, work, team, workers)
            if team.is_first:
                _write_outputs(out, trajectories, work, inputs, plan, shards)


def _say_unused(config: ForecastConfig, scenario: Path | None) -> None:
    if not samples_paths(config.estimator):
        of_paths = ("onsets", "paths", "max_paths", "max_events")
        say_unused("forecast", config, of_paths, f"{config.estimator} samples no paths")
    elif not config.precision:
        say_unused("forecast", config, ("max_paths",), "--precision is not given")
    if scenario is None:
        say_unused("forecast", config, ("least_plausible",), "--scenario is not given")


def _resolved(config: ForecastConfig, model: Path, **files: Path | None) -> ForecastConfig:
    """Settings with the model's name and the hash of each file, empty for one that is not given."""
    hashes = {name: "" if path is None else hash_file(path) for name, path in files.items()}
    return config.model_copy(update={"name": config.name or model.resolve().name, **hashes})


def _outputs(out: Path, trajectories: Path | None) -> list[tuple[Path, str]]:
    """Folders to write, each with its stage."""
    if trajectories is None:
        return [(out, "forecast")]
    refuse_folder(trajectories, out)
    return [(out, "forecast"), (trajectories, STAGE)]


def _write_outputs(
    out: Path,
    trajectories: Path | None,
    work: Path,
    inputs: list[Path],
    plan: Plan,
    shards: list[ShardFiles],
) -> None:
    """Join the shards' files."""
    config = plan.job.config
    with stage_output(
        out, stage="forecast", config=config, inputs=inputs, seed=config.seed, work=work
    ) as run:
        if trajectories is not None:
            write_dataset([files.trajectories for files in shards], trajectories, plan.task, config, inputs)
        _finish(run, plan, shards)
    _say_what_was_found(run, plan, out)


def _forecast_all(plan: Plan, work: Path, team: Team, workers: int | None) -> list[ShardFiles]:
    """Write the risks of all points, shard by shard, this process its share; returns the shards' files."""
    points = plan.points
    order = (
        points.frame.with_row_index()
        .sort("subject_id", "prediction_time")["index"]
        .to_numpy()
        .astype(np.int64)
    )
    parts = [order[at : at + _SHARD_POINTS] for at in range(0, len(order), _SHARD_POINTS)]
    folder = work / SHARDS
    folder.mkdir(exist_ok=True)
    files = [
        ShardFiles(
            folder / f"{number:06d}.risk.parquet",
            folder / f"{number:06d}.curves.parquet",
            folder / f"{number:06d}.trajectories",
            folder / f"{number:06d}.scenarios.parquet",
            folder / f"{number:06d}.plausibility.parquet",
            folder / f"{number:06d}.scenario_folds.parquet",
            folder / f"{number:06d}.scenario_curves.parquet",
            number * _SHARD_POINTS,
        )
        for number in range(len(parts))
    ]
    alone = team.size > 1 or team.device.type == "cuda"
    processes = 1 if alone else min(workers or available_cores(), len(parts))
    memory = plan.job.config.memory / (processes * team.size)
    map_resumably(
        functools.partial(forecast_shard, job=plan.job, memory_gib=memory, device=team.device),
        [(file, points.take(index)) for file, index in zip(files, parts, strict=True)],
        work,
        "risks",
        description="Forecasting",
        workers=processes,
        share=slice(team.rank, None, team.size),
    )
    team.wait()
    return files


def _finish(run: StageRun, plan: Plan, shards: list[ShardFiles]) -> None:
    """Put the shards together, and note what was found."""
    folder, points, config = run.folder, plan.points, plan.job.config
    run.counts["num_rows"] = join_parquet([files.risk for files in shards], folder / RISKS)
    if config.curve_points:
        join_parquet([files.curves for files in shards], folder / CURVES)
        plot_curves(folder / CURVES, folder / CURVES_PICTURE)
    if plan.job.compared is not None:
        write_scenarios(run, plan, shards)
    save_task(plan.task, folder / "task.yaml")
    run.counts["num_predictions"] = len(points.rows)
    for at, name in enumerate(plan.job.outcomes):
        run.counts[f"num_prevalent_{name}"] = int(points.prevalent[:, at].sum())
    run.counts |= plan.counts
    run.notes["share_of_person_time"] = plan.shares
    run.notes["modalities_read"] = list(plan.read)
    run.notes |= {"sample_overlap": plan.overlap} if plan.overlap else {}
    table = pl.scan_parquet(folder / RISKS)
    run.notes["mean_unresolved"] = float(table.select(pl.col("unresolved").mean()).collect().item() or 0)
    if config.precision:
        run.notes |= _precision_notes(table, config)
    run.notes |= _fit_notes(table)
    clear_marks(folder)
    shutil.rmtree(folder / SHARDS)  # after the marks that list them


def _fit_notes(table: pl.LazyFrame) -> dict[str, float]:
    """Median error of the fit by the longest horizon, also as a share of the risk; empty if none is known."""
    last = pl.col("horizon_years") == pl.col("horizon_years").max()
    error = pl.col("fit_error")
    found = table.filter(last & error.is_not_null() & (pl.col("risk") > 0)).select(
        error.median().alias("median_fit_error"),
        (error / pl.col("risk")).median().alias("median_fit_error_of_risk"),
    )
    return {name: value for name, value in found.collect().row(0, named=True).items() if value is not None}


def _precision_notes(table: pl.LazyFrame, config: ForecastConfig) -> dict[str, float]:
    """Paths drawn on average, and the share of risks that the limit of paths left less well known."""
    absolute, relative = precision_of(config.precision)
    wanted = pl.max_horizontal(pl.lit(absolute), pl.col("risk") * relative)
    found = table.select(
        pl.col("num_paths").mean().alias("mean_paths"),
        (pl.col("standard_error") > wanted).mean().alias("share_less_precise"),
    )
    return {name: float(value or 0) for name, value in found.collect().row(0, named=True).items()}


def _say_what_was_found(run: StageRun, plan: Plan, out: Path) -> None:
    config, rows = plan.job.config, f"{run.counts['num_rows']:,}"
    say(f"forecast: {rows} risks of {len(plan.points.rows):,} predictions in {out}")
    if plan.job.compared is not None:
        say_scenarios(plan, out)
    if config.net:
        say("forecast: these are net risks, of a world in which nobody dies, not cumulative incidences")
    if "median_fit_error" in run.notes:
        error, share = run.notes["median_fit_error"], run.notes["median_fit_error_of_risk"]
        say(
            f"forecast: error of the fit {error:.2%}, {share:.0%} of the risk, medians at the longest horizon"
        )
    unresolved = run.notes["mean_unresolved"]
    if unresolved > 0:
        say(
            f"forecast: a share of {unresolved:.2%} is unresolved, mean over all risks (paths cut at "
            f"{config.max_events} events); raise --max-events"
        )
    if run.notes.get("share_less_precise", 0) > 0:
        share = run.notes["share_less_precise"]
        say(
            f"forecast: {share:.2%} of the risks are known less well than --precision {config.precision} "
            f"after {config.max_paths} paths; raise --max-paths"
        )
