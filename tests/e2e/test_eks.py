"""EKS and the CNI's settings, through the whole program."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.test_subnets import names, survey_after
from tests.e2e.world import (
    Daemon,
    Samples,
    Simulation,
    began,
    clocks,
    daemon,
    differences,
    eventually,
    expected,
    key,
    published,
    simulation,
)

PERIOD = "0.3"
ADDONS = {"vpc_cni_addon_info", "vpc_cni_addon_update_available", "vpc_cni_addon_health_issues"}
CLUSTER = {"vpc_cni_cluster_health_issues"}
READY = "vpc_cni_cluster_upgrade_addresses_ready"
UP = key("vpc_cni_exporter_source_up", source="eks")


@contextlib.contextmanager
def world(
    folder: Path, *arguments: str, ec2: dict[str, str] | None = None, **settings: str
) -> Iterator[tuple[Simulation, Daemon]]:
    """A living cluster and the exporter, with EC2 and EKS read several times a second.

    `ec2` is how EC2 is before the exporter comes.
    """
    with simulation(folder, "--living", "--nodes", "10", *arguments) as sim:
        sim.control("/ec2", ec2 or {})
        quick = {
            "EXPORTER_SOURCES": "ipamd,ec2,eks",
            "EXPORTER_EC2_SUBNETS_INTERVAL": PERIOD,
            "EXPORTER_EC2_ENIS_INTERVAL": PERIOD,
            "EXPORTER_EKS_INTERVAL": PERIOD,
            **sim.facts["aws_environment"],
        }
        with daemon(folder, sim, **{**quick, **settings}) as exporter:
            yield sim, exporter


def read_after(exporter: Daemon, instant: float) -> Samples:
    """Return the figures after EKS was read, and the subnets after that."""

    def look() -> bool:
        return began(clocks(exporter.page()), "eks") > instant

    eventually(look, f"a read of EKS that began after {instant}")
    return survey_after(exporter, time.time())


def settled(sim: Simulation, exporter: Daemon) -> None:
    """Have every figure be the truth."""
    eventually(
        lambda: not differences(expected(sim.truth()), published(exporter.scrape())),
        "every figure is the truth",
    )


def test_every_figure_equals_the_truth_through_all_that_eks_can_say(tmp_path: Path) -> None:
    degraded = {"status": "DEGRADED", "issues": ["AccessDenied", "Brandnew"]}
    changes: list[dict[str, object]] = [
        {},
        {
            "addons": {"vpc-cni": degraded, "adot": {"version": "v0.117.0-eksbuild.1"}},
            "issues": ["Ec2SubnetNotFound", "Ec2SubnetNotFound", "Other", "Unheard"],
        },
        {"platform": "eks.15", "version": "1.34", "addons": {"coredns": None}},
        {"version": "1.30", "issues": []},
    ]
    with world(tmp_path, "--env", "WARM_IP_TARGET=7", "--env", "MAX_ENI=many") as (sim, exporter):
        for change in changes:
            sim.control("/eks", change)
            samples = read_after(exporter, time.time())
            truth = expected(sim.truth())
            assert differences(truth, published(samples)) == []
            assert {READY, *CLUSTER, *ADDONS} <= names(samples)
            sim.control("/step", {"count": 5})
            survey_after(exporter, sim.truth()["advanced_at"])
        assert samples[key("vpc_cni_setting", name="WARM_IP_TARGET", value="7")] == 1
        assert samples[key("vpc_cni_setting_value", name="WARM_IP_TARGET")] == 7
        assert key("vpc_cni_setting", name="MAX_ENI", value="many") in samples
        assert key("vpc_cni_setting_value", name="MAX_ENI") not in samples
        counted = key(
            "vpc_cni_exporter_aws_requests_total",
            service="eks",
            operation="DescribeAddon",
            outcome="ok",
        )
        assert samples[counted] >= 4 * len(changes)
        assert exporter.stop() == 0


def test_the_newest_version_is_neither_the_default_nor_the_last_as_text(tmp_path: Path) -> None:
    with world(tmp_path) as (_, exporter):
        samples = read_after(exporter, 0)
        latest = {
            dict(labels)["addon"]: dict(labels)["latest_version"]
            for name, labels in samples
            if name == "vpc_cni_addon_info"
        }
        assert latest == {
            "vpc-cni": "v1.23.1-eksbuild.10",
            "coredns": "v1.12.1-eksbuild.2",
            "kube-proxy": "v1.33.3-eksbuild.10",
        }
        assert samples[key("vpc_cni_addon_update_available", addon="vpc-cni")] == 1
        assert samples[key("vpc_cni_addon_update_available", addon="kube-proxy")] == 0


def test_where_enis_may_not_be_listed_from_the_start_the_subnets_of_eks_are_told_of(
    tmp_path: Path,
) -> None:
    always = (
        "vpc_cni_subnet_size",
        "vpc_cni_subnet_info",
        "vpc_cni_subnet_free_ip_addresses",
    )
    denied = {"action": "DescribeNetworkInterfaces", "trouble": "denied"}
    with world(tmp_path, ec2=denied) as (sim, exporter):
        eventually(lambda: READY in names(exporter.scrape()), "the subnets are told of")
        samples = exporter.cycle_after(time.time() + 0.2)
        truth = expected(sim.truth())
        for name in always:
            wanted = {found: value for found, value in truth.items() if found[0] == name}
            assert len(wanted) == 3
            assert {found: samples.get(found) for found in wanted} == wanted
        assert names(samples) >= {"vpc_cni_subnet_utilization_ratio", "vpc_cni_subnet_role"}
        assert "vpc_cni_subnet_ip_addresses" not in names(samples)
        (vpc,) = {dict(it)["vpc_id"] for name, it in samples if name == "vpc_cni_cluster_info"}
        assert vpc == "vpc-0a1b2c3d4e5f60718"
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_enis")] == 0
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_subnets")] == 1


def test_a_subnet_that_only_eks_names_appears_and_goes(tmp_path: Path) -> None:
    with world(tmp_path) as (sim, exporter):
        read_after(exporter, 0)
        before = sim.control("/eks", {})["subnets"]
        spare = sim.control("/subnets", {"cidr": "10.9.0.0/28"})["subnet"]
        role = key("vpc_cni_subnet_role", subnet_id=spare, role="control_plane")
        sim.control("/eks", {"subnets": [before[0], spare]})
        eventually(lambda: role in exporter.scrape(), "the subnet is told of")
        samples = read_after(exporter, time.time())
        assert differences(expected(sim.truth()), published(samples)) == []
        # The spare one is in the zone of the first.
        assert samples[key(READY)] == 0
        sim.control("/eks", {"subnets": before})
        eventually(lambda: role not in exporter.scrape(), "the subnet is told of no longer")
        samples = read_after(exporter, time.time())
        assert differences(expected(sim.truth()), published(samples)) == []
        assert samples[key(READY)] == 1
