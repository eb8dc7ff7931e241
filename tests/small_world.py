"""Hand-made records: MEDS frames of a few rows, and a token store built in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from proband.core.batch import Batch
from proband.model.config import ModalityConfig, ModelConfig
from proband.model.next_event.clock import FEMALE, MALE, NUM_BANDS, SEXES, UNKNOWN_SEX
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from vocabularies import vocabulary_named

DAY = 1440
ENTRY, EXIT = "OBSERVATION_PERIOD//START", "OBSERVATION_PERIOD//END"


def frame(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """MEDS events from (subject_id, time, code[, value]), sorted; a string time is ISO."""
    full = []
    for subject, time, code, *value in rows:
        at = datetime.fromisoformat(time) if isinstance(time, str) else time
        full.append((subject, at, code, value[0] if value else None, None))
    schema = {
        "subject_id": pl.Int64,
        "time": pl.Datetime("us"),
        "code": pl.String,
        "numeric_value": pl.Float32,
        "unit": pl.String,
    }
    return pl.DataFrame(full, schema=schema, orient="row").sort(
        "subject_id", "time", nulls_last=False, maintain_order=True
    )


def write_splits(folder: Path, **splits: pl.DataFrame) -> Path:
    """A MEDS folder with one shard per split."""
    for split, events in splits.items():
        path = folder / "data" / split / "0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        events.write_parquet(path)
    return folder


@dataclass
class Record:
    """One subject: tokens after birth with their ages in minutes, and follow-up."""

    tokens: Sequence[int]
    ages: Sequence[int]
    entry: int = 0
    exit: int = 0
    died: bool = False
    split: str = "train"
    statics: Sequence[int] = (0,)


class HandStore(TokenStore):
    """A token store of hand-made records; birth is added in front of each."""

    def __init__(self, records: Sequence[Record], size: int = 8, once: Sequence[int] = ()) -> None:
        self.folder = Path("hand")
        codes = ["PADDING", "MEDS_BIRTH", *(f"X//{k}" for k in range(2, size - 1)), "MEDS_DEATH"]
        flags = tuple(code in {codes[token] for token in once} for code in codes)
        self.vocabulary = vocabulary_named(codes, {}, {}, flags, ("Gender//F", "Gender//M"), DAY)
        self.tokens = np.concatenate([[1, *record.tokens] for record in records]).astype(np.uint16)
        self.minutes = np.concatenate([[0, *record.ages] for record in records]).astype(np.int32)
        lengths = [1 + len(record.tokens) for record in records]
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.statics = np.asarray([list(record.statics) for record in records], dtype=np.int32)
        self.subject_ids = np.arange(100, 100 + len(records))
        self.entry = np.array([record.entry for record in records], dtype=np.int32)
        self.exit = np.array([record.exit for record in records], dtype=np.int32)
        self.died = np.array([record.died for record in records])
        birth = datetime(1900, 1, 1)
        minutes = {"entry_time": self.entry, "exit_time": self.exit}
        self.subjects = pl.DataFrame(
            {
                "subject_id": self.subject_ids,
                "split": [record.split for record in records],
                "birth_time": [birth] * len(records),
                "entry_minutes": self.entry,
                "exit_minutes": self.exit,
                "died": self.died,
            }
        ).with_columns(
            (pl.col("birth_time") + pl.duration(minutes=pl.Series(values.astype(np.int64))))
            .cast(pl.Datetime("us"))
            .alias(name)
            for name, values in minutes.items()
        )


GAP_EDGES = (1, 2, 4, 8, 17, 35, 72, 147, 299, 610, 1244, 2535, 5170, 10541, 21495, 43830)


def model_config(**changes: Any) -> ModelConfig:
    """A model of two blocks and a few hundred weights."""
    shape: dict[str, Any] = {
        "vocabulary_size": 8,
        "num_statics": 2,
        "depth": 2,
        "dim": 16,
        "num_heads": 2,
        "context": 16,
        "dropout": 0.0,
        "num_latents": 2,
        "gap_edges": GAP_EDGES,
    }
    return ModelConfig(**(shape | changes))


PANEL = {"panel": ModalityConfig(width=1, hidden=4, timed=True, encoder="set", names=("protein",))}
GENOME = {"genome": ModalityConfig(width=3, hidden=8, names=("PGS1", "PGS2", "PGS3"))}


def random_model(
    seed: int = 0, once: Sequence[int] = (), together: Sequence[int] = (), **changes: Any
) -> Proband:
    """A model of random weights and rates throughout, heads and gates included, in evaluation mode.

    Static code 1 is female, 2 male. Of the tokens ``together`` one happens, and once.
    """
    config = model_config(**changes)
    flags = torch.zeros(config.vocabulary_size, dtype=torch.bool)
    flags[[*once, *together]] = True
    alike = torch.arange(config.vocabulary_size)
    alike[list(together)] = min(together, default=0)
    torch.manual_seed(seed)
    model = Proband(config, flags, alike)
    sexes = torch.tensor([UNKNOWN_SEX, FEMALE, MALE] + [UNKNOWN_SEX] * config.num_statics)
    rates = 0.5 * torch.randn(SEXES, NUM_BANDS, config.vocabulary_size) + 2
    model.what.clock.set_rates(rates, sexes[: config.num_statics + 1])
    model.what.clock.log_middle.fill_(-1.5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (parameter.ndim >= 2 and "absent" not in name) or any(
                part in name for part in ("bias", "repeat", "slopes")
            ):
                parameter.normal_(std=0.3)
            elif "absent" in name:
                parameter.normal_(std=0.5)
            elif "gate" in name:
                parameter.fill_(0.7)
    return model.eval()


def batch_of(tokens: list[list[int]], ages: list[list[int]], **fields: Any) -> Batch:
    """A batch from lists, everything else zero unless given; ages in days."""
    length = max(len(row) for row in tokens)

    def grid(rows: list[list[int]], unit: int = 1) -> torch.Tensor:
        return torch.tensor([[unit * value for value in row] + [0] * (length - len(row)) for row in rows])

    empty = [[0] * length for _ in tokens]
    named: dict[str, Any] = {
        "statics": [[0] for _ in tokens],
        "seen_before": [[0] for _ in tokens],
        "target": empty,
        "next_tokens": empty,
        "gaps": empty,
        "waited": empty,
    } | fields
    days = {"gaps", "waited"}
    arrays = {}
    for name, value in named.items():
        if name in ("statics", "seen_before"):
            arrays[name] = torch.tensor(value)
        elif name != "modalities":
            arrays[name] = grid(value, DAY if name in days else 1)
    return Batch(
        tokens=grid(tokens),
        ages=grid(ages, DAY),
        rows=torch.arange(len(tokens)),
        modalities=fields.get("modalities", {}),
        **arrays,
    )


TOKENS = [[1, 2, 3, 2, 6, 4], [1, 5, 5, 7]]
AGES = [[0, 900, 900, 4000, 4001, 9000], [0, 30, 31, 20000]]
HISTORY = batch_of(TOKENS, AGES, statics=[[1], [2]])
"""Two histories, ages in days."""


def states(model: Proband, batch: Batch) -> torch.Tensor:
    """What the model makes of every position."""
    with torch.no_grad():
        return model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)[0]
