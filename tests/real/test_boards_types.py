"""dashboards/grafana against Grafana's own types, as TypeScript judges them."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parts import laid_down

pytestmark = pytest.mark.real

BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parents[2] / "dashboards" / "grafana").glob("*.json")
}
_OPTIONS = {
    "strict": True,
    "noEmit": True,
    "module": "esnext",
    "moduleResolution": "bundler",
    "target": "es2022",
    "types": [],
    "skipLibCheck": True,  # theirs
}
Board = dict[str, Any]


def refused(folder: Path, boards: Mapping[str, Board]) -> dict[str, str]:
    """Return what is wrong with each board that is not as Grafana's types have it."""
    (folder / "node_modules").symlink_to(Path(laid_down("grafana"), "node_modules"))
    shutil.copy(Path(__file__).with_name("boards.ts"), folder / "types.ts")
    for name, board in boards.items():
        text = json.dumps(board)
        lines = (
            'import type { Newest, Oldest } from "./types";',
            f"export const newest: Newest = {text};",
            f"export const oldest: Oldest = {text};",
        )
        (folder / f"{name}.ts").write_text("\n".join(lines), encoding="utf-8")
    config = {"compilerOptions": _OPTIONS, "files": [f"{name}.ts" for name in boards]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    compiler = "node_modules/typescript/bin/tsc"
    done = subprocess.run(
        [laid_down("grafana/node"), compiler, "-p", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert bool(said) is bool(done.returncode), done.stdout + done.stderr
    found: dict[str, str] = {}
    for line in said:
        name, _, rest = line.partition(".ts(")
        found.setdefault(name, rest)
    return found


def panel(board: Board, kind: str) -> Board:
    found: Board = next(it for it in board["panels"] if it["type"] == kind)
    return found


def defaults(board: Board, kind: str) -> Board:
    found: Board = panel(board, kind)["fieldConfig"]["defaults"]
    return found


BROKEN: Mapping[str, Callable[[Board], object]] = {
    "no_such_field": lambda it: it.update(colour="red"),
    "no_version": lambda it: it.pop("schemaVersion"),
    "link_of_no_kind": lambda it: it["links"][0].update(type="board"),
    "variable_of_no_kind": lambda it: it["templating"]["list"][1].update(type="label"),
    "variable_sorted_oddly": lambda it: it["templating"]["list"][1].update(sort=9),
    "panel_of_no_kind": lambda it: panel(it, "stat").update(type="statistic"),
    "panel_without_description": lambda it: panel(it, "stat").pop("description"),
    "place_misspelt": lambda it: panel(it, "stat")["gridPos"].update(width=3),
    "option_of_another_kind": lambda it: panel(it, "stat")["options"].update(showHeader=True),
    "option_missing": lambda it: panel(it, "table")["options"].pop("showHeader"),
    "color_mode": lambda it: panel(it, "stat")["options"].update(colorMode="fill"),
    "legend_misspelt": lambda it: panel(it, "timeseries")["options"]["legend"].update(place="top"),
    "custom_of_another_kind": lambda it: defaults(it, "timeseries")["custom"].update(inspect=True),
    "stacking_mode": lambda it: defaults(it, "timeseries")["custom"].update(
        stacking={"mode": "stacked"}
    ),
    "threshold_as_text": lambda it: defaults(it, "stat")["thresholds"]["steps"].append(
        {"color": "red", "value": "1"}
    ),
    "override_of_nothing": lambda it: panel(it, "table")["fieldConfig"]["overrides"].append(
        {"matcher": {"id": "byName", "options": "a"}, "properties": [{"id": "units", "value": "s"}]}
    ),
    "override_with_a_wrong_value": lambda it: panel(it, "table")["fieldConfig"]["overrides"].append(
        {"matcher": {"id": "byName", "options": "a"}, "properties": [{"id": "unit", "value": 1}]}
    ),
    "cell_of_no_kind": lambda it: panel(it, "table")["fieldConfig"]["overrides"].append(
        {
            "matcher": {"id": "byName", "options": "a"},
            "properties": [{"id": "custom.cellOptions", "value": {"type": "bar"}}],
        }
    ),
    "query_without_expression": lambda it: panel(it, "stat")["targets"][0].pop("expr"),
    "query_format": lambda it: panel(it, "stat")["targets"][0].update(format="series"),
    "query_field": lambda it: panel(it, "stat")["targets"][0].update(interval_factor=1),
    "stacked_bars": lambda it: panel(it, "barchart")["options"].update(stacking="stack"),
    "bars_of_no_mode": lambda it: panel(it, "bargauge")["options"].update(displayMode="bars"),
}


def broken(change: Callable[[Board], object]) -> Board:
    board: Board = copy.deepcopy(BOARDS["vpc-cni-subnets"])
    change(board)
    return board


def test_the_boards_are_as_grafanas_types_have_them_and_broken_ones_are_refused(
    tmp_path: Path,
) -> None:
    assert len(BOARDS) == 4
    found = refused(tmp_path, BOARDS | {name: broken(it) for name, it in BROKEN.items()})
    assert {name: said for name, said in found.items() if name in BOARDS} == {}
    assert BROKEN.keys() - found.keys() == set()
