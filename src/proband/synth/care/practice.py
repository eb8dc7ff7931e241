"""What clinics do about each disease: tests, procedures, hospital. Rounded choices of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from proband.synth.traits import BIOMARKER_NAMES, DISEASE_NAMES, Number


@dataclass(frozen=True)
class Panel:
    """Biomarkers that are measured together.

    Attributes:
        markers: Their names.
        routine: Chance at a visit without any reason.
        enrolment: Whether everyone has it at enrolment.
    """

    markers: tuple[str, ...]
    routine: Number
    enrolment: bool = True


PANELS = {
    "weight": Panel(("bmi",), 0.3),
    "pressure": Panel(("sbp", "dbp"), 0.45),
    "glycaemia": Panel(("hba1c",), 0.06),
    "lipids": Panel(("ldl", "hdl", "triglycerides"), 0.07),
    "kidney": Panel(("egfr",), 0.1),
    "inflammation": Panel(("crp",), 0.03, enrolment=False),
    "urate": Panel(("urate",), 0.01, enrolment=False),
    "thyroid": Panel(("tsh",), 0.03, enrolment=False),
    "blood_count": Panel(("haemoglobin",), 0.1),
    "liver": Panel(("alt",), 0.07),
    "bone": Panel(("bone_mineral_density",), 0.003, enrolment=False),
}


@dataclass(frozen=True)
class Practice:
    """What is done about a disease.

    Attributes:
        workup: Panels ordered on suspicion and at the diagnosis.
        follow_up: Panels at later visits.
        procedures: (concept, share of the diagnosed) on the day of the diagnosis.
        admitted: Share of diagnoses made in a hospital stay.
        nights: Mean length of that stay.
        silent: Whether it leads no one to a clinic, nor a clinic to a test, before it is found.
    """

    workup: tuple[str, ...] = ()
    follow_up: tuple[str, ...] = ()
    procedures: tuple[tuple[int, Number], ...] = ()
    admitted: Number = 0.0
    nights: Number = 3.0
    silent: bool = False


_ECG, _ECHOCARDIOGRAPHY, _CHEST_X_RAY, _CT_HEAD = 4163951, 4230911, 4163872, 4125350
_CORONARY_INTERVENTION, _BYPASS, _CARDIOVERSION = 4216130, 4336464, 4078793
_BRONCHOSCOPY, _LUNG_BIOPSY, _BREAST_BIOPSY, _LUMPECTOMY = 4068785, 4331248, 4047494, 4213045
_PROSTATE_BIOPSY, _COLONOSCOPY, _COLECTOMY = 4278515, 4249893, 4181781
_PSYCHOLOGICAL_ASSESSMENT, _COGNITIVE_THERAPY, _EEG = 4226272, 4043071, 4181917
_BONE_SCAN, _WEIGHT_PROGRAMME, _PULMONARY_REHABILITATION = 4195803, 37397658, 4035793

PRACTICE = {
    "type_2_diabetes": Practice(("glycaemia",), ("glycaemia", "weight", "pressure", "lipids", "kidney")),
    "type_1_diabetes": Practice(("glycaemia",), ("glycaemia", "pressure", "kidney"), admitted=0.5, nights=4),
    "obesity": Practice(("weight",), ("weight",), ((_WEIGHT_PROGRAMME, 0.15),), silent=True),
    "hypertension": Practice(("pressure",), ("pressure", "kidney"), ((_ECG, 0.4),), silent=True),
    "hyperlipidaemia": Practice(("lipids",), ("lipids", "liver"), silent=True),
    "chronic_kidney_disease": Practice(("kidney",), ("kidney", "pressure", "blood_count"), silent=True),
    "coronary_artery_disease": Practice(
        ("lipids",),
        ("lipids", "pressure"),
        ((_ECG, 0.9), (_ECHOCARDIOGRAPHY, 0.6), (_CORONARY_INTERVENTION, 0.35), (_BYPASS, 0.08)),
        admitted=0.6,
        nights=4,
    ),
    "heart_failure": Practice(
        ("kidney", "blood_count"),
        ("kidney", "pressure"),
        ((_ECHOCARDIOGRAPHY, 0.8), (_CHEST_X_RAY, 0.6)),
        admitted=0.6,
        nights=6,
    ),
    "atrial_fibrillation": Practice(
        ("thyroid",),
        ("kidney", "pressure"),
        ((_ECG, 0.95), (_ECHOCARDIOGRAPHY, 0.6), (_CARDIOVERSION, 0.2)),
        admitted=0.3,
    ),
    "ischaemic_stroke": Practice(
        ("lipids", "glycaemia"),
        ("pressure", "lipids"),
        ((_CT_HEAD, 0.9), (_ECG, 0.8)),
        admitted=0.9,
        nights=7,
    ),
    "copd": Practice(
        ("blood_count",), (), ((_CHEST_X_RAY, 0.6), (_PULMONARY_REHABILITATION, 0.1)), admitted=0.15, nights=5
    ),
    "asthma": Practice((), (), ((_CHEST_X_RAY, 0.2),), admitted=0.05, nights=2),
    "lung_cancer": Practice(
        ("blood_count",),
        ("blood_count", "liver"),
        ((_CHEST_X_RAY, 0.9), (_BRONCHOSCOPY, 0.5), (_LUNG_BIOPSY, 0.5)),
        admitted=0.5,
        nights=7,
    ),
    "breast_cancer": Practice(
        ("blood_count",), ("blood_count",), ((_BREAST_BIOPSY, 0.9), (_LUMPECTOMY, 0.5)), admitted=0.2
    ),
    "prostate_cancer": Practice((), ("blood_count",), ((_PROSTATE_BIOPSY, 0.9),), admitted=0.1),
    "colorectal_cancer": Practice(
        ("blood_count", "inflammation"),
        ("blood_count", "liver"),
        ((_COLONOSCOPY, 0.9), (_COLECTOMY, 0.5)),
        admitted=0.5,
        nights=8,
    ),
    "depression": Practice(
        ("thyroid",),
        (),
        ((_PSYCHOLOGICAL_ASSESSMENT, 0.4), (_COGNITIVE_THERAPY, 0.2)),
        admitted=0.03,
        nights=10,
    ),
    "alzheimers_disease": Practice(("thyroid", "blood_count"), (), ((_CT_HEAD, 0.6),)),
    "epilepsy": Practice(("blood_count",), ("liver",), ((_EEG, 0.8), (_CT_HEAD, 0.6)), admitted=0.4),
    "rheumatoid_arthritis": Practice(("inflammation",), ("inflammation", "blood_count", "liver")),
    "inflammatory_bowel_disease": Practice(
        ("inflammation", "blood_count"),
        ("inflammation", "blood_count"),
        ((_COLONOSCOPY, 0.9),),
        admitted=0.2,
        nights=6,
    ),
    "psoriasis": Practice(),
    "hypothyroidism": Practice(("thyroid",), ("thyroid",)),
    "gout": Practice(("urate",), ("urate", "kidney")),
    "osteoporosis": Practice(("bone",), ("bone",), ((_BONE_SCAN, 0.7),), silent=True),
    "glaucoma": Practice(silent=True),
}
"""Disease to what is done about it."""

OF_DISEASE = tuple(PRACTICE[name] for name in DISEASE_NAMES)
"""The practice of each disease, in the diseases' order."""
PANEL_COLUMNS = tuple(
    np.array([BIOMARKER_NAMES.index(marker) for marker in panel.markers]) for panel in PANELS.values()
)
"""Columns of each panel's biomarkers."""
SYMPTOMATIC: Bool[np.ndarray, " diseases"] = np.array([not practice.silent for practice in OF_DISEASE])


def panels_of(reason: str) -> Bool[np.ndarray, "diseases panels"]:
    """Which panels each disease calls for; ``reason`` is ``workup`` or ``follow_up``."""
    return np.array([[panel in getattr(practice, reason) for panel in PANELS] for practice in OF_DISEASE])
