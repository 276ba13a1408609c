"""What the whole program still tells where EKS refuses, fails or is not asked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.test_eks import ADDONS, CLUSTER, PERIOD, READY, UP, read_after, world
from tests.e2e.test_subnets import names, survey_after
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


def settled(sim: Simulation, exporter: Daemon) -> None:
    """Have every figure be the truth."""
    eventually(
        lambda: not differences(expected(sim.truth()), published(exporter.scrape())),
        "every figure is the truth",
    )


def told_of_eks(exporter: Daemon) -> str:
    """Return why EKS is down, as soon as that is logged."""
    line = eventually(
        lambda: next((it for it in exporter.logged("is down") if it["source"] == "eks"), None),
        "it says that EKS is down",
    )
    return str(line["message"])


@pytest.mark.parametrize(
    ("action", "missing"),
    [
        pytest.param("DescribeAddon", ADDONS, id="add-ons"),
        pytest.param("DescribeCluster", CLUSTER | {READY}, id="the cluster"),
        pytest.param(
            "DescribeAddonVersions", {"vpc_cni_addon_update_available"}, id="versions of add-ons"
        ),
    ],
)
def test_without_a_permission_what_it_is_for_is_missing_and_the_rest_is_served(
    action: str, missing: set[str], tmp_path: Path
) -> None:
    with world(tmp_path) as (sim, exporter):
        read_after(exporter, 0)
        sim.control("/eks", {"action": action, "trouble": "denied"})
        eventually(lambda: exporter.scrape()[UP] == 0, "the source is down")
        wanted = {READY, *CLUSTER, *ADDONS} - missing
        eventually(
            lambda: names(exporter.scrape()) & {READY, *CLUSTER, *ADDONS} == wanted,
            "what may not be asked is absent, and nothing else",
        )
        samples = exporter.scrape()
        assert "vpc_cni_subnet_ip_addresses" in names(samples)
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_enis")] == 1
        lines = exporter.logged("source is down")
        assert [line["message"] for line in lines] == [
            f"source is down: {action} is not allowed (AccessDeniedException)"
        ]
        sim.control("/eks", {"trouble": None})
        settled(sim, exporter)


def test_while_eks_does_not_answer_well_its_word_stands_for_three_intervals(
    tmp_path: Path,
) -> None:
    with world(tmp_path, EXPORTER_EKS_INTERVAL="1") as (sim, exporter):
        read_after(exporter, 0)
        sim.control("/eks", {"trouble": "malformed"})
        eventually(lambda: exporter.scrape()[UP] == 0, "the source is down")
        assert names(exporter.scrape()) >= ADDONS
        eventually(lambda: not names(exporter.scrape()) & ADDONS, "its families are withdrawn")
        samples = survey_after(exporter, time.time())
        assert not names(samples) & {READY, *CLUSTER}
        assert "vpc_cni_cluster_ip_addresses" in names(samples)
        assert exporter.get("/readyz")[0] == 200
        sim.control("/eks", {"trouble": None})
        settled(sim, exporter)


def test_eks_that_is_away_for_long_costs_its_families_until_it_is_back(tmp_path: Path) -> None:
    with world(tmp_path) as (sim, exporter):
        read_after(exporter, 0)
        sim.control("/eks", {"trouble": "down"})
        eventually(lambda: not names(exporter.scrape()) & ADDONS, "its families are withdrawn")
        eventually(lambda: exporter.scrape()[UP] == 0, "the source is down")
        assert "vpc_cni_subnet_ip_addresses" in names(exporter.scrape())
        sim.control("/eks", {"trouble": None})
        settled(sim, exporter)


def test_without_the_clusters_name_nobody_is_asked(tmp_path: Path) -> None:
    with (
        simulation(tmp_path, "--nodes", "3", "--env", "CLUSTER_NAME=") as sim,
        daemon(
            tmp_path, sim, EXPORTER_SOURCES="ipamd,eks", EXPORTER_EKS_INTERVAL=PERIOD
        ) as exporter,
    ):
        assert told_of_eks(exporter) == "source is down: the cluster's name is not known"
        samples = exporter.cycle_after(time.time())
        assert samples[UP] == 0
        requests = {
            value for (name, _), value in samples.items() if name.endswith("aws_requests_total")
        }
        assert requests == {0}


def test_a_cluster_that_eks_does_not_know_is_told_by_that(tmp_path: Path) -> None:
    with world(tmp_path, EXPORTER_CLUSTER_NAME="other") as (_, exporter):
        assert told_of_eks(exporter) == (
            "source is down: EKS knows no cluster of this name in this region"
        )
