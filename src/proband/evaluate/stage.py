"""The stage: RiskTables and records in, results out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import polars as pl

from proband.core.config import validated
from proband.core.errors import DataError
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.running.progress import say
from proband.core.schema import LABELS, RISK
from proband.ehr.labels import labels as label_all
from proband.ehr.meds.kinship import THIRD_DEGREE, Families, members_among, read_families
from proband.ehr.named_subjects import check_named
from proband.ehr.outcomes import Task, save_task, task_files
from proband.evaluate.baselines.cost import Meter
from proband.evaluate.baselines.inputs import Inputs
from proband.evaluate.baselines.registry import chosen, fit_baselines
from proband.evaluate.cohort import cohort_frame, with_age_and_sex
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.inputs import (
    TASK_FILE,
    Scores,
    check_no_baseline,
    check_scores,
    errors_of_fit,
    read_already_begun,
    read_components,
    read_fusion_risks,
    read_risks,
    read_scores,
    read_subjects,
    read_task,
    truth_file,
)
from proband.evaluate.judging import groups_of, judged_tables
from proband.evaluate.leaks.scan import leaks, say_leaks
from proband.evaluate.notices import (
    report_obstacles,
    say_extrapolation,
    say_open_ends,
    say_rows,
    say_sexes,
)
from proband.evaluate.panel.learning import learning_curves
from proband.evaluate.panel.models import described_models, pairs, truth_among
from proband.evaluate.selection.landmarks import end_of_data
from proband.evaluate.selection.risk_sets import ROW, risk_sets
from proband.evaluate.sources import overlaps, sources
from proband.evaluate.stability import FILE as STABILITY_FILE
from proband.evaluate.stability import STABILITY, read_refits, stability
from proband.evaluate.tables import COSTS, TABLES


def evaluate(
    risks: Sequence[Path],
    meds: Path,
    out: Path,
    *,
    genome: Path | None = None,
    tokens: Path | None = None,
    kinship: Path | None = None,
    truth: Path | None = None,
    fusion_risks: Path | None = None,
    subgroups: Path | None = None,
    refits: Sequence[Path] = (),
    task: Path | None = None,
    config: EvaluateConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Judge one or several models on the same subjects, with baselines beside.

    Args:
        risks: Forecast folders, or RiskTable files (then with ``task``).
        meds: MEDS folder.
        out: Results folder.
        genome: Genome folder; adds the PGS baselines and risk by PGS decile.
        tokens: Tokens folder of the same subjects; adds gradient boosting on the record summary.
        kinship: Table of related pairs as :mod:`proband.ehr.meds.kinship` reads it; relatives to the third
            degree are then resampled together.
        truth: Truth folder of a synthetic biobank; default the folder of a RiskTable file that has one. The
            results then tell what share of the cases had already begun.
        fusion_risks: Forecast of the tuning split by one of the models; adds late fusion with the scores.
        subgroups: Table of subgroups of one's own: subject_id and columns of names.
        refits: Forecasts of the models trained again, each under the name of the model that it is of; adds
            stability.parquet.
        task: Task file, if no input brings one.
        config: Settings. ``baselines`` are names in
            :data:`proband.evaluate.choices.BASELINES`, or ``all`` (those for which there is what
            they need) or ``none``.
        overwrite: Replace what is in ``out``.

    Raises:
        ConfigError: No task, different tasks, a model name used twice, an option out of its bounds.
        DataError: An input is unusable, or no subject is common to all.
    """
    files = {
        "genome": genome, "tokens": tokens, "kinship": kinship, "truth": truth, "task": task,
        "fusion_risks": fusion_risks, "subgroups": subgroups,
    }  # fmt: skip
    named = {name: None if path is None else str(path) for name, path in files.items()}
    settings = (config or EvaluateConfig()).model_dump()
    named_lists = {"risks": tuple(map(str, risks)), "refits": tuple(map(str, refits))}
    config = validated(EvaluateConfig, **settings | named | named_lists | {"meds": str(meds)})
    check_no_baseline(risks)
    begun = truth_file(risks, truth)
    inputs = [
        *risks,
        *refits,
        meds,
        *(path for path in (genome, tokens, kinship, fusion_risks, subgroups, begun) if path is not None),
        *([] if task is None else task_files(task)),
    ]
    if is_finished(out, "evaluate", config, overwrite, inputs):
        return
    described = read_task(risks, task)
    given = read_risks(risks, described, with_baselines=bool(chosen(config.baselines)))
    scores = None if genome is None else read_scores(genome)
    with stage_output(
        out, stage="evaluate", config=config, inputs=inputs, seed=config.seed, overwrite=overwrite
    ) as run:
        _judge(run, config, described, given, scores, begun)


def _judge(
    run: StageRun,
    config: EvaluateConfig,
    task: Task,
    given: pl.DataFrame,
    scores: Scores | None,
    begun: Path | None,
) -> None:
    """Write every file of the results folder."""
    subjects = read_subjects(Path(config.meds))
    check_named("evaluate", task, subjects, config.meds)
    labels = label_all(Path(config.meds), task)
    judged = _judged(labels, config)
    say_sexes(subjects)
    say_open_ends(subjects, task)
    if scores is not None and config.genome is not None:
        check_scores(scores, Path(config.genome), subjects, bool(chosen(config.baselines)))
    rows = with_age_and_sex(labels, subjects)
    matched = _matched(given, judged, config)
    say_rows(given, matched, config.split)
    _check_judgeable(matched, rows.filter(split=config.split), end_of_data(labels), config)
    models = given["model"].unique(maintain_order=True).to_list()
    _write_stability(run.folder, config, matched, models)
    groups = groups_of(rows, _families(config, subjects), config)  # before baselines take their time
    learning = learning_curves(config.risks)
    data = _inputs(config, task, rows, subjects, scores, given)
    extra, costs = RISK.empty(), COSTS.empty()
    if chosen(config.baselines):
        extra, costs = _baselines(run, config, data)
    models += extra["model"].unique(maintain_order=True).to_list()
    kinds = described_models(config.risks, models, begun)
    end, truth = end_of_data(labels), truth_among(kinds)
    compared = pairs(kinds)
    frames = judged_tables(run.folder, matched, extra, rows, end, truth, groups, compared, scores, config)
    frames["costs"].append(costs)
    frames["cohort"].append(cohort_frame(rows, None if scores is None else scores.frame["subject_id"]))
    frames["models"].append(kinds)
    frames["learning"].append(learning.curves)
    frames["already_begun"] += [] if begun is None else [read_already_begun(begun, task)]
    frames["leaks"].append(leaks(labels, Path(config.meds), given["horizon_years"].unique().to_list()))
    say_leaks(frames["leaks"][0])
    LABELS.write(labels, run.folder / "labels.parquet")
    _write_tables(run.folder, frames, task)
    run.counts |= {
        "num_models": len(models),
        "num_risks": given.height,
        "num_risks_without_label": given.height - matched.height,
        "num_subjects": matched["subject_id"].n_unique(),
    }
    run.notes |= {"models": models, "synthetic": begun is not None}
    run.notes |= {"training_ended_by": learning.ended_by, "without_learning_curve": learning.missing}
    run.notes["error_of_fit"] = errors_of_fit(list(map(Path, config.risks)))
    run.notes["sources"] = sources(genome=config.genome, tokens=config.tokens)
    overlap = overlaps(map(Path, config.risks), None if config.genome is None else Path(config.genome))
    run.notes |= {"sample_overlap": overlap} if overlap else {}


def _families(config: EvaluateConfig, subjects: pl.DataFrame) -> Families | None:
    """Relatives, who are drawn as one.

    Raises:
        DataError: The table is unusable, or none of its ids is a subject.
    """
    if config.kinship is None:
        return None
    families = read_families(Path(config.kinship), THIRD_DEGREE)
    members_among(families, subjects, config.kinship)
    return families


def _write_stability(folder: Path, config: EvaluateConfig, matched: pl.DataFrame, models: list[str]) -> None:
    """How much risks change when models are fitted again, if there are refits."""
    if config.refits:
        found = stability(matched, read_refits([Path(path) for path in config.refits], models))
        STABILITY.write(found, folder / STABILITY_FILE)


def _write_tables(folder: Path, frames: Mapping[str, list[pl.DataFrame]], task: Task) -> None:
    for name, table in TABLES.items():
        rows = pl.concat([table.empty(), *frames[name]], how="diagonal")
        table.write(rows, folder / f"{name}.parquet")
    save_task(task, folder / TASK_FILE)


def _judged(labels: pl.DataFrame, config: EvaluateConfig) -> pl.DataFrame:
    """Labels of the split that is judged."""
    judged = labels.filter(split=config.split)
    if judged.is_empty():
        raise DataError(
            f"no subject at risk in split {config.split}",
            where=config.meds,
            remedy="name another --split, or a task that predicts within follow-up",
        )
    return judged


def _matched(given: pl.DataFrame, judged: pl.DataFrame, config: EvaluateConfig) -> pl.DataFrame:
    """Risks that have a label."""
    matched = given.join(judged.select(ROW), on=ROW, how="semi")
    if matched.is_empty():
        raise DataError(
            "no common subjects",
            where=", ".join(config.risks),
            found=f"no (subject_id, prediction_time, outcome) of the {config.split} labels",
            remedy="forecast this split of these data with the same task",
        )
    return matched


def _check_judgeable(
    matched: pl.DataFrame, rows: pl.DataFrame, end: datetime | None, config: EvaluateConfig
) -> None:
    """Say what cannot be judged, before the baselines take their time; refuse where nothing can be."""
    found = (judgement.risk_set for judgement in risk_sets(matched, RISK.empty(), rows, end, None))
    obstacles = {(one.outcome, one.horizon_years): one.obstacle() for one in found}
    report_obstacles(obstacles, ", ".join(config.risks))


def _inputs(
    config: EvaluateConfig,
    task: Task,
    rows: pl.DataFrame,
    subjects: pl.DataFrame,
    scores: Scores | None,
    given: pl.DataFrame,
) -> Inputs:
    """What the baselines are made from."""
    fusion, tuning = config.fusion_risks, rows.filter(split="tuning")
    return Inputs(
        Path(config.meds),
        task,
        rows,
        rows.filter(split=config.split),
        subjects,
        tokens=None if config.tokens is None else Path(config.tokens),
        scores=None if scores is None else scores.frame,
        components=None if config.genome is None else read_components(Path(config.genome)),
        given=given,
        fusion_risks=None if fusion is None else read_fusion_risks(Path(fusion), task, given, tuning),
        seed=config.seed,
    )


def _baselines(run: StageRun, config: EvaluateConfig, data: Inputs) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fit on train, predict the judged split, keep the RiskTables; these and what each took."""
    if data.scores is not None:
        asked = data.wanted["subject_id"].unique()
        run.counts["num_subjects_without_genome"] = int(
            (~asked.is_in(data.scores["subject_id"].to_list())).sum()
        )
    say_extrapolation(run, data)
    (run.folder / "baselines").mkdir()
    found, costs, meter = [RISK.empty()], [], Meter()
    for name, frame in fit_baselines(data, config.baselines):
        model = frame["model"][0] if frame.height else name
        if frame.is_empty():
            say(f"evaluate: the baseline {name} has no risks: too few cases to fit it on, by any horizon")
        RISK.write(frame, run.folder / "baselines" / f"{model}.parquet")
        found.append(frame)
        costs.append({"model": model} | asdict(meter.read()))
    run.notes["baseline_cpu_seconds"] = {cost["model"]: cost["cpu_seconds"] for cost in costs}
    return pl.concat(found), pl.DataFrame(costs, schema=dict(COSTS.columns))
