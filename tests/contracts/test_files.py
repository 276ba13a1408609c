from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What tools leave behind; .gitignore names the same.
LEFT_BEHIND = {"__pycache__", "build", "dist", "out"}
KEPT_HIDDEN = {".ci", ".github"}

INDEX = re.compile(
    r"(?:index[-]url|find[-]links|trusted-host)[ =]+[^\s-]|https?://\S+/simple(?!\w|-)|pythonhosted"
)
HOME = re.compile(r"(?<![\w.~}])/(?:root|home/\w+|Users/\w+)/")


def files() -> Iterator[tuple[str, str]]:
    """Every text file of the repository but this one, by its path."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [it for it in folders if kept(it)]
        for name in names:
            path = Path(folder, name)
            if path == Path(__file__):
                continue
            try:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def kept(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in KEPT_HIDDEN
    return not hidden and folder not in LEFT_BEHIND and not folder.endswith(".egg-info")


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}: {line.strip()[:100]}"
        for name, text in files()
        for line in text.splitlines()
        if pattern.search(line)
    ]


def test_no_file_names_the_address_of_a_package_index() -> None:
    assert found(INDEX) == []


def test_no_file_names_someones_home() -> None:
    assert found(HOME) == []


@pytest.mark.parametrize(
    ("pattern", "line", "matches"),
    [
        (INDEX, "--{}-url https://example.org/pypi".format("index"), True),
        (INDEX, "PIP_EXTRA_INDEX=http://mirror.example/any/{}".format("simple"), True),
        (INDEX, "--trusted-host mirror.example", True),
        (INDEX, "uv pip compile --no-emit-index-url --no-annotate", False),
        (INDEX, "https://prometheus.io/docs/simple-things", False),
        (HOME, "open('/home/someone/file')", True),
        (HOME, "cd /{}/project".format("root"), True),
        (HOME, "~/.kube/config in ${HOME}/.kube", False),
    ],
)
def test_what_is_looked_for_is_recognized(
    pattern: re.Pattern[str], line: str, matches: bool
) -> None:
    assert bool(pattern.search(line)) is matches


def test_the_files_that_are_looked_through_are_those_of_the_repository() -> None:
    names = {name for name, _ in files()}
    assert {"pyproject.toml", "Makefile", "exporter/cli.py", "requirements/run.txt"} <= names
    assert not {name for name in names if name.startswith((".git/", ".venv/", ".cache/"))}
