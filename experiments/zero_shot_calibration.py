"""Do risks of a model that was never told the outcomes mean what they say: against what happened, and against
the true risks of a synthetic biobank.

    proband forecast MODEL TOKENS RISK --task TASK --estimator scope --onsets events
    proband evaluate RISK BIOBANK/truth/risk.parquet --meds MEDS --out RESULTS --baselines none
    python experiments/zero_shot_calibration.py RESULTS RISK BIOBANK/truth/risk.parquet OUT --horizon 5

What happened has the noise of few cases and of censoring; a true risk (the oracle's, from simulated futures
of everything latent) has neither, and its mean over a group of people is known well. OUT gets calibration.csv
(a row per outcome), groups.csv (people by fifths of the model's risk: mean prediction, mean true risk, what
happened), calibration.md and calibration.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.schema import LABELS, RISK
from proband.evaluate.metrics.calibration import RISK_FLOOR, logit, risk_groups
from proband.evaluate.metrics.censoring import aalen_johansen
from proband.evaluate.tables import read_table

KEY = ["subject_id", "prediction_time", "outcome", "horizon_years"]
METRICS = ("observed_expected", "calibration_slope", "ici", "auroc")
GROUPS = 5


def pairs(risk: Path, oracle: Path, labels: Path, horizon: float) -> pl.DataFrame:
    """Predicted and true risk of the same people, with what happened to them."""
    model, truth = (
        RISK.read(path).filter(pl.col("horizon_years") == horizon) for path in (risk / "risk.parquet", oracle)
    )
    true = truth.select(*KEY, pl.col("risk").alias("true_risk"))
    happened = LABELS.read(labels).select("subject_id", "prediction_time", "outcome", "time_years", "event")
    joined = model.join(true, on=KEY).join(happened, on=KEY[:3])
    return joined.sort("outcome", "subject_id", "prediction_time")


def groups_of(people: pl.DataFrame, horizon: float) -> pl.DataFrame:
    """By outcome and fifth of the model's risk: means of both risks, and what happened."""
    rows = []
    for (outcome,), part in people.group_by("outcome", maintain_order=True):
        for number, index in enumerate(risk_groups(part["risk"].to_numpy(), GROUPS)):
            group = part[index]
            time, event = group["time_years"].to_numpy(), group["event"].to_numpy()
            observed = aalen_johansen(time, event, horizon, np.ones((1, len(group))))[0]
            means = {"predicted": group["risk"].mean(), "true": group["true_risk"].mean()}
            rows.append(
                {"outcome": outcome, "group": number + 1, **means, "observed": observed, "people": len(group)}
            )
    return pl.from_dicts(rows)


def agreement(people: pl.DataFrame) -> pl.DataFrame:
    """By outcome: mean risks, and how the model's goes with the true one."""
    rows = []
    for (outcome,), part in people.group_by("outcome", maintain_order=True):
        model, true = part["risk"].to_numpy(), part["true_risk"].to_numpy()
        rows.append(
            {
                "outcome": outcome,
                "people": len(part),
                "mean_risk": model.mean(),
                "mean_true_risk": true.mean(),
                "mean_standard_error": part["standard_error"].mean(),
                "correlation_of_log_odds": np.corrcoef(logit(model), logit(true))[0, 1],
                "mean_distance_from_truth": np.abs(model - true).mean(),
            }
        )
    return pl.from_dicts(rows)


def metrics_of(results: Path, model: str, horizon: float) -> pl.DataFrame:
    """By outcome: cases, and calibration of the model, with 95% intervals, and of the oracle."""
    table = read_table(results, "metrics").filter(pl.col("horizon_years") == horizon)
    rows = table.filter(pl.col("model") == model)
    found = rows.group_by("outcome", maintain_order=True).agg(pl.col("num_cases").first())
    for metric in METRICS:
        own = rows.filter(metric=metric).select(
            "outcome",
            pl.col("value").alias(metric),
            *(pl.col(end).alias(f"{metric}_{end}") for end in ("low", "high")),
        )
        best = table.filter(pl.col("model") == "oracle", metric=metric)
        best = best.select("outcome", pl.col("value").alias(f"oracle_{metric}"))
        found = found.join(own, on="outcome", how="left").join(best, on="outcome", how="left")
    return found


def write(out: Path, table: pl.DataFrame, groups: pl.DataFrame, horizon: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    table.write_csv(out / "calibration.csv", float_precision=5)
    groups.write_csv(out / "groups.csv", float_precision=5)
    text = markdown(table)
    (out / "calibration.md").write_text(text, encoding="utf-8")
    print(text)
    draw(out / "calibration.png", groups, horizon)


def markdown(table: pl.DataFrame) -> str:
    """A row per outcome; what is not estimable, for want of cases, is left empty."""
    columns = {
        "outcome": lambda row: row["outcome"].replace("_", " "),
        "cases": lambda row: str(row["num_cases"]),
        "mean risk": lambda row: f"{row['mean_risk']:.2%}",
        "mean true risk": lambda row: f"{row['mean_true_risk']:.2%}",
        "observed / expected": lambda row: _with_interval(row, "observed_expected"),
        "slope": lambda row: _with_interval(row, "calibration_slope"),
        "AUROC": lambda row: _with_interval(row, "auroc"),
        "oracle's AUROC": lambda row: _number(row["oracle_auroc"]),
        "correlation with true log odds": lambda row: _number(row["correlation_of_log_odds"]),
    }
    rows = [[cell(row) for cell in columns.values()] for row in table.iter_rows(named=True)]
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _with_interval(row: dict, name: str) -> str:
    if row[name] is None:
        return ""
    return f"{row[name]:.2f} ({_number(row[f'{name}_low'])} to {_number(row[f'{name}_high'])})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def draw(path: Path, groups: pl.DataFrame, horizon: float) -> None:
    """True and observed risk of each group over its mean prediction, on log axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.6), sharex=True, sharey=True, layout="constrained")
    shown = groups.with_columns(pl.col("predicted", "true", "observed").clip(RISK_FLOOR))
    ends = [RISK_FLOOR, 1]
    for axis, column, name in zip(axes, ("true", "observed"), ("true risk", "observed"), strict=True):
        axis.plot(ends, ends, color="#bbbbbb", lw=1, zorder=0)
        for _, part in shown.group_by("outcome", maintain_order=True):
            axis.plot(part["predicted"], part[column], "-o", ms=3, lw=0.7, alpha=0.7)
        axis.set(xscale="log", yscale="log", xlabel=f"predicted {horizon:g}-year risk", title=name)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("risk", type=Path)
    parser.add_argument("oracle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--horizon", type=float, default=5.0, help="Years.")
    options = parser.parse_args()
    people = pairs(options.risk, options.oracle, options.results / "labels.parquet", options.horizon)
    table = agreement(people).join(
        metrics_of(options.results, people["model"][0], options.horizon), on="outcome", how="left"
    )
    write(options.out, table, groups_of(people, options.horizon), options.horizon)


if __name__ == "__main__":
    main()
