"""The fitted ancestry model in one .npz file of plain arrays: read without running anything stored.

It holds the components and populations of the people fitted (not their names), so it is individual-level data
and stays where they may be.
"""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, UInt64

from proband.core.errors import NUMPY_ERRORS, CheckpointError
from proband.core.seeds import name_key
from proband.genome.ancestry.components.pca import Loadings
from proband.genome.ancestry.config import AncestryConfig
from proband.genome.ancestry.population import Similarity

MODEL_FILE = "ancestry_model.npz"
_FORMAT = 2
_SAME, _LEAST_SAME = 0.1, 0.5
"""Standard deviations of the fitted people, in the root mean square over components, up to which somebody is
where the one of that name was (of 177 people 0.03 in the median and 0.09 at most where a tenth of 6,000
variants is absent; others 1.4 and 0.14 at least), and the share of such people below which all are others."""
_SITE_COLUMNS = ("chrom", "pos", "ref", "alt")


@dataclass(frozen=True)
class Adjustment:
    """Coefficients that adjust scores; a row of the per-term arrays per term, a column per score.

    Attributes:
        names: Scores.
        populations: Populations, sorted; empty where none are known.
        population_mean: Mean per population and score.
        population_sd: Standard deviation per population and score.
        mean: Least-squares coefficients of the mean: 1, then the standardised components.
        residual_sd: Standard deviation of the residuals.
        likelihood_mean: Maximum-likelihood coefficients of the mean.
        likelihood_variance: Those of the log-variance.
    """

    names: list[str]
    populations: list[str]
    population_mean: Float64[np.ndarray, "populations scores"]
    population_sd: Float64[np.ndarray, "populations scores"]
    mean: Float64[np.ndarray, "terms scores"]
    residual_sd: Float64[np.ndarray, " scores"]
    likelihood_mean: Float64[np.ndarray, "terms scores"]
    likelihood_variance: Float64[np.ndarray, "terms scores"]

    def without(self, names: list[str]) -> Adjustment:
        """The coefficients of the other scores."""
        kept = np.flatnonzero(~np.isin(self.names, names)) if names else np.arange(len(self.names))
        arrays = {
            field.name: getattr(self, field.name)[..., kept]
            for field in fields(self)
            if field.name not in ("names", "populations")
        }
        return Adjustment([self.names[column] for column in kept], self.populations, **arrays)


@dataclass(frozen=True)
class Axes:
    """Where components come from.

    Attributes:
        sites: ``chrom, pos, ref, alt`` of the loadings' variants.
        build: Their genome build if known.
        loadings: What projects.
        fitted: Keys (:func:`sample_key`) of the samples fitted, sorted.
        fitted_pcs: Their components.
    """

    sites: pl.DataFrame
    build: str | None
    loadings: Loadings
    fitted: UInt64[np.ndarray, " fitted"]
    fitted_pcs: Float64[np.ndarray, "fitted pcs"]

    def of_nobody(self) -> Axes:
        """The same, with nobody taken for one of the people fitted."""
        return dataclasses.replace(self, fitted=self.fitted[:0], fitted_pcs=self.fitted_pcs[:0])

    def are_fitted(
        self, names: list[str], pcs: Float64[np.ndarray, "samples pcs"]
    ) -> Bool[np.ndarray, " samples"]:
        """Which samples are people fitted: by name, and by where they lie, since another cohort may bear the
        same names.

        Args:
            names: Of the samples.
            pcs: Their components by plain projection, or of the people fitted alone by it.
        """
        if not len(self.fitted):
            return np.zeros(len(names), bool)
        keys = sample_key(names)
        place = np.searchsorted(self.fitted, keys).clip(max=len(self.fitted) - 1)
        named = self.fitted[place] == keys
        beside = (pcs - self.fitted_pcs[place]) / self.fitted_pcs.std(axis=0)
        same = named & (np.sqrt(np.square(beside).mean(axis=1)) <= _SAME)
        return same & (same.sum() >= _LEAST_SAME * named.sum())


@dataclass(frozen=True)
class AncestryModel:
    """Everything that gives new people their components, most similar population and adjusted scores.

    Attributes:
        config: Settings it was fitted by.
        axes: What projects genotypes; None where components were given.
        pc_mean: Mean of the fitted people's components.
        pc_sd: Their standard deviation (ddof 0).
        similarity: Labelled people; None where populations are unknown.
        adjustment: Coefficients; None where no score was adjusted.
        scored: Variants behind the adjusted scores and their mean ALT dosage, of
            :func:`proband.genome.ancestry.adjustment.scored.scored_variants`; None where scores were given.
    """

    config: AncestryConfig
    axes: Axes | None
    pc_mean: Float64[np.ndarray, " pcs"]
    pc_sd: Float64[np.ndarray, " pcs"]
    similarity: Similarity | None
    adjustment: Adjustment | None
    scored: pl.DataFrame | None = None

    def standardised(self, pcs: Float64[np.ndarray, "people pcs"]) -> Float64[np.ndarray, "people pcs"]:
        """Components in standard deviations of the people fitted."""
        return (pcs - self.pc_mean) / self.pc_sd


def sample_key(names: list[str]) -> UInt64[np.ndarray, " names"]:
    """One number per sample name, so that the file holds no names."""
    return np.array([name_key("genome", "fitted", name) for name in names], np.uint64)


def save_model(model: AncestryModel, path: Path) -> None:
    """Write the model as arrays."""
    arrays: dict[str, Any] = {"pc_mean": model.pc_mean, "pc_sd": model.pc_sd}
    meta: dict[str, Any] = {"format": _FORMAT, "config": model.config.model_dump(mode="json")}
    if model.axes:
        arrays |= {f"site_{name}": np.array(model.axes.sites[name].to_list()) for name in _SITE_COLUMNS}
        loadings = model.axes.loadings
        arrays |= {
            "frequency": loadings.frequency,
            "vectors": loadings.vectors,
            "singular": loadings.singular,
        }
        arrays |= {"fitted": model.axes.fitted, "fitted_pcs": model.axes.fitted_pcs}
        meta["build"] = model.axes.build
    if model.similarity:
        arrays |= {"similarity_pcs": model.similarity.pcs, "labels": np.array(model.similarity.labels)}
        meta |= {"method": model.similarity.method, "forest_seed": model.similarity.seed}
    if model.adjustment:
        for field in fields(Adjustment):
            arrays[f"adjust_{field.name}"] = np.array(getattr(model.adjustment, field.name))
    if model.scored is not None:
        packed = io.BytesIO()
        model.scored.write_ipc(packed)
        arrays["scored"] = np.frombuffer(packed.getvalue(), np.uint8)
    np.savez_compressed(path, meta=np.array(json.dumps(meta)), **arrays)


def load_model(path: Path) -> AncestryModel:
    """Read a model from its file or from the folder that holds it.

    Raises:
        CheckpointError: There is none, it is damaged, or another version wrote it.
    """
    file = path / MODEL_FILE if path.is_dir() else path
    remedy = "give the folder of a finished ancestry step, or its ancestry_model.npz"
    if not file.is_file():
        raise CheckpointError("no ancestry model", where=file, remedy=remedy)
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored.items())
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] != _FORMAT:
            raise CheckpointError(
                "another version's ancestry model", where=file, expected=f"format {_FORMAT}"
            )
        return _model(arrays, meta)
    except (*NUMPY_ERRORS, AttributeError, IndexError, pl.exceptions.PolarsError) as error:
        found = f"{type(error).__name__} {error}"
        raise CheckpointError("unreadable ancestry model", where=file, found=found, remedy=remedy) from None


def _model(arrays: dict[str, Any], meta: dict[str, Any]) -> AncestryModel:
    axes = similarity = adjustment = None
    if "vectors" in arrays:
        sites = pl.DataFrame({name: arrays[f"site_{name}"].tolist() for name in _SITE_COLUMNS})
        loadings = Loadings(arrays["frequency"], arrays["vectors"], arrays["singular"], sites.height)
        axes = Axes(sites, meta["build"], loadings, arrays["fitted"], arrays["fitted_pcs"])
    if "labels" in arrays:
        labels = arrays["labels"].tolist()
        similarity = Similarity(arrays["similarity_pcs"], labels, meta["method"], meta["forest_seed"])
    if "adjust_names" in arrays:
        values = {field.name: arrays[f"adjust_{field.name}"] for field in fields(Adjustment)}
        values |= {name: values[name].tolist() for name in ("names", "populations")}
        adjustment = Adjustment(**values)
    scored = pl.read_ipc(io.BytesIO(arrays["scored"].tobytes())) if "scored" in arrays else None
    config = AncestryConfig(**meta["config"])
    return AncestryModel(config, axes, arrays["pc_mean"], arrays["pc_sd"], similarity, adjustment, scored)
