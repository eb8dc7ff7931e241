"""The joint likelihood of held-out records, in nats per event, with its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proband.core.batch import Batch
from proband.core.running.progress import track
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows, plan_batches
from proband.tokens.modalities.modality import modality_files
from proband.tokens.modalities.tables import say_absent, say_shifted, tables_for

_TOKEN_BUDGET = 16384


@dataclass(frozen=True)
class Likelihood:
    """Sums over records, in nats.

    Attributes:
        when, what, censoring: Total nats of each part.
        num_events: Scored events.
        num_impossible: Events left out as repeats of a code that happens once.
        what_by_kind, when_by_kind, events_by_kind: The same per kind of the code that happened.
    """

    when: float
    what: float
    censoring: float
    num_events: int
    num_impossible: int
    what_by_kind: dict[str, float]
    when_by_kind: dict[str, float]
    events_by_kind: dict[str, int]

    @property
    def total(self) -> float:
        """Joint negative log-likelihood per event, time in days."""
        return (self.when + self.what + self.censoring) / max(1, self.num_events)

    def per_event(self) -> dict[str, float]:
        """Total and parts, nats per scored event."""
        events = max(1, self.num_events)
        return {
            "total": self.total,
            "when": self.when / events,
            "what": self.what / events,
            "censoring": self.censoring / events,
        }


@torch.no_grad()
def measure(
    model: Proband,
    batches: Iterable[Batch],
    kinds: list[str],
    total: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Likelihood:
    """Sum the likelihood of all batches; the model is left in evaluation mode.

    Args:
        model: The model.
        batches: Windows that cover every event once.
        kinds: Kind of every token.
        total: Sums an array over the processes that share the batches.
    """
    model.eval()
    names = sorted(set(kinds))
    kind_of_token = np.array([names.index(kind) for kind in kinds])
    sums = np.zeros((3, len(names)))
    censoring, impossible = 0.0, 0
    for batch in batches:
        terms = model(batch)
        codes = batch.next_tokens[terms.rows, terms.positions].cpu().numpy()
        index = kind_of_token[codes]
        for at, values in enumerate((terms.event_what, terms.event_when)):
            sums[at] += np.bincount(index, weights=values.double().cpu().numpy(), minlength=len(names))
        sums[2] += np.bincount(index, minlength=len(names))
        censoring += float(terms.censoring)
        impossible += terms.num_impossible
    summed = total(np.concatenate([sums.ravel(), [censoring, float(impossible)]]))
    sums, (censoring, impossible) = summed[:-2].reshape(sums.shape), (summed[-2], int(summed[-1]))
    seen = [at for at in range(len(names)) if sums[2, at]]
    return Likelihood(
        when=float(sums[1].sum()),
        what=float(sums[0].sum()),
        censoring=float(censoring),
        num_events=int(sums[2].sum()),
        num_impossible=impossible,
        what_by_kind={names[at]: float(sums[0, at]) for at in seen},
        when_by_kind={names[at]: float(sums[1, at]) for at in seen},
        events_by_kind={names[at]: int(sums[2, at]) for at in seen},
    )


def likelihood(
    model: Path,
    tokens: Path,
    *,
    genome: Path | None = None,
    modalities: Mapping[str, Path] | None = None,
    split: str = "held_out",
) -> dict[str, Any]:
    """Joint negative log-likelihood per event of a split's records.

    Args:
        model: A model folder.
        tokens: A tokens folder with the model's vocabulary.
        genome: A genome folder; without it every subject counts as ungenotyped.
        modalities: Parquet files of other modalities by name; one not given counts as absent.
        split: Which subjects.

    Returns:
        ``total``, ``when``, ``what``, ``censoring`` (nats per scored event, time in days), the counts, and
        ``kinds``: the same per kind of code.
    """
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    files = modality_files(genome, modalities)
    tables = tables_for(loaded.config.modalities, store, files)
    say_absent("likelihood", loaded.config.modalities, files)
    say_shifted("likelihood", loaded.fusion.scales(), tables)
    windows = make_windows(store, store.rows_of(split), loaded.config.context)
    plan = plan_batches(windows.lengths, _TOKEN_BUDGET)
    batches = (load_batch(store, windows.take(index), tables) for index in track(plan, "Scoring"))
    result = measure(loaded, batches, store.vocabulary.kinds())
    kinds = {
        kind: {
            "num_events": events,
            "when": result.when_by_kind[kind] / events,
            "what": result.what_by_kind[kind] / events,
        }
        for kind, events in result.events_by_kind.items()
    }
    counts = {"num_events": result.num_events, "num_impossible": result.num_impossible}
    return {"split": split, **result.per_event(), **counts, "kinds": kinds}


def format_likelihood(result: dict[str, Any]) -> str:
    """A table for the terminal; the last line is the JSON of everything."""
    lines = [f"{'nats per event':<24}{'total':>9}{'when':>9}{'what':>9}{'censoring':>11}{'events':>10}"]
    lines.append(
        f"{'all':<24}{result['total']:>9.4f}{result['when']:>9.4f}{result['what']:>9.4f}"
        f"{result['censoring']:>11.4f}{result['num_events']:>10,}"
    )
    for kind, part in sorted(result["kinds"].items(), key=lambda item: -item[1]["num_events"]):
        total = part["when"] + part["what"]
        lines.append(
            f"{kind[:23]:<24}{total:>9.4f}{part['when']:>9.4f}{part['what']:>9.4f}{'':>11}"
            f"{part['num_events']:>10,}"
        )
    return "\n".join([*lines, json.dumps(result)])
