"""From lives to health records: everything a clinic writes down, and nothing it could not know yet.

The prediction target lives in the law of the lives alone (``lives.recorded``). What is recorded at a time
depends on the lives up to that time, never on what comes after, so that no model can know more of the future
than the oracle does.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from proband.synth.care.concepts import OUTPATIENT
from proband.synth.care.events.diagnoses import Codes, first_records, procedures_at_diagnosis, repeats
from proband.synth.care.events.drugs import prescriptions
from proband.synth.care.events.everyday import CONDITIONS, PROCEDURES, everyday
from proband.synth.care.events.laboratory import measurements
from proband.synth.care.events.observations import observations
from proband.synth.care.events.visits import admissions, fixed_visits, routine_visits, visit_table
from proband.synth.care.rows import Rows, stack, within_record
from proband.synth.lives.lives import Lives


def make_records(lives: Lives, random: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Everything recorded, one frame per kind.

    Returns:
        ``condition``, ``drug``, ``procedure``, ``measurement``, ``observation`` with subject (row of
        ``lives``), time and concept_id (measurement and observation also value, null where there is none;
        measurement unit_concept_id), and ``visit`` with subject, time, concept_id, end. All lie between the
        first visit and the exit, sorted by subject and time. Every row but a renewal of a drug shares
        subject and time with a visit.
    """
    codes = Codes(len(lives.birth), random)
    first = first_records(lives, codes, random)
    conditions, everyday_drugs = (within_record(lives, part) for part in everyday(lives, CONDITIONS, random))
    procedures = within_record(lives, everyday(lives, PROCEDURES, random)[0])
    done = procedures_at_diagnosis(first, random)
    planned = [within_record(lives, part) for part in (routine_visits(lives, random), fixed_visits(lives))]
    for_records = [_outpatient(part) for part in (first, conditions, procedures)]
    visit = visit_table(lives, admissions(first, random), [*planned, *for_records], random)
    visits = {name: visit[name].to_numpy() for name in ("subject", "time", "concept_id")}
    plain = {name: first[name] for name in ("subject", "time", "concept_id")}
    tables = {
        "condition": [plain, conditions, repeats(lives, visits, codes, random)],
        "drug": [everyday_drugs, prescriptions(lives, random)],
        "procedure": [procedures, done],
        "measurement": [measurements(lives, visits, random)],
        "observation": [observations(lives, visits, random)],
    }
    frames = {kind: _frame(lives, stack(parts)) for kind, parts in tables.items()}
    return frames | {"visit": _typed(visit)}


def _outpatient(table: Rows) -> Rows:
    kind = np.full(len(table["subject"]), OUTPATIENT)
    return {"subject": table["subject"], "time": table["time"], "concept_id": kind}


def _frame(lives: Lives, table: Rows) -> pl.DataFrame:
    """Rows within the record in a fixed order, each concept once at a time."""
    frame = pl.DataFrame(within_record(lives, table)).sort(
        "subject", "time", "concept_id", maintain_order=True
    )
    keys = ["subject", "time", "concept_id"]
    new = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in keys)
    frame = _typed(frame.filter(new.fill_null(True)))
    return frame.with_columns(pl.col("value").fill_nan(None)) if "value" in frame.columns else frame


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    times = [name for name in ("time", "end") if name in frame.columns]
    return frame.with_columns(
        pl.col(times).cast(pl.Datetime("us")),
        pl.col("subject").cast(pl.Int64),
        pl.col("concept_id").cast(pl.Int32),
    )
