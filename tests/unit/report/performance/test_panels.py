"""What is drawn of one model: between any two of its figures lie none or more than 20 of each kind."""

from itertools import combinations, product

import pytest

from proband.core.statistics.suppress import boundaries, may_show
from proband.report.sections.found import read_results
from proband.report.sections.performance.panels import (
    acting_rows,
    calibration_groups,
    calibrations,
    curve_rows,
    judged,
)


def counts(rows):
    """Cases and others above each row."""
    pairs = rows.select("num_flagged", "num_flagged_cases").iter_rows()
    return [(cases, flagged - cases) for flagged, cases in pairs]


def test_no_two_figures_of_a_model_tell_a_small_count_of_cases_or_of_others(results):
    found = read_results(results)
    compared = 0
    for name, horizon in found.main.items():
        here = found.at(name, horizon)
        models = judged(here, found.models)
        groups, acting = calibration_groups(here, found, models), acting_rows(here, found)
        drawn = calibrations(here, found, groups)
        for model in models:
            curves = [one for one in curve_rows(model, here, found) if one.height >= 3]
            bounds = boundaries(groups[model][0]) if drawn[model].groups.height else []
            shown = [bounds, counts(acting[model]), *map(counts, curves)]
            for one, other in combinations(shown, 2):
                for (cases, others), (more, further) in product(one, other):
                    compared += 1
                    assert may_show(abs(cases - more))
                    assert may_show(abs(others - further))
    assert compared


@pytest.mark.parametrize("synthetic", [False, True])
def test_curves_go_through_the_thresholds_shown_and_those_of_synthetic_data_are_whole(results, synthetic):
    found = read_results(results, synthetic)
    for name, horizon in found.main.items():
        here = found.at(name, horizon)
        for model in judged(here, found.models):
            for kind, rows in zip(("roc", "pr"), curve_rows(model, here, found), strict=True):
                whole = here[kind].filter(model=model)
                assert rows.columns == whole.columns
                if synthetic:
                    assert rows.equals(whole)
                else:
                    assert set(counts(acting_rows(here, found)[model])) <= set(counts(rows))
                    assert rows["num_flagged"].is_sorted()
