from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import BaseModel, Field

from proband.cli.options import Overwrite, Workers, expanded
from proband.cli.tables import commands, configured, filled, main, marked, rows
from proband.core.errors import ConfigError
from proband.core.options import Option

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


class Toy(BaseModel):
    count: Annotated[int, Option("Sizes")] = Field(2000, ge=1, le=9000, description="Things.")
    share: Annotated[float | None, Option("Sizes", default="by count")] = Field(
        None, ge=0, lt=1, description="Share of things: a|b."
    )
    careful: Annotated[bool, Option()] = Field(True, description="Look twice.")
    plain: Annotated[bool, Option(flag="--no-frills", default="off")] = Field(True, description="No frills.")
    kind: Annotated[Literal["a", "b"], Option()] = Field("a", description="a or b.")
    shares: Annotated[tuple[float, float], Option()] = Field((0.75, 0.25), description="Two shares.")
    hidden: int = Field(0, description="No option.")


def command(
    out: Path,
    task: Annotated[Path, typer.Option(help="Task file.")],
    config: Toy,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a toy."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_options_are_those_of_the_commands(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, f"{page.name} is stale: run `make tables`"


def test_every_command_with_a_configuration_has_a_table() -> None:
    there = [name for page in PAGES for name in marked(page.read_text())]
    wanted = {name for name, command in commands().items() if configured(command)}
    assert len(there) == len(set(there))
    assert not wanted - set(there), "put `<!-- options: NAME -->` and its end on its page, then `make tables`"


def test_a_row_has_flag_default_range_and_meaning() -> None:
    assert [str(row) for row in rows(expanded(command))] == [
        "| `--task` | required |  | Task file. |",
        "| `--count` | 2000 | 1 to 9000 | Things. |",
        r"| `--share` | by count | ≥ 0, < 1 | Share of things: a\|b. |",
        "| `--careful / --no-careful` | on |  | Look twice. |",
        "| `--no-frills` | off |  | No frills. |",
        "| `--kind` | a |  | a or b. |",
        "| `--shares` | 0.75, 0.25 |  | Two shares. |",
        "| `--workers` | one per core | ≥ 1 | Processes, a number. |",
        "| `--overwrite` | off |  | Make the output anew. |",
    ]


def test_only_what_is_between_the_marks_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- options: tokens -->\nstale words\n<!-- end of options -->\nafter\n")
    main(tmp_path)
    text = page.read_text()
    assert text.startswith("before\n<!-- options: tokens -->\n\n| option |")
    assert text.endswith("|\n\n<!-- end of options -->\nafter\n")
    assert "`--num-bins`" in text
    assert "stale words" not in text
    assert filled(text) == text


def test_a_mark_of_no_command_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such sub-command; found tolkens; expected demo, synth"):
        filled("<!-- options: tolkens -->\n<!-- end of options -->")
