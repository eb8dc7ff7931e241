"""A model that reads genomes, for people who have none: is it as good as the model of records alone?

    python experiments/ungenotyped.py OUT --size small --seeds 0 1 2

EHR+PCs+PGS forecasts for held-out people with genomes and components withheld, and is compared with EHR on
the same people at 1, 5 and 10 years: paired difference in AUROC, mean over outcomes with cases enough.
Expected is an interval within the margin of equivalence. OUT/SIZE gets ungenotyped.csv and ungenotyped.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from biobank import EHR, SIZES, Biobank, arguments
from onset_panel import HORIZONS, WITH_PGS, read_paired
from replicates import Areas, labelled, write

from proband.evaluate.config import NONE, EvaluateConfig

MODEL = WITH_PGS[0]
WITHHELD = f"{MODEL.name} without genomes"
MARGIN = EvaluateConfig.model_fields["margin"].default


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    areas: dict[float, dict[int, Areas]] = {horizon: {} for horizon in HORIZONS}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        risks = [bank.risks(EHR), bank.risks(MODEL, records_alone=True, name=WITHHELD)]
        results = bank.evaluated("ungenotyped", risks, [NONE])
        for horizon in HORIZONS:
            areas[horizon][seed] = Areas(read_paired(bank, results, risks, horizon))
    rows = [row for horizon in HORIZONS for row in differences(horizon, areas[horizon], size.least_cases)]
    seeds = " ".join(map(str, given.seeds))
    table = {f"{WITHHELD} less {EHR.name}": pl.DataFrame(rows)}
    write(given.out / size.name, "ungenotyped", table, f"{size.name}, seeds {seeds}")


def differences(horizon: float, areas: Mapping[int, Areas], least: int) -> list[dict[str, object]]:
    """A row per seed and for their mean: difference in AUROC, and whether it is equivalent to none."""
    chosen = {seed: one.paired.with_cases(least, [EHR.name, WITHHELD]) for seed, one in areas.items()}
    found = {
        seed: areas[seed].gain(outcomes, WITHHELD, EHR.name) for seed, outcomes in chosen.items() if outcomes
    }
    rows = labelled(found, horizon_years=horizon, metric="auroc")
    return [row | {"equivalent": is_equivalent(row["low"], row["high"])} for row in rows]


def is_equivalent(low: float, high: float) -> bool:
    """Whether an interval lies within the margin.

    >>> is_equivalent(-0.005, 0.005), is_equivalent(-0.02, 0.005)
    (True, False)
    """
    return bool(low > -MARGIN and high < MARGIN)


if __name__ == "__main__":
    main()
