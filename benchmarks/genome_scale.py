"""How the cost of scoring genomes grows with people and with weights, and what a biobank would take.

    python benchmarks/genome_scale.py OUT [--quick] [--report benchmarks/results/DATE_genome_scale.md]

``proband genome`` as a command of its own, on every pair of some numbers of simulated people and of scoring
files' rows (independent variants in .pgen, score sizes log-uniform); CPU seconds and memory of all its
processes go to OUT/genome_scale.csv, a line as soon as it ends, and what stands there is not measured again.
The cost model is CPU seconds = start + genotypes + rows of scoring files + people times rows, each with a
coefficient that is 0 or more, fitted by least squares of relative errors. The report has the lines, their
slopes (log CPU seconds on log size), and what UK Biobank's size would take by the model.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from polygenic_scoring import Sizes, simulate_genotypes, simulate_weights, write_scoring_files
from processes import measure
from scale import GIB, commit
from scalereport import HOUR, processor, slope
from scipy.optimize import nnls

from proband.core.running.engine import available_cores

PEOPLE = {True: (200, 400), False: (10_000, 30_000, 90_000)}
SCORES = {True: (10, 20), False: (150, 450, 1350)}
VARIANTS = {True: 1000, False: 20_000}
COLUMNS = ("people", "variants", "scores", "rows", "seconds", "cpu_seconds", "peak_gib", "cores", "commit")
TARGET = {"people": 500_000, "variants": 1_200_000, "rows": 1_000_000_000}
"""UK Biobank: people, variants wanted, rows of 3,481 scoring files."""
TERMS = ("start, s", "genotype, ns", "row of a scoring file, µs", "person and row, ns")
UNITS = np.array([1, 1e9, 1e6, 1e9])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="default a temporary folder")
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it runs")
    parser.add_argument("--report", type=Path, help="write this page too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        table = run(options.out or Path(temporary), options.quick)
    lines = page(table)
    print("\n".join(lines))
    if options.report:
        options.report.write_text("\n".join(lines))


def run(out: Path, quick: bool) -> pl.DataFrame:
    """Measure what is not in OUT/genome_scale.csv yet; the whole table."""
    out.mkdir(parents=True, exist_ok=True)
    book, variants = out / "genome_scale.csv", VARIANTS[quick]
    if not book.exists():
        book.write_text(",".join(COLUMNS) + "\n")
    for people in PEOPLE[quick]:
        stem = out / f"people_{people}"
        for scores in SCORES[quick]:
            if read(book).filter(people=people, scores=scores).height:
                continue
            if not stem.with_suffix(".pgen").exists():
                simulate_genotypes(stem, people, variants)
            weights = simulate_weights(Sizes(people, variants, scores, 0))
            files, to = out / "scorefiles", out / "genome"
            for folder in (files, to):
                shutil.rmtree(folder, ignore_errors=True)
            write_scoring_files(files, weights)
            words = ["genome", stem.with_suffix(".pgen"), files, to]
            use = measure([sys.executable, "-m", "proband", *map(str, words)])
            used = (f"{use.seconds:.2f}", f"{use.cpu_seconds:.2f}", f"{use.peak_bytes / GIB:.3f}")
            with book.open("a") as file:
                row = (people, variants, scores, weights.nnz, *used, available_cores(), commit())
                csv.writer(file).writerow(row)
            print(f"{people:,} people, {weights.nnz:,} rows: {use.cpu_seconds:.1f} CPU s", flush=True)
        for path in out.glob(f"{stem.name}.*"):
            path.unlink()
    return read(book)


def read(book: Path) -> pl.DataFrame:
    """The lines measured so far."""
    whole = ("people", "variants", "scores", "rows", "cores")
    return pl.read_csv(book, schema_overrides=dict.fromkeys(whole, pl.Int64))


def terms(table: pl.DataFrame) -> np.ndarray:
    """What the cost is linear in, a column each: 1, genotypes, rows, people times rows."""
    people, variants, rows = (table[name].to_numpy().astype(float) for name in TARGET)
    return np.stack([np.ones_like(people), people * variants, rows, people * rows], axis=1)


def coefficients(table: pl.DataFrame) -> np.ndarray:
    """CPU seconds per unit of each term, 0 or more."""
    design, seconds = terms(table), table["cpu_seconds"].to_numpy()
    largest = design.max(axis=0)
    found, _ = nnls(design / largest / seconds[:, None], np.ones(len(seconds)))
    return found / largest


def page(table: pl.DataFrame) -> list[str]:
    """Lines of the report."""
    cost = coefficients(table)
    modelled = terms(table) @ cost
    commits = ", ".join(table["commit"].unique().sort())
    lines = [
        f"# Cost of scoring by people and weights, {date.today()}",
        "",
        f"Commits {commits}; {processor()}, {table['cores'][0]} cores. Memory is that of all processes at "
        "its peak, pages of files not counted.",
        "",
        "| people | variants | scores | rows of files | CPU s | by the model | peak, GiB | s by the clock |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, seconds in zip(table.iter_rows(named=True), modelled, strict=True):
        sizes = " | ".join(f"{row[name]:,}" for name in ("people", "variants", "scores", "rows"))
        used = f"{row['cpu_seconds']:.1f} | {seconds:.1f} | {row['peak_gib']:.2f} | {row['seconds']:.0f}"
        lines.append(f"| {sizes} | {used} |")
    by_people, by_rows = (
        slope(*(largest[name].to_numpy().astype(float) for name in (size, "cpu_seconds")))
        for size, largest in (
            ("people", table.filter(scores=table["scores"].max())),
            ("rows", table.filter(people=table["people"].max())),
        )
    )
    target = terms(pl.DataFrame([TARGET]))[0] * cost / HOUR
    costs = ", ".join(f"{name}: {value:.3g}" for name, value in zip(TERMS, cost * UNITS, strict=True))
    each = ", ".join(f"{name.split(',')[0]} {value:.2f}" for name, value in zip(TERMS, target, strict=True))
    error = np.abs(modelled / table["cpu_seconds"].to_numpy() - 1).max()
    return [
        *lines,
        "",
        f"Slope by people, at the most scores: {by_people:.2f}; by rows, at the most people: {by_rows:.2f}.",
        "",
        f"The cost model, CPU time each: {costs}. Largest relative error {error:.0%}.",
        "",
        f"By the model, {TARGET['people']:,} people, {TARGET['variants']:,} variants and "
        f"{TARGET['rows']:,} rows take {target.sum():.1f} core-hours ({each}).",
        "",
    ]


if __name__ == "__main__":
    main()
