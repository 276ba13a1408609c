"""Decoding and counting one body of ipamd's introspection: ours against `json.loads` alone."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from exporter.inputs.introspection import parse_enis

ADDRESSES = 250
ROUNDS = 7
_NOW = 1_787_220_105.0


def body(*, prefix: bool) -> bytes:
    """A node of v1.23 whose every address has a pod: one by one on nine ENIs, or in prefixes."""
    size, per_eni = (16, ADDRESSES) if prefix else (1, 29)
    enis: dict[str, dict[str, object]] = {}
    for base in range(0, ADDRESSES, size):
        number = base // per_eni
        cidr = f"10.0.{base >> 8}.{base & 255}/{28 if prefix else 32}"
        ips = [f"10.0.{n >> 8}.{n & 255}" for n in range(base, base + size)]
        eni = enis.setdefault(f"eni-{number:017x}", _eni(number))
        held = eni["AvailableIPv4Cidrs"]
        assert isinstance(held, dict)
        held[cidr] = {
            "Cidr": {"IP": ips[0], "Mask": "////8A==" if prefix else "/////w=="},
            "IPAddresses": {ip: _address(ip) for ip in ips},
            "IsPrefix": prefix,
            "AddressFamily": "",
        }
    whole = {"0": {"TotalIPs": ADDRESSES, "AssignedIPs": ADDRESSES, "ENIs": enis}}
    return json.dumps(whole, separators=(",", ":")).encode()


def _eni(number: int) -> dict[str, object]:
    return {
        "ID": f"eni-{number:017x}",
        "IsPrimary": number == 0,
        "IsTrunk": False,
        "IsEFA": False,
        "DeviceNumber": number,
        "AvailableIPv4Cidrs": {},
        "IPv6Cidrs": {},
        "IsExcludedForPodIPs": False,
        "RouteTableID": number + 1,
        "SubnetID": "subnet-0a1b2c3d4e5f60718",
    }


def _address(ip: str) -> dict[str, object]:
    return {
        "Address": ip,
        "IPAMKey": {"networkName": "aws-cni", "containerID": "", "ifName": ""},
        "IPAMMetadata": {
            "k8sPodNamespace": "default",
            "k8sPodName": f"checkout-7d9f8c9b5d-{ip}",
            "interfacesCount": 1,
        },
        "AssignedTime": "2026-08-20T10:00:00.123456789Z",
        "UnassignedTime": "2026-08-20T09:50:00.123456789Z",
    }


def measure() -> dict[str, dict[str, float]]:
    """Return milliseconds of both for a body, medians of rounds taken in turn, and the ratio."""
    return {
        name: _compared(body(prefix=prefix))
        for name, prefix in (("secondary", False), ("prefix", True))
    }


def _compared(what: bytes) -> dict[str, float]:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_milliseconds(lambda: parse_enis(what, _NOW)))
        theirs.append(_milliseconds(lambda: json.loads(what)))
    ratios = [other / one for one, other in zip(ours, theirs, strict=True)]
    return {
        "addresses": ADDRESSES,
        "bytes": len(what),
        "milliseconds": round(statistics.median(ours), 3),
        "json_loads_milliseconds": round(statistics.median(theirs), 3),
        "times_as_fast": round(statistics.median(ratios), 1),
    }


def _milliseconds(work: Callable[[], object], times: int = 200) -> float:
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1_000


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
