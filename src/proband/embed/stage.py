"""The embed stage: the trunk's state of subjects at dates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float32

from proband.core.errors import ConfigError, DataError
from proband.core.files.digests import hash_file
from proband.core.files.provenance import is_finished, stage_output
from proband.core.running.device import choose_device
from proband.core.running.progress import say
from proband.core.schema import EMBEDDINGS
from proband.core.units import MINUTES_PER_YEAR
from proband.ehr.outcomes import task_files
from proband.embed.config import EmbedConfig
from proband.embed.dates import Dates, read_dates
from proband.embed.gwas import sample_ids, write_gwas
from proband.embed.map import in_words, known_factors, write_map
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.queries import query_batches

STAGE, VECTORS = "embed", "embeddings.parquet"


def embed(
    model: Path,
    tokens: Path,
    out: Path,
    *,
    task: Path | None = None,
    dates: Path | None = None,
    genome: Path | None = None,
    fam: Path | None = None,
    config: EmbedConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Write one vector per subject and date: what the model's trunk has read of the record by then.

    Modalities are not read, so that a vector tells of the record alone and no genotype stands on both sides
    of an association.

    Args:
        model: A model folder.
        tokens: A tokens folder with the model's vocabulary.
        out: Output folder.
        task: Task file, whose prediction times are the dates.
        dates: Parquet or text file of subject_id and prediction_time; without either, the end of follow-up.
        genome: Genome folder, for the sample names and components of the tables of a GWAS, and for ancestry
            on the map.
        fam: .fam or .psam of the genotypes, for the family IDs of the tables of a GWAS.
        config: Settings.
        overwrite: Replace a finished output.

    Raises:
        CheckpointError: Model and tokens do not fit.
        ConfigError: Both ``task`` and ``dates``, or ``fam`` without the tables of a GWAS.
        DataError: Dates that are not usable, or none; nobody who is in the genotypes, a sample without a
            family ID, or sample names with blanks; vectors that do not vary, which are no phenotype and have
            no map.
    """
    config = config or EmbedConfig()
    if fam is not None and not config.gwas:
        remedy = "give --gwas too, or leave --fam out"
        raise ConfigError("--fam without the tables of a GWAS", found=fam, remedy=remedy)
    given = task or dates
    config = config.model_copy(update={"task": hash_file(given) if given and given.is_file() else ""})
    more = [*(task_files(task) if task else []), *(path for path in (dates, genome, fam) if path)]
    inputs = [model, tokens, *more]
    if is_finished(out, STAGE, config, overwrite, inputs):
        return
    if genome is not None and not (config.gwas or config.map):
        say("embed: not used: --genome, which --gwas and --map alone read; vectors tell of records alone")
    store = TokenStore(tokens)
    loaded = load_model(model, store.vocabulary.hash)
    asked = read_dates(store, config.split, task, dates)
    ids = sample_ids(asked.frame["subject_id"], genome, fam) if config.gwas else None
    with stage_output(out, stage=STAGE, config=config, inputs=inputs, overwrite=overwrite) as run:
        states = read_vectors(loaded, store, asked, choose_device(config.device))
        vectors = _frame(asked, states)
        EMBEDDINGS.write(vectors, run.folder / VECTORS)
        run.counts.update(num_rows=len(asked), num_subjects=vectors["subject_id"].n_unique())
        run.counts["num_dimensions"] = loaded.config.dim
        if ids is not None:
            run.counts |= write_gwas(run.folder, vectors, _known(store, asked), ids, genome)
            if not run.counts["num_phenotypes"]:
                raise DataError(
                    "no number of the vectors varies, so that there is no phenotype", where="--gwas",
                    found=f"{run.counts['num_samples']:,} samples", remedy="embed more subjects",
                )  # fmt: skip
            if fam is None:
                say(
                    "embed: FID and IID are both the sample's name; no sample is matched where the genotypes "
                    "have other family IDs, or a .psam has none: give it as --fam"
                )
        if config.map:
            found = write_map(run.folder, states, known_factors(store, asked, genome, task))
            if found.is_empty():
                remedy = "embed more subjects or dates"
                raise DataError(
                    "vectors that do not vary have no map",
                    where="--map",
                    found=f"{len(asked):,}",
                    remedy=remedy,
                )
            say(f"embed: {in_words(found)}")
    vectors_of = "vector" if len(asked) == 1 else "vectors"
    say(f"embed: {len(asked):,} {vectors_of} of {loaded.config.dim} numbers in {out}")


def read_vectors(
    model: Proband, store: TokenStore, dates: Dates, device: torch.device
) -> Float32[np.ndarray, "dates dim"]:
    """The trunk's states at the last token by each date, of root mean square 1."""
    batches = query_batches(store, {}, dates.rows, dates.minutes, model.config.context)
    states = torch.from_numpy(model.to(device).eval().states(batches, len(dates)))
    return torch.nn.functional.rms_norm(states, states.shape[-1:]).numpy()


def _frame(dates: Dates, vectors: Float32[np.ndarray, "dates dim"]) -> pl.DataFrame:
    columns = [pl.Series(f"state_{number + 1}", vectors[:, number]) for number in range(vectors.shape[1])]
    return dates.frame.hstack(columns)


def _known(store: TokenStore, dates: Dates) -> pl.DataFrame:
    """Age and sex at each date."""
    return dates.frame.with_columns(
        pl.Series("age", dates.minutes / MINUTES_PER_YEAR), pl.Series("female", store.female[dates.rows])
    )
