"""Everything that the template is filled with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from proband.report.figures import curves as figures
from proband.report.figures.calibration import calibration_panel
from proband.report.figures.colours import model_colours
from proband.report.sections import cohort
from proband.report.sections.answers import answers, auroc_forest, gain_forest
from proband.report.sections.explained import explained_section
from proband.report.sections.found import Found, is_control
from proband.report.sections.methods import error_of_fit, filled_checklists, how_made, how_stage, uncertainty
from proband.report.sections.performance.distance import by_distance
from proband.report.sections.performance.learning import learning
from proband.report.sections.performance.outcomes import outcome_sections
from proband.report.sections.performance.panels import (
    Figure,
    calibration_groups,
    calibrations,
    chosen_deciles,
    decile_risks,
    decision_figure,
    judged,
)
from proband.report.sections.performance.stability import stability
from proband.report.sections.performance.subgroup_gains import subgroup_gains
from proband.report.sections.performance.subgroups import subgroups
from proband.report.sections.simulated import simulated_section
from proband.report.tables import plain

_CONTENTS = (
    ("overview", "At a glance"),
    ("calibration", "Calibration and decisions"),
    ("deciles", "PGS deciles"),
    ("subgroups", "Subgroups"),
    ("stability", "Stability"),
    ("learning", "Learning curves"),
    ("cohort", "Cohort"),
    ("outcomes", "Outcomes"),
    ("why", "Why these risks"),
    ("simulated", "Simulated futures"),
    ("methods", "Methods"),
    ("checklists", "Checklists"),
    ("limits", "Limits"),
)
_JUDGED_IN = {
    "held_out": "in people it had not seen",
    "tuning": "in the people on whom its settings were chosen",
    "train": "in the people it was fitted to",
}
_SPLIT_BANNERS = {
    "tuning": (
        "Tuning split.",
        "Settings of the models were chosen on these people: in others they may do worse.",
    ),
    "train": (
        "Train split.",
        "The models were fitted to these people: nothing here shows how they do in others.",
    ),
}
_HIDING_NOTE = (
    "Between two points of a curve lie at least 21 onsets and 21 others; groups and deciles with fewer are "
    "merged. Where too few points are left to draw a ROC curve, the dashed line is that of two normal "
    "distributions of one width with the same AUROC. Calibration curves end where fewer than 21 subjects lie "
    "beyond; bars stand for at least 21."
)
_GUIDES_NOTE = (
    "Grey lines: chance, the cumulative incidence, perfect calibration, acting on nobody and (dashed) on all."
)
_BAND_NOTE = " Decision curves of the models given have a pointwise 95% band."
_CALIBRATION_NOTE = (
    "Calibration: curves are observed risk smoothed over predicted risk (logistic regression on a restricted "
    "cubic spline, weighted for censoring), from the 1st to the 99th percentile of the risks; of the models "
    "given also {band}groups of rising risk as points{intervals}, and below the axis a "
    "histogram of predicted risks, whose last bar holds all higher ones; other curves end with the axes."
)
_RISKS_NOTE = (
    "Predicted risk: models given only, cases filled and others open, weighted for censoring, on a "
    "square-root scale; all areas are alike, and the highest bin is open, drawn as wide as the one before."
)


class Key(NamedTuple):
    """A model in the legend: name, CSS class, colour, whether it reads a genome, and whether it was given."""

    name: str
    css: str
    colour: str
    filled: bool
    given: bool


def content(found: Found, realism: Path | None, explain: Path | None = None) -> dict[str, Any]:
    """Names used in the template.

    Args:
        found: Results and rules.
        realism: Folder of ``proband realism``, or None.
        explain: Folder of ``proband explain``, or None.

    Raises:
        DataError: ``realism`` or ``explain`` is no finished folder of its stage.
    """
    simulated = None if realism is None else simulated_section(realism)
    outcomes = outcome_sections(found)
    calibration, decisions, deciles = _multiples(found)
    why = None if explain is None else explained_section(explain, found.rules, not deciles)
    filled = {
        "title": "Risk model evaluation",
        "synthetic": found.rules.synthetic,
        "resampled": found.resampled,
        "judged_in": _JUDGED_IN.get(found.split, "in the people judged"),
        "split_banner": _SPLIT_BANNERS.get(found.split, ("", "")),
        "answers": answers(found),
        "legend": _legend(found),
        "aurocs": auroc_forest(found),
        "gains": gain_forest(found),
        "controls": _controls(found),
        "calibrations": calibration,
        "decisions": decisions,
        "deciles": deciles,
        "multiples_left_out": len(found.firm) < len(found.main),
        "strata": cohort.strata_table(found),
        "subgroup_gains": subgroup_gains(found),
        "subgroups": subgroups(found),
        "distance": by_distance(found),
        "stability": stability(found),
        "learning": learning(found),
        "leaks": cohort.leaks_table(found),
        "flow": cohort.flow_table(found),
        "cohort": cohort.cohort_table(found),
        "outcomes": outcomes,
        "risks_note": _RISKS_NOTE,
        "figures_note": _figures_note(found),
        "why": why,
        "simulated": simulated,
        "how_made": how_made(found)
        + ([] if realism is None else how_stage(realism, "simulated futures"))
        + ([] if explain is None else how_stage(explain, "explanations")),
        "uncertainty": uncertainty(found),
        "error_of_fit": error_of_fit(found),
        "costs": cohort.costs_table(found),
        "checklists": filled_checklists(found),
    }
    absent = {name for name in ("deciles", "stability", "learning", "why", "simulated") if not filled[name]}
    absent |= {"subgroups"} if filled["strata"] is None else set()
    return filled | {"contents": [one for one in _CONTENTS if one[0] not in absent]}


def _figures_note(found: Found) -> str:
    """What the figures of an outcome show."""
    wide = found.resampled
    band, intervals = ("the pointwise 95% band, ", " with intervals") if wide else ("", "")
    note = f"{_GUIDES_NOTE}{_BAND_NOTE if wide else ''} "
    note += _CALIBRATION_NOTE.format(band=band, intervals=intervals)
    return note if found.rules.synthetic else f"{note} {_HIDING_NOTE}"


def _legend(found: Found) -> list[Key]:
    colours = model_colours(found.models)
    given = found.own or found.models
    return [
        Key(name, found.css(name), colours[name], name in found.with_genome, name in given)
        for name in found.models
    ]


def _controls(found: Found) -> str:
    names = [model for model, _ in found.pairs if is_control(model)]
    return (
        f"Open: controls, which must show nothing ({', '.join(names)})."
        if names
        else "No control was evaluated."
    )


def _multiples(found: Found) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Calibration, decision and decile panels of the models given, for outcomes that have an interval."""
    drawn: tuple[list[Figure], list[Figure], list[Figure]] = ([], [], [])
    for name in found.firm:
        title, here = plain(name), found.at(name, found.main[name])
        models = judged(here, found.own or found.models)
        groups = calibration_groups(here, found, models)
        deciles, score, _ = chosen_deciles(here, found)
        risks = decile_risks(here, deciles, found, models)
        drawn[0].append(Figure(title, calibration_panel(title, calibrations(here, found, groups))))
        drawn[1].append(Figure(title, decision_figure(title, here, found, models)))
        drawn[2].append(Figure(title, figures.decile_panel(title, deciles, score, risks)))
    calibration, decision, by_decile = ([one for one in each if one.svg] for each in drawn)
    return calibration, decision, by_decile
