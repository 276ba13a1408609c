from __future__ import annotations

import re
from pathlib import Path

from exporter.core.catalog import METRICS, ON_CLOUDWATCH
from exporter.core.cni_settings import NAMES, NUMBERS
from exporter.reference import metrics_page, settings_page, write
from exporter.settings import ACCEPTED, ALIASES, FIELDS

HEAD = "<!-- Written by `make docs`; do not edit. -->\n\n"


def rows(page: str) -> list[list[str]]:
    """The cells of all table rows but the heads."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_metric_is_on_the_page_once_with_all_that_its_row_says() -> None:
    assert sorted(rows(metrics_page().partition("\n## On CloudWatch\n")[0])) == sorted(
        [
            f"`{it.name}`",
            it.kind.value,
            ", ".join(f"`{label}`" for label in it.labels),
            it.help,
        ]
        for it in METRICS
    )


def test_metrics_stand_in_sections() -> None:
    page = metrics_page()
    cluster = section(page, "Cluster, zones, node groups, nodes and subnets")
    own = section(page, "The exporter itself")
    legacy = section(page, "Only with `legacy_metrics`")
    assert "`vpc_cni_node_read`" in cluster
    assert {name.startswith("`vpc_cni_exporter_") for name, *_ in rows(own)} == {True}
    assert {name.startswith("`awscni_") for name, *_ in rows(legacy)} == {True}
    assert len(rows(cluster)) + len(rows(own)) + len(rows(legacy)) == len(METRICS)


def test_the_settings_of_the_cni_that_are_told_of_are_on_the_page() -> None:
    told = section(metrics_page(), "Settings of the CNI")
    numbers, _, others = told.partition("Others: ")
    assert re.findall(r"`([A-Za-z0-9_]+)`", numbers)[2:] == list(NUMBERS)
    assert [*NUMBERS, *re.findall(r"`([A-Za-z0-9_]+)`", others)] == list(NAMES)


def test_what_cloudwatch_has_is_told_by_unit_and_by_what_it_is_of() -> None:
    found = {it[0].strip("`"): it[1:] for it in rows(section(metrics_page(), "On CloudWatch"))}
    assert list(found) == [it.name for it in ON_CLOUDWATCH]
    alone = "Failed calls of the EC2 API by ipamd, whatever the error (CNI v1.12.1 and later)."
    prefixes = "`vpc_cni_cluster_delegated_prefixes`: Prefixes delegated to the nodes, /28s alone."
    assert {name: found[name] for name in ("addReqCount", "ec2ApiErrCount")} == {
        "addReqCount": ["Count", "gain", "`vpc_cni_cluster_add_requests_total`"],
        "ec2ApiErrCount": ["Count", "gain", alone],
    }
    assert found["totalIPv4Prefixes"] == ["Count", "last reading", prefixes]


def test_every_setting_is_on_the_page_with_its_names_default_and_meaning() -> None:
    found = {cells[0].strip("`"): cells[1:] for cells in rows(settings_page()) if len(cells) == 5}
    assert list(found) == list(FIELDS)
    assert {name: cells[3] for name, cells in found.items()} == {
        name: field.description for name, field in FIELDS.items()
    }
    assert found["scrape_via"][:3] == ["`EXPORTER_SCRAPE_VIA`", "`--scrape-via`", "`direct`"]


def test_defaults_are_written_as_they_are_set() -> None:
    found = {cells[0].strip("`"): cells[3] for cells in rows(settings_page()) if len(cells) == 5}
    assert {name: found[name] for name in ("interval", "scrape_concurrency", "namespace")} == {
        "interval": "`30`",
        "scrape_concurrency": "`200`",
        "namespace": "`kube-system`",
    }
    assert (found["legacy_metrics"], found["cluster_name"], found["metrics_allow"]) == (
        "`false`",
        "",
        "",
    )


def test_the_incumbents_variables_are_on_the_page() -> None:
    theirs = section(settings_page(), "Variables of cni-metrics-helper")
    assert rows(theirs) == [
        *([f"`{alias}`", f"`{name}`"] for alias, name in ALIASES.items()),
        *([f"`{name}`", f"accepted: {remark}"] for name, remark in ACCEPTED.items()),
    ]


def test_both_pages_are_written_and_say_that_they_are_not_to_be_edited(tmp_path: Path) -> None:
    write(tmp_path)
    assert {it.name: it.read_text(encoding="utf-8") for it in tmp_path.iterdir()} == {
        "METRICS.md": metrics_page(),
        "SETTINGS.md": settings_page(),
    }
    assert metrics_page().startswith(HEAD)
    assert settings_page().startswith(HEAD)


def test_no_cell_breaks_its_table() -> None:
    for page, widths in ((metrics_page(), {4}), (settings_page(), {5, 2})):
        assert {len(cells) for cells in rows(page)} == widths
