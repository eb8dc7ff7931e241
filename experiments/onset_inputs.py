"""What the onset head gains from the record summary, from the trunk's state and from both, by subjects.

    python experiments/onset_inputs.py OUT --size small --seeds 0

For more and more train subjects, and a short and a long pretraining of the trunk on the same subjects, three
heads are fitted by the one recipe: on the record summary alone, on the trunk's state alone, on both. Compared
is the held-out onset loss of the task file's outcomes, nats per thousand dates, below that of the age-sex
table; paired, also what each gains beyond the summary alone. Intervals are of blocks of dates. OUT/SIZE gets
onset_inputs.csv and onset_inputs.md. Every fit is a line of OUT/SIZE/seedN/onset_inputs.jsonl; a fit that is
there is not repeated. One thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from biobank import SIZES, Biobank, arguments
from replicates import write

SEEDS = (0,)
SUMMARY, TRUNK, BOTH = "summary", "trunk", "both"
READS = {SUMMARY: (True, False), TRUNK: (False, True), BOTH: (True, True)}
"""Whether a head reads the record summary, and whether the trunk's state."""
SUBJECTS = {"tiny": (400, 900), "small": (1000, 3000, 13_000), "full": (3000, 13_000, 65_000)}
"""Of the train split."""
PRETRAINING = {"tiny": (1e4, 4e4), "small": (0.6e6, 4.8e6), "full": (5e6, 40e6)}
"""Tokens read, short and long."""
NORMAL = 1.96
"""Standard errors on either side, of a 95% interval."""


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size = SIZES[given.size]
    rows: list[dict[str, object]] = []
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        log = bank.folder / "onset_inputs.jsonl"
        for subjects in SUBJECTS[size.name]:
            for tokens in PRETRAINING[size.name]:
                missing = left(read(log), subjects, tokens, tokens == PRETRAINING[size.name][0])
                fit(bank, log, subjects, tokens, missing)
        rows += rows_of(seed, read(log))
    table = {"Gain over age and sex, nats per thousand dates": pl.DataFrame(rows)}
    write(
        given.out / size.name, "onset_inputs", table, f"{size.name}, seeds {' '.join(map(str, given.seeds))}"
    )


def read(log: Path) -> list[dict[str, Any]]:
    """The fits made so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def left(done: Sequence[Mapping[str, Any]], subjects: int, tokens: float, is_first: bool) -> list[str]:
    """The heads not fitted yet; that of the summary alone, which reads no trunk, is fitted once.

    >>> left([{"subjects": 400, "pretraining": 1e4, "inputs": "trunk"}], 400, 1e4, True)
    ['summary', 'both']
    >>> left([], 400, 4e4, False)
    ['trunk', 'both']
    """
    known = {(row["subjects"], row["pretraining"], row["inputs"]) for row in done}
    kinds = [SUMMARY, TRUNK, BOTH] if is_first else [TRUNK, BOTH]
    return [kind for kind in kinds if (subjects, tokens, kind) not in known]


def fit(bank: Biobank, log: Path, subjects: int, tokens: float, kinds: list[str]) -> None:
    """Fit heads after one pretraining, and write each to the log."""
    if not kinds:
        return
    from onset_fits import Split, fits

    settings = {"seed": bank.seed} | bank.size.train
    reads = {kind: READS[kind] for kind in kinds}
    with log.open("a", encoding="utf-8") as file:
        for row in fits(Split(bank.tokens, subjects), bank.task, tokens, reads, settings):
            file.write(json.dumps(row) + "\n")
            file.flush()


def rows_of(seed: int, fits: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, object]]:
    """Of each fit the gain over age and sex and, paired, that beyond the summary alone."""
    summaries = {row["subjects"]: np.array(row["blocks"]) for row in fits if row["inputs"] == SUMMARY}
    for row in sorted(fits, key=lambda row: (row["subjects"], row["pretraining"])):
        blocks = np.array(row["blocks"])
        passes = None if row["inputs"] == SUMMARY else row["passes"]
        labels = {"seed": seed, "train_subjects": row["subjects"], "tasks": row["tasks"], "passes": passes}
        labels |= {"head_reads": row["inputs"]}
        yield labels | {"gain": "over age and sex"} | estimate(blocks)
        if passes is not None:
            yield labels | {"gain": "beyond the summary"} | estimate(blocks - summaries[row["subjects"]])


def estimate(blocks: np.ndarray) -> dict[str, float]:
    """Mean of blocks of dates, nats per thousand dates, and its 95% interval.

    >>> estimate(np.array([0.001, 0.003]))["value"]
    2.0
    """
    mean, error = 1000 * blocks.mean(), 1000 * blocks.std(ddof=1) / len(blocks) ** 0.5
    return {"value": float(mean), "low": float(mean - NORMAL * error), "high": float(mean + NORMAL * error)}


if __name__ == "__main__":
    main()
