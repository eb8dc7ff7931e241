"""The columns of the OMOP Common Data Model 5.4 that a synthetic biobank writes."""

from __future__ import annotations

from typing import Any

import polars as pl

_DATE, _TIME, _ID, _CONCEPT = pl.Date, pl.Datetime("us"), pl.Int64, pl.Int32

# Columns of the OMOP CDM 5.4 in their order, https://ohdsi.github.io/CommonDataModel/cdm54.html
_EVENT_TAIL: dict[str, Any] = {"provider_id": _ID, "visit_occurrence_id": _ID, "visit_detail_id": _ID}
CDM: dict[str, dict[str, Any]] = {
    "person": {
        "person_id": _ID, "gender_concept_id": _CONCEPT, "year_of_birth": pl.Int32,
        "month_of_birth": pl.Int32, "day_of_birth": pl.Int32, "birth_datetime": _TIME,
        "race_concept_id": _CONCEPT, "ethnicity_concept_id": _CONCEPT, "location_id": _ID,
        "provider_id": _ID, "care_site_id": _ID, "person_source_value": pl.String,
        "gender_source_value": pl.String, "gender_source_concept_id": _CONCEPT,
        "race_source_value": pl.String, "race_source_concept_id": _CONCEPT,
        "ethnicity_source_value": pl.String, "ethnicity_source_concept_id": _CONCEPT,
    },
    "observation_period": {
        "observation_period_id": _ID, "person_id": _ID, "observation_period_start_date": _DATE,
        "observation_period_end_date": _DATE, "period_type_concept_id": _CONCEPT,
    },
    "visit_occurrence": {
        "visit_occurrence_id": _ID, "person_id": _ID, "visit_concept_id": _CONCEPT,
        "visit_start_date": _DATE, "visit_start_datetime": _TIME, "visit_end_date": _DATE,
        "visit_end_datetime": _TIME, "visit_type_concept_id": _CONCEPT, "provider_id": _ID,
        "care_site_id": _ID, "visit_source_value": pl.String, "visit_source_concept_id": _CONCEPT,
        "admitted_from_concept_id": _CONCEPT, "admitted_from_source_value": pl.String,
        "discharged_to_concept_id": _CONCEPT, "discharged_to_source_value": pl.String,
        "preceding_visit_occurrence_id": _ID,
    },
    "condition_occurrence": {
        "condition_occurrence_id": _ID, "person_id": _ID, "condition_concept_id": _CONCEPT,
        "condition_start_date": _DATE, "condition_start_datetime": _TIME, "condition_end_date": _DATE,
        "condition_end_datetime": _TIME, "condition_type_concept_id": _CONCEPT,
        "condition_status_concept_id": _CONCEPT, "stop_reason": pl.String, **_EVENT_TAIL,
        "condition_source_value": pl.String, "condition_source_concept_id": _CONCEPT,
        "condition_status_source_value": pl.String,
    },
    "drug_exposure": {
        "drug_exposure_id": _ID, "person_id": _ID, "drug_concept_id": _CONCEPT,
        "drug_exposure_start_date": _DATE, "drug_exposure_start_datetime": _TIME,
        "drug_exposure_end_date": _DATE, "drug_exposure_end_datetime": _TIME, "verbatim_end_date": _DATE,
        "drug_type_concept_id": _CONCEPT, "stop_reason": pl.String, "refills": pl.Int32,
        "quantity": pl.Float64, "days_supply": pl.Int32, "sig": pl.String, "route_concept_id": _CONCEPT,
        "lot_number": pl.String, **_EVENT_TAIL, "drug_source_value": pl.String,
        "drug_source_concept_id": _CONCEPT, "route_source_value": pl.String,
        "dose_unit_source_value": pl.String,
    },
    "procedure_occurrence": {
        "procedure_occurrence_id": _ID, "person_id": _ID, "procedure_concept_id": _CONCEPT,
        "procedure_date": _DATE, "procedure_datetime": _TIME, "procedure_end_date": _DATE,
        "procedure_end_datetime": _TIME, "procedure_type_concept_id": _CONCEPT,
        "modifier_concept_id": _CONCEPT, "quantity": pl.Int32, **_EVENT_TAIL,
        "procedure_source_value": pl.String, "procedure_source_concept_id": _CONCEPT,
        "modifier_source_value": pl.String,
    },
    "measurement": {
        "measurement_id": _ID, "person_id": _ID, "measurement_concept_id": _CONCEPT,
        "measurement_date": _DATE, "measurement_datetime": _TIME, "measurement_time": pl.String,
        "measurement_type_concept_id": _CONCEPT, "operator_concept_id": _CONCEPT,
        "value_as_number": pl.Float64, "value_as_concept_id": _CONCEPT, "unit_concept_id": _CONCEPT,
        "range_low": pl.Float64, "range_high": pl.Float64, **_EVENT_TAIL,
        "measurement_source_value": pl.String, "measurement_source_concept_id": _CONCEPT,
        "unit_source_value": pl.String, "unit_source_concept_id": _CONCEPT, "value_source_value": pl.String,
        "measurement_event_id": _ID, "meas_event_field_concept_id": _CONCEPT,
    },
    "observation": {
        "observation_id": _ID, "person_id": _ID, "observation_concept_id": _CONCEPT,
        "observation_date": _DATE, "observation_datetime": _TIME, "observation_type_concept_id": _CONCEPT,
        "value_as_number": pl.Float64, "value_as_string": pl.String, "value_as_concept_id": _CONCEPT,
        "qualifier_concept_id": _CONCEPT, "unit_concept_id": _CONCEPT, **_EVENT_TAIL,
        "observation_source_value": pl.String, "observation_source_concept_id": _CONCEPT,
        "unit_source_value": pl.String, "qualifier_source_value": pl.String,
        "value_source_value": pl.String, "observation_event_id": _ID,
        "obs_event_field_concept_id": _CONCEPT,
    },
    "death": {
        "person_id": _ID, "death_date": _DATE, "death_datetime": _TIME, "death_type_concept_id": _CONCEPT,
        "cause_concept_id": _CONCEPT, "cause_source_value": pl.String, "cause_source_concept_id": _CONCEPT,
    },
    "concept": {
        "concept_id": _CONCEPT, "concept_name": pl.String, "domain_id": pl.String,
        "vocabulary_id": pl.String, "concept_class_id": pl.String, "standard_concept": pl.String,
        "concept_code": pl.String, "valid_start_date": _DATE, "valid_end_date": _DATE,
        "invalid_reason": pl.String,
    },
    "concept_ancestor": {
        "ancestor_concept_id": _CONCEPT, "descendant_concept_id": _CONCEPT,
        "min_levels_of_separation": pl.Int32, "max_levels_of_separation": pl.Int32,
    },
    "vocabulary": {
        "vocabulary_id": pl.String, "vocabulary_name": pl.String, "vocabulary_reference": pl.String,
        "vocabulary_version": pl.String, "vocabulary_concept_id": _CONCEPT,
    },
    "cdm_source": {
        "cdm_source_name": pl.String, "cdm_source_abbreviation": pl.String, "cdm_holder": pl.String,
        "source_description": pl.String, "source_documentation_reference": pl.String,
        "cdm_etl_reference": pl.String, "source_release_date": _DATE, "cdm_release_date": _DATE,
        "cdm_version": pl.String, "cdm_version_concept_id": _CONCEPT, "vocabulary_version": pl.String,
    },
}  # fmt: skip
"""Table name to column name to type; what the simulation does not fill is null."""
