"""Bodies of `/v1/enis` as each release writes them, held against the golden ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.core.pool import IPV6_PREFIX
from exporter.sim import introspection_bodies
from exporter.sim.holdings import HeldAddress, HeldCard, HeldCidr, HeldEni, Holding, told
from exporter.sim.introspection_bodies import enis, go_time, sandbox_of
from exporter.sim.ipamd import Release
from tests.sim.introspection_reader import Counted, counted

DATA = Path(__file__).parents[1] / "data" / "introspection"
GOLDEN: Mapping[str, Any] = json.loads((DATA / "expected.json").read_text())
NOW = datetime.fromisoformat(GOLDEN["now"]).timestamp()
ASSIGNED = 104.876543  # seconds before NOW, at 10:00:00.123457
FREED, LONG_FREED = 14.5, 705.0


def single(address: str, *held: HeldAddress) -> HeldCidr:
    return HeldCidr(f"{address}/32", 1, held)


SECONDARY = HeldEni(
    "eni-0aaa",
    subnet="subnet-0a",
    primary=True,
    cidrs=(
        single("10.0.1.12", HeldAddress("10.0.1.12", "", ASSIGNED, FREED, cooling=True)),
        single("10.0.1.11", HeldAddress("10.0.1.11", "web-1", ASSIGNED)),
        single("10.0.1.14"),
        single("10.0.1.13", HeldAddress("10.0.1.13", "", ASSIGNED, LONG_FREED)),
    ),
)
PREFIX = HeldEni(
    "eni-0bbb",
    subnet="subnet-0a",
    primary=True,
    cidrs=(
        HeldCidr(
            "10.0.2.16/28",
            16,
            (
                HeldAddress("10.0.2.17", "", ASSIGNED, FREED, cooling=True),
                HeldAddress("10.0.2.16", "web-2", ASSIGNED),
            ),
        ),
        HeldCidr("10.0.2.32/28", 16),
    ),
)
FIRST_CARD = HeldEni(
    "eni-0ddd",
    subnet="subnet-0a",
    primary=True,
    cidrs=(
        single("10.0.3.5", HeldAddress("10.0.3.5", "gpu-1", ASSIGNED, interfaces=2)),
        single("10.0.3.6"),
    ),
)
SECOND_CARD = HeldEni(
    "eni-0eee",
    subnet="subnet-0a",
    device=1,
    cidrs=(single("10.0.3.70", HeldAddress("10.0.3.70", "gpu-1", ASSIGNED, interfaces=2)),),
)


def holding(*cards: tuple[HeldEni, ...]) -> Holding:
    found = (
        HeldCard(number, sum(cidr.size for eni in enis for cidr in eni.cidrs), enis)
        for number, enis in enumerate(cards)
    )
    return Holding(tuple(found))


CASES = {
    "v1.6_secondary_ip": ("v1.6.4", holding((SECONDARY,))),
    "v1.10_secondary_ip": ("v1.10.4", holding((SECONDARY,))),
    "v1.11-v1.19_secondary_ip": ("v1.19.6", holding((SECONDARY,))),
    "v1.20.0_secondary_ip": ("v1.20.0", holding((SECONDARY,))),
    "v1.23_secondary_ip": ("v1.23.1", holding((SECONDARY,))),
    "v1.23_prefix": ("v1.23.1", holding((PREFIX,))),
    "v1.23_multi_card": ("v1.23.1", holding((FIRST_CARD,), (SECOND_CARD,))),
}


def golden(name: str) -> str:
    """A golden body, with what a seed decides here: the sandbox, and times to the microsecond."""
    text = (DATA / f"{name}.json").read_text().rstrip("\n")
    return text.replace("9f3c1b2a7d", sandbox_of("web-1")).replace(".123456789Z", ".123457Z")


@pytest.mark.parametrize("name", CASES)
def test_a_body_is_the_golden_one_to_the_byte(name: str) -> None:
    release, held = CASES[name]
    assert enis(held, Release.of(release), NOW).decode() == golden(name)


@pytest.mark.parametrize("name", CASES)
def test_what_was_held_is_what_a_reader_counts_in_the_golden_body(name: str) -> None:
    _, held = CASES[name]
    found = {
        card: {
            eni: {**_figures(it), "free": it.free} for (on, eni), it in read.items() if on == card
        }
        for read in (counted((DATA / f"{name}.json").read_bytes(), NOW),)
        for card in {on for on, _ in read}
    }
    assert found == GOLDEN["expected"][name]
    assert {
        (str(it.card), it.id): (it.attached, it.assigned, it.cooling, it.prefixes)
        for it in held.enis
    } == {
        (card, eni): (it["total"], it["assigned"], it["cooldown"], it["prefixes"])
        for card, enis in GOLDEN["expected"][name].items()
        for eni, it in enis.items()
    }


def _figures(it: Counted) -> Mapping[str, object]:
    names = ("total", "assigned", "cooldown", "prefixes", "primary", "trunk")
    return {name: getattr(it, name) for name in names}


def test_before_v1_9_every_address_held_is_listed_and_has_a_key() -> None:
    body = json.loads(enis(holding((SECONDARY,)), Release.of("v1.8.0"), NOW))
    eni = body["ENIs"]["eni-0aaa"]
    assert list(body) == ["TotalIPs", "AssignedIPs", "ENIs"]
    assert list(eni) == ["ID", "IsPrimary", "IsTrunk", "IsEFA", "DeviceNumber", "IPv4Addresses"]
    assert list(eni["IPv4Addresses"]) == ["10.0.1.11", "10.0.1.12", "10.0.1.13", "10.0.1.14"]
    assert eni["IPv4Addresses"]["10.0.1.14"] == {
        "Address": "10.0.1.14",
        "IPAMKey": {"networkName": "", "containerID": "", "ifName": ""},
        "UnassignedTime": "0001-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(("release", "told"), [("v1.7.5", False), ("v1.7.6", True)])
def test_efa_interfaces_are_told_since_v1_7_6(release: str, told: bool) -> None:
    body = json.loads(enis(holding((SECONDARY,)), Release.of(release), NOW))
    assert ("IsEFA" in body["ENIs"]["eni-0aaa"]) is told


def test_v1_4_tells_of_no_time_at_which_an_address_was_freed() -> None:
    body = json.loads(enis(holding((SECONDARY,)), Release.of("v1.4.1"), NOW))
    found = body["ENIIPPools"]["eni-0aaa"]["IPv4Addresses"]["10.0.1.12"]
    assert found == {"Address": "10.0.1.12", "Assigned": False}


def test_v1_9_has_cidrs_with_a_name_of_their_own_for_addresses() -> None:
    body = json.loads(enis(holding((PREFIX,)), Release.of("v1.9.3"), NOW))
    eni = body["ENIs"]["eni-0bbb"]
    names = ["ID", "IsPrimary", "IsTrunk", "IsEFA", "DeviceNumber", "AvailableIPv4Cidrs"]
    assert list(eni) == names
    cidr = eni["AvailableIPv4Cidrs"]["10.0.2.16/28"]
    assert list(cidr) == ["Cidr", "IPv4Addresses", "IsPrefix"]
    assert list(cidr["IPv4Addresses"]["10.0.2.16"]) == ["Address", "IPAMKey", "UnassignedTime"]


@pytest.mark.parametrize(
    ("release", "more"),
    [
        ("v1.20.2", []),
        ("v1.20.3", ["RouteTableID"]),
        ("v1.21.1", ["RouteTableID"]),
        ("v1.22.1", ["IsExcludedForPodIPs", "RouteTableID", "SubnetID"]),
    ],
)
def test_an_eni_tells_more_with_the_releases(release: str, more: list[str]) -> None:
    body = json.loads(enis(holding((SECONDARY,)), Release.of(release), NOW))
    eni = body["0"]["ENIs"]["eni-0aaa"]
    common = ["ID", "IsPrimary", "IsTrunk", "IsEFA", "DeviceNumber", "AvailableIPv4Cidrs"]
    assert list(eni) == [*common, "IPv6Cidrs", *more]
    key = next(iter(eni["AvailableIPv4Cidrs"]["10.0.1.11/32"]["IPAddresses"].values()))["IPAMKey"]
    assert key["containerID"] == sandbox_of("web-1")


def test_an_ipv6_prefix_stands_apart_and_has_no_end_of_addresses() -> None:
    base = "2001:db8:1234:1a00:1::"
    cidr = HeldCidr(f"{base}/80", IPV6_PREFIX, (HeldAddress(base, "web-6", ASSIGNED),))
    held = holding((HeldEni("eni-0ccc", subnet="subnet-0a", primary=True, cidrs=(cidr,)),))
    body = json.loads(enis(held, Release.of("v1.23.1"), NOW))
    eni = body["0"]["ENIs"]["eni-0ccc"]
    assert body["0"]["TotalIPs"] == 281474976710656
    assert eni["AvailableIPv4Cidrs"] == {}
    assert eni["IPv6Cidrs"][f"{base}/80"]["Cidr"] == {
        "IP": base,
        "Mask": "/////////////wAAAAAAAA==",
    }
    assert (held.attached, held.assigned, held.prefixes) == (2**48, 1, 1)


def test_the_route_table_follows_from_device_and_card() -> None:
    def table(card: int, **eni: Any) -> int:
        held = Holding((HeldCard(card, 0, (HeldEni("eni-1", **eni),)),))
        body = json.loads(enis(held, Release.of("v1.23.1"), NOW))
        return int(body[str(card)]["ENIs"]["eni-1"]["RouteTableID"])

    assert table(0, primary=True) == 254
    assert table(0, device=2) == 3
    assert table(1, device=1) == 10101


def test_an_old_ipamd_lists_its_pods() -> None:
    body = json.loads(introspection_bodies.pods(holding((SECONDARY,))))
    name = f"web-1_default_{sandbox_of('web-1')}"
    assert body == {name: {"IP": "10.0.1.11", "DeviceNumber": 0}}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (0.5, "1970-01-01T00:00:00.5Z"),
        (1_787_220_000.123457, "2026-08-20T10:00:00.123457Z"),
    ],
)
def test_times_have_as_many_digits_as_they_need(moment: float, text: str) -> None:
    assert go_time(moment) == text


@pytest.mark.parametrize("cooldown", [5, 30, 120])
def test_the_ages_told_stay_away_from_the_end_of_the_cooldown(cooldown: int) -> None:
    for age in range(4 * cooldown):
        found = told(age, cooldown)
        assert (found <= cooldown) == (age <= cooldown)
        assert found > 0
        assert abs(found - cooldown) >= min(2.0, cooldown / 2)
