from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.config import validated
from proband.core.errors import ConfigError, DataError
from proband.ehr import ehr
from proband.ehr.config import EhrConfig
from proband.ehr.meds.dataset import BIRTH
from proband.ehr.meds.kinship import THIRD_DEGREE, Families, read_families
from proband.ehr.meds.splits import assign_splits

SHARES = (0.6, 0.2, 0.2)
SUBJECT = st.integers(1, 40)
PAIRS = st.lists(st.tuples(SUBJECT, SUBJECT), max_size=40)
OURS = "subject_id_1\tsubject_id_2\tkinship\n"


def table(path: Path, pairs: list[tuple[int, int]], kinship: float = 0.25) -> Path:
    path.write_text(OURS + "".join(f"{one}\t{other}\t{kinship}\n" for one, other in pairs))
    return path


def reachable(pairs: list[tuple[int, int]], start: int) -> set[int]:
    """By hand: everyone tied to ``start`` by a chain of pairs."""
    found = {start}
    while True:
        more = {b for a, b in pairs if a in found} | {a for a, b in pairs if b in found}
        if more <= found:
            return found
        found |= more


@settings(max_examples=40)
@given(PAIRS, st.integers(0, 1000))
def test_relatives_share_a_split_and_others_keep_theirs(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], seed: int
) -> None:
    families = read_families(table(tmp_path_factory.mktemp("kin") / "kin.tsv", pairs), THIRD_DEGREE)
    ids = np.arange(1, 41)
    split = dict(zip(ids, assign_splits(ids, SHARES, seed, families), strict=True))
    alone = dict(zip(ids, assign_splits(ids, SHARES, seed), strict=True))
    assert all(split[one] == split[other] for one, other in pairs)
    for subject in ids:
        assert split[subject] == alone[min(reachable(pairs, int(subject)))]


@settings(max_examples=30)
@given(PAIRS, st.lists(st.tuples(st.integers(100, 120), st.integers(100, 120)), min_size=1, max_size=9))
def test_people_elsewhere_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], elsewhere: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("kin")
    few = read_families(table(folder / "few.tsv", pairs), THIRD_DEGREE)
    more = read_families(table(folder / "more.tsv", pairs + elsewhere), THIRD_DEGREE)
    ids = np.arange(1, 41)
    assert assign_splits(ids, SHARES, 0, few).equals(assign_splits(ids, SHARES, 0, more))


def test_shares_hold_among_clusters(tmp_path: Path) -> None:
    pairs = [(2 * k, 2 * k + 1) for k in range(1, 20_001)]
    families = read_families(table(tmp_path / "kin.tsv", pairs), THIRD_DEGREE)
    split = assign_splits(np.array([one for one, _ in pairs]), SHARES, 1, families)
    for name, share in zip(("train", "tuning", "held_out"), SHARES, strict=True):
        # Five standard errors of a binomial share.
        assert (split == name).mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 20_000))


def clusters(families: Families) -> dict[int, int]:
    return dict(families.cluster_of.rows())


@pytest.mark.parametrize(
    "text",
    [
        "subject_id_1\tsubject_id_2\tkinship\trelationship\n7\t9\t0.25\tfull_sibs\n7\t30\t0.01\tother\n",
        "#FID1\tIID1\tFID2\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP\nf\t7\tf\t9\t99\t0.1\t0\t0.25\nf\t7\tg\t30\t9\t0\t0\t0.01\n",
        "#IID1\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP\n9\t7\t99\t0.1\t0\t0.2509\n7\t30\t99\t0.1\t0\t-0.2\n",
        "FID1\tID1\tFID2\tID2\tN_SNP\tHetHet\tIBS0\tKinship\n1\t007\t2\t9\t99\t0.1\t0\t0.25\n1\t7\t2\t30\t99\t0\t0\t0.04\n",
        "FID\tID1\tID2\tN_SNP\tZ0\tPhi\tHetHet\tIBS0\tKinship\tError\n1\t7\t9\t99\t0\t0.25\t0.1\t0\t0.24\t0\n",
        "subject_id_1,subject_id_2,kinship\n7,9,0.25\n",
        "ID1 ID2 Kinship\n7 9 0.25\n",
    ],
    ids=["ours", "plink2 with families", "plink2", "king kin0", "king kin", "commas", "blanks"],
)
def test_tables_of_the_usual_programs_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "kin.txt").write_text(text)
    with gzip.open(tmp_path / "kin.txt.gz", "wt") as file:
        file.write(text)
    for name in ("kin.txt", "kin.txt.gz"):
        families = read_families(tmp_path / name, THIRD_DEGREE)
        assert clusters(families) == {7: 7, 9: 7}
        assert (families.num_pairs, families.num_text_ids) == (1, 0)


def test_parquet_is_read_and_the_bound_belongs_to_relatives(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"subject_id_1": [3, 5], "subject_id_2": [4, 6], "kinship": [THIRD_DEGREE, THIRD_DEGREE - 1e-6]}
    )
    frame.write_parquet(tmp_path / "kin.parquet")
    assert clusters(read_families(tmp_path / "kin.parquet", THIRD_DEGREE)) == {3: 3, 4: 3}
    assert clusters(read_families(tmp_path / "kin.parquet", 0.01)) == {3: 3, 4: 3, 5: 5, 6: 5}


def test_a_relative_without_records_still_ties_those_who_have(tmp_path: Path) -> None:
    (tmp_path / "kin.tsv").write_text(OURS + "7\tNA12878\t0.25\nNA12878\t9\t0.25\n")
    families = read_families(tmp_path / "kin.tsv", THIRD_DEGREE)
    assert clusters(families) == {7: 7, 9: 7}
    assert families.num_text_ids == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", r"no kinship table; .*found columns a, b; expected .*ID1, ID2, Kinship"),
        (OURS + "1\t2\tsibs\n", r"kinship is no number; .*found 1 rows, first 'sibs'"),
        (OURS + "1\t2\tinf\n", r"kinship is no number; .*first 'inf' in row 1"),
        (
            OURS + "1\t2\tnan\n",
            r"no usable row in the kinship table; .*1 rows without a kinship, first row 1: .*'nan'",
        ),
        (OURS + "1\t2\t\n", r"no usable row in the kinship table; .*1 rows without a kinship"),
        (OURS + "1\t\t0.25\n", r"no usable row in the kinship table; .*1 rows without two ids"),
        ("", r"unreadable kinship table"),
    ],
)
def test_unusable_tables_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "kin.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_families(tmp_path / "kin.tsv", THIRD_DEGREE)


def test_every_row_is_a_pair_or_left_out_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = '"1e+05"\t"7"\t0.25\n7\t9\t0.01\n7\t\t0.25\n8\t9\tNA\n\n9\t10\t\n'
    (tmp_path / "kin.tsv").write_text(OURS + rows)
    families = read_families(tmp_path / "kin.tsv", THIRD_DEGREE)
    assert clusters(families) == {7: 7, 100000: 7}
    assert (families.num_pairs, families.num_distant, families.num_left_out) == (1, 1, 3)
    said = capsys.readouterr().err
    assert "1 rows of kin.tsv left out: without two ids (first: row 3)" in said
    assert "2 rows of kin.tsv left out: without a kinship (first: row 4)" in said


def test_more_than_the_kinship_of_twins_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a table of relatedness, by which relatives of the fourth degree would count as of the third."""
    read_families(table(tmp_path / "twins.tsv", [(1, 2)], 0.5), THIRD_DEGREE)
    assert "twins" not in capsys.readouterr().err.replace("twins.tsv", "")
    read_families(table(tmp_path / "grm.tsv", [(1, 2), (3, 4)], 0.98), THIRD_DEGREE)
    said = capsys.readouterr().err
    assert "grm.tsv: 2 of 2 pairs have a kinship above 0.55, where that of twins is 0.5" in said
    assert "the first 0.98 of 1 and 2; if these are relatedness" in said


def test_missing_and_binary_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing file.*expected .*remedy: check the path"):
        read_families(tmp_path / "none.tsv", THIRD_DEGREE)
    with pytest.raises(DataError, match="missing file"):
        read_families(tmp_path / "none.parquet", THIRD_DEGREE)
    (tmp_path / "kin.kin0").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(DataError, match=r"unreadable kinship table|no kinship table"):
        read_families(tmp_path / "kin.kin0", THIRD_DEGREE)


@pytest.fixture
def source(events: Callable, meds: Callable) -> Path:
    """Two hundred subjects, ids 1 to 200."""
    born = datetime(1950, 1, 1)
    return meds({"0": events(*((subject, born, BIRTH) for subject in range(1, 201)))})


def counts(out: Path) -> dict[str, int]:
    return json.loads((out / "manifest.json").read_text())["counts"]


def splits(out: Path) -> dict[int, str]:
    return dict(pl.read_parquet(out / "metadata" / "subject_splits.parquet").rows())


def test_the_stage_keeps_relatives_together_and_counts(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [(3 * k, 3 * k + 1) for k in range(1, 60)] + [(3 * k + 1, 3 * k + 2) for k in range(1, 60)]
    kinship = table(tmp_path / "kin.tsv", [*pairs, (5, 999)])
    ehr(source, tmp_path / "out", kinship=kinship, config=EhrConfig(splits=SHARES), workers=1)
    found = splits(tmp_path / "out")
    assert all(found[one] == found[other] for one, other in pairs)
    assert len(set(found.values())) == 3
    made = counts(tmp_path / "out")
    names = ("rows", "pairs", "distant", "left_out", "clusters", "largest", "unknown_ids", "torn")
    assert [made[f"num_kinship_{name}"] for name in names] == [119, 119, 0, 0, 59, 3, 1, 0]
    assert "1 ids of" in capsys.readouterr().err
    ehr(source, tmp_path / "alone", config=EhrConfig(splits=SHARES), workers=1)
    alone = splits(tmp_path / "alone")
    assert any(alone[one] != alone[other] for one, other in pairs)
    assert {found[one] for one in (1, 2)} == {alone[one] for one in (1, 2)}
    assert not any(name.startswith("num_kinship") for name in counts(tmp_path / "alone"))


def test_splits_that_came_win_and_torn_clusters_are_said(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given_splits = pl.DataFrame(
        {"subject_id": [1, 2, 3, 4], "split": ["train", "held_out", "train", "train"]}
    )
    (source / "metadata").mkdir(exist_ok=True)
    given_splits.write_parquet(source / "metadata" / "subject_splits.parquet")
    kinship = table(tmp_path / "kin.tsv", [(1, 2), (3, 4)])
    ehr(source, tmp_path / "out", kinship=kinship, workers=1)
    assert [splits(tmp_path / "out")[subject] for subject in (1, 2, 3, 4)] == given_splits["split"].to_list()
    assert counts(tmp_path / "out")["num_kinship_torn"] == 1
    assert "1 of 2 clusters of relatives lie in more than one split" in capsys.readouterr().err


def test_relatives_take_the_split_that_one_of_them_came_with(source: Path, tmp_path: Path) -> None:
    """Of 30 pairs one came with held_out; of a family of two splits the third is drawn."""
    came = [3 * k for k in range(1, 31)]
    given_splits = pl.DataFrame(
        {"subject_id": [*came, 101, 102], "split": ["held_out"] * 30 + ["train", "tuning"]}
    )
    (source / "metadata").mkdir(exist_ok=True)
    given_splits.write_parquet(source / "metadata" / "subject_splits.parquet")
    kinship = table(tmp_path / "kin.tsv", [*((one, one + 1) for one in came), (101, 103), (103, 102)])
    ehr(source, tmp_path / "out", kinship=kinship, workers=1)
    found = splits(tmp_path / "out")
    assert {found[one + 1] for one in came} == {"held_out"}
    assert counts(tmp_path / "out")["num_kinship_torn"] == 1
    assert counts(tmp_path / "out")["num_drawn_splits"] == 200 - 30 - 30 - 2
    assert set(found) == set(range(1, 201))


def test_a_table_without_relatives_changes_nothing(source: Path, tmp_path: Path) -> None:
    ehr(source, tmp_path / "alone", workers=1)
    for name, kinship in (
        ("empty", table(tmp_path / "0.tsv", [])),
        ("far", table(tmp_path / "1.tsv", [(1, 2)], 0.01)),
    ):
        ehr(source, tmp_path / name, kinship=kinship, workers=1)
        assert splits(tmp_path / name) == splits(tmp_path / "alone")
        made = counts(tmp_path / name)
        of_rows = {"num_kinship_rows", "num_kinship_distant"}
        assert {made[key] for key in made if key.startswith("num_kinship") and key not in of_rows} == {0}
        assert {made[key] for key in of_rows} == {int(name == "far")}


def test_a_table_of_other_people_is_an_error(source: Path, tmp_path: Path) -> None:
    kinship = table(tmp_path / "kin.tsv", [(7001, 7002)])
    with pytest.raises(DataError, match=r"no id of the kinship table is a subject; .*found 2 other ids"):
        ehr(source, tmp_path / "out", kinship=kinship, workers=1)
    assert not (tmp_path / "out").exists()


def test_another_kinship_table_is_another_output(source: Path, tmp_path: Path) -> None:
    ehr(source, tmp_path / "out", workers=1)
    kinship = table(tmp_path / "kin.tsv", [(1, 2)])
    with pytest.raises(ConfigError, match=r"kinship_threshold None, now 0\.0442"):
        ehr(source, tmp_path / "out", kinship=kinship, workers=1)
    ehr(source, tmp_path / "again", kinship=kinship, workers=1)
    table(tmp_path / "kin.tsv", [(1, 3)])
    with pytest.raises(ConfigError, match="other inputs"):
        ehr(source, tmp_path / "again", kinship=kinship, workers=1)
    with pytest.raises(ConfigError, match="unusable --kinship-threshold"):
        ehr(
            source,
            tmp_path / "third",
            kinship=kinship,
            config=validated(EhrConfig, kinship_threshold=0.7),
            workers=1,
        )
