"""The calls that docs/SCALE.md tells of are those that the exporter makes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.ec2_server import filled, made_up
from bench.peers import ENIS_PER_NODE
from bench.scale import (
    LISTED,
    RESERVATIONS_SECONDS,
    SUBNETS_CALLS,
    Column,
    eni_calls,
    list_calls,
    oldest,
)
from exporter.aws import UnderWay
from exporter.inputs.ec2 import Ec2
from exporter.inputs.ec2.calls import PAGE_SIZE
from exporter.inputs.ec2.subnets import Subnets
from exporter.inputs.kube import Kube, KubeConfig, connect
from exporter.sim import Options, Simulation
from exporter.sim.ec2_actions import Ec2 as SimulatedEc2


@pytest.mark.parametrize("nodes", [1, 250, 251])
def test_a_survey_is_as_many_calls_as_ec2_has_pages_for_it(nodes: int) -> None:
    ec2 = SimulatedEc2(filled(list(made_up(nodes)), ENIS_PER_NODE * nodes))
    action = ec2.actions["DescribeNetworkInterfaces"]
    fields = {"Action": "DescribeNetworkInterfaces", "MaxResults": str(PAGE_SIZE)}
    calls, more = 0, True
    while more:
        calls += 1
        answer = action.answer(fields, "1", empty=False)
        _, token, rest = answer.rpartition(b"<nextToken>")
        more = bool(token)
        fields["NextToken"] = rest.partition(b"<")[0].decode()
    assert eni_calls(nodes) == calls


@pytest.mark.parametrize(
    ("calls", "given", "seconds"),
    [
        pytest.param(1, {}, 181, id="one call"),
        pytest.param(180, {}, 360, id="as long as the interval"),
        pytest.param(181, {}, 421, id="longer, so that the next one waits for its beat"),
        pytest.param(400, {"ec2_enis_interval": "600"}, 1_000, id="a longer interval"),
        pytest.param(1, {"ec2_enis_interval": "50"}, 51, id="more often than subnets"),
    ],
)
def test_what_enis_told_is_as_old_as_the_survey_before_and_the_one_under_way(
    calls: int, given: Mapping[str, str], seconds: float
) -> None:
    assert oldest(calls, Column(0, given).settings) == seconds


def test_the_api_server_is_called_as_often_as_is_counted(tmp_path: Path) -> None:
    """Counted by the simulated API server, of a fleet that needs a second page of some kinds."""
    objects, calls = asyncio.run(_listed(tmp_path))
    assert objects.keys() == LISTED.keys()
    assert objects["pods"] > 500 > objects["nodes"]
    # It does not count who asks for its version.
    assert list_calls(objects) == calls + 1


async def _listed(folder: Path) -> tuple[dict[str, int], int]:
    """Return the objects that there are, by source, and the calls until all are known."""
    file = folder / "kubeconfig"
    async with (
        Simulation.fleet(260, Options(kubeconfig=file)) as sim,
        connect(KubeConfig(kubeconfig=str(file))) as kube,
    ):
        sim.cluster.configure_enis("eu-central-1a", "subnet-1")
        for node in sim.cluster.expected:
            sim.cluster.feature(node, {})
        running = asyncio.create_task(kube.run())
        async with asyncio.timeout(20):
            while not _all_known(kube):
                await kube.changed()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return _objects(sim), sim.traffic.list_pages.total() + sim.traffic.watches.total()


def _all_known(kube: Kube) -> bool:
    found = kube.discover()
    watched = all(it.up for it in kube.sources())
    return watched and found is not None and bool(found.identity.kubernetes_version)


def _objects(sim: Simulation) -> dict[str, int]:
    pods = [
        pod.labels.get("k8s-app")
        for pod in sim.cluster.store.everything("pods", lambda _: True)
        if pod.fields["spec.hostNetwork"] == "true"
    ]
    others = {
        source: len(sim.cluster.store.everything(source, lambda _: True))
        for source in ("nodes", "daemonsets", "eniconfigs", "cninodes")
    }
    return {**others, "pods": len(pods), "kubernetes": pods.count("aws-node")}


class Asked:
    """EC2's calls, which are counted; there is one subnet."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def filtered(
        self, _under_way: UnderWay, operation: str, *_: object, **__: object
    ) -> Iterator[Mapping[str, object]]:
        self.operations.append(operation)
        yield {
            "Subnets": [
                {
                    "SubnetId": "subnet-1",
                    "VpcId": "vpc-1",
                    "AvailabilityZone": "a",
                    "CidrBlock": "10.0.0.0/24",
                    "AvailableIpAddressCount": 9,
                }
            ]
        }

    def pages(
        self, _under_way: UnderWay, operation: str, **_: object
    ) -> Iterator[Mapping[str, object]]:
        self.operations.append(operation)
        yield {"SubnetIpv4CidrReservations": []}


def test_subnets_and_their_reservations_are_asked_for_as_often_as_is_counted() -> None:
    asked, clock = Asked(), iter((0.0, RESERVATIONS_SECONDS - 1.0, float(RESERVATIONS_SECONDS)))
    kept = inspect.signature(Ec2.__init__).parameters["reservation_seconds"].default
    subnets = Subnets(asked, lambda: next(clock), keep_seconds=kept)  # type: ignore[arg-type]
    for _ in range(3):
        subnets.read(["subnet-1"], [], UnderWay())
    assert asked.operations.count("DescribeSubnets") == 3 * SUBNETS_CALLS
    assert asked.operations.count("GetSubnetCidrReservations") == 2
