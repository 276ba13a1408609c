"""EC2 in a simulation: one world with the nodes, told over control and on the process's line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from exporter.sim import Options, Simulation
from exporter.sim.ec2_types import TYPES
from exporter.sim.fleet import GROUPS as STATIC_GROUPS
from exporter.sim.living.host import LivingIpamd
from exporter.sim.living.types import GROUPS
from tests.sim.client import on_loop, small
from tests.sim.test_control import Remote

ROOT = Path(__file__).parents[2]
SUBNETS = "DescribeSubnets"


def living(nodes: int = 4, **options: Any) -> Simulation:
    return Simulation.living(nodes, Options(**{"startup": 0.0, **options}))


def client(environment: dict[str, str]) -> Any:
    return boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    ).client(
        "ec2",
        endpoint_url=environment["AWS_ENDPOINT_URL_EC2"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def environment(sim: Simulation) -> dict[str, str]:
    assert sim.ec2 is not None
    return sim.ec2.environment()


async def subnets(sim: Simulation) -> list[dict[str, Any]]:
    """Ask for subnets as a reader does, off the loop."""
    answer = await asyncio.to_thread(client(environment(sim)).describe_subnets)
    return list(answer["Subnets"])


@on_loop
async def test_the_enis_of_a_node_are_those_that_its_ipamd_holds() -> None:
    async with living() as sim:
        node = sim.cluster.expected[0]
        process = node.process
        assert isinstance(process, LivingIpamd)
        answer = await asyncio.to_thread(
            client(environment(sim)).describe_network_interfaces,
            Filters=[{"Name": "attachment.instance-id", "Values": [node.instance_id]}],
        )
        shown = {eni["NetworkInterfaceId"]: eni for eni in answer["NetworkInterfaces"]}
        held = {eni.id: eni for eni in process.host.pool.enis}
        assert {
            name: {
                *(f"{each['PrivateIpAddress']}/32" for each in eni["PrivateIpAddresses"][1:]),
                *(each["Ipv4Prefix"] for each in eni.get("Ipv4Prefixes", [])),
            }
            for name, eni in shown.items()
            if eni["InterfaceType"] != "trunk"
        } == {
            name: {str(cidr) for cidr in eni.cidrs} for name, eni in held.items() if not eni.trunk
        }


@on_loop
async def test_a_step_of_the_world_is_seen_in_ec2() -> None:
    async with living() as sim:
        before = await subnets(sim)
        await sim.step(20)
        after = await subnets(sim)
        vpc = sim.vpc
        assert vpc is not None
        counts = [each["AvailableIpAddressCount"] for each in after]
        assert counts == [subnet.available for subnet in vpc.subnets.values()]
        assert counts != [each["AvailableIpAddressCount"] for each in before]


@on_loop
async def test_a_crowd_of_bystanders_takes_an_address_each_and_goes_again() -> None:
    async with living() as sim, Remote(sim) as remote:
        _, made = await remote.call("POST", "/subnets", cidr="10.9.0.0/24")
        found = []
        for enis in (0, 40, 250, 7):
            await remote.call("POST", "/subnets/crowd", subnet=made["subnet"], enis=enis)
            found.append((await subnets(sim))[-1]["AvailableIpAddressCount"])
        assert found == [251, 211, 1, 244]
        status, said = await remote.call("POST", "/subnets/crowd", subnet=made["subnet"], enis=252)
        assert (status, said["error"].partition(":")[0]) == (400, "Refusal")


@on_loop
async def test_a_crowd_of_another_account_is_counted_and_not_shown() -> None:
    async with living() as sim, Remote(sim) as remote:
        before = await subnets(sim)
        shared = before[-1]["SubnetId"]
        crowd = {"subnet": shared, "enis": 30, "owner": "444455556666"}
        _, first = await remote.call("GET", "/truth")
        await remote.call("POST", "/subnets/crowd", **crowd)
        after = await subnets(sim)
        _, then = await remote.call("GET", "/truth")
    counts = [each[-1]["AvailableIpAddressCount"] for each in (before, after)]
    assert counts[0] - counts[1] == 30
    residue = "vpc_cni_subnet_accounting_residue_ip_addresses"
    told = [dict((it["subnet_id"], n) for it, n in t["samples"][residue]) for t in (first, then)]
    assert told[1] == {**told[0], shared: told[0][shared] + 30}


@on_loop
async def test_what_was_left_behind_is_swept_away_with_its_addresses() -> None:
    async with living() as sim, Remote(sim) as remote:
        vpc = sim.vpc
        assert vpc is not None
        left = {eni.id: eni.subnet for eni in vpc.enis.values() if eni.status == "available"}
        before = {subnet.id: subnet.available for subnet in vpc.subnets.values()}
        status, swept = await remote.call("POST", "/subnets/sweep")
        assert (status, set(swept["enis"])) == (200, set(left))
        freed = {subnet.id: subnet.available - before[subnet.id] for subnet in vpc.subnets.values()}
        # Each held its own address and three more.
        assert freed == {id: 4 * list(left.values()).count(id) for id in before}
        assert min(freed.values()) > 0
        assert not left.keys() & vpc.enis.keys()
        assert await remote.call("POST", "/subnets/sweep") == (200, {"enis": []})


@on_loop
async def test_the_truth_knows_no_subnet_before_a_reader_was_told_of_one() -> None:
    async with living() as sim, Remote(sim) as remote:
        _, before = await remote.call("GET", "/truth")
        asked = await subnets(sim)
        _, after = await remote.call("GET", "/truth")
        await remote.call("POST", "/books/forget")
        _, forgotten = await remote.call("GET", "/truth")
    sizes = after["samples"]["vpc_cni_subnet_size"]
    names = [name for name in after["samples"] if "subnet" in name or "leaked" in name]
    assert [labels["subnet_id"] for labels, _ in sizes] == [each["SubnetId"] for each in asked]
    assert sorted(names) == [
        "vpc_cni_leaked_enis",
        "vpc_cni_subnet_accounting_residue_ip_addresses",
        "vpc_cni_subnet_enis",
        "vpc_cni_subnet_fragmentation_ratio",
        "vpc_cni_subnet_free_ip_addresses",
        "vpc_cni_subnet_info",
        "vpc_cni_subnet_ip_addresses",
        "vpc_cni_subnet_prefix_blocks",
        "vpc_cni_subnet_role",
        "vpc_cni_subnet_size",
        "vpc_cni_subnet_utilization_ratio",
    ]
    assert not set(names) & {*before["samples"], *forgotten["samples"]}


@on_loop
async def test_a_reader_that_was_refused_knows_no_subnet() -> None:
    async with living() as sim, Remote(sim) as remote:
        await remote.call("POST", "/ec2", trouble="denied")
        with pytest.raises(ClientError):
            await subnets(sim)
        _, truth = await remote.call("GET", "/truth")
        assert "vpc_cni_subnet_size" not in truth["samples"]


@on_loop
async def test_troubles_are_set_and_healed_and_requests_counted_over_control() -> None:
    async with living() as sim, Remote(sim) as remote:
        call = remote.call
        answer = await call("POST", "/ec2", action=SUBNETS, trouble="throttled", times=1, after=1)
        assert answer == (200, {"troubles": {SUBNETS: "throttled"}, "count_reserved": False})
        await subnets(sim)
        with pytest.raises(ClientError, match="RequestLimitExceeded"):
            await subnets(sim)
        await subnets(sim)
        _, requests = await call("GET", "/requests")
        assert requests["ec2"] == {SUBNETS: {"ok": 2, "RequestLimitExceeded": 1}}
        await call("POST", "/requests/clear")
        _, requests = await call("GET", "/requests")
        assert requests["ec2"] == {}
        await call("POST", "/ec2", trouble="hang")
        answer = await call("POST", "/ec2", trouble=None)
        assert answer == (200, {"troubles": {}, "count_reserved": False})


@on_loop
async def test_ec2_goes_down_and_comes_back_on_the_same_port() -> None:
    async with living() as sim, Remote(sim) as remote:
        await remote.call("POST", "/ec2", trouble="down")
        with pytest.raises(EndpointConnectionError):
            await subnets(sim)
        await remote.call("POST", "/ec2", trouble=None)
        assert len(await subnets(sim)) == 3


@on_loop
async def test_how_reserved_addresses_are_counted_can_be_changed_and_the_truth_stays() -> None:
    async with living() as sim, Remote(sim) as remote:
        first = (await subnets(sim))[0]["AvailableIpAddressCount"]
        _, before = await remote.call("GET", "/truth")
        answer = await remote.call("POST", "/ec2", count_reserved=True)
        second = (await subnets(sim))[0]["AvailableIpAddressCount"]
        _, after = await remote.call("GET", "/truth")
    assert answer == (200, {"troubles": {}, "count_reserved": True})
    uses = {
        labels["use"]: value
        for labels, value in before["samples"]["vpc_cni_subnet_ip_addresses"][:22]
    }
    assert second - first == uses["prefix_reserved_free"] + uses["explicit_reserved"] > 0
    family = "vpc_cni_subnet_ip_addresses"
    assert after["samples"][family] == before["samples"][family]


@pytest.mark.parametrize(
    "body",
    [
        {"trouble": "rain"},
        {"action": "DescribeRain", "trouble": "hang"},
        {"trouble": "hang", "often": 3},
    ],
)
@on_loop
async def test_a_trouble_that_makes_no_sense_is_told_so(body: dict[str, object]) -> None:
    async with living(1) as sim, Remote(sim) as remote:
        status, answer = await remote.call("POST", "/ec2", **body)
        assert (status, set(answer)) == (400, {"error"})


@on_loop
async def test_a_new_subnet_is_part_of_the_truth_while_an_eniconfig_names_it() -> None:
    async with living() as sim, Remote(sim) as remote:
        _, added = await remote.call("POST", "/subnets", cidr="10.9.0.0/24")
        assert added["subnet"] in [each["SubnetId"] for each in await subnets(sim)]

        async def roles() -> list[str]:
            _, truth = await remote.call("GET", "/truth")
            rows = truth["samples"]["vpc_cni_subnet_role"]
            return [it["role"] for it, _ in rows if it["subnet_id"] == added["subnet"]]

        assert await roles() == []
        await remote.call("POST", "/eniconfigs", name="a", subnet=added["subnet"])
        assert await roles() == ["pod"]
        await remote.call("POST", "/eniconfigs", name="a", subnet=None)
        assert await roles() == []


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.9.0.1/24", "rain"])
@on_loop
async def test_a_subnet_that_does_not_fit_is_refused(cidr: str) -> None:
    async with living(1) as sim, Remote(sim) as remote:
        status, answer = await remote.call("POST", "/subnets", cidr=cidr)
        assert (status, set(answer)) == (400, {"error"})


@on_loop
async def test_a_static_fleet_has_no_ec2() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        assert sim.ec2 is None
        assert await remote.call("POST", "/ec2", trouble="hang") == (
            400,
            {"error": "ValueError: only a living cluster has EC2"},
        )
        _, requests = await remote.call("GET", "/requests")
        assert "ec2" not in requests


def test_every_machine_of_the_fleets_is_an_instance_type_that_ec2_knows() -> None:
    living_types = {group.type for group in GROUPS.values()}
    limits = {(kind.name, kind.enis, kind.ipv4_per_eni, kind.nitro) for kind in living_types}
    static = STATIC_GROUPS.values()
    limits |= {
        (group.instance_type, group.enis, group.slots + 1, group.instance_type[:2] != "m4")
        for group in static
    }
    offered = {
        (name, TYPES[name].cards[0], TYPES[name].ipv4, TYPES[name].hypervisor == "nitro")
        for name, *_ in limits
    }
    assert offered == limits


def started(*arguments: str) -> dict[str, Any]:
    """Start a simulation as a process, and return its line and what its EC2 says."""
    command = [sys.executable, "-m", "exporter.sim", "--nodes", "3", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        try:
            line: dict[str, Any] = json.loads(running.stdout.readline())
            if "aws_environment" in line:
                code = "import boto3, json; s = boto3.client('ec2').describe_subnets()['Subnets']; "
                code += "print(json.dumps([each['AvailableIpAddressCount'] for each in s]))"
                asked = subprocess.run(
                    [sys.executable, "-c", code],
                    env={**os.environ, **line["aws_environment"]},
                    capture_output=True,
                    check=True,
                    timeout=20,
                )
                line["available"] = json.loads(asked.stdout)
            return line
        finally:
            running.kill()


def test_the_line_of_a_living_cluster_is_all_that_boto3_needs() -> None:
    plain = started("--living")
    counted = started("--living", "--count-reserved")
    assert set(plain["aws_environment"]) == {
        "AWS_ENDPOINT_URL_EC2",
        "AWS_ENDPOINT_URL_EKS",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_EC2_METADATA_DISABLED",
    }
    assert len(plain["available"]) == 3
    assert sum(counted["available"]) > sum(plain["available"])


def test_the_line_of_a_static_fleet_says_nothing_of_aws() -> None:
    assert "aws_environment" not in started()
