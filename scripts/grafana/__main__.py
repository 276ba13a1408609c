"""Writes dashboards/grafana/*.json, which Grafana imports.

python -m scripts.grafana [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.grafana import health, nodes, overview, subnets
from scripts.grafana.board import Board, dashboard

FOLDER = Path(__file__).parents[2] / "dashboards" / "grafana"
BOARDS = (overview.BOARD, subnets.BOARD, nodes.BOARD, health.BOARD)


def text(board: Board) -> str:
    """Return a board's file."""
    return json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
