"""EKS in a simulation: told over control, and its truth."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from exporter.sim import Simulation
from exporter.sim.books import Samples
from tests.sim.client import on_loop, small
from tests.sim.test_control import Remote
from tests.sim.test_ec2_server import environment, living, subnets

READY = "vpc_cni_cluster_upgrade_addresses_ready"
ROLE = "vpc_cni_subnet_role"


def client(sim: Simulation) -> Any:
    assert sim.eks is not None
    found = {**environment(sim), **sim.eks.environment()}
    return boto3.Session(
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        region_name=found["AWS_REGION"],
    ).client(
        "eks",
        endpoint_url=found["AWS_ENDPOINT_URL_EKS"],
        config=Config(retries={"total_max_attempts": 1}),
    )


async def told(sim: Simulation) -> dict[str, Any]:
    """Ask for the cluster as a reader does, off the loop."""
    answer = await asyncio.to_thread(client(sim).describe_cluster, name="sim")
    return dict(answer["cluster"])


def families(samples: Samples) -> set[str]:
    return {name for name in samples if name.startswith(("vpc_cni_addon", "vpc_cni_cluster_h"))}


@on_loop
async def test_it_was_given_the_subnets_of_the_nodes() -> None:
    async with living() as sim:
        assert sim.vpc is not None
        given = (await told(sim))["resourcesVpcConfig"]
        assert given["vpcId"] == sim.vpc.id
        assert sorted(given["subnetIds"]) == sorted(sim.vpc.subnets)


@on_loop
async def test_its_truth_begins_with_a_reader_and_is_forgotten_with_the_books() -> None:
    async with living() as sim, Remote(sim) as remote:
        assert families(sim.truth()["samples"]) == set()
        await told(sim)
        assert families(sim.truth()["samples"]) == {
            "vpc_cni_addon_info",
            "vpc_cni_addon_update_available",
            "vpc_cni_addon_health_issues",
            "vpc_cni_cluster_health_issues",
        }
        await remote.call("POST", "/books/forget")
        assert families(sim.truth()["samples"]) == set()


@on_loop
async def test_its_truth_is_worked_out_by_hand() -> None:
    async with living() as sim, Remote(sim) as remote:
        await told(sim)
        addons = {
            "vpc-cni": {"status": "DEGRADED", "issues": ["AccessDenied", "Brandnew"]},
            "kube-proxy": {"version": "v1.33.3-eksbuild.4"},
            "coredns": None,
        }
        await remote.call("POST", "/eks", addons=addons, issues=["VpcNotFound"])
        truth = sim.truth()["samples"]
        info = [labels for labels, _ in truth["vpc_cni_addon_info"]]
        assert info == [
            {
                "addon": "vpc-cni",
                "version": "v1.23.1-eksbuild.1",
                "status": "DEGRADED",
                "latest_version": "v1.23.1-eksbuild.10",
            },
            {
                "addon": "kube-proxy",
                "version": "v1.33.3-eksbuild.4",
                "status": "ACTIVE",
                "latest_version": "v1.33.3-eksbuild.10",
            },
        ]
        assert [value for _, value in truth["vpc_cni_addon_update_available"]] == [1, 1]
        issues = [(it["addon"], it["code"]) for it, n in truth["vpc_cni_addon_health_issues"] if n]
        assert issues == [("vpc-cni", "AccessDenied"), ("vpc-cni", "other")]
        assert len(truth["vpc_cni_addon_health_issues"]) == 2 * 11
        cluster = {it["code"]: n for it, n in truth["vpc_cni_cluster_health_issues"]}
        assert (cluster["VpcNotFound"], cluster["other"], len(cluster)) == (1, 0, 19)


@on_loop
async def test_its_truth_follows_the_platform_and_the_version() -> None:
    async with living() as sim, Remote(sim) as remote:
        await told(sim)
        latest = []
        for change in ({}, {"platform": "eks.15"}, {"version": "1.34"}, {"version": "1.30"}):
            await remote.call("POST", "/eks", **change)
            samples = sim.truth()["samples"]["vpc_cni_addon_info"]
            found = {it["addon"]: it["latest_version"] for it, _ in samples}
            latest.append((found["vpc-cni"], found["kube-proxy"]))
        assert latest == [
            ("v1.23.1-eksbuild.10", "v1.33.3-eksbuild.10"),
            ("v1.24.0-eksbuild.1", "v1.33.3-eksbuild.10"),
            ("v1.24.0-eksbuild.1", "v1.34.0-eksbuild.2"),
            ("v1.23.1-eksbuild.10", ""),
        ]


@on_loop
async def test_a_subnet_that_it_was_given_has_the_role_once_both_are_told() -> None:
    async with living() as sim, Remote(sim) as remote:
        _, made = await remote.call("POST", "/subnets", cidr="10.9.0.0/28")
        spare = made["subnet"]
        _, state = await remote.call("POST", "/eks")
        await remote.call("POST", "/eks", subnets=[*state["subnets"], spare])
        await subnets(sim)
        role = ({"subnet_id": spare, "role": "control_plane"}, 1)
        assert role not in sim.truth()["samples"][ROLE]
        await told(sim)
        assert role in sim.truth()["samples"][ROLE]
        assert sim.truth()["samples"]["vpc_cni_subnet_size"][-1] == ({"subnet_id": spare}, 16)


@on_loop
async def test_an_upgrade_needs_five_addresses_in_two_zones_of_its_subnets() -> None:
    async with living() as sim, Remote(sim) as remote:
        await told(sim)
        assert READY not in sim.truth()["samples"]
        await subnets(sim)
        assert sim.vpc is not None
        ids = list(sim.vpc.subnets)
        found = []
        for given in (ids, ids[:1], ids[1:], []):
            await remote.call("POST", "/eks", subnets=given)
            found.append(sim.truth()["samples"].get(READY))
        assert found == [[({}, 1)], [({}, 0)], [({}, 1)], None]


@on_loop
async def test_troubles_are_set_and_healed_over_control() -> None:
    async with living() as sim, Remote(sim) as remote:
        status, state = await remote.call(
            "POST", "/eks", trouble="denied", action="DescribeAddon", times=2
        )
        assert (status, state["troubles"]) == (200, {"DescribeAddon": "denied"})
        _, state = await remote.call("POST", "/eks", trouble=None)
        assert state["troubles"] == {}
        await remote.call("POST", "/eks", trouble="down")
        with pytest.raises(EndpointConnectionError):
            await told(sim)
        await remote.call("POST", "/eks", trouble=None)
        assert (await told(sim))["name"] == "sim"
        _, asked = await remote.call("GET", "/requests")
        assert asked["eks"] == {"DescribeCluster": {"ok": 1}}
        await remote.call("POST", "/requests/clear")
        assert (await remote.call("GET", "/requests"))[1]["eks"] == {}


@on_loop
async def test_what_makes_no_sense_is_told() -> None:
    async with living() as sim, Remote(sim) as remote:
        status, said = await remote.call("POST", "/eks", trouble="denied", action="Nonsense")
        assert (status, "no action 'Nonsense'" in said["error"]) == (400, True)
        status, said = await remote.call("POST", "/eks", addons={"nonsense": {"version": "v1"}})
        assert (status, "no add-on 'nonsense'" in said["error"]) == (400, True)
    async with small() as sim, Remote(sim) as remote:
        status, said = await remote.call("POST", "/eks")
        assert (status, said) == (400, {"error": "ValueError: only a living cluster has EKS"})
