"""AUROC in expectation over onsets drawn from the true risks: without the chance of a few cases.

    python experiments/expected_auroc.py OUT --size small --seeds 0 1 2

An outcome with 300 cases gives AUROC with a standard error of 0.015, which hides what models differ by. On
a synthetic biobank the true risk p of everybody is known: a person counts as p cases and 1 - p controls.
Given are, at the longest horizon and for EHR, EHR+PCs, EHR+PCs+PGS (prefix) and four baselines, expected
AUROC beside the observed one, by outcome and as a mean over outcomes with cases enough of which all of these
and the oracle have risks, and the differences of interest; and the expected ones at shorter horizons, over
those of the same outcomes of which all have risks there, too (num_outcomes says how many). True risks are
means over simulated futures, whose noise lowers the oracle's own AUROC: that is given for more and more
futures, with the share of the distance to it that the genome closes. Intervals are over resamples of people.
OUT/SIZE gets expected_auroc.csv and expected_auroc.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from biobank import EHR, EHR_PCS, ORACLE, SIZES, Biobank, arguments
from onset_panel import HORIZONS, WITH_PGS, complete, panel, read_paired
from replicates import Areas, labelled, write

from proband.core.errors import DataError
from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank
from proband.evaluate.panel.gain import PairedRisks
from proband.synth.oracle import oracle

AGE_SEX, LOGISTIC, BOOSTING, BOOSTING_PGS = "age_sex", "logistic", "lightgbm", "lightgbm_pgs"
MODELS = (EHR, EHR_PCS, WITH_PGS[0])
BASELINES = (AGE_SEX, LOGISTIC, BOOSTING, BOOSTING_PGS)
PGS = WITH_PGS[0].name
SHOWN = (AGE_SEX, LOGISTIC, BOOSTING, EHR.name, BOOSTING_PGS, PGS)
FUTURES = {"tiny": (5, 20), "small": (25, 100, 400), "full": (100, 400)}
"""Of each person, behind the true risks."""
PAIRS = ((EHR.name, AGE_SEX), (EHR.name, BOOSTING), (PGS, BOOSTING_PGS), (PGS, EHR_PCS.name))
COMPARED = (*SHOWN, EHR_PCS.name, ORACLE)
"""Of which an outcome needs risks of everybody."""


class ExpectedAreas(Areas):
    """Expected AUROC in the place of that of the cases seen; no AUPRC (NaN)."""

    def areas(self, outcome: str, model: str) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and AUPRC, one value per resample."""
        risk, truth = (self.paired.risks_of(outcome, one) for one in (model, ORACLE))
        auroc = expected_auroc(risk, truth, self.paired.weights(outcome))
        return auroc, np.full_like(auroc, np.nan)


def expected_auroc(risk: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that of a case and a control the case has the higher risk, ties counting half.

    Pairs of a person with itself do not count. Estimates of the true risk will do if their errors are
    independent between people and of ``risk``: the sums are linear in each person's.

    Args:
        risk: Of each person, (n,).
        truth: True risk of each person, (n,).
        weights: How often each person is there in each resample, (resamples, n).

    Returns:
        (resamples,); NaN where there is no pair.

    Raises:
        DataError: A risk is not finite.

    >>> expected_auroc(np.array([0.1, 0.9]), np.array([0.0, 1.0]), np.ones((1, 2)))
    array([1.])
    """
    absent = ~(np.isfinite(risk) & np.isfinite(truth))
    if absent.any():
        raise DataError(
            "a risk that is not finite",
            where="expected AUROC",
            found=f"{absent.sum():,} of {len(risk):,} people without a finite or a true risk",
            expected="both of everybody",
            remedy="leave out these people, or this model",
        )
    case, control = weights * truth, weights * (1 - truth)
    is_case = np.repeat([True, False], len(risk))
    auroc, _ = auroc_and_auprc(rank(np.tile(risk, 2), is_case), np.hstack([case, control]))
    every, itself = case.sum(axis=1) * control.sum(axis=1), (case * control).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(every > itself, (auroc * every - itself / 2) / (every - itself), np.nan)


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    banks = {seed: Biobank.made(given.out, size, seed) for seed in given.seeds}
    paired = {seed: with_oracles(bank, compared(bank), FUTURES[size.name]) for seed, bank in banks.items()}
    futures = FUTURES[size.name]
    chosen = panel(list(paired.values()), size.least_cases, (*COMPARED, *map(name_of, futures)))
    expected = {seed: ExpectedAreas(one) for seed, one in paired.items()}
    observed = {seed: Areas(one) for seed, one in paired.items()}
    shorter = {
        years: {seed: ExpectedAreas(compared(bank, years)) for seed, bank in banks.items()}
        for years in HORIZONS[:-1]
    }
    gained, aurocs = at_horizons(shorter, chosen)
    tables = {
        "Differences": pl.DataFrame(differences(expected, observed, chosen)),
        "Expected AUROC": table(expected, chosen),
        "Observed AUROC": table(observed, chosen),
        "Differences at shorter horizons": gained,
        "Expected AUROC at shorter horizons": aurocs,
        "Oracle by futures": pl.DataFrame(ceilings(observed, chosen, futures)),
    }
    write(
        given.out / size.name,
        "expected_auroc",
        tables,
        f"{size.name}, seeds {' '.join(map(str, given.seeds))}",
    )


def compared(bank: Biobank, horizon: float = HORIZONS[-1]) -> PairedRisks:
    """Risks of :data:`MODELS`, :data:`BASELINES` and the oracle at a horizon."""
    risks = [bank.risks(model) for model in MODELS]
    results = bank.evaluated("expected_auroc", risks, BASELINES)
    return read_paired(bank, results, risks, horizon)


def with_oracles(bank: Biobank, paired: PairedRisks, futures: Sequence[int]) -> PairedRisks:
    """The same people with a column of true risks for every number of futures, drawn anew."""
    moments = pl.concat(
        rows.select("subject_id", "prediction_time") for rows in paired.rows.values()
    ).unique()
    horizon = paired.horizon_years
    columns = []
    for number in futures:
        found = oracle(bank.folder / "biobank", moments, (horizon,), replicates=number, seed=bank.seed + 1)
        columns.append(found.with_columns(model=pl.lit(name_of(number))))
    keys = ["subject_id", "prediction_time", "outcome"]
    wide = pl.concat(columns).pivot(on="model", index=keys, values="risk")
    rows = {
        name: one.join(wide, on=keys, how="left", maintain_order="left") for name, one in paired.rows.items()
    }
    return replace(paired, rows=rows)


def name_of(futures: int) -> str:
    """Of an oracle in tables.

    >>> name_of(25)
    'oracle of 25 futures'
    """
    return f"{ORACLE} of {futures} futures"


def ceilings(
    observed: Mapping[int, Areas], chosen: Sequence[str], futures: Sequence[int]
) -> list[dict[str, object]]:
    """By number of futures, the oracle's AUROC, and the share of the distance to it that scores close."""
    rows = []
    for number in futures:
        name = name_of(number)
        auroc = {seed: one.mean(chosen, name) for seed, one in observed.items()}
        share = {
            seed: one.share_of_distance(chosen, PGS, EHR_PCS.name, name) for seed, one in observed.items()
        }
        rows += labelled(auroc, futures=number, metric="auroc")
        rows += labelled(share, futures=number, metric="share of the distance")
    return rows


def differences(
    expected: Mapping[int, Areas], observed: Mapping[int, Areas], chosen: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of each pair of models, mean over the outcomes: expected, then observed AUROC."""
    return gains(expected, chosen, auroc="expected") + gains(observed, chosen, auroc="observed")


def gains(areas: Mapping[int, Areas], chosen: Sequence[str], **labels: object) -> list[dict[str, object]]:
    """Rows of each pair of models, mean over the outcomes, whose number is given."""
    return [
        row
        for model, other in PAIRS
        for row in labelled(
            {seed: one.gain(chosen, model, other) for seed, one in areas.items()},
            **labels,
            difference=f"{model} less {other}",
            num_outcomes=len(chosen),
        )
    ]


def at_horizons(
    shorter: Mapping[float, Mapping[int, Areas]], chosen: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """:func:`gains` and :func:`table` by horizon, over the outcomes of which all that is compared has risks
    there; a horizon without any is left out."""
    gained, aurocs = [], []
    for years, areas in shorter.items():
        known = complete([one.paired for one in areas.values()], chosen, COMPARED)
        if known:
            gained += gains(areas, known, horizon_years=years)
            aurocs.append(table(areas, known).insert_column(0, pl.lit(years).alias("horizon_years")))
    return pl.DataFrame(gained), pl.concat(aurocs) if aurocs else pl.DataFrame()


def table(areas: Mapping[int, Areas], chosen: Sequence[str], shown: Sequence[str] = SHOWN) -> pl.DataFrame:
    """A row per outcome and one of their mean, a column per model; means over seeds."""

    def row(title: str, outcomes: Sequence[str]) -> dict[str, object]:
        found = {
            model: float(np.mean([one.mean(outcomes, model)[0] for one in areas.values()])) for model in shown
        }
        return {"outcome": title} | found

    return pl.DataFrame([row(name, [name]) for name in chosen] + [row("mean", chosen)])


if __name__ == "__main__":
    main()
