"""Heads of onset hazards that read the record summary, the trunk's state or both: fitted and judged.

What `experiments/onset_inputs.py` computes with torch; apart, so that its help does not wait for it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proband.core.config import validated
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SparseFeatures
from proband.train.config import TrainConfig
from proband.train.initial.build import build_model
from proband.train.onset.fit import Part
from proband.train.onset.piecewise_exponential import negative_log_likelihood
from proband.train.onset.stage import attach_head, fit_head, read_part
from proband.train.onset.tasks import Tasks, choose_tasks
from proband.train.pretrain.loop import Trainer

AT_ONCE = 2048
"""Held-out dates judged together: about 85 subjects of 24 dates, a block of the standard errors."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Split:
    """Tokens of fewer train subjects, always the same ones."""

    folder: Path
    subjects: int

    def open(self) -> TokenStore:
        """The store."""
        subjects = self.subjects

        class Fewer(TokenStore):
            def rows_of(self, split: str) -> np.ndarray:
                rows = super().rows_of(split)
                if split != "train":
                    return rows
                return np.sort(np.random.default_rng(0).permutation(rows)[:subjects])

        return Fewer(self.folder)


def fits(
    split: Split,
    task: Path,
    tokens: float,
    kinds: Mapping[str, tuple[bool, bool]],
    settings: Mapping[str, Any],
) -> Iterator[dict]:
    """One pretraining, then a head of each kind.

    Args:
        split: Of the tokens.
        task: The outcomes that count.
        tokens: Read in pretraining.
        kinds: Of each head, whether it reads the record summary and whether the trunk's state.
        settings: Of training.
    """
    torch.set_num_threads(1)
    store = split.open()
    tasks = choose_tasks(store, [task], True)
    assert tasks is not None
    lengths = np.diff(store.offsets)[store.rows_of("train")]
    steps = int(tokens / settings.get("batch_tokens", 1024))
    length = {"epochs": tokens / int(lengths.sum()), "evaluate_steps": max(25, steps // 8), "patience": 100}
    config = validated(TrainConfig, **{"batch_tokens": 1024} | dict(settings) | length)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as work:
        trainer = Trainer(build_model(store, {}, config), store, {}, config, Path(work))
        generative = trainer.run().total
        model = trainer.best_model().eval()
    seconds = time.process_time() - began
    attach_head(model, store, {}, tasks)
    parts = {name: read_part(model, store, {}, name, config) for name in ("train", "tuning", "held_out")}
    common = {
        "subjects": split.subjects, "pretraining": tokens, "passes": round(config.epochs, 3),
        "pretraining_cpu_seconds": round(seconds, 1), "generative_tuning_loss": round(generative, 4),
        "tasks": tasks.num_named,
    }  # fmt: skip
    for kind, reads in kinds.items():
        began = time.process_time()
        result = fit(model, store, tasks, {name: only(part, *reads) for name, part in parts.items()}, config)
        yield common | {"inputs": kind, "cpu_seconds": round(time.process_time() - began, 1)} | result


def only(part: Part, summary: bool, trunk: bool) -> Part:
    """The dates with what the head shall not read left out; age, sex and time since the last event stay."""
    queries = part.queries
    if not trunk:
        queries = replace(queries, state=np.zeros_like(queries.state))
    if not summary:
        bounds, none = np.zeros(len(queries) + 1, dtype=np.int64), np.zeros(0)
        code_of = queries.features.code_of_feature
        empty = SparseFeatures(bounds, none.astype(np.int32), none.astype(np.float32), code_of)
        queries = replace(queries, features=empty)
    return Part(queries, part.followed)


def fit(
    model: Proband, store: TokenStore, tasks: Tasks, parts: dict[str, Part], config: TrainConfig
) -> dict[str, float]:
    """A new head by the recipe of `proband train`; its held-out gain over age and sex, by blocks of dates."""
    torch.manual_seed(config.seed)
    head = attach_head(model, store, {}, tasks, config.onset.networks)
    head.eval()
    table_alone = losses(head, parts["held_out"])
    fitted = fit_head(head, parts["train"], parts["tuning"], config, CPU, lambda values: None)
    gain = table_alone - losses(head, parts["held_out"], calibrated=True)
    return {
        "held_out_gain": float(gain.mean()),
        "tuning_gain": fitted.losses["age_sex"] - fitted.losses["calibrated"],
        "blocks": gain.round(6).tolist(),
    }


@torch.no_grad()
def losses(head: OnsetHead, part: Part, calibrated: bool = False) -> np.ndarray:
    """Loss of the named tasks, nats per date, of each block of dates."""
    named, found = head.config.num_named, []
    for query, followed in part.batches(AT_ONCE, CPU):
        log_ratio = (head.calibrated if calibrated else head)(query)[:, :named]
        loss = negative_log_likelihood(head, query, log_ratio, followed.first(named)).sum()
        found.append(float(loss) / len(query.age))
    return np.array(found)
