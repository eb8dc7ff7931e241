"""How the generative model reads a genome: fusions and encoders at equal weights and equal training time.

    python experiments/fusion.py OUT --size small --seeds 0

Prefix, adapter and cross-attention, each with the feed-forward and the set encoder; the encoders' width is
chosen so that all models have nearly as many weights as the largest of the narrowest ones, and all are
pretrained for the same CPU time. Given are the held-out likelihood in nats per event, with genomes and with
genomes withheld, and the gain in AUROC of 10-year risk over EHR+PCs. Onset hazards read scores by linear
terms whatever the fusion (docs/train.md), so fusions differ in the likelihood and in sampled futures, and the
gain in AUROC should not depend on them. OUT/SIZE gets fusion.csv and fusion.md.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from biobank import EHR_PCS, SIZES, Biobank, Model, arguments, with_scores
from number_of_scores import cost
from onset_panel import FUSIONS, HORIZONS, WITH_PGS, read_paired
from replicates import Areas, labelled, write

import proband.train
from proband.evaluate.config import NONE
from proband.model.config import ModelConfig
from proband.train.config import EncoderOptions

SEEDS = (0,)
ENCODERS = ("mlp", "set")
KINDS = [(fusion, encoder) for fusion in FUSIONS for encoder in ENCODERS]
NARROWEST, WIDEST = 8, 1024


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size = SIZES[given.size]
    areas, chosen, measured = {}, {}, {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        models = equal_models(bank)
        risks = [bank.risks(model) for model in (EHR_PCS, *models)]
        results = bank.evaluated("fusion", risks, [NONE])
        paired = read_paired(bank, results, risks, HORIZONS[-1])
        areas[seed] = Areas(paired)
        chosen[seed] = paired.with_cases(size.least_cases, [EHR_PCS.name, *(model.name for model in models)])
        for model in (EHR_PCS, *models):
            measured[seed, model.name] = measures(bank, model)
    rows: list[dict[str, object]] = []
    for name in (EHR_PCS.name, *(model_of(*kind).name for kind in KINDS)):
        found = {
            seed: one.gain(chosen[seed], name, EHR_PCS.name) for seed, one in areas.items() if chosen[seed]
        }
        for row in labelled(found, model=name):
            seeds = given.seeds if row["seed"] == "mean" else [int(str(row["seed"]))]
            own = [measured[seed, name] for seed in seeds]
            means = {key: sum(one[key] for one in own) / len(own) for key in own[0]}
            rows.append(row | means | {"weights": int(means["weights"])})
    seeds = " ".join(map(str, given.seeds))
    table = {"Likelihood, and gain in AUROC": pl.DataFrame(rows)}
    write(given.out / size.name, "fusion", table, f"{size.name}, seeds {seeds}")


def model_of(fusion: str, encoder: str, hidden: int | None = None) -> Model:
    """A model of one fusion and encoder, of a given width."""
    options = {"genome": EncoderOptions(encoder=encoder, hidden=hidden)}
    return with_scores(f"PGS {fusion.replace('_', ' ')} {encoder}", fusion=fusion, encoders=options)


def equal_models(bank: Biobank) -> list[Model]:
    """A model of each kind, of widths that give nearly equal numbers of weights."""
    weights = counter(bank)
    target = max(weights(fusion, encoder, NARROWEST) for fusion, encoder in KINDS)

    def width(fusion: str, encoder: str) -> int:
        return nearest_width(lambda hidden: weights(fusion, encoder, hidden), target)

    return [model_of(*kind, width(*kind)) for kind in KINDS]


def counter(bank: Biobank) -> Callable[[str, str, int], int]:
    """Weights of the panel's model with scores, had it another fusion, encoder and width."""
    import torch

    from proband.model.checkpoint import load_model
    from proband.model.transformer import Proband
    from proband.tokens.dataset import TokenStore

    store = TokenStore(bank.tokens)
    shape = load_model(bank.model(WITH_PGS[0]), store.vocabulary.hash).config
    shape = shape.model_copy(update={"onset": None})
    once, alike = torch.from_numpy(store.once), torch.from_numpy(store.alike)

    def weights(fusion: str, encoder: str, hidden: int) -> int:
        model = Proband(reshaped(shape, fusion, encoder, hidden), once, alike)
        return sum(parameter.numel() for parameter in model.parameters())

    return weights


def reshaped(shape: ModelConfig, fusion: str, encoder: str, hidden: int) -> ModelConfig:
    """The same model with another fusion, and another encoder of the genome."""
    genome = shape.modalities["genome"].model_copy(update={"encoder": encoder, "hidden": hidden})
    changed = {"fusion": fusion, "modalities": shape.modalities | {"genome": genome}}
    return shape.model_copy(update=changed)


def nearest_width(weights: Callable[[int], int], target: int) -> int:
    """The width whose number of weights, which rises with it, is nearest to the target.

    >>> nearest_width(lambda hidden: 100 + 7 * hidden, 250)
    21
    """
    low, high = NARROWEST, WIDEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if weights(middle) >= target else (middle + 1, high)
    below = max(low - 1, NARROWEST)
    return min((below, low), key=lambda hidden: abs(weights(hidden) - target))


def measures(bank: Biobank, model: Model) -> dict[str, float]:
    """Held-out nats per event with and without genomes, weights, and CPU seconds of training."""
    folder, given = bank.model(model), bank.modalities(model)
    with_genomes = proband.train.likelihood(folder, bank.tokens, **given)["total"]
    given["genome"] = None
    without = proband.train.likelihood(folder, bank.tokens, **given)["total"]
    weights, seconds = cost(bank, model)
    return {
        "nats_per_event": with_genomes, "nats_genomes_withheld": without, "weights": float(weights),
        "train_cpu_seconds": seconds,
    }  # fmt: skip


if __name__ == "__main__":
    main()
