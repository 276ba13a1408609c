"""What instance types allow, as EC2 says, and as the file says that comes with the exporter.

`scripts/instance_limits.py` writes that file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from exporter.aws.errors import Malformed
from exporter.core.model import InstanceType
from exporter.inputs.ec2.operations import SYSTEM

OPERATION = "DescribeInstanceTypes"
COLUMNS = tuple(field.name for field in fields(InstanceType))
_FILE = "data/instance_limits.csv"


def instance_types(page: Mapping[str, Any]) -> tuple[InstanceType, ...]:
    """Return the limits of the types on a page that boto3 has parsed."""
    try:
        return tuple(_instance_type(said) for said in page["InstanceTypes"])
    except KeyError as error:
        raise Malformed(SYSTEM, f"{OPERATION}: malformed answer") from error


def _instance_type(said: Mapping[str, Any]) -> InstanceType:
    network = said["NetworkInfo"]
    return InstanceType(
        name=said["InstanceType"],
        enis=_default_card(network)["MaximumNetworkInterfaces"],
        ipv4_per_eni=network["Ipv4AddressesPerInterface"],
        vcpus=said["VCpuInfo"]["DefaultVCpus"],
        network_cards=network.get("MaximumNetworkCards", 1),
        hypervisor=said.get("Hypervisor", ""),
        bare_metal=said.get("BareMetal", False),
        attachment_limit=_attachment_limit(said.get("EbsInfo", {})),
    )


def _default_card(network: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the default card; the limit of the type as a whole is the sum over its cards."""
    if network.get("MaximumNetworkCards", 1) == 1:
        return network
    cards: dict[int, Mapping[str, Any]] = {
        it["NetworkCardIndex"]: it for it in network["NetworkCards"]
    }
    return cards[network.get("DefaultNetworkCardIndex", 0)]


def _attachment_limit(storage: Mapping[str, Any]) -> int | None:
    """Return how many ENIs and volumes fit together.

    EC2 counts the volumes beside one ENI, and less what instance storage takes: 27 for m5.large,
    26 for c5d.large, of the 28 that the EC2 user guide names ("EBS volume limits").
    """
    if storage.get("AttachmentLimitType") != "shared" or "MaximumEbsAttachments" not in storage:
        return None
    return int(storage["MaximumEbsAttachments"]) + 1


@cache
def types_on_file() -> Mapping[str, InstanceType]:
    """Return all types that were known when the exporter was released."""
    text = (resources.files("exporter.inputs") / _FILE).read_text(encoding="utf-8")
    return MappingProxyType({it.name: it for it in read_types(text.splitlines())})


def read_types(lines: Iterable[str]) -> Iterable[InstanceType]:
    """Yield what lines of the file say, the first of which names the columns."""
    for row in csv.DictReader(lines):
        yield InstanceType(
            name=row["name"],
            enis=int(row["enis"]),
            ipv4_per_eni=int(row["ipv4_per_eni"]),
            vcpus=int(row["vcpus"]),
            network_cards=int(row["network_cards"]),
            hypervisor=row["hypervisor"],
            bare_metal=row["bare_metal"] == "yes",
            attachment_limit=int(row["attachment_limit"]) if row["attachment_limit"] else None,
        )


def write_types(types: Iterable[InstanceType]) -> Iterable[str]:
    """Yield the lines of the file, sorted by name."""
    yield ",".join(COLUMNS)
    for it in sorted(types, key=lambda it: it.name):
        yield ",".join(_cell(getattr(it, column)) for column in COLUMNS)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)
