"""The house rules that a machine can keep: who imports whom, and how long things are."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("edgegw", "workers")
MAX_FUNCTION_lines = 40
MAX_FILE_lines = 280  # "about 250"

# What must break which contract: the contract's id, the room that imports, the line that it must not have.
FORBIDDEN = [
    ("layers", "edgegw.reading", "import edgegw.codec"),
    ("layers", "edgegw.errors", "import edgegw.clock"),
    ("layers", "edgegw.clock", "import edgegw.driver"),
    ("layers", "edgegw.bus", "import edgegw.worker"),
    ("layers", "edgegw.spool", "import edgegw.sinks.sqlite"),
    ("layers", "edgegw.bus", "import edgegw.spool"),
    ("layers", "edgegw.tally", "import edgegw.control"),
    ("layers", "edgegw.supervisor", "import edgegw.bridge"),
    ("layers", "edgegw.worker", "from edgegw import bridge"),
    ("layers", "edgegw.bridge", "import edgegw.account"),
    ("layers", "edgegw.tap", "import edgegw.cli"),
    ("layers", "edgegw.a_new_room", "import edgegw.errors"),  # a room that nobody gave a place
    ("drivers", "workers.tfluna", "import edgegw.config"),
    ("drivers", "workers.tfluna", "from edgegw import retry"),
    ("drivers", "workers.virtual.tfluna", "import edgegw.sinks.sqlite"),
    ("drivers", "workers.camera", "import edgegw.log"),
    ("by-name", "edgegw.driver", "import workers.tfluna"),
    ("zmq", "edgegw.tap", "import zmq"),
    ("zmq", "workers.tfluna", "from zmq import Context"),
    ("aio-pika", "edgegw.sinks.sqlite", "import aio_pika"),
    ("aio-pika", "edgegw.bridge", "import aiormq.exceptions"),
    ("pymysql", "edgegw.sinks.schema", "import pymysql.err"),
    ("click", "edgegw.supervisor", "import click"),
    ("onnxruntime", "edgegw.worker", "import onnxruntime"),
    ("httpx", "edgegw.sinks.schema", "import httpx"),
    ("cv2", "workers.tfluna", "import cv2"),
    ("cv2", "edgegw.bridge", "import cv2"),
    ("devices", "edgegw.driver", "import serial.tools.list_ports"),
    ("devices", "edgegw.cli", "import bleak"),
]


def lint_imports(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """import-linter over the packages of that tree, in a process of its own: it keeps what it has read."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.argv[0] = 'lint-imports'; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", "setup.cfg", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=120)


def copy_tree(target: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", target)


def write_line(tree: Path, module: str, line: str) -> None:
    """Add a line to a module, wherever it lies; make the module where there is none yet."""
    path = tree.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    file.write_text(f"{file.read_text() if file.exists() else ''}\n{line}\n")


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def test_imports_keep_to_the_plan() -> None:
    """The tree as it stands keeps every contract of setup.cfg."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("contract", "room", "line"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(contract: str, room: str, line: str, tmp_path: Path) -> None:
    """Each contract can fail: one line added to a copy of the tree breaks it, and is named."""
    copy_tree(tmp_path)
    write_line(tmp_path, room, line)
    for module in (word for word in line.replace("from edgegw import ", "edgegw.").split() if word.startswith("edgegw.")):
        write_line(tmp_path, module, "")  # a room that is still to be built
    done = lint_imports(tmp_path, "--contract", contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout, done.stdout + done.stderr
    assert room in done.stdout


def test_every_contract_is_tried() -> None:
    """No contract stands in setup.cfg without a line above that breaks it."""
    text = (ROOT / "setup.cfg").read_text()
    contracts = {part.partition("]")[0] for part in text.split("[importlinter:contract:")[1:]}
    assert contracts == {contract for contract, _, _ in FORBIDDEN}


def test_functions_stay_short() -> None:
    """No function is longer than 40 lines, its decorators and docstring included."""
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines"
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_lines
    ]
    assert not long


def test_files_stay_short_and_say_what_they_are_for() -> None:
    """No file of the packages outgrows its idea, and each opens with a docstring."""
    for file in sources():
        text = file.read_text()
        assert ast.get_docstring(ast.parse(text)), f"{file} opens without a docstring"
        assert len(text.splitlines()) <= MAX_FILE_lines, f"{file} is longer than {MAX_FILE_lines} lines: which noun could move out?"


def test_there_is_no_room_for_odds_and_ends() -> None:
    """No file is called by what it is not: utils, helpers, common, misc."""
    assert not [file for file in sources() if file.stem in {"utils", "util", "helpers", "common", "misc"}]
