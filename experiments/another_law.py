"""Biobanks whose hazards the model's form does not contain: thresholds, interactions, calendar effects.

    python experiments/another_law.py OUT --size small --seeds 0

Onset hazards of the model are log-linear in the record's summary, the state and the scores. Here they are
fitted and judged on biobanks of other laws (docs/synth.md, `--law`) beside that of the table, which the
form comes near to: mean AUROC over the outcomes with cases enough, at the longest horizon, of the model
with and without scores, gradient boosting, the age-sex table and the oracle, which knows each law; what the
scores add; how far boosting is from the model; and observed over expected. OUT/SIZE gets another_law.csv
(differences), another_law_auroc.csv, another_law_calibration.csv and another_law.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from biobank import EHR_PCS, ORACLE, SIZES, Biobank, Size, arguments
from onset_panel import WITH_PGS, read_paired
from replicates import Areas, labelled, write

from proband.evaluate.tables import read_table
from proband.synth.config import ADDITIVE
from proband.synth.lives.laws import LAWS

SEEDS = (0,)
HORIZON = 10.0
PGS = WITH_PGS[0]
BOOSTING, BOOSTING_PGS, AGE_SEX = "lightgbm", "lightgbm_pgs", "age_sex"
BASELINES = (AGE_SEX, BOOSTING, BOOSTING_PGS)
SHOWN = (AGE_SEX, BOOSTING, BOOSTING_PGS, EHR_PCS.name, PGS.name, ORACLE)
PAIRS = ((PGS.name, EHR_PCS.name), (EHR_PCS.name, BOOSTING), (PGS.name, BOOSTING_PGS), (ORACLE, PGS.name))
LEAST_CASES_CALIBRATION = 30


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size = SIZES[given.size]
    differences: list[dict[str, object]] = []
    aurocs: list[dict[str, object]] = []
    calibration = []
    for law in LAWS:
        areas, results = {}, {}
        for seed in given.seeds:
            bank = lived_by(law, given.out, size, seed)
            results[seed], areas[seed] = judged(bank)
            print(f"another_law: {law}, seed {seed} done", flush=True)
        outcomes = {seed: one.paired.with_cases(size.least_cases, SHOWN) for seed, one in areas.items()}
        differences += differences_of(law, areas, outcomes)
        aurocs += aurocs_of(law, areas, outcomes)
        calibration += [calibration_of(law, seed, folder) for seed, folder in results.items()]
    write(
        given.out / size.name,
        "another_law",
        {
            "Differences in AUROC": pl.DataFrame(differences),
            "AUROC": pl.DataFrame(aurocs),
            "Calibration": pl.concat(calibration),
        },
        f"{size.name}, seeds {' '.join(map(str, given.seeds))}",
    )


def lived_by(law: str, out: Path, size: Size, seed: int) -> Biobank:
    """The biobank of a law: that of the table is the other experiments' own, those of others lie beside."""
    if law == ADDITIVE:
        return Biobank.made(out, size, seed)
    return Biobank.made(out / size.name / f"law_{law}", replace(size, synth=size.synth | {"law": law}), seed)


def judged(bank: Biobank) -> tuple[Path, Areas]:
    """Results of the models, three baselines and the oracle, and their areas resample by resample."""
    risks = [bank.risks(model) for model in (EHR_PCS, PGS)]
    results = bank.evaluated("another_law", risks, BASELINES)
    return results, Areas(read_paired(bank, results, risks, HORIZON))


def differences_of(
    law: str, areas: Mapping[int, Areas], outcomes: Mapping[int, Sequence[str]]
) -> list[dict[str, object]]:
    """Mean differences in AUROC over the outcomes of each seed, a row per pair and seed."""
    rows: list[dict[str, object]] = []
    for model, other in PAIRS:
        found = {
            seed: one.gain(outcomes[seed], model, other) for seed, one in areas.items() if outcomes[seed]
        }
        rows += labelled(found, law=law, difference=f"{model} less {other}")
    return rows


def aurocs_of(
    law: str, areas: Mapping[int, Areas], outcomes: Mapping[int, Sequence[str]]
) -> list[dict[str, object]]:
    """Mean AUROC over the outcomes of each seed, a row per model and seed."""
    rows: list[dict[str, object]] = []
    for model in SHOWN:
        found = {seed: one.mean(outcomes[seed], model) for seed, one in areas.items() if outcomes[seed]}
        rows += labelled(found, law=law, model=model)
    return rows


def calibration_of(law: str, seed: int, results: Path) -> pl.DataFrame:
    """Median over outcomes of observed over expected and the calibration slope, by model."""
    found = read_table(results, "metrics").filter(
        pl.col("metric").is_in(("observed_expected", "calibration_slope")),
        pl.col("model").is_in(SHOWN),
        horizon_years=HORIZON,
    )
    enough = found.filter(pl.col("num_cases") >= LEAST_CASES_CALIBRATION).drop_nulls("value")
    wide = enough.group_by("model", "metric").agg(pl.col("value").median())
    both = wide.pivot(on="metric", index="model", values="value")
    place = pl.col("model").replace_strict({name: at for at, name in enumerate(SHOWN)})
    columns = [name if name in both.columns else pl.lit(None, pl.Float64).alias(name)
               for name in ("observed_expected", "calibration_slope")]  # fmt: skip
    return both.sort(place).select(
        pl.lit(law).alias("law"), pl.lit(str(seed)).alias("seed"), "model", *columns
    )


if __name__ == "__main__":
    main()
