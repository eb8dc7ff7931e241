"""The table of traits: what drives each disease and each biomarker in the synthetic biobank.

Every number is either taken from the source named in the comment beside it or is a rounded choice of ours,
which holds wherever no source is named. None was tuned to a result. Heritabilities are the share of the
liability carried by simulated common variants, so they are set at the size of SNP heritabilities, well below
those of twin studies.

Sources, by the key used in the comments:

BP          Ettehad 2016, doi:10.1016/S0140-6736(15)01225-8: 10 mm Hg lower systolic pressure, relative risk
            of coronary disease 0.83, of stroke 0.73
LDL         Cholesterol Treatment Trialists 2010, doi:10.1016/S0140-6736(10)61350-5: major vascular events
            fall by 22% per 1 mmol/L lower LDL cholesterol
COPD        Forey 2011, doi:10.1186/1471-2466-11-36: current smoking 3.51, former smoking 2.35
T2DSMOKE    Pan 2015, doi:10.1016/S2213-8587(15)00316-2: type 2 diabetes, current smoking 1.37
DEATHSMOKE  Jha 2013, doi:10.1056/NEJMsa1211128: death, current smoking about 3
T2DCVD      Emerging Risk Factors Collaboration 2010, doi:10.1016/S0140-6736(10)60484-9: diabetes on
            coronary disease 2.00, on ischaemic stroke 2.27
T2DDEATH    Emerging Risk Factors Collaboration 2011, doi:10.1056/NEJMoa1008862: diabetes on death 1.80
AFSTROKE    Wolf 1991, doi:10.1161/01.STR.22.8.983: atrial fibrillation on stroke, near five-fold
WARFARIN    Hart 2007, doi:10.7326/0003-4819-146-12-200706190-00007: stroke falls by 64%
BPDRUG      Law 2003, doi:10.1136/bmj.326.7404.1427: one drug at standard dose lowers systolic pressure by
            9.1 mm Hg
METFORMIN   Hirst 2012, doi:10.2337/dc11-1465: HbA1c falls by 1.12 percentage points
EGFR        Lindeman 1985, doi:10.1111/j.1532-5415.1985.tb07117.x: renal clearance falls 0.75 mL/min a year
GOMPERTZ    Finch 1990, doi:10.1126/science.2392680: human mortality doubles about every 8 years
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

MG_PER_MMOL_LDL = 38.67
"""mg/dL of cholesterol in 1 mmol/L (molar mass 386.7 g/mol)."""


Number = float | int
"""A number of the table; 3 and 3.0 are the same."""


@dataclass(frozen=True)
class Biomarker:
    """A measured quantity.

    Attributes:
        name: Its name everywhere.
        label: Name for people.
        concept_id: Its OMOP measurement concept.
        unit_concept_id: OMOP unit of its values.
        mean: Mean at age 50, women and men, in its unit.
        slope: Change of the mean per year of age, in its unit.
        sd: Standard deviation between people of one age and sex.
        noise_sd: Standard deviation of one measurement about the person's level.
        heritability: Share of the variance from common variants.
        stable: Share of the variance that stays with the person; the rest drifts.
        shared: Genetic correlation with an earlier trait, through shared causal variants.
        decimals: Digits recorded.
        bounds: Values recorded are cut to these.
    """

    name: str
    label: str
    concept_id: int
    unit_concept_id: int
    mean: tuple[Number, Number]
    slope: Number
    sd: Number
    noise_sd: Number
    heritability: Number
    stable: Number
    shared: Mapping[str, Number] = field(default_factory=dict)
    decimals: int = 0
    bounds: tuple[Number, Number] = (0, 1000)


@dataclass(frozen=True)
class Disease:
    """A disease with its hazard of onset; ratios multiply the hazard.

    Attributes:
        name: Its name everywhere, also of the task's outcome.
        label: Name for people.
        concept_id: Its OMOP condition concept.
        heritability: Share of the liability's variance from common variants.
        log_ratio: Log hazard ratio per standard deviation of liability.
        rate: Onsets per 1,000 person-years at age 60, women and men, in people without other diseases here.
        slope: Change of the log hazard per year of age.
        plateau: Age from which the hazard no longer rises.
        shared: Genetic correlation with an earlier trait, through shared causal variants.
        smoking: Ratios for current and former smoking.
        deprivation: Ratio per standard deviation.
        biomarkers: Ratio per standard deviation above the mean of age and sex.
        comorbidity: Ratio for having another disease.
        shifts: What the disease adds to a biomarker, in its unit.
        death: Ratio on the hazard of death.
    """

    name: str
    label: str
    concept_id: int
    heritability: Number
    log_ratio: Number
    rate: tuple[Number, Number]
    slope: Number
    plateau: Number
    shared: Mapping[str, Number] = field(default_factory=dict)
    smoking: tuple[Number, Number] = (1.0, 1.0)
    deprivation: Number = 1.0
    biomarkers: Mapping[str, Number] = field(default_factory=dict)
    comorbidity: Mapping[str, Number] = field(default_factory=dict)
    shifts: Mapping[str, Number] = field(default_factory=dict)
    death: Number = 1.0


@dataclass(frozen=True)
class Treatment:
    """A drug taken from the diagnosis on.

    Attributes:
        drug_concept_id: Its OMOP drug concept.
        diseases: Diagnoses that start it.
        share: Share of the diagnosed who take it.
        shifts: What it adds to a biomarker, in its unit.
        ratios: Ratio on the hazard of a disease, beside what the biomarkers explain.
    """

    drug_concept_id: int
    diseases: tuple[str, ...]
    share: Number
    shifts: Mapping[str, Number] = field(default_factory=dict)
    ratios: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Mortality:
    """Gompertz hazard of death: ``rate`` per 1,000 person-years at 60 (women, men), ``slope`` per year."""

    rate: tuple[Number, Number] = (4.0, 6.0)
    slope: Number = math.log(2) / 8  # GOMPERTZ
    smoking: tuple[Number, Number] = (2.8, 1.4)  # DEATHSMOKE for current; former is ours
    deprivation: Number = 1.2


def _per_sd(ratio: float, units: Number, sd: float) -> float:
    """A ratio per ``units`` as a ratio per standard deviation ``sd`` of the same quantity."""
    return ratio ** (sd / units)


_SBP_SD, _LDL_SD = 15.0, 33.0

BIOMARKERS = (
    Biomarker("bmi", "Body mass index", 3038553, 9531, (26.5, 27.2), 0.03, 4.8, 0.3, 0.25, 0.9,
              decimals=1, bounds=(12, 80)),
    Biomarker("hba1c", "Hemoglobin A1c", 3004410, 8554, (5.4, 5.4), 0.008, 0.35, 0.1, 0.2, 0.7,
              shared={"bmi": 0.25}, decimals=1, bounds=(3.5, 18)),
    Biomarker("ldl", "LDL cholesterol", 3009966, 8840, (125, 125), 0.2, _LDL_SD, 6.0, 0.25, 0.8,
              bounds=(10, 400)),
    Biomarker("sbp", "Systolic blood pressure", 3004249, 8876, (122, 127), 0.45, _SBP_SD, 8.0, 0.2, 0.7,
              shared={"bmi": 0.2}, bounds=(70, 260)),
    Biomarker("egfr", "Estimated glomerular filtration rate", 40764999, 9117, (93, 93), -0.75,  # EGFR
              13.0, 4.0, 0.2, 0.75, bounds=(3, 150)),
)  # fmt: skip
"""Biomarkers in the order of every array over them."""

DISEASES = (
    Disease(
        "type_2_diabetes", "Type 2 diabetes", 201826, 0.35, 0.9, (6, 8), 0.05, 70,
        shared={"bmi": 0.3, "hba1c": 0.4},
        smoking=(1.37, 1.15),  # T2DSMOKE for current
        deprivation=1.2,
        biomarkers={"bmi": 1.7, "hba1c": 1.8},
        shifts={"hba1c": 1.6},
        death=1.8,  # T2DDEATH
    ),
    Disease(
        "hypertension", "Hypertension", 320128, 0.25, 0.5, (28, 32), 0.045, 70,
        shared={"sbp": 0.5, "bmi": 0.2},
        deprivation=1.1,
        biomarkers={"sbp": 1.9, "bmi": 1.3},
        comorbidity={"type_2_diabetes": 1.4, "chronic_kidney_disease": 1.5},
        shifts={"sbp": 10.0},
        death=1.1,
    ),
    Disease(
        "chronic_kidney_disease", "Chronic kidney disease", 46271022, 0.2, 0.5, (5, 5), 0.08, 80,
        shared={"egfr": -0.5},
        smoking=(1.3, 1.1),
        deprivation=1.15,
        biomarkers={"egfr": 0.5, "sbp": 1.2, "bmi": 1.1},
        comorbidity={"type_2_diabetes": 1.8, "hypertension": 1.5},
        shifts={"egfr": -22.0},
        death=1.5,
    ),
    Disease(
        "coronary_artery_disease", "Coronary artery disease", 317576, 0.3, 0.8, (3, 7), 0.06, 80,
        shared={"ldl": 0.3, "sbp": 0.2},
        smoking=(2.0, 1.3),
        deprivation=1.15,
        biomarkers={
            "ldl": _per_sd(1 / 0.78, MG_PER_MMOL_LDL, _LDL_SD),  # LDL
            "sbp": _per_sd(1 / 0.83, 10, _SBP_SD),  # BP
            "bmi": 1.1,
        },
        comorbidity={"type_2_diabetes": 2.0, "chronic_kidney_disease": 1.4},  # T2DCVD for diabetes
        death=1.6,
    ),
    Disease(
        "atrial_fibrillation", "Atrial fibrillation", 313217, 0.3, 0.8, (2.5, 4), 0.09, 85,
        shared={"bmi": 0.15},
        smoking=(1.3, 1.1),
        biomarkers={"bmi": 1.25, "sbp": 1.15},
        comorbidity={"hypertension": 1.4, "coronary_artery_disease": 1.6, "type_2_diabetes": 1.2},
        death=1.5,
    ),
    Disease(
        "stroke", "Stroke", 381316, 0.2, 0.5, (1.6, 2.4), 0.08, 90,
        shared={"sbp": 0.3, "atrial_fibrillation": 0.2},
        smoking=(1.8, 1.2),
        deprivation=1.15,
        biomarkers={"sbp": _per_sd(1 / 0.73, 10, _SBP_SD)},  # BP
        comorbidity={"atrial_fibrillation": 5.0, "type_2_diabetes": 2.27},  # AFSTROKE, T2DCVD
        death=2.0,
    ),
    Disease(
        "copd", "Chronic obstructive pulmonary disease", 255573, 0.2, 0.6, (4, 4.5), 0.06, 80,
        smoking=(3.51, 2.35),  # COPD
        deprivation=1.3,
        death=2.0,
    ),
    Disease(
        "breast_cancer", "Breast cancer", 4112853, 0.25, 0.7, (3.2, 0.03), 0.035, 70,
        biomarkers={"bmi": 1.1},
        death=2.5,
    ),
)  # fmt: skip
"""Diseases in the order of every array over them; death follows as the last hazard."""

TREATMENTS = (
    Treatment(40163924, ("type_2_diabetes",), 0.75, shifts={"hba1c": -1.12}),  # metformin; METFORMIN
    Treatment(19080128, ("hypertension",), 0.6, shifts={"sbp": -9.1}),  # lisinopril; BPDRUG
    Treatment(1332419, ("hypertension",), 0.35, shifts={"sbp": -9.1}),  # amlodipine; BPDRUG
    Treatment(1545959, ("coronary_artery_disease", "stroke", "type_2_diabetes"), 0.6,
              shifts={"ldl": -MG_PER_MMOL_LDL}),  # atorvastatin; 1 mmol/L, rounded choice of ours
    Treatment(40163554, ("atrial_fibrillation",), 0.6, ratios={"stroke": 0.36}),  # warfarin; WARFARIN
    Treatment(19075601, ("coronary_artery_disease", "stroke"), 0.5),  # clopidogrel
    Treatment(40169281, ("copd",), 0.6),  # fluticasone and salmeterol
    Treatment(1511248, ("copd",), 0.7),  # albuterol
    Treatment(19019851, ("breast_cancer",), 0.6),  # tamoxifen
    Treatment(40185304, ("chronic_kidney_disease",), 0.4),  # losartan
)  # fmt: skip
"""Treatments in the order of every array over them."""

MORTALITY = Mortality()
DISEASE_NAMES = tuple(disease.name for disease in DISEASES)
BIOMARKER_NAMES = tuple(marker.name for marker in BIOMARKERS)
TRAITS: tuple[Biomarker | Disease, ...] = BIOMARKERS + DISEASES
TRAIT_NAMES = tuple(trait.name for trait in TRAITS)
"""Biomarkers first, then diseases: the order of every array over traits."""

ADULT_AGE = 18.0
"""Age at which the life course begins, years."""
