from __future__ import annotations

import pytest
import typer
from typer.main import get_command

from proband.cli.main import app
from proband.core.options import INPUTS, RUNNING
from proband.train.config import LEARNING, LENGTH, MACHINE, SIZE

COMMAND = get_command(app).commands["train"]  # type: ignore[attr-defined]
OPTIONS = [parameter for parameter in COMMAND.params if parameter.param_type_name == "option"]
UNITS = (
    "tokens", "minutes", "seconds", "steps", "passes", "share", "blocks", "heads", "width", "evaluations",
    "rate", "nats", "a number", "dates",
)  # fmt: skip


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


def test_the_help_is_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["train", "--help"])
    text = capsys.readouterr().out
    headings = [INPUTS, SIZE, LENGTH, LEARNING, MACHINE, RUNNING]
    at = [text.index(f"\n{heading}:\n") for heading in headings]
    assert at == sorted(at)
    assert text.index("--token-budget") > text.index(f"{MACHINE}:")
    assert text.count("Example: ") >= 4
