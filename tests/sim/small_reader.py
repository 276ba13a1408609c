"""A reader of pages, bodies and EC2, small and written from the reference alone, beside the books.

It reads a simulated cluster over the wire, as two polls and two surveys, and works out what each
node holds. With it the books are held against something that shares nothing with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from exporter.sim import Simulation
from exporter.sim.nodes import Node
from tests.sim.client import asked, raw, unchunked
from tests.sim.introspection_reader import Counted, counted

INSTANCE = "node.k8s.amazonaws.com/instance_id"
NO_MANAGE = "node.k8s.amazonaws.com/no_manage"


@dataclass(frozen=True, slots=True)
class Heard:
    """What one node's ipamd said in one poll."""

    gauges: Mapping[str, float]
    per_eni: float
    enis: Mapping[tuple[str, str], Counted] | None = None

    def total(self, figure: str) -> int:
        """Sum a figure over the ENIs of the body."""
        assert self.enis is not None
        return sum(getattr(eni, figure) for eni in self.enis.values())


@dataclass(slots=True)
class SmallReader:
    """Reads a cluster."""

    sim: Simulation
    heard: dict[str, Heard] = field(default_factory=dict)
    enis: list[Mapping[str, Any]] = field(default_factory=list)
    _client: Any = None

    async def read(self) -> None:
        """Poll every node twice and survey EC2 twice."""
        for _ in range(2):
            await self._poll()
        for _ in range(2):
            self.enis = await asyncio.to_thread(self._survey)

    async def _poll(self) -> None:
        self.heard = {}
        for number, node in enumerate(self.sim.cluster.nodes.values()):
            # A pod that is yet to come up is the one to read.
            if node.serving is not None and node.serving is node.target:
                self.heard[node.name] = await self._one(number, node)

    async def _one(self, number: int, node: Node) -> Heard:
        answer = await raw(self.sim, number)
        chunked = "transfer-encoding" in answer.headers
        found, per_eni = {}, 0.0
        for line in (unchunked(answer) if chunked else answer.body).decode().splitlines():
            name, _, value = line.removeprefix("awscni_").partition(" ")
            if name.startswith("assigned_ip_per_eni{"):
                per_eni += float(value)
            elif line.startswith("awscni_") and "{" not in name:
                found[name] = float(value)
        try:
            body = await asked(self.sim, number)
        except ConnectionRefusedError:
            return Heard(found, per_eni)
        return Heard(found, per_eni, counted(body, self.sim.clock()))

    def _survey(self) -> list[Mapping[str, Any]]:
        """Read all ENIs, then the subnets, then the instance types."""
        if self._client is None:
            self._client = ec2_client(self.sim)
        client = self._client
        (vpc,) = client.describe_vpcs()["Vpcs"]
        wanted = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
        pages = client.get_paginator("describe_network_interfaces").paginate(Filters=wanted)
        found = [eni for each in pages for eni in each["NetworkInterfaces"]]
        client.describe_subnets(Filters=wanted)
        client.describe_instance_types()
        return found

    def held_in_ec2(self, node: Node, *, all_cards: bool, strict: bool) -> int:
        """Count the addresses for pods that EC2 shows on the ENIs that a node's ipamd manages."""
        held = 0
        for eni in self.enis:
            attached = eni.get("Attachment", {})
            if attached.get("InstanceId") != node.instance_id:
                continue
            tags = {tag["Key"]: tag["Value"] for tag in eni["TagSet"]}
            first = (attached["DeviceIndex"], attached["NetworkCardIndex"]) == (0, 0)
            foreign = tags.get(NO_MANAGE) == "true" or (strict and INSTANCE not in tags)
            if first or not (foreign or (attached["NetworkCardIndex"] and not all_cards)):
                held += len(eni["PrivateIpAddresses"]) - 1 + 16 * len(eni.get("Ipv4Prefixes", ()))
        return held

    def branches(self, node: Node) -> int:
        """Count the branch ENIs of a node's pods."""
        tagged = (
            {tag["Key"]: tag["Value"] for tag in eni["TagSet"]}
            for eni in self.enis
            if eni["InterfaceType"] == "branch"
        )
        return sum(tags.get(INSTANCE) == node.instance_id for tags in tagged)


def ec2_client(sim: Simulation) -> Any:
    """Return boto3's client for a simulation's EC2."""
    assert sim.ec2 is not None
    environment = sim.ec2.environment()
    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    return session.client("ec2", endpoint_url=environment["AWS_ENDPOINT_URL_EC2"])


def told(truth: Mapping[str, Any], name: str, label: str = "node") -> dict[Any, Any]:
    """Return a metric of the truth by one label, or by two where it has a state or reason."""
    found = {}
    for labels, value in truth["samples"].get(name, ()):
        rest = [labels[key] for key in sorted(labels) if key != label]
        found[(labels[label], *rest) if rest else labels[label]] = value
    return found
