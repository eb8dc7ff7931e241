"""What could leave with a report or a model folder: attacks of our own, and what they recovered.

A small synthetic biobank is made and an EHR and an EHR+PGS model trained on it. Attacked are (a) the report:
counts of 1 to 20 from rounded shares, and from two pages on almost the same people; (b) the model: whether
a person was in the train split, by the model's likelihood of their record and of their onsets; (c) its
tables: counts of 1 to 20 from the offsets of onset hazards, and single values from bin edges.

Example: python experiments/disclosure.py OUT --subjects 2000

Writes OUT/disclosure.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from biobank import EHR, GENOME, SIZES, Biobank, Model
from disclosure_counts import differencing, edges, reconstruction, small_onset_counts

from proband.core.seeds import generator
from proband.ehr.meds.dataset import list_shards, read_shard
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows, plan_batches
from proband.tokens.modalities.modality import ModalityTable, modality_files
from proband.tokens.modalities.tables import tables_for
from proband.train.config import OnsetOptions, TrainConfig
from proband.train.onset.piecewise_exponential import bins_of, expected_and_happened
from proband.train.onset.stage import read_part

TOKEN_BUDGET, DATES_AT_ONCE = 8192, 1024
DATES = 6
"""Per subject in the mean; more cost time."""
REPLICATES = 1000
FALSE_POSITIVES = 0.01


def main() -> None:
    """Run, or go on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--subjects", type=int, default=2000)
    parser.add_argument("--worlds", type=int, default=400, help="pages that are attacked")
    parser.add_argument("--minutes", type=float, default=1.0, help="CPU time of pretraining each model")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    asked = {"preset": "demo", "subjects": options.subjects}
    size = replace(SIZES["small"], name="run", synth=asked, minutes=options.minutes)
    bank = Biobank.made(options.out, size, options.seed)
    store = TokenStore(bank.tokens)
    found = {
        "Report: small counts from rounded shares": reconstruction(options.seed, options.worlds),
        "Report: two pages that differ by one person": differencing(options.seed, options.worlds),
    }
    for kind in (EHR, Model("EHR+PGS", GENOME, fusion="prefix")):
        model = load_model(bank.model(kind), store.vocabulary.hash)
        tables = tables_for(model.config.modalities, store, modality_files(*bank.modalities(kind).values()))
        for what, losses in per_subject(model, store, tables).items():
            found[f"{kind.name}: membership by {what}"] = attack(losses, options.seed)
        found[f"{kind.name}: offsets"] = small_onset_counts(store, model)
    train = set(store.subject_ids[store.rows_of("train")].tolist())
    events = pl.concat(read_shard(shard.path) for shard in list_shards(bank.meds))
    found["Bin edges"] = edges(store, events.filter(pl.col("subject_id").is_in(train)))
    text = format_results(found)
    (options.out / "disclosure.md").write_text(text)
    print(text)


@torch.no_grad()
def per_subject(
    model: Proband, store: TokenStore, tables: Mapping[str, ModalityTable]
) -> dict[str, dict[str, np.ndarray]]:
    """By attack, the losses of each subject of the train and the held-out split."""
    model.eval()
    found: dict[str, dict[str, np.ndarray]] = {"record": {}, "record per event": {}, "onsets": {}}
    for split in ("train", "held_out"):
        nats, events = record_loss(model, store, tables, split)
        found["record"][split] = nats
        found["record per event"][split] = nats / np.maximum(events, 1)
        found["onsets"][split] = onset_loss(model, store, tables, split)
    return found


def record_loss(
    model: Proband, store: TokenStore, tables: Mapping[str, ModalityTable], split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each subject's events, when and what, and how many events."""
    windows = make_windows(store, store.rows_of(split), model.config.context)
    nats, events = np.zeros(len(store)), np.zeros(len(store))
    for index in plan_batches(windows.lengths, TOKEN_BUDGET):
        chosen = windows.take(index)
        terms = model(load_batch(store, chosen, tables))
        rows = chosen.row[terms.rows.numpy()]
        np.add.at(nats, rows, (terms.event_when + terms.event_what).double().numpy())
        np.add.at(events, rows, 1)
    here = store.rows_of(split)
    return nats[here], events[here]


def onset_loss(
    model: Proband, store: TokenStore, tables: Mapping[str, ModalityTable], split: str
) -> np.ndarray:
    """Mean nats of each subject's dates over all outcomes, of those with any date."""
    head, part = (
        model.onset,
        read_part(model, store, tables, split, TrainConfig(onset=OnsetOptions(queries=DATES))),
    )
    assert head is not None
    named, losses = head.config.num_named, []
    for query, followed in part.batches(DATES_AT_ONCE, torch.device("cpu")):
        log_ratio, until = head.calibrated(query)[:, :named], followed.first(named)
        expected, happened = expected_and_happened(head, query, log_ratio, until)
        at_onset = log_ratio.gather(2, bins_of(until)[..., None])[..., 0]
        log_rate = head.log_rate_at(query.age[:, None] + until.until, query.female)
        losses.append((expected - (at_onset + log_rate) * happened).sum(dim=1))
    rows, place = np.unique(part.queries.rows, return_inverse=True)
    return np.bincount(place, torch.cat(losses).double().numpy(), len(rows)) / np.bincount(place)


def attack(losses: Mapping[str, np.ndarray], seed: int) -> dict[str, float]:
    """Who has a low loss is held to be of the train split: how often is that so."""
    member, other = -losses["train"], -losses["held_out"]
    rng = generator(seed, "membership")
    drawn = [auroc(rng.choice(member, len(member)), rng.choice(other, len(other))) for _ in range(REPLICATES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "train subjects": len(member),
        "held-out subjects": len(other),
        "AUROC": auroc(member, other),
        "low": float(low),
        "high": float(high),
        "true positives at 1% false": float((member > np.quantile(other, 1 - FALSE_POSITIVES)).mean()),
    }


def auroc(member: np.ndarray, other: np.ndarray) -> float:
    """Probability that a member scores higher, ties half."""
    ordered = np.sort(other)
    below, upto = np.searchsorted(ordered, member, "left"), np.searchsorted(ordered, member, "right")
    return float((below + upto).mean() / (2 * len(other)))


def format_results(found: Mapping[str, Mapping[str, float]]) -> str:
    """A table of every attack and what it recovered."""
    rows = [
        f"| {attack} | {name} | {value if isinstance(value, int) else f'{value:.3f}'} |"
        for attack, values in found.items()
        for name, value in values.items()
    ]
    return "\n".join(["| attack | measure | value |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    main()
