"""Draws docs/dashboards/*.png: what the boards show of a simulated cluster in trouble.

A real Prometheus scrapes the exporter there, and answers the panels' own queries.

python -m scripts.grafana.pictures [FOLDER]
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from scripts.grafana import drawing
from scripts.grafana.__main__ import BOARDS
from scripts.grafana.answers import Moment
from scripts.grafana.board import dashboard
from tests.real.boards_world import CLUSTER, troubled

FOLDER = Path(__file__).parents[2] / "docs" / "dashboards"
_STEP_SECONDS = 4.0
_COLORS = 128


def main(folder: Path = FOLDER) -> None:
    """Let the world live for two minutes, and draw each board as it is then."""
    matplotlib.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        troubled(Path(temporary), step_seconds=_STEP_SECONDS) as world,
    ):
        moment = Moment(end=world.end, seconds=world.end - world.began, chosen={"cluster": CLUSTER})
        for board in BOARDS:
            figure = drawing.board(world.url, dashboard(board), moment)
            (folder / f"{board.uid}.png").write_bytes(_small(figure))
            pyplot.close(figure)


def _small(figure: Figure) -> bytes:
    """Return a picture of few colours."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, facecolor=drawing.PAGE)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLORS).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
