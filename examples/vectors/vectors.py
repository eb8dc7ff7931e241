"""A vector per person, such as an image's embedding, from a file to the prediction: does it help?

    python examples/vectors/vectors.py OUT

Makes a synthetic biobank, and for those of its people who came to an imaging visit two vectors of 64 numbers:
`image`, a random projection of their true liabilities to four diseases and of factors that cause none, with
noise; and `noise`, which must not help. Then runs proband's commands, with each vector and with none, and
prints what each adds to AUROC on held-out people, with 95% intervals over resampled people. A second call
goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.seeds import generator
from proband.ehr.outcomes import load_task, save_task
from proband.evaluate.panel.gain import Gain, PairedRisks

DISEASES = ("glaucoma", "type_2_diabetes", "coronary_artery_disease", "hypertension")
"""What a photograph of the retina is known to tell of."""
WIDTH = 64
NUM_IRRELEVANT = 8
"""Further factors in the image, of no disease: eyes differ in much else."""
NOISE_SD = 0.5
"""Of each number of the image, whose factors give it a standard deviation of 1."""
SHARE_IMAGED = 0.8
"""Of the people; all others have no row."""
YEARS = (0.0, 1.0)
"""Of the imaging visit, after entry: before the task's prediction times, two years after entry."""
SPLITS = ("0.55", "0.1", "0.35")
"""Of train, tuning and held-out people."""
HORIZON_YEARS = 10.0
RESAMPLES = 200
ALONE, WITH = "EHR", {"EHR+image": "image", "EHR+noise": "noise"}
TRAINING = "--depth 1 --dim 32 --num-heads 2 --context 128 --epochs 0.1 --onset-queries 12 --onset-epochs 0.2"
"""A small trunk, hardly trained: onset hazards read the vector by terms of their own."""


def main() -> None:
    """Run, or go on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("--subjects", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for command in records(given.out, given.subjects, given.seed):
        run(command)
    write_vectors(given.out, given.seed)
    for command in predictions(given.out, given.seed):
        run(command)
    print(table(gains(given.out, given.seed)))


def records(out: Path, subjects: int, seed: int) -> Iterator[list[str]]:
    """The commands that make a biobank and its tokens."""
    biobank, meds = f"{out}/biobank", f"{out}/meds"
    size = f"--preset demo --subjects {subjects} --scores 1 --variants 4400"
    yield ["synth", biobank, *size.split(), "--seed", str(seed)]
    splits = ["--splits", *SPLITS]
    yield ["ehr", f"{biobank}/omop", meds, "--kinship", f"{biobank}/kinship.tsv", *splits]
    yield ["tokens", meds, f"{out}/tokens"]


def predictions(out: Path, seed: int) -> Iterator[list[str]]:
    """The commands that train, forecast and judge, with each vector and with none."""
    task, risks = f"{out}/task.yaml", []
    for name, vector in {ALONE: None, **WITH}.items():
        model, risk = f"{out}/model_{vector or 'ehr'}", f"{out}/risk_{vector or 'ehr'}"
        modality = ["--modality", f"{vector}={out}/{vector}.parquet"] if vector else []
        settings = ["--task", task, "--seed", str(seed), *TRAINING.split()]
        yield ["train", f"{out}/tokens", model, *modality, *settings]
        asked = ["--task", task, "--split", "held_out", "--name", name]
        yield ["forecast", model, f"{out}/tokens", risk, *modality, *asked]
        risks.append(risk)
    judged = f"--baselines age_sex --bootstrap {RESAMPLES}".split()
    yield ["evaluate", *risks, "--meds", f"{out}/meds", "--out", f"{out}/results", *judged]


def run(command: list[str]) -> None:
    """One of proband's commands, shown first; its error, if there is one, ends the script."""
    print("proband", *command, flush=True)
    done = subprocess.run([sys.executable, "-m", "proband", *command], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def write_vectors(out: Path, seed: int) -> None:
    """The task of the diseases, and ``image.parquet`` and ``noise.parquet`` as train takes a modality."""
    task_file = out / "task.yaml"
    if task_file.is_file():
        return
    truth = out / "biobank" / "truth"
    people = pl.read_parquet(truth / "subjects.parquet").sort("subject_id")
    known = pl.read_parquet(truth / "liabilities.parquet").filter(pl.col("trait").is_in(DISEASES))
    wide = known.pivot(on="trait", index="subject_id", values="liability").sort("subject_id")
    visits = visits_of(people, seed)
    for name, values in vectors(wide.select(DISEASES).to_numpy(), seed).items():
        columns = pl.DataFrame(values, [f"{name}_{number}" for number in range(WIDTH)])
        frame = columns.insert_column(0, people["subject_id"])
        visits.join(frame, on="subject_id", maintain_order="left").write_parquet(out / f"{name}.parquet")
    task = load_task(out / "biobank" / "task.yaml")
    some = {name: task.outcomes[name] for name in DISEASES}
    save_task(task.model_copy(update={"outcomes": some}), task_file)


def vectors(liabilities: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The two vectors of each person, float32.

    Args:
        liabilities: A row per person, a column per disease, of variance about 1.
        seed: Of the draws.
    """
    random = generator(seed, "vectors")
    people = len(liabilities)
    factors = np.hstack([liabilities, random.standard_normal((people, NUM_IRRELEVANT))])
    projection = random.standard_normal((factors.shape[1], WIDTH)) / factors.shape[1] ** 0.5
    image = factors @ projection + NOISE_SD * random.standard_normal((people, WIDTH))
    noise = random.standard_normal((people, WIDTH))
    return {"image": image.astype(np.float32), "noise": noise.astype(np.float32)}


def visits_of(people: pl.DataFrame, seed: int) -> pl.DataFrame:
    """``subject_id`` and ``time`` of the imaging visits, for those who came while they were followed.

    Args:
        people: ``subject_id``, ``entry`` and ``exit``.
        seed: Of the draws.
    """
    random = generator(seed, "imaging visits")
    days = pl.Series((365.25 * random.uniform(*YEARS, people.height)).astype(int))
    came = pl.Series(random.random(people.height) < SHARE_IMAGED)
    visits = people.select("subject_id", "exit", time=pl.col("entry") + pl.duration(days=days))
    return visits.filter(came & (visits["time"] < visits["exit"])).drop("exit")


def gains(out: Path, seed: int) -> dict[str, dict[str, Gain]]:
    """AUROC of each model less that of records alone: of each disease with risks, and in the mean."""
    files = [out / f"risk_{vector}" / "risk.parquet" for vector in ("ehr", *WITH.values())]
    paired = PairedRisks.read(out / "results", files, HORIZON_YEARS, RESAMPLES, seed)
    known = [one for one in DISEASES if one in paired.rows]
    if absent := sorted({*DISEASES} - {*known}):
        print(f"vectors: too few onsets to learn from: {', '.join(absent)}")
    if not known:
        sys.exit("vectors: too few onsets of every disease; give more --subjects")
    found = {}
    for name, outcomes in {**{one: [one] for one in known}, "mean": known}.items():
        both = paired.gains({(model, ALONE): outcomes for model in WITH})
        found[name] = {model: auroc for (model, _), (auroc, _) in both.items()}
    return found


def table(found: Mapping[str, Mapping[str, Gain]]) -> str:
    """A line for each disease, in the form of Markdown."""
    lines = [f"| AUROC at {HORIZON_YEARS:.0f} years, beyond {ALONE} | {' | '.join(WITH)} |", "|---|---|---|"]
    for name, by_model in found.items():
        cells = [f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})" for one in by_model.values()]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
