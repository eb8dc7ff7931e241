"""Scores developed in the people judged: what they seem to add, what they add, and what is left without them.

    python experiments/own_cohort.py OUT --size small --seeds 0

In the people of a biobank, held-out ones too, ridge regression of the onsets of each outcome within 10
years (who left before counts as without) on VARIANTS variants drawn at random, components of ancestry
regressed out, gives a score, as of a study whose sample is the cohort itself. A model reads these scores
beside the biobank's own, which come from other people. Its gain over EHR+PCs is given as seen, which is what
an unaware analyst would report, and in expectation over the true risks, beside that of EHR+PCs+PGS.
`proband genome --own-cohort` marks the scores and `--leave-out own` takes them out; the folder that is left
is checked to hold the biobank's scores, so that EHR+PCs+PGS is the sensitivity analysis. OUT/SIZE gets
own_cohort.csv and own_cohort.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from biobank import EHR_PCS, ORACLE, SIZES, Biobank, arguments, with_scores
from expected_auroc import ExpectedAreas
from jaxtyping import Bool, Float64
from onset_panel import WITH_PGS, panel, read_paired
from replicates import Areas, labelled, write

import proband.genome
from proband.core.seeds import generator
from proband.ehr.labels import labels
from proband.ehr.outcomes import load_task
from proband.evaluate.config import NONE
from proband.evaluate.panel.gain import PairedRisks
from proband.genome import AncestryConfig, AncestryInputs, GenomeConfig

Mask = Bool[np.ndarray, " subjects"]
SEEDS = (0,)
HORIZON = 10.0
VARIANTS = 2000
MINE, THEIRS = "BIOBANK", "DISCOVERY"
TRUE, OWN = WITH_PGS[0], with_scores("PGS of own cohort", "own")
MODELS = (EHR_PCS, TRUE, OWN)


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__, SEEDS).parse_args()
    size = SIZES[given.size]
    paired = {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, size, seed)
        check_left(bank, own_scores(bank))
        paired[seed] = compared(bank)
        print(f"own_cohort: seed {seed} done", flush=True)
    names = [*(model.name for model in MODELS), ORACLE]
    chosen = panel(list(paired.values()), size.least_cases, names)
    kinds = {"seen": Areas, "expected over true risks": ExpectedAreas}
    rows = []
    for kind, areas in kinds.items():
        of_seed = {seed: areas(one) for seed, one in paired.items()}
        for model in (TRUE, OWN):
            found = {seed: one.gain(chosen, model.name, EHR_PCS.name) for seed, one in of_seed.items()}
            rows += labelled(found, model=model.name, gain=kind, num_outcomes=len(chosen))
    seeds = " ".join(map(str, given.seeds))
    table = {"AUROC less EHR+PCs, mean of outcomes": pl.DataFrame(rows)}
    write(given.out / size.name, "own_cohort", table, f"{size.name}, seeds {seeds}")


def compared(bank: Biobank) -> PairedRisks:
    """Risks of the three models and the oracle for the same people."""
    risks = [bank.risks(model) for model in MODELS]
    return read_paired(bank, bank.evaluated("own_cohort", risks, [NONE]), risks, HORIZON)


def own_scores(bank: Biobank) -> Path:
    """The genome folder of the biobank's scores and of those of its own people; made once."""
    folder, cohorts = bank.folder / "own_scorefiles", bank.folder / "own_cohorts.csv"
    if not cohorts.is_file():
        cohorts.write_text("\n".join(["pgs_id,cohorts", *write_scorefiles(bank, folder)]) + "\n")
    out = bank.folder / OWN.scores
    ancestry = AncestryConfig(adjust=("Z_norm2",), relatives="none")
    reference = bank.folder / "biobank" / "reference"
    proband.genome.genome(
        bank.folder / "biobank" / "genotypes", folder, out, development=cohorts,
        config=GenomeConfig(ancestry=ancestry, own_cohort=(MINE,)),
        ancestry_inputs=AncestryInputs(reference=reference, splits=bank.meds),
    )  # fmt: skip
    return out


def write_scorefiles(bank: Biobank, folder: Path) -> list[str]:
    """The biobank's scoring files and one more for each outcome; returns lines of score and cohort."""
    folder.mkdir(exist_ok=True)
    theirs = sorted((bank.folder / "biobank" / "scorefiles").iterdir())
    for path in theirs:
        if not (folder / path.name).exists():
            os.link(path, folder / path.name)
    names, calls, subjects = drawn_variants(bank)
    pcs = pl.read_parquet(bank.genome / "pcs.parquet")
    joined = subjects.to_frame("subject_id").join(pcs, on="subject_id", maintain_order="left")
    components = joined.drop("subject_id").to_numpy()
    lines = [f"{path.name.split('_')[0]},{THEIRS}" for path in theirs]
    for outcome, case, known in onsets(bank, subjects):
        effects = ridge_effects(calls[known], case[known], components[known])
        write_scorefile(folder / f"OWN_{outcome}.txt", outcome, names, effects)
        lines.append(f"OWN_{outcome},{MINE}")
    return lines


def drawn_variants(bank: Biobank) -> tuple[list[str], Float64[np.ndarray, "subjects variants"], pl.Series]:
    """Names, dosages (the mean where missing) and subjects of variants drawn at random."""
    source = bank.folder / "biobank"
    sites = pl.concat(
        pl.read_csv(path, separator="\t", schema_overrides={"#CHROM": pl.String})
        for path in sorted((source / "genotypes").glob("*.pvar"))
    )
    drawn = generator(bank.seed, "own cohort").permutation(sites.height)[:VARIANTS]
    listed = bank.folder / "own_variants.txt"
    listed.write_text("\n".join(sites["ID"].gather(np.sort(drawn))) + "\n")
    first = sorted((source / "scorefiles").iterdir())[0]
    out = bank.folder / "own_dosages"
    proband.genome.genome(source / "genotypes", first, out, variants=listed)
    dosages = pl.read_parquet(out / "dosages.parquet")
    names = [name for name in dosages.columns if name != "subject_id"]
    calls = dosages.select(names).to_numpy().astype(np.float64)
    return names, np.where(np.isnan(calls), np.nanmean(calls, axis=0), calls), dosages["subject_id"]


def onsets(bank: Biobank, subjects: pl.Series) -> Iterator[tuple[str, Mask, Mask]]:
    """Each outcome, who of the subjects had its onset within the horizon, and who was at risk."""
    found = labels(bank.meds, load_task(bank.task))
    is_case = (pl.col("event") == 1) & (pl.col("time_years") <= HORIZON)
    for (outcome,), rows in found.sort("outcome").group_by("outcome", maintain_order=True):
        mine = rows.select("subject_id", is_case.alias("case"))
        asked = subjects.to_frame("subject_id").join(mine, on="subject_id", how="left", maintain_order="left")
        yield str(outcome), asked["case"].fill_null(False).to_numpy(), asked["case"].is_not_null().to_numpy()


def ridge_effects(
    calls: Float64[np.ndarray, "n variants"],
    case: Bool[np.ndarray, " n"],
    components: Float64[np.ndarray, "n pcs"],
) -> Float64[np.ndarray, " variants"]:
    """Effects per allele by ridge regression with components regressed out of trait and dosages.

    The penalty is that of a trait of heritability 0.5 whose effects are spread over all variants.
    """
    known = np.column_stack([np.ones(len(case)), components])
    basis, _ = np.linalg.qr(known)
    dosages, trait = (values - basis @ (basis.T @ values) for values in (calls, case.astype(float)))
    deviation = dosages.std(axis=0)
    varies = deviation > 1e-6
    scaled = dosages[:, varies] / deviation[varies]
    penalty = scaled.shape[1] * np.identity(scaled.shape[1])
    effects = np.zeros(calls.shape[1])
    effects[varies] = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ trait) / deviation[varies]
    return effects


def write_scorefile(path: Path, trait: str, names: list[str], effects: np.ndarray) -> None:
    """A scoring file of variants called chrom:pos:ref:alt."""
    lines = [f"#pgs_id={path.stem}", f"#trait_reported={trait.replace('_', ' ')}", "#genome_build=GRCh38"]
    lines.append("chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight")
    for name, effect in zip(names, effects, strict=True):
        chrom, position, ref, alt = name.split(":")
        lines.append(f"{chrom}\t{position}\t{alt}\t{ref}\t{effect:.8g}")
    path.write_text("\n".join(lines) + "\n")


def check_left(bank: Biobank, own: Path) -> None:
    """Leave out the scores of the own cohort: those of the biobank are left, as they were.

    Raises:
        RuntimeError: Others are left, or other values.
    """
    out = bank.folder / "not_own"
    proband.genome.genome_from_genome(own, out, leave_out="own")
    left, before = (pl.read_parquet(folder / "scores.parquet") for folder in (out, bank.genome))
    names = [name for name in before.columns if name != "subject_id"]
    values, expected = (frame.select(names).to_numpy() for frame in (left, before))
    close = np.abs(values - expected) <= 1e-4 * expected.std(axis=0)
    if left.columns != before.columns or not close.all():
        raise RuntimeError(f"{out} does not hold the scores of {bank.genome}")


if __name__ == "__main__":
    main()
