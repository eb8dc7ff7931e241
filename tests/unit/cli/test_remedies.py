"""Options and sub-commands that messages name are there."""

import ast
import re
from pathlib import Path

import pytest
import typer

import proband
from proband.cli.main import app

OF_OTHERS = re.compile(r"(?:plink2|bgenix|regenie|torchrun|pip|git)\b[^;)]*", re.IGNORECASE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])")
COMMAND = re.compile(r"(?<![\w.-])proband ([a-z]+)(?= |$|[`',;:.)])")
"""Of a text such as ``run proband tokens``."""
WORDS = {
    "is",
    "and",
    "with",
    "made",
    "model",
    "folder",
    "of",
    "or",
    "does",
    "that",
    "to",
    "can",
    "itself",
    "stage",
    "version",
}
"""What may follow the name in a sentence."""
SOURCES = sorted(Path(proband.__file__).parent.rglob("*.py"))


def messages(path: Path) -> list[str]:
    """Texts of a module that are no docstrings; of an f-string its fixed parts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in told]
    return [node.value for node in texts if isinstance(node.value, str)]


def of_the_command_line() -> tuple[set[str], set[str]]:
    """Names of all sub-commands, and of their options."""
    commands = typer.main.get_command(app).commands
    options = {name for command in commands.values() for one in command.params for name in one.opts}
    negated = {name for command in commands.values() for one in command.params for name in one.secondary_opts}
    return set(commands), options | negated | {"--help", "--version"}


@pytest.fixture(scope="module")
def known() -> tuple[set[str], set[str]]:
    return of_the_command_line()


@pytest.mark.parametrize("room", sorted({path.relative_to(SOURCES[0].parent).parts[0] for path in SOURCES}))
def test_what_a_message_names_is_there(room: str, known: tuple[set[str], set[str]]) -> None:
    commands, options = known
    for path in SOURCES:
        if path.relative_to(SOURCES[0].parent).parts[0] != room:
            continue
        for text in messages(path):
            own = OF_OTHERS.sub("", text)
            absent = set(OPTION.findall(own)) - options
            assert not absent, (path.name, text)
            unknown = set(COMMAND.findall(own)) - commands - WORDS
            assert not unknown, (path.name, text)


def test_the_messages_name_many() -> None:
    named = {name for path in SOURCES for text in messages(path) for name in OPTION.findall(text)}
    assert len(named) > 30
