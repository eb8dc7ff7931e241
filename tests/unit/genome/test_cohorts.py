import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.core.schema import MATCH, SCORES
from proband.evaluate.inputs import read_scores
from proband.genome import GenomeConfig, genome, genome_from_genome, genome_from_scores
from proband.genome.cohorts import SourceCohorts, is_developed_in, read_cohorts

CATALOG = (
    "Polygenic Score (PGS) ID,Stage of PGS Development,Number of Individuals,"
    '"Ancestry (e.g. French, Chinese)",Cohort(s),Additional Sample/Cohort Information\n'
)
"""Columns of the PGS Catalog's pgs_all_metadata_score_development_samples.csv, shortened."""
SAMPLES = """\
PGS000001,Source of Variant Associations (GWAS),5000,"British, Irish",UKB|FinnGen,
PGS000001,Score Development/Training,100,,,"a, b"
PGS000002,Source of Variant Associations (GWAS),5000,NR,MVP,
PGS000003,Source of Variant Associations (GWAS),5000,NR,MVP,
PGS000003,Score Development/Training,5000,NR,NR,
PGS000009,Source of Variant Associations (GWAS),5000,NR,BBJ,
"""
NAMES = ["PGS000001", "PGS000002", "PGS000003", "PGS000004"]
FLAGS = {"PGS000001": True, "PGS000002": False, "PGS000003": None, "PGS000004": None}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "score_development_samples.csv"
    path.write_text(CATALOG + SAMPLES)
    return path


@pytest.fixture
def scored(pgen, scores, tmp_path, table):
    """A genome folder of four scores whose source cohorts are marked."""
    for number, name in enumerate(NAMES):
        folder = scores(f"{name}.txt", [["1", 10, "G", "A", number + 1]])
    genotypes = pgen([("1", 10, "A", "G"), ("1", 20, "C", "T")], [[0, 1, 2], [1, 1, 0]])
    config = GenomeConfig(own_cohort=("ukb",))
    genome(genotypes, folder, tmp_path / "all", config=config, development=table)
    return tmp_path / "all"


def flags_of(folder):
    about = json.loads((folder / "scores.json").read_text())
    return {name: entry["own_cohort"] for name, entry in about.items()}


def counts_of(folder):
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    return {name: value for name, value in counts.items() if "cohort" in name or name == "num_scores"}


def test_scores_are_marked_by_hand(scored, tmp_path, capsys):
    assert flags_of(scored) == FLAGS
    about = json.loads((scored / "scores.json").read_text())
    cohorts = [about[name]["cohorts"] for name in NAMES]
    assert cohorts == [["FinnGen", "UKB"], ["MVP"], ["MVP"], None]
    assert counts_of(scored) == {
        "num_scores": 4, "num_scores_own_cohort": 1, "num_scores_cohort_unknown": 2,
    }  # fmt: skip
    genome_from_genome(scored, tmp_path / "again")
    said = capsys.readouterr().err
    assert "genome: scores developed in ukb: 1 of 4; not known: 2. Their gain may be inflated" in said


@pytest.mark.parametrize(
    ("leave_out", "kept"),
    [("none", NAMES), ("own", NAMES[1:]), ("own-or-unknown", ["PGS000002"])],
)
def test_scores_of_the_own_cohort_are_left_out(scored, tmp_path, leave_out, kept):
    (scored / "adjusted").mkdir()
    raw = SCORES.read(scored / "scores.parquet")
    raw.with_columns(pl.col(NAMES) * 2).write_parquet(scored / "adjusted" / "Z_norm2.parquet")
    out = tmp_path / "some"
    genome_from_genome(scored, out, leave_out=leave_out)
    assert SCORES.read(out / "scores.parquet").equals(raw.select("subject_id", *kept))
    assert read_scores(out).frame.equals(raw.select("subject_id", pl.col(kept) * 2))
    assert flags_of(out) == {name: FLAGS[name] for name in kept}
    assert MATCH.read(out / "match.parquet")["pgs_id"].to_list() == kept
    assert counts_of(out) == {
        "num_scores": len(kept),
        "num_scores_own_cohort": int(leave_out == "none"),
        "num_scores_cohort_unknown": 0 if leave_out == "own-or-unknown" else 2,
        "num_scores_cohort_left_out": 4 - len(kept),
    }
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert counts["num_subjects"] == 3
    assert "num_variants_used" not in counts  # of all scores together


def test_cohorts_are_told_of_scores_made_before(pgen, scores, tmp_path, table):
    for name in NAMES[:2]:
        folder = scores(f"{name}.txt", [["1", 10, "G", "A", 1]])
    before, after = tmp_path / "before", tmp_path / "after"
    genome(pgen([("1", 10, "A", "G")], [[0, 1, 2]]), folder, before)
    assert "own_cohort" not in json.loads((before / "scores.json").read_text())["PGS000001"]
    with pytest.raises(ConfigError, match=r"without known source cohorts.*give --development"):
        genome_from_genome(before, after, leave_out="own")
    genome_from_genome(before, after, development=table, own_cohort=("MVP",), leave_out="own")
    assert flags_of(after) == {"PGS000001": None}
    with pytest.raises(ConfigError, match="other settings"):
        genome_from_genome(before, after, development=table, own_cohort=("UKB",), leave_out="own")
    with pytest.raises(ConfigError, match="other settings"):
        genome_from_genome(before, after, development=table, own_cohort=("MVP",))
    both = {"development": table, "own_cohort": ("MVP", "UKB"), "overwrite": True}
    with pytest.raises(DataError, match=r"no score is left.*2 scores"):
        genome_from_genome(before, after, leave_out="own", **both)
    assert flags_of(after) == {"PGS000001": None}  # what was there stays


def test_scores_of_other_programs_are_found_by_the_catalog_s_identifier(tmp_path, table, capsys):
    path = tmp_path / "scores.sscore"
    path.write_text("#IID\tPGS000001_hmPOS_GRCh38_SUM\tPGS000002_SUM\tmine_SUM\n1\t1\t2\t3\n2\t2\t1\t3\n")
    genome_from_scores([path], tmp_path / "genome", development=table, own_cohort=("UKB",))
    assert list(flags_of(tmp_path / "genome").values()) == [True, False, None]
    assert counts_of(tmp_path / "genome")["num_scores_own_cohort"] == 1
    assert "score_development_samples.csv has no row of 1 of 3 scores" in capsys.readouterr().err


def test_a_subset_keeps_what_the_folder_knew(scored, tmp_path, table):
    """Own cohorts and scores left out add up; adjusted scores are counted anew."""
    (scored / "adjusted").mkdir()
    raw = SCORES.read(scored / "scores.parquet")
    raw.select("subject_id", *NAMES[1:]).write_parquet(scored / "adjusted" / "Z_norm2.parquet")
    genome_from_genome(scored, tmp_path / "again", development=table)
    assert flags_of(tmp_path / "again") == FLAGS
    genome_from_genome(tmp_path / "again", tmp_path / "one", leave_out="own")
    options = {"development": table, "own_cohort": ("MVP",), "leave_out": "own"}
    genome_from_genome(tmp_path / "one", tmp_path / "two", **options)
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["config"]["own_cohort"] == ["ukb", "MVP"]
    assert manifest["counts"]["num_scores_cohort_left_out"] == 3
    assert flags_of(tmp_path / "two") == {"PGS000004": None}
    assert manifest["counts"]["num_scores_adjusted"] == 1


def test_a_folder_without_a_score_to_read_is_no_genome_folder(scored, tmp_path):
    """Readers take the adjusted scores: one that is left without them counts for nothing."""
    (scored / "adjusted").mkdir()
    raw = SCORES.read(scored / "scores.parquet")
    raw.select("subject_id", "PGS000001").write_parquet(scored / "adjusted" / "Z_norm2.parquet")
    with pytest.raises(DataError, match="no score is left"):
        genome_from_genome(scored, tmp_path / "none", leave_out="own")
    assert not (tmp_path / "none").exists()


def test_a_plain_table_will_do(tmp_path):
    path = tmp_path / "cohorts.tsv"
    path.write_text("cohorts\tpgs_id\nUKB; MVP\tA\n\tA\nNR\tB\nOther\tB\n")
    found = {"A": [frozenset({"UKB", "MVP"}), frozenset()], "B": [frozenset(), frozenset()]}
    assert read_cohorts(path) == found
    path = tmp_path / "cohorts.csv"
    rows = 'A,"two\nlines, of text","UKB, MVP"\nA,x\nB,,Not reported\nB,,multiple\n'
    path.write_text(f"pgs_id,notes,cohorts\n{rows}")
    assert read_cohorts(path) == found


def test_cohorts_called_much_like_the_own_one_are_named(tmp_path, capsys):
    path = tmp_path / "cohorts.csv"
    path.write_text("pgs_id,cohorts\nA,UKB\nB,UKB (first release)\nC,MVP\n")
    SourceCohorts.read(path, ["ukb"])
    assert "cohorts.csv also names UKB (first release)" in capsys.readouterr().err
    SourceCohorts.read(path, [])
    assert "without --own-cohort no score is marked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "pgs_id,trait\nA,height\n",
            "no table of source cohorts.*found pgs_id, trait.*expected columns pgs_id",
        ),
        ("", "no table of source cohorts.*no row"),
        ("pgs_id,cohorts\n,UKB\n", "a row without a score.*line 2"),
        ("pgs_id,cohorts\nA,MVP,UKB\n", "more values than the table has columns.*3 in line 2.*with |"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_an_unusable_table_is_refused(tmp_path, text, error):
    path = tmp_path / "cohorts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=error):
        read_cohorts(path)


def test_a_misspelt_cohort_is_refused_not_taken_for_an_absent_one(table):
    with pytest.raises(ConfigError, match=r"no score was developed in this cohort.*did you mean FinnGen"):
        SourceCohorts.read(table, ["Fingen"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "b", "OUT", "--own-cohort", "UKB"], "--own-cohort without the cohorts of scores"),
        (["a", "b", "OUT", "--leave-out", "own"], "--leave-out without --from-genome"),
        (["--from-genome", "a", "--from-scores", "b", "OUT"], "exclude each other"),
        (["--from-genome", "a", "OUT", "--keep", "b"], "--keep is of no use with --from-genome"),
        (["--from-genome", "a", "OUT", "--own-cohort", "UKB"], "--own-cohort without the cohorts of scores"),
        (["--from-genome", "a", "b", "OUT"], "unusable arguments"),
        (["--from-genome", "a", "OUT", "--min-match-rate", "0.9"], "--min-match-rate is of no use with"),
        (["--from-genome", "a", "OUT", "--min-match-rate", "0"], "--min-match-rate is of no use with"),
        (["--from-scores", "a", "OUT", "--match-by", "id"], "--match-by is of no use with --from-scores"),
        (["--from-scores", "a", "OUT", "--keep", "b"], "--keep is of no use with --from-scores"),
    ],
)
def test_options_that_exclude_each_other(tmp_path, words, said):
    named = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(app, ["genome", *named], catch_exceptions=False)
    assert not (tmp_path / "out").exists()


COHORTS = st.frozensets(st.sampled_from(["UKB", "MVP", "BBJ", "FinnGen"]), max_size=3)


@given(st.lists(COHORTS, max_size=4), st.sets(st.sampled_from(["ukb", "Mvp"]), min_size=1))
def test_a_score_is_external_only_if_every_sample_is_known_to_be(samples, own):
    wanted = {name.lower() for name in own}
    inside = [any(name.lower() in wanted for name in cohorts) for cohorts in samples]
    found = is_developed_in(samples, sorted(own))
    assert (found is True) == any(inside)
    assert (found is False) == (bool(samples) and all(samples) and not any(inside))


def test_a_score_that_has_seen_the_people_tells_of_a_trait_that_nothing_causes(pgen, scores, tmp_path):
    """Weights of an association study in the people judged separate their cases; without it nothing does."""
    rng = np.random.default_rng(0)
    sites = [("1", 10 * number, "A", "G") for number in range(1, 301)]
    mine, others = (rng.binomial(2, 0.3, (300, 400)) for _ in range(2))
    case, case_of_others = rng.random(400) < 0.3, rng.random(400) < 0.3
    for name, calls, trait in (("OWN", mine, case), ("OTHER", others, case_of_others)):
        weights = (calls - calls.mean(1, keepdims=True)) @ (trait - trait.mean()) / 400
        rows = [
            ["1", position, "G", "A", weight]
            for (_, position, *_), weight in zip(sites, weights, strict=True)
        ]
        folder = scores(f"{name}.txt", rows)
    (tmp_path / "cohorts.csv").write_text("pgs_id,cohorts\nOWN,UKB\nOTHER,MVP\n")
    config = GenomeConfig(own_cohort=("UKB",))
    genome(pgen(sites, mine), folder, tmp_path / "all", config=config, development=tmp_path / "cohorts.csv")
    genome_from_genome(tmp_path / "all", tmp_path / "others", leave_out="own")
    found = SCORES.read(tmp_path / "all" / "scores.parquet")
    assert roc_auc_score(case, found["OWN"]) > 0.8
    left = SCORES.read(tmp_path / "others" / "scores.parquet")
    assert left.columns == ["subject_id", "OTHER"]
    assert abs(roc_auc_score(case, left["OTHER"]) - 0.5) < 0.1  # standard error 0.03
