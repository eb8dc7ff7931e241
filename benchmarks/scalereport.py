"""The page and the picture of what scale.py measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

COHORTS = (("All of Us", 400_000, 1e9), ("300 million people", 300_000_000, 1e12))
"""Name, people, rows of events."""
NAMES = {
    "ehr": "OMOP -> MEDS (Parquet)",
    "tokens": "MEDS -> tokens",
    "tokenise": "MEDS -> tokens, vocabulary given",
    "peer": "MEDS -> tensors by meds-torch-data (peer)",
    "forecast": "risks in closed form",
    "synth": "synthetic biobank",
}
HOUR = 3600


def slope(sizes: np.ndarray, seconds: np.ndarray) -> float:
    """Of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def marginal(sizes: np.ndarray, amounts: np.ndarray) -> float:
    """What one more row or person takes, from the two largest sizes."""
    order = np.argsort(sizes)[-2:]
    return float(np.diff(amounts[order])[0] / np.diff(sizes[order])[0])


def write_report(table: pl.DataFrame, page: Path, picture: Path | None) -> None:
    """Write the page and, if asked for, the picture."""
    parts = {work: table.filter(pl.col("work") == work).sort("size") for work in NAMES}
    parts = {work: rows for work, rows in parts.items() if rows.height}
    lines = [
        f"# Time and memory by size, {date.today()}",
        "",
        f"Commits {', '.join(table['commit'].unique().sort())}; {processor()}, {table['cores'][0]} cores, "
        "shared with other work, so CPU seconds count and seconds by the clock do not. Memory is that of all "
        "processes of a command at its peak, pages of files not counted.",
        "",
        "| work | size | CPU s | size/s/core | peak, GiB | output, GiB | s by the clock |",
        "|---|---|---|---|---|---|---|",
        *(_line(row) for rows in parts.values() for row in rows.iter_rows(named=True)),
        "",
        "| work | slope of log CPU s on log size, all sizes | the two largest | CPU s per million more |",
        "|---|---|---|---|",
        *(_slopes(work, rows) for work, rows in parts.items() if rows.height > 1),
        "",
        "## On paper",
        "What larger cohorts would take, from the CPU seconds and bytes that one more row or person took "
        "between the two largest sizes.",
        "",
        "| cohort | work | core-hours | output |",
        "|---|---|---|---|",
        *(line for cohort in COHORTS for line in _costs(parts, *cohort)),
        "",
    ]
    page.write_text("\n".join(lines))
    if picture:
        _draw(parts, picture)


def _line(row: dict) -> str:
    rate = row["size"] / row["cpu_seconds"]
    return (
        f"| {NAMES[row['work']]} | {row['size']:,} {row['unit']} | {row['cpu_seconds']:.1f} | {rate:,.0f} "
        f"| {row['peak_gib']:.2f} | {row['output_gib']:.3f} | {row['seconds']:.0f} |"
    )


def _slopes(work: str, rows: pl.DataFrame) -> str:
    sizes, seconds = rows["size"].to_numpy().astype(float), rows["cpu_seconds"].to_numpy()
    last = slope(sizes[-2:], seconds[-2:])
    more = 1e6 * marginal(sizes, seconds)
    return f"| {NAMES[work]} | {slope(sizes, seconds):.2f} | {last:.2f} | {more:,.1f} |"


def _costs(parts: dict[str, pl.DataFrame], cohort: str, people: float, events: float) -> list[str]:
    found = []
    for work in ("ehr", "tokens", "forecast"):
        if work not in parts or parts[work].height < 2:
            continue
        rows, size = parts[work], people if work == "forecast" else events
        sizes = rows["size"].to_numpy().astype(float)
        hours = size * marginal(sizes, rows["cpu_seconds"].to_numpy()) / HOUR
        gib = size * marginal(sizes, rows["output_gib"].to_numpy())
        written = f"{gib / 1024:,.1f} TiB" if gib > 1024 else f"{gib:,.1f} GiB"
        found.append(f"| {cohort} ({size:,.0f}) | {NAMES[work]} | {hours:,.1f} | {written} |")
    return found


def processor() -> str:
    """Name of this machine's."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _draw(parts: dict[str, pl.DataFrame], picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for work, rows in parts.items():
        label = f"{NAMES[work]} ({rows['unit'][0]})"
        left.loglog(rows["size"], rows["cpu_seconds"], "o-", label=label, markersize=4)
        right.semilogx(rows["size"], rows["peak_gib"], "o-", markersize=4)
    left.set(xlabel="rows or people", ylabel="CPU seconds")
    right.set(xlabel="rows or people", ylabel="peak memory of all processes, GiB", ylim=(0, 4.3))
    right.axhline(4, color="grey", linewidth=0.8, linestyle="--")
    left.legend(fontsize=7)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
