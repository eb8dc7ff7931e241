"""Objectives: generative alone, onset alone, both, by subjects: where pretraining starts to pay.

    python experiments/objectives.py OUT --size small --seeds 0

Models of records, for nested shares of the train and tuning subjects: the next event alone (generative:
onsets are read off sampled paths), onset hazards alone (onset: on the record summary and the state of a trunk
that was not pretrained), both, and LightGBM on the record summary of the same subjects. Given is AUROC of the
longest horizon, mean over the outcomes with cases and, for LightGBM, onsets enough, that of each less
LightGBM's and that of both less each alone. Sampled risks of the generative model have noise, which lowers
its AUROC: the share of their variance that is noise is given. num_subjects is the number of train subjects of
a seed; in the mean of seeds, the mean number. OUT/SIZE gets objectives.csv and
objectives.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from biobank import EHR, ONE_STEP, SIZES, Biobank, Model, arguments
from onset_panel import HORIZONS
from replicates import Areas, labelled, with_measured, write
from shares import BASELINES, BOOSTING, baseline_risks

from proband.evaluate.config import NONE
from proband.evaluate.panel.gain import PairedRisks
from proband.evaluate.tables import read_table
from proband.tokens.dataset import TokenStore

SEEDS = (0,)
SHARES = {"tiny": (0.5, 1.0), "small": (0.08, 0.25, 1.0), "full": (0.015, 0.05, 0.15, 0.5, 1.0)}
PATHS = {"tiny": 8, "small": 16, "full": 128}
"""Sampled futures behind a risk of the generative model."""
GENERATIVE, ONSET, BOTH = "generative", "onset", "both"
OBJECTIVES = (GENERATIVE, ONSET, BOTH, BOOSTING)


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size, shares = SIZES[given.size], SHARES[given.size]
    areas, noise, subjects = {}, {}, {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        files = list(risk_files(bank, shares, PATHS[size.name]))
        results = bank.evaluated("objectives", files, [NONE], task=bank.task)
        areas[seed] = Areas(bank.paired(results, files, HORIZONS[-1]))
        noise[seed] = noise_of(results)
        store = TokenStore(bank.tokens)
        subjects[seed] = {share: len(store.fewer(share, seed).rows_of("train")) for share in shares}
    rows = list(rows_of(shares, areas, size.least_cases, subjects, noise))
    table = {"AUROC by objective and subjects": pl.DataFrame(rows, infer_schema_length=None)}
    write(given.out / size.name, "objectives", table, f"{size.name}, seeds {' '.join(map(str, given.seeds))}")


def name_of(objective: str, share: float) -> str:
    """In RiskTables.

    >>> name_of(ONSET, 0.25)
    'onset 25%'
    """
    return f"{objective} {100 * share:g}%"


def risk_files(bank: Biobank, shares: Sequence[float], paths: int) -> Iterator[Path]:
    """Risks of every objective and share; of LightGBM where there are onsets enough."""
    # One pool of paths for all outcomes.
    sampled: dict[str, Any] = {"estimator": "scope", "paths": paths, "onsets": "events"}
    for share in shares:
        for objective, settings in ((GENERATIVE, sampled), (ONSET, {}), (BOTH, {})):
            name, model = name_of(objective, share), model_of(objective, share)
            yield bank.risks(model, name=name, **settings) / "risk.parquet"
        name = name_of(BOOSTING, share)
        boosting = baseline_risks(bank, BASELINES[BOOSTING, False], name, bank.task, share)
        if boosting is not None:
            yield boosting


def model_of(objective: str, share: float) -> Model:
    """The model of an objective. Hazards do not change the trunk, so both and generative are the same one."""
    settings: dict[str, object] = {} if share == 1 else {"subject_fraction": share}
    if objective == ONSET:
        return Model(name_of("untrained", share), settings=settings | {"minutes": ONE_STEP})
    return EHR if share == 1 else Model(name_of("EHR", share), settings=settings)


def noise_of(results: Path) -> dict[str, float]:
    """By model, the share of the variance of its risks that is sampling noise, mean over outcomes."""
    found = read_table(results, "metrics").filter(metric="monte_carlo_share", horizon_years=HORIZONS[-1])
    return dict(found.group_by("model").agg(pl.col("value").mean()).iter_rows())


def rows_of(
    shares: Sequence[float],
    areas: Mapping[int, Areas],
    least: int,
    subjects: Mapping[int, Mapping[float, int]],
    noise: Mapping[int, Mapping[str, float]],
) -> Iterator[dict[str, object]]:
    """AUROC of each objective and share, less that of LightGBM, and of both less each alone.

    Args:
        shares: Of the subjects.
        areas: By seed.
        least: Cases that an outcome needs to count; the same outcomes count for every objective of a share.
        subjects: By seed and share, how many train subjects were read.
        noise: By seed and model, see :func:`noise_of`.
    """
    pairs = [(one, BOOSTING) for one in OBJECTIVES[:-1]] + [(BOTH, GENERATIVE), (BOTH, ONSET)]
    for share in shares:
        names = {one: name_of(one, share) for one in OBJECTIVES}
        labels = {"share": f"{100 * share:g}%"}
        number = {seed: {"num_subjects": subjects[seed][share]} for seed in areas}
        judged = {seed: in_common(area.paired, least, list(names.values())) for seed, area in areas.items()}
        for one in OBJECTIVES:
            auroc = {
                seed: areas[seed].mean(outcomes, names[one])
                for seed, (outcomes, models) in judged.items()
                if names[one] in models
            }
            own = {seed: number[seed] | {"noise": noise[seed].get(names[one]) or 0.0} for seed in areas}
            yield from with_measured(labelled(auroc, **labels, objective=one, metric="AUROC"), own)
        for one, other in pairs:
            gain = {
                seed: areas[seed].gain(outcomes, names[one], names[other])
                for seed, (outcomes, models) in judged.items()
                if {names[one], names[other]} <= models
            }
            rows = labelled(gain, **labels, objective=one, metric=f"AUROC less {other}")
            yield from (row | {"noise": None} for row in with_measured(rows, number))


def in_common(paired: PairedRisks, least: int, models: Sequence[str]) -> tuple[list[str], set[str]]:
    """Outcomes with so many cases that all the models have risks of, and these models; a model without any
    outcome, as LightGBM with too few onsets, is left out."""
    present = [model for model in models if paired.with_cases(least, [model])]
    return paired.with_cases(least, present), set(present)


if __name__ == "__main__":
    main()
