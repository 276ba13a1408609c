"""The policy in docs/INSTALL.md is enough for AWS and not more: each permission has a use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.core.health import AWS_OPERATIONS
from tests.e2e.test_subnets import survey_after
from tests.e2e.world import (
    Daemon,
    Simulation,
    daemon,
    differences,
    eventually,
    expected,
    key,
    published,
    simulation,
)
from tests.tables import code, table

PAGE = Path(__file__).parents[2] / "docs" / "INSTALL.md"
ROWS = {code(row["permission"])[0]: row for row in table(PAGE, "permission")}
# What is asked, as a policy calls it; the services' prefixes are botocore's names.
ASKED = {f"{service}:{operation}" for service, operation in AWS_OPERATIONS}
SERVICES = ("ec2", "eks", "cloudwatch")
_SHOWN = re.compile(r"(\w+)\{(.*)\}")


def policy() -> Mapping[str, Any]:
    """Return the policy that the page tells to use."""
    (found,) = re.findall(r"(?s)```json\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    document: Mapping[str, Any] = json.loads(found)
    return document


def allowed() -> set[str]:
    return {action for it in policy()["Statement"] for action in it["Action"]}


def shown(permission: str) -> tuple[str, Mapping[str, str]]:
    """Return the metric that tells of a permission that is missing, and its labels."""
    (sample,) = code(ROWS[permission]["shows as"])
    matched = _SHOWN.fullmatch(sample)
    assert matched
    labels = dict(it.split("=") for it in matched[2].split(","))
    return f"vpc_cni_exporter_{matched[1]}", {name: it.strip('"') for name, it in labels.items()}


@pytest.fixture(name="sim", scope="module")
def _sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Simulation]]:
    folder = tmp_path_factory.mktemp("permissions")
    with simulation(folder, "--living", "--nodes", "8") as sim:
        yield folder, sim


def running(folder: Path, sim: Simulation) -> Any:
    often = dict.fromkeys(("EXPORTER_EC2_SUBNETS_INTERVAL", "EXPORTER_EC2_ENIS_INTERVAL"), "0.3")
    environment = {
        "EXPORTER_SOURCES": "ipamd,ec2,eks",
        "EXPORTER_CLOUDWATCH": "true",
        "EXPORTER_CLOUDWATCH_INTERVAL": "1",
        **often,
        **sim.facts["aws_environment"],
        **sim.facts["cloudwatch_environment"],
    }
    return daemon(folder, sim, **environment)


def deny(sim: Simulation, *permissions: str) -> None:
    for service in SERVICES:
        sim.control(f"/{service}", {"trouble": None})
    for permission in permissions:
        service, _, operation = permission.partition(":")
        # CloudWatch is asked for one thing alone.
        action = {} if service == "cloudwatch" else {"action": operation}
        sim.control(f"/{service}", {"trouble": "denied", **action})


def test_policy_and_table_tell_of_what_is_asked_and_of_nothing_else() -> None:
    assert allowed() == set(ROWS) == ASKED
    assert [it["Effect"] for it in policy()["Statement"]] == ["Allow"] * len(policy()["Statement"])


def test_with_the_policy_and_no_more_every_figure_is_the_truth(
    sim: tuple[Path, Simulation],
) -> None:
    folder, cluster = sim
    deny(cluster)
    cluster.control("/requests/clear", {})
    with running(folder, cluster) as exporter:
        samples = survey_after(exporter, cluster.truth()["advanced_at"])
        assert differences(expected(cluster.truth()), published(samples)) == []
        # The types are asked for last.
        eventually(lambda: used(cluster) == set(ROWS), "every permission is used, and no other")


def used(sim: Simulation) -> set[str]:
    requests = sim.control("/requests")
    found = {f"{service}:{it}" for service in ("ec2", "eks") for it in requests[service]}
    return found | ({"cloudwatch:PutMetricData"} if sim.control("/cloudwatch")["calls"] else set())


@pytest.mark.parametrize("permission", sorted(ROWS))
def test_a_permission_taken_away_shows_as_the_table_says_and_is_logged_once(
    permission: str, sim: tuple[Path, Simulation]
) -> None:
    folder, cluster = sim
    deny(cluster, permission)
    service, _, operation = permission.partition(":")
    name, labels = shown(permission)
    with running(folder, cluster) as exporter:

        def told() -> bool:
            value = exporter.scrape().get(key(name, **labels, **_service(name, service)), None)
            down = value == 0 if name.endswith("source_up") else bool(value)
            return down and bool(refusals(exporter, operation))

        eventually(told, f"it shows that {operation} is refused")
        samples = exporter.scrape()
        others = {"ipamd", "kubernetes", "nodes", "pods", "daemonsets"}
        assert {samples[key("vpc_cni_exporter_source_up", source=it)] for it in others} == {1}
        assert samples[key("vpc_cni_cluster_nodes", state="read")] == 8
        assert exporter.get("/readyz")[0] == 200
        assert len(refusals(exporter, operation)) == 1


def _service(name: str, service: str) -> Mapping[str, str]:
    return {"service": service} if "aws_requests" in name else {}


def refusals(exporter: Daemon, operation: str) -> list[str]:
    """Return the lines that say that an operation is refused."""
    said = [line["message"] for line in exporter.lines() if line["level"] == "warning"]
    return [message for message in said if operation in message]
