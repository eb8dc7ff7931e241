"""How much one person's risk depends on the sample and the seed of training: refits beside the model, with
and without scores.

    python experiments/stability.py OUT --size small --seeds 0 --refits 4 [--same-subjects]

EHR+PCs and EHR+PCs+PGS are trained again with other seeds, on subjects of train and tuning drawn with
replacement, or with --same-subjects on the same ones. Given is by horizon the mean over outcomes of what
``proband evaluate --refits`` tells: mean absolute difference of risks, width of the interval of the refits'
risks, share of people on the other side of a threshold of twice the mean risk, each also over the mean risk
where it is a risk. OUT/SIZE gets stability.csv, stability.md (with --same-subjects
stability_same_subjects), and of the last seed a picture of that name: refits against the model, type 2
diabetes. Riley and Collins 2023, doi 10.1002/bimj.202200302.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from biobank import EHR_PCS, SIZES, T2D, Biobank, Model, arguments
from onset_panel import WITH_PGS
from replicates import write

from proband.core.schema import RISK
from proband.evaluate.config import NONE
from proband.evaluate.stability import FILE, STABILITY

SEEDS = (0,)
MODELS = (EHR_PCS, WITH_PGS[0])
HORIZON = 10.0
FLAGGED_AT = 2.0
"""Threshold of classification, in multiples of the mean risk."""
FIRST_SEED = 1000


def main() -> None:
    """Run, or go on."""
    parser = arguments(__doc__, SEEDS)
    parser.add_argument("--refits", type=int, default=4, help="further trainings of each model, at least 2")
    parser.add_argument("--same-subjects", action="store_true", help="let the refits differ by seed alone")
    given = parser.parse_args()
    size, rows = SIZES[given.size], []
    name = "stability_same_subjects" if given.same_subjects else "stability"
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        resample = not given.same_subjects
        refits = {model.name: refitted(bank, model, given.refits, resample) for model in MODELS}
        found = judged(bank, refits, name)
        rows.append(summary(found).with_columns(seed=pl.lit(str(seed))))
        draw(bank, refits, found, given.out / size.name / f"{name}.png")
        print(f"stability: seed {seed} done", flush=True)
    seeds = " ".join(map(str, given.seeds))
    table = pl.concat(rows).select("seed", pl.exclude("seed"))
    write(given.out / size.name, name, {"Refits": table}, f"{size.name}, seeds {seeds}")


def refitted(bank: Biobank, model: Model, number: int, resample: bool) -> list[Path]:
    """RiskTables of refits, each under the name of the model."""
    found = []
    for at in range(number):
        settings = {"seed": FIRST_SEED + at} | ({"resample_seed": FIRST_SEED + at} if resample else {})
        kind = "resample" if resample else "refit"
        again = replace(model, name=f"{model.name} {kind} {at}", settings=model.settings | settings)
        folder = bank.risks(again)
        path = bank.folder / f"refit_{again.slug}.parquet"  # under the model's name
        if not path.is_file():
            risks = RISK.read(folder / "risk.parquet")
            RISK.write(risks.with_columns(pl.lit(model.name).alias("model")), path)
        found.append(path)
    return found


def judged(bank: Biobank, refits: dict[str, list[Path]], name: str) -> pl.DataFrame:
    """The stability table of all models."""
    files = [path for paths in refits.values() for path in paths]
    risks = [bank.risks(model) for model in MODELS]
    results = bank.evaluated(f"{name}_{len(files)}", risks, [NONE], refits=files)
    return STABILITY.read(results / FILE)


def summary(found: pl.DataFrame) -> pl.DataFrame:
    """Mean over outcomes of the main measures by model and horizon, risks also over the mean risk.

    The mean risk is that of the groups of rising risk, which are alike in size.
    """
    key = ["model", "horizon_years"]
    each = [*key, "outcome"]
    mean = (
        found.filter(measure="group_original").group_by(each).agg(pl.col("value").mean().alias("mean_risk"))
    )
    of_risk = found.filter(pl.col("measure").is_in(("mean_absolute_difference", "interval_width")))
    flagged = (
        found.filter(measure="classification_changed")
        .join(mean, on=each)
        .filter((pl.col("at") / pl.col("mean_risk") / FLAGGED_AT).is_between(0.9, 1.1))
        .with_columns(mean_risk=pl.lit(None, pl.Float64))
    )
    both = pl.concat([of_risk.join(mean, on=each), flagged.select(*of_risk.columns, "mean_risk")])
    relative = (pl.col("value") / pl.col("mean_risk")).mean().alias("over_mean_risk")
    counts = pl.col("num_refits").first(), pl.len().alias("num_outcomes")
    means = both.group_by(*key, "measure").agg(pl.col("value").mean().alias("mean"), relative, *counts)
    return means.sort(*key, "measure")


def draw(bank: Biobank, refits: Mapping[str, Sequence[Path]], found: pl.DataFrame, path: Path) -> None:
    """Risks of refits against those of the model, a panel per model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(MODELS), figsize=(9, 4.5), sharex=True, sharey=True)
    one = {"outcome": T2D, "horizon_years": HORIZON}
    for axis, model in zip(axes, MODELS, strict=True):
        original = RISK.read(bank.risks(model) / "risk.parquet").filter(**one)
        for file in refits[model.name]:
            again = RISK.read(file).filter(**one)
            pair = original.join(again, on=["subject_id", "prediction_time"])
            axis.plot(pair["risk"], pair["risk_right"], ".", markersize=1.5, color="0.6", rasterized=True)
        groups = (
            found.filter(model=model.name, **one).pivot(on="measure", index="at", values="value").sort("at")
        )
        for end in ("group_low", "group_high"):
            axis.plot(groups["group_original"], groups[end], color="tab:blue")
        top = float(original["risk"].to_numpy().max(initial=0)) or 1.0
        axis.plot([0, top], [0, top], color="black", linewidth=0.8)
        axis.set(title=model.name, xlabel="risk by the model", ylabel="risk by its refits")
    figure.suptitle(f"Type 2 diabetes, {HORIZON:g} years")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
