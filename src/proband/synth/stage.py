"""The stage: simulate genomes chromosome by chromosome and lives shard by shard, and write the files."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.files.resume import clear_marks, is_marked, map_resumably, mark, resumable
from proband.core.running.progress import say
from proband.synth.care.omop import join_omop_shards
from proband.synth.care.task import write_task
from proband.synth.config import SynthConfig
from proband.synth.genomes.chromosome import simulate_chromosome
from proband.synth.genomes.coalescent import import_msprime
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, Genetics, causal_table, combine
from proband.synth.genomes.polygenic.linkage import find_components
from proband.synth.genomes.polygenic.plans import score_table
from proband.synth.genomes.polygenic.scores import write_scorefiles
from proband.synth.genomes.polygenic.weights import weigh_chromosome
from proband.synth.genomes.relatives.kinship import kinship_table
from proband.synth.genomes.relatives.pedigree import Pedigree, draw_pedigree
from proband.synth.genomes.sampling import typed_subjects
from proband.synth.lives.output.files import join_truth
from proband.synth.shards import live_shard, num_shards, shard_folder

SCRATCH = ".work"
"""Folder of what only later steps of the same run read."""
_SCORES_AT_ONCE = 20


def synth(
    out: Path,
    *,
    config: SynthConfig | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Make a synthetic biobank.

    It grows in ``OUT.partial``, one file per chromosome and per shard of subjects, and becomes ``out`` when
    all is there; a stopped run goes on at the first shard that is missing.

    Args:
        out: Output folder.
        config: Settings; default those of the preset ``biobank``.
        workers: Processes, at most; default one per core. The files do not depend on it.
        overwrite: Make it anew where there is one.

    Raises:
        ConfigError: msprime is not installed, the settings do not fit together, or ``out`` is in use.
    """
    config = config or SynthConfig()
    if is_finished(out, "synth", config, overwrite):
        return
    import_msprime()
    with (
        resumable(out, "synth", config, overwrite=overwrite) as work,
        stage_output(
            out, stage="synth", config=config, seed=config.seed, work=work, overwrite=overwrite
        ) as run,
    ):
        pedigree = draw_pedigree(config)
        genetics = _make_genomes(config, pedigree, run.folder, workers)
        _make_scores(config, genetics, run.folder, workers)
        _make_lives(config, pedigree, genetics, run.folder, workers)
        _finish(config, pedigree, genetics, run)
        shutil.rmtree(run.folder / SCRATCH)
        clear_marks(run.folder)
    say(f"synth: {config.subjects:,} subjects in {out}")


def _make_genomes(config: SynthConfig, pedigree: Pedigree, work: Path, workers: int | None) -> Genetics:
    scratch = work / SCRATCH
    task = partial(_chromosome, config, pedigree, scratch, work)
    map_resumably(
        task, CHROMOSOMES, work, "chromosome", description="Simulating chromosomes", workers=workers
    )
    return combine(config, pedigree, scratch)


def _chromosome(config: SynthConfig, pedigree: Pedigree, scratch: Path, work: Path, chrom: int) -> None:
    simulate_chromosome(config, pedigree, chrom, scratch, work)


def _make_scores(config: SynthConfig, genetics: Genetics, work: Path, workers: int | None) -> None:
    scratch = work / SCRATCH
    if not is_marked(work, "components"):
        find_components(config, scratch)
        mark(work, "components")
    map_resumably(
        partial(weigh_chromosome, config, scratch, genetics),
        CHROMOSOMES, work, "gwas", description="Virtual GWAS", workers=workers,
    )  # fmt: skip
    ranges = [
        (first, min(first + _SCORES_AT_ONCE, config.scores))
        for first in range(0, config.scores, _SCORES_AT_ONCE)
    ]
    map_resumably(
        partial(_scorefiles, config, scratch, work),
        ranges, work, "scores", description="Writing scoring files", workers=workers,
    )  # fmt: skip


def _scorefiles(config: SynthConfig, scratch: Path, work: Path, part: tuple[int, int]) -> None:
    write_scorefiles(config, scratch, work, *part)


def _make_lives(
    config: SynthConfig, pedigree: Pedigree, genetics: Genetics, work: Path, workers: int | None
) -> None:
    map_resumably(
        partial(live_shard, config, pedigree, genetics.values, work / SCRATCH),
        list(range(num_shards(config))), work, "lives", description="Living lives", workers=workers,
    )  # fmt: skip


def _finish(config: SynthConfig, pedigree: Pedigree, genetics: Genetics, run: StageRun) -> None:
    """Join the shards and write what is small."""
    folder, truth = run.folder, run.folder / "truth"
    shards = [shard_folder(folder / SCRATCH, shard) for shard in range(num_shards(config))]
    for path in (folder / "omop", truth):
        shutil.rmtree(path, ignore_errors=True)
    run.counts |= join_omop_shards([shard / "omop" for shard in shards], folder / "omop", config.end)
    join_truth([shard / "truth" for shard in shards], truth, config)
    causal_table(folder / SCRATCH, genetics).write_parquet(truth / "causal.parquet", compression="zstd")
    scores = score_table(config)
    scores.write_parquet(truth / "scores.parquet", compression="zstd")
    kinship = kinship_table(pedigree)
    kinship.write_csv(folder / "kinship.tsv", separator="\t")
    write_task(folder / "task.yaml", config.landmark_years, config.horizons_years)
    relatives = kinship.select("subject_id_1", "subject_id_2").to_numpy()
    run.counts |= {
        "num_genotyped": len(typed_subjects(config)),
        "num_variants": config.variants,
        "num_scores": scores.height,
        "num_related_pairs": kinship.height,
        "num_related_subjects": len(np.unique(relatives)),
    }
