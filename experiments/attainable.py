"""What can be known from what models read: boosted trees taught the true risks.

    python experiments/attainable.py OUT --size small --seeds 0 1 2

The oracle knows everybody's genes, unobserved liabilities and biomarkers; a model reads a record, and
scores of finite studies. How far below the oracle must it stay? Gradient boosting is given the true risk
of every train subject in the place of what happened, so that chance onsets cost nothing, and reads the
record, the record and scores, the record and true genetic values (scores of
endless studies), or these with all true liabilities. Principal components, which EHR+PCs+PGS reads beside
record and scores, are not among the inputs of the trees. Its AUROC in expectation over true risks
(expected_auroc.py) is a lower bound of what can be attained from the same inputs: trees may miss
something, and a model may be above. They stand beside the models and baselines of expected_auroc.py, with
the share of the way from age and sex to them that models go. Intervals are over resamples of people.
OUT/SIZE gets attainable.csv and attainable.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from biobank import EHR, EHR_PCS, SIZES, Biobank, arguments
from expected_auroc import AGE_SEX, BOOSTING, BOOSTING_PGS, COMPARED, PGS, ExpectedAreas, compared, table
from onset_panel import panel
from replicates import Areas, labelled, write
from scipy.sparse import csr_matrix, hstack

from proband.core.running.progress import track
from proband.evaluate.baselines.records.record import RecordFeatures
from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.inputs import read_subjects
from proband.evaluate.panel.gain import PairedRisks

OF_RECORD, OF_SCORES, OF_GENES, OF_LIABILITIES = (
    "truth from the record",
    "truth from record and scores",
    "truth from record and genetic values",
    "truth from record and liabilities",
)
SHOWN = (AGE_SEX, BOOSTING, EHR.name, OF_RECORD, BOOSTING_PGS, PGS, OF_SCORES, OF_GENES, OF_LIABILITIES)
GAINS = (
    (EHR.name, OF_RECORD),
    (PGS, OF_SCORES),
    (PGS, EHR_PCS.name),
    (OF_SCORES, OF_RECORD),
    (OF_GENES, OF_RECORD),
)
SHARES = ((EHR.name, OF_RECORD), (PGS, OF_SCORES))
KEY = ["subject_id", "prediction_time"]
_TREES = {
    "objective": "cross_entropy",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbosity": -1,
}
_ROUNDS, _PATIENCE = 1000, 40


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    banks = {seed: Biobank.made(given.out, size, seed) for seed in given.seeds}
    paired = {seed: compared(bank) for seed, bank in banks.items()}
    chosen = panel(list(paired.values()), size.least_cases, COMPARED)
    areas = {seed: ExpectedAreas(with_taught(banks[seed], one, chosen)) for seed, one in paired.items()}
    tables = {
        "Differences": pl.DataFrame(differences(areas, chosen)),
        "Expected AUROC": table(areas, chosen, SHOWN),
    }
    write(
        given.out / size.name, "attainable", tables, f"{size.name}, seeds {' '.join(map(str, given.seeds))}"
    )


def with_taught(bank: Biobank, paired: PairedRisks, outcomes: Sequence[str]) -> PairedRisks:
    """The same people with a column of risks taught by the truth for every input, of some outcomes."""
    truth = pl.read_parquet(bank.truth).filter(pl.col("horizon_years") == paired.horizon_years)
    subjects = read_subjects(bank.meds)
    moments = truth.select(KEY).unique().sort(KEY)
    inputs = inputs_of(bank, with_age_and_sex(moments, subjects))
    rows = dict(paired.rows)
    for name in track(outcomes, "Teaching the truth"):
        own = moments.with_row_index("row").join(truth.filter(outcome=name), on=KEY)
        own = own.join(subjects.select("subject_id", "split"), on="subject_id").sort("row")
        place, risk = own["row"].to_numpy(), own["risk"].to_numpy()
        split = own["split"].to_numpy()
        taught = {kind: taught_risks(x[place], risk, split) for kind, x in inputs.items()}
        rows[name] = paired.rows[name].join(
            own.select(KEY).with_columns(**taught), on=KEY, how="left", maintain_order="left"
        )
    return replace(paired, rows=rows)


def inputs_of(bank: Biobank, moments: pl.DataFrame) -> dict[str, csr_matrix]:
    """Inputs by kind, a row for each moment.

    Args:
        bank: Has its truth.
        moments: subject_id, prediction_time, age_years and female.
    """
    record = RecordFeatures(bank.tokens)(moments).of_moment
    true = pl.read_parquet(bank.folder / "biobank" / "truth" / "liabilities.parquet")
    scores, genetic, whole = (
        _columns(wide, moments)
        for wide in (bank.scores(), _by_trait(true, "genetic"), _by_trait(true, "liability"))
    )
    return {
        OF_RECORD: record,
        OF_SCORES: hstack([record, scores], format="csr"),
        OF_GENES: hstack([record, genetic], format="csr"),
        OF_LIABILITIES: hstack([record, genetic, whole], format="csr"),
    }


def _by_trait(true: pl.DataFrame, column: str) -> pl.DataFrame:
    """A column of the truth for every trait, a row for each subject."""
    return true.pivot(on="trait", index="subject_id", values=column)


def _columns(wide: pl.DataFrame, moments: pl.DataFrame) -> csr_matrix:
    """Values of subjects, a row for each moment; NaN for who has none."""
    joined = moments.select("subject_id").join(wide, on="subject_id", how="left", maintain_order="left")
    return csr_matrix(joined.drop("subject_id").to_numpy().astype(np.float32))


def taught_risks(x: csr_matrix, risk: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Risks of everybody by trees fitted to the true risks of train subjects, as many as tuning asks for.

    Args:
        x: Inputs, (n, features).
        risk: True risks, (n,), as probabilities of a cross entropy.
        split: Of each.
    """
    import lightgbm

    train, tuning = split == "train", split == "tuning"
    fitted = lightgbm.Dataset(x[train], risk[train], free_raw_data=False)
    judged = lightgbm.Dataset(x[tuning], risk[tuning], reference=fitted)
    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    trees = lightgbm.train(_TREES, fitted, _ROUNDS, [judged], callbacks=[stop])
    return np.asarray(trees.predict(x))


def differences(areas: Mapping[int, Areas], chosen: Sequence[str]) -> list[dict[str, object]]:
    """Mean differences of :data:`GAINS` over the outcomes, and shares of the way from age and sex."""
    rows = []
    for model, other in GAINS:
        found = {seed: one.gain(chosen, model, other) for seed, one in areas.items()}
        rows += labelled(found, value_of=f"{model} less {other}")
    for model, end in SHARES:
        found = {seed: one.share_of_distance(chosen, model, AGE_SEX, end) for seed, one in areas.items()}
        rows += labelled(found, value_of=f"share of the way from age and sex to {end} that {model} goes")
    return rows


if __name__ == "__main__":
    main()
