"""The first screen: an answer in a sentence to each of three questions, and two forest plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from scipy.stats import binom

from proband.evaluate.baselines.age_sex import NAME as AGE_SEX
from proband.evaluate.baselines.age_sex import NAME_WITHOUT_SEX as AGE
from proband.evaluate.panel.gain import Gain, genome_sentence
from proband.evaluate.panel.models import unpaired
from proband.evaluate.results import below_age_sex
from proband.report.figures.forest import Axis, Estimate, axis_of, row_svg, scale_svg
from proband.report.sections.counts import shown_counts
from proband.report.sections.found import Found, is_control
from proband.report.sections.sources import source_cohorts
from proband.report.tables import number, plain

_CHANCE, _NOTHING = 0.5, 0.0
_LEAST_HALF_WIDTH = 0.02
_WITHOUT_RESAMPLES = "the results were evaluated without resamples"
_BY_CHANCE, _ALL_BUT_RARE = 0.05, 0.975
"""Share of checks that miss by chance, and the quantile of their number, of one model, up to which it may be
chance; as if checks were independent, which those of one outcome are not quite."""


@dataclass(frozen=True)
class Answer:
    """A question, its answer, whether it is good news (yes, no, or open), and what lies behind."""

    question: str
    answer: str
    verdict: str
    detail: str = ""


@dataclass(frozen=True)
class ForestRow:
    """One row: its title, the SVG, the value beside it, the number to sort by, and what kind it is."""

    title: str
    detail: str
    svg: str
    value: str
    order: float
    is_mean: bool = False
    has_interval: bool = True


@dataclass(frozen=True)
class Forest:
    """A forest plot: its rows, those without an interval apart, the SVG of its scale, and what is missing."""

    rows: Sequence[ForestRow]
    without_interval: Sequence[ForestRow]
    scale: str
    missing: str


def answers(found: Found) -> list[Answer]:
    """What the genome adds, whether models are above age and sex, and whether they are calibrated."""
    return [_genome(found), _above(found), _calibrated(found)]


def _genome(found: Found) -> Answer:
    question = "Does the genome add anything beyond the record?"
    pair = next((pair for pair in found.pairs if pair[0] in found.own and not is_control(pair[0])), None)
    if pair is None:
        why = "No two models are known to differ by the genome alone, so this page cannot tell."
        return Answer(question, why, "open", _what_is_missing(found))
    row = _gains(found).filter(model=pair[0], reference=pair[1])
    each = _counted(found, *pair)
    caution = _overlap(found, pair[0])
    if row.is_empty() or row["low"].null_count():
        return Answer(question, f"{pair[0]} beside {pair[1]}: {each}.", "open", caution)
    first = row.row(0, named=True)
    gain = Gain(first["difference"], first["low"], first["high"], first["num_outcomes"])
    sentence = genome_sentence(gain, first["horizon_years"])
    verdict = "yes" if gain.low > 0 else "no" if gain.high < 0 else "open"
    return Answer(question, sentence, verdict, f"{pair[0]} beside {pair[1]}: {each}. {caution}".rstrip())


def _overlap(found: Found, model: str) -> str:
    """A caution where scores that the model read were, or may have been, developed in the cohort judged."""
    overlap = found.manifest.get("notes", {}).get("sample_overlap", {}).get(model, {})
    seen = overlap.get("num_scores_own_cohort", 0) + overlap.get("num_scores_cohort_unknown", 0)
    return source_cohorts(overlap) if seen else ""


def _what_is_missing(found: Found) -> str:
    """The model that would tell what the genome adds to one that reads more than the record."""
    if "reads_besides" not in found.tables["models"].columns:
        return ""
    missing = []
    for model, besides in unpaired(found.tables["models"]).items():
        named = besides.replace(",", ", ")
        if not is_control(model):
            missing.append(
                f"{model} reads {named}, too: give a model that reads record and {named} without a genome."
                if besides
                else f"{model} reads record and genome alone: give a model of the record alone."
            )
    return " ".join(missing)


def _counted(found: Found, model: str, reference: str) -> str:
    """In how many outcomes the interval of the paired difference lies above and below 0."""
    if not found.resampled:
        return f"{_WITHOUT_RESAMPLES}, so there is no interval"
    rows = _paired(found, model, reference).drop_nulls(["low", "high"])
    above, below = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
    if rows.is_empty():
        return "no outcome has cases enough for an interval of its own"
    lies = "the interval of an outcome alone lies"
    return f"{lies} above 0 in {above} and below 0 in {below} of {rows.height} outcomes"


def _paired(found: Found, model: str, reference: str) -> pl.DataFrame:
    """AUROC of ``model`` less that of ``reference`` at the main horizon of each outcome, turned that way."""
    rows = found.at_main("differences").filter(metric="auroc")
    straight = rows.filter(model_a=model, model_b=reference).select("outcome", "difference", "low", "high")
    turned = rows.filter(model_a=reference, model_b=model).select(
        "outcome", -pl.col("difference"), (-pl.col("high")).alias("low"), (-pl.col("low")).alias("high")
    )
    return pl.concat([straight, turned])


def _above(found: Found) -> Answer:
    question = "Is every model above age and sex?"
    reference = next((name for name in (AGE_SEX, AGE) if name in found.models), None)
    if reference is None:
        return Answer(question, "Not known: the baseline of age and sex was not fitted.", "open")
    auroc = found.at_main("metrics").filter(metric="auroc").drop_nulls("value")
    judged = auroc.filter(pl.col("model").is_in([*found.own, reference]))
    judged = judged.select("outcome", "model", pl.col("value").alias("auroc"))
    warning = below_age_sex(judged, "at the longest horizon shown")
    if not warning:
        surely, compared = _beyond_chance(found, reference)
        where = f"in AUROC, in all {judged['outcome'].n_unique()} outcomes shown"
        detail = f"Beyond its 95% interval in {surely} of the {compared} comparisons that have one."
        if compared and surely == compared:
            return Answer(question, f"Yes, {where}.", "yes", detail)
        unsure = "not always beyond chance"
        if not found.resampled:
            unsure = f"whether beyond chance is not known: {_WITHOUT_RESAMPLES}"
        return Answer(question, f"Above {where}, {unsure}.", "open", detail if compared else "")
    base = judged.filter(model=reference).select("outcome", pl.col("auroc").alias("base"))
    low = judged.join(base, on="outcome").filter(pl.col("auroc") <= pl.col("base"))
    names = [
        f"{model}: {', '.join(plain(name) for name in low.filter(model=model)['outcome'])}"
        for model in found.own
        if model in low["model"]
    ]
    return Answer(question, warning, "no", f"{_surely_below(found, reference)} {'; '.join(names)}.".lstrip())


def _surely_below(found: Found, reference: str) -> str:
    """How often a model is below the reference by more than chance; empty where no comparison can tell."""
    below, compared = _beyond_chance(found, reference, -1)
    if not compared:
        return ""
    return f"Below by more than its 95% interval in {below} of the {compared} comparisons that have one."


def _beyond_chance(found: Found, reference: str, sign: int = 1) -> tuple[int, int]:
    """In how many comparisons with the reference the whole interval is above it, or below; and in all."""
    rows = [_paired(found, model, reference).drop_nulls(["low", "high"]) for model in found.own]
    beyond = [(one["low"] > 0).sum() if sign > 0 else (one["high"] < 0).sum() for one in rows]
    return sum(map(int, beyond)), sum(one.height for one in rows)


def _calibrated(found: Found) -> Answer:
    question = "Are the risks calibrated?"
    rows = found.at_main("metrics").filter(pl.col("model").is_in(found.own)).drop_nulls(["low", "high"])
    sentences, checks, held, worse, better = [], 0, 0, [], True
    for model in found.own:
        mine = rows.filter(model=model)
        ratio, slope = (mine.filter(metric=name) for name in ("observed_expected", "calibration_slope"))
        if ratio.is_empty():
            continue
        holds = [(one["low"] <= 1) & (one["high"] >= 1) for one in (ratio, slope)]
        own = sum(one.len() for one in holds)
        missed = own - sum(int(one.sum()) for one in holds)
        checks, held = checks + own, held + own - missed
        worse += [model] if missed > binom.ppf(_ALL_BUT_RARE, own, _BY_CHANCE) else []
        better = better and missed <= _BY_CHANCE * own
        median = number(ratio["value"].median(), 2)  # type: ignore[arg-type]
        sentences.append(
            f"{model}: observed / expected in {holds[0].sum()} of {ratio.height} outcomes (median {median}), "
            f"slope in {holds[1].sum()} of {slope.height}"
        )
    if not sentences:
        why = "no outcome has cases enough for an interval" if found.resampled else _WITHOUT_RESAMPLES
        return Answer(question, f"Not known: {why}.", "open")
    answer = (
        f"{held} of {checks} checks agree with perfect calibration within their 95% intervals; "
        f"about {number(_BY_CHANCE * checks, 0)} would miss by chance."
    )
    if worse:
        answer += f" More miss than chance would have it: {', '.join(worse)}."
    verdict = "no" if worse else "yes" if better else "open"
    return Answer(question, answer, verdict, "; ".join(sentences) + ".")


def auroc_forest(found: Found) -> Forest:
    """AUROC of every model by outcome, sorted by the best of the models given.

    An outcome that none of these predicts is placed by the best of all.
    """
    rows = found.at_main("metrics").filter(metric="auroc").drop_nulls("value")
    estimates = {
        name: [_estimate(found, row) for row in rows.filter(outcome=name).iter_rows(named=True)]
        for name in found.main
    }
    axis = axis_of(list(estimates.values()), _CHANCE)
    ranked = rows.with_columns(is_own=pl.col("model").is_in(found.own)).sort("is_own", "value")
    lines = []
    for name, each in estimates.items():
        mine = ranked.filter(outcome=name).row(-1, named=True)
        lines.append(_row(found, name, each, axis, f"{mine['value']:.3f}", mine["value"]))
    return _forest(found, lines, scale_svg(axis))


def gain_forest(found: Found) -> Forest | None:
    """What the genome adds to the AUROC of each outcome; None where no two models differ by it alone."""
    if not found.pairs:
        return None
    estimates: dict[str, list[Estimate]] = {name: [] for name in found.main}
    for model, reference in found.pairs:
        for row in _paired(found, model, reference).iter_rows(named=True):
            if row["outcome"] in estimates:
                estimates[row["outcome"]].append(difference_of(found, model, reference, row))
    mean = _means(found)
    axis = axis_of([mean, *estimates.values()], _NOTHING, _LEAST_HALF_WIDTH)
    lines = [
        _row(found, name, each, axis, number(each[0].value, sign=True), each[0].value)
        for name, each in estimates.items()
        if each
    ]
    if mean:
        svg = row_svg(mean, axis, "Mean over outcomes")
        value = number(mean[0].value, sign=True)
        lines.append(ForestRow("Mean over outcomes", "", svg, value, float("inf"), is_mean=True))
    return _forest(found, lines, scale_svg(axis, signed=True))


def _means(found: Found) -> list[Estimate]:
    rows = _gains(found).iter_rows(named=True)
    return [difference_of(found, row["model"], row["reference"], row) for row in rows]


def _gains(found: Found) -> pl.DataFrame:
    """Mean gains in AUROC at the main horizon; none where there is no such horizon."""
    at_main = pl.col("horizon_years").eq_missing(found.horizon)
    return found.tables["gains"].filter(pl.col("metric") == "auroc", at_main)


def _estimate(found: Found, row: Mapping) -> Estimate:
    text = f"{row['model']} {_with_ends(row, 'value', False)}"
    filled = row["model"] in found.with_genome
    return Estimate(row["value"], row["low"], row["high"], found.css(row["model"]), text, filled)


def difference_of(found: Found, model: str, reference: str, row: Mapping) -> Estimate:
    """A difference of two models, to draw; that of a control is open."""
    kind = " (control)" if is_control(model) else ""
    text = f"{model} − {reference}{kind} {_with_ends(row, 'difference', True)}"
    return Estimate(row["difference"], row["low"], row["high"], found.css(model), text, not kind)


def _with_ends(row: Mapping, name: str, sign: bool) -> str:
    value = number(row[name], 3, sign)
    if row["low"] is None or row["high"] is None:
        return value
    return f"{value} ({number(row['low'], 3, sign)} to {number(row['high'], 3, sign)})"


def _row(
    found: Found, name: str, each: Sequence[Estimate], axis: Axis, value: str, order: float
) -> ForestRow:
    longest = found.main[name]
    horizon = "" if longest == found.horizon else f"{longest:g} years, "
    detail = f"{horizon}{shown_counts(found, name)[longest]['case']} onsets"
    wide = any(one.low is not None for one in each)
    return ForestRow(plain(name), detail, row_svg(each, axis, plain(name)), value, order, has_interval=wide)


def _forest(found: Found, rows: Sequence[ForestRow], scale: str) -> Forest:
    left_out = [plain(name) for name in found.shown if name not in found.main]
    missing = f"Too few cases to judge or to show: {', '.join(left_out)}." if left_out else ""
    ordered = sorted(rows, key=lambda row: (-row.order, row.title))
    firm = [row for row in ordered if row.has_interval or not found.resampled]
    return Forest(firm, [row for row in ordered if row not in firm], scale, missing)
