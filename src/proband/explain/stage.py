"""The stage: a model, histories and a task in, tables of why out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from threadpoolctl import threadpool_limits

from proband.core.errors import ConfigError
from proband.core.files.digests import hash_file
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.running.progress import say
from proband.core.schema import RISK
from proband.core.seeds import generator
from proband.core.units import MINUTES_PER_YEAR
from proband.ehr.outcomes import task_files
from proband.explain import tables
from proband.explain.alignment.agreement import agreement_frame
from proband.explain.alignment.cohort import read_cohort
from proband.explain.alignment.effects import EVERYBODY, effects_frame
from proband.explain.alignment.published import PublishedEffect, read_published
from proband.explain.attribution.attention import attention_frame
from proband.explain.attribution.decomposition import codes_frame, decomposed, parts_frame, scores_frame
from proband.explain.attribution.standard import Standard
from proband.explain.attribution.trunk import gradients_frame
from proband.explain.config import ExplainConfig
from proband.explain.counterfactual.events import (
    agreement_of_gradients,
    agreement_of_linear,
    along_frame,
    without_frame,
)
from proband.explain.counterfactual.genomes import donor_genomes, genomes_frame, percentiles_frame
from proband.explain.figures import plot_alignment, plot_interaction, plot_population
from proband.explain.inputs import Asked, read_asked
from proband.explain.interaction import interaction_frames
from proband.explain.page import write_page
from proband.explain.population import population_frame
from proband.explain.shards import Shards
from proband.forecast.job import one_thread
from proband.model.onset.queries import Queries
from proband.tokens.history.summary import SummaryLayout
from proband.tokens.modalities.modality import GENOME, given_paths, modality_files


def explain(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    task: Path,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    subjects: Path | None = None,
    published: Path | None = None,
    code_names: Path | None = None,
    truth: Path | None = None,
    config: ExplainConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Say why risks are what they are.

    Args:
        model: A model folder with onset hazards.
        tokens: A tokens folder with the model's vocabulary.
        out: Output folder.
        task: Task file; its outcomes are onset tasks of the model.
        genome: Genome folder for a model that reads it; without it all count as ungenotyped.
        modalities: Parquet files of other modalities by name.
        subjects: List of subject_ids, of whatever split; default a split.
        published: Table of published effects: outcome, log_hazard_ratio, and score if known.
        code_names: Parquet with code and description, as metadata/codes.parquet of MEDS.
        truth: True risks of a synthetic biobank, a RiskTable.
        config: Settings.
        overwrite: Replace a finished output.

    Raises:
        ConfigError: An outcome is no onset task, the model has no onset hazards or reads no genome, or there
            are published effects and no genome.
        CheckpointError: Model and tokens do not fit.
        DataError: Nobody to explain, subjects that are not in the tokens, or an unusable file.
    """
    files, extra = modality_files(genome, modalities), [subjects, published, code_names, truth]
    extra_inputs = [path for path in extra if path is not None]
    inputs = [model, tokens, *task_files(task), *given_paths(genome, files), *extra_inputs]
    config = _resolved(config or ExplainConfig(), task, files, subjects)
    if is_finished(out, "explain", config, overwrite, inputs):
        return
    true_risks = None if truth is None else RISK.read(truth)
    asked = read_asked(model, tokens, files, task, config, subjects, genome, code_names)
    known = [] if published is None else _known_effects(published, asked, genome)
    with (
        stage_output(
            out, stage="explain", config=config, inputs=inputs, seed=config.seed, overwrite=overwrite
        ) as run,
        one_thread(),
        threadpool_limits(1),  # many small products: threads would only wait for each other
    ):
        queries = asked.queries(asked.store, asked.points.rows, asked.points.start)
        _write_parts(run, asked, queries, config)
        if GENOME in asked.tables:
            _write_population(run, asked, true_risks, config)
        _write_closely(run, asked, queries, config)
        if genome is not None and config.alignment != "none":
            _write_alignment(run, asked, genome, known, config)
        if len(set(asked.points.rows.tolist())) == 1:
            write_page(run.folder, _in_words(asked))
    say(f"explain: risks of {len(queries):,} predictions in {out}; associations in a model, no causes")


def _resolved(
    config: ExplainConfig, task: Path, files: Mapping[str, Path], subjects: Path | None
) -> ExplainConfig:
    """Settings with what the inputs add to them."""
    listed = "" if subjects is None else hash_file(subjects)
    return config.model_copy(update={"task": hash_file(task), "modalities": tuple(files), "subjects": listed})


def _known_effects(published: Path, asked: Asked, genome: Path | None) -> list[PublishedEffect]:
    """Published effects, read before anything is computed.

    Raises:
        ConfigError: There is no genome to compare them with.
        DataError: The table is unusable.
    """
    if genome is None:
        raise ConfigError("published effects, and no genome", where=published, remedy="give --genome")
    return read_published(published, asked.outcomes, asked.tables[GENOME].names)


def _write_parts(run: StageRun, asked: Asked, queries: Queries, config: ExplainConfig) -> None:
    """Parts, codes and scores of every risk, and risks with other genomes."""
    layout = SummaryLayout.of(asked.store.vocabulary)
    standards = [Standard.of(asked.head, asked.store, *item) for item in asked.tables.items()]
    donors = next(
        (donor_genomes(one, config.donors, config.seed) for one in standards if one.modality == GENOME), None
    )
    writer = Shards(run.folder)
    for one in decomposed(asked, queries):
        writer.add("parts", tables.PARTS, parts_frame(asked, one))
        writer.add("codes", tables.CODES, codes_frame(asked, layout, one, config.top))
        for standard in standards:
            writer.add("scores", tables.SCORES, scores_frame(asked, standard, one, config.top))
        if donors is not None:
            writer.add("genomes", tables.GENOMES, genomes_frame(asked, one.index, one.query, donors))
    run.counts |= writer.finish()
    run.counts["num_predictions"] = len(queries)
    for at, name in enumerate(asked.outcomes):
        run.counts[f"num_prevalent_{name}"] = int(asked.prevalent[:, at].sum())


def _write_population(run: StageRun, asked: Asked, truth: pl.DataFrame | None, config: ExplainConfig) -> None:
    """What the genome does in the population explained, and where its effect differs."""
    standard = Standard.of(asked.head, asked.store, GENOME, asked.tables[GENOME])
    genomes = tables.GENOMES.read(run.folder / "genomes.parquet")
    frame = population_frame(asked, standard, genomes, config.threshold, config.seed)
    tables.POPULATION.write(frame, run.folder / "population.parquet")
    plot_population(frame, run.folder / "population.png")
    deciles, effects = interaction_frames(asked, standard, genomes, truth)
    tables.INTERACTION.write(deciles, run.folder / "interaction.parquet")
    tables.INTERACTION_EFFECTS.write(effects, run.folder / "interaction_effects.parquet")
    plot_interaction(deciles, run.folder / "interaction.png")


def _write_closely(run: StageRun, asked: Asked, queries: Queries, config: ExplainConfig) -> None:
    """What takes reading records again, or many risks of a subject: of some subjects alone."""
    if config.gradients:
        _write_gradients(run, asked, config)
    index = closely(asked, config.reread, config.seed)
    if not len(index):
        return
    query = queries.batch(index)
    without = without_frame(asked, SummaryLayout.of(asked.store.vocabulary), index, query)
    tables.WITHOUT.write(without, run.folder / "without.parquet")
    tables.ALONG.write(along_frame(asked, index), run.folder / "along.parquet")
    attention = attention_frame(asked, index)
    if attention.height:
        tables.ATTENTION.write(attention, run.folder / "attention.parquet")
    run.notes["agreement_of_linear"] = agreement_of_linear(without)
    if GENOME in asked.tables:
        standard = Standard.of(asked.head, asked.store, GENOME, asked.tables[GENOME])
        frame = percentiles_frame(asked, standard, index, query)
        tables.PERCENTILES.write(frame, run.folder / "percentiles.parquet")
    if config.gradients:
        gradients = tables.GRADIENTS.read(run.folder / "gradients.parquet")
        run.notes["gradients"] |= agreement_of_gradients(without, gradients)
    run.counts["num_reread"] = len(index)
    agreement = run.notes["agreement_of_linear"]
    if agreement["correlation"] is not None:
        say(
            f"explain: records of {len(index)} predictions read again without each code; the linear terms "
            f"alone agree with a correlation of {agreement['correlation']:.2f}, by rank "
            f"{agreement['rank_correlation']:.2f} (median over outcomes)"
        )


def _write_gradients(run: StageRun, asked: Asked, config: ExplainConfig) -> None:
    """What the trunk makes of codes and scores."""
    index = closely(asked, config.gradients, config.seed)
    frame, notes = gradients_frame(asked, index, config.seed)
    tables.GRADIENTS.write(frame, run.folder / "gradients.parquet")
    run.notes["gradients"] = notes
    run.counts["num_gradients"] = len(index)
    agree = ", ".join(
        f"{name.removeprefix('correlation_of_draws_')} {value:.2f}"
        for name, value in notes.items()
        if name.startswith("correlation")
    )
    say(
        f"explain: integrated gradients of {len(index)} predictions, completeness error at most "
        f"{notes['completeness_error']:.2%}; correlation of two draws of baselines: {agree or 'none'}"
    )


def _write_alignment(
    run: StageRun, asked: Asked, genome: Path, known: list[PublishedEffect], config: ExplainConfig
) -> None:
    """Learnt effects of scores beside those of Cox models and published ones."""
    standard = Standard.of(asked.head, asked.store, GENOME, asked.tables[GENOME])
    cohort = read_cohort(asked, genome, config.alignment == "all")
    if not len(cohort.rows):
        say("explain: no train subject has a genome, so that no effect is compared; --alignment all does")
        return
    correlation = standard.correlations()
    effects = effects_frame(asked, standard, correlation, *cohort, known)
    agreement = agreement_frame(effects, correlation, config.permutations, config.seed)
    tables.EFFECTS.write(effects, run.folder / "effects.parquet")
    tables.AGREEMENT.write(agreement, run.folder / "agreement.parquet")
    plot_alignment(effects, run.folder / "alignment.png")
    run.counts["num_subjects_of_cox"] = len(cohort.rows)
    of_all = agreement.filter(pl.col("value").is_not_null(), outcome=EVERYBODY)
    run.notes["agreement"] = of_all.drop("outcome").rows(named=True)
    for row in of_all.filter(pl.col("low").is_not_null()).iter_rows(named=True):
        interval = f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        say(f"explain: {row['statistic'].replace('_', ' ')} {interval}, {row['number']} effects")


def _in_words(asked: Asked) -> str:
    """The one subject: number, sex, age at the first prediction."""
    row = int(asked.points.rows[0])
    sex = {0.0: "male", 1.0: "female"}.get(float(asked.store.female[row]), "sex not recorded")
    age = asked.points.start[0] / MINUTES_PER_YEAR
    when = asked.points.frame["prediction_time"][0].date().isoformat()
    return f"Subject {asked.store.subject_ids[row]}, {sex}, {age:.1f} years old on {when}"


def closely(asked: Asked, number: int, seed: int) -> Int[np.ndarray, " some"]:
    """Points drawn for a closer look, ascending; those of a smaller number are among those of a larger."""
    order = generator(seed, "explained closely").permutation(len(asked.points.rows))
    return np.sort(order[:number])
