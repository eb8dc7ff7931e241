"""What the stages genome and tokens tell of ancestry, genotypes, scores and predictors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proband.evaluate.sources import BASELINES
from proband.report.sections.found import Found

_UNKNOWN_SOURCE = "Source of the weights: the author's."


def of_sources(found: Found) -> dict[str, str]:
    """Key of a fact in :data:`~proband.report.sections.checklists.CHECKLISTS` -> what earlier stages tell.

    From the notes that evaluate took of their manifests; what these do not hold is left out. Only counts of
    people are rounded: those of variants, scores and codes are none.
    """
    noted = found.manifest.get("notes", {}).get("sources", {})
    facts = _of_genome(found, noted["genome"]) if "genome" in noted else {}
    if "tokens" in noted:
        facts |= _of_tokens(noted["tokens"])
    if (found.tables["subgroups"]["dimension"] == "ancestry").any():
        facts["by_ancestry"] = "Most similar population is one of the subgroups, where cases are enough."
    return facts


def _of_genome(found: Found, noted: Mapping[str, Any]) -> dict[str, str]:
    config, counts = noted["config"], noted["counts"]
    facts = {}
    overlap = found.manifest.get("notes", {}).get("sample_overlap", {}).get(BASELINES, {})
    cohorts = source_cohorts(overlap) or _UNKNOWN_SOURCE
    if {"num_variants", "num_subjects"} <= counts.keys():
        people, used = found.rules.count(counts["num_subjects"]), counts.get("num_variants_used")
        facts["genotyping"] = (
            f"{people} subjects; {counts['num_variants']:,} variants given"
            f"{'' if used is None else f', of which scores use {used:,}'}. Array or sequencing, imputation "
            "and quality control before: the author's."
        )
    if {"num_scores", "num_scores_left_out"} <= counts.keys() and "min_match_rate" in config:
        ambiguous = "kept" if config.get("keep_ambiguous") else "left out"
        facts["score"] = (
            f"{counts['num_scores']:,} scores of scoring files: dosages of effect alleles times weights, "
            f"summed. Variants matched by {config.get('match_by')}, strand-ambiguous ones {ambiguous}; "
            f"{counts['num_scores_left_out']:,} scores with less than {config['min_match_rate']:.0%} matched "
            f"were left out{_adjusted(config, counts)}. {cohorts}"
        )
    elif {"num_scores", "num_subjects"} <= counts.keys():
        facts["score"] = f"{counts['num_scores']:,} scores computed elsewhere. {cohorts}"
    ancestry = config.get("ancestry")
    if ancestry and {"num_ancestry_variants", "num_ancestry_fitted"} <= counts.keys():
        facts["ancestry"] = (
            f"Most similar population ({ancestry.get('similarity')} on {ancestry.get('similarity_pcs')} of "
            f"{ancestry.get('num_pcs')} principal components) from {counts['num_ancestry_variants']:,} "
            f"variants; fitted on {found.rules.count(counts['num_ancestry_fitted'])} samples."
        )
    return facts


def source_cohorts(overlap: Mapping[str, Any]) -> str:
    """How many scores were developed in the cohort judged; empty where nobody looked.

    Args:
        overlap: As of :func:`proband.genome.cohorts.sample_overlap`.
    """
    if not overlap:
        return ""
    inside, unknown = overlap["num_scores_own_cohort"], overlap["num_scores_cohort_unknown"]
    left_out = overlap.get("num_scores_cohort_left_out", 0)
    own = ", ".join(overlap["own_cohort"])
    parts = [f"Scores developed in {own}: {inside:,} of {overlap['num_scores']:,}; not known: {unknown:,}"]
    parts += [f"left out for it: {left_out:,}"] if left_out else []
    caution = " Their gain may be inflated by sample overlap." if inside else ""
    return f"{'; '.join(parts)}; consortia are not resolved.{caution}"


def _adjusted(config: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    how = ", ".join((config.get("ancestry") or {}).get("adjust") or ())
    number = counts.get("num_scores_adjusted", 0)
    return (
        f"; {number:,} were adjusted for principal components{how and f' ({how})'}"
        if number and config.get("ancestry")
        else ""
    )


def _of_tokens(noted: Mapping[str, Any]) -> dict[str, str]:
    config, counts = noted["config"], noted["counts"]
    if "num_vocabulary" not in counts or "num_bins" not in config:
        return {}
    return {
        "predictors": (
            f"Codes as tokens of a vocabulary of {counts['num_vocabulary']:,}; numeric values in up to "
            f"{config['num_bins']} bins of each code with at least {config.get('min_values')} of them."
        )
    }
