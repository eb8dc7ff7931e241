"""Scenarios against the truth: a genome exchanged, a treatment begun, in the model and in the law of lives.

    python experiments/twin_against_truth.py OUT --size small --seeds 0 1 2
    python experiments/twin_against_truth.py OUT --demo DEMO --model MODEL

On the synthetic biobank each changed life is lived on by its true law, from the same latent state and with
the same random stream as the unchanged one. The difference in risk by the last horizon is the causal effect;
beside it stands the difference that the model gives for the same change, of genotyped held-out subjects. The
model is EHR+PCs+PGS of the biobank of a size and seed, or MODEL of a folder of `proband demo`. OUT/SIZE (OUT
with --demo) gets twin_against_truth.md and a .csv per table, in percentage points. One thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from biobank import SIZES, Biobank, arguments
from controls import TRUE
from replicates import write

from proband.core.errors import ConfigError
from proband.core.options import pairs

TREATMENTS = ["metformin=RxNorm//860975", "lisinopril=RxNorm//314076"]


def agreement(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """By change and seed: outcomes of the same sign, outcomes that agree, and the slope of the truth.

    The slope, through 0, is of the true mean differences on the model's: 1 where the model's have the true
    size, near 0 where they are noise, above 1 where they are too small; empty where all are 0.
    """
    rows = []
    for change, table in tables.items():
        for (seed,), own in table.group_by("seed", maintain_order=True):
            model, truth = own["model"].to_numpy(), own["truth"].to_numpy()
            rows.append(
                {
                    "change": change,
                    "seed": seed,
                    "outcomes": own.height,
                    "same_sign": int((model * truth > 0).sum()),
                    "agree": int(own["agrees"].sum()),
                    "slope_of_truth": float(model @ truth / (model @ model)) if model.any() else None,
                }
            )
    return pl.DataFrame(rows)


def in_points(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The table with its seed, shares as percentage points."""
    points = [pl.col(name) * 100 for name, kind in table.schema.items() if kind == pl.Float64]
    return table.with_columns(*points).select(pl.lit(str(seed)).alias("seed"), pl.all())


def compared(
    folder: Path, model: Path, files: dict[str, Path], seed: int, given: argparse.Namespace
) -> dict[str, pl.DataFrame]:
    """A table per change."""
    from twin_worlds import genome_table, open_world, treatment_table

    treatments = pairs("--treatment", "NAME=CODE", given.treatment)
    world = open_world(folder, model, files, given.replicates, seed, given.subjects)
    found = {"Genome exchanged": genome_table(world, folder / "biobank")}
    for name, code in treatments.items():
        if code in world.given.store.vocabulary.index:
            found[f"{name.capitalize()} begun"] = treatment_table(world, name, code)
    return {name: in_points(table, world.seed) for name, table in found.items()}


def main() -> None:
    """Run all comparisons."""
    parser = arguments(__doc__)
    parser.add_argument("--demo", type=Path, help="a folder of proband demo, instead of a size")
    parser.add_argument("--model", type=Path, help="its model")
    parser.add_argument("--treatment", nargs="+", default=TREATMENTS, help="NAME=CODE")
    parser.add_argument("--replicates", type=int, default=100, help="futures of a life")
    parser.add_argument("--subjects", type=int, default=100_000, help="at most")
    given = parser.parse_args()
    from proband.forecast.job import one_thread

    parts: list[dict[str, pl.DataFrame]] = []
    for seed in given.seeds if given.demo is None else given.seeds[:1]:
        with one_thread():
            parts.append(compared(*_asked(given, seed), seed, given))
        print(f"twin_against_truth: seed {seed} done", flush=True)
    names = list(dict.fromkeys(name for part in parts for name in part))
    tables = {name: pl.concat([part[name] for part in parts if name in part]) for name in names}
    out, size = (given.out, "of the demo") if given.demo else (given.out / given.size, given.size)
    write(out, "twin_against_truth", {"Agreement": agreement(tables)} | tables, size)


def _asked(given: argparse.Namespace, seed: int) -> tuple[Path, Path, dict[str, Path]]:
    """Folder of a biobank, its model, and the modalities that it reads."""
    from proband.tokens.modalities.modality import modality_files

    if given.demo is not None:
        if given.model is None:
            raise ConfigError("--demo without --model", expected="a model folder of the demo")
        return given.demo, given.model, modality_files(given.demo / "genome")
    bank = Biobank.made(given.out, SIZES[given.size], seed)
    asked = bank.modalities(TRUE)
    return bank.folder, bank.model(TRUE), modality_files(asked["genome"], asked["modalities"])


if __name__ == "__main__":
    main()
