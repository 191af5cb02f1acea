"""The Python package stays in order: nothing but the standard library, short, told, and typed."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "scripts/python"
SOURCES = sorted(PACKAGE.glob("faultline/*.py"))
MAY_IMPORT = {"pytest_plugin.py": {"pytest"}}


def imported(tree):
    """The first words of what is imported from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def untold(tree):
    """Public functions, methods and classes without a word."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None:
                yield node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_source_is_short_and_told(path):
    """As C++: 530 lines a file, 70 a function, 100 columns; each says what it is."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree) and list(untold(tree)) == []
    assert text.count("\n") <= 530
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            and node.end_lineno - node.lineno >= 70] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_needs_nothing_else(path):
    """The standard library; the plugin pytest, too."""
    allowed = sys.stdlib_module_names | MAY_IMPORT.get(path.name, set())
    assert set(imported(ast.parse(path.read_text(encoding="utf-8")))) <= allowed


def test_types(tmp_path):
    """mypy --strict has nothing to say."""
    if shutil.which("mypy") is None:
        pytest.skip("mypy is not there: scripts/install-deps gets it")
    done = subprocess.run(["mypy", "--strict", f"--cache-dir={tmp_path}", "faultline"], cwd=PACKAGE,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
