"""What the experiments share: one synthetic biobank per size and seed, read as a real one, and its models.

Everything lies in OUT/SIZE/seedN: biobank, meds, genome, tokens, then a model and a folder of risks for each
:class:`Model` asked for. What is finished is kept, what was interrupted goes on, so that scripts share data
and models, and a second call of any of them goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import proband.ehr
import proband.evaluate
import proband.forecast
import proband.genome
import proband.synth
import proband.tokens
import proband.train
from proband.core.config import validated
from proband.core.files.jsonfiles import read_json, write_json
from proband.core.files.resume import partial_folder
from proband.core.schema import scores_file
from proband.core.seeds import generator
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.config import EhrConfig
from proband.ehr.meds.kinship import THIRD_DEGREE, Families, read_families
from proband.ehr.outcomes import load_task, save_task
from proband.evaluate.config import ALL, EvaluateConfig
from proband.evaluate.panel.gain import PairedRisks
from proband.forecast.config import ForecastConfig
from proband.genome import AncestryConfig, AncestryInputs, GenomeConfig
from proband.synth import SynthConfig
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.train.config import OnsetOptions, TrainConfig

SPLITS = (0.65, 0.05, 0.3)
SEEDS = (0, 1, 2)
"""Of a script that names no SEEDS of its own."""
T2D, ORACLE = "type_2_diabetes", "oracle"
GENOME, PERMUTED, NOISE, NULL = "genome", "permuted", "noise", "null"
ONE_STEP = 1e-4
"""CPU minutes of pretraining that end after a step: of a trunk that is as good as not pretrained."""
CONTROL_TRAIT = "Synthetic control"
"""Beginning of the trait of a null score: one trained on a trait that nothing causes."""


@dataclass(frozen=True)
class Size:
    """How large an experiment is.

    Attributes:
        name: tiny (minutes, to see that it runs), small (a night on two cores) or full (a GPU).
        synth: Settings of the biobank.
        minutes: CPU minutes of pretraining each model.
        bootstrap: Resamples of people behind each interval.
        least_cases: Cases by the horizon that an outcome needs to count.
        train: Further settings of training.
        tuning: Share of subjects in the tuning split; held-out people stay 30%.
        min_subjects: Subjects that a code needs for a token of its own.
    """

    name: str
    synth: dict[str, Any]
    minutes: float
    bootstrap: int
    least_cases: int
    train: dict[str, Any] = field(default_factory=dict)
    tuning: float = SPLITS[1]
    min_subjects: int = TokensConfig().min_subjects

    @property
    def splits(self) -> tuple[float, float, float]:
        """Shares of train, tuning and held-out people."""
        return (round(1 - SPLITS[2] - self.tuning, 6), self.tuning, SPLITS[2])


_TINY_BIOBANK = {
    "preset": "demo", "subjects": 1500, "scores": 20, "variants": 4400, "causal_variants": 60,
    "discovery_panel": 150, "reference_panel": 40, "truth_replicates": 20, "piece_megabases": 0.3,
}  # fmt: skip
_TINY_MODEL = {
    "depth": 1, "dim": 32, "num_heads": 2, "context": 128, "onset": OnsetOptions(queries=8, networks=1),
}  # fmt: skip
SIZES = {
    "tiny": Size("tiny", _TINY_BIOBANK, 0.2, 100, 10, _TINY_MODEL, tuning=0.1, min_subjects=2),
    "small": Size("small", {"preset": "demo", "subjects": 20_000}, 1.0, 300, 50),
    "full": Size(
        "full", {"preset": "biobank", "subjects": 100_000, "scores": 3481}, 60.0, 1000, 100,
        {"preset": "small", "batch_tokens": 16_384}, tuning=0.1,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model of the comparison: what it reads and how.

    Attributes:
        name: In tables.
        scores: Folder of scores beside the biobank, such as ``genome`` or ``permuted``; empty for none.
        components: Whether it reads principal components of ancestry.
        fusion: How modalities reach the trunk; ``none`` for a model of records alone.
        settings: Further settings of training.
        left_out: Outcomes of the biobank that it is not trained on.
    """

    name: str
    scores: str = ""
    components: bool = False
    fusion: str = "none"
    settings: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its name in file names."""
        return self.name.lower().replace("+", "_").replace(" ", "_").replace("%", "")


EHR = Model("EHR")
EHR_PCS = Model("EHR+PCs", components=True, fusion="prefix")


def with_scores(kind: str = "PGS", scores: str = GENOME, fusion: str = "prefix", **settings: Any) -> Model:
    """EHR, components and scores.

    >>> with_scores("PGS adapter", fusion="adapter").name
    'EHR+PCs+PGS adapter'
    """
    return Model(f"EHR+PCs+{kind}", scores, True, fusion, settings)


@dataclass(frozen=True)
class Biobank:
    """The data of one size and seed, and models of them.

    Attributes:
        folder: Where all lies.
        size: Of the biobank and its models.
        seed: Of everything.
    """

    folder: Path
    size: Size
    seed: int

    @classmethod
    def made(cls, out: Path, size: Size, seed: int) -> Biobank:
        """Biobank, events, scores adjusted for ancestry, and tokens, in OUT/SIZE/seedN."""
        self = cls(out / size.name / f"seed{seed}", size, seed)
        source = self.folder / "biobank"
        proband.synth.synth(source, config=validated(SynthConfig, **size.synth, seed=seed))
        splits = EhrConfig(splits=size.splits, seed=seed)
        proband.ehr.ehr(source / "omop", self.meds, config=splits, kinship=self.kinship)
        proband.genome.genome(
            source / "genotypes", source / "scorefiles", self.genome,
            config=GenomeConfig(ancestry=AncestryConfig(adjust=("Z_norm2",), relatives="none")),
            ancestry_inputs=AncestryInputs(reference=source / "reference", splits=self.meds),
        )  # fmt: skip
        proband.tokens.tokens(self.meds, self.tokens, config=TokensConfig(min_subjects=size.min_subjects))
        return self

    @property
    def meds(self) -> Path:
        """Events."""
        return self.folder / "meds"

    @property
    def genome(self) -> Path:
        """Scores, components and ancestry."""
        return self.folder / GENOME

    @property
    def tokens(self) -> Path:
        """Token arrays."""
        return self.folder / "tokens"

    @property
    def task(self) -> Path:
        """The biobank's outcomes, prediction time and horizons."""
        return self.folder / "biobank" / "task.yaml"

    @property
    def kinship(self) -> Path:
        """Table of related pairs."""
        return self.folder / "biobank" / "kinship.tsv"

    @property
    def truth(self) -> Path:
        """True risks."""
        return self.folder / "biobank" / "truth" / "risk.parquet"

    def task_of(self, name: str, keep: Callable[[str], bool]) -> Path:
        """A task file of some of the outcomes, written once as task_NAME.yaml."""
        path = self.folder / f"task_{name}.yaml"
        if not path.is_file():
            task = load_task(self.task)
            some = {outcome: one for outcome, one in task.outcomes.items() if keep(outcome)}
            save_task(task.model_copy(update={"outcomes": some}), path)
        return path

    def scores(self) -> pl.DataFrame:
        """The scores that models read."""
        return pl.read_parquet(scores_file(self.genome))

    def keep_scores(self, name: str, scores: pl.DataFrame) -> str:
        """Write other scores beside the genome, once, as adjusted as those; returns ``name``, for a model."""
        path = self.folder / name / scores_file(self.genome).relative_to(self.genome)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            scores.write_parquet(path.with_suffix(".partial"))
            path.with_suffix(".partial").rename(path)
        return name

    def null_scores(self) -> list[str]:
        """Columns of the scores that nothing causes."""
        described = read_json(self.genome / "scores.json")
        null = [name for name, one in described.items() if str(one["trait"]).startswith(CONTROL_TRAIT)]
        return [name for name in null if name in self.scores().columns]

    def model(self, model: Model) -> Path:
        """Train a model on the outcomes of the task; returns its folder.

        What training took is kept for :meth:`train_cpu_seconds`, unless it goes on from an interrupted one:
        what that took is not known.
        """
        out, task = self.folder / f"model_{model.slug}", self.task
        if model.left_out:
            task = self.task_of(model.slug, lambda outcome: outcome not in model.left_out)
        given: dict[str, Any] = {"minutes": self.size.minutes, "batch_tokens": 1024, "seed": self.seed}
        given |= self.size.train | model.settings | {"fusion": model.fusion}
        fresh = not out.is_dir()
        seconds = self.folder / f"seconds_{model.slug}.json"
        whole = fresh and not partial_folder(out).exists()
        if fresh:
            seconds.unlink(missing_ok=True)  # of a folder that is gone
            _one_thread()
        began = time.process_time()
        proband.train.train(
            self.tokens, out, **self.modalities(model),
            tasks=[task], config=validated(TrainConfig, **given), clock=time.process_time,
        )  # fmt: skip
        if whole:
            write_json(seconds, {"train_cpu_seconds": time.process_time() - began})
        return out

    def risks(
        self, model: Model, split: str = "held_out", task: Path | None = None, records_alone: bool = False,
        subjects: Path | None = None, workers: int | None = None, **settings: Any,
    ) -> Path:  # fmt: skip
        """Risks of a model, trained first if it is not there; returns their folder.

        Args:
            model: The model.
            split: Whose risks.
            task: Default the biobank's.
            records_alone: Withhold genomes and components, as of people who have none; give a ``name`` then.
            subjects: A list of those who are asked for, in the place of a split; give a ``name`` then.
            workers: Processes; default one per core.
            **settings: Of :class:`~proband.forecast.config.ForecastConfig`; a ``name`` other than the model's
                names the folder too.
        """
        name = settings.pop("name", model.name)
        slug = Model(name).slug + ("" if split == "held_out" else f"_{split}")
        config = validated(ForecastConfig, name=name, split=split, seed=self.seed, **settings)
        out = self.folder / f"risk_{slug}"
        given = {} if records_alone else self.modalities(model)
        proband.forecast.forecast(
            self.model(model), self.tokens, out,
            task=task or self.task, subjects=subjects, config=config, workers=workers, **given,
        )  # fmt: skip
        return out

    def evaluated(
        self, name: str, risks: Sequence[Path], baselines: Sequence[str] = (ALL,), **inputs: Any
    ) -> Path:
        """Judge risks on the same people, families drawn as one; returns the results folder.

        The oracle is judged beside them unless a ``task`` of some outcomes is given: it answers for all.
        """
        oracle = [] if "task" in inputs else [self.truth]
        out = self.folder / f"results_{name}"
        config = EvaluateConfig(baselines=tuple(baselines), bootstrap=self.size.bootstrap, seed=self.seed)
        proband.evaluate.evaluate(
            [*risks, *oracle], self.meds, out, genome=self.genome, tokens=self.tokens, kinship=self.kinship,
            config=config, **inputs,
        )  # fmt: skip
        return out

    @functools.cached_property
    def families(self) -> Families:
        """Relatives to the third degree, as ``proband evaluate`` draws them."""
        return read_families(self.kinship, THIRD_DEGREE)

    def paired(self, results: Path, files: Sequence[Path], horizon: float) -> PairedRisks:
        """RiskTables of the same people at a horizon, side by side, families drawn as one."""
        paired = PairedRisks.read(
            results, files, horizon, self.size.bootstrap, self.seed, families=self.families
        )
        return with_truth(paired)

    def train_cpu_seconds(self) -> dict[str, float]:
        """What training took, by the slug of each model whose training was not interrupted."""
        files = sorted(self.folder.glob("seconds_*.json"))
        return {path.stem.removeprefix("seconds_"): read_json(path)["train_cpu_seconds"] for path in files}

    def modalities(self, model: Model) -> dict[str, Any]:
        """The genome and further modalities that a model reads, as stages take them."""
        pcs = {"pcs": self.genome / "pcs.parquet"} if model.components else {}
        return {"genome": self.folder / model.scores if model.scores else None, "modalities": pcs}


def with_truth(paired: PairedRisks) -> PairedRisks:
    """Those of the people who have a true risk, where the oracle is among the models: a few have none."""
    known = pl.col(ORACLE).fill_null(float("nan")).is_finite()
    rows = {
        name: part.filter(known) if ORACLE in part.columns else part for name, part in paired.rows.items()
    }
    return replace(paired, rows=rows)


def _one_thread() -> None:
    """Train in one thread: threads that wait for each other use up the CPU time that training is given."""
    import torch

    torch.set_num_threads(1)


def permuted(scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The same rows of scores, each given to somebody drawn at random.

    >>> scores = pl.DataFrame({"subject_id": [1, 2, 3], "a": [0.1, 0.2, 0.3]})
    >>> sorted(permuted(scores, 0)["a"]) == sorted(scores["a"])
    True
    """
    order = generator(seed, "permuted genomes").permutation(scores.height)
    return scores.with_columns(scores["subject_id"].gather(order)).sort("subject_id")


def noise_like(scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Standard normal draws of the same width, missing where the scores are."""
    names = [name for name in scores.columns if name != "subject_id"]
    draws = generator(seed, "noise").standard_normal((scores.height, len(names)))
    noise = pl.DataFrame(draws.astype(np.float32), schema=names)
    known = [
        pl.when(scores[name].is_finite()).then(noise[name]).cast(scores.schema[name]).alias(name)
        for name in names
    ]
    return scores.select("subject_id", *known)


def places(store: TokenStore, moments: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Row in the tokens folder of each subject_id, and age in minutes at its prediction_time."""
    births = pl.DataFrame({"subject_id": store.subject_ids, "birth_time": store.subjects["birth_time"]})
    key = ["subject_id", "prediction_time"]
    asked = moments.select(key).join(
        births.with_row_index("row"), on="subject_id", how="left", maintain_order="left"
    )
    age = (asked["prediction_time"] - asked["birth_time"]).dt.total_microseconds() // MICROSECONDS_PER_MINUTE
    return asked["row"].to_numpy().astype(np.int64), age.to_numpy()


def arguments(description: str | None, seeds: Sequence[int] = SEEDS) -> argparse.ArgumentParser:
    """A parser of what every experiment on a biobank takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of biobanks and results; share it among experiments")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds), help="a biobank each")
    return parser
