"""What the page says of resamples and of p values, from the manifest and the tables."""

from dataclasses import replace

import polars as pl
import pytest

from proband.report.sections.found import read_results
from proband.report.sections.methods import filled_checklists, how_made, uncertainty
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
        assert "over families (relatives to the third degree together; over subjects for PGS deciles" in text
    gains = pl.DataFrame({"difference": [0.1]})
    with_gains = replace(related, tables=dict(related.tables) | {"gains": gains})
    assert "for PGS deciles and mean gains over outcomes)" in replicates(with_gains)
    [said] = [row[2] for row in filled_checklists(related)[0][1].rows if row[0] == "23a"]
    assert said.startswith("Bootstrap over families")
    empty = {name: related.tables[name].clear() for name in ("deciles", "gains")}
    none = replace(related, tables=dict(related.tables) | empty)
    assert replicates(none) == "50, over families (relatives to the third degree together)"


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
