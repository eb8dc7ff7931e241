"""What the page says: the results turned into text, tables and figures that may leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from proband.core import suppress
from proband.core.provenance import without_path
from proband.evaluate.results import below_age_sex
from proband.evaluate.tables import TABLES, read_table
from proband.report import tables
from proband.report.figures import model_colours, outcome_figure
from proband.report.tables import TextTable, plain

_SHOWN_VERSIONS = ("proband", "python", "numpy", "polars")


@dataclass(frozen=True)
class HorizonSection:
    """Results of one outcome by one horizon.

    Attributes:
        title: Such as "10 years".
        summary: Subjects, cases and incidence in a sentence.
        metrics: A row per model.
        differences: Every later model minus the first; None with one model.
        pairs: The remaining pairs of models; None when there are none.
    """

    title: str
    summary: str
    metrics: TextTable
    differences: TextTable | None
    pairs: TextTable | None


@dataclass(frozen=True)
class OutcomeSection:
    """One outcome: the longest horizon that may be shown in full, the others below it.

    Attributes:
        title: Name of the outcome.
        anchor: Id on the page.
        main: The longest horizon; None when none may be shown.
        figure: SVG for that horizon, empty without it.
        caption: What the figure's last panel shows.
        others: Shorter horizons.
        hidden: Why horizons are missing; empty when none is.
        begun: Of a synthetic biobank, how many cases had already begun; empty without truth.
        horizon_years: Of ``main``.
    """

    title: str
    anchor: str
    main: HorizonSection | None
    figure: str
    caption: str
    others: list[HorizonSection]
    hidden: str
    begun: str
    horizon_years: float | None


def read_results(results: Path) -> dict[str, pl.DataFrame]:
    """All tables of a results folder."""
    return {name: read_table(results, name) for name in TABLES}


def outcome_sections(found: Mapping[str, pl.DataFrame]) -> list[OutcomeSection]:
    """One section per outcome, in alphabetical order."""
    names = found["metrics"]["outcome"].unique().sort()
    return [_outcome(name, number, found) for number, name in enumerate(names)]


def _outcome(name: str, number: int, found: Mapping[str, pl.DataFrame]) -> OutcomeSection:
    mine = {key: table.filter(outcome=name) for key, table in found.items() if "outcome" in table.columns}
    metrics = mine["metrics"]
    counts = metrics.group_by("horizon_years").agg(pl.col("num_cases", "num_subjects").min())
    cases = dict(counts.select("horizon_years", "num_cases").iter_rows())
    estimable = set(metrics.filter(pl.col("value").is_not_null(), metric="auroc")["horizon_years"])
    usable = {horizon: value for horizon, value in cases.items() if horizon in estimable}
    shown = suppress.shown_horizons(usable, min(counts["num_subjects"].to_list(), default=0))
    sections = {horizon: _horizon(horizon, mine) for horizon in shown}
    main = shown[-1] if shown else None
    colours = dict(legend(found))
    figure, caption = _figure(name, main, mine, colours) if main is not None else ("", "")
    return OutcomeSection(
        plain(name),
        f"outcome-{number + 1}",
        sections[main] if main is not None else None,
        figure,
        caption,
        [sections[horizon] for horizon in shown[:-1]],
        _why_hidden(sorted(set(cases) - set(shown))),
        "" if main is None else _begun(mine["already_begun"].filter(horizon_years=main)),
        main,
    )


def _begun(rows: pl.DataFrame) -> str:
    """What the truth of a synthetic biobank says of the cases; empty where it says nothing."""
    rows = rows.drop_nulls("share_already_begun")
    if rows.is_empty():
        return ""
    horizon, share = rows["horizon_years"][0], tables.percent(rows["share_already_begun"][0])
    years = f"{horizon:g} {'year' if horizon == 1 else 'years'}"
    return (
        f"Of the biobank's cases by {years}, {share} had begun before the prediction time without being "
        "recorded. The oracle knows of them and no record does: its AUROC is a ceiling that no model of "
        "records can reach."
    )


def warning(found: Mapping[str, pl.DataFrame], sections: list[OutcomeSection]) -> str:
    """Which models are not above age and sex, over the outcomes and horizons shown first; else empty."""
    names = found["metrics"]["outcome"].unique().sort()
    shown = pl.DataFrame(
        {"outcome": names, "horizon_years": [section.horizon_years for section in sections]},
        schema_overrides={"horizon_years": pl.Float64},
    )
    auroc = found["metrics"].filter(metric="auroc").join(shown, on=["outcome", "horizon_years"])
    auroc = auroc.select("outcome", "model", pl.col("value").alias("auroc"))
    return below_age_sex(auroc, "at the longest horizon shown")


def _why_hidden(horizons: list[float]) -> str:
    if not horizons:
        return ""
    names = ", ".join(f"{horizon:g}" for horizon in horizons)
    return (
        f"Not shown: {names} {'year' if horizons == [1.0] else 'years'}. Too few cases or too little "
        "follow-up to judge a model, or a count of 1 to 20 would follow."
    )


def _horizon(horizon: float, mine: Mapping[str, pl.DataFrame]) -> HorizonSection:
    metrics = mine["metrics"].filter(horizon_years=horizon)
    differences = mine["differences"].filter(horizon_years=horizon)
    first = metrics.row(0, named=True)
    incidence = metrics.filter(metric="cumulative_incidence").row(0, named=True)
    value, low, high = (
        tables.percent(None if share is None else suppress.share(share, first["num_subjects"]))
        for share in (incidence["value"], incidence["low"], incidence["high"])
    )
    subjects, cases = suppress.count(first["num_subjects"]), suppress.count(first["num_cases"])
    summary = (
        f"{subjects} subjects at risk, {cases} onsets seen; cumulative incidence "
        f"{value} (95% CI {low} to {high}), death competing."
    )
    return HorizonSection(
        f"{horizon:g} {'year' if horizon == 1 else 'years'}",
        summary,
        tables.metric_table(metrics),
        *_difference_tables(differences, first["model"]),
    )


def _difference_tables(differences: pl.DataFrame, first: str) -> list[TextTable | None]:
    """Against the first model, and all other pairs; None for what is empty."""
    against = pl.col("model_a") == first
    split = (differences.filter(against), differences.filter(~against))
    return [tables.difference_table(part) if part.height else None for part in split]


def _figure(
    name: str, horizon: float, mine: Mapping[str, pl.DataFrame], colours: Mapping[str, str]
) -> tuple[str, str]:
    here = {key: table.filter(horizon_years=horizon) for key, table in mine.items() if key != "cohort"}
    models = here["metrics"]["model"].unique(maintain_order=True).to_list()
    overall = here["metrics"].filter(metric="cumulative_incidence").row(0, named=True)
    incidence = suppress.share(overall["value"], overall["num_subjects"])
    calibration = {
        model: suppress.merge_groups(here["calibration"].filter(model=model), ["predicted"])
        for model in models
    }
    deciles = suppress.merge_groups(here["deciles"], [])
    deciles = deciles if deciles.height > 1 else deciles.clear()
    label, caption = "", ""
    if deciles.height:
        score = here["deciles"].row(0, named=True)
        label = f"Decile of {score['pgs_id']}"
        why = "its trait is the outcome" if score["chosen_by"] == "trait" else "most associated in train"
        caption = f"Deciles of {score['pgs_id']} ({score['pgs_name']}), chosen because {why}."
    curves = {model: _safe_curves(model, here, suppress.boundaries(calibration[model])) for model in models}
    figure = outcome_figure(name, curves, calibration, deciles, label, incidence, colours)
    return figure, caption


def _safe_curves(
    model: str, here: Mapping[str, pl.DataFrame], boundaries: list[int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ROC and precision-recall points that may be drawn, their coordinates rounded."""
    safe = []
    for kind in ("roc", "pr"):
        points = here[kind].filter(model=model)
        num_subjects, num_cases = points.select("num_flagged", "num_flagged_cases").row(-1)
        kept = suppress.safe_points(points, num_subjects, num_cases, boundaries)
        totals = {
            "sensitivity": pl.Series([num_cases] * kept.height, dtype=pl.Int64),
            "false_positive_rate": pl.Series([num_subjects - num_cases] * kept.height, dtype=pl.Int64),
            "precision": kept["num_flagged"],
        }
        shown = [suppress.shares(kept[name], totals[name]) for name in totals if name in kept.columns]
        safe.append(kept.with_columns(shown))
    return safe[0], safe[1]


def overview(found: Mapping[str, pl.DataFrame], sections: list[OutcomeSection]) -> TextTable:
    """AUROC of every model by outcome, at the horizon shown first."""
    models = found["metrics"]["model"].unique(maintain_order=True).to_list()
    rows = []
    for section in sections:
        if section.main is None:
            rows.append([section.title, "–", *("–" for _ in models)])
            continue
        # The interval on a line of its own keeps many models side by side on a page.
        auroc = {row[0]: row[1].replace(" (", "\n(") for row in section.main.metrics.rows}
        rows.append([section.title, section.main.title, *(auroc.get(model, "–") for model in models)])
    return TextTable(["Outcome", "Horizon", *models], rows, num_labels=1)


def legend(found: Mapping[str, pl.DataFrame]) -> list[tuple[str, str]]:
    """Model and colour, in order."""
    return list(model_colours(found["metrics"]["model"].unique(maintain_order=True).to_list()).items())


def how_made(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the results came to be, without paths of the machine.

    Args:
        manifest: Of the results folder.

    Returns:
        Pairs of a title and a text.
    """
    config = manifest.get("config", {})
    versions = manifest.get("versions", {})
    inputs = manifest.get("inputs", {})
    counts = manifest.get("counts", {})
    lines = [
        ("Command", shown_command(manifest)),
        ("Finished", str(manifest.get("finished", ""))),
        ("Seed", str(manifest.get("seed", ""))),
        ("Split judged", tables.SPLIT_NAMES.get(config.get("split", ""), str(config.get("split", "")))),
        ("Bootstrap replicates", f"{config.get('bootstrap', 0):,}, over subjects"),
        ("Versions", ", ".join(f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions)),
    ]
    lines += [
        (f"Input {without_path(name)}", f"SHA-256 {str(digest)[:16]}…") for name, digest in inputs.items()
    ]
    if "num_subjects_without_genome" in counts:
        lines.append(
            ("Judged subjects without genome", suppress.count(counts["num_subjects_without_genome"]))
        )
    if "num_risks_without_label" in counts:
        lines.append(("Risks without a label, not used", suppress.count(counts["num_risks_without_label"])))
    return lines


def shown_command(manifest: Mapping[str, Any]) -> str:
    """The command with its options and numbers; words that somebody chose freely are left out.

    >>> shown_command({"command": ["proband", "evaluate", "risk", "--truth", "mine", "--seed", "1"]})
    'proband evaluate … --truth … --seed 1'
    """
    words = [str(word) for word in manifest.get("command", [])]
    shown = words[:2]
    for word in words[2:]:
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            shown.append(option + (f"={value if _is_number(value) else '…'}" if equals else ""))
        else:
            shown.append(word if _is_number(word) else "…")
    return " ".join(shown)


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal()
