"""Relatives, so that a family never lies across train, tuning and held_out.

Reads kinship tables of any of the usual programs: ours (subject_id_1, subject_id_2, kinship), KING's ``.kin``
and ``.kin0`` (ID1, ID2, Kinship), plink2's ``--make-king-table`` (#IID1, IID2, KINSHIP; or ID1, ID2).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import DataError, first_line
from proband.core.progress import say
from proband.core.schema import as_text, read_parquet
from proband.ehr.config import THIRD_DEGREE as THIRD_DEGREE

_FIRST, _SECOND, _KINSHIP = ("subject_id_1", "iid1", "id1"), ("subject_id_2", "iid2", "id2"), ("kinship",)
_EXPECTED = (
    "subject_id_1, subject_id_2, kinship; or ID1, ID2, Kinship (KING); or #IID1, IID2, KINSHIP (plink2)"
)


@dataclass(frozen=True)
class Families:
    """Clusters of relatives.

    Attributes:
        cluster_of: subject_id and ``cluster``, the smallest subject_id of those it is related to by any
            chain of pairs, itself among them; one row per subject with a relative, sorted by subject_id.
        num_pairs: Pairs of at least the least kinship.
        num_text_ids: Ids in these pairs that are no integers, so those of no subject.
    """

    cluster_of: pl.DataFrame
    num_pairs: int
    num_text_ids: int

    def representatives(self, subject_ids: Int[np.ndarray, " subjects"]) -> Int[np.ndarray, " subjects"]:
        """The cluster of each subject; who has no relative is its own."""
        asked = pl.DataFrame({"subject_id": subject_ids}).with_columns(pl.col("subject_id").cast(pl.Int64))
        found = asked.join(self.cluster_of, on="subject_id", how="left", maintain_order="left")
        return found.select(pl.coalesce("cluster", "subject_id")).to_series().to_numpy()


def read_families(path: Path, least_kinship: float) -> Families:
    """Read a kinship table and join relatives into clusters.

    Args:
        path: Parquet, or text with a header line, separated by tabs, commas or single blanks; may be gzipped.
        least_kinship: Pairs below it are strangers.

    Raises:
        DataError: The file is missing or unreadable, lacks a column, or a kinship is no number.
    """
    pairs = _read_pairs(path)
    close = pairs.filter(pl.col("kinship") >= least_kinship).select("first", "second")
    return Families(*_clusters(close))


def _read_pairs(path: Path) -> pl.DataFrame:
    """``first`` and ``second`` as text, ``kinship`` as float64."""
    frame = read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    wanted = {"first": _FIRST, "second": _SECOND, "kinship": _KINSHIP}
    names = {name.lstrip("#").lower(): name for name in reversed(frame.columns)}
    found = {
        column: next((names[name] for name in known if name in names), None)
        for column, known in wanted.items()
    }
    if None in found.values():
        columns = f"columns {', '.join(frame.columns[:12])}"
        raise DataError("no kinship table", where=path, found=columns, expected=_EXPECTED)
    frame = pl.DataFrame([frame[str(name)].alias(column) for column, name in found.items()])
    frame = pl.DataFrame([as_text(column, path) for column in frame])
    kinship = frame["kinship"].cast(pl.Float64, strict=False)
    wrong = kinship.is_null() | ~kinship.fill_null(0).is_finite()
    if wrong.any():
        found_here = f"{wrong.sum()} rows, first {frame['kinship'].filter(wrong)[0]!r}"
        raise DataError("kinship is no number", where=path, found=found_here, expected="such as 0.25")
    text = pl.col("first", "second").str.strip_chars()
    # Numbers in one spelling: 007 and 7 are one subject.
    number = text.cast(pl.Int64, strict=False).cast(pl.String)
    frame = frame.with_columns(text, kinship).with_columns(number.fill_null(pl.col("first", "second")))
    if frame.select(pl.col("first", "second").null_count()).sum_horizontal().item():
        raise DataError("empty ids", where=path, expected="two ids in every row")
    return frame


def _read_text(path: Path) -> pl.DataFrame:
    try:
        head = (
            pl.read_csv(path, has_header=False, n_rows=1, separator="\x01", infer_schema=False).item() or ""
        )
        separator = next((mark for mark in "\t," if mark in head), " ")
        return pl.read_csv(path, separator=separator, infer_schema=False, truncate_ragged_lines=False)
    except FileNotFoundError:
        raise DataError("missing file", where=path) from None
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        found = first_line(error)
        raise DataError("unreadable kinship table", where=path, found=found, expected=_EXPECTED) from None


def _clusters(pairs: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
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
    return table, pairs.height, num_text


def family_counts(families: Families, subjects: pl.DataFrame, where: Path) -> dict[str, int]:
    """Counts for the manifest, and a word on what the user should know.

    Args:
        families: The clusters.
        subjects: Every subject's subject_id and split.
        where: The kinship table, for messages.

    Returns:
        Pairs, clusters of two subjects or more, the largest, ids that are no subject's, and clusters whose
        subjects do not share a split (splits that came with the data are kept).

    Raises:
        DataError: There are pairs, and none of their ids is a subject's.
    """
    here = families.cluster_of.join(subjects, on="subject_id")
    unknown = families.num_text_ids + families.cluster_of.height - here.height
    if families.num_pairs and here.is_empty():
        raise DataError(
            "no id of the kinship table is a subject",
            where=where,
            found=f"{unknown} other ids",
            expected="subject ids such as those of the records",
            remedy="name the samples by subject_id",
        )
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
        "num_kinship_pairs": families.num_pairs,
        "num_kinship_clusters": clusters.height,
        "num_kinship_largest": int(clusters["size"].max() or 0),  # type: ignore[arg-type]
        "num_kinship_unknown_ids": unknown,
        "num_kinship_torn": torn,
    }
