"""Who was judged: the cohort of each split, and how many predictions each step left."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from proband.core.statistics.suppress import WITHHELD
from proband.evaluate.leaks.held import LAST_DAY
from proband.evaluate.leaks.rule import AUROC, LEAST_AUROC, LEAST_VALUE
from proband.report.disclosure import Disclosure
from proband.report.sections.counts import ENDS, shown_counts
from proband.report.sections.found import Found
from proband.report.tables import SPLIT_NAMES, TextTable, number, plain


def cohort_table(found: Found) -> TextTable:
    """Who was at risk, per split and outcome."""
    cohort = found.tables["cohort"]
    header = ["Outcome", "Split", "Subjects", "Female", "Male", "With genome", "Mean age (SD), years"]
    header += ["Follow-up, median years", "Onsets", "Deaths without onset"]
    rows = []
    for outcome in cohort["outcome"].unique(maintain_order=True).sort():
        for row in cohort.filter(outcome=outcome).iter_rows(named=True):
            rows.append([plain(outcome), *_cells(row, found)])
    return TextTable(header, rows, num_labels=2)


def _cells(row: Mapping, found: Found) -> list[str]:
    rules = found.rules
    age = f"{number(row['mean_age_years'], 1)} ({number(row['sd_age_years'], 1)})"
    enough = rules.enough(row["num_subjects"])
    return [
        SPLIT_NAMES.get(row["split"], row["split"]),
        rules.count(row["num_subjects"]),
        *rules.parts([row["num_female"], row["num_male"]]),
        rules.count(row["num_genotyped"]),
        age if enough else "–",
        number(row["median_follow_up_years"], 1) if enough else "–",
        _onsets(row, found),
        rules.count(row["num_deaths"]),
    ]


def _onsets(row: Mapping, found: Found) -> str:
    """Onsets in all of follow-up; withheld where few came after the horizon whose cases are printed."""
    name, horizon = row["outcome"], found.main.get(row["outcome"])
    if horizon is None or row["split"] != found.split:
        return found.rules.count(row["num_events"])
    [cases] = found.tables["flow"].filter(outcome=name, horizon_years=horizon, step="case")["num_subjects"]
    may_show = found.rules.may_show(row["num_events"] - cases)
    return found.rules.count(row["num_events"]) if may_show else WITHHELD


def flow_table(found: Found) -> TextTable | None:
    """Subjects left after each step of the judged split, at each outcome's longest horizon shown.

    Returns:
        None where no outcome may be shown.
    """
    steps = found.at_main("flow")["step"].unique(maintain_order=True)
    rows = []
    for name, horizon in found.main.items():
        counts = shown_counts(found, name)[horizon]
        rows.append([plain(name), f"{horizon:g} years", *(counts.get(step, "–") for step in steps)])
    titles = [step.title() if step in ENDS else f"Subjects {step}" for step in steps]
    return TextTable(["Outcome", "Horizon", *titles], rows) if rows else None


def leaks_table(found: Found) -> TextTable | None:
    """Codes at the prediction time that nearly determine an outcome, at the longest horizon that shows it.

    Returns:
        None where there is none, or none of an outcome and horizon that may be shown.
    """
    horizons = [(name, horizon) for name, some in found.shown.items() if some for horizon in (*some, None)]
    wanted = pl.DataFrame(horizons, schema={"outcome": pl.String, "horizon_years": pl.Float64}, orient="row")
    key = ["outcome", "horizon_years"]
    rows = found.tables["leaks"].join(wanted, on=key, how="semi", nulls_equal=True)
    longest = rows.sort("outcome", "code", "window", "horizon_years", nulls_last=False).unique(
        ["outcome", "window", "code"], keep="last", maintain_order=True
    )
    header = ["Outcome", "Code", "Recorded", "Who", "What", "Horizon", "Value (at least)", "Subjects"]
    cells = [_leak_cells(row, found.rules) for row in longest.iter_rows(named=True)]
    return TextTable(header, cells, num_labels=5) if cells else None


def _leak_cells(row: Mapping, rules: Disclosure) -> list[str]:
    return [
        plain(row["outcome"]),
        row["code"],
        "on the last day" if row["window"] == LAST_DAY else "by then",
        f"{row['who']} it",
        "AUROC of this alone" if row["rule"] == AUROC else f"share {row['label']}",
        "end of follow-up" if row["horizon_years"] is None else f"{row['horizon_years']:g} years",
        _leak_value(row, rules),
        rules.count(row["num_subjects"]),
    ]


def _leak_value(row: Mapping, rules: Disclosure) -> str:
    """Value and lower limit; the bound of the rule alone where 1 to 20 have the label, or have it not."""
    number_of, cases = row["num_subjects"], row["num_cases"]
    if not rules.enough(number_of):
        return "–"
    if not (rules.may_show(cases) and rules.may_show(number_of - cases)):
        return f"≥{LEAST_AUROC if row['rule'] == AUROC else LEAST_VALUE:g}"
    value, low = (number(rules.share(row[name], number_of)) for name in ("value", "low"))
    return f"{value} ({low})"


def costs_table(found: Found) -> TextTable | None:
    """What fitting each baseline took; None where none was fitted."""
    costs = found.tables["costs"]
    rows = [
        [row["model"], *(number(row[name], 1) for name in ("cpu_seconds", "wall_seconds", "peak_memory_mib"))]
        for row in costs.iter_rows(named=True)
    ]
    return TextTable(["Baseline", "CPU seconds", "Wall seconds", "Memory, MiB"], rows) if rows else None


def strata_table(found: Found) -> TextTable | None:
    """AUROC in all, and within strata of age and sex, of every model; None where no outcome may be shown."""
    rows = found.at_main("metrics").filter(pl.col("metric").is_in(["auroc", "auroc_within_age_sex"]))
    cells = []
    for name in found.firm:
        for metric, title in (("auroc", "all"), ("auroc_within_age_sex", "of one age and sex")):
            values = dict(rows.filter(outcome=name, metric=metric).select("model", "value").iter_rows())
            line = [plain(name) if metric == "auroc" else "", title]
            cells.append([*line, *(number(values.get(model)) for model in found.models)])
    return TextTable(["Outcome", "Among people", *found.models], cells, num_labels=2) if cells else None
