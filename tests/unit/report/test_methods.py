"""What the page says of resamples and of p values, from the manifest and the tables."""

from dataclasses import replace

import polars as pl
import pytest

from proband.core.files.provenance import stage_output
from proband.evaluate.sources import sources
from proband.report.sections.found import read_results
from proband.report.sections.methods import (
    TO_FILL,
    error_of_fit,
    filled_checklists,
    how_made,
    uncertainty,
)
from proband.report.sections.performance.outcomes import outcome_sections
from proband.report.tables import difference_table, num_adjusted


@pytest.fixture
def found(results):
    return read_results(results)


@pytest.fixture
def several(found):
    """The same with a second outcome that has p values."""
    rows = found.tables["differences"]
    second = rows.filter(outcome=found.firm[0]).with_columns(outcome=pl.lit("second"))
    return replace(found, tables=dict(found.tables) | {"differences": pl.concat([rows, second])})


def with_config(found, **settings):
    config = found.manifest["config"] | settings
    return replace(found, manifest=dict(found.manifest) | {"config": config})


def replicates(found):
    return next(fact.text for fact in how_made(found) if fact.title == "Bootstrap replicates")


def test_families_are_named_where_they_were_resampled(found):
    assert replicates(found) == "50, over subjects"
    assert "bootstrap over subjects;" in uncertainty(found)
    related = with_config(found, kinship="kinship.tsv")
    for text in (replicates(related), uncertainty(related)):
        assert "over families (relatives to the third degree together)" in text
    [said] = [row[2] for row in filled_checklists(related)[0][1].rows if row[0] == "23a"]
    assert said.startswith("Bootstrap over families")


def test_the_error_of_the_fit_is_said_where_risks_have_one(found):
    assert error_of_fit(found) == ""
    first, second = found.models[:2]
    notes = dict(found.manifest["notes"]) | {"error_of_fit": {first: 0.126, "not shown": 0.5, second: 0.3}}
    known = replace(found, manifest=dict(found.manifest) | {"notes": notes})
    assert error_of_fit(known).endswith(f"as a share of the risk, {first} 13%, {second} 30%.")


def test_p_values_are_said_to_be_adjusted_only_where_they_are(found, several, page):
    assert num_adjusted(several.tables["differences"]) == 2
    assert "Over up to 2 outcomes" in uncertainty(several)
    assert "false discovery rate" in uncertainty(several)
    assert num_adjusted(found.tables["differences"]) == 1
    assert "not adjusted for the number of comparisons" in uncertainty(found)
    assert uncertainty(found) in page
    assert "no p values" in uncertainty(with_config(found, bootstrap=0))


def test_adjusted_values_stand_beside_p_where_there_are_some(found, several):
    name = found.firm[0]
    section = next(one for one in outcome_sections(several) if one.title.lower().startswith(name[:4]))
    here = found.at(name, found.main[name])["differences"]
    row = here.filter(metric="auroc", model_a=here["model_a"][0]).row(0, named=True)
    table = section.main.differences
    assert list(table.header[:5]) == ["Difference", "AUROC", "p", "q", "p max-T"]
    for cell, key in zip(table.rows[0][2:5], ("p_value", "q_value", "p_value_max_t"), strict=True):
        assert cell == f"{row[key]:.3f}"
    bare = here.with_columns(pl.lit(None, pl.Float64).alias(key) for key in ("q_value", "p_value_max_t"))
    assert "q" not in difference_table(bare, adjusted=True).header
    assert "q" not in difference_table(here).header


def test_differences_of_too_many_pairs_are_named_instead(found, monkeypatch):
    pair = found.tables["differences"].with_columns(model_a=pl.lit("age_sex"), model_b=pl.lit("oracle"))
    tables = dict(found.tables) | {"differences": pl.concat([found.tables["differences"], pair])}
    several = replace(found, tables=tables)
    before = next(one.main for one in outcome_sections(several) if one.main is not None)
    assert before.pairs is not None
    assert before.missing == ""
    monkeypatch.setattr("proband.report.sections.performance.outcomes.MOST_ROWS", 0)
    after = next(one.main for one in outcome_sections(several) if one.main is not None)
    assert after.pairs is None
    assert after.missing.endswith("too many for a page; they are differences.parquet.")
    assert after.differences == before.differences


def filled(found, checklist, number):
    return next(row[2] for row in filled_checklists(found)[checklist][1].rows if row[0] == number)


def with_sources(found, **noted):
    notes = dict(found.manifest["notes"]) | {"sources": noted}
    return replace(found, manifest=dict(found.manifest) | {"notes": notes})


ANCESTRY = {"num_pcs": 10, "similarity_pcs": 5, "similarity": "forest", "adjust": ["Z_norm2"]}
GENOME = {
    "config": {"min_match_rate": 0.75, "keep_ambiguous": False, "match_by": "position", "ancestry": ANCESTRY},
    "counts": {
        "num_subjects": 6787, "num_variants": 20000, "num_variants_used": 19033, "num_scores": 78,
        "num_scores_left_out": 2, "num_scores_adjusted": 78, "num_ancestry_variants": 4970,
        "num_ancestry_fitted": 17,
    },
}  # fmt: skip
TOKENS = {"config": {"num_bins": 10, "min_values": 100}, "counts": {"num_vocabulary": 340}}


def test_what_earlier_stages_know_is_filled_in_without_counts_of_people(found):
    known = with_sources(found, genome=GENOME, tokens=TOKENS)
    assert filled(known, 0, "12b").startswith("Codes as tokens of a vocabulary of 340;")
    assert filled(known, 1, "5").endswith("from 4,970 variants; fitted on ≤20 samples.")
    assert filled(known, 1, "6").startswith(
        "6,790 subjects; 20,000 variants given, of which scores use 19,033."
    )
    score = filled(known, 1, "9")
    assert score.startswith("78 scores of scoring files")
    assert "2 scores with less than 75% matched were left out; 78 were adjusted" in score


OVERLAP = {
    "own_cohort": ["UKB"],
    "num_scores": 78,
    "num_scores_own_cohort": 12,
    "num_scores_cohort_unknown": 5,
}


def with_overlap(found, overlap, **noted):
    known = with_sources(found, **noted)
    notes = dict(known.manifest["notes"]) | {"sample_overlap": {"baselines": overlap}}
    return replace(known, manifest=dict(known.manifest) | {"notes": notes})


def test_source_cohorts_of_scores_are_told(found):
    assert filled(with_sources(found, genome=GENOME), 1, "9").endswith("Source of the weights: the author's.")
    said = filled(with_overlap(found, OVERLAP, genome=GENOME), 1, "9")
    assert (
        "Scores developed in UKB: 12 of 78; not known: 5; consortia are not resolved. Their gain may" in said
    )
    left = OVERLAP | {"num_scores_own_cohort": 0, "num_scores_cohort_left_out": 12}
    said = filled(with_overlap(found, left, genome=GENOME), 1, "9")
    assert said.endswith("UKB: 0 of 78; not known: 5; left out for it: 12; consortia are not resolved.")
    elsewhere = {"config": {"from_scores": ["a"]}, "counts": {"num_scores": 78, "num_subjects": 300}}
    said = filled(with_overlap(found, OVERLAP, genome=elsewhere), 1, "9")
    assert said.startswith("78 scores computed elsewhere. Scores developed in UKB: 12 of 78")


def test_scores_adjusted_in_all_ways_are_told_without_their_names(found):
    every = GENOME | {"config": GENOME["config"] | {"ancestry": ANCESTRY | {"adjust": None}}}
    said = filled(with_sources(found, genome=every), 1, "9")
    assert "78 were adjusted for principal components. " in said


def test_what_no_manifest_knows_is_left_to_the_author(found):
    for known in (with_sources(found), with_sources(found, genome={"config": {}, "counts": {}})):
        for checklist, number in ((0, "12b"), (1, "5"), (1, "6"), (1, "9")):
            assert filled(known, checklist, number) == TO_FILL
    without = GENOME | {"config": GENOME["config"] | {"ancestry": None}}
    known = with_sources(found, genome=without)
    assert filled(known, 1, "5") == TO_FILL
    assert "adjusted" not in filled(known, 1, "9")


def test_checklists_say_of_results_only_what_they_hold(found):
    """Rows of subgroups, deciles and intervals are said where they are, and left to the author elsewhere."""
    deciles = pl.DataFrame({"outcome": ["a"]})
    for rows, said in (
        (deciles.clear(), TO_FILL),
        (deciles, "Incidence by decile of one score per outcome."),
    ):
        tables = dict(found.tables) | {"deciles": rows, "decile_risks": rows.clear()}
        assert filled(replace(found, tables=tables), 1, "12") == said
    assert "with 95% intervals" in filled(found, 0, "12e")
    assert "interval" not in filled(with_config(found, bootstrap=0), 0, "12e")
    no_groups = {"subgroups": found.tables["subgroups"].clear(), "metrics": found.tables["metrics"].clear()}
    assert filled(replace(found, tables=dict(found.tables) | no_groups), 0, "14") == TO_FILL
    groups = pl.DataFrame({"dimension": ["sex", "age", "sex"]})
    some = replace(found, tables=dict(found.tables) | {"subgroups": groups})
    assert filled(some, 0, "14").startswith("Subgroups by age, sex, with gaps")
    assert "scikit-learn" in filled(found, 0, "18d-f")


def test_evaluate_notes_what_the_manifests_of_its_inputs_tell(tmp_path):
    for stage in ("genome", "tokens"):
        with stage_output(tmp_path / stage, stage=stage, config={"size": 3}) as run:
            run.counts["num_rows"] = 5
    noted = sources(genome=str(tmp_path / "genome"), tokens=None)
    assert noted == {"genome": {"config": {"size": 3}, "counts": {"num_rows": 5}}}
    assert sources(tokens=str(tmp_path / "genome"), genome=str(tmp_path)) == {}
