"""From a configuration to options: every kind of field, by a toy configuration of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proband.cli import main as cli
from proband.cli.options import GroupedCommand, Overwrite, expanded, fields_of
from proband.core.options import Option, flag_of, pairs

SIZES, INNER = "Sizes", "Of the inner part"


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    width: Annotated[int, Option(INNER)] = Field(3, ge=1, description="Width of it.")
    plain: Annotated[bool, Option(INNER, flag="--no-frills", default="off")] = Field(
        True, description="Leave frills out."
    )
    hidden: int = Field(5, description="No option.")


class Toy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Option(SIZES)] = Field(2, ge=1, le=9, description="Things.")
    rate: Annotated[float | None, Option(SIZES, default="by count")] = Field(
        None, gt=0, description="Things a day."
    )
    verbose: Annotated[bool, Option()] = Field(False, description="Say more.")
    careful: Annotated[bool, Option()] = Field(True, description="Look twice.")
    kind: Annotated[Literal["plain", "striped"], Option()] = Field("plain", description="plain or striped.")
    names: Annotated[tuple[str, ...], Option(flag="--name")] = Field((), description="A name, repeatable.")
    letters: Annotated[tuple[str, ...], Option()] = Field(("a", "b"), description="Letters, repeatable.")
    shares: Annotated[tuple[float, float], Option()] = Field((0.75, 0.25), description="Two shares.")
    years: Annotated[tuple[float, ...], Option(by_commas=True)] = Field(
        (1.0, 2.5), min_length=1, description="Years, by commas."
    )
    day: Annotated[date | None, Option(default="today")] = Field(None, description="A day.")
    file: Annotated[Path | None, Option()] = Field(None, description="A file.")
    colours: Annotated[dict[str, str], Option(flag="--colour")] = Field(
        default_factory=dict, description="NAME=COLOUR, repeatable."
    )
    inner: Inner = Field(default_factory=Inner, description="A part.")
    tasks: tuple[str, ...] = Field((), description="No option; set by the stage.")

    @field_validator("colours", mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        return pairs("--colour", "NAME=COLOUR", given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _few_names(self) -> Toy:
        if len(self.names) > self.count:
            raise ValueError("--name more often than --count")
        return self


Run = Callable[..., Toy]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a toy command line through the program's main; returns the configuration made of it."""
    made: list[Toy] = []

    def command(out: Path, config: Toy, overwrite: Overwrite = False) -> None:
        """Make a toy."""
        made.append(config)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command("toy", cls=GroupedCommand)(expanded(command))
    app.callback()(lambda: None)
    monkeypatch.setattr(cli, "app", app)

    def of(*words: str) -> Toy:
        monkeypatch.setattr("sys.argv", ["proband", "toy", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (None, 0), words
        return made.pop()

    return of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {}),
        ("--count 9 --rate 0.5", {"count": 9, "rate": 0.5}),
        ("--verbose --no-careful", {"verbose": True, "careful": False}),
        ("--careful", {}),
        ("--kind striped", {"kind": "striped"}),
        ("--name a --name b", {"names": ("a", "b")}),
        ("--shares 0.5 0.5", {"shares": (0.5, 0.5)}),
        ("--years 0.5,10", {"years": (0.5, 10.0)}),
        ("--years 0.5,10,", {"years": (0.5, 10.0)}),
        ("--day 2024-02-29", {"day": date(2024, 2, 29)}),
        ("--file a/b.txt", {"file": Path("a/b.txt")}),
        ("--colour sky=blue --colour sun=red", {"colours": {"sky": "blue", "sun": "red"}}),
        ("--inner-width 7 --no-frills", {"inner": {"width": 7, "plain": False}}),
    ],
)
def test_options_become_the_configuration(run: Run, words: str, expected: dict[str, Any]) -> None:
    assert run("out", *words.split()) == Toy(**expected)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--count 10", "unusable --count; found 10; expected less than or equal to 9"),
        ("--count two", "unusable --count; expected a valid integer"),
        ("--rate 0", "unusable --rate; found 0.0; expected greater than 0"),
        ("--kind dotted", "unusable --kind; found 'dotted'; expected 'plain' or 'striped'"),
        ("--years 1;5", "unusable --years; found '1;5'; expected a number"),
        ("--shares 0.5", "option '--shares' requires 2 arguments"),
        ("--day 30.2.2024", "unusable --day; expected '30.2.2024' does not match the format"),
        ("--colour sky", "unusable --colour; found sky; expected NAME=COLOUR"),
        ("--inner-width 0", "unusable --inner-width; found 0; expected greater than or equal to 1"),
        ("--name a --name b --name c", "--name more often than --count; in the options"),
        ("--hidden 3", "no such option: --hidden"),
        ("more", "got unexpected extra argument(s) (more); remedy: see proband toy --help"),
    ],
)
def test_what_is_unusable_is_one_line_and_status_2(
    run: Run, words: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["proband", "toy", "out", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"proband: {line}")
    assert told.count("\n") == 1


def test_the_help_tells_each_option_its_default_and_its_group(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["proband", "toy", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "--count <int> Things. [default: 2]",
        "Things a day. [default: (by count)]",
        "--verbose Say more. [default: (off)]",
        "--careful / --no-careful Look twice. [default: (on)]",
        "plain or striped. [default: plain]",
        "Two shares. [default: (0.75, 0.25)]",
        "Years, by commas. [default: 1,2.5]",
        "A day. [default: (today)]",
        "A file. [default: (none)]",
        "NAME=COLOUR, repeatable. [default: (none)]",
        "Letters, repeatable. [default: (a, b)]",
        "--overwrite Make the output anew. [default: (off)]",
        "--no-frills Leave frills out. [default: (off)]",
    ):
        assert text in shown
    assert shown.index(f"{SIZES}:") < shown.index("Options:") < shown.index(f"{INNER}:")
    assert "--hidden" not in shown
    assert "--tasks" not in shown


def test_a_flag_is_the_path_of_its_field_unless_it_has_its_own() -> None:
    flags = {field.name: field.flag for field in fields_of(Toy)}
    assert flags["inner_width"] == flag_of(Toy, ("inner", "width")) == "--inner-width"
    assert flags["inner_plain"] == flag_of(Toy, ("inner", "plain")) == "--no-frills"
    assert flag_of(Toy, ("names", 0)) == "--name"
    assert flag_of(Toy, ("unheard_of",)) == "--unheard-of"
    assert {"tasks", "inner_hidden"} & set(flags) == set()
