"""When the genome matters: for whom, over what horizon, and how much earlier an alert comes.

    python experiments/when_genome_matters.py OUT --size small --seeds 0 1 2

Reads the models of experiments/onset_panel.py (made if they are not there):

- the paired gain in AUROC of EHR+PCs+PGS over EHR+PCs, mean over outcomes with cases enough, by age, sex,
  record length (thirds of the tokens known at the prediction time), visits, ancestry and genetic distance,
  and by horizon;
- observed incidence by decile of the score of each outcome beside the mean risk that both models give;
- years of warning: each model flags the same share of people at the prediction time, those of highest risk.
  A case that is flagged was warned from the prediction to its onset, one that is not, for no time; given is
  the mean over cases by the horizon, and what the genome adds to it.

OUT/SIZE gets when_genome_matters.csv (by subgroup), _horizons, _deciles and _years_of_warning, and a .md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from biobank import EHR_PCS, SIZES, Biobank, arguments, places
from onset_panel import COMPARED, HORIZONS, WITH_PGS, complete, judged, panel, read_paired
from replicates import Areas, labelled, write

from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.groups.members import MOMENT, members_of
from proband.evaluate.inputs import read_subjects
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.discrimination import weighted_quantiles
from proband.evaluate.panel.gain import PairedRisks
from proband.evaluate.tables import read_table
from proband.tokens.dataset import TokenStore

PGS, PCS = WITH_PGS[0].name, EHR_PCS.name
LONGEST = HORIZONS[-1]
ALERT_RATES = (0.02, 0.05, 0.1)
LEAST_RESAMPLES = 0.9
"""Share of resamples with cases and others that an outcome of a subgroup needs to count."""
NAME = "when_genome_matters"


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    found, paired, deciles, members = {}, {}, [], {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        results, risks = judged(bank)
        for horizon in HORIZONS:
            paired[horizon, seed] = read_paired(bank, results, risks, horizon)
        found[seed] = paired[LONGEST, seed]
        members[seed] = subgroups_of(bank, results)
        deciles.append(deciles_of(results).with_columns(seed=pl.lit(seed)))
    chosen = panel(list(found.values()), size.least_cases, COMPARED)
    tables = {
        "By subgroup": pl.DataFrame(by_subgroup(found, members, chosen, size.least_cases)),
        "Horizons": pl.DataFrame(by_horizon(paired, given.seeds, chosen)),
        "Years of warning": pl.DataFrame(by_alert_rate(found, chosen)),
        "Deciles": mean_deciles(pl.concat(deciles), chosen),
    }
    seeds = " ".join(map(str, given.seeds))
    write(given.out / size.name, NAME, tables, f"{size.name}, seeds {seeds}")


def subgroups_of(bank: Biobank, results: Path) -> pl.DataFrame:
    """The subgroup of every held-out prediction in every dimension."""
    labels = pl.read_parquet(results / "labels.parquet").filter(split="held_out")
    found = members_of(with_age_and_sex(labels, read_subjects(bank.meds)), bank.meds, bank.genome)
    # All are predicted as long after entry: the length of the record is told by what it holds.
    store = TokenStore(bank.tokens)
    known = pl.Series(store.history_lengths(*places(store, found)))
    return found.drop("record_years").with_columns(record_tokens=thirds(known))


def thirds(values: pl.Series) -> pl.Series:
    """Which third each value lies in; ties stay together.

    >>> thirds(pl.Series([5, 1, 9])).to_list()
    ['2 middle', '1 lowest', '3 highest']
    """
    third = ((values.rank("min").cast(pl.Int64) - 1) * 3) // len(values)
    return third.replace_strict({0: "1 lowest", 1: "2 middle", 2: "3 highest"}, return_dtype=pl.String)


def by_subgroup(
    found: Mapping[int, PairedRisks], members: Mapping[int, pl.DataFrame], chosen: Sequence[str], least: int
) -> list[dict[str, object]]:
    """Gains by subgroup: mean over the outcomes that have a fifth of the cases an outcome needs overall."""
    rows = []
    for dimension, subgroup in levels(members.values()):
        gains, number = {}, []
        for seed, paired in found.items():
            part = within(paired, members[seed], dimension, subgroup)
            known = [name for name in part.with_cases(max(5, least // 5), [PGS, PCS]) if name in chosen]
            areas = Areas(part)
            known = [name for name in known if estimable(areas, name)]
            number.append(len(known))
            if known:
                gains[seed] = areas.gain(known, PGS, PCS)
        outcomes = "/".join(map(str, number))
        if gains:
            rows += labelled(gains, dimension=dimension, subgroup=subgroup, outcomes=outcomes)
    return rows


def levels(members: Iterable[pl.DataFrame]) -> list[tuple[str, str]]:
    """All dimensions and their subgroups, dimensions in the order of the table."""
    frames = list(members)
    dimensions = [name for name in frames[0].columns if name not in MOMENT]
    return [
        (dimension, level)
        for dimension in dimensions
        for level in pl.concat([frame[dimension] for frame in frames]).drop_nulls().unique().sort()
    ]


def within(paired: PairedRisks, members: pl.DataFrame, dimension: str, subgroup: str) -> PairedRisks:
    """The same comparison for the predictions of one subgroup."""
    mine = members.filter(pl.col(dimension) == subgroup).select(MOMENT)
    rows = {name: part.join(mine, on=MOMENT, how="semi") for name, part in paired.rows.items()}
    return replace(paired, rows={name: part for name, part in rows.items() if part.height})


def estimable(areas: Areas, outcome: str) -> bool:
    """Whether enough resamples have cases and others."""
    return bool(np.isfinite(areas.of(outcome, PCS)).mean() > LEAST_RESAMPLES)


def by_horizon(
    paired: Mapping[tuple[float, int], PairedRisks], seeds: Sequence[int], chosen: Sequence[str]
) -> list[dict[str, object]]:
    """Gains by horizon, over the outcomes that can be judged at all of them."""
    areas = {key: Areas(one) for key, one in paired.items()}
    for horizon in HORIZONS:
        chosen = complete([paired[horizon, seed] for seed in seeds], chosen, (PCS, PGS))
    known = [name for name in chosen if all(estimable(one, name) for one in areas.values())]
    rows: list[dict[str, object]] = []
    for horizon in HORIZONS if known else ():
        gains = {seed: areas[horizon, seed].gain(known, PGS, PCS) for seed in seeds}
        rows += labelled(gains, horizon_years=horizon, outcomes=len(known))
    return rows


def by_alert_rate(found: Mapping[int, PairedRisks], chosen: Sequence[str]) -> list[dict[str, object]]:
    """Years of warning per case, mean over outcomes, of both models and their difference."""
    rows = []
    for rate in ALERT_RATES:
        both = {
            model: {seed: mean_warning(paired, chosen, model, rate) for seed, paired in found.items()}
            for model in (PCS, PGS)
        }
        both["gain"] = {seed: both[PGS][seed] - both[PCS][seed] for seed in found}
        for model, values in both.items():
            rows += labelled(values, alert_rate=rate, model=model)
    return rows


def mean_warning(paired: PairedRisks, outcomes: Sequence[str], model: str, rate: float) -> np.ndarray:
    """Mean over outcomes of :func:`years_of_warning`, one value per resample."""
    found = []
    for name in outcomes:
        rows = paired.rows[name]
        weights = paired.replicates[:, np.searchsorted(paired.subjects, rows["subject_id"].to_numpy())]
        found.append(
            years_of_warning(
                rows[model].to_numpy(),
                rows["time_years"].to_numpy(),
                paired.status(rows) == CASE,
                weights,
                weights * paired.censoring(rows, weights),
                rate,
            )
        )
    return np.nanmean(found, axis=0)


def years_of_warning(
    risk: np.ndarray, time: np.ndarray, case: np.ndarray, people: np.ndarray, weights: np.ndarray, rate: float
) -> np.ndarray:
    """Mean years from the alert to onset over cases, nought for those not flagged; one value per resample.

    Args:
        risk: By which people are flagged, shape (rows).
        time: Years to onset of cases, shape (rows).
        case: Who has the outcome by the horizon, shape (rows).
        people: Times each row is drawn, shape (replicates, rows): the alert rate is a share of these.
        weights: The same weighted for censoring, shape (replicates, rows).
        rate: Share flagged, those of highest risk; ties at the threshold are flagged.
    """
    threshold = weighted_quantiles(np.broadcast_to(-risk, people.shape), people.astype(float), (rate,))[0]
    flagged = -risk[None, :] <= threshold[:, None]
    cases = weights * case
    with np.errstate(invalid="ignore"):
        return (cases * flagged * time).sum(axis=1) / cases.sum(axis=1)


def deciles_of(results: Path) -> pl.DataFrame:
    """Observed incidence and predicted risks by decile of each outcome's score, at the longest horizon."""
    observed = read_table(results, "deciles").filter(pl.col("horizon_years") == LONGEST)
    risks = read_table(results, "decile_risks").filter(
        (pl.col("horizon_years") == LONGEST) & pl.col("model").is_in([PCS, PGS])
    )
    wide = risks.pivot(on="model", index=["outcome", "decile"], values="predicted")
    return observed.select("outcome", "decile", "observed", "low", "high", "num_cases").join(
        wide, on=["outcome", "decile"], how="left"
    )


def mean_deciles(table: pl.DataFrame, chosen: Sequence[str]) -> pl.DataFrame:
    """Mean over outcomes and seeds of incidence and risk by decile, over the mean of all deciles."""
    names = ["observed", PCS, PGS]
    mine = table.filter(pl.col("outcome").is_in(list(chosen)))
    relative = mine.with_columns(pl.col(name) / pl.col(name).mean().over("outcome", "seed") for name in names)
    return relative.group_by("decile").agg(pl.col(names).mean()).sort("decile")


if __name__ == "__main__":
    main()
