"""Metrics of several seeds with one interval, and the tables that experiments write."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from proband.evaluate.metrics.compare import interval
from proband.evaluate.panel.gain import METRICS, PairedRisks


@dataclass
class Areas:
    """AUROC and AUPRC of every resample of the people of one seed, each computed once.

    Attributes:
        paired: Risks of all models for the same people.
    """

    paired: PairedRisks
    _found: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def of(self, outcome: str, model: str, metric: str = "auroc") -> np.ndarray:
        """One value per resample, the sample itself first."""
        if (outcome, model) not in self._found:
            self._found[outcome, model] = self.areas(outcome, model)
        return self._found[outcome, model][METRICS.index(metric)]

    def areas(self, outcome: str, model: str) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and AUPRC, one value per resample."""
        return self.paired.areas(outcome, model)

    def mean(self, outcomes: Sequence[str], model: str, metric: str = "auroc") -> np.ndarray:
        """Mean over outcomes, one value per resample."""
        return np.mean([self.of(outcome, model, metric) for outcome in outcomes], axis=0)

    def gain(self, outcomes: Sequence[str], model: str, other: str, metric: str = "auroc") -> np.ndarray:
        """Mean over outcomes of the difference of two models, one value per resample."""
        return self.mean(outcomes, model, metric) - self.mean(outcomes, other, metric)

    def share_of_distance(self, outcomes: Sequence[str], model: str, other: str, ceiling: str) -> np.ndarray:
        """Mean gain in AUROC over the mean distance of ``other`` to the ceiling, one value per resample."""
        return self.gain(outcomes, model, other) / self.gain(outcomes, ceiling, other)


def with_interval(values: np.ndarray) -> dict[str, float]:
    """The value of the sample itself, first of ``values``, and the 95% interval of the others.

    >>> with_interval(np.array([0.5, 0.0, 1.0]))["value"]
    0.5
    """
    low, high = interval(values[1:]) if len(values) > 1 else (np.nan, np.nan)
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def by_seed(found: Mapping[int, np.ndarray]) -> list[dict[str, object]]:
    """A row per seed, and with several seeds their mean, resample by resample: the seeds are independent.

    >>> [row["seed"] for row in by_seed({0: np.zeros(3), 1: np.ones(3)})]
    ['0', '1', 'mean']
    """
    rows: list[dict[str, object]] = [
        {"seed": str(seed)} | with_interval(values) for seed, values in found.items()
    ]
    if len(found) > 1:
        rows.append({"seed": "mean"} | with_interval(np.mean(list(found.values()), axis=0)))
    return rows


def labelled(found: Mapping[int, np.ndarray], **labels: object) -> list[dict[str, Any]]:
    """Rows of :func:`by_seed` with labels in front."""
    return [labels | row for row in by_seed(found)]


def with_measured(
    rows: Iterable[Mapping[str, Any]], measured: Mapping[int, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Rows of :func:`labelled` with what was measured of each seed; the mean of seeds has its mean, of whole
    numbers rounded to one.

    Args:
        rows: Of seeds, and of their mean.
        measured: By seed, numbers by column; those of seeds without a row do not count.

    >>> with_measured([{"seed": "0"}, {"seed": "1"}, {"seed": "mean"}], {0: {"n": 2}, 1: {"n": 4}})[1:]
    [{'seed': '1', 'n': 4}, {'seed': 'mean', 'n': 3}]
    """
    given = list(rows)
    own = {str(seed): one for seed, one in measured.items()}
    there = [own[str(row["seed"])] for row in given if str(row["seed"]) in own]
    if there:
        own["mean"] = {name: _mean([one[name] for one in there]) for name in there[0]}
    return [dict(row) | dict(own[str(row["seed"])]) for row in given]


def _mean(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return round(mean) if all(isinstance(one, int) for one in values) else mean


def write(out: Path, name: str, tables: Mapping[str, pl.DataFrame], size: str) -> None:
    """Each table as NAME[_TABLE].csv; all as NAME.md below command, commit and hardware.

    Args:
        out: Folder.
        name: Of the experiment.
        tables: By title; the first is the experiment's main one.
        size: Of the experiment.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"# {name.replace('_', ' ').capitalize()}, size {size}", "", *provenance(), ""]
    for at, (title, table) in enumerate(tables.items()):
        stem = name if not at else f"{name}_{title.lower().replace(' ', '_').replace(',', '')}"
        table.write_csv(out / f"{stem}.csv", float_precision=5)
        lines += [f"{title}:", "", *markdown(table), ""]
    text = "\n".join(lines)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def provenance() -> list[str]:
    """The command, the commit and the hardware of this run, a line each."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    script = Path(sys.argv[0]).name
    arguments = shlex.join(["OUT" if Path(one).is_absolute() else one for one in sys.argv[1:]])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {_device()}, Python {platform.python_version()}"
    return [f"    python experiments/{script} {arguments}", "", f"Commit {commit}; {machine}."]


def _device() -> str:
    if not shutil.which("nvidia-smi"):
        return "no GPU"
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return " + ".join(found.stdout.splitlines()) or "no GPU"


def markdown(table: pl.DataFrame) -> list[str]:
    """Lines of a table; value, low and high become one column of value and interval.

    >>> markdown(pl.DataFrame({"seed": ["0"], "value": [0.5], "low": [0.4], "high": [0.6]}))[2]
    '| 0 | 0.500 (0.400 to 0.600) |'
    """
    names = [name for name in table.columns if name not in ("low", "high")]
    rows = [[_cell(row, name) for name in names] for row in table.iter_rows(named=True)]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|", *(f"| {' | '.join(r)} |" for r in rows)]


def _cell(row: Mapping[str, object], name: str) -> str:
    value = row[name]
    if name == "value" and "low" in row:
        low, high = _number(row["low"]), _number(row["high"])
        return f"{_number(value)} ({low} to {high})" if low and high else _number(value)
    return _number(value) if isinstance(value, float) or value is None else str(value).replace("_", " ")


def _number(value: object) -> str:
    """Three decimals; empty where not estimable."""
    return f"{value:.3f}" if isinstance(value, float) and np.isfinite(value) else ""
