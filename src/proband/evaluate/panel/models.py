"""What each model is, and what those that read a genome gain on those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from proband.core.files.manifest import MANIFEST, read_manifest
from proband.ehr.meds.kinship import Families
from proband.evaluate.choices import BASELINES
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.inputs import RISK_FILE
from proband.evaluate.metrics.risk_set import LEAST_FOR_INTERVALS
from proband.evaluate.panel.gain import METRICS, PairedRisks
from proband.evaluate.tables import GAINS, MODELS

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
        known |= dict.fromkeys((name, *baseline.also), (BASELINE, reads))
    rows = [(model, *known.get(model, (GIVEN, None))) for model in models]
    return pl.DataFrame(rows, schema=dict(MODELS.columns), orient="row")


def truth_among(models: pl.DataFrame) -> str:
    """The model whose risks are the true ones, the first if several; empty for none.

    >>> rows = [("a", "given", False), ("true", "oracle", None)]
    >>> truth_among(pl.DataFrame(rows, schema=dict(MODELS.columns), orient="row"))
    'true'
    """
    return next(iter(models.filter(kind=ORACLE)["model"]), "")


def _given(risk: Path, begun: Path | None) -> dict[str, tuple[str, bool | None]]:
    """Models of one input -> what they are."""
    file = risk / RISK_FILE if risk.is_dir() else risk
    names = pl.read_parquet(file, columns=["model"])["model"].unique().to_list()
    manifest = read_manifest(file.parent) if (file.parent / MANIFEST).is_file() else {}
    if manifest.get("stage") == "oracle" or (begun is not None and file.parent == begun.parent):
        return dict.fromkeys(names, (ORACLE, None))
    modalities = manifest.get("config", {}).get("modalities")
    reads = None if modalities is None else _GENOME in modalities
    return dict.fromkeys(names, (GIVEN, reads))


def pairs(models: pl.DataFrame) -> list[tuple[str, str]]:
    """Each model that reads a genome beside the one like it that does not.

    Given models are set beside the first given one without a genome, baselines beside the one of the same
    name without ``_pgs``.

    >>> rows = [("a", "given", False), ("a+g", "given", True), ("b", "baseline", False)]
    >>> pairs(pl.DataFrame([*rows, ("b_pgs", "baseline", True)], schema=dict(MODELS.columns), orient="row"))
    [('a+g', 'a'), ('b_pgs', 'b')]
    """
    without = models.filter(pl.col("reads_genome").not_())
    own = without.filter(kind=GIVEN)["model"].to_list()
    found = []
    for model, kind in models.filter("reads_genome").select("model", "kind").iter_rows():
        plain = model.removesuffix(_WITH_SCORES) if kind == BASELINE else next(iter(own), "")
        if plain != model and plain in without["model"]:
            found.append((model, plain))
    return found


def mean_gains(
    results: Path, config: EvaluateConfig, models: pl.DataFrame, families: Families | None = None
) -> pl.DataFrame:
    """Mean over outcomes of what each model with a genome gains, at the longest horizon.

    Args:
        results: The results folder so far, with labels and baselines' RiskTables.
        config: Of the evaluation.
        models: Frame of :data:`proband.evaluate.tables.MODELS`.
        families: Resampled as one; default each subject by itself.

    Returns:
        A frame of :data:`proband.evaluate.tables.GAINS`; empty without a pair of models or an outcome of
        enough cases.
    """
    compared = pairs(models)
    if not compared:
        return GAINS.empty()
    files = [path / RISK_FILE if path.is_dir() else path for path in map(Path, config.risks)]
    horizon = float(pl.read_parquet(files[0], columns=["horizon_years"])["horizon_years"].unique().sort()[-1])
    paired = PairedRisks.read(results, files, horizon, config.bootstrap, config.seed, families)
    gains = paired.gains({pair: paired.with_cases(LEAST_FOR_INTERVALS, pair) for pair in compared})
    rows = [
        (horizon, *pair, metric, *gain, LEAST_FOR_INTERVALS)
        for pair, both in gains.items()
        for metric, gain in zip(METRICS, both, strict=True)
    ]
    ends = pl.col("low", "high").fill_nan(None)
    return pl.DataFrame(rows, schema=dict(GAINS.columns), orient="row").with_columns(ends)
