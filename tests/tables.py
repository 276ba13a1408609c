"""The tables of a Markdown page, as rows by their columns' heads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_CODE = re.compile(r"`([^`]+)`")


def tables(page: Path) -> Iterator[Sequence[Mapping[str, str]]]:
    """Yield the tables of a page."""
    for block in re.findall(r"(?m)(?:^\|.*\n)+", page.read_text(encoding="utf-8")):
        head, _, *rows = (_cells(line) for line in block.splitlines())
        yield [dict(zip(head, cells, strict=True)) for cells in rows]


def table(page: Path, first: str) -> Sequence[Mapping[str, str]]:
    """Return the one table whose first column has this head."""
    (found,) = (it for it in tables(page) if next(iter(it[0])) == first)
    return found


def code(cell: str) -> Sequence[str]:
    """Return what a cell has in code."""
    return _CODE.findall(cell)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
