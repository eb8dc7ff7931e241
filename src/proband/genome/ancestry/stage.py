"""The ancestry step of the stage ``genome``: components, most similar populations, adjusted scores."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, UInt32

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.core.schema import ANCESTRY, PCS
from proband.genome.ancestry.adjustment.adjust import Fitted, fit_adjustment, write_adjusted
from proband.genome.ancestry.adjustment.scored import score_bounded, scored_variants
from proband.genome.ancestry.axes import place
from proband.genome.ancestry.basis import SHARED_SCORES, Basis, own_basis, panel_basis, score_names
from proband.genome.ancestry.config import ADJUSTMENTS, AncestryConfig
from proband.genome.ancestry.figures import plot_components
from proband.genome.ancestry.inputs import read_pcs
from proband.genome.ancestry.model import MODEL_FILE, AncestryModel, load_model, sample_key, save_model
from proband.genome.ancestry.population import Similarity, assign, check_populations
from proband.genome.genotypes.dataset import Genotypes


def run_ancestry(
    source: Genotypes | None,
    samples: pl.DataFrame,
    scores_path: Path,
    out: Path,
    config: AncestryConfig,
    *,
    splits: Path | None = None,
    kinship: Path | None = None,
    pcs: Path | None = None,
    reference: Path | None = None,
    reference_populations: Path | None = None,
    model: Path | None = None,
    scorefiles: Sequence[Path] = (),
    scored: UInt32[np.ndarray, " rows"] | None = None,
    min_match_rate: float = 0.75,
    keep_ambiguous: bool = False,
    workers: int = 1,
) -> dict[str, int]:
    """Write components, most similar populations and adjusted scores of a scored data set.

    Fitted on a reference panel if one is given; else on the unrelated subjects of the split train (without
    ``splits``, of all); or taken from an earlier fit with ``model``.

    Args:
        source: The genotypes; None only where components are given and no panel is.
        samples: ``subject_id, sample_id`` of its samples, in order.
        scores_path: Raw scores of these subjects, :data:`proband.core.schema.SCORES`.
        out: Existing folder for pcs.parquet, ancestry.parquet, adjusted/, ancestry_model.npz and pcs.png.
        config: Settings.
        splits: A MEDS folder, or its subject_splits.parquet.
        kinship: Table of related pairs, by sample name; default: estimated.
        pcs: Table of components to take instead of fitting them.
        reference: Genotypes of a reference panel.
        reference_populations: Table of the panel's populations (default its .psam); without a panel, of the
            samples' own.
        model: An earlier fit (its file or folder), to apply.
        scorefiles: Scoring files, by which panel and samples are scored over the same variants.
        scored: Rows of the genotypes that the raw scores use; None where scores are given.
        min_match_rate: Least share of a score's rows matched in panel and genotypes alike.
        keep_ambiguous: As the scores were made.
        workers: Threads that score panel and genotypes.

    Returns:
        Counts for the manifest.

    Raises:
        ConfigError: Options exclude each other, or an adjustment asked for cannot be computed.
        CheckpointError: ``model`` is no ancestry model.
        DataError: An input is not usable.
    """
    _check_options(pcs, reference, model, source, config)
    earlier = None if model is None else load_model(model)
    num_pcs = config.num_pcs if earlier is None else earlier.config.num_pcs
    given = None if pcs is None else read_pcs(pcs, samples, num_pcs)
    if earlier is not None:
        if earlier.scored is not None and source is not None and scorefiles:
            scores_path = _rescored(
                earlier.scored,
                source,
                samples,
                out,
                scorefiles,
                min_match_rate,
                keep_ambiguous,
                config,
                workers,
            )
        counts = _apply(earlier, source, samples, scores_path, out, config, given)
        shutil.rmtree(out / SHARED_SCORES, ignore_errors=True)
        return counts
    if splits is None and reference is None:
        say("genome: no splits given, so ancestry is fitted on all unrelated subjects")
    if reference is not None:
        basis = panel_basis(
            source, samples, out, config, kinship, reference, reference_populations, scorefiles,
            min_match_rate, keep_ambiguous, workers,
        )  # fmt: skip
    else:
        variants = None
        if source is not None and scored is not None:
            variants = scored_variants(source, scored, memory_mb=config.memory_mb, workers=workers)
        basis = own_basis(
            source, samples, scores_path, config, splits, kinship, given, reference_populations, variants
        )
    fitted = _fit(basis, config, reference_populations or reference)
    save_model(fitted, out / MODEL_FILE)
    counts = _write(fitted, basis, samples, out, config)
    shutil.rmtree(out / SHARED_SCORES, ignore_errors=True)
    return counts


def _check_options(
    pcs: Path | None,
    reference: Path | None,
    model: Path | None,
    source: Genotypes | None,
    config: AncestryConfig,
) -> None:
    given = [flag for flag, value in (("--pcs", pcs), ("--reference", reference)) if value is not None]
    if len(given) == 2:
        remedy = "drop one: a panel's components are fitted together with those of the genotypes"
        raise ConfigError("--pcs and --reference exclude each other", remedy=remedy)
    if model is not None and reference is not None:
        remedy = "drop one: the model already holds what it took from its panel"
        raise ConfigError("--ancestry-model and --reference exclude each other", remedy=remedy)
    if source is None and (pcs is None or reference is not None):
        remedy = "give genotypes, or components with --pcs"
        raise ConfigError("components need genotypes", remedy=remedy)


def _fit(basis: Basis, config: AncestryConfig, where: object) -> AncestryModel:
    """Scale, populations and coefficients, by the people fitted."""
    deviation = basis.pcs.std(axis=0)
    if not (deviation > 0).all():
        flat = int(np.flatnonzero(~(deviation > 0))[0]) + 1
        raise DataError("a component does not vary among the people fitted", found=f"PC{flat}", where=where)
    model = AncestryModel(config, basis.axes, basis.pcs.mean(axis=0), deviation, None, None)
    pcs = model.standardised(basis.pcs)
    labelled = [row for row, label in enumerate(basis.labels) if label is not None]
    if labelled:
        labels = [str(basis.labels[row]) for row in labelled]
        check_populations(labels, config.similarity_pcs, where)
        own = pcs[labelled, : config.similarity_pcs]
        model = dataclasses.replace(model, similarity=Similarity(own, labels, config.similarity, config.seed))
    if basis.scores is not None and basis.names:
        people = Fitted(basis.scores, basis.score_rows, pcs[:, : config.adjust_pcs], basis.labels)
        model = dataclasses.replace(
            model, adjustment=fit_adjustment(people, basis.names), scored=basis.scored
        )
    return model


def _rescored(
    scored: pl.DataFrame,
    source: Genotypes,
    samples: pl.DataFrame,
    out: Path,
    scorefiles: Sequence[Path],
    min_match_rate: float,
    keep_ambiguous: bool,
    config: AncestryConfig,
    workers: int,
) -> Path:
    """Scores over the variants of an earlier fit, so that they do not depend on who else is in the file."""
    (out / SHARED_SCORES).mkdir(exist_ok=True)
    path = out / SHARED_SCORES / "target.parquet"
    score_bounded(
        source, scored, scorefiles, samples["subject_id"], path,
        min_match_rate=min_match_rate, keep_ambiguous=keep_ambiguous, memory_mb=config.memory_mb,
        workers=workers,
    )  # fmt: skip
    return path


def _write(
    model: AncestryModel, basis: Basis, samples: pl.DataFrame, out: Path, config: AncestryConfig
) -> dict[str, int]:
    """Write every table and the picture; counts for the manifest."""
    subjects = samples["subject_id"]
    pcs = model.standardised(basis.target_pcs)
    _write_pcs(basis.target_pcs, basis.is_fitted, subjects, out)
    groups: list[str] = []
    counts = {"num_ancestry_fitted": len(basis.pcs)}
    if model.axes is not None:
        counts["num_ancestry_variants"] = model.axes.sites.height
    if model.similarity is not None:
        table = assign(model.similarity, pcs[:, : config.similarity_pcs])
        groups = table["most_similar_population"].to_list()
        counts["num_low_confidence"] = int(table["low_confidence"].sum())
        ANCESTRY.write(table.insert_column(0, subjects.alias("subject_id")), out / "ancestry.parquet")
    kinds = _kinds(model, config)
    if kinds and model.adjustment is not None:
        write_adjusted(
            basis.target_scores, out / "adjusted", kinds, model.adjustment, subjects,
            pcs[:, : config.adjust_pcs], groups,
        )  # fmt: skip
        counts["num_scores_adjusted"] = len(model.adjustment.names)
    known = basis.has_panel and None not in basis.labels
    plot_components(
        basis.target_pcs,
        groups,
        basis.pcs if known else None,
        [str(label) for label in basis.labels] if known else [],
        out / "pcs.png",
    )
    return counts


def _apply(
    model: AncestryModel,
    source: Genotypes | None,
    samples: pl.DataFrame,
    scores: Path,
    out: Path,
    config: AncestryConfig,
    given: Float64[np.ndarray, "samples pcs"] | None,
) -> dict[str, int]:
    """What an earlier fit says of these samples; its settings hold, save which adjustments to write."""
    own = model.config.model_copy(update={"adjust": config.adjust, "memory_mb": config.memory_mb})
    if (model.axes is None) != (given is not None):
        found = "components of genotypes" if model.axes else "given components"
        remedy = "drop --pcs" if model.axes else "give the same kind of components with --pcs"
        raise ConfigError("the ancestry model was fitted on other components", found=found, remedy=remedy)
    if given is None:
        assert source is not None
        assert model.axes is not None
        given = place(source, model.axes, own)
    if model.adjustment is not None:
        absent = sorted(set(model.adjustment.names) - set(score_names(scores)))
        if absent:
            say(f"genome: {len(absent)} scores of the ancestry model are not here, first {absent[0]}")
        model = dataclasses.replace(model, adjustment=model.adjustment.without(absent))
    is_fitted = np.zeros(samples.height, bool)
    if model.axes is not None:
        is_fitted = np.isin(sample_key(samples["sample_id"].to_list()), model.axes.fitted)
    basis = Basis(
        model.axes, given, is_fitted, given[:0], [], None, np.empty(0, np.int64), scores, [], has_panel=False
    )  # fmt: skip
    return _write(model, basis, samples, out, own)


def _kinds(model: AncestryModel, config: AncestryConfig) -> list[str]:
    """Adjustments to write: those asked for, or all that can be computed."""
    if model.adjustment is None or not model.adjustment.names:
        can = []
    else:
        can = [kind for kind in ADJUSTMENTS if kind != "Z_MostSimilarPop" or model.adjustment.populations]
    cannot = sorted(set(config.adjust or ()) - set(can))
    if cannot:
        remedy = "give a reference panel with --reference, or populations with --reference-populations"
        raise ConfigError("an adjustment cannot be computed", found=cannot[0], remedy=remedy)
    return [kind for kind in can if config.adjust is None or kind in config.adjust]


def _write_pcs(
    pcs: Float64[np.ndarray, "samples pcs"],
    is_fitted: Bool[np.ndarray, " samples"],
    subjects: pl.Series,
    out: Path,
) -> None:
    columns = {f"PC{number + 1}": column.astype(np.float32) for number, column in enumerate(pcs.T)}
    frame = pl.DataFrame({"subject_id": subjects, "is_fitted": is_fitted} | columns)
    PCS.write(frame, out / "pcs.parquet")
