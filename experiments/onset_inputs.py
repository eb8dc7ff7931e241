"""What the onset head gains from the record summary, from the trunk's state and from both, by subjects.

For more and more train subjects, and a short and a long pretraining of the trunk on the same subjects, three
heads are fitted by the one recipe: on the record summary alone, on the trunk's state alone, on both. Compared
is the held-out onset loss of the task file's outcomes, nats per date, below that of the age-sex table.

    python experiments/onset_inputs.py TOKENS OUT --task TASK --subjects 1000 3000 13000

TOKENS is that of a biobank as `experiments/headline.py` makes it (OUT/small/seed0/tokens). Every fit is a
line of OUT/fits.jsonl; a fit that is there is not repeated, so the script can be stopped and goes on. One
thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

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

SUMMARY, TRUNK, BOTH = "summary", "trunk", "both"
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


def main() -> None:
    """Run, or go on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--subjects", type=int, nargs="+", default=[1000, 3000, 13_000])
    parser.add_argument("--pretraining", type=float, nargs="+", default=[0.6e6, 4.8e6], help="tokens read")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "fits.jsonl"
    for subjects in options.subjects:
        for tokens in options.pretraining:
            done = read(log)
            kinds = [SUMMARY, TRUNK, BOTH] if tokens == options.pretraining[0] else [TRUNK, BOTH]
            known = {(row["subjects"], row["pretraining"], row["inputs"]) for row in done}
            kinds = [kind for kind in kinds if (subjects, tokens, kind) not in known]
            if kinds:
                with log.open("a") as file:
                    for row in fits(Split(options.tokens, subjects), options.task, tokens, kinds):
                        file.write(json.dumps(row) + "\n")
                        file.flush()
    print(table(read(log)))


def read(log: Path) -> list[dict]:
    """The fits made so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def fits(split: Split, task: Path, tokens: float, kinds: list[str]) -> Iterator[dict]:
    """One pretraining, then a head of each kind."""
    store = split.open()
    tasks = choose_tasks(store, [task], True)
    assert tasks is not None
    lengths = np.diff(store.offsets)[store.rows_of("train")]
    steps = int(tokens / 1024)
    config = TrainConfig(
        epochs=tokens / int(lengths.sum()),
        batch_tokens=1024,
        evaluate_steps=max(25, steps // 8),
        patience=100,
    )
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
    for kind in kinds:
        began = time.process_time()
        result = fit(model, store, tasks, {name: only(part, kind) for name, part in parts.items()}, config)
        yield common | {"inputs": kind, "cpu_seconds": round(time.process_time() - began, 1)} | result


def only(part: Part, kind: str) -> Part:
    """The dates with what the head shall not read left out; age, sex and time since the last event stay."""
    queries = part.queries
    if kind == SUMMARY:
        queries = replace(queries, state=np.zeros_like(queries.state))
    if kind == TRUNK:
        bounds, none = np.zeros(len(queries) + 1, dtype=np.int64), np.zeros(0)
        width = queries.features.num_features
        empty = SparseFeatures(bounds, none.astype(np.int32), none.astype(np.float32), width)
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


def table(rows: list[dict]) -> str:
    """Gains with standard errors over blocks of dates; paired, those beyond the summary alone."""
    summaries = {row["subjects"]: np.array(row["blocks"]) for row in rows if row["inputs"] == SUMMARY}
    shown = []
    for row in rows:
        blocks = np.array(row["blocks"])
        beyond = blocks - summaries[row["subjects"]]
        shown.append({
            "train subjects": row["subjects"], "tasks": row["tasks"], "head reads": row["inputs"],
            "passes": "" if row["inputs"] == SUMMARY else f"{row['passes']:.2f}",
            "gain over age and sex": error(blocks),
            "less summary alone": "" if row["inputs"] == SUMMARY else error(beyond),
        })  # fmt: skip
    frame = pl.DataFrame(shown)
    lines = ["| " + " | ".join(frame.columns) + " |", "|---" * frame.width + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in frame.rows())])


def error(blocks: np.ndarray) -> str:
    """Mean and standard error."""
    return f"{blocks.mean():+.4f} ± {blocks.std(ddof=1) / len(blocks) ** 0.5:.4f}"


if __name__ == "__main__":
    main()
