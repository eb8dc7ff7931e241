"""Baselines, and models fine-tuned, on the labels of a share of the subjects."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from biobank import Biobank, Model

from proband.core.config import validated
from proband.core.schema import RISK
from proband.ehr.labels import labels
from proband.ehr.outcomes import load_task
from proband.evaluate.baselines.inputs import Inputs
from proband.evaluate.baselines.registry import fit_baselines
from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.inputs import read_scores, read_subjects
from proband.tokens.dataset import LEARNT, TokenStore
from proband.train.config import OnsetOptions

AGE_SEX, BOOSTING = "age and sex", "LightGBM"
BASELINES = {
    (AGE_SEX, False): "age_sex",
    (BOOSTING, False): "lightgbm",
    (BOOSTING, True): "lightgbm_pgs",
}
"""Name in tables, and whether it reads scores -> name of the baseline."""


def baseline_risks(bank: Biobank, baseline: str, name: str, task: Path, share: float = 1.0) -> Path | None:
    """Risks by a baseline fitted on the labels of a share of the train and tuning subjects, fitted once.

    Args:
        bank: The data.
        baseline: One of BASELINES.
        name: Of the model in tables.
        task: Outcomes and horizons.
        share: Of the subjects of each split; they are those that ``train --subject-fraction`` and ``finetune
            --label-fraction`` read with the same seed.

    Returns:
        The RiskTable; None where an outcome has too few onsets.
    """
    out = bank.folder / f"risk_{Model(name).slug}_{task.stem}.parquet"
    if out.is_file():
        return out
    outcomes, subjects = load_task(task), read_subjects(bank.meds)
    some = TokenStore(bank.tokens).fewer(share, bank.seed)
    mine = [some.subject_ids[some.rows_of(split)] for split in LEARNT]
    rows = with_age_and_sex(labels(bank.meds, outcomes, report=False), subjects)
    known = rows.filter(pl.col("subject_id").is_in([one for ids in mine for one in ids.tolist()]))
    if known.filter(split="train", event=1)["outcome"].n_unique() < len(outcomes.outcomes):
        return None
    inputs = Inputs(
        bank.meds, outcomes, known, rows.filter(split="held_out"), subjects,
        tokens=bank.tokens, scores=read_scores(bank.genome).frame, seed=bank.seed,
    )  # fmt: skip
    ((_, risks),) = fit_baselines(inputs, [baseline])
    if risks.is_empty():
        return None
    partial = out.with_suffix(".partial")
    RISK.write(risks.with_columns(model=pl.lit(name)), partial)
    partial.rename(out)
    return out


def adapted_risks(
    bank: Biobank, model: Model, task: Path, slug: str, name: str, share: float, mode: str = "row"
) -> Path:
    """Risks of a model fine-tuned on new outcomes by the labels of a share of train and tuning subjects.

    Args:
        bank: The data.
        model: What is adapted; trained first if it is not there.
        task: The new outcomes.
        slug: Of the folders of the adapted model and its risks.
        name: Of the model in tables.
        share: Of the subjects of each split.
        mode: Of fine-tuning.
    """
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig
    from proband.train.finetune import finetune
    from proband.train.finetune.config import FinetuneConfig

    queries = bank.size.train.get("onset", OnsetOptions()).queries  # dates per subject, as in training
    config = validated(FinetuneConfig, mode=mode, label_fraction=share, seed=bank.seed, queries=queries)
    folder, given = bank.folder / f"model_{slug}", bank.modalities(model)
    finetune(bank.model(model), bank.tokens, folder, tasks=[task], config=config, **given)
    out = bank.folder / f"risk_{slug}"
    forecast(folder, bank.tokens, out, task=task, config=ForecastConfig(name=name), **given)
    return out / "risk.parquet"
