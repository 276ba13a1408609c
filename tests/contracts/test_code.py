from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.aws.errors import Outcome
from exporter.core.health import AWS_OPERATIONS, AWS_OUTCOMES
from exporter.inputs import eks
from exporter.inputs.ec2 import operations as ec2
from exporter.outputs import cloudwatch

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "exporter").rglob("*.py"))
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in MODULES
}
# The table of metrics grows with the metrics.
LONG = {"exporter/core/catalog.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    for name, tree in TREES.items():
        for part in ast.walk(tree):
            if isinstance(part, Function):
                yield f"{name}:{part.lineno} {part.name}", part


def parameters(function: Function) -> int:
    given = function.args
    names = [it.arg for it in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def imported(tree: ast.Module) -> Iterator[str]:
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            yield from (it.name for it in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield "." * part.level + (part.module or "")


def test_the_imports_keep_to_the_layers() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_core_imports_itself_and_the_standard_library_alone() -> None:
    foreign = {
        (name, module)
        for name, tree in TREES.items()
        if name.startswith("exporter/core/")
        for module in imported(tree)
        if not module.startswith("exporter.core")
        and module.partition(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


@pytest.mark.parametrize(
    "name",
    [
        "exporter/cycle.py",
        "exporter/cloudwatch_loop.py",
        "exporter/eks_loop.py",
        "exporter/subnet_loop.py",
    ],
)
def test_the_loops_know_the_core_alone_and_no_door(name: str) -> None:
    assert {
        module
        for module in imported(TREES[name])
        if module.startswith("exporter") and not module.startswith("exporter.core.")
    } == set()


def test_every_request_that_can_be_made_of_aws_is_told_by_a_metric() -> None:
    asked = [(door.SYSTEM, operation) for door in (ec2, eks) for operation in door.OPERATIONS]
    assert (*asked, (cloudwatch.SYSTEM, cloudwatch.OPERATION)) == AWS_OPERATIONS
    assert tuple(outcome.value for outcome in Outcome) == AWS_OUTCOMES


def test_no_file_is_longer_than_350_lines_but_the_table_of_metrics() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
    }
    assert {name: n for name, n in lengths.items() if n > 350 and name not in LONG} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    lengths = {name: (it.end_lineno or 0) - it.lineno + 1 for name, it in functions()}
    assert {name: n for name, n in lengths.items() if n > 50} == {}


def test_no_function_has_more_than_five_parameters() -> None:
    assert {name for name, it in functions() if parameters(it) > 5} == set()


def test_every_module_opens_with_what_it_owns() -> None:
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []
