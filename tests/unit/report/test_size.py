"""A page of many outcomes and models leaves figures out rather than grow without end."""

import pytest

from proband.report.html import render
from proband.report.sections.found import read_results
from proband.report.sections.page import content
from proband.report.size import render_within


@pytest.fixture(scope="module")
def filled(results):
    return content(read_results(results, synthetic=True), None)


def megabytes(page):
    return len(page.encode()) / 1e6


def outcome_pages(page):
    """The text of each outcome's own page, up to the next."""
    _, *parts = page.split('<details class="outcome" id="')
    return {part[: part.index('"')]: part.partition("</section>")[0] for part in parts}


def test_a_page_that_is_small_enough_has_every_figure(filled):
    page = render_within(filled)
    assert page == render({**filled, "most_megabytes": 6})
    assert "No figures" not in page


def test_the_outcome_of_fewest_cases_loses_its_figures_first(filled, capsys):
    whole = render_within(filled)
    drawn = [one for one in filled["outcomes"] if one.figures]
    assert len(drawn) > 1
    fewest = min(drawn, key=lambda one: one.num_cases)
    page = render_within(filled, megabytes(whole) - 1e-6)
    without = {name for name, text in outcome_pages(page).items() if "No figures" in text}
    assert without == {fewest.anchor}
    assert "<svg" not in outcome_pages(page)[fewest.anchor]
    assert megabytes(page) < megabytes(whole)
    assert f"figures of 1 of {len(filled['outcomes'])} outcomes left out" in capsys.readouterr().err


def test_with_no_room_at_all_tables_and_panels_side_by_side_stay(filled):
    page = render_within(filled, 0.0)
    assert all("<svg" not in text for text in outcome_pages(page).values())
    assert "<svg" in page
    assert page.count("<table") == render_within(filled).count("<table")
