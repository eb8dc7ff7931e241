"""The ancestry step of the stage ``genome``: components, most similar populations, adjusted scores."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.core.schema import ADJUSTED, ANCESTRY, PCS
from proband.genome.ancestry.adjustment.adjust import Fitted, fit_adjustment, write_adjusted
from proband.genome.ancestry.adjustment.scored import Scoring, score_bounded
from proband.genome.ancestry.axes import place
from proband.genome.ancestry.basis import SHARED_SCORES, Basis, own_basis, panel_basis, score_names
from proband.genome.ancestry.config import ADJUSTMENTS, AncestryConfig, AncestryInputs
from proband.genome.ancestry.figures import plot_components
from proband.genome.ancestry.inputs import read_pcs
from proband.genome.ancestry.model import MODEL_FILE, AncestryModel, load_model, save_model
from proband.genome.ancestry.population import Similarity, assign, check_populations
from proband.genome.genotypes.dataset import Genotypes


@dataclass(frozen=True)
class _Step:
    """What :func:`run_ancestry` is given."""

    source: Genotypes | None
    samples: pl.DataFrame
    scores: Path
    out: Path
    config: AncestryConfig
    inputs: AncestryInputs
    how: Scoring

    def given_pcs(self, number: int) -> Float64[np.ndarray, "samples pcs"] | None:
        """Components given, so many; None where they are to be computed."""
        return None if self.inputs.pcs is None else read_pcs(self.inputs.pcs, self.samples, number)


def run_ancestry(
    source: Genotypes | None,
    samples: pl.DataFrame,
    scores_path: Path,
    out: Path,
    config: AncestryConfig,
    inputs: AncestryInputs | None = None,
    how: Scoring | None = None,
) -> dict[str, int]:
    """Write components, most similar populations and adjusted scores of a scored data set.

    Fitted on a reference panel if one is given; else on the unrelated subjects of the split train (without
    splits, of all); or taken from an earlier fit.

    Args:
        source: The genotypes; None only where components are given and no panel is.
        samples: ``subject_id, sample_id`` of its samples, in order.
        scores_path: Raw scores of these subjects, :data:`proband.core.schema.SCORES`.
        out: Existing folder for pcs.parquet, ancestry.parquet, adjusted/, ancestry_model.npz and pcs.png.
        config: Settings.
        inputs: Files that it reads; default none.
        how: How the raw scores were made; default as scores that were given.

    Returns:
        Counts for the manifest.

    Raises:
        ConfigError: Options exclude each other, or an adjustment asked for cannot be computed.
        CheckpointError: The earlier fit is no ancestry model.
        DataError: An input is not usable.
    """
    inputs, how = inputs or AncestryInputs(), how or Scoring()
    _check_inputs(inputs, source)
    step = _Step(source, samples, scores_path, out, config, inputs, how)
    counts = _fit_anew(step) if inputs.model is None else _apply(load_model(inputs.model), step)
    shutil.rmtree(out / SHARED_SCORES, ignore_errors=True)
    return counts


def _check_inputs(inputs: AncestryInputs, source: Genotypes | None) -> None:
    if inputs.pcs is not None and inputs.reference is not None:
        remedy = "drop one: a panel's components are fitted together with those of the genotypes"
        raise ConfigError("--pcs and --reference exclude each other", remedy=remedy)
    if inputs.model is not None and inputs.reference is not None:
        remedy = "drop one: the model already holds what it took from its panel"
        raise ConfigError("--ancestry-model and --reference exclude each other", remedy=remedy)
    if source is None and (inputs.pcs is None or inputs.reference is not None):
        remedy = "give genotypes, or components with --pcs"
        raise ConfigError("components need genotypes", remedy=remedy)


def _fit_anew(step: _Step) -> dict[str, int]:
    """Fit on the panel or on the samples' own unrelated, keep the fit, and write what it says."""
    source, samples, out, config, inputs = step.source, step.samples, step.out, step.config, step.inputs
    given = step.given_pcs(config.num_pcs)
    if inputs.splits is None and inputs.reference is None:
        say("genome: no splits given, so ancestry is fitted on all unrelated subjects")
    if inputs.reference is not None:
        basis = panel_basis(source, samples, out, config, inputs, step.how)
    else:
        basis = own_basis(source, samples, step.scores, config, inputs, given, step.how)
    fitted = _fit(basis, config, inputs.reference_populations or inputs.reference)
    save_model(fitted, out / MODEL_FILE)
    return _write(fitted, basis, samples, out, config)


def _fit(basis: Basis, config: AncestryConfig, where: object) -> AncestryModel:
    """Scale, populations and coefficients, by the people fitted."""
    deviation = basis.pcs.std(axis=0)
    if not (deviation > 0).all():
        flat = int(np.flatnonzero(~(deviation > 0))[0]) + 1
        raise DataError(
            "a component does not vary among the people fitted", found=f"PC{flat}", where=where,
            remedy="fit on more people, or ask for fewer components",
        )  # fmt: skip
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
    scored: pl.DataFrame, source: Genotypes, subjects: pl.Series, out: Path, how: Scoring, memory_mb: int
) -> Path:
    """Scores over the variants of an earlier fit, so that they do not depend on who else is in the file."""
    (out / SHARED_SCORES).mkdir(exist_ok=True)
    path = out / SHARED_SCORES / "target.parquet"
    score_bounded(source, scored, subjects, path, how, memory_mb)
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
            basis.target_scores, out / ADJUSTED, kinds, model.adjustment, subjects,
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


def _apply(model: AncestryModel, step: _Step) -> dict[str, int]:
    """What an earlier fit says of these samples; its settings hold, save which adjustments to write."""
    source, samples, config, scores = step.source, step.samples, step.config, step.scores
    given = step.given_pcs(model.config.num_pcs)
    if model.scored is not None and source is not None and step.how.scorefiles:
        scores = _rescored(model.scored, source, samples["subject_id"], step.out, step.how, config.memory_mb)
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
        is_fitted = model.axes.are_fitted(samples["sample_id"].to_list(), given)
    basis = Basis(
        model.axes, given, is_fitted, given[:0], [], None, np.empty(0, np.int64), scores, [], has_panel=False
    )  # fmt: skip
    return _write(model, basis, samples, step.out, own)


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
