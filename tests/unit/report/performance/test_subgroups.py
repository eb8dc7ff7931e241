import polars as pl
import pytest

from proband.evaluate.tables import SUBGROUPS
from proband.report.sections.found import read_results
from proband.report.sections.performance.subgroups import subgroups


@pytest.fixture
def found(results):
    return read_results(results)


def test_only_subgroups_with_intervals_stand_on_the_page_and_without_counts(found, page):
    said = subgroups(found)
    shown = found.at_main("subgroups").filter(pl.col("model").is_in(found.own), metric="auroc")
    shown = shown.drop_nulls("low")
    assert len(said.whole.rows) == 2 * shown.height  # AUROC and observed over expected
    assert "Subgroup" in said.whole.header
    assert not any("subjects" in name.lower() or "cases" in name.lower() for name in said.whole.header)
    assert said.sentence in page
    assert 'id="subgroups"' in page


def test_gaps_apart_from_nothing_are_counted_beside_those_that_chance_would_show(found):
    rows = found.tables["subgroups"].filter(metric="auroc").drop_nulls("gap_low")
    wide = pl.lit(0.3)
    first = pl.int_range(pl.len()) == 0
    changed = rows.with_columns(
        pl.when(first).then(wide).otherwise(-wide).alias("gap_low"), wide.alias("gap_high"), gap=wide
    )
    tables = dict(found.tables) | {"subgroups": SUBGROUPS.check(changed, "subgroups")}
    said = subgroups(type(found)(tables, found.manifest, found.rules))
    height = (
        changed.join(
            pl.DataFrame({"outcome": list(found.main), "horizon_years": list(found.main.values())}),
            on=["outcome", "horizon_years"],
            how="semi",
        )
        .filter(pl.col("model").is_in(found.own))
        .height
    )
    assert f"Of {height} gaps" in said.sentence
    assert "1 have a 95% interval that excludes 0" in said.sentence
    assert len(said.apart.rows) == 1
    assert "0.300 (0.300 to 0.300)" in said.apart.rows[0]


def test_tables_too_long_for_a_page_are_named_instead(found, monkeypatch):
    assert subgroups(found).missing == ""
    monkeypatch.setattr("proband.report.sections.performance.subgroups.MOST_ROWS", 1)
    said = subgroups(found)
    assert said.whole is None
    assert said.others is None
    assert said.missing.endswith("too long for a page; it is subgroups.parquet.")
    assert said.dimensions


def test_without_subgroups_there_is_no_panel(found):
    tables = dict(found.tables) | {"subgroups": SUBGROUPS.empty()}
    assert subgroups(type(found)(tables, found.manifest, found.rules)) is None


def test_each_dimension_is_drawn_and_further_metrics_stand_in_one_row_a_subgroup(found):
    said = subgroups(found)
    rows = found.at_main("subgroups").filter(pl.col("model").is_in(found.own)).drop_nulls("low")
    for one in said.dimensions:
        mine = rows.filter(metric="auroc", dimension=one.name.replace(" ", "_"))
        assert len(one.pictures[0].rows) == mine.select("outcome", "subgroup").n_unique()
        assert sum(row.svg.count("whisker") for row in one.pictures[0].rows) == mine.height
    header = said.others.header
    assert "ICI" in header
    first = said.others.rows[0]
    outcome, model = first[0], first[2]
    dimension, subgroup = first[1].split(": ")
    here = rows.filter(
        pl.col("outcome").str.replace_all("_", " ").str.to_lowercase() == outcome.lower(), model=model,
        dimension=dimension.lower().replace(" ", "_"), subgroup=subgroup,
    )  # fmt: skip
    row = here.filter(metric="ici").row(0, named=True)
    assert first[header.index("ICI")] == f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
    at_incidence = here.filter(metric="standardised_net_benefit").sort("threshold")["value"][1]
    assert first[-1].replace("−", "-").startswith(f"{at_incidence:.3f} (")


def test_net_benefit_of_subgroups_is_that_at_the_incidence_whatever_thresholds_were_stated(found):
    rows = found.tables["subgroups"]
    benefit = pl.col("metric") == "standardised_net_benefit"
    lowest = rows.filter(
        benefit, pl.col("threshold") == pl.col("threshold").min().over("outcome", "horizon_years")
    )
    stated = lowest.with_columns(threshold=pl.lit(1e-4), value=pl.lit(-9.0))
    tables = dict(found.tables) | {"subgroups": SUBGROUPS.check(pl.concat([rows, stated]), "subgroups")}
    assert stated.height
    more = subgroups(type(found)(tables, found.manifest, found.rules))
    assert more.others == subgroups(found).others
    assert any(row[-1] != "–" for row in more.others.rows)
