"""From genotypes to components: prune variants, leave relatives out, fit, project everybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from proband.core.errors import ConfigError, DataError
from proband.core.running.progress import say
from proband.core.seeds import generator
from proband.genome.ancestry.components.kinship import (
    LEAST_VARIANTS,
    MOST_PEOPLE,
    MOST_VARIANTS,
    pairs_of,
    read_kinship,
    related_pairs,
    unrelated,
)
from proband.genome.ancestry.components.panel import Panel, frequencies, open_panel
from proband.genome.ancestry.components.pca import components, corrected, fit_loadings, project
from proband.genome.ancestry.components.prune import candidates, prune, thin
from proband.genome.ancestry.components.shared import shared_variants
from proband.genome.ancestry.config import AncestryConfig
from proband.genome.ancestry.model import Axes, sample_key
from proband.genome.genotypes.builds import HARMONISED
from proband.genome.genotypes.dataset import Genotypes

_LEAST_SHARE = 0.5
"""Share of a model's variants below which components are not trusted. Rounded choice of ours."""
_MOST_MISSING = 0.5
"""Share of missing calls beyond which a variant counts as absent where people are projected. Far laxer than
the bound for fitting, so that a person's components do not hang on who else is in the file."""


@dataclass(frozen=True)
class Fit:
    """Components fitted on a data set.

    Attributes:
        axes: What projects.
        people: Columns of the data set fitted: unrelated people of the train split.
    """

    axes: Axes
    people: Int64[np.ndarray, " people"]


def fit_axes(
    source: Genotypes, may_fit: Bool[np.ndarray, " samples"], kinship: Path | None, config: AncestryConfig
) -> Fit:
    """Fit components on the unrelated among the samples that may be fitted.

    Args:
        source: The data set; its ``variants`` bound the choice.
        may_fit: Samples of the train split.
        kinship: Table of related pairs, or None to estimate them.
        config: Settings.

    Raises:
        DataError: Too few variants or people are left.
        ConfigError: There are too many people to estimate kinship.
    """
    sites = candidates(source.variants, source.build)
    if source.build not in HARMONISED:
        told = f"are of {source.build}" if source.build else "tell no genome build"
        say(f"genome: the genotypes {told}, so regions of long-range LD are not left out")
    people = np.flatnonzero(may_fit)
    if kinship is not None:
        people = without_relatives(source.sample_ids, people, kinship, config)
    panel = open_panel(source, sites["index"].to_numpy().astype(np.uint32), config.memory_mb).of_people(
        people
    )
    rows = prune(panel.of_people(_judges(people, config)), sites, config)
    _check_enough(len(rows), "variants fit for components", config, source.files[0])
    if kinship is None and config.relatives == "king":
        people = _by_king(panel.of_variants(thin(rows, MOST_VARIANTS)), config)
    _check_enough(len(people), "unrelated people to fit", config, source.files[0])
    rows = thin(rows, config.max_variants)
    panel = panel.of_variants(rows).of_people(people)
    frequency, _ = frequencies(panel)
    varying = np.flatnonzero((frequency > 0) & (frequency < 1))
    loadings = fit_loadings(
        panel.of_variants(varying), frequency[varying], 2 * config.num_pcs, config.passes, config.seed
    )
    _check_enough(len(loadings.singular), "components in the data", config, source.files[0])
    say(f"genome: components of {len(varying)} variants fitted on {len(people)} unrelated people")
    where = sites[rows[varying]].select("chrom", "pos", "ref", "alt")
    keys = sample_key([source.sample_ids[person] for person in people])
    own = components(project(panel.of_variants(varying), loadings), config.num_pcs)
    order = np.argsort(keys)
    return Fit(Axes(where, source.build, loadings, keys[order], own[order]), people)


def without_relatives(
    sample_ids: list[str], people: Int64[np.ndarray, " people"], kinship: Path, config: AncestryConfig
) -> Int64[np.ndarray, " kept"]:
    """The people less relatives, by a table of pairs."""
    pairs = pairs_of(read_kinship(kinship), [sample_ids[person] for person in people], config.max_kinship)
    kept = unrelated(len(people), pairs)
    say(f"genome: {len(pairs)} related pairs given; {len(people) - len(kept)} people left out of fitting")
    return people[kept]


def _judges(people: Int64[np.ndarray, " people"], config: AncestryConfig) -> Int64[np.ndarray, " judges"]:
    if len(people) <= config.ld_samples:
        return people
    return np.sort(generator(config.seed, "genome", "ld").choice(people, config.ld_samples, replace=False))


def _by_king(panel: Panel, config: AncestryConfig) -> Int64[np.ndarray, " kept"]:
    if len(panel.variants) < LEAST_VARIANTS:
        say(
            f"genome: {len(panel.variants)} variants are too few to estimate kinship (at least"
            f" {LEAST_VARIANTS}); all people are taken as unrelated"
        )
        return panel.people
    if len(panel.people) > MOST_PEOPLE:
        raise ConfigError(
            "too many people to estimate kinship",
            found=len(panel.people),
            expected=f"at most {MOST_PEOPLE}",
            remedy="give a table with --kinship, or take all as unrelated with --relatives none",
        )
    pairs = related_pairs(panel, config.max_kinship)
    kept = unrelated(len(panel.people), pairs)
    say(
        f"genome: {len(pairs)} related pairs found;"
        f" {len(panel.people) - len(kept)} people left out of fitting"
    )
    return panel.people[kept]


def _check_enough(found: int, what: str, config: AncestryConfig, where: object) -> None:
    least = config.num_pcs + 1
    if found < least:
        remedy = "lower --num-pcs, give more data, or give components with --pcs"
        raise DataError(
            f"too few {what}", where=where, found=found, expected=f"at least {least}", remedy=remedy
        )


def place(source: Genotypes, axes: Axes, config: AncestryConfig) -> Float64[np.ndarray, "samples pcs"]:
    """Components of every sample: those fitted by plain projection, others corrected for shrinkage.

    Raises:
        DataError: The data set is of another build or has too few of the variants.
    """
    if axes.build and source.build and axes.build != source.build:
        remedy = f"give genotypes of {axes.build}"
        raise DataError(
            "wrong genome build",
            where=source.files[0],
            found=source.build,
            expected=axes.build,
            remedy=remedy,
        )
    panel, rows = _panel_of(source, axes, config)
    num_sites = axes.sites.height
    if len(rows) < max(_LEAST_SHARE * num_sites, config.num_pcs + 1):
        raise DataError(
            "too few variants of the ancestry model",
            where=source.files[0],
            found=f"{len(rows)} of {num_sites}",
            expected=f"at least {_LEAST_SHARE:.0%}",
            remedy="check that the genome builds agree, impute, or fit components anew",
        )
    if len(rows) < num_sites:
        say(f"genome: {num_sites - len(rows)} of {num_sites} variants behind the components are not here")
    loadings = axes.loadings.of_variants(rows)
    projection = project(panel, loadings)
    pcs = components(projection, config.num_pcs)
    others = ~axes.are_fitted(source.sample_ids, pcs)
    if config.correct_shrinkage and others.any():
        pcs[others] = corrected(projection.of_people(others), loadings, config.num_pcs)
    return pcs


def _panel_of(
    source: Genotypes, axes: Axes, config: AncestryConfig
) -> tuple[Panel, Int64[np.ndarray, " rows"]]:
    """The data set's panel of the axes' variants, and their rows; those mostly not called are left out."""
    flags = {"is_multiallelic": pl.lit(False), "is_ambiguous": pl.lit(False)}
    ours = axes.sites.with_row_index("index").with_columns(**flags)
    shared = shared_variants(ours, source.variants)
    rows = shared["index"].to_numpy().astype(np.int64)
    theirs = shared["their_index"].to_numpy().astype(np.uint32)
    panel = open_panel(source, theirs, config.memory_mb, shared["is_swapped"].to_numpy())
    called = np.flatnonzero(frequencies(panel)[1] <= _MOST_MISSING)
    return panel.of_variants(called), rows[called]
