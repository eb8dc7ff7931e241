"""The stage ``genome``: genotypes and scoring files to scores.parquet."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from proband.core.config import validated
from proband.core.provenance import StageRun, is_finished, stage_output, write_json
from proband.core.schema import MATCH, SAMPLES, SCORES
from proband.genome.collect import Collected, collect
from proband.genome.genotypes import Genotypes, open_genotypes
from proband.genome.parts import find_genotypes
from proband.genome.samples import identify
from proband.genome.score import score_samples
from proband.genome.scorefile import list_scorefiles


class GenomeConfig(BaseModel):
    """Settings of the stage ``genome``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_match_rate: float = Field(
        0.75,
        ge=0,
        le=1,
        description="A score is kept if at least this share of its rows is matched and usable.",
    )
    keep_ambiguous: bool = Field(
        False, description="Use A/T and C/G variants, trusting that both files name the same strand."
    )


def genome(
    genotypes: Path,
    scorefiles: Path,
    out: Path,
    *,
    min_match_rate: float = 0.75,
    keep_ambiguous: bool = False,
    samples: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    Args:
        genotypes: File, prefix, folder or pattern of .pgen, .bed or VCF files.
        scorefiles: Folder of PGS Catalog scoring files, or one such file.
        out: Output folder: scores.parquet, match.parquet, samples.parquet, scores.json, manifest.json.
        min_match_rate: Leave out scores matched below this share of their rows, 0 to 1.
        keep_ambiguous: Use strand-ambiguous (A/T, C/G) variants.
        samples: Tab-separated file of ``sample_id, subject_id``, for sample names that are no subjects.
        overwrite: Make the output anew.

    Raises:
        ConfigError: An option is out of range or the output folder is in use.
        DataError: An input is not usable, or no score is left.
    """
    config = validated(GenomeConfig, min_match_rate=min_match_rate, keep_ambiguous=keep_ambiguous)
    files = list_scorefiles(scorefiles)
    paths = find_genotypes(genotypes)
    inputs = [*paths, scorefiles, *([samples] if samples else [])]
    if is_finished(out, "genome", config, overwrite, inputs):
        return
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(stage_output(out, stage="genome", config=config, inputs=inputs))
        scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=run.folder))
        source = open_genotypes(genotypes, Path(scratch))
        inputs += [path for path in source.files if path not in paths]
        _score_all(source, files, samples, config, run)


def _score_all(
    source: Genotypes, files: list[Path], samples: Path | None, config: GenomeConfig, run: StageRun
) -> None:
    who = identify(source.sample_ids, samples, source.files[-1])
    collected = collect(
        source, files, min_match_rate=config.min_match_rate, keep_ambiguous=config.keep_ambiguous
    )
    match, kept = collected.match, collected.kept
    MATCH.write(match, run.folder / "match.parquet")
    SAMPLES.write(who, run.folder / "samples.parquet")
    write_json(run.folder / "scores.json", {name: collected.metadata[name] for name in kept})
    _write_scores(source, collected, who["subject_id"], run.folder / "scores.parquet")
    run.counts |= {
        "num_subjects": who.height,
        "num_variants": source.num_variants,
        "num_variants_used": len(np.unique(collected.weights.variants)),
        "num_scores": len(kept),
        "num_scores_left_out": match.height - len(kept),
        "num_rows_matched": int(match.filter("kept")["num_matched"].sum()),
    }


def _write_scores(source: Genotypes, collected: Collected, subject_ids: pl.Series, path: Path) -> None:
    """Write one row group per range of samples, so that only one is in memory."""
    with contextlib.ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for start, total in score_samples(source, collected.weights):
            sums = dict(zip(collected.kept, total.astype(np.float32), strict=True))
            subjects = subject_ids.slice(start, total.shape[1]).alias("subject_id")
            frame = SCORES.check(
                pl.DataFrame([subjects, *(pl.Series(name, sums[name]) for name in sums)]), path
            )
            table = frame.to_arrow()
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writer.write_table(table)
