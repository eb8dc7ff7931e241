"""How time and memory grow with data: records to tokens, risks in closed form, a synthetic biobank.

    python benchmarks/scale.py OUT [--size quick|some|full] [--demo FOLDER] [--peer BIN] [--part records ...]
    python benchmarks/scale.py OUT --report benchmarks/results/DATE_scale.md --picture docs/scale.png

records: OMOP tables of a synthetic biobank, their rows again under new subject ids, by ``proband ehr``
and ``proband tokens``, the latter once more with the vocabulary that it fitted; with --peer also by
meds-torch-data on MEDS_transforms, which makes tensors from the same MEDS folder with a worker per core
(``pip install 'meds-torch-data[joblib]'`` into an environment of its own, BIN its folder of programs).
risks: ``proband forecast`` with a model on records and scores of a finished ``proband demo`` (--demo),
for its held-out subjects again and again. synth: ``proband synth --preset demo``. Each is a command of
its own; seconds, CPU seconds and memory of all its processes go to OUT/scale.csv, a line as soon as it
ends, and what stands there is not measured again. The report gives slopes (log CPU seconds on log size)
and what two larger cohorts would cost.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from processes import Use, measure
from replicas import replicate_omop, replicate_scores, replicate_tokens

from proband.core.running.engine import available_cores

BASE_SUBJECTS = {"quick": 200, "some": 3500, "full": 35_000}
"""Subjects of the biobank whose rows are repeated; a subject has some 270 rows."""
COPIES = {"quick": (1, 2), "some": (1, 3, 10, 32), "full": (1, 5, 20)}
PEOPLE = {"quick": (200, 400), "some": (10_000, 30_000), "full": (10_000, 30_000, 100_000)}
SUBJECTS = {"quick": (100, 200), "some": (10_000, 30_000), "full": (10_000, 30_000, 100_000)}
COLUMNS = ("work", "size", "unit", "seconds", "cpu_seconds", "peak_gib", "output_gib", "cores", "commit")
PARTS = ("records", "risks", "synth")
GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="default a temporary folder")
    parser.add_argument("--size", choices=tuple(COPIES), default="some")
    parser.add_argument("--quick", action="store_true", help="the same as --size quick")
    parser.add_argument("--demo", type=Path, help="a finished proband demo, for risks")
    parser.add_argument(
        "--peer", type=Path, help="programs of an environment with meds-torch-data, for records"
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="default all")
    parser.add_argument("--report", type=Path, help="write this page from OUT/scale.csv, measure nothing")
    parser.add_argument("--picture", type=Path, help="with --report, draw the curves")
    options = parser.parse_args()
    if options.report:
        from scalereport import write_report

        write_report(pl.read_csv(options.out / "scale.csv"), options.report, options.picture)
        return
    size = "quick" if options.quick else options.size
    with tempfile.TemporaryDirectory() as temporary:
        run(options.out or Path(temporary), options.part or PARTS, size, options.demo, options.peer)


def run(out: Path, parts: Sequence[str], size: str, demo: Path | None, peer: Path | None = None) -> None:
    """Measure what is not in OUT/scale.csv yet."""
    out.mkdir(parents=True, exist_ok=True)
    book = Book(out / "scale.csv")
    for part in parts:
        if part == "records":
            records(out, size, book, peer)
        elif part == "synth":
            for number in SUBJECTS[size]:
                biobank(out / f"biobank_{number}", number, book, keep=False)
        elif demo:
            risks(out, demo, PEOPLE[size], book)
        else:
            print("risks: not measured, which needs --demo FOLDER")


class Book:
    """The table of what was measured."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_text(",".join(COLUMNS) + "\n")

    def has(self, work: str, size: int) -> bool:
        """Whether a line is there."""
        with self.path.open() as file:
            return any((row["work"], row["size"]) == (work, str(size)) for row in csv.DictReader(file))

    def add(self, work: str, size: int, unit: str, use: Use, output: Path) -> None:
        """Add a line and print it."""
        written = sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / GIB
        cpu, peak = use.cpu_seconds, use.peak_bytes / GIB
        row = (work, size, unit, f"{use.seconds:.2f}", f"{cpu:.2f}", f"{peak:.3f}", f"{written:.4f}")
        with self.path.open("a") as file:
            file.write(",".join(map(str, (*row, available_cores(), commit()))) + "\n")
        print(f"{work}, {size:,} {unit}: {use.seconds:.1f} s, {cpu:.1f} CPU s, {peak:.2f} GiB", flush=True)


def records(out: Path, size: str, book: Book, peer: Path | None) -> None:
    """OMOP -> MEDS -> tokens, and what a peer makes of the MEDS folder."""
    base = BASE_SUBJECTS[size]
    source = out / f"biobank_{base}"
    biobank(source, base, book, keep=True)
    for copies in COPIES[size]:
        folder = out / f"records_{copies}"
        rows = _people_rows(source / "omop") * copies
        works = ("ehr", "tokens", "tokenise", *(["peer"] if peer else []))
        if all(book.has(work, rows) for work in works):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        assert replicate_omop(source / "omop", folder / "omop", copies) == rows
        for stage, read in (("ehr", "omop"), ("tokens", "meds")):
            to = folder / {"ehr": "meds", "tokens": "tokens"}[stage]
            use = measure(_proband(stage, str(folder / read), str(to)))
            if not book.has(stage, rows):
                book.add(stage, rows, "rows", use, to)
        if not book.has("tokenise", rows):
            known = ("--vocabulary", str(folder / "tokens"))
            use = measure(_proband("tokens", str(folder / "meds"), str(folder / "again"), *known))
            book.add("tokenise", rows, "rows", use, folder / "again")
        if peer and not book.has("peer", rows):
            book.add("peer", rows, "rows", _peer(peer, folder), folder / "tensors")
        shutil.rmtree(folder)


def _peer(peer: Path, folder: Path) -> Use:
    """Statistics of codes and values, vocabulary, normalised values, tokens and tensors of a MEDS folder."""
    runner = folder / "runner.yaml"
    runner.write_text(f"parallelize: {{n_workers: {available_cores()}, launcher: joblib}}\n")
    places = [f"MEDS_dataset_dir={folder / 'meds'}", f"output_dir={folder / 'tensors'}"]
    command = [str(peer.absolute() / "MTD_preprocess"), *places, f"stage_runner_fp={runner.absolute()}"]
    return measure(command, {"PATH": f"{peer.absolute()}{os.pathsep}{os.environ['PATH']}"})


def risks(out: Path, demo: Path, numbers: tuple[int, ...], book: Book) -> None:
    """Risks of all outcomes of the demo's task at its horizons."""
    held_out = pl.scan_parquet(demo / "tokens" / "subjects.parquet").filter(pl.col("split") == "held_out")
    num_held_out = held_out.select(pl.len()).collect().item()
    for number in numbers:
        folder = out / f"people_{number}"
        if book.has("forecast", number):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        replicate_tokens(demo / "tokens", folder / "tokens", number, "held_out")
        replicate_scores(demo / "genome", folder / "genome", -(-number // num_held_out))
        places = [demo / "model_ehr_pgs", folder / "tokens", folder / "risk"]
        more = ["--task", str(demo / "biobank" / "task.yaml"), "--genome", str(folder / "genome")]
        use = measure(_proband("forecast", *map(str, places), *more))
        book.add("forecast", number, "people", use, folder / "risk")
        shutil.rmtree(folder)


def biobank(out: Path, number: int, book: Book, *, keep: bool) -> None:
    """A synthetic biobank of the demo's kind."""
    if book.has("synth", number) and (out.exists() or not keep):
        return
    shutil.rmtree(out, ignore_errors=True)
    use = measure(_proband("synth", str(out), "--preset", "demo", "--subjects", str(number)))
    if not book.has("synth", number):
        book.add("synth", number, "people", use, out)
    if not keep:
        shutil.rmtree(out)


def _people_rows(omop: Path) -> int:
    tables = [pl.scan_parquet(path) for path in omop.glob("*.parquet")]
    of_people = [table for table in tables if "person_id" in table.collect_schema().names()]
    return sum(table.select(pl.len()).collect().item() for table in of_people)


def _proband(*words: str) -> list[str]:
    return [sys.executable, "-m", "proband", *words]


def commit() -> str:
    """Of this folder, with a mark where files differ from it."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
