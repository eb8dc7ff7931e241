"""How many polygenic scores does a model need: 10, 100, 300, all.

    python experiments/number_of_scores.py OUT --size small --seeds 0

EHR+PCs and more and more scores, drawn at random and nested, null scores among them as they are: the paired
gain in AUROC over EHR+PCs, by the cases seen and in expectation over the true risks, mean over outcomes with
cases enough, at the longest horizon; scores there are (num_scores), weights and CPU seconds of training
(empty where one was interrupted), of each seed and their mean. The biobank is one of its own, in
OUT/SIZE_scores; that of size small has 3,481 scores here. OUT/SIZE gets number_of_scores.csv and
number_of_scores.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
from biobank import EHR_PCS, ORACLE, SIZES, Biobank, Model, Size, arguments, with_scores
from expected_auroc import ExpectedAreas
from onset_panel import HORIZONS, read_paired
from replicates import Areas, labelled, with_measured, write

from proband.core.files.manifest import read_manifest
from proband.core.seeds import generator
from proband.evaluate.config import NONE
from proband.evaluate.panel.gain import PairedRisks

SEEDS = (0,)
NUMBERS = {"tiny": (5, 10), "small": (10, 100, 300), "full": (10, 100, 300)}
"""Before all of them."""
SCORES = {"small": {"scores": 3481}}
"""Further settings of the biobank by size."""
METRICS = {"AUROC": Areas, "expected AUROC": ExpectedAreas}
ALL = "all"


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size = size_of(given.size)
    kinds: tuple[int | str, ...] = (*NUMBERS[given.size], ALL)
    paired, costs, chosen = {}, {}, {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        models = models_of(bank, NUMBERS[given.size])
        risks = [bank.risks(model) for model in (EHR_PCS, *models.values())]
        results = bank.evaluated("number_of_scores", risks, [NONE])
        paired[seed] = read_paired(bank, results, risks, HORIZONS[-1])
        names = [EHR_PCS.name, *(model.name for model in models.values()), ORACLE]
        chosen[seed] = paired[seed].with_cases(size.least_cases, names)
        costs[seed] = [measures(bank, number, model) for number, model in models.items()]
    rows = rows_of(kinds, paired, chosen, costs)
    seeds = " ".join(map(str, given.seeds))
    write(
        given.out / given.size, "number_of_scores",
        {"AUROC, gain over EHR+PCs": pl.DataFrame(rows)}, f"{given.size}, seeds {seeds}",
    )  # fmt: skip


def rows_of(
    kinds: Sequence[int | str],
    paired: Mapping[int, PairedRisks],
    chosen: Mapping[int, Sequence[str]],
    costs: Mapping[int, Sequence[Mapping[str, float]]],
) -> list[dict[str, object]]:
    """Gain of each number of scores by seed and their mean, as seen and expected, with its measures.

    Args:
        kinds: Numbers of scores asked for, and ``all``.
        paired: By seed.
        chosen: Outcomes that count, by seed; a seed without any is left out.
        costs: Of :func:`measures`, by seed and in the order of ``kinds``.
    """
    rows: list[dict[str, object]] = []
    known = [seed for seed in paired if chosen[seed]]
    for metric, areas_of in METRICS.items():
        areas = {seed: areas_of(paired[seed]) for seed in known}
        for place, kind in enumerate(kinds):
            name = model_of(kind).name
            found = {seed: one.gain(chosen[seed], name, EHR_PCS.name) for seed, one in areas.items()}
            own = {seed: costs[seed][place] for seed in known}
            rows += with_measured(labelled(found, scores=str(kind), metric=metric), own)
    return rows


def size_of(name: str) -> Size:
    """The size, with scores enough, in a folder of its own."""
    size = SIZES[name]
    return replace(size, name=f"{name}_scores", synth=size.synth | SCORES.get(name, {}))


def model_of(kind: int | str) -> Model:
    """EHR, components and so many scores."""
    return with_scores(f"{kind} PGS", f"scores_{kind}")


def models_of(bank: Biobank, numbers: tuple[int, ...]) -> dict[int, Model]:
    """A model for each number of scores, the last of them for all; the scores of a smaller one are nested."""
    scores = bank.scores()
    found = {}
    kinds: tuple[int | str, ...] = (*numbers, ALL)
    for kind in kinds:
        names = some_scores(scores.columns[1:], kind, bank.seed)
        bank.keep_scores(model_of(kind).scores, scores.select("subject_id", *names))
        found[len(names)] = model_of(kind)
    return found


def some_scores(names: list[str], kind: int | str, seed: int) -> list[str]:
    """The first so many of all scores in an order drawn by the seed; never more than there are.

    >>> set(some_scores(list("abcde"), 2, 0)) < set(some_scores(list("abcde"), 4, 0))
    True
    """
    order = generator(seed, "number of scores").permutation(len(names))
    return [names[at] for at in (order if kind == ALL else order[: int(kind)])]


def measures(bank: Biobank, number: int, model: Model) -> dict[str, float]:
    """Scores that a model reads, its weights, and CPU seconds of its training."""
    weights, seconds = cost(bank, model)
    return {"num_scores": number, "weights": weights, "train_cpu_seconds": seconds}


def cost(bank: Biobank, model: Model) -> tuple[int, float]:
    """Weights of a trained model, and CPU seconds that its training took, NaN if it was interrupted."""
    weights = read_manifest(bank.model(model), "train")["counts"]["num_weights"]
    return int(weights), bank.train_cpu_seconds().get(model.slug, float("nan"))


if __name__ == "__main__":
    main()
