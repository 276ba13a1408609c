"""docs/MIGRATION.md against the catalog, the settings and the golden polls."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.core.catalog import LEGACY_TABLE, METRICS, ON_CLOUDWATCH
from exporter.settings import ACCEPTED, ALIASES, FIELDS, variable
from tests.e2e.published import INCUMBENTS
from tests.e2e.test_cloudwatch_polls import GAINS, GAUGES, POLLS, SCENARIOS, WRONG_THERE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "MIGRATION.md").read_text(encoding="utf-8")

# Which family of the golden polls' answers each name on CloudWatch is of.
FAMILIES = {it: (family, "counter_delta") for family, it in GAINS.items()} | {
    it: (family, "gauges_sum") for family, names in GAUGES.items() for it in names
}
NUMBERS = re.compile(r"\d+(?:, \d+)*|none(?:, none)*")


def rows(title: str) -> list[list[str]]:
    """The cells of the rows, but the heads, that stand under a heading."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def name(cell: str) -> str:
    return cell.strip("`")


def listed(values: list[object]) -> str:
    return ", ".join("none" if value is None else str(value) for value in values)


def theirs(scenario: str, metric: str) -> str:
    """What cni-metrics-helper publishes over the pages of a scenario, poll by poll."""
    gives = json.loads((POLLS / scenario / "cni_metrics_helper_gives.json").read_text())
    return listed([poll["published"].get(metric) for poll in gives])


def right(scenario: str, metric: str) -> str:
    """What is true of the pages of a scenario, poll by poll."""
    polls = json.loads((POLLS / scenario / "expected.json").read_text())["polls"]
    if metric == "nodesRead":
        return listed([len(poll["targets_ok"]) for poll in polls])
    if metric == "nodesExpected":
        return listed([len(poll["targets_ok"]) + len(poll["targets_failed"]) for poll in polls])
    family, kind = FAMILIES[metric]
    return listed([poll[kind][family] for poll in polls])


def test_every_name_of_cni_metrics_helper_has_a_row_and_no_other_name_is_among_them() -> None:
    found = [name(cells[0]) for cells in rows("Name by name") if len(cells) == 4]
    assert sorted(found) == sorted(INCUMBENTS)


def test_every_other_name_on_cloudwatch_is_told_as_new() -> None:
    found = [name(cells[0]) for cells in rows("Name by name") if len(cells) == 3]
    assert sorted(found) == sorted({it.name for it in ON_CLOUDWATCH} - INCUMBENTS)


def test_what_a_point_is_is_told_as_in_the_catalog() -> None:
    found = {name(cells[0]): cells[1] for cells in rows("Name by name")}
    assert found == {it.name: it.measure.value for it in ON_CLOUDWATCH}


@pytest.mark.parametrize(
    ("scenario", "metric", "there", "here"),
    [
        pytest.param(*map(name, cells), id=" ".join(map(name, cells[:2])))
        for cells in rows("What was wrong with the counters")
    ],
)
def test_the_figures_are_those_of_the_golden_polls(
    scenario: str, metric: str, there: str, here: str
) -> None:
    assert NUMBERS.fullmatch(there)
    assert NUMBERS.fullmatch(here)
    assert (there, here) == (theirs(scenario, metric), right(scenario, metric))


def test_every_figure_that_is_known_to_be_wrong_there_is_shown() -> None:
    table = rows("What was wrong with the counters")
    assert {name(cells[0]) for cells in table} == set(SCENARIOS)
    assert {(name(scenario), name(metric)) for scenario, metric, *_ in table} >= {
        (scenario, metric) for scenario, metrics in WRONG_THERE.items() for metric in metrics
    }


def test_every_variable_of_cni_metrics_helper_is_told_with_ours() -> None:
    found = {name(there): here for there, here in rows("Settings")}
    assert set(found) == {*ALIASES, *ACCEPTED}
    for alias, setting in ALIASES.items():
        assert found[alias].startswith(f"`{variable(setting)}`")


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"EXPORTER_[A-Z_0-9]+", PAGE))
    assert named <= {variable(setting) for setting in FIELDS}
    assert "EXPORTER_LEGACY_METRICS" in named


def test_the_six_old_gauges_stand_beside_metrics_that_are_published() -> None:
    table = rows("Prometheus")
    assert {name(there) for there, _ in table} == {it.name for it in LEGACY_TABLE.metrics}
    published = {it.name for it in METRICS}
    assert set(re.findall(r"vpc_cni_\w+", PAGE)) <= published


def test_what_is_linked_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (DOCS / target).exists(), target
