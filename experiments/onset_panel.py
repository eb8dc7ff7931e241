"""What the genome adds to risks of first onsets, beside every baseline and the ceiling.

    python experiments/onset_panel.py OUT --size small --seeds 0 1 2

On a synthetic biobank per seed: records alone (EHR), with principal components (EHR+PCs), and with polygenic
scores besides (EHR+PCs+PGS) by prefix, adapter and cross-attention; all baselines, late fusion of EHR with
the scores, and the oracle; 1, 5 and 10 years. The headline is the paired difference EHR+PCs+PGS less EHR+PCs
(published: type 2 diabetes, AUROC +0.025, AUPRC +0.041; doi:10.48550/arXiv.2510.23639) and its share of the
distance from EHR+PCs to the oracle, where that distance is beyond chance. Onset hazards read scores by linear
terms whatever the fusion (docs/train.md), so the fusions should agree here; experiments/fusion.py compares
them in the generative model. OUT/SIZE gets onset_panel.csv (gains), onset_panel_auroc.csv,
onset_panel_metrics.csv and onset_panel.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from biobank import EHR, EHR_PCS, ORACLE, SIZES, T2D, Biobank, Model, arguments, with_scores
from replicates import Areas, labelled, with_interval, write

from proband.evaluate.panel.gain import PairedRisks
from proband.evaluate.tables import read_table

HORIZONS = (1.0, 5.0, 10.0)
LEAST_OUTCOMES = 12
LEAST_AT_HORIZON = 10
"""Cases by a horizon that an outcome of the panel needs to count there."""
FUSIONS = ("prefix", "adapter", "cross_attention")
WITH_PGS = tuple(with_scores(f"PGS {fusion.replace('_', ' ')}", fusion=fusion) for fusion in FUSIONS)
MODELS = (EHR, EHR_PCS, *WITH_PGS)
COMPARED = (*(model.name for model in MODELS), ORACLE)
"""Of which an outcome needs risks of everybody."""
RESULTS = "onset_panel"
SHOWN = ("auroc", "auprc", "observed_expected", "calibration_slope", "brier_scaled")


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size, out = SIZES[given.size], given.out / given.size
    values, paired = [], {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        results, risks = judged(bank)
        values.append(values_of(results).with_columns(seed=pl.lit(str(seed))))
        for horizon in HORIZONS:
            paired[horizon, seed] = read_paired(bank, results, risks, horizon)
        print(f"onset_panel: seed {seed} done", flush=True)
    chosen = panel([paired[HORIZONS[-1], seed] for seed in given.seeds], size.least_cases, COMPARED)
    gains = [
        row
        for horizon in HORIZONS
        for row in gains_at(horizon, {seed: Areas(paired[horizon, seed]) for seed in given.seeds}, chosen)
    ]
    table = pl.concat(values).filter(pl.col("outcome").is_in(chosen))
    write(
        out,
        RESULTS,
        {"Gains": pl.DataFrame(gains), "AUROC": wide(table, chosen)},
        f"{size.name}, seeds {' '.join(map(str, given.seeds))}",
    )
    table.write_csv(out / f"{RESULTS}_metrics.csv", float_precision=5)


def judged(bank: Biobank) -> tuple[Path, list[Path]]:
    """Results of all models, baselines and the oracle, and the folders of risks."""
    risks = [bank.risks(model) for model in MODELS]
    fusion = bank.risks(EHR, "tuning")
    return bank.evaluated(RESULTS, risks, fusion_risks=fusion), risks


def read_paired(bank: Biobank, results: Path, risks: Sequence[Path], horizon: float) -> PairedRisks:
    """The risks of everybody and every model at a horizon, side by side."""
    files = [*(folder / "risk.parquet" for folder in risks), bank.truth]
    return bank.paired(results, files, horizon)


def values_of(results: Path) -> pl.DataFrame:
    """Values with intervals of the metrics shown."""
    found = read_table(results, "metrics").filter(pl.col("metric").is_in(SHOWN))
    return found.select(
        "outcome", "horizon_years", "model", "metric", "value", "low", "high", "num_subjects", "num_cases"
    )


def panel(paired: Sequence[PairedRisks], least: int, names: Sequence[str]) -> list[str]:
    """Outcomes with so many cases in every seed, type 2 diabetes first, then most cases first.

    With fewer than LEAST_OUTCOMES of them, the commonest that every seed has.

    Args:
        paired: By seed.
        least: Cases.
        names: Models, baselines and oracles that are compared: an outcome needs risks of everybody by each.
    """
    common = [one.with_cases(1, names) for one in paired]
    enough = [set(one.with_cases(least, names)) for one in paired]
    ordered = [name for name in common[0] if all(name in other for other in common)]
    many = [name for name in ordered if all(name in other for other in enough)]
    chosen = many if len(many) >= LEAST_OUTCOMES else ordered[:LEAST_OUTCOMES]
    return sorted(chosen, key=lambda name: name != T2D)


def complete(paired: Sequence[PairedRisks], chosen: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of the chosen outcomes of which all names have risks of everybody in every seed; how many are
    left out is printed."""
    known = [
        outcome
        for outcome in chosen
        if all(one.is_complete(outcome, name) for one in paired for name in names)
    ]
    if len(known) < len(chosen):
        left = f"{len(chosen) - len(known)} of {len(chosen)} outcomes are left out"
        print(f"{paired[0].horizon_years:g} years: {left}: not all models and baselines have risks of them")
    return known


def gains_at(horizon: float, areas: Mapping[int, Areas], chosen: Sequence[str]) -> list[dict[str, object]]:
    """Paired differences of models with scores and those without, of the panel and of type 2 diabetes."""
    judged = [one.paired.with_cases(LEAST_AT_HORIZON, COMPARED) for one in areas.values()]
    known = [name for name in chosen if all(name in some for some in judged)]
    groups = {f"mean of {len(known)} outcomes": known, T2D: [T2D] if T2D in known else []}
    rows = []
    for title, outcomes in groups.items():
        for model, other in _pairs() if outcomes else []:
            for metric in ("auroc", "auprc"):
                found = {
                    seed: one.gain(outcomes, model.name, other.name, metric) for seed, one in areas.items()
                }
                labels = {"horizon_years": horizon, "outcomes": title, "metric": metric}
                rows += labelled(found, **labels, difference=f"{model.name} less {other.name}")
        for model in WITH_PGS if outcomes and _below_oracle(areas, outcomes) else ():
            shares = {
                seed: one.share_of_distance(outcomes, model.name, EHR_PCS.name, ORACLE)
                for seed, one in areas.items()
            }
            labels = {"horizon_years": horizon, "outcomes": title, "metric": "share of distance to oracle"}
            rows += labelled(shares, **labels, difference=f"{model.name} less {EHR_PCS.name}")
    return rows


def _below_oracle(areas: Mapping[int, Areas], outcomes: Sequence[str]) -> bool:
    """Whether EHR+PCs is below the oracle beyond chance in every seed: else a share of it means nothing."""
    distances = [one.gain(outcomes, ORACLE, EHR_PCS.name) for one in areas.values()]
    return all(with_interval(distance)["low"] > 0 for distance in distances)


def _pairs() -> list[tuple[Model, Model]]:
    return [(EHR_PCS, EHR), *((model, EHR_PCS) for model in WITH_PGS)]


def wide(table: pl.DataFrame, chosen: Sequence[str]) -> pl.DataFrame:
    """AUROC by outcome, in the order of the panel, and horizon, a column per model, mean over seeds.

    A cell is empty unless every seed has a value: means of some seeds could not be compared with others.
    """
    order = table["model"].unique(maintain_order=True).to_list()
    keys = ["outcome", "horizon_years"]
    known = table.filter(metric="auroc").filter(pl.col("value").is_finite())
    of_all = pl.col("seed").n_unique() == table["seed"].n_unique()
    means = known.group_by(*keys, "model").agg(pl.when(of_all).then(pl.col("value").mean()).alias("value"))
    found = means.pivot(on="model", index=keys, values="value")
    place = pl.col("outcome").replace_strict({name: at for at, name in enumerate(chosen)})
    return found.sort(place, "horizon_years").select(
        *keys, *(name for name in order if name in found.columns)
    )


if __name__ == "__main__":
    main()
