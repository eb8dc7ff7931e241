"""What was left out of the events, and what they lack, said in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from proband.core.running.progress import say

REASONS = {
    "num_unknown_person": "rows left out: no such person",
    "num_no_date": "rows left out: no date",
    "num_impossible_date": "rows left out: a date in no calendar, before 1800 or too late (--latest-year)",
    "num_unreadable_value": "values left out: no number",
    "num_reversed_period": "rows left out: a period that ends before it starts",
    "num_conflicting_date": "rows take their date: their datetime is more than a day from it",
    "num_impossible_birth": "dates of birth mended: a year, month or day in no calendar",
    "num_conflicting_birth": "births take year_of_birth: their birth_datetime is of another year",
    "num_bare_birth_death": "rows MEDS_BIRTH//... or MEDS_DEATH//...: taken as MEDS_BIRTH or MEDS_DEATH",
    "num_repeated_death": "rows left out: a further death of a subject",
    "num_events_no_birth": "rows left out: subjects without a birth (--assume-birth)",
    "num_before_birth": "rows left out: before the day of birth",
    "num_records_after_death": "rows after their subject's death: kept, but follow-up ends with the death",
}
"""What is counted and said where it occurs."""

OVERSTATES = (
    "which overstates risks (those of five years 1.25, 1.10 and 1.04 times at 0.5, 1 and 2 visits a year)"
)
"""What follow-up that ends with the last event does; the sizes are of a simulation, docs/ehr.md."""
_REMEDY = f"{OVERSTATES}; give the date up to which records are complete as --follow-up-end DATE"


def say_what_was_left_out(
    counts: Mapping[str, int], examples: Mapping[str, str], followed_to: date | None
) -> None:
    """Say every reason that occurred, whether no subject has a sex, and which periods lack.

    Args:
        counts: The stage's counts.
        examples: Reason -> its first example, of which a line names the table and not the person.
        followed_to: The end of follow-up that was asked for, if any.
    """
    for reason, meaning in REASONS.items():
        if counts.get(reason):
            where = f", first in {examples[reason].split(',')[0]}" if reason in examples else ""
            say(f"ehr: {counts[reason]:,} {meaning}{where} ({reason}; see manifest.json)")
    if not counts.get("num_subjects_with_sex"):
        say("ehr: no subject has a sex; expected codes such as Gender//F, SEX//MALE or OMOP's 8507, 8532")
    if followed_to is not None:
        cut, added = counts.get("num_ends_cut", 0), counts.get("num_ends_added", 0)
        said = f"{cut:,} later ends cut there, {added:,} subjects without one get it"
        if deaths := counts.get("num_deaths_after_end"):
            said += f", {deaths:,} later deaths left out"
        say(f"ehr: follow-up to {followed_to}: {said}")
    if followed_to is None and counts.get("num_open_periods"):
        say(
            f"ehr: {counts['num_open_periods']:,} observation periods have no end: follow-up ends with the "
            f"last end that the subject has, or else with the last event, {_REMEDY}"
        )
    lacking, subjects = counts["num_no_period"], counts["num_subjects"]
    if followed_to is None and 2 * lacking > subjects:
        kind = (
            "no observation period that ends" if counts.get("num_open_periods") else "no observation period"
        )
        say(
            f"ehr: {lacking:,} of {subjects:,} subjects have {kind}: their follow-up ends "
            f"with their last event, {_REMEDY}"
        )
