"""The code blocks of the documents can be read: as shell, Python or JSON, and by the command line that they call."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
from tests.support.documents import code_blocks

from boxwright import cli, secret_files
from boxwright.commands import connection

COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?boxwright (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\b(BOXWRIGHT_[A-Z0-9_]+)=")
OF_CLIENTS = {  # read by the commands, not by the service
    connection.AUTHORITY_VARIABLE,
    connection.LOCATION_VARIABLE,
    connection.PROJECT_VARIABLE,
    connection.TOKEN_VARIABLE,
    connection.URL_VARIABLE,
}
OF_TESTS = re.compile(r"BOXWRIGHT_(TEST|FUZZ|FAULTS)")


def _labelled(blocks: list[code_blocks.Block]) -> list[object]:
    assert blocks
    return [pytest.param(block, id=block.label) for block in blocks]


@pytest.mark.parametrize("block", _labelled(code_blocks.read_all("sh")))
def test_a_shell_block_is_shell(block: code_blocks.Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", _labelled(code_blocks.read_all("python")))
def test_a_python_block_is_python(block: code_blocks.Block) -> None:
    compile(block.code, block.label, "exec")


@pytest.mark.parametrize("block", _labelled(code_blocks.read_all("json")))
def test_a_json_block_is_json(block: code_blocks.Block) -> None:
    for line in [block.code] if block.code.count("\n{") == 0 else block.code.splitlines():
        json.loads(line)


def _commands() -> list[object]:
    found = []
    for block in code_blocks.read_all("sh"):
        code = block.code.replace("\\\n", " ")
        found += [pytest.param(match[1], id=f"{block.label}: {match[1][:40]}") for match in COMMAND.finditer(code)]
    assert found
    return found


@pytest.mark.parametrize("command", _commands())
def test_a_command_line_is_one_that_the_program_takes(command: str) -> None:
    words = shlex.split(re.split(r" [|&>;]", command)[0], comments=True)
    try:
        cli._parser().parse_args(words)
    except SystemExit as ended:
        assert ended.code == 0, f"boxwright {command}"


def test_a_variable_is_a_setting() -> None:
    table = (code_blocks.ROOT / "docs" / "configuration.md").read_text(
        encoding="utf-8"
    )  # another test holds it to the code
    names = re.findall(r"^\| `([a-z0-9_]+)` \|", table, re.MULTILINE)
    known = {f"BOXWRIGHT_{name.upper()}" for name in names} | OF_CLIENTS | {"BOXWRIGHT_CONFIG"}
    known |= {name + secret_files.SUFFIX for name in secret_files.VARIABLES}
    named = {(block.label, name) for block in code_blocks.read_all("sh") for name in VARIABLE.findall(block.code)}
    assert not [pair for pair in named if pair[1] not in known and not OF_TESTS.match(pair[1])]
