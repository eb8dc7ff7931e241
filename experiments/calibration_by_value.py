"""Are risks right whatever was measured last: true over predicted risk by value and horizon.

    python experiments/calibration_by_value.py OUT --size small --seeds 0 1 2

A risk can be right in the mean and wrong for everybody whose blood glucose is high. For pairs of an outcome
and the measurement that tells most of it, held-out people are grouped by their last value (fifths of the
people, whole bins). Given is the mean true risk of each group over the mean risk that a model gives, at 1, 5
and 10 years, for EHR, EHR+PCs+PGS (prefix) and three baselines, where these have risks of everybody.
num_subjects is the number of people of a seed; in the mean of seeds, the mean number. Intervals are over
resamples of people.
OUT/SIZE gets calibration_by_value.csv, calibration_by_value_farthest.csv (of each pair and horizon the ratio
farthest from 1) and calibration_by_value.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from biobank import EHR, ORACLE, SIZES, Biobank, arguments
from expected_auroc import AGE_SEX, BOOSTING, BOOSTING_PGS, PGS, compared
from onset_panel import HORIZONS
from replicates import labelled, with_measured, write

from proband.evaluate.baselines.records.record import RecordFeatures
from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.inputs import read_subjects
from proband.evaluate.panel.gain import PairedRisks

PAIRS = (
    ("type_2_diabetes", "LOINC//4548-4", "haemoglobin A1c"),
    ("type_2_diabetes", "LOINC//39156-5", "body-mass index"),
    ("hypertension", "LOINC//8480-6", "systolic blood pressure"),
    ("chronic_kidney_disease", "LOINC//62238-1", "estimated glomerular filtration rate"),
)
"""An outcome, a code with values and what it is called."""
SHOWN = (AGE_SEX, BOOSTING, EHR.name, BOOSTING_PGS, PGS)
GROUPS = ("lowest", "second", "third", "fourth", "highest")


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    rows = []
    banks = {seed: Biobank.made(given.out, size, seed) for seed in given.seeds}
    for horizon in HORIZONS:
        paired = {seed: compared(bank, horizon) for seed, bank in banks.items()}
        for outcome, code, measured in PAIRS:
            groups = {seed: groups_of(banks[seed], one, outcome, code) for seed, one in paired.items()}
            labels = {"outcome": outcome, "measured": measured, "horizon_years": horizon}
            rows += [labels | row for row in ratios(paired, groups, outcome)]
    found = pl.DataFrame(rows)
    tables = {"True over predicted": found, "Farthest": farthest(found)}
    seeds = " ".join(map(str, given.seeds))
    write(given.out / size.name, "calibration_by_value", tables, f"{size.name}, seeds {seeds}")


def groups_of(bank: Biobank, paired: PairedRisks, outcome: str, code: str) -> np.ndarray:
    """Fifth, 0 to 4, of the last value of each of an outcome's rows; -1 for who has none."""
    features = RecordFeatures(bank.tokens)
    moments = paired.rows[outcome].select("subject_id", "prediction_time")
    read = features(with_age_and_sex(moments, read_subjects(bank.meds))).of_moment
    entry = features.layout.codes.index(code)
    place = features.layout.first_value + features.layout.num_valued + int(features.layout.valued[entry])
    value, has = (read[:, column].toarray()[:, 0] for column in (place, entry))
    return np.where(has > 0, fifths(value, has > 0), -1)


def fifths(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fifth of each value among the known ones; equal values lie in one, that of their middle.

    >>> fifths(np.array([1, 1, 2, 3, 3]), np.ones(5, bool)).tolist()
    [1, 1, 2, 4, 4]
    """
    ordered = np.sort(values[known])
    middle = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.minimum(middle * len(GROUPS) // (2 * max(1, len(ordered))), len(GROUPS) - 1)


def ratios(
    paired: Mapping[int, PairedRisks], groups: Mapping[int, np.ndarray], outcome: str
) -> list[dict[str, object]]:
    """Rows of each group of people in all seeds and each model that has risks of everybody in all."""
    known = [model for model in SHOWN if all(one.is_complete(outcome, model) for one in paired.values())]
    if left := [model for model in SHOWN if model not in known]:
        print(f"calibration_by_value: {outcome}: no risks of everybody by {', '.join(left)}: left out")
    found = []
    for number, group in enumerate(GROUPS):
        of = {seed: one == number for seed, one in groups.items()}
        if not all(one.any() for one in of.values()):
            continue
        people = {seed: {"num_subjects": int(one.sum())} for seed, one in of.items()}
        for model in known:
            by_seed = {seed: ratio_of(one, outcome, model, of[seed]) for seed, one in paired.items()}
            found += with_measured(labelled(by_seed, group=group, model=model), people)
    return found


def ratio_of(paired: PairedRisks, outcome: str, model: str, of: np.ndarray) -> np.ndarray:
    """Mean true over mean predicted risk of some of an outcome's rows, one value per resample."""
    weights = paired.weights(outcome)[:, of]
    truth, risk = (paired.risks_of(outcome, one)[of] for one in (ORACLE, model))
    return (weights @ truth) / (weights @ risk)


def farthest(found: pl.DataFrame, models: Sequence[str] = SHOWN) -> pl.DataFrame:
    """Of each pair and horizon the ratio farthest from 1, a column per model; means over seeds."""
    keys = ["outcome", "measured", "horizon_years"]
    mean = found.filter(pl.col("seed").cast(pl.String) != "mean")
    mean = mean.group_by(*keys, "group", "model", maintain_order=True).agg(pl.col("value").mean())
    worst = pl.col("value").get(pl.col("value").log().abs().arg_max())
    wide = mean.group_by(*keys, "model", maintain_order=True).agg(worst).pivot(on="model", index=keys)
    return wide.select(*keys, *(model for model in models if model in wide.columns))


if __name__ == "__main__":
    main()
