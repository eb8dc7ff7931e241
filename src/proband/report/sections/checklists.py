"""Reporting checklists: each item in our words, and which fact of the results answers it.

Sources: TRIPOD+AI (Collins et al. 2024, doi:10.1136/bmj-2023-078378), PRS-RS (Wand et al. 2021,
doi:10.1038/s41586-021-03243-6), PROBAST+AI (Moons et al. 2025, doi:10.1136/bmj-2024-082505). The wording is
not theirs; the published lists are what a journal asks for.
"""

from __future__ import annotations

from typing import NamedTuple


class Checklist(NamedTuple):
    """A checklist: title, source, title of its items, and the items: number, item, key of a fact or empty."""

    title: str
    source: str
    asks: str
    items: tuple[tuple[str, str, str], ...]


TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins et al. 2024, BMJ 385:e078378, doi:10.1136/bmj-2023-078378; items in our words",
    "What is to be reported",
    (
        ("1", "Title: a study that makes or judges a prediction model, of whom, for which outcome", "title"),
        ("2", "Structured abstract", ""),
        ("3a", "Health context and why a model is needed", ""),
        ("3b", "For whom, for which use and by whom it is meant", ""),
        ("3c", "Known inequalities between groups", ""),
        ("4", "Aim: development, evaluation, or both", "performance"),
        ("5a", "Source of the data and why they stand for those in question", "synthetic"),
        ("5b", "Dates of collection and end of follow-up", ""),
        ("6a", "Setting, number and place of centres", "synthetic"),
        ("6b", "Who could take part", "flow"),
        ("6c", "Treatments received", ""),
        ("7", "Preparation of the data and checks of their quality", "missing"),
        ("8a", "Outcome, horizon, and how it was determined in every group", "outcomes"),
        ("8b", "Horizons and competing events", "horizons"),
        ("9a", "Predictors and why these", "models"),
        ("9b", "Predictors known when the prediction is made", "leakage"),
        ("10", "Sample size and how it was arrived at", "size"),
        ("11", "Missing data", "missing"),
        ("12a", "How data were used for development and evaluation", "splits"),
        ("12b", "Form of the predictors", "predictors"),
        ("12c", "Type of model, how it was built and tuned", "models"),
        ("12d", "Differences between clusters", ""),
        ("12e", "Measures of performance", "performance"),
        ("12f", "Updating of the model", ""),
        ("12g", "How predictions were computed", "horizons"),
        ("13", "Class imbalance: whether risks were recalibrated", ""),
        ("14", "Fairness: what was done and why", "strata"),
        ("15", "Output of the model: risk, and thresholds", "horizons"),
        ("16", "Differences between development and evaluation data", "splits"),
        ("17", "Ethical approval", "synthetic"),
        ("18a-c", "Funding, conflicts of interest, protocol", ""),
        ("18d-f", "Registration, data and code that others may use", "software"),
        ("19", "Part of patients and the public", ""),
        ("20a", "Flow of participants", "flow"),
        ("20b", "Characteristics of participants, missing values", "flow"),
        ("20c", "Comparison of development and evaluation data", "flow"),
        ("21", "Participants and events in each analysis", "size"),
        ("22", "The full model, so that others can use it", ""),
        ("23a", "Performance with intervals, also in groups", "uncertainty"),
        ("23b", "Heterogeneity between clusters", ""),
        ("24", "Results of updating", ""),
        ("25", "Interpretation", ""),
        ("26", "Limits", "limits"),
        ("27a-c", "Use in care: poor input, interaction, next steps", ""),
    ),
)
PRS_RS = Checklist(
    "PRS-RS",
    "Wand et al. 2021, Nature 591:211-219, doi:10.1038/s41586-021-03243-6; items in our words",
    "What is to be reported",
    (
        ("1", "Type of study: development or validation of a score", "performance"),
        ("2", "Outcome predicted and its definition", "outcomes"),
        ("3", "Recruitment and setting", "synthetic"),
        ("4", "Age, sex and other characteristics", "flow"),
        ("5", "Genetic ancestry of the samples and how it was determined", "ancestry"),
        ("6", "Genotyping, imputation and quality control", "genotyping"),
        ("7", "Other variables beside the score", "models"),
        ("8", "Missing data", "missing"),
        ("9", "How the score was made: variants, weights, source of the weights", "score"),
        ("10", "Which models read scores", "genome"),
        ("11", "Model that turns the score into risk", "models"),
        ("12", "Distribution of the score, and risk along it", "deciles"),
        ("13", "Discrimination and calibration with intervals", "performance"),
        ("14", "Gain over other predictors", "baselines"),
        ("15", "Performance by ancestry", "by_ancestry"),
        ("16", "Limits and to whom the score applies", "limits"),
        ("17", "Where score files and code are", "software"),
    ),
)
PROBAST_AI = Checklist(
    "PROBAST+AI self-assessment",
    "Moons et al. 2025, BMJ 388:e082505, doi:10.1136/bmj-2024-082505; questions in our words",
    "Question about risk of bias",
    (
        ("1.1", "Participants: are the data a fair picture of those in question?", ""),
        ("1.2", "Participants: were the same rules of entry applied to all?", "flow"),
        ("2.1", "Predictors: determined alike for everybody?", ""),
        ("2.2", "Predictors: known at the time of prediction, and blind to the outcome?", "leakage"),
        ("3.1", "Outcome: defined beforehand and alike for everybody?", "outcomes"),
        ("3.2", "Outcome: is the horizon fitting, and the competing event heeded?", "competing"),
        ("4.1", "Analysis: are there enough participants with the outcome?", "size"),
        ("4.2", "Analysis: were missing values and censoring dealt with fittingly?", "competing"),
        ("4.3", "Analysis: were development and evaluation kept apart?", "splits"),
        (
            "4.4",
            "Analysis: were discrimination and calibration both judged, with uncertainty?",
            "uncertainty",
        ),
        ("4.5", "Analysis: was performance judged in groups that matter?", "strata"),
        ("5.1", "Overall risk of bias: low, high or unclear", ""),
        ("5.2", "Applicability to the question in hand", ""),
    ),
)
CHECKLISTS = (TRIPOD_AI, PRS_RS, PROBAST_AI)
