"""The stage ``genome``: genotypes and scoring files to scores.parquet."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from proband.core.errors import ConfigError
from proband.core.files.digests import hash_file
from proband.core.files.jsonfiles import read_object, write_json
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.files.resume import MARKERS, RUN, clear_marks, is_marked, mark, resumable
from proband.core.files.tables import write_tsv
from proband.core.schema import MATCH, SAMPLES
from proband.genome.ancestry.adjustment.scored import Scoring
from proband.genome.ancestry.config import AncestryInputs
from proband.genome.cohorts import SourceCohorts, cohort_counts, say_cohorts
from proband.genome.config import GenomeConfig
from proband.genome.constant import say_constant
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.open import open_genotypes
from proband.genome.genotypes.parts import find_genotypes
from proband.genome.genotypes.samples import identify
from proband.genome.leftout import LeftOut
from proband.genome.matching.collect import Collected, collect
from proband.genome.matching.picture import plot_match
from proband.genome.scorefiles.scorefile import list_scorefiles
from proband.genome.scorefiles.variantlist import VariantList, read_variant_list
from proband.genome.scoring.checkpoint import Work, load_weights, save_weights
from proband.genome.scoring.dosages import find_variants, write_dosages
from proband.genome.scoring.memory import MEMORY_MB
from proband.genome.scoring.score import write_scores

_PROGRESS, _MATCHED, _COMPANIONS = "progress", "matched", "companions"


@dataclass(frozen=True)
class _Task:
    """What one run is asked for."""

    genotypes: Path
    scorefiles: list[Path]
    samples: Path | None
    keep: Path | None
    variants: VariantList | None
    cohorts: SourceCohorts | None
    config: GenomeConfig
    ancestry: AncestryInputs
    memory_mb: int
    workers: int
    spark: str | None


def genome(
    genotypes: Path,
    scorefiles: Path,
    out: Path,
    *,
    config: GenomeConfig | None = None,
    samples: Path | None = None,
    keep: Path | None = None,
    variants: Path | None = None,
    development: Path | None = None,
    ancestry_inputs: AncestryInputs | None = None,
    memory_mb: int = MEMORY_MB,
    workers: int = 1,
    spark: str | None = None,
    overwrite: bool = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    Work in progress lives in ``OUT.partial``: a run that was killed, interrupted or ran out of disk goes on
    from there when it is started again with the same inputs and settings, without matching again.

    Args:
        genotypes: File, prefix, folder or pattern of .pgen, .bed, BGEN or VCF files.
        scorefiles: Folder of PGS Catalog scoring files, or one such file.
        out: Output folder: scores.parquet, match.parquet, match.tsv, match.png, samples.parquet, scores.json,
            manifest.json, and with the ancestry step what :func:`run_ancestry` writes.
        config: Settings.
        samples: Table of ``sample_id, subject_id``, for sample names that are no subjects.
        keep: List of the samples to score, one name or ``FID IID`` a line, or with a line of column names.
        variants: List of variants (see :mod:`proband.genome.scorefiles.variantlist`) whose dosages to write
            beside the scores: dosages.parquet and variants.tsv.
        development: Table of source cohorts (see :func:`proband.genome.cohorts.read_cohorts`), by which
            scores.json says what was developed in the settings' own cohort.
        ancestry_inputs: Files of the ancestry step, if the settings have it.
        memory_mb: Memory of scoring in MiB, beside the weights.
        workers: Threads of scoring; on Spark, the least number of tasks.
        spark: Master URL of a Spark cluster.
        overwrite: Make the output anew, and drop progress of an interrupted run.

    Raises:
        ConfigError: Options exclude each other or the output folder is in use.
        DataError: An input is not usable, or no score is left.
    """
    config = config or GenomeConfig()
    extra = ancestry_inputs or AncestryInputs()
    _check_ancestry(config, extra)
    cohorts = SourceCohorts.read(development, config.own_cohort)
    files = list_scorefiles(scorefiles)
    paths = find_genotypes(genotypes)
    more = [path for path in (samples, keep, variants, development) if path]
    inputs = [*paths, scorefiles, *more, *extra.given]
    if is_finished(out, "genome", config, overwrite, inputs):
        _drop_progress(out)  # if it was killed between its last two steps
        return
    listed = read_variant_list(variants) if variants else None
    task = _Task(genotypes, files, samples, keep, listed, cohorts, config, extra, memory_mb, workers, spark)
    with (
        resumable(out, "genome", config, inputs=[*paths, *files], overwrite=overwrite) as work,
        stage_output(
            out, stage="genome", config=config, inputs=inputs, work=work, overwrite=overwrite
        ) as run,
    ):
        _drop_unfinished(work)
        scratch = work / _PROGRESS / "genotypes"
        scratch.mkdir(parents=True)
        with_ids = config.match_by == "id" or (listed is not None and listed.needs_ids)
        source = open_genotypes(genotypes, scratch, keep, with_ids=with_ids)
        companions = [path for path in source.files if path not in paths]
        inputs += companions
        _score_all(task, source, companions, run)
    _drop_progress(out)  # only now: until the output stands in its place, it is needed


def _check_ancestry(config: GenomeConfig, extra: AncestryInputs) -> None:
    """Refuse files of the ancestry step that the settings cannot use."""
    if extra.given and config.ancestry is None:
        raise ConfigError(
            "files for ancestry without the step", found=extra.given[0], remedy="give --ancestry"
        )
    if extra.reference and config.match_by == "id":
        remedy = "match by position: the panel's identifiers may be others"
        raise ConfigError("--match-by id and --reference exclude each other", remedy=remedy)


def _drop_unfinished(work: Path) -> None:
    """Remove what an interrupted run had not finished: all but matched weights and scoring progress."""
    for item in work.iterdir():
        if item.name not in (_PROGRESS, RUN, MARKERS):
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    shutil.rmtree(work / _PROGRESS / "genotypes", ignore_errors=True)


def _drop_progress(out: Path) -> None:
    shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    clear_marks(out)


def _score_all(task: _Task, source: Genotypes, companions: Sequence[Path], run: StageRun) -> None:
    left_out = LeftOut()
    who = identify(source.sample_ids, task.samples, source.files[-1], left_out)
    keep_ambiguous = task.config.keep_ambiguous
    # Before scoring, so that a list of no use is told at once.
    listed = find_variants(task.variants, source, keep_ambiguous=keep_ambiguous) if task.variants else None
    progress = run.folder / _PROGRESS
    run.passed_over.add(_PROGRESS)
    collected = _matched(task, source, companions, run.folder)
    match, kept = collected.match, collected.kept
    MATCH.write(match, run.folder / "match.parquet")
    write_tsv(match, run.folder / "match.tsv")
    plot_match(match, task.config.min_match_rate, run.folder / "match.png")
    SAMPLES.write(who, run.folder / "samples.parquet")
    described = {name: collected.metadata[name] for name in kept}
    if task.cohorts:
        described = task.cohorts.mark(described)
    write_json(run.folder / "scores.json", described)
    scores = run.folder / "scores.parquet"
    write_scores(
        source, collected.weights, kept, who["subject_id"], scores,
        memory_mb=task.memory_mb, workers=task.workers, spark=task.spark, work=progress / "scores",
    )  # fmt: skip
    say_constant(scores, kept)
    say_cohorts(described, task.config.own_cohort)
    run.notes["rows_left_out"] = [*left_out.rows, *collected.rows_left_out]
    run.counts |= (
        collected.counts
        | cohort_counts(described)
        | {
            "num_subjects": who.height,
            "num_variants": source.num_variants,
            "num_variants_used": len(np.unique(collected.weights.variants)),
            "num_scores": len(kept),
            "num_scores_left_out": match.height - len(kept),
            "num_rows_matched": int(match.filter("kept")["num_matched"].sum()),
            "num_rows_homozygous_reference": int(match.filter("kept")["num_homozygous_reference"].sum()),
        }
    )
    if listed:
        run.counts |= write_dosages(source, listed, who["subject_id"], run.folder, memory_mb=task.memory_mb)
    if task.config.ancestry:
        from proband.genome.ancestry.stage import run_ancestry

        run.counts |= run_ancestry(
            source, who, scores, run.folder, task.config.ancestry, task.ancestry,
            _as_scored(task, collected.weights.variants),
        )  # fmt: skip


def _as_scored(task: _Task, variants: UInt32[np.ndarray, " rows"]) -> Scoring:
    """How the raw scores were made; by identifiers, panel and samples cannot be scored alike."""
    config = task.config
    return Scoring(
        scorefiles=tuple(task.scorefiles) if config.match_by == "position" else (),
        variants=variants,
        min_match_rate=config.min_match_rate,
        keep_ambiguous=config.keep_ambiguous,
        workers=task.workers,
    )


def _matched(task: _Task, source: Genotypes, companions: Sequence[Path], work: Path) -> Collected:
    """All scores matched; from the folder where an interrupted run had done it to the same variants.

    Args:
        task: What is scored.
        source: The genotypes.
        companions: Files beside them, such as .pvar, that list variants and samples.
        work: Folder of the run.
    """
    folder = work / _PROGRESS / _MATCHED
    names = ("metadata", "rows_left_out", "counts")
    listed = [hash_file(file) for file in companions]
    if is_marked(work, _MATCHED):
        kept = read_object(folder / "metadata.json", names)
        if kept.get(_COMPANIONS) == listed:
            match = MATCH.read(folder / "match.parquet")
            return Collected(
                match, kept["metadata"], load_weights(Work(folder)), kept["rows_left_out"], kept["counts"]
            )
    config = task.config
    collected = collect(
        source,
        task.scorefiles,
        min_match_rate=config.min_match_rate,
        keep_ambiguous=config.keep_ambiguous,
        by_id=config.match_by == "id",
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(collected.weights, Work(folder))
    MATCH.write(collected.match, folder / "match.parquet")
    found = {name: getattr(collected, name) for name in names}
    write_json(folder / "metadata.json", found | {_COMPANIONS: listed})
    mark(work, _MATCHED)
    return collected
