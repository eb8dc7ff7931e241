"""Are the predictions worth having: the bars, on a synthetic biobank whose truth is known.

For each seed a biobank is made and read as a real one. Three models are trained: on records alone (EHR), on
records and polygenic scores (EHR+PGS), and on records and scores that were shuffled among people, which must
gain nothing (EHR+permuted PGS). Their closed-form risks of held-out people are judged beside the age-sex
table, LightGBM on the record summary with and without scores, and the oracle.

    python experiments/headline.py OUT --size small --seeds 0 1 2

A second call goes on where the first stopped. Writes headline.md, outcomes.csv and bars.csv into OUT/SIZE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from biobank import EHR as RECORDS
from biobank import GENOME, ORACLE, SIZES, T2D, Biobank, Model, arguments, permuted, places
from biobank import PERMUTED as SHUFFLED
from onset_panel import read_paired
from replicates import provenance
from scipy.stats import norm

from proband.core.statistics.intervals import NORMAL_975
from proband.core.units import MINUTES_PER_YEAR
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.panel.gain import PairedRisks
from proband.tokens.dataset import TokenStore

HORIZON = 10.0
COMMONEST = 8
EHR, PGS, PERMUTED = RECORDS.name, "EHR+PGS", "EHR+permuted PGS"
AGE_SEX, BOOSTING, BOOSTING_PGS = "age_sex", "lightgbm", "lightgbm_pgs"
MODELS = (RECORDS, Model(PGS, GENOME, fusion="prefix"), Model(PERMUTED, SHUFFLED, fusion="prefix"))


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    bars, outcomes = [], []
    for seed in given.seeds:
        bank = Biobank.made(given.out, SIZES[given.size], seed)
        bank.keep_scores(SHUFFLED, permuted(bank.scores(), seed))
        risks = [bank.risks(model) for model in MODELS]
        results = bank.evaluated("headline", risks, ["age_sex", BOOSTING, BOOSTING_PGS])
        judged = Judged.read(bank, results, risks)
        bars += [{"seed": seed} | row for row in judged.bars()]
        outcomes.append(judged.outcomes().with_columns(seed=pl.lit(seed)))
        print(f"headline: seed {seed} done", flush=True)
    write(given.out / given.size, pl.DataFrame(bars), pl.concat(outcomes))


@dataclass(frozen=True)
class Judged:
    """One seed's risks beside what happened, at the headline horizon.

    Attributes:
        metrics: As `proband evaluate` writes them.
        paired: Risks of all models for the same people.
        fifths: Fifth of visits in the year before the prediction, by subject.
        seconds: CPU seconds of training of each model, without those that were interrupted.
        least_cases: That an outcome needs to count; for a share of outcomes, twice as many.
    """

    metrics: pl.DataFrame
    paired: PairedRisks
    fifths: pl.DataFrame
    seconds: dict[str, float]
    least_cases: int

    @classmethod
    def read(cls, bank: Biobank, results: Path, risks: Sequence[Path]) -> Judged:
        """Join risks, labels and visits."""
        metrics = pl.read_parquet(results / "metrics.parquet").filter(pl.col("horizon_years") == HORIZON)
        paired = read_paired(bank, results, risks, HORIZON)
        known = bank.train_cpu_seconds()
        seconds = {model.name: known[model.slug] for model in MODELS if model.slug in known}
        return cls(metrics, paired, fifths_of_visits(bank.tokens, paired), seconds, bank.size.least_cases)

    def chosen(self, least: int) -> list[str]:
        """Outcomes with so many cases that every model has risks of, most cases first."""
        return self.paired.with_cases(least, [EHR, PGS, PERMUTED, AGE_SEX, BOOSTING, BOOSTING_PGS])

    def outcomes(self) -> pl.DataFrame:
        """AUROC, O/E and slope of every model by outcome, with censoring weights."""
        keep = ["auroc", "auprc", "observed_expected", "calibration_slope"]
        table = self.metrics.filter(
            pl.col("metric").is_in(keep) & pl.col("outcome").is_in(self.chosen(self.least_cases))
        )
        return table.select("outcome", "num_cases", "model", "metric", "value", "low", "high")

    def bars(self) -> list[dict[str, object]]:
        """One row a bar: value, interval, aim, whether it is met."""
        many, chosen = self.chosen(2 * self.least_cases), self.chosen(self.least_cases)
        rows = [
            self._gain("mean AUROC, EHR - age and sex", chosen, EHR, AGE_SEX, 0.025),
            self._gain("mean AUROC, EHR - LightGBM", chosen, EHR, BOOSTING, 0.005),
            self._worst(chosen[:COMMONEST]),
            self._gain("mean AUROC, EHR+PGS - EHR", chosen, PGS, EHR, 0.0, strict=True),
            self._gain("mean AUROC, EHR+PGS - LightGBM with PGS", chosen, PGS, BOOSTING_PGS, None),
            self._gain("AUROC of type 2 diabetes, EHR+PGS - EHR", [T2D], PGS, EHR, 0.02),
            self._gain("AUPRC of type 2 diabetes, EHR+PGS - EHR", [T2D], PGS, EHR, None, metric="auprc"),
            self._gain("mean AUROC, EHR+permuted PGS - EHR", chosen, PERMUTED, EHR, None, null=True),
        ]
        for model in (EHR, PGS):
            rows += self._shares(model, "O/E", "observed_expected", many)
            rows += self._shares(model, "slope", "calibration_slope", many)
            rows.append(self._by_visits(model, chosen))
        return [*rows, self._training()]

    def _training(self) -> dict[str, object]:
        """CPU minutes of the slowest model's training; unknown where one was interrupted."""
        name = "training of the slowest model, CPU minutes"
        unknown = [model.name for model in MODELS if model.name not in self.seconds]
        if unknown:
            which = f"{name} (unknown, interrupted: {', '.join(unknown)})"
            return _bar(which, float("nan"), None, "<= 6", None)
        longest = max(self.seconds.values())
        return _bar(name, longest / 60, None, "<= 6", longest <= 360)

    def _gain(
        self, name: str, outcomes: Sequence[str], model: str, other: str, aim: float | None,
        *, metric: str = "auroc", strict: bool = False, null: bool = False,
    ) -> dict[str, object]:  # fmt: skip
        """Mean difference over outcomes with its bootstrap interval."""
        value, low, high, _ = self.paired.gain(outcomes, model, other, metric)
        if null:
            return _bar(name, value, (low, high), "interval holds 0", low <= 0 <= high)
        if aim is None:
            return _bar(name, value, (low, high), "", None)
        text = "> 0, interval above 0" if strict else f">= {aim:+.3f}"
        return _bar(name, value, (low, high), text, low > 0 if strict else value >= aim)

    def _worst(self, outcomes: Sequence[str]) -> dict[str, object]:
        gains = {one: self.paired.gain([one], EHR, BOOSTING).value for one in outcomes}
        worst = min(gains, key=lambda one: gains[one])
        name = f"lowest of EHR - LightGBM among the {COMMONEST} commonest ({worst})"
        return _bar(name, gains[worst], None, ">= -0.010", gains[worst] >= -0.01)

    def _shares(
        self, model: str, called: str, metric: str, outcomes: Sequence[str]
    ) -> list[dict[str, object]]:
        """Share of outcomes within 0.9 and 1.1, and what it would be on average if 1 were the truth of all.

        The second follows from the bootstrap standard errors: with 100 cases even the truth is often outside.
        """
        table = self.metrics.filter(
            (pl.col("model") == model)
            & (pl.col("metric") == metric)
            & pl.col("outcome").is_in(list(outcomes))
        )
        share = float(np.mean(table["value"].drop_nulls().is_between(0.9, 1.1).to_list() or [0]))
        error = ((table["high"] - table["low"]) / (2 * NORMAL_975)).to_numpy()
        perfect = float((2 * norm.cdf(0.1 / error) - 1).mean()) if len(error) else float("nan")
        number = f"({table.height} with {2 * self.least_cases} cases)"
        name = f"{model}: outcomes with {called} in 0.9-1.1"
        return [
            _bar(f"{name} {number}", share, None, ">= 0.80", share >= 0.8),
            _bar(f"{name}, expected if each were 1", perfect, None, "", None),
        ]

    def _by_visits(self, model: str, outcomes: Sequence[str]) -> dict[str, object]:
        """O/E within fifths of visits in the last year, cases and risks of all outcomes added up."""
        observed, expected = np.zeros(5), np.zeros(5)
        for one in outcomes:
            rows = self.paired.rows[one]
            weight = self.paired.censoring(rows, np.ones((1, rows.height)))[0]
            group = rows.join(self.fifths, on="subject_id", how="left", maintain_order="left")["fifth"]
            np.add.at(observed, group.to_numpy(), weight * (self.paired.status(rows) == CASE))
            np.add.at(expected, group.to_numpy(), self.paired.risks_of(one, model))
        ratio = observed / expected
        text = " ".join(f"{value:.2f}" for value in ratio)
        name = f"{model}: O/E by fifth of visits ({text}), farthest from 1"
        far = float(ratio[np.abs(np.log(ratio)).argmax()])
        return _bar(name, far, None, "0.85-1.15", bool(((ratio >= 0.85) & (ratio <= 1.15)).all()))


def fifths_of_visits(folder: Path, paired: PairedRisks) -> pl.DataFrame:
    """Fifth, 0 to 4, of the number of time stamps in the year before the prediction, by subject."""
    store = TokenStore(folder)
    moments = pl.concat(rows.select("subject_id", "prediction_time") for rows in paired.rows.values())
    asked = moments.unique().sort("subject_id")
    number = []
    for row, now in zip(*places(store, asked), strict=True):
        minutes = store.record(int(row))[1]
        number.append(len(np.unique(minutes[(minutes <= now) & (minutes > now - MINUTES_PER_YEAR)])))
    order = pl.Series(number).rank("ordinal") - 1
    return asked.select("subject_id", fifth=(order * 5 // asked.height).cast(pl.Int64))


def _bar(
    name: str, value: float, interval: tuple[float, float] | None, aim: str, met: bool | None
) -> dict[str, object]:
    low, high = interval or (None, None)
    return {"bar": name, "value": float(value), "low": low, "high": high, "aim": aim, "met": met}


def write(out: Path, bars: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """The tables as CSV, and as Markdown with command, commit and hardware."""
    bars.write_csv(out / "bars.csv")
    outcomes.write_csv(out / "outcomes.csv")
    lines = [*provenance(), ""]
    lines += ["| bar | aim | " + " | ".join(f"seed {seed}" for seed in bars["seed"].unique().sort()) + " |"]
    lines += ["|---|---|" + "---|" * bars["seed"].n_unique()]
    names = bars.with_columns(key=pl.col("bar").str.replace(r" \(.*\)", "")).partition_by(
        "key", maintain_order=True
    )
    for part in names:
        cells = [_cell(row) for row in part.sort("seed").iter_rows(named=True)]
        lines.append(f"| {part['key'][0]} | {part['aim'][0]} | " + " | ".join(cells) + " |")
    wide = outcomes.filter(metric="auroc").group_by("outcome", "model").agg(pl.col("value").mean())
    table = wide.pivot(on="model", index="outcome", values="value").sort("outcome")
    models = [name for name in (AGE_SEX, BOOSTING, EHR, PGS, BOOSTING_PGS, PERMUTED, ORACLE) if name in table]
    lines += ["", "AUROC at 10 years, mean over seeds:", "", "| outcome | " + " | ".join(models) + " |"]
    lines += ["|---|" + "---|" * len(models)]
    for row in table.iter_rows(named=True):
        cells = [f"{row[name]:.3f}" if row[name] is not None else "" for name in models]
        lines.append(f"| {row['outcome'].replace('_', ' ')} | " + " | ".join(cells) + " |")
    (out / "headline.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _cell(row: dict[str, object]) -> str:
    value = f"{row['value']:.3f}" if np.isfinite(row["value"]) else "unknown"  # type: ignore[call-overload]
    if row["low"] is not None:
        value += f" ({row['low']:.3f} to {row['high']:.3f})"
    return value + {True: ", met", False: ", **missed**", None: ""}[row["met"]]  # type: ignore[index]


if __name__ == "__main__":
    main()
