"""Controls of what the genome adds: genomes that can tell nothing must add nothing.

    python experiments/controls.py OUT --size small --seeds 0 1 2

Beside the true scores (EHR+PCs+PGS) the same model reads scores shuffled among people, normal noise of the
same width, and the biobank's null scores alone, which were trained on a trait that nothing causes. Given is
the mean difference in AUROC and AUPRC to EHR+PCs over the outcomes with cases enough, at the longest
horizon; an interval that leaves out zero upwards is marked. OUT/SIZE gets controls.csv and controls.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from biobank import (
    EHR_PCS,
    NOISE,
    NULL,
    PERMUTED,
    SIZES,
    Biobank,
    Model,
    arguments,
    noise_like,
    permuted,
    with_scores,
)
from onset_panel import WITH_PGS
from replicates import Areas, labelled, write

from proband.evaluate.config import NONE
from proband.evaluate.panel.gain import PairedRisks

HORIZON = 10.0
TRUE = WITH_PGS[0]
CONTROLS = {
    PERMUTED: with_scores("permuted PGS", PERMUTED),
    NOISE: with_scores("noise", NOISE),
    NULL: with_scores("null scores", NULL),
}
NOTHING = "nothing"


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    areas, counts = {}, {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        paired = compared(bank)
        areas[seed] = Areas(paired)
        names = [EHR_PCS.name, TRUE.name, *(model.name for model in CONTROLS.values())]
        counts[seed] = paired.with_cases(size.least_cases, names)
        print(f"controls: seed {seed} done", flush=True)
    table = pl.DataFrame(gains(areas, counts))
    seeds = " ".join(map(str, given.seeds))
    write(given.out / size.name, "controls", {"Difference to EHR+PCs": table}, f"{size.name}, seeds {seeds}")


def compared(bank: Biobank) -> PairedRisks:
    """Risks of the true scores and all controls for the same people."""
    scores = bank.scores()
    bank.keep_scores(PERMUTED, permuted(scores, bank.seed))
    bank.keep_scores(NOISE, noise_like(scores, bank.seed))
    bank.keep_scores(NULL, scores.select("subject_id", *bank.null_scores()))
    risks = [bank.risks(model) for model in (EHR_PCS, TRUE, *CONTROLS.values())]
    results = bank.evaluated("controls", risks, [NONE])
    files = [folder / "risk.parquet" for folder in risks]
    return bank.paired(results, files, HORIZON)


def gains(areas: Mapping[int, Areas], outcomes: Mapping[int, list[str]]) -> list[dict[str, object]]:
    """A row per model, metric and seed, each marked by what it must show and whether it does."""
    rows = []
    expected: list[tuple[Model, str]] = [(TRUE, "more"), *((model, NOTHING) for model in CONTROLS.values())]
    for model, must in expected:
        for metric in ("auroc", "auprc"):
            found = {
                seed: one.gain(outcomes[seed], model.name, EHR_PCS.name, metric)
                for seed, one in areas.items()
                if outcomes[seed]
            }
            for row in labelled(found, model=model.name, metric=metric):
                rows.append(row | {"expected": must, "found": verdict(row["low"], row["high"])})
    return rows


def verdict(low: float, high: float) -> str:
    """What a 95% interval of a difference shows.

    >>> verdict(-0.01, 0.01), verdict(0.01, 0.02), verdict(-0.02, -0.01)
    ('nothing', 'more', 'less')
    """
    return "more" if low > 0 else "less" if high < 0 else NOTHING


if __name__ == "__main__":
    main()
