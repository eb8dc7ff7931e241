"""Do learnt effects of scores agree with known ones, and those of a model of permuted genomes with none?

    python experiments/alignment.py OUT --size small --seeds 0 1 2

The model of all (EHR+PCs+PGS) and the same trained on scores shuffled among people, each explained with the
true scores: its effects stand beside Cox models of one score, age, sex and components on the same train
subjects (a PGS-PheWAS), and beside the truth: the covariance of each score with each disease's true genetic
value, times the effect of that value on the log hazard at age 60. What acts through biomarkers is not in the
truth. Given are all outcomes together, for everybody and within the most similar population; statistics are
those of docs/explain.md. OUT/SIZE gets alignment.csv and alignment.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from biobank import PERMUTED, SIZES, Biobank, Model, arguments, permuted
from controls import CONTROLS, TRUE
from replicates import write

import proband.explain
from proband.explain import tables
from proband.explain.config import ExplainConfig
from proband.synth.lives.law import read_effects
from proband.synth.traits import DISEASE_NAMES

MODELS = {"true scores": TRUE, "permuted genomes": CONTROLS[PERMUTED]}
PERMUTATIONS = 2000


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    parts = []
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        bank.keep_scores(PERMUTED, permuted(bank.scores(), bank.seed))
        for name, model in MODELS.items():
            effects = tables.EFFECTS.read(explained(bank, model) / "effects.parquet")
            labels = {"model": name, "seed": str(seed)}
            parts.append(
                by_population(effects, bank.scores(), seed).select(
                    *(pl.lit(v).alias(k) for k, v in labels.items()), pl.all()
                )
            )
        print(f"alignment: seed {seed} done", flush=True)
    seeds = " ".join(map(str, given.seeds))
    write(
        given.out / size.name, "alignment", {"Agreement of learnt effects": pl.concat(parts)},
        f"{size.name}, seeds {seeds}",
    )  # fmt: skip


def explained(bank: Biobank, model: Model) -> Path:
    """Effects of a model beside Cox models and the truth, all of the true scores; returns the folder."""
    out = bank.folder / f"why_{model.slug}"
    truth = bank.folder / "true_effects.parquet"
    if not truth.is_file():
        true_effects(bank).write_parquet(truth)
    config = ExplainConfig(reread=0, donors=1, permutations=PERMUTATIONS, seed=bank.seed)
    given = bank.modalities(model) | {"genome": bank.genome}
    proband.explain.explain(
        bank.model(model), bank.tokens, out, task=bank.task, published=truth, config=config, **given
    )
    return out


def true_effects(bank: Biobank) -> pl.DataFrame:
    """Outcome, score and the true log hazard ratio per standard deviation, from train subjects."""
    from proband.tokens.dataset import TokenStore

    store = TokenStore(bank.tokens)
    train = pl.DataFrame({"subject_id": store.subject_ids}).filter(store.subjects["split"] == "train")
    scores = bank.scores().join(train, on="subject_id")
    wide = pl.read_parquet(bank.folder / "biobank" / "truth" / "liabilities.parquet").pivot(
        on="trait", index="subject_id", values="genetic"
    )
    genetic = scores.select("subject_id").join(wide, on="subject_id", maintain_order="left")
    names = scores.columns[1:]
    slope = covariance(scores.select(names).to_numpy(), genetic.select(DISEASE_NAMES).to_numpy())
    effects = slope * read_effects().at_60
    return pl.DataFrame(
        {
            "outcome": [outcome for outcome in DISEASE_NAMES for _ in names],
            "score": names * len(DISEASE_NAMES),
            "log_hazard_ratio": effects.T.reshape(-1),
        }
    )


def covariance(scores: np.ndarray, genetic: np.ndarray) -> np.ndarray:
    """Covariance of standardised scores, missing ones left at the mean, with genetic values.

    >>> covariance(np.array([[1.0], [3.0], [np.nan]]), np.array([[0.0], [2.0], [9.0]]))
    array([[0.66666667]])
    """
    return standard_scores(scores).T @ (genetic - genetic.mean(axis=0)) / len(scores)


def standard_scores(scores: np.ndarray) -> np.ndarray:
    """Scores of mean 0 and standard deviation 1, missing ones at the mean."""
    return np.nan_to_num((scores - np.nanmean(scores, axis=0)) / np.nanstd(scores, axis=0))


def by_population(effects: pl.DataFrame, scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Statistics over all outcomes, for everybody and within each population that has Cox models.

    Args:
        effects: Rows of :data:`proband.explain.tables.EFFECTS`.
        scores: subject_id and scores.
        seed: Of permutations.
    """
    from proband.explain.alignment.agreement import agreement_frame
    from proband.explain.alignment.effects import EVERYBODY

    names = {
        "correlation_with_published": "correlation with truth",
        "correlation_with_published_by_chance": "correlation with truth by chance",
        "ratio_of_own_to_published": "ratio of own to truth",
    }
    values = scores.select(effects["score"].unique(maintain_order=True).to_list()).to_numpy()
    correlation = covariance(values, standard_scores(values))
    parts = []
    for (label,), own in effects.group_by("ancestry", maintain_order=True):
        found = agreement_frame(own.with_columns(ancestry=pl.lit(EVERYBODY)), correlation, PERMUTATIONS, seed)
        whole = found.filter(outcome=EVERYBODY).with_columns(population=pl.lit(label))
        parts.append(whole.with_columns(pl.col("statistic").replace(names)))
    columns = ["population", "statistic", "value", "low", "high", "p", "number"]
    return pl.concat(parts).select(columns)


if __name__ == "__main__":
    main()
