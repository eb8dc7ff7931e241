"""Every outcome as a new one: rows of few labels, age and sex, and gradient boosting, by expected AUROC.

    python experiments/few_labels.py OUT --size small --seeds 0

Transfer to two diseases says little of a third. Here the outcomes are halved, every other one by name. A
model of records is trained with the onset hazards of one half and none of single codes, and learns the other
half as new rows (``proband finetune``) from the labels of a share of the train and tuning subjects (nested);
then the halves change places. Beside it, of the same labels: a table by age and sex, and LightGBM on the
record summary. Given are AUROC in expectation over the true risks, and the share of the uncertainty in who
falls ill that risks explain: 1 - L / L0, where L is the mean logarithmic loss in expectation and L0 that of
the mean true risk for everybody. It falls for wrong risks as for a wrong order. Means are over the outcomes
with cases enough, and labels enough at that share. OUT/SIZE gets few_labels.csv and few_labels.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from biobank import ORACLE, SIZES, Biobank, Model, arguments
from expected_auroc import ExpectedAreas
from onset_panel import HORIZONS
from replicates import labelled, write
from shares import AGE_SEX, BASELINES, BOOSTING, adapted_risks, baseline_risks

from proband.core.errors import DataError
from proband.ehr.outcomes import load_task
from proband.evaluate.config import NONE
from proband.evaluate.panel.gain import PairedRisks, drawn
from proband.tokens.dataset import TokenStore
from proband.train.config import OnsetOptions

SEEDS = (0,)
SHARES = {"tiny": (0.8, 1.0), "small": (0.05, 0.1, 0.25), "full": (0.01, 0.05, 0.25)}
ROW = "row"
METHODS = (AGE_SEX, BOOSTING, ROW)
PAIRS = ((ROW, AGE_SEX), (ROW, BOOSTING))
LEAST_RISK = 1e-6


class Explained(ExpectedAreas):
    """Expected AUROC, and in the place of AUPRC the share of uncertainty that risks explain."""

    def areas(self, outcome: str, model: str) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and share, one value per resample."""
        risk, truth = (self.paired.risks_of(outcome, one) for one in (model, ORACLE))
        auroc, _ = super().areas(outcome, model)
        return auroc, explained(risk, truth, self.paired.weights(outcome))


def explained(risk: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 - L / L0 with L the expected logarithmic loss of risks, L0 that of the mean true risk.

    Args:
        risk: Of each person, (n,).
        truth: True risk of each person, (n,).
        weights: How often each person is there in each resample, (resamples, n).

    >>> explained(np.array([0.2, 0.2]), np.array([0.0, 0.4]), np.ones((1, 2)))
    array([0.])
    """
    risk = np.clip(risk, LEAST_RISK, 1 - LEAST_RISK)
    loss = weights @ -(truth * np.log(risk) + (1 - truth) * np.log1p(-risk)) / weights.sum(axis=1)
    mean = weights @ truth / weights.sum(axis=1)
    return 1 - loss / -(mean * np.log(mean) + (1 - mean) * np.log1p(-mean))


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size, shares = SIZES[given.size], SHARES[given.size]
    areas: dict[float, dict[int, list[Explained]]] = {share: {} for share in shares}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        for share in shares:
            found = [judged(bank, *half, share) for half in halves(bank).items()]
            areas[share][seed] = list(map(Explained, drawn_once(bank, found)))
            print(f"few_labels: seed {seed}, {share:.0%} done", flush=True)
    tables = {"Means over outcomes": pl.DataFrame(rows_of(areas, size.least_cases))}
    tables["Expected AUROC by outcome"] = by_outcome(areas, size.least_cases)
    seeds = " ".join(map(str, given.seeds))
    write(given.out / size.name, "few_labels", tables, f"{size.name}, seeds {seeds}")


def halves(bank: Biobank) -> dict[str, tuple[str, ...]]:
    """Outcomes of the biobank, every other one by name, by the letter of their half."""
    names = sorted(load_task(bank.task).outcomes)
    return {"a": tuple(names[::2]), "b": tuple(names[1::2])}


def judged(bank: Biobank, letter: str, new: Sequence[str], share: float) -> PairedRisks:
    """Risks of all methods for those of the new outcomes that have labels enough, beside the truth."""
    model = Model(f"half {letter}", settings={"onset": OnsetOptions(codes=False)}, left_out=tuple(new))
    enough = set(with_labels(bank, model, new, share))
    name = f"few_{letter}_{share:.0%}".replace("%", "")
    task = bank.task_of(name, enough.__contains__)
    known = [baseline_risks(bank, BASELINES[one, False], one, task, share) for one in METHODS[:-1]]
    files = [
        adapted_risks(bank, model, task, task.stem, ROW, share),
        *(file for file in known if file is not None),
    ]
    results = bank.evaluated(name, files, [NONE], task=task)
    return bank.paired(results, [*files, bank.truth], HORIZONS[-1])


def drawn_once(bank: Biobank, found: Sequence[PairedRisks]) -> list[PairedRisks]:
    """The halves with the same people in each resample, though not all are at risk of outcomes of both."""
    subjects = np.unique(np.concatenate([one.subjects for one in found]))
    replicates = drawn(subjects, bank.families, bank.size.bootstrap, bank.seed)
    return [replace(one, subjects=subjects, replicates=replicates) for one in found]


def with_labels(bank: Biobank, model: Model, new: Sequence[str], share: float) -> Iterator[str]:
    """Those of the new outcomes of which the labelled subjects have onsets enough for a row."""
    from proband.model.checkpoint import load_model
    from proband.train.finetune.labels import labelled_subjects, new_tasks

    store = TokenStore(bank.tokens)
    shape = load_model(bank.model(model), store.vocabulary.hash).config.onset
    assert shape is not None
    subjects = labelled_subjects(store, share, bank.seed)
    for name in new:
        try:
            new_tasks(store, [bank.task_of(f"one_{name}", {name}.__contains__)], shape, subjects)
        except DataError as error:
            print(f"few_labels: {share:.0%}: {error}", flush=True)
        else:
            yield name


def rows_of(areas: Mapping[float, Mapping[int, Sequence[Explained]]], least: int) -> list[dict[str, object]]:
    """Both measures of each method, and paired differences, by share of labels."""
    rows = []
    for share, found in areas.items():
        chosen = {seed: outcomes_of(halved, least) for seed, halved in found.items()}
        named = {"labels": f"{share:.0%}", "outcomes": "/".join(str(len(one)) for one in chosen.values())}
        for metric, title in (("auroc", "expected AUROC"), ("auprc", "explained")):
            for one in METHODS:
                means = {seed: mean(chosen[seed], one, metric) for seed in found}
                rows += labelled(means, **named, metric=title, method=one)
            for one, other in PAIRS:
                gains = {
                    seed: mean(chosen[seed], one, metric) - mean(chosen[seed], other, metric)
                    for seed in found
                }
                rows += labelled(gains, **named, metric=title, method=f"{one} less {other}")
    return rows


def outcomes_of(halved: Sequence[Explained], least: int) -> list[tuple[str, Explained]]:
    """Outcomes with cases enough that every method has risks of, with the half they are in."""
    return [(name, half) for half in halved for name in half.paired.with_cases(least, METHODS)]


def mean(chosen: Sequence[tuple[str, Explained]], method: str, metric: str) -> np.ndarray:
    """Over outcomes, one value per resample."""
    return np.mean([half.of(name, method, metric) for name, half in chosen], axis=0)


def by_outcome(areas: Mapping[float, Mapping[int, Sequence[Explained]]], least: int) -> pl.DataFrame:
    """Expected AUROC of every outcome, seed, share and method."""
    return pl.DataFrame(
        [
            {"labels": f"{share:.0%}", "seed": str(seed), "outcome": name}
            | {method: float(half.of(name, method)[0]) for method in METHODS}
            for share, found in areas.items()
            for seed, halved in found.items()
            for name, half in outcomes_of(halved, least)
        ]
    )


if __name__ == "__main__":
    main()
