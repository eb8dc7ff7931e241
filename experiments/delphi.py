"""Sparse lifelong records: proband against an age-sex table on Delphi-2M's public simulated data.

Turns train.bin (first occurrences of ICD-10 level-3 diseases and death, by age in days) into MEDS, trains
without a genome on one thread, and measures on its own held-out tenth of subjects, after each of several
budgets, beside an age-sex table fitted on the same train and tuning subjects:

- joint NLL: nats per event of type and time in days, follow-up from birth to the last event, codes already
  had masked;
- type NLL: of the type alone given history, without the gap;
- disease AUC: within sex and 5-year age band, no gap (see delphi_scores.disease_aucs), over diseases with at
  least 25 held-out cases. With --onset also by closed-form five-year hazards of an onset head that is then
  fitted on the best weights, with every such disease as a task.

    python experiments/delphi.py OUT --data FOLDER --seconds 250 500 750 1000

Budgets are CPU seconds of this process, tuning evaluations included, because the machine may be shared. It
is one training: the learning rate falls at the end of every budget and rises to half its peak for the next.
The weights scored are those with the best tuning loss up to then. The same OUT with further budgets goes
on with its training. Data: gerstung-lab/Delphi (MIT),
doi:10.1038/s41586-025-09529-3. The definitions of the comparison are in docs/train.md. OUT gets delphi.csv,
seconds.csv and seconds.png (tuning loss over time); the last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from delphi_scores import MIN_CASES, Positions, closed_form_positions, disease_aucs, model_positions
from delphi_table import AgeSexTable

BIRTH = datetime(1950, 1, 1)  # the data give ages only; any birth date does
QUICK_SECONDS = (5.0, 10.0)
TOKENS_AT_ONCE = 8192
TABLE = "delphi.csv"


def read_events(data: Path) -> pl.DataFrame:
    """Columns subject_id, days, code, one row per stored token."""
    rows = np.fromfile(data / "train.bin", dtype=np.uint32).reshape(-1, 3).astype(np.int64)
    names = (data / "labels.csv").read_text(encoding="utf-8").splitlines()
    return pl.DataFrame({"subject_id": rows[:, 0], "days": rows[:, 1]}).with_columns(
        pl.Series("code", [code_of(names[token + 1]) for token in rows[:, 2]])
    )


def code_of(label: str) -> str:
    """MEDS code of a label: the ICD-10 category, a sex, death or a lifestyle answer."""
    if label in ("Female", "Male"):
        return f"SEX//{label}"
    if label == "Death":
        return "MEDS_DEATH"
    first = label.split()[0]
    return f"ICD10//{first}" if first[0].isalpha() and first[1:].isdigit() else f"LIFESTYLE//{label}"


def write_meds(events: pl.DataFrame, folder: Path) -> None:
    """Write a MEDS data folder of one unsplit shard, with follow-up from birth to the last event."""
    is_sex = pl.col("code").str.starts_with("SEX//")
    time = pl.lit(BIRTH) + pl.duration(days=pl.col("days"))
    clinical = events.select(
        "subject_id", time=pl.when(~is_sex).then(time).cast(pl.Datetime("us")), code="code"
    )
    spans = events.group_by("subject_id").agg(pl.col("days").max())
    marks = [
        spans.select("subject_id", time=pl.lit(BIRTH).cast(pl.Datetime("us")), code=pl.lit("MEDS_BIRTH")),
        spans.select(
            "subject_id", time=pl.lit(BIRTH).cast(pl.Datetime("us")), code=pl.lit("OBSERVATION_PERIOD//START")
        ),
        spans.select("subject_id", time=time.cast(pl.Datetime("us")), code=pl.lit("OBSERVATION_PERIOD//END")),
    ]
    table = pl.concat([clinical, *marks]).with_columns(pl.lit(None, pl.Float32).alias("numeric_value"))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table.sort("subject_id", "time", nulls_last=False).write_parquet(folder / "data" / "0.parquet")


def prepare(data: Path, out: Path) -> pl.DataFrame:
    """Tokens of the data in ``out`` (kept if there), and its events with their split."""
    from proband.ehr import ehr
    from proband.ehr.config import EhrConfig
    from proband.tokens import tokens
    from proband.tokens.config import TokensConfig

    events = read_events(data)
    if not (out / "meds").exists():
        write_meds(events, out / "raw")
        ehr(out / "raw", out / "meds", config=EhrConfig(splits=(0.8, 0.1, 0.1)), workers=1)
    tokens(out / "meds", out / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    splits = pl.read_parquet(out / "meds" / "metadata" / "subject_splits.parquet")
    return events.join(splits, on="subject_id", maintain_order="left")


class Contest:
    """The held-out records, and what the age-sex table makes of them.

    Args:
        events: Of all subjects, with their split.
        store: Their tokens.
    """

    def __init__(self, events: pl.DataFrame, store: Any) -> None:
        part = {split: events.filter(pl.col("split") == split) for split in ("train", "tuning", "held_out")}
        self.store, self.rows = store, store.rows_of("held_out")
        codes = sorted(set(events["code"]) - {"SEX//Female", "SEX//Male"})
        table = AgeSexTable.fitted(part["train"], part["tuning"], codes)
        counts = part["held_out"].group_by("code").len().filter(pl.col("len") >= MIN_CASES)["code"].to_list()
        self.diseases = sorted(code for code in counts if code.startswith("ICD10//"))
        positions = table.positions(part["held_out"])
        self.table = {
            "joint": table.nats_per_event(part["held_out"]),
            "type": positions.cross_entropy,
            **self.aucs(positions, table.index),
        }
        # A code that train never saw is one of several: its share of the unknown token is 1 / their number.
        unseen = set(codes) - set(part["train"]["code"])
        self.num_unseen = int(part["held_out"]["code"].is_in(unseen).sum())
        self.nats_of_unseen = self.num_unseen * np.log(max(1, len(unseen)))

    def aucs(self, positions: Positions, index: dict[str, int]) -> dict[str, float]:
        """Mean and median AUC over diseases, and that of death."""
        found = list(disease_aucs(positions, [index[code] for code in self.diseases]).values())
        death = disease_aucs(positions, [index["MEDS_DEATH"]])
        return {
            "auc_mean": float(np.mean(found)),
            "auc_median": float(np.median(found)),
            "auc_standard_error": float(np.std(found, ddof=1) / len(found) ** 0.5),
            "auc_death": next(iter(death.values())),
        }

    def score(self, model: Any, context: int) -> dict[str, float]:
        """The same of a trained model."""
        from proband.tokens.loader import sequential_batches
        from proband.train.log_likelihood import measure

        batches = sequential_batches(self.store, self.rows, context, TOKENS_AT_ONCE)
        joint = measure(model, batches, self.store.vocabulary.kinds())
        positions = model_positions(model, self.store, self.rows, context)
        surcharge = self.nats_of_unseen / joint.num_events
        return {
            "joint": joint.total + surcharge,
            "type": positions.cross_entropy + surcharge,
            **self.aucs(positions, self.store.vocabulary.index),
            "num_events": joint.num_events,
        }

    def score_closed_form(self, model: Any, config: Any, out: Path) -> dict[str, Any]:
        """Disease AUC by closed-form hazards of a head fitted on the model, and its tuning losses."""
        import torch

        from proband.train.onset.stage import fit_onset
        from proband.train.onset.tasks import choose_tasks

        task = out / "task.yaml"
        lines = "".join(f"  {name.replace('/', '_')}: {{codes: {name}}}\n" for name in self.diseases)
        task.write_text(f"outcomes:\n{lines}prediction: {{every_years: 5}}\nhorizons_years: [5]\n")
        tasks = choose_tasks(self.store, [task], with_codes=True)
        assert tasks is not None
        log = (out / "onset.jsonl").open("w", encoding="utf-8")
        fitted = fit_onset(
            model, self.store, {}, tasks, config, torch.device("cpu"),
            lambda values: print(json.dumps(values), file=log, flush=True),
        )  # fmt: skip
        positions = closed_form_positions(model, self.store, self.rows)
        return {**self.aucs(positions, self.store.vocabulary.index), "onset_losses": fitted.losses}


def train_on(store: Any, work: Path, config: Any) -> tuple[Any, float, int]:
    """Train (or go on training) until the budget of ``config``; the best model, seconds and steps spent."""
    from proband.train.initial.build import build_model
    from proband.train.pretrain.loop import Trainer

    trainer = Trainer(build_model(store, {}, config), store, {}, config, work, clock=time.process_time)
    trainer.run()
    return trainer.model, trainer.progress.seconds, trainer.progress.step


def settings(options: argparse.Namespace, **length: float | None) -> Any:
    """How to train; ``length`` is minutes or epochs."""
    from proband.train.config import TrainConfig

    return TrainConfig(
        depth=options.depth,
        dim=options.dim,
        dropout=options.dropout,
        weight_decay=options.weight_decay,
        learning_rate=options.learning_rate,
        batch_tokens=options.batch_tokens,
        patience=1_000_000,  # every budget is used up
        context=256,
        seed=options.seed,
        **length,
    )


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PROBAND_DATA", ".")) / "delphi-simulated"
    )
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[250, 500, 750, 1000], help="CPU seconds."
    )
    parser.add_argument("--quick", action="store_true", help="5 and 10 seconds, two blocks.")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--weight-decay", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--onset", action="store_true", help="fit onset hazards and score them too")
    return parser


def main() -> None:
    options = arguments().parse_args()
    if options.quick:
        options.seconds, options.depth = list(QUICK_SECONDS), 2

    import torch

    torch.set_num_threads(1)
    from proband.tokens.dataset import TokenStore

    out = options.out
    events = prepare(options.data, out)
    store = TokenStore(out / "tokens")
    contest = Contest(events, store)
    work = out / "training"
    work.mkdir(exist_ok=True)
    rows = [{"seconds": 0.0, "model": "age-sex table", **contest.table}]
    if (out / TABLE).exists():
        rows = pl.read_csv(out / TABLE).to_dicts()
    for seconds in sorted(options.seconds):
        model, spent, steps = train_on(store, work, settings(options, minutes=seconds / 60))
        scores = contest.score(model, 256)
        gain = contest.table["joint"] - scores["joint"]
        rows.append({"seconds": round(spent, 1), "steps": steps, "model": "proband", **scores, "gain": gain})
        print(json.dumps(rows[-1]), flush=True)
    if options.onset:
        began = time.process_time()
        scores = contest.score_closed_form(model, settings(options, minutes=1.0), out)
        print(json.dumps(scores | {"seconds": round(time.process_time() - began, 1)}), flush=True)
        del scores["onset_losses"]
        rows.append({"seconds": time.process_time() - began, "model": "closed form", **scores})
    report(out, rows, contest)


def report(out: Path, rows: list[dict], contest: Contest) -> None:
    """Write and print the table, and draw the tuning loss over time; the last line is JSON."""
    from proband.train.log import read_metrics

    table = pl.from_dicts(rows, infer_schema_length=None)
    table.write_csv(out / TABLE)
    lines = [line for line in read_metrics(out / "training") if "tuning" in line]
    pl.from_dicts([{key: line[key] for key in ("seconds", "tuning")} for line in lines]).write_csv(
        out / "seconds.csv"
    )
    plot(out / "seconds.png", lines)
    with pl.Config(tbl_cols=-1, tbl_width_chars=160, float_precision=4, tbl_formatting="ASCII_MARKDOWN"):
        print(table)
    figures = {
        "num_events_of_unseen_codes": contest.num_unseen,
        "num_diseases": len(contest.diseases),
        "threads": 1,
        "rows": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
            for row in rows
        ],
    }
    print(json.dumps(figures))


def plot(path: Path, lines: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    axis.plot([line["seconds"] for line in lines], [line["tuning"] for line in lines])
    axis.set(xlabel="CPU seconds", ylabel="nats per event (tuning split)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
