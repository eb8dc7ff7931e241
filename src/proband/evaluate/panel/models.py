"""What each model is, and what those that read a genome gain on those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from proband.core.files.manifest import manifest_if_any
from proband.evaluate.choices import BASELINES
from proband.evaluate.inputs import RISK_FILE
from proband.evaluate.tables import MODELS

GIVEN, BASELINE, ORACLE = "given", "baseline", "oracle"
_WITH_SCORES = "_pgs"
_GENOME = "genome"


def described_models(risks: Sequence[str], models: Sequence[str], begun: Path | None) -> pl.DataFrame:
    """Kind of each model and whether it reads a genome, as the manifest beside its risks tells.

    Args:
        risks: Forecast folders or RiskTable files.
        models: Names, in order.
        begun: A file of a synthetic biobank's truth: RiskTable files of its folder are the oracle's.

    Returns:
        A frame of :data:`proband.evaluate.tables.MODELS`.
    """
    known = {name: row for risk in map(Path, risks) for name, row in _given(risk, begun).items()}
    for name, baseline in BASELINES.items():
        reads = "--genome" in baseline.needs
        known |= dict.fromkeys((name, *baseline.also), (BASELINE, reads, None))
    rows = [(model, *known.get(model, (GIVEN, None, None))) for model in models]
    return pl.DataFrame(rows, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row")


def truth_among(models: pl.DataFrame) -> str:
    """The model whose risks are the true ones, the first if several; empty for none.

    >>> rows = [("a", "given", False), ("true", "oracle", None)]
    >>> truth_among(pl.DataFrame(rows, schema=dict(MODELS.columns), orient="row"))
    'true'
    """
    return next(iter(models.filter(kind=ORACLE)["model"]), "")


def _given(risk: Path, begun: Path | None) -> dict[str, tuple[str, bool | None, str | None]]:
    """Models of one input -> what they are."""
    file = risk / RISK_FILE if risk.is_dir() else risk
    names = pl.read_parquet(file, columns=["model"])["model"].unique().to_list()
    manifest = manifest_if_any(file.parent)
    if manifest.get("stage") == "oracle" or (begun is not None and file.parent == begun.parent):
        return dict.fromkeys(names, (ORACLE, None, None))
    # What was given may be more: a model of records alone passes over a genome.
    given = manifest.get("config", {}).get("modalities")
    modalities = manifest.get("notes", {}).get("modalities_read", given)
    if modalities is None:
        return dict.fromkeys(names, (GIVEN, None, None))
    besides = ",".join(sorted(set(modalities) - {_GENOME}))
    return dict.fromkeys(names, (GIVEN, _GENOME in modalities, besides))


def pairs(models: pl.DataFrame) -> list[tuple[str, str]]:
    """Each model that reads a genome beside the one like it that does not.

    Given models are set beside the first given one that reads the same else and no genome: what principal
    components of ancestry add is not the genome's. Baselines are set beside the one of the same name without
    ``_pgs``. A model without such a partner is in no pair (:func:`unpaired`).

    >>> rows = [("a", "given", False, ""), ("a+p", "given", False, "pcs"), ("a+p+g", "given", True, "pcs")]
    >>> rows += [("b", "baseline", False, None), ("b_pgs", "baseline", True, None)]
    >>> pairs(pl.DataFrame(rows, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row"))
    [('a+p+g', 'a+p'), ('b_pgs', 'b')]
    """
    partners = {model: _partner(models, model) for model in _given_with_genome(models)}
    baselines = models.filter(kind=BASELINE)
    plain = set(baselines.filter(pl.col("reads_genome").not_())["model"])
    for model in baselines.filter("reads_genome")["model"]:
        name = model.removesuffix(_WITH_SCORES)
        partners[model] = name if name in plain else None
    return [(model, one) for model in models["model"] if (one := partners.get(model))]


def unpaired(models: pl.DataFrame) -> dict[str, str]:
    """Given models with a genome that have no partner, and what they read besides, with commas between.

    >>> rows = [("a", "given", False, ""), ("a+p+g", "given", True, "pcs")]
    >>> unpaired(pl.DataFrame(rows, schema=dict(MODELS.columns) | dict(MODELS.optional), orient="row"))
    {'a+p+g': 'pcs'}
    """
    alone = [model for model in _given_with_genome(models) if _partner(models, model) is None]
    return {model: _besides(models).filter(model=model)["reads_besides"][0] for model in alone}


def _given_with_genome(models: pl.DataFrame) -> list[str]:
    return models.filter(pl.col("kind") == GIVEN, "reads_genome")["model"].to_list()


def _partner(models: pl.DataFrame, model: str) -> str | None:
    """The first given model without a genome that reads the same besides."""
    rows = _besides(models).filter(kind=GIVEN)
    same = rows.filter(reads_besides=rows.filter(model=model)["reads_besides"][0])
    return next(iter(same.filter(pl.col("reads_genome").not_())["model"]), None)


def _besides(models: pl.DataFrame) -> pl.DataFrame:
    """With ``reads_besides``, empty where it is not known."""
    if "reads_besides" not in models.columns:
        return models.with_columns(reads_besides=pl.lit(""))
    return models.with_columns(pl.col("reads_besides").fill_null(""))
