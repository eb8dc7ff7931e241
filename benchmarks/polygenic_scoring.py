"""CPU time, memory and accuracy of scoring, beside plink2 ``--score`` on the same data in the same run.

    python benchmarks/polygenic_scoring.py [--quick] [--plink2 PATH] [--plink2-libraries FOLDER]

5,000 simulated samples x 100,000 independent variants (minor allele frequency log-uniform from 1%, 0.5% of
calls missing); 3,481 scores of log-uniform sizes from 50 to all variants, and 200 of them. Every measurement
is a process of its own on one thread, and counts all its CPU time, start and imports included. plink2 takes
the text table it wants; its speed is that of its BLAS, so the libraries it loads are named (Debian's plink2
with the reference BLAS is ten times slower than with OpenBLAS: install libopenblas0, or name a folder of
libraries). Needs 5 GB of disk and some 10 minutes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
from scipy import sparse
from threadpoolctl import threadpool_limits

from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.matching.weights import ADDITIVE, Weights
from proband.genome.scoring.product import TILE_SAMPLES, add_product, centred, group_scores
from proband.genome.scoring.score import score_samples, write_scores

SEED = 0
LEAST_FREQUENCY, MISSING_RATE = 0.01, 0.005
LEAST_SIZE, NUM_SCORES, NUM_FEW_SCORES = 50, 3481, 200
NUM_CHROMOSOMES = 22
CHECKED_SAMPLES = 100
SMALL_MEMORY_MB = 160
# Most CPU time as a share of plink2's on .bed; the other limits.
LIMITS = {
    "matrix_over_plink2": 0.25,
    "text_to_parquet_over_plink2": 0.5,
    "few_scores_over_plink2": 0.7,
    "pgen_over_bed": 1.15,
    "one_thread_over_two": 1.7,
    "peak_mb": 2048,
    "doubled_peak_over_peak": 1.1,
    "largest_difference_in_sd": 1e-4,
}
LEAST = {"one_thread_over_two"}


@dataclass(frozen=True)
class Sizes:
    """How much is simulated."""

    num_samples: int
    num_variants: int
    num_scores: int
    num_few: int


@dataclass(frozen=True)
class Measured:
    """What a process took."""

    cpu: float
    wall: float
    peak_mb: float


def run(command: list[str], **environment: str) -> Measured:
    """Run a process on one thread and measure it and its children."""
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")} | {"POLARS_MAX_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | one | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.stdout.read().decode() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}\n{output}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", output)
    wall = time.perf_counter() - started
    return Measured(used.ru_utime + used.ru_stime, wall, int(peak.group(1)) / 1024 if peak else 0.0)


def measure(task: str, folder: Path, **options: object) -> Measured:
    """Run one of the tasks below in a process of its own."""
    return run(
        [sys.executable, __file__, "--task", task, "--folder", str(folder), "--options", json.dumps(options)]
    )


def simulate_genotypes(stem: Path, num_samples: int, num_variants: int) -> None:
    """Write .pgen and .bed with their companions."""
    rng = np.random.default_rng(SEED)
    frequencies = np.exp(rng.uniform(np.log(LEAST_FREQUENCY), np.log(0.5), num_variants))
    bed_codes = np.array([3, 2, 0, 1], np.uint8)  # of 0, 1, 2 ALT alleles and missing
    writer = pgenlib.PgenWriter(
        f"{stem}.pgen".encode(), num_samples, variant_ct=num_variants, nonref_flags=False
    )
    with writer as pgen, open(f"{stem}.bed", "wb") as bed:
        bed.write(bytes([0x6C, 0x1B, 1]))
        for frequency in frequencies:
            calls = (rng.random((2, num_samples), np.float32) < frequency).sum(axis=0).astype(np.int8)
            missing = rng.random(num_samples, np.float32) < MISSING_RATE
            codes = np.zeros(-(-num_samples // 4) * 4, np.uint8)
            codes[:num_samples] = bed_codes[np.where(missing, 3, calls)]
            bed.write(
                (codes.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8))
                .sum(axis=1, dtype=np.uint8)
                .tobytes()
            )
            calls[missing] = -9
            pgen.append_biallelic(calls)
    chromosomes, positions = places(num_variants)
    table = pl.DataFrame({"#CHROM": chromosomes, "POS": positions, "ID": names(num_variants)})
    table = table.with_columns(REF=pl.lit("A"), ALT=pl.lit("G"))
    table.write_csv(f"{stem}.pvar", separator="\t")
    bim = table.select("#CHROM", "ID", pl.lit(0).alias("cm"), "POS", "ALT", "REF")
    bim.write_csv(f"{stem}.bim", separator="\t", include_header=False)
    people = pl.DataFrame({"IID": range(1, num_samples + 1)})
    people.select(pl.col("IID").alias("#IID")).write_csv(f"{stem}.psam", separator="\t")
    fam = people.select(
        pl.lit(0).alias("FID"), "IID", *(pl.lit(0).alias(name) for name in ("PAT", "MAT", "SEX"))
    )
    fam.with_columns(phenotype=pl.lit(-9)).write_csv(f"{stem}.fam", separator="\t", include_header=False)


def places(num_variants: int) -> tuple[np.ndarray, np.ndarray]:
    number = np.arange(num_variants)
    return 1 + number * NUM_CHROMOSOMES // num_variants, 1 + number


def names(num_variants: int) -> list[str]:
    return [f"v{number}" for number in range(num_variants)]


def simulate_weights(sizes: Sizes) -> sparse.csc_array:
    """Weights of six digits, variants by scores."""
    rng = np.random.default_rng(SEED + 1)
    low, high = np.log(min(LEAST_SIZE, sizes.num_variants)), np.log(sizes.num_variants)
    counts = np.exp(rng.uniform(low, high, sizes.num_scores)).astype(int)
    rows = [np.sort(rng.choice(sizes.num_variants, count, replace=False)) for count in counts]
    values = np.round(rng.normal(size=counts.sum()), 6)
    indices = np.concatenate(rows).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return sparse.csc_array((values, indices, indptr), shape=(sizes.num_variants, sizes.num_scores))


def write_weights(folder: Path, weights: sparse.csc_array) -> None:
    """The same weights as arrays, as a folder of scoring files, and as plink2's table."""
    folder.mkdir()
    by_row = weights.tocsr().astype(np.float32)
    for name in ("data", "indices", "indptr"):
        np.save(folder / f"{name}.npy", getattr(by_row, name))
    write_scoring_files(folder / "scorefiles", weights)
    by_row = weights.tocsr()
    identifiers = names(weights.shape[0])
    with open(folder / "plink2.tsv", "wb") as file:
        for first in range(0, weights.shape[0], 1000):
            block = by_row[first : first + 1000].toarray()
            table = pl.DataFrame({"ID": identifiers[first : first + 1000]}).with_columns(A1=pl.lit("G"))
            table = table.hstack(
                pl.DataFrame(block, schema=[f"PGS{score:06}" for score in range(block.shape[1])])
            )
            table.write_csv(file, separator="\t", include_header=first == 0)


def write_scoring_files(folder: Path, weights: sparse.csc_array) -> None:
    """A scoring file per column."""
    folder.mkdir()
    chromosomes, positions = places(weights.shape[0])
    for score in range(weights.shape[1]):
        chosen = slice(weights.indptr[score], weights.indptr[score + 1])
        rows = weights.indices[chosen]
        table = pl.DataFrame({"chr_name": chromosomes[rows], "chr_position": positions[rows]})
        table = table.with_columns(effect_allele=pl.lit("G"), other_allele=pl.lit("A"))
        table = table.with_columns(effect_weight=pl.Series(weights.data[chosen]))
        with open(folder / f"PGS{score:06}.txt", "wb") as file:
            file.write(f"#pgs_id=PGS{score:06}\n".encode())
            table.write_csv(file, separator="\t")


def load_weights(folder: Path) -> Weights:
    data, indices, indptr = (np.load(folder / f"{name}.npy") for name in ("data", "indices", "indptr"))
    shape = (len(indptr) - 1, int(indices.max()) + 1)
    return Weights(
        variants=np.arange(shape[0], dtype=np.uint32),
        bases=np.full(shape[0], ADDITIVE, np.int8),
        slopes=sparse.csr_array((data, indices, indptr), shape=shape),
        constants=np.zeros(shape[1]),
    )


def task_matrix(folder: Path, genotypes: str, weights: str, workers: int = 1, save: str = "") -> None:
    """All sums in memory."""
    source, slopes = open_plink(folder / genotypes), load_weights(folder / weights)
    sums = np.concatenate([part for _, part in score_samples(source, slopes, workers=workers)], axis=1)
    if save:
        np.save(folder / save, sums)


def task_parquet(folder: Path, genotypes: str, weights: str, memory_mb: int) -> None:
    """All sums to Parquet, from weights in memory."""
    source, slopes = open_plink(folder / genotypes), load_weights(folder / weights)
    columns = [f"PGS{score:06}" for score in range(slopes.slopes.shape[1])]
    subjects = pl.Series([int(name) for name in source.sample_ids])
    write_scores(source, slopes, columns, subjects, folder / "scores.parquet", memory_mb=memory_mb)


def task_text(folder: Path, genotypes: str, weights: str) -> None:
    """The whole stage, from scoring files."""
    from proband.genome import genome

    genome(folder / genotypes, folder / weights / "scorefiles", folder / "genome")


TASKS = {"matrix": task_matrix, "parquet": task_parquet, "text": task_text}


def plink2_command(plink2: str, folder: Path, weights: str) -> list[str]:
    with open(folder / weights / "plink2.tsv") as file:
        last = len(file.readline().split("\t"))
    score = [str(folder / weights / "plink2.tsv"), "1", "2", "header-read", "cols=scoresums"]
    return [
        *(plink2, "--bfile", str(folder / "calls"), "--score", *score, "--score-col-nums", f"3-{last}"),
        *("--threads", "1", "--memory", "4000", "--out", str(folder / f"plink2_{weights}")),
    ]


def libraries_of(plink2: str, libraries: str) -> str:
    """The BLAS that plink2 loads, as ldd tells; Debian's plink2 is a script before several programs."""
    programs = sorted(Path("/usr/lib/plink2").glob("plink2-avx2")) or [Path(plink2)]
    found = subprocess.run(
        ["ldd", str(programs[0])],
        env=os.environ | {"LD_LIBRARY_PATH": libraries},
        capture_output=True,
        text=True,
    )
    loaded = [line.split()[0] for line in found.stdout.splitlines() if "blas" in line]
    return " ".join(loaded) or "built in"


def largest_difference(folder: Path, weights: sparse.csc_array) -> float:
    """Between our sums and float64's over the first samples, in standard deviations of each score."""
    sums = np.load(folder / "sums.npy").astype(np.float64)
    source = open_plink(folder / "calls.bed")
    num_samples = len(source.sample_ids)
    exact = np.zeros((weights.shape[1], CHECKED_SAMPLES))
    by_row = weights.tocsr()
    for first in range(0, weights.shape[0], 2000):
        rows = np.arange(first, min(first + 2000, weights.shape[0]), dtype=np.uint32)
        calls = source.reader.read(rows, 0, num_samples).astype(np.float64)
        means = np.nanmean(np.where(calls < 0, np.nan, calls), axis=1)
        few = calls[:, :CHECKED_SAMPLES]
        exact += by_row[rows].T @ np.where(few < 0, means[:, None], few)
    difference = np.abs(sums[:, :CHECKED_SAMPLES] - exact).max(axis=1)
    return float((difference / sums.std(axis=1)).max())


def largest_difference_from_plink2(folder: Path) -> float:
    """Between our sums and plink2's six printed digits, in standard deviations of each score."""
    sums = np.load(folder / "sums.npy").astype(np.float64)
    theirs = pl.read_csv(folder / "plink2_all.sscore", separator="\t").select(pl.col("^.*_SUM$")).to_numpy().T
    return float((np.abs(sums - theirs).max(axis=1) / sums.std(axis=1)).max())


def rates() -> dict[str, float]:
    """Multiply-adds a second (in thousand millions) of the two kernels, which bound the time."""
    rng = np.random.default_rng(SEED)
    calls = rng.integers(0, 3, (2048, TILE_SAMPLES)).astype(np.int8)
    dosages = centred(calls, np.ones(2048, np.float32), np.zeros(2048, np.int8))
    found = {}
    for name, density in (("dense", 1.0), ("sparse", 0.05)):
        slopes = rng.normal(size=(2048, 256)) * (rng.random((2048, 256)) < density)
        groups = group_scores(sparse.csr_array(slopes.astype(np.float32)))
        total = np.zeros((256, TILE_SAMPLES), np.float32)
        with threadpool_limits(1):
            add_product(total, groups, dosages)
            started = time.process_time()
            for _ in range(20):
                add_product(total, groups, dosages)
        count = 20 * np.count_nonzero(slopes) * TILE_SAMPLES
        found[f"{name}_gmac_per_s"] = round(count / (time.process_time() - started) / 1e9, 1)
    return found


def measure_all(folder: Path, sizes: Sizes, plink2: str | None, libraries: str) -> dict[str, float]:
    simulate_genotypes(folder / "calls", sizes.num_samples, sizes.num_variants)
    for number, factor in (("one", 1), ("two", 2)):
        simulate_genotypes(folder / number, factor * sizes.num_samples, sizes.num_variants // 20)
    weights = simulate_weights(sizes)
    write_weights(folder / "all", weights)
    write_weights(
        folder / "few", weights[:, :: sizes.num_scores // sizes.num_few][:, : sizes.num_few].tocsc()
    )
    write_weights(folder / "part", weights[: sizes.num_variants // 20].tocsc())
    measure(
        "matrix", folder, genotypes="calls.bed", weights="all", save="sums.npy"
    )  # warms the file cache, too
    found: dict[str, float] = {}
    if plink2:
        for name in ("all", "few"):
            anchor = run(plink2_command(plink2, folder, name), LD_LIBRARY_PATH=libraries)
            found[f"plink2_{name}_cpu_s"] = anchor.cpu
        found["largest_difference_from_plink2_in_sd"] = largest_difference_from_plink2(folder)
    bed = measure("matrix", folder, genotypes="calls.bed", weights="all")
    pgen = measure("matrix", folder, genotypes="calls.pgen", weights="all")
    two = measure("matrix", folder, genotypes="calls.bed", weights="all", workers=2)
    few = measure("matrix", folder, genotypes="calls.bed", weights="few")
    text = measure("text", folder, genotypes="calls.bed", weights="all")
    found |= {
        f"{name}_cpu_s": taken.cpu
        for name, taken in (("bed", bed), ("pgen", pgen), ("text", text), ("few", few))
    }
    found |= {"bed_wall_s": bed.wall, "two_threads_wall_s": two.wall, "matrix_peak_mb": bed.peak_mb}
    found |= {"pgen_over_bed": pgen.cpu / bed.cpu, "one_thread_over_two": bed.wall / two.wall}
    found["peak_mb"] = max(taken.peak_mb for taken in (bed, pgen, two, few, text))
    one, doubled = (
        measure("parquet", folder, genotypes=f"{name}.bed", weights="part", memory_mb=SMALL_MEMORY_MB).peak_mb
        for name in ("one", "two")
    )
    found |= {"small_peak_mb": one, "doubled_peak_over_peak": doubled / one}
    found["largest_difference_in_sd"] = largest_difference(folder, weights)
    if plink2:
        found["matrix_over_plink2"] = bed.cpu / found["plink2_all_cpu_s"]
        found["text_to_parquet_over_plink2"] = text.cpu / found["plink2_all_cpu_s"]
        found["few_scores_over_plink2"] = few.cpu / found["plink2_few_cpu_s"]
    return found | rates()


def report(found: dict[str, float], judge: bool) -> None:
    for name, value in found.items():
        limit = LIMITS.get(name) if judge else None
        holds = limit is None or (value >= limit if name in LEAST else value <= limit)
        bound = (
            ""
            if limit is None
            else f"   {'at least' if name in LEAST else 'at most'} {limit:g}: {'yes' if holds else 'NO'}"
        )
        print(f"{name:40}{value:12.4g}{bound}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Small sizes, to see that it runs: no ratios.")
    parser.add_argument(
        "--plink2", default=shutil.which("plink2"), help="The program; default the one found."
    )
    parser.add_argument(
        "--plink2-libraries", default="", help="Folders with the BLAS that plink2 is to load."
    )
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="Where to put the data; default a temporary folder.")
    parser.add_argument("--options", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        TASKS[options.task](options.folder, **json.loads(options.options))
        print(
            Path("/proc/self/status").read_text()
        )  # rusage's peak is that of the process that forked, if larger
        return
    sizes = Sizes(500, 5000, 200, 50) if options.quick else Sizes(5000, 100_000, NUM_SCORES, NUM_FEW_SCORES)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure_all(Path(folder), sizes, options.plink2, options.plink2_libraries)
    report(found, judge=not options.quick)
    blas = libraries_of(options.plink2, options.plink2_libraries) if options.plink2 else "no plink2 found"
    print(f"plink2's BLAS: {blas}; load {load:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end")
    rounded = {name: float(f"{value:.4g}") for name, value in found.items()}
    print(json.dumps({"sizes": vars(sizes), "blas": blas, "load": round(load, 1), **rounded}))


if __name__ == "__main__":
    main()
