"""The task file: which outcomes, predicted when, over which horizons."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from proband.core.errors import ConfigError, near_matches
from proband.core.files.atomic import whole_file
from proband.core.running.progress import say
from proband.core.text.yamlfile import first_problem, read_mapping
from proband.ehr.task.codesets import Codes, CodeSet, Pattern, Step, one_slash, one_spelling
from proband.ehr.task.dates import SubjectTable, read_subject_dates, table_files
from proband.ehr.task.files import OutcomeFiles, named_files, outcomes_with_codes
from proband.ehr.task.labelled import Labelled, is_labelled
from proband.ehr.task.packaged import map_file

DATES_FILE = "prediction_times.parquet"
"""Where a saved task has the dates of its subjects."""
LABELS_FILE = "labels_{}.parquet"
"""Where it has the labels of its outcomes, by number."""
Years = Annotated[float, Field(ge=0, le=150, allow_inf_nan=False)]
_SET, _PATTERN, _LABELLED = "<set>", "<pattern>", "<labels>"


def _kind(value: Any) -> str:
    if is_labelled(value):
        return _LABELLED
    is_pattern = isinstance(value, Pattern) or (isinstance(value, dict) and "steps" in value)
    return _PATTERN if is_pattern else _SET


Outcome = Annotated[
    Annotated[CodeSet, Tag(_SET)] | Annotated[Pattern, Tag(_PATTERN)] | Annotated[Labelled, Tag(_LABELLED)],
    Discriminator(_kind),
]


def _named(name: str) -> str:
    if not name.strip():
        raise ValueError("a name that is not empty")
    return name


Name = Annotated[str, AfterValidator(_named)]


class PredictionTimes(BaseModel):
    """When to predict, in exactly one of five ways; a list gives several times per subject.

    Attributes:
        dates: What ``file`` holds, once a task file is loaded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    years_after_entry: tuple[Years, ...] | None = Field(
        default=None, min_length=1, description="Years after entry."
    )
    age_years: tuple[Years, ...] | None = Field(
        default=None, min_length=1, description="Ages in years of 365.25 days."
    )
    date: tuple[datetime.date, ...] | None = Field(
        default=None, min_length=1, description="Calendar dates, at midnight."
    )
    every_years: float | None = Field(
        default=None,
        ge=0.01,
        le=150,
        allow_inf_nan=False,
        description="Again and again from entry and washout to exit, so many years apart.",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        description="Each subject's own dates: a table of subject_id and prediction_time, Parquet or text, "
        "named from the task file's folder; a MEDS label file, or a folder of such, is one.",
    )
    _dates: SubjectTable | None = PrivateAttr(default=None)

    @property
    def dates(self) -> pl.DataFrame:
        """subject_id and prediction_time of ``file``."""
        if self._dates is None:
            remedy = "read the task by load_task"
            raise ConfigError(
                "dates of a task that was not loaded from its file", where=self.file, remedy=remedy
            )
        return self._dates.frame

    @field_validator("years_after_entry", "age_years", "date", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if value is None or isinstance(value, (list, tuple)) else (value,)

    @model_validator(mode="after")
    def _exactly_one(self) -> PredictionTimes:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"needs exactly one of {kinds}, found {', '.join(given) or 'none'}")
        return self


class Task(BaseModel):
    """A prediction task, as in a task file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcomes: dict[Name, Outcome] = Field(
        min_length=1, description="Name of each outcome -> its codes, its pattern of events, or its labels."
    )
    prediction: PredictionTimes = Field(description="When to predict.")
    horizons_years: tuple[Annotated[float, Field(gt=0, le=150, allow_inf_nan=False)], ...] = Field(
        min_length=1, description="Horizons in years after the prediction time, above 0."
    )
    washout_years: Years = Field(
        default=0.0, description="Years of record needed before the prediction time."
    )
    gap_days: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Blanking: who has the outcome within so many days after the prediction time leaves.",
    )

    @field_validator("horizons_years", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else (value,)

    @field_validator("horizons_years", mode="after")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _labels_fit(self) -> Task:
        if self.labelled and (len(self.horizons_years) > 1 or self.gap_days):
            name = next(iter(self.labelled))
            raise ValueError(f"labels of {name} are over one horizon, without a gap: one horizons_years")
        return self

    @property
    def labelled(self) -> dict[str, Labelled]:
        """The outcomes that are given as labels."""
        return {name: one for name, one in self.outcomes.items() if isinstance(one, Labelled)}


_MODELS = (Task, CodeSet, Pattern, Step, Labelled, PredictionTimes, OutcomeFiles)


def load_task(path: Path) -> Task:
    """Read and check a task file (YAML), and the files that it names: panels, code sets, labels, dates.

    Where all outcomes are labels of one file and no prediction time is given, it is that of the labels.

    Raises:
        ConfigError: A file is missing or unreadable, or does not describe a task; names the first problem.
        DataError: A file that it names is unusable.
    """
    content = _read_yaml(path)
    if not content.get("outcomes"):
        raise ConfigError("no outcome", where=path, expected="outcomes: {name: {codes: [...]}}")
    content = _at_labels(content) | {"outcomes": outcomes_with_codes(content["outcomes"], path)}
    try:
        task = Task.model_validate(content)
    except ValidationError as error:
        raise first_problem(error, path, "task", _MODELS, (_SET, _PATTERN, _LABELLED)) from None
    for outcome in task.labelled.values():
        outcome.load(path.parent)
    if task.prediction.file is not None:
        task.prediction._dates = SubjectTable(read_subject_dates(path.parent / task.prediction.file))
    return task


def task_files(path: Path) -> list[Path]:
    """The files that :func:`load_task` reads: the task file, what its outcomes name, its table of dates."""
    content = _at_labels(_read_yaml(path))
    prediction = content.get("prediction")
    dates = prediction.get("file") if isinstance(prediction, dict) else None
    names = [*named_files(content.get("outcomes")), *([dates] if isinstance(dates, str) else [])]
    return [
        path,
        *(file for name in dict.fromkeys(names) for file in table_files(map_file(name, path.parent))),
    ]


def _at_labels(content: dict) -> dict:
    """What a task file says, with the dates of its labels where it says no prediction time."""
    outcomes = content.get("outcomes")
    given: list[Any] = list(outcomes.values()) if isinstance(outcomes, dict) else [None]
    if "prediction" in content or not all(map(is_labelled, given)):
        return content
    files = {str(outcome["labels"]) for outcome in given}
    return content | ({"prediction": {"file": files.pop()}} if len(files) == 1 else {})


def _read_yaml(path: Path) -> dict:
    return read_mapping(path, "task", Task.model_fields)


def save_task(task: Task, path: Path) -> None:
    """Write ``task`` so that :func:`load_task` gives it back; dates and labels in tables beside it."""
    content = task.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for number, (name, outcome) in enumerate(task.labelled.items()):
        file = content["outcomes"][name]["labels"] = LABELS_FILE.format(number)
        with whole_file(path.parent / file) as temporary:
            outcome.frame.write_parquet(temporary, compression="zstd")
    if task.prediction.file is not None:
        content["prediction"]["file"] = DATES_FILE
        with whole_file(path.parent / DATES_FILE) as temporary:
            task.prediction.dates.write_parquet(temporary, compression="zstd")
    with whole_file(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def require_known(task: Task, codes: Iterable[str]) -> None:
    """Refuse an outcome a line of which selects no code of the data, so that a typing error is no lost case.

    Each prefix and each regex must match; of listed codes one must be there, as a code list may be wider than
    the data: what is absent beside codes that are present is only said. So is all that may be absent, but not
    all of a panel.

    Raises:
        ConfigError: A line of an outcome selects nothing, with near matches of the first, and the names of
            the other outcomes; or no outcome of several has a code of the data.
    """
    known = list(codes)
    present = set(known)
    unknown: dict[str, list[str]] = {}
    _refuse_foreign(task, known)
    for name, outcome in task.outcomes.items():
        lines = [line for step in outcome.steps for line in step.lines.values()]
        empty = [line for line in lines if not line.select(known)]
        if outcome.may_be_absent and not all(step.select(known) for step in outcome.steps):
            say(f"task: no event has a code of outcome {name}; nobody counts as having it")
        elif outcome.may_be_absent and empty:
            say(f"task: outcome {name} names {len(empty)} lines that no event has, first {empty[0].asked[0]}")
        elif empty:
            unknown[name] = [entry for line in empty for entry in _asked(line)]
        else:
            listed = {code for step in outcome.steps for code in step.codes}
            spelled = {one_slash(code) for code in listed & present}
            absent = one_spelling(sorted(code for code in listed - present if one_slash(code) not in spelled))
            if absent:
                say(f"task: outcome {name} lists {len(absent)} codes that no event has, first {absent[0]}")
    if unknown:
        raise _unknown_codes(unknown, known)


def _refuse_foreign(task: Task, known: list[str]) -> None:
    """Refuse several outcomes that may all be absent, and are: they are of other vocabularies or spellings.

    Raises:
        ConfigError: There are some, and no code of any is in the data.
    """
    outcomes = list(task.outcomes.values())
    steps = [step for outcome in outcomes for step in outcome.steps]
    all_may = len(outcomes) > 1 and all(outcome.may_be_absent and outcome.steps for outcome in outcomes)
    if not all_may or any(step.select(known) for step in steps):
        return
    first, *_ = _asked(steps[0])
    raise ConfigError(
        "no outcome has a code of the data",
        where="the task",
        found=f"{len(outcomes):,} outcomes, first {first}; in the data such as {', '.join(known[:3])}",
        expected="at least one outcome that some event has",
        remedy=near_matches(first, known) or "spell codes as in metadata/codes.parquet, phecodes by prefixes",
    )


def _asked(codes: Codes) -> list[str]:
    """What a line asks for, without the other spellings of its codes."""
    return [*one_spelling(codes.codes), *codes.asked[len(codes.codes) :]]


def _unknown_codes(unknown: dict[str, list[str]], known: list[str]) -> ConfigError:
    (name, asked), *others = unknown.items()
    also = f"; the same of {len(others)} more outcomes: {', '.join(other for other, _ in others)}"
    return ConfigError(
        f"unknown codes of outcome {name}",
        where="the task",
        found=f"{len(asked)} that no event has, first {asked[0]}{also if others else ''}",
        remedy=_remedy(asked[0], known),
    )


def _remedy(entry: str, known: list[str]) -> str:
    """What to write instead of a code, prefix or regex that matches nothing."""
    plain = entry.rstrip("*%")
    if plain != entry and plain and any(code.startswith(plain) for code in known):
        return f"write prefixes without a wildcard: prefixes: [{plain}]"
    anywhere = "look in metadata/codes.parquet for the codes there are, or set may_be_absent: true"
    return (
        near_matches(plain or entry, known)
        or near_matches(plain, {code[: len(plain)] for code in known})
        or anywhere
    )
