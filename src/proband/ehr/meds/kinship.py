"""Relatives, so that a family never lies across train, tuning and held_out.

Reads the kinship tables of :mod:`proband.core.text.kinshiptable`; a name that is a whole number is a subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.core.text.kinshiptable import read_kinship_table
from proband.core.text.textvalues import whole_numbers
from proband.ehr.config import THIRD_DEGREE as THIRD_DEGREE


@dataclass(frozen=True)
class Families:
    """Clusters of relatives.

    Attributes:
        cluster_of: subject_id and ``cluster``, the smallest subject_id of those it is related to by any
            chain of pairs, itself among them; one row per subject with a relative, sorted by subject_id.
        num_pairs: Pairs of at least the least kinship.
        num_text_ids: Ids in these pairs that are no integers, so those of no subject.
        num_distant: Pairs of less kinship.
        num_left_out: Rows of the table without two ids or a kinship.
    """

    cluster_of: pl.DataFrame
    num_pairs: int
    num_text_ids: int
    num_distant: int = 0
    num_left_out: int = 0

    def representatives(self, subject_ids: Int[np.ndarray, " subjects"]) -> Int[np.ndarray, " subjects"]:
        """The cluster of each subject; who has no relative is its own."""
        asked = pl.DataFrame({"subject_id": subject_ids}).with_columns(pl.col("subject_id").cast(pl.Int64))
        found = asked.join(self.cluster_of, on="subject_id", how="left", maintain_order="left")
        return found.select(pl.coalesce("cluster", "subject_id")).to_series().to_numpy()


def clusters_of(subject_ids: Int[np.ndarray, " rows"], families: Families | None) -> Int[np.ndarray, " rows"]:
    """The cluster of each row: the family of its subject, or where none are given the subject itself."""
    return subject_ids if families is None else families.representatives(subject_ids)


def read_families(path: Path, least_kinship: float) -> Families:
    """Read a kinship table and join relatives into clusters.

    Args:
        path: Of :func:`proband.core.text.kinshiptable.read_kinship_table`.
        least_kinship: Pairs below it are strangers.

    Raises:
        DataError: The table cannot be used.
    """
    table = read_kinship_table(path)
    pairs = _as_subjects(table.pairs)
    close = pairs.filter(pl.col("kinship") >= least_kinship).select("first", "second")
    for reason, (number, first) in table.left_out.items():
        say(f"ehr: {number} rows of {path.name} left out: {reason} (first: row {first})")
    cluster_of, num_text_ids = _clusters(close)
    num_distant = pairs.height - close.height
    return Families(cluster_of, close.height, num_text_ids, num_distant, table.num_rows - pairs.height)


def _as_subjects(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with numbers in one spelling: 007 and 7, or 1e+05 and 100000, are one subject."""
    names = [
        pl.coalesce(whole_numbers(pairs[name]).cast(pl.String), pairs[name].str.strip_chars()).alias(name)
        for name in ("first", "second")
    ]
    return pairs.with_columns(names)


def _clusters(pairs: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, codes = np.unique(pairs.to_numpy().astype(str), return_inverse=True)
    ends = codes.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(names),) * 2)
    component = connected_components(graph, directed=False)[1] if len(names) else np.zeros(0, dtype=np.int32)
    # A relative who is no subject still ties those who are; only integers can stand for a cluster.
    ids = pl.Series(names.tolist(), dtype=pl.String).cast(pl.Int64, strict=False)
    members = pl.DataFrame({"subject_id": ids, "component": component})
    num_text = members["subject_id"].null_count()
    members = members.drop_nulls().with_columns(cluster=pl.col("subject_id").min().over("component"))
    table = members.select("subject_id", "cluster").unique("subject_id", keep="first").sort("subject_id")
    return table, num_text


def members_among(families: Families, subjects: pl.DataFrame, where: object) -> pl.DataFrame:
    """Rows of ``cluster_of`` that are subjects, with what is known of them.

    Args:
        families: The clusters.
        subjects: A row per subject, with subject_id.
        where: The kinship table, for messages.

    Raises:
        DataError: There are pairs, and none of their ids is a subject's.
    """
    here = families.cluster_of.join(subjects, on="subject_id")
    if families.num_pairs and here.is_empty():
        raise DataError(
            "no id of the kinship table is a subject",
            where=where,
            found=f"{families.num_text_ids + families.cluster_of.height} other ids",
            expected="subject ids such as those of the records",
            remedy="name the samples by subject_id",
        )
    return here


def family_counts(families: Families, subjects: pl.DataFrame, where: Path) -> dict[str, int]:
    """Counts for the manifest, and a word on what the user should know.

    Args:
        families: The clusters.
        subjects: Every subject's subject_id and split.
        where: The kinship table, for messages.

    Returns:
        Rows, which are pairs, pairs of less kinship and rows left out; clusters of two subjects or more, the
        largest, ids that are no subject's, and clusters whose subjects do not share a split (splits that came
        with the data are kept).

    Raises:
        DataError: There are pairs, and none of their ids is a subject's.
    """
    here = members_among(families, subjects, where)
    unknown = families.num_text_ids + families.cluster_of.height - here.height
    if unknown:
        say(f"ehr: {unknown} ids of {where} are no subjects of these records")
    clusters = here.group_by("cluster").agg(
        pl.len().alias("size"), pl.col("split").n_unique().alias("splits")
    )
    clusters = clusters.filter(pl.col("size") > 1)
    torn = clusters.filter(pl.col("splits") > 1).height
    if torn:
        say(
            f"ehr: {torn} of {clusters.height} clusters of relatives lie in more than one split: "
            "splits that came with the data are kept; remove them to have new ones drawn"
        )
    return {
        "num_kinship_rows": families.num_pairs + families.num_distant + families.num_left_out,
        "num_kinship_pairs": families.num_pairs,
        "num_kinship_distant": families.num_distant,
        "num_kinship_left_out": families.num_left_out,
        "num_kinship_clusters": clusters.height,
        "num_kinship_largest": int(clusters["size"].max() or 0),  # type: ignore[arg-type]
        "num_kinship_unknown_ids": unknown,
        "num_kinship_torn": torn,
    }
