from __future__ import annotations

import inspect

import pytest
import typer
from typer.main import get_command

from proband.cli import train
from proband.cli.main import app
from proband.train.config import OnsetOptions, TrainConfig

COMMAND = get_command(app).commands["train"]  # type: ignore[attr-defined]
OPTIONS = [parameter for parameter in COMMAND.params if parameter.param_type_name == "option"]
UNITS = (
    "tokens", "minutes", "seconds", "steps", "passes", "share", "blocks", "heads", "width", "evaluations",
    "rate", "nats", "a number", "dates",
)  # fmt: skip
FIELD_OF = {"compile_blocks": "compile", "encoder": "encoders"}
OF_ONSET = {"onset_epochs": "epochs", "onset_queries": "queries"}
NOT_FIELDS = {"genome", "modality", "overwrite", "task", "no_onset", *OF_ONSET}
BY_THE_STAGE = {"modalities", "tasks"}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_explained_with_its_unit_and_default(option: typer.core.TyperOption) -> None:
    if option.name == "help":
        return
    assert option.help
    assert len(option.help) > 10
    assert option.help.endswith(".")
    assert option.rich_help_panel
    label, text = (" ".join(part.split()) for part in option.get_help_record(typer.Context(COMMAND)))
    assert "default: " in text
    assert "default: None" not in text
    if "<int>" in label or "<float>" in label:
        assert any(unit in option.help.lower() for unit in UNITS), option.help


def test_the_options_are_the_settings_with_their_defaults() -> None:
    given = {FIELD_OF.get(option.name, option.name): option for option in OPTIONS}
    assert given.keys() - NOT_FIELDS - {"help"} == TrainConfig.model_fields.keys() - BY_THE_STAGE - {"onset"}
    signature = inspect.signature(train.command).parameters
    for name, field in TrainConfig.model_fields.items():
        if name in BY_THE_STAGE | {"fusion", "encoders", "onset"}:  # decided by what is given
            continue
        option = next(key for key in signature if FIELD_OF.get(key, key) == name)
        assert signature[option].default == field.default, name
    for option, name in OF_ONSET.items():
        assert signature[option].default == OnsetOptions.model_fields[name].default


def test_the_help_is_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["train", "--help"])
    text = capsys.readouterr().out
    headings = [train.INPUT, train.SIZE, train.LENGTH, train.LEARNING, train.MACHINE, train.RUNNING]
    at = [text.index(f"\n{heading}:\n") for heading in headings]
    assert at == sorted(at)
    assert text.index("--token-budget") > text.index(f"{train.MACHINE}:")
    assert text.count("Example: ") >= 4
