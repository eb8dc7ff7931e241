"""The prediction task of a biobank: when each disease is first recorded."""

from __future__ import annotations

from pathlib import Path

import yaml

from proband.synth.care.concepts import descendants, meds_code
from proband.synth.traits import DISEASES


def write_task(path: Path, landmark_years: int, horizons: tuple[int, ...]) -> None:
    """Write the task that the true risks answer: every disease, from a fixed time after entry.

    An outcome names the disease's own code and every more specific one that records may hold instead.
    """
    outcomes = {
        disease.name: {
            "codes": [meds_code(one) for one in (disease.concept_id, *descendants(disease.concept_id))],
            "may_be_absent": True,  # in a small biobank nobody may have a rare disease
        }
        for disease in DISEASES
    }
    task = {
        "outcomes": outcomes,
        "prediction": {"years_after_entry": landmark_years},
        "horizons_years": list(horizons),
        "washout_years": 0,
        "gap_days": 0,
    }
    path.write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
