"""Codes of the synthetic records: OMOP concepts, their hierarchy, and what is recorded beside the diseases.

Concept ids and codes are those of the OHDSI vocabularies, names too (some shortened). Rates of everyday
conditions and procedures are rounded choices of ours: they give the records their texture and carry no claim.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from proband.synth.traits import Number

FEMALE, MALE = 8532, 8507
OUTPATIENT, INPATIENT, EMERGENCY = 9202, 9201, 9203
FROM_EHR = 32817
NEVER_SMOKED, EX_SMOKER, SMOKER = 4144272, 4310250, 42709996

_TABLE = """
0|No matching concept|Metadata|None|Undefined|No matching concept
8507|MALE|Gender|Gender|Gender|M
8532|FEMALE|Gender|Gender|Gender|F
9201|Inpatient Visit|Visit|Visit|Visit|IP
9202|Outpatient Visit|Visit|Visit|Visit|OP
9203|Emergency Room Visit|Visit|Visit|Visit|ER
32817|EHR|Type Concept|Type Concept|Type Concept|OMOP4976890
8554|percent|Unit|UCUM|Unit|%
8840|milligram per deciliter|Unit|UCUM|Unit|mg/dL
8876|millimeter mercury column|Unit|UCUM|Unit|mm[Hg]
9531|kilogram per square meter|Unit|UCUM|Unit|kg/m2
9117|milliliter per minute per 1.73 square meter|Unit|UCUM|Unit|mL/min/1.73.m2
3038553|Body mass index (BMI) [Ratio]|Measurement|LOINC|Clinical Observation|39156-5
3004410|Hemoglobin A1c/Hemoglobin.total in Blood|Measurement|LOINC|Lab Test|4548-4
3009966|Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay|Measurement|LOINC|Lab Test|18262-6
3004249|Systolic blood pressure|Measurement|LOINC|Clinical Observation|8480-6
40764999|Glomerular filtration rate/1.73 sq M.predicted (CKD-EPI)|Measurement|LOINC|Lab Test|62238-1
4144272|Never smoked tobacco|Observation|SNOMED|Clinical Finding|266919005
4310250|Ex-smoker|Observation|SNOMED|Clinical Finding|8517006
42709996|Smokes tobacco daily|Observation|SNOMED|Clinical Finding|449868002
201826|Type 2 diabetes mellitus|Condition|SNOMED|Clinical Finding|44054006
320128|Essential hypertension|Condition|SNOMED|Clinical Finding|59621000
46271022|Chronic kidney disease|Condition|SNOMED|Clinical Finding|709044004
317576|Coronary arteriosclerosis|Condition|SNOMED|Clinical Finding|53741008
313217|Atrial fibrillation|Condition|SNOMED|Clinical Finding|49436004
381316|Cerebrovascular accident|Condition|SNOMED|Clinical Finding|230690007
255573|Chronic obstructive pulmonary disease|Condition|SNOMED|Clinical Finding|13645005
4112853|Malignant tumor of breast|Condition|SNOMED|Clinical Finding|254837009
201820|Diabetes mellitus|Condition|SNOMED|Clinical Finding|73211009
316866|Hypertensive disorder|Condition|SNOMED|Clinical Finding|38341003
198124|Kidney disease|Condition|SNOMED|Clinical Finding|90708001
321588|Heart disease|Condition|SNOMED|Clinical Finding|56265001
381591|Cerebrovascular disease|Condition|SNOMED|Clinical Finding|62914000
134057|Disorder of cardiovascular system|Condition|SNOMED|Clinical Finding|49601007
320136|Disorder of respiratory system|Condition|SNOMED|Clinical Finding|50043002
443392|Malignant neoplastic disease|Condition|SNOMED|Clinical Finding|363346000
260139|Acute bronchitis|Condition|SNOMED|Clinical Finding|10509002
40481087|Viral sinusitis|Condition|SNOMED|Clinical Finding|444814009
4112343|Acute viral pharyngitis|Condition|SNOMED|Clinical Finding|195662009
255848|Pneumonia|Condition|SNOMED|Clinical Finding|233604007
254761|Cough|Condition|SNOMED|Clinical Finding|49727002
4280726|Seasonal allergic rhinitis|Condition|SNOMED|Clinical Finding|367498001
81902|Urinary tract infectious disease|Condition|SNOMED|Clinical Finding|68566005
195588|Cystitis|Condition|SNOMED|Clinical Finding|38822007
77074|Joint pain|Condition|SNOMED|Clinical Finding|57676002
4132891|Chronic low back pain|Condition|SNOMED|Clinical Finding|278860009
4079750|Osteoarthritis of knee|Condition|SNOMED|Clinical Finding|239873007
80502|Osteoporosis|Condition|SNOMED|Clinical Finding|64859006
440674|Gout|Condition|SNOMED|Clinical Finding|90560007
378253|Headache|Condition|SNOMED|Clinical Finding|25064002
4223659|Fatigue|Condition|SNOMED|Clinical Finding|84229001
318800|Gastroesophageal reflux disease|Condition|SNOMED|Clinical Finding|235595009
75860|Constipation|Condition|SNOMED|Clinical Finding|14760008
196456|Gallstone|Condition|SNOMED|Clinical Finding|235919008
432867|Hyperlipidemia|Condition|SNOMED|Clinical Finding|55822004
439777|Anemia|Condition|SNOMED|Clinical Finding|271737000
4282096|Major depression, single episode|Condition|SNOMED|Clinical Finding|36923009
372328|Otitis media|Condition|SNOMED|Clinical Finding|65363002
134438|Contact dermatitis|Condition|SNOMED|Clinical Finding|40275004
81151|Sprain of ankle|Condition|SNOMED|Clinical Finding|44465007
40163924|24 HR metformin hydrochloride 500 MG ER Oral Tablet|Drug|RxNorm|Quant Clinical Drug|860975
19080128|lisinopril 10 MG Oral Tablet|Drug|RxNorm|Clinical Drug|314076
1332419|amlodipine 5 MG Oral Tablet|Drug|RxNorm|Clinical Drug|197361
1545959|atorvastatin 80 MG Oral Tablet|Drug|RxNorm|Clinical Drug|259255
40163554|warfarin sodium 5 MG Oral Tablet|Drug|RxNorm|Clinical Drug|855332
19075601|clopidogrel 75 MG Oral Tablet|Drug|RxNorm|Clinical Drug|309362
40169281|60 ACTUAT fluticasone propionate 0.25 MG/ACTUAT / salmeterol|Drug|RxNorm|Quant Clinical Drug|896209
1511248|NDA020503 200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler|Drug|RxNorm|Clinical Drug|2123111
19019851|tamoxifen 10 MG Oral Tablet|Drug|RxNorm|Clinical Drug|198240
40185304|losartan potassium 50 MG Oral Tablet|Drug|RxNorm|Clinical Drug|979492
1308216|lisinopril|Drug|RxNorm|Ingredient|29046
19073188|amoxicillin 500 MG Oral Tablet|Drug|RxNorm|Clinical Drug|308192
40228214|cetirizine hydrochloride 10 MG Oral Tablet|Drug|RxNorm|Clinical Drug|1014678
920334|nitrofurantoin, macrocrystals 50 MG Oral Capsule|Drug|RxNorm|Clinical Drug|311995
19078461|ibuprofen 200 MG Oral Tablet|Drug|RxNorm|Clinical Drug|310965
19019273|naproxen 500 MG Oral Tablet|Drug|RxNorm|Clinical Drug|198014
1127433|acetaminophen 325 MG Oral Tablet|Drug|RxNorm|Clinical Drug|313782
1167323|allopurinol 100 MG Oral Tablet|Drug|RxNorm|Clinical Drug|197319
739207|sertraline 100 MG Oral Tablet|Drug|RxNorm|Clinical Drug|312938
19077344|ferrous sulfate 325 MG Oral Tablet|Drug|RxNorm|Clinical Drug|310325
40173590|alendronic acid 10 MG Oral Tablet|Drug|RxNorm|Clinical Drug|904419
4324693|Mammography|Procedure|SNOMED|Procedure|71651007
4249893|Colonoscopy|Procedure|SNOMED|Procedure|73761001
4163951|Electrocardiographic procedure|Procedure|SNOMED|Procedure|29303009
4230911|Echocardiography|Procedure|SNOMED|Procedure|40701008
4216130|Percutaneous coronary intervention|Procedure|SNOMED|Procedure|415070008
4078793|Direct current cardioversion|Procedure|SNOMED|Procedure|180325003
4213045|Lumpectomy of breast|Procedure|SNOMED|Procedure|392021009
4125350|CT of head|Procedure|SNOMED|Procedure|303653007
4163872|Plain chest X-ray|Procedure|SNOMED|Procedure|399208008
"""

ANCESTORS = (
    (201820, 201826, 1),
    (316866, 320128, 1),
    (134057, 316866, 1),
    (134057, 320128, 2),
    (198124, 46271022, 1),
    (321588, 317576, 1),
    (321588, 313217, 1),
    (134057, 321588, 1),
    (134057, 317576, 2),
    (134057, 313217, 2),
    (381591, 381316, 1),
    (134057, 381591, 1),
    (134057, 381316, 2),
    (320136, 255573, 1),
    (320136, 260139, 1),
    (320136, 255848, 1),
    (443392, 4112853, 1),
    (1308216, 19080128, 1),
)
"""(ancestor, descendant, levels between); a simplified part of the vocabularies' hierarchy."""


@dataclass(frozen=True)
class Everyday:
    """A condition or procedure unrelated to the genome.

    Attributes:
        concept_id: What is recorded.
        rate: Per person-year, of the sex that has more of it, at age 50 (winter mean for the seasonal).
        age: Change of the log rate per year of age.
        women: Rate of women relative to men if below 1; of men relative to women is ``men``.
        men: See ``women``.
        peak_month: Month of the most, for the seasonal; 0 for none.
        drug_concept_id: A drug given for it, or 0.
        drug_share: Share of its records with the drug.
        ages: Ages between which it occurs.
    """

    concept_id: int
    rate: Number
    age: Number = 0.0
    women: Number = 1.0
    men: Number = 1.0
    peak_month: int = 0
    drug_concept_id: int = 0
    drug_share: Number = 0.0
    ages: tuple[Number, Number] = (18, 120)


CONDITIONS = (
    Everyday(260139, 0.06, peak_month=1, drug_concept_id=19073188, drug_share=0.4),
    Everyday(40481087, 0.06, -0.01, peak_month=1, drug_concept_id=19073188, drug_share=0.3),
    Everyday(4112343, 0.05, -0.02, peak_month=2, drug_concept_id=1127433, drug_share=0.2),
    Everyday(255848, 0.008, 0.05, peak_month=1, drug_concept_id=19073188, drug_share=0.7),
    Everyday(254761, 0.05, peak_month=1),
    Everyday(4280726, 0.04, -0.02, peak_month=5, drug_concept_id=40228214, drug_share=0.6),
    Everyday(81902, 0.06, 0.01, men=0.25, drug_concept_id=920334, drug_share=0.7),
    Everyday(195588, 0.02, 0.0, men=0.2, drug_concept_id=920334, drug_share=0.6),
    Everyday(77074, 0.06, 0.02, drug_concept_id=19078461, drug_share=0.4),
    Everyday(4132891, 0.05, 0.01, drug_concept_id=19019273, drug_share=0.4),
    Everyday(4079750, 0.02, 0.05, men=0.7, drug_concept_id=19019273, drug_share=0.3),
    Everyday(80502, 0.008, 0.07, men=0.2, drug_concept_id=40173590, drug_share=0.5, ages=(45, 120)),
    Everyday(440674, 0.006, 0.03, women=0.3, drug_concept_id=1167323, drug_share=0.6),
    Everyday(378253, 0.04, -0.02, men=0.5, drug_concept_id=1127433, drug_share=0.4),
    Everyday(4223659, 0.03),
    Everyday(318800, 0.02, 0.01),
    Everyday(75860, 0.02, 0.03),
    Everyday(196456, 0.005, 0.02, men=0.6),
    Everyday(432867, 0.03, 0.02),
    Everyday(439777, 0.012, 0.02, men=0.6, drug_concept_id=19077344, drug_share=0.5),
    Everyday(4282096, 0.02, -0.01, men=0.6, drug_concept_id=739207, drug_share=0.6),
    Everyday(372328, 0.012, -0.03),
    Everyday(134438, 0.02),
    Everyday(81151, 0.015, -0.03, peak_month=7),
)
"""Everyday conditions."""

PROCEDURES = (
    Everyday(4324693, 0.35, men=0.0, ages=(50, 75)),
    Everyday(4249893, 0.07, ages=(50, 76)),
    Everyday(4163951, 0.08, 0.03),
    Everyday(4163872, 0.04, 0.02, peak_month=1),
)
"""Screening and everyday procedures."""

DISEASE_PROCEDURES = {
    "coronary_artery_disease": ((4216130, 0.35), (4230911, 0.6)),
    "atrial_fibrillation": ((4078793, 0.25), (4230911, 0.6)),
    "breast_cancer": ((4213045, 0.7),),
    "stroke": ((4125350, 0.9),),
    "copd": ((4163872, 0.6),),
}
"""Procedures at a disease's diagnosis, with the share of the diagnosed who have them."""


def concept_table() -> pl.DataFrame:
    """Every concept used, with id, name, domain, vocabulary, class and code."""
    rows = [line.split("|") for line in _TABLE.strip().splitlines()]
    names = ["concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "concept_code"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("concept_id").cast(pl.Int32))


def meds_code(concept_id: int) -> str:
    """``VOCABULARY//concept_code`` of a concept.

    >>> meds_code(201826)
    'SNOMED//44054006'
    """
    row = concept_table().row(by_predicate=pl.col("concept_id") == concept_id, named=True)
    return f"{row['vocabulary_id']}//{row['concept_code']}"
