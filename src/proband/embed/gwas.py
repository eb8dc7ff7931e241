"""Tables for a genome-wide association study of a model's state, as REGENIE and PLINK 2 read them.

Both begin with FID and IID and are separated by tabs; NA is what is not known. Both programs match samples by
the two together, so that the family IDs must be those of the genotypes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import rankdata

from proband.core.errors import DataError, first_names
from proband.core.files.atomic import whole_file
from proband.core.files.manifest import check_stage
from proband.core.running.progress import say
from proband.core.schema import PCS, SAMPLES
from proband.genome.genotypes.formats.plink import read_family_ids

PHENOTYPES, COVARIATES = "phenotypes.txt", "covariates.txt"
_BLOM = 3 / 8


def inverse_normal(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Rank-based inverse normal transform: Phi^-1((rank - 3/8) / (n + 1/4)), ties at their mean rank.

    Blom 1958; the offset is the usual one (Beasley, Erickson and Allison 2009,
    doi:10.1007/s10519-009-9281-0).

    Args:
        values: Without NaN.

    >>> inverse_normal(np.array([3.0, 1.0, 2.0])).round(3).tolist()
    [0.869, -0.869, 0.0]
    """
    ranks = rankdata(values)
    return np.asarray(ndtri((ranks - _BLOM) / (len(values) + 1 - 2 * _BLOM)))


def sample_ids(subject_ids: pl.Series, genome: Path | None, fam: Path | None = None) -> pl.DataFrame:
    """subject_id, FID and IID, by subject_id.

    Args:
        subject_ids: May repeat.
        genome: Gives the names of those who are in the genotypes; without it all are, by their number.
        fam: .fam or .psam of the genotypes, for their family IDs; without it FID is the sample's name, too.

    Raises:
        DataError: Nobody is in the genotypes, or a sample is not in ``fam`` or has a blank in its name.
    """
    found = _sample_names(subject_ids.unique(), genome).sort("subject_id")
    if found.is_empty():
        remedy = "give the genome folder of these subjects"
        raise DataError("no subject is in the genotypes", where=genome, remedy=remedy)
    _refuse_blanks(found["sample_id"], genome)
    return found.select("subject_id", family_ids(found["sample_id"], fam), pl.col("sample_id").alias("IID"))


def _sample_names(subject_ids: pl.Series, genome: Path | None) -> pl.DataFrame:
    """subject_id and sample_id of those who are in the genotypes; without a genome folder, of all."""
    if genome is None:
        return pl.DataFrame({"subject_id": subject_ids, "sample_id": subject_ids.cast(pl.String)})
    check_stage(genome, "genome")
    return SAMPLES.read(genome / "samples.parquet").filter(pl.col("subject_id").is_in(subject_ids.to_list()))


def family_ids(samples: pl.Series, fam: Path | None) -> pl.Series:
    """FID of each sample.

    Raises:
        DataError: A sample is not in ``fam``.
    """
    if fam is None:
        return samples.alias("FID")
    known = read_family_ids(fam)
    if absent := [name for name in samples if name not in known]:
        found = f"no row of {len(absent)} samples, first {absent[0]!r}"
        remedy = "give the .fam or .psam of these genotypes"
        raise DataError("samples without a family ID", where=fam, found=found, remedy=remedy)
    return pl.Series("FID", [known[name] for name in samples], dtype=pl.String)


def components_of(genome: Path | None) -> pl.DataFrame | None:
    """subject_id and principal components of a genome folder, None where there are none."""
    path = genome / "pcs.parquet" if genome else None
    return PCS.read(path).drop("is_fitted") if path and path.is_file() else None


def write_gwas(
    folder: Path, vectors: pl.DataFrame, known: pl.DataFrame, ids: pl.DataFrame, genome: Path | None
) -> dict[str, int]:
    """Write the tables; of several dates of a subject the last. A covariate that nobody has is left out.

    Args:
        folder: Where to.
        vectors: As schema.EMBEDDINGS.
        known: subject_id, prediction_time, age (years) and female (1, 0, NaN) of each row of ``vectors``.
        ids: Of :func:`sample_ids`; subjects without one are not written.
        genome: Gives components.

    Returns:
        Samples written, phenotypes, and phenotypes left out since they do not vary.
    """
    keys = ["subject_id", "prediction_time"]
    last = vectors.join(known, on=keys).sort(keys).unique("subject_id", keep="last", maintain_order=True)
    last = ids.join(last, on="subject_id").sort("subject_id")
    names = [name for name in vectors.columns if name not in keys]
    vary = [name for name in names if last[name].n_unique() > 1]
    sample = last.select("FID", "IID")
    traits = [pl.Series(name, inverse_normal(last[name].to_numpy().astype(np.float64))) for name in vary]
    _write(sample.with_columns(traits), folder / PHENOTYPES)
    covariates = last.select("subject_id", "age", pl.col("female").fill_nan(None).alias("sex"))
    components = components_of(genome)
    if components is not None:
        covariates = covariates.join(components, on="subject_id", how="left", maintain_order="left")
    # A column of NA alone would cost all samples: association programs leave out whoever lacks a covariate.
    known_of_any = [name for name in covariates.columns[1:] if covariates[name].null_count() < last.height]
    covariates = covariates.select(known_of_any)
    _say_incomplete(covariates)
    _write(sample.hstack(covariates), folder / COVARIATES)
    return {
        "num_samples": last.height,
        "num_phenotypes": len(vary),
        "num_constant": len(names) - len(vary),
    }


def _refuse_blanks(samples: pl.Series, genome: Path | None) -> None:
    """Refuse names that association programs would read as two columns, and values one column on.

    Raises:
        DataError: A name has a blank.
    """
    blank = samples.filter(samples.str.contains(r"\s"))
    if len(blank):
        raise DataError(
            "sample names with blanks",
            where=genome,
            found=f"{len(blank)}, first {blank[0]!r}",
            expected="names without blanks, at which REGENIE and PLINK separate columns",
            remedy="rename the samples in the genotypes (bcftools reheader), and score them again",
        )


def _say_incomplete(covariates: pl.DataFrame) -> None:
    """Say of how many samples a covariate is not known: association programs pass over these."""
    lacking = {name: number for name in covariates.columns if (number := covariates[name].null_count())}
    if lacking:
        listed = first_names([f"{name} of {number:,}" for name, number in lacking.items()])
        say(
            f"embed: not known among {covariates.height:,} samples: {listed}; REGENIE and PLINK leave out "
            "samples without a covariate, so name those wanted (--covarColList, --covar-name)"
        )


def _write(frame: pl.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        frame.write_csv(temporary, separator="\t", null_value="NA", float_precision=6)
