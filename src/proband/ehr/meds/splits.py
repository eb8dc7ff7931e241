"""Which subject trains, tunes, or is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import DataError, first_line
from proband.core.files.tables import read_parquet
from proband.core.schema import SPLITS
from proband.core.seeds import uniforms
from proband.ehr.meds.dataset import PATIENT_SPLITS, SUBJECT_SPLITS, with_subject_id
from proband.ehr.meds.kinship import Families, clusters_of


def assign_splits(
    subject_ids: Int[np.ndarray, " subjects"],
    proportions: tuple[float, float, float],
    seed: int,
    families: Families | None = None,
) -> pl.Series:
    """The split of each subject, a function of its id and the seed alone; relatives share one.

    Whoever else is in the data, a subject's split stays; so proportions hold on average, not exactly. A
    cluster of relatives has the split of its smallest id.

    Args:
        subject_ids: Subject ids.
        proportions: Shares of train, tuning and held_out, summing to 1.
        seed: The run's seed.
        families: Clusters of relatives, if kinship is known.

    Returns:
        Names of :data:`proband.core.schema.SPLITS`, in the subjects' order.

    >>> assign_splits(np.array([7, 8]), (1.0, 0.0, 0.0), 0).to_list()
    ['train', 'train']
    """
    drawn_for = clusters_of(subject_ids, families)
    draws = uniforms(seed, "ehr/split", drawn_for)
    edges = np.cumsum(proportions)[:-1]
    drawn = np.searchsorted(edges, draws, side="right")
    # A share of 0 at the end must stay empty although the shares' sum may fall a rounding short of 1.
    drawn = np.minimum(drawn, max(index for index, share in enumerate(proportions) if share > 0))
    return pl.Series("split", np.array(SPLITS)[drawn].tolist(), dtype=pl.String)


def read_splits(meds: Path) -> pl.DataFrame | None:
    """The subject splits that come with a MEDS dataset; None where it has none.

    They are those of metadata/subject_splits.parquet, else of patient_splits.parquet, as older versions of
    MEDS name it, where the subject may be patient_id.

    Raises:
        DataError: A subject has two splits, or a split is none of train, tuning, held_out.
    """
    path = next((meds / one for one in (SUBJECT_SPLITS, PATIENT_SPLITS) if (meds / one).is_file()), None)
    if path is None:
        return None
    frame = with_subject_id(read_parquet(path))
    for name, dtype in {"subject_id": pl.Int64, "split": pl.String}.items():
        if name not in frame.columns or frame[name].null_count():
            raise DataError(f"missing column or values of {name}", where=path, expected=str(dtype))
    try:
        frame = frame.select(pl.col("subject_id").cast(pl.Int64), pl.col("split").cast(pl.String)).unique()
    except pl.exceptions.PolarsError as error:
        expected = "subject_id of whole numbers, split of text"
        raise DataError("wrong type", where=path, found=first_line(error), expected=expected) from None
    check_split_names(frame["split"].unique().to_list(), path)
    if frame["subject_id"].is_duplicated().any():
        first = frame.filter(pl.col("subject_id").is_duplicated())["subject_id"].min()
        raise DataError(
            "subject in two splits", where=path, found=f"subject {first!s}", expected="one split each"
        )
    return frame


def folder_splits(names: set[str | None], where: object) -> bool:
    """Whether the folders below ``data/`` are the splits; other names only group shards.

    Raises:
        DataError: Some are and some are not.

    >>> folder_splits({"train", "held_out"}, "data"), folder_splits({"part1", None}, "data")
    (True, False)
    """
    if not names & set(SPLITS):
        return False
    check_split_names([name or "no folder" for name in names], where)
    return True


def check_split_names(found: list[str], where: object) -> None:
    """Refuse names of splits that later stages do not know.

    Raises:
        DataError: Names the first.
    """
    strange = sorted(set(found) - set(SPLITS))
    if strange:
        expected = ", ".join(SPLITS)
        remedy = "rename the splits, or remove them and the folders so that new ones are drawn"
        raise DataError("unknown split", where=where, found=strange[0], expected=expected, remedy=remedy)
