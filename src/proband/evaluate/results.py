"""The summary of a results folder: a table and its text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.evaluate.baselines.age_sex import NAME as AGE_SEX
from proband.evaluate.baselines.age_sex import NAME_WITHOUT_SEX as AGE
from proband.evaluate.baselines.registry import model_names
from proband.evaluate.tables import read_table


def headline(results: Path, horizon: float | None = None) -> pl.DataFrame:
    """AUROC and AUPRC of every model at one horizon, and how each differs from the first model.

    Args:
        results: Folder of ``proband evaluate``.
        horizon: In years; default the longest.

    Returns:
        outcome, horizon_years, cumulative_incidence, num_subjects, num_cases, model; auroc and auprc with
        ``_low`` and ``_high``; auroc_difference and auprc_difference (this model minus the first listed)
        with ``_low``, ``_high`` and ``_p``. Null where not estimable or not applicable.

    Raises:
        DataError: The folder holds no such horizon.
    """
    metrics = read_table(results, "metrics")
    horizons = metrics["horizon_years"].unique().sort().to_list()
    wanted = horizons[-1] if horizon is None and horizons else horizon
    if wanted not in horizons:
        found = ", ".join(f"{value:g}" for value in horizons) or "none"
        remedy = "ask for one of these" if horizons else "run proband evaluate again"
        raise DataError(f"no horizon of {wanted} years", where=results, found=found, remedy=remedy)
    metrics = metrics.filter(pl.col("horizon_years") == wanted)
    key = ["outcome", "horizon_years", "model"]
    table = metrics.select(*key, "num_subjects", "num_cases").unique(key, maintain_order=True)
    incidence = metrics.filter(metric="cumulative_incidence").select(
        *key, pl.col("value").alias("cumulative_incidence")
    )
    table = table.join(incidence, on=key, how="left", maintain_order="left")
    differences = read_table(results, "differences").filter(pl.col("horizon_years") == wanted)
    for metric in ("auroc", "auprc"):
        part = metrics.filter(metric=metric).select(
            *key,
            pl.col("value").alias(metric),
            *(pl.col(end).alias(f"{metric}_{end}") for end in ("low", "high")),
        )
        table = table.join(part, on=key, how="left", maintain_order="left")
        table = table.join(
            _against_first(table, differences, metric), on=key, how="left", maintain_order="left"
        )
    first = ["outcome", "horizon_years", "cumulative_incidence", "num_subjects", "num_cases", "model"]
    return table.select(*first, *(name for name in table.columns if name not in first))


def _against_first(table: pl.DataFrame, differences: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Differences turned round: each later model minus the first listed of its outcome."""
    first = table.group_by("outcome", maintain_order=True).agg(pl.col("model").first().alias("model_a"))
    name = f"{metric}_difference"
    return (
        differences.filter(metric=metric)
        .join(first, on=["outcome", "model_a"])
        .select(
            "outcome",
            "horizon_years",
            pl.col("model_b").alias("model"),
            (-pl.col("difference")).alias(name),
            (-pl.col("high")).alias(f"{name}_low"),
            (-pl.col("low")).alias(f"{name}_high"),
            pl.col("p_value").alias(f"{name}_p"),
        )
    )


def below_age_sex(auroc: pl.DataFrame, by: str) -> str:
    """Which models do not order people better than age and sex, or age where no sex is known, and how often.

    Args:
        auroc: outcome, model and auroc (null where not estimable) at one horizon per outcome.
        by: The horizon in words.

    Returns:
        A sentence; empty where every model is above the age-sex baseline throughout, or that was not fitted.
    """
    is_age = AGE_SEX not in auroc["model"]
    reference = auroc.filter(model=AGE if is_age else AGE_SEX).select(
        "outcome", pl.col("auroc").alias("reference")
    )
    both = auroc.join(reference, on="outcome").drop_nulls(["auroc", "reference"])
    both = both.filter(~pl.col("model").is_in(model_names()))
    counts = both.group_by("model", maintain_order=True).agg(
        (pl.col("auroc") <= pl.col("reference")).sum().alias("below"), pl.len().alias("all")
    )
    worse = [f"{model} in {below} of {all_} outcomes" for model, below, all_ in counts.rows() if below]
    return (
        f"Not above {'age' if is_age else 'age and sex'} in AUROC {by}: {', '.join(worse)}." if worse else ""
    )


def format_headline(table: pl.DataFrame, compared: Sequence[str] = ()) -> str:
    """The table of :func:`headline` as text for a terminal: per metric one row per outcome.

    If a model is not above age and sex, the first line says so. Columns are cases, cumulative incidence,
    every model's value, and each of ``compared`` (default the second listed model) minus the first with its
    confidence interval. A dash stands for what too few cases do not let be estimated.
    """
    if table.is_empty():
        return "no outcome to show"
    models = table["model"].unique(maintain_order=True).to_list()
    horizon = table["horizon_years"][0]
    blocks = [
        _block(table, models, compared or models[1:2], metric, f"{title} at {horizon:g} years")
        for metric, title in (("auroc", "AUROC"), ("auprc", "AUPRC"))
    ]
    warning = below_age_sex(table, f"at {horizon:g} years")
    return "\n\n".join([warning, *blocks] if warning else blocks)


def _block(table: pl.DataFrame, models: list[str], compared: Sequence[str], metric: str, title: str) -> str:
    rows = [[title, "cases", "incidence", *models]]
    rows[0] += [f"{model} − {models[0]} (95% CI)" for model in compared]
    for (outcome,), part in table.group_by("outcome", maintain_order=True):
        by_model = {row["model"]: row for row in part.iter_rows(named=True)}
        top = part.row(0, named=True)
        cells = [str(outcome), str(top["num_cases"]), _number(top["cumulative_incidence"], percent=True)]
        cells += [_number(by_model[model][metric] if model in by_model else None) for model in models]
        cells += [_gain(by_model.get(model, {}), metric) for model in compared]
        rows.append(cells)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(widths[at]) for at, cell in enumerate(row) if at)])
        for row in rows
    )


def _gain(row: dict, metric: str) -> str:
    """A difference with its interval."""
    value, low, high = (row.get(f"{metric}_difference{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    ends = " to ".join("–" if end is None else f"{end:+.3f}" for end in (low, high))
    return f"{value:+.3f} ({ends})"


def _number(value: float | None, percent: bool = False) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}%" if percent else f"{value:.3f}"
