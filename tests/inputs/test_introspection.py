"""Bodies of `/v1/enis`: each release's by its numbers, bad ones with their messages, and limits."""

from __future__ import annotations

import json
import timeit
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.introspection import MAX_BODY_BYTES, decode_eniconfig, parse_enis

BODIES = Path(__file__).parents[1] / "data" / "introspection"
GOLDEN = json.loads((BODIES / "expected.json").read_text())
# The same for bodies of ours, with all that is told of an ENI.
WRITTEN = json.loads((BODIES / "written.json").read_text())
NOW = datetime.fromisoformat(GOLDEN["now"]).timestamp()
FIGURES = ("total", "assigned", "cooldown", "free", "prefixes")
SLASH_80 = 2**48

Json = Any


def body(name: str) -> bytes:
    return (BODIES / f"{name}.json").read_bytes()


def by_card(said: Introspection) -> dict[str, dict[str, dict[str, object]]]:
    """What was said in the words of expected.json and written.json."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for eni in said.enis:
        found.setdefault(str(eni.card), {})[eni.id] = {
            "total": eni.attached,
            "assigned": eni.assigned,
            "cooldown": eni.cooldown,
            "free": eni.warm,
            "prefixes": eni.prefixes,
            "device": eni.device,
            "primary": eni.primary,
            "trunk": eni.trunk,
            "efa": eni.efa,
            "excluded": eni.excluded,
            "subnet": eni.subnet_id,
        }
    return found


def only(keys: object, said: Json) -> Json:
    """The figures that are expected, of those that are told."""
    assert isinstance(keys, dict)
    return {
        card: {id: {key: eni[key] for key in keys[card][id]} for id, eni in enis.items()}
        for card, enis in said.items()
    }


@pytest.mark.parametrize("name", GOLDEN["expected"])
def test_every_golden_body_gives_its_numbers(name: str) -> None:
    wanted = GOLDEN["expected"][name]
    said = parse_enis(body(name), NOW, cooldown=GOLDEN["ip_cooldown_seconds"])
    assert only(wanted, by_card(said)) == wanted
    assert (said.time, said.carried, said.eniconfig) == (NOW, False, "")


@pytest.mark.parametrize("name", WRITTEN)
def test_every_shape_and_mode_gives_its_numbers(name: str) -> None:
    wanted = WRITTEN[name]
    assert only(wanted, by_card(parse_enis(body(name), NOW))) == wanted


def test_every_body_has_its_numbers() -> None:
    assert {path.stem for path in BODIES.glob("v*.json")} == {*GOLDEN["expected"], *WRITTEN}


def test_enis_come_by_card_and_id() -> None:
    said = parse_enis(body("v1.23_three_cards"), NOW)
    assert [(eni.card, eni.id) for eni in said.enis] == [
        (0, "eni-0a1"),
        (1, "eni-0b1"),
        (10, "eni-0c1"),
    ]


def address(ip: str, **changed: Json) -> Json:
    """A free address that was never assigned since ipamd started, as v1.23 writes it."""
    free = {"networkName": "", "containerID": "", "ifName": ""}
    never = "0001-01-01T00:00:00Z"
    whole = {"Address": ip, "IPAMKey": free, "UnassignedTime": never, **changed}
    return {ip: {key: value for key, value in whole.items() if value is not ...}}


def single(ip: str = "10.0.1.11", **changed: Json) -> Json:
    return {f"{ip}/32": {"IPAddresses": address(ip, **changed)}}


def eni(*cidrs: Json, id: str = "eni-0a1", **changed: Json) -> Json:
    held = {key: value for cidr in cidrs for key, value in cidr.items()}
    whole = {"ID": id, "AvailableIPv4Cidrs": held, "IPv6Cidrs": {}, **changed}
    return {id: {key: value for key, value in whole.items() if value is not ...}}


def enis(*parts: Json) -> bytes:
    """A body of one network card."""
    return json.dumps({"0": {"ENIs": {k: v for part in parts for k, v in part.items()}}}).encode()


def said(what: bytes, now: float = NOW, cooldown: float = 30.0) -> IpamdEni:
    """The one ENI of a body."""
    (found,) = parse_enis(what, now, cooldown=cooldown).enis
    return found


def iso(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago).astimezone().isoformat()


class TestCooldown:
    @pytest.mark.parametrize(
        ("ago", "cooling"),
        [
            pytest.param(0.0, True, id="just freed"),
            pytest.param(30.0, True, id="about to be over"),
            pytest.param(30.001, False, id="over"),
            pytest.param(-5.0, True, id="by a clock that is a little ahead"),
            pytest.param(-5.001, False, id="by a clock that tells nothing"),
        ],
    )
    def test_is_from_when_an_address_was_freed(self, ago: float, cooling: bool) -> None:
        found = said(enis(eni(single(UnassignedTime=iso(ago)))))
        assert (found.attached, found.assigned, found.cooldown) == (1, 0, int(cooling))

    @pytest.mark.parametrize(("cooldown", "cooling"), [(0.0, 0), (9.0, 0), (10.0, 1), (99.0, 1)])
    def test_is_as_long_as_the_node_is_set_to(self, cooldown: float, cooling: int) -> None:
        freed = enis(eni(single(UnassignedTime=iso(10.0))))
        assert said(freed, cooldown=cooldown).cooldown == cooling

    def test_is_over_with_the_next_pod(self) -> None:
        key = {"networkName": "aws-cni", "containerID": "", "ifName": ""}
        taken = enis(eni(single(IPAMKey=key, UnassignedTime=iso(1.0))))
        found = said(taken)
        assert (found.assigned, found.cooldown) == (1, 0)

    @pytest.mark.parametrize(
        "time",
        [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "0001-12-31T23:59:59.999999999-12:00",
            "9999-12-31T23:59:59-12:00",
            "1970-01-01T00:00:00Z",
            None,
        ],
    )
    def test_is_not_known_of_times_that_are_none(self, time: str | None) -> None:
        for now in (NOW, -62_135_596_800.0 + 10.0):
            assert said(enis(eni(single(UnassignedTime=time))), now).cooldown == 0


@pytest.mark.parametrize(
    ("key", "assigned"),
    [
        pytest.param({"networkName": "aws-cni", "containerID": "", "ifName": ""}, 1, id="network"),
        pytest.param({"networkName": "", "containerID": "77", "ifName": ""}, 1, id="container"),
        pytest.param({"networkName": "", "containerID": "", "ifName": "eth0"}, 1, id="interface"),
        pytest.param({"networkName": "", "containerID": "", "ifName": ""}, 0, id="nothing"),
        pytest.param({"networkName": None}, 0, id="null"),
        pytest.param({}, 0, id="empty"),
        pytest.param(None, 0, id="no key"),
    ],
)
def test_an_address_is_assigned_by_any_part_of_its_key(key: Json, assigned: int) -> None:
    assert said(enis(eni(single(IPAMKey=key)))).assigned == assigned


def test_totals_in_the_body_are_not_believed() -> None:
    wrong = json.loads(enis(eni(single())))
    wrong["0"] |= {"TotalIPs": 99, "AssignedIPs": -7}
    found = said(json.dumps(wrong).encode())
    assert (found.attached, found.assigned) == (1, 0)


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    twice = b'{"0":{"ENIs":{"eni-1":{"IPv6Cidrs":{}},"eni-1":{"DeviceNumber":7,"IPv6Cidrs":{}}}}}'
    assert said(twice) == IpamdEni(id="eni-1", device=7)


def prefix(base: str, *ips: str, length: int = 28) -> Json:
    return {
        f"{base}/{length}": {"IPAddresses": {k: v for it in ips for k, v in address(it).items()}}
    }


HALF = body("v1.23_secondary_ip")
HALF = HALF[: len(HALF) // 2]
V6 = "2001:db8:0:0:1::"
OLD = {"eni-0a1": {"IPv4Addresses": {"10.0.1.11": {"Assigned": False}}}}

MALFORMED: dict[str, tuple[bytes, str]] = {
    "the paths that there are": (
        b'{"AvailableCommands":["/v1/enis","/v1/pods"]}',
        "the answer to a path that is not there",
    ),
    "no JSON": (b"<h1>Hi</h1>", "JSON is malformed: invalid character (byte 0)"),
    "more after the end": (enis() + b"}", "JSON is malformed: trailing characters (byte 20)"),
    "no object": (b"[]", "Expected `object`, got `array`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "nothing in it": (b"{}", "neither ENIs nor network cards"),
    "something else": (b'{"kind":"Status"}', "neither ENIs nor network cards"),
    "cards and more": (b'{"0":{"ENIs":{}},"Version":2}', "neither ENIs nor network cards"),
    "a negative card": (b'{"-1":{"ENIs":{}}}', "neither ENIs nor network cards"),
    "a card without ENIs": (b'{"0":{"TotalIPs":0}}', "network card 0 without ENIs"),
    "no card": (b'{"0":null}', "network card 0 without ENIs"),
    "a card twice": (b'{"0":{"ENIs":{}},"00":{"ENIs":{}}}', "a network card under two numbers"),
    "a page as a card": (b'{"0":[]}', "Expected `object | null`, got `array` - at `$[...]`"),
    "another kind of ENI": (enis({"lo": {}}), "'lo' is no ENI"),
    "a long name": (enis({"eni-" + "0" * 90: {}}), f"'eni-{'0' * 56}…' is no ENI"),
    "no ENI": (enis({"eni-0a1": None}), "'eni-0a1' is no ENI"),
    "an ENI of no known form": (
        enis({"eni-0a1": {"Cidrs": {}}}),
        "eni-0a1 tells its addresses in no known form",
    ),
    "a CIDR of no known form": (
        enis(eni({"10.0.1.11/32": {"Addresses": {}}})),
        "'10.0.1.11/32' of eni-0a1 tells its addresses in no known form",
    ),
    "no CIDR": (
        enis(eni({"10.0.1.11/32": None})),
        "'10.0.1.11/32' of eni-0a1 tells its addresses in no known form",
    ),
    "an address that tells no state": (
        enis(eni(single(IPAMKey=...))),
        "10.0.1.11 tells in no known form whether it is assigned",
    ),
    "an address that tells no time": (
        enis(eni(single(UnassignedTime=...))),
        "10.0.1.11 tells in no known form when it was freed",
    ),
    "no time": (
        enis(eni(single(UnassignedTime="soon"))),
        "Invalid RFC3339 encoded datetime - at `$[...].ENIs[...].AvailableIPv4Cidrs[...]"
        ".IPAddresses[...].UnassignedTime`",
    ),
    "a time in no zone": (
        enis(eni(single(UnassignedTime="2026-08-20T10:01:30"))),
        "Expected `datetime` with a timezone component - at `$[...].ENIs[...]"
        ".AvailableIPv4Cidrs[...].IPAddresses[...].UnassignedTime`",
    ),
    "a word for a flag": (
        enis(eni(IsPrimary="true")),
        "Expected `bool | null`, got `str` - at `$[...].ENIs[...].IsPrimary`",
    ),
    "a huge device": (
        enis(eni(DeviceNumber=10**30)),
        "Expected `int` <= 65535 - at `$[...].ENIs[...].DeviceNumber`",
    ),
    "a number of 9,000 digits": (
        enis(eni(DeviceNumber=0)).replace(b'Number": 0', b'Number": ' + b"9" * 9_000),
        "Integer value out of range - at `$[...].ENIs[...].DeviceNumber`",
    ),
    "a negative device": (
        enis(eni(DeviceNumber=-1)),
        "Expected `int` >= 0 - at `$[...].ENIs[...].DeviceNumber`",
    ),
    "no subnet": (
        enis(eni(SubnetID="vpc-0a")),
        "eni-0a1 is in subnet 'vpc-0a'",
    ),
    "no address": (
        enis(eni(single("10.0.1.256"))),
        "'10.0.1.256/32' is neither an address nor a prefix of its family",
    ),
    "an address with a nought before": (
        enis(eni(single("10.0.01.11"))),
        "'10.0.01.11/32' is neither an address nor a prefix of its family",
    ),
    "an address with a null character": (
        enis(eni(single("10.0.1.1\0"))),
        r"'10.0.1.1\x00/32' is neither an address nor a prefix of its family",
    ),
    "an absurd CIDR": (
        enis(eni({"10.0.0.0/8": {"IPAddresses": {}}})),
        "'10.0.0.0/8' is neither an address nor a prefix of its family",
    ),
    "a bare address": (
        enis(eni({"10.0.1.11": {"IPAddresses": {}}})),
        "'10.0.1.11' is neither an address nor a prefix of its family",
    ),
    "a length in other words": (
        enis(eni({"10.0.1.11/+32": {"IPAddresses": {}}})),
        "'10.0.1.11/+32' is neither an address nor a prefix of its family",
    ),
    "a prefix that begins anywhere": (
        enis(eni(prefix("10.0.2.17"))),
        "10.0.2.17/28 does not begin where a prefix can",
    ),
    "IPv6 among IPv4": (
        enis(eni({f"{V6}/80": {"IPAddresses": {}}})),
        "'2001:db8:0:0:1::/80' is neither an address nor a prefix of its family",
    ),
    "IPv4 among IPv6": (
        enis(eni(IPv6Cidrs=single())),
        "'10.0.1.11/32' is neither an address nor a prefix of its family",
    ),
    "IPv4 mapped into IPv6": (
        enis(eni(IPv6Cidrs={"::ffff:10.0.1.11/80": {"IPAddresses": {}}})),
        "::ffff:10.0.1.11/80 does not begin where a prefix can",
    ),
    "an IPv6 prefix of another size": (
        enis(eni(IPv6Cidrs={"2001:db8::/64": {"IPAddresses": {}}})),
        "'2001:db8::/64' is neither an address nor a prefix of its family",
    ),
    "an IPv6 prefix that begins anywhere": (
        enis(eni(IPv6Cidrs={"2001:db8::1/80": {"IPAddresses": {}}})),
        "2001:db8::1/80 does not begin where a prefix can",
    ),
    "no UTF-8": (
        b'{"\xff":1}',
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "a deep nesting": (
        b'{"0":' * 50_000,
        "maximum recursion depth exceeded while deserializing an object",
    ),
    "a deep nesting in what is stepped over": (
        enis(eni(FutureField=1)).replace(b"1}}}}", b"[" * 50_000 + b"]" * 50_000 + b"}}}}"),
        "maximum recursion depth exceeded while deserializing an object",
    ),
}

INCONSISTENT: dict[str, tuple[bytes, str]] = {
    "an ENI under another name": (
        enis({"eni-0a2": eni()["eni-0a1"]}),
        "eni-0a2 is also called 'eni-0a1'",
    ),
    "an ENI on two cards": (
        json.dumps({"0": {"ENIs": eni()}, "1": {"ENIs": eni()}}).encode(),
        "eni-0a1 is on two network cards",
    ),
    "an address under another name": (
        enis(eni(single(Address="10.0.1.12"))),
        "10.0.1.11 is also called '10.0.1.12'",
    ),
    "an address that is not the CIDR's": (
        enis(eni({"10.0.1.11/32": {"IPAddresses": address("10.0.1.12")}})),
        "'10.0.1.12' does not lie in 10.0.1.11/32",
    ),
    "the beginning of the CIDR's address": (
        enis(eni({"10.0.1.11/32": {"IPAddresses": address("10.0.1.1")}})),
        "'10.0.1.1' does not lie in 10.0.1.11/32",
    ),
    "an address outside its prefix": (
        enis(eni(prefix("10.0.2.16", "10.0.2.16", "10.0.2.32"))),
        "'10.0.2.32' does not lie in 10.0.2.16/28",
    ),
    "no address in a prefix": (
        enis(eni(prefix("10.0.2.16", "web-1"))),
        "'web-1' does not lie in 10.0.2.16/28",
    ),
    "an IPv6 address outside its prefix": (
        enis(eni(IPv6Cidrs=prefix("2001:db8::", "2001:db8:1::", length=80))),
        "an address does not lie in 2001:db8::/80",
    ),
    "no address in an IPv6 prefix": (
        enis(eni(IPv6Cidrs=prefix("2001:db8::", "10.0.1.11", length=80))),
        "an address does not lie in 2001:db8::/80",
    ),
    "two ENIs that claim one address": (
        enis(eni(single()), eni(single(), id="eni-0a2")),
        "addresses of 10.0.1.11/32 are in the books twice",
    ),
    "two ENIs that claim one prefix": (
        enis(eni(prefix("10.0.2.16")), eni(prefix("10.0.2.16"), id="eni-0a2")),
        "addresses of 10.0.2.16/28 are in the books twice",
    ),
    "an address of another ENI's prefix": (
        enis(eni(prefix("10.0.2.16")), eni(single("10.0.2.31"), id="eni-0a2")),
        "addresses of 10.0.2.31/32 are in the books twice",
    ),
    "a prefix around another ENI's address": (
        enis(eni(single("10.0.2.31")), eni(prefix("10.0.2.16"), id="eni-0a2")),
        "addresses of 10.0.2.16/28 are in the books twice",
    ),
    "two ENIs that claim one IPv6 prefix": (
        enis(
            eni(IPv6Cidrs=prefix("2001:db8::", length=80)),
            eni(IPv6Cidrs=prefix("2001:DB8:0::", length=80), id="eni-0a2"),
        ),
        "addresses of 2001:DB8:0::/80 are in the books twice",
    ),
    "an IPv6 address in two spellings": (
        enis(eni(IPv6Cidrs=prefix("2001:db8::", "2001:db8::a", "2001:db8::A", length=80))),
        "addresses of 2001:db8::/80 are in the books twice",
    ),
}

MANY_ENIS = b'{"0":{"ENIs":{%b}}}' % b",".join(b'"eni-%d":{"IPv6Cidrs":{}}' % n for n in range(257))
MANY_CIDRS = enis(eni({f"10.0.{n >> 8}.{n & 255}/32": {"IPAddresses": {}} for n in range(20_001)}))

TOO_LARGE: dict[str, tuple[bytes, str]] = {
    "50 MB": (b'{"0":' + b" " * 50_000_000, f"more than {MAX_BODY_BYTES} bytes"),
    "ENIs": (MANY_ENIS, "more than 256 ENIs"),
    "CIDRs": (MANY_CIDRS, "more than 20000 addresses"),
}


def failure(what: bytes) -> tuple[Reason, str]:
    with pytest.raises(FetchFailed) as caught:
        parse_enis(what, NOW)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    ("what", "reason", "detail"),
    [
        pytest.param(what, reason, detail, id=f"{reason.value}: {name}")
        for reason, table in (
            (Reason.MALFORMED, MALFORMED),
            (Reason.INCONSISTENT, INCONSISTENT),
            (Reason.TOO_LARGE, TOO_LARGE),
            (
                Reason.INCOMPLETE,
                {"half a body": (HALF, "cut off"), "empty": (b"", "cut off")},
            ),
        )
        for name, (what, detail) in table.items()
    ],
)
def test_a_bad_body_is_refused_for_what_is_wrong_with_it(
    what: bytes, reason: Reason, detail: str
) -> None:
    assert failure(what) == (reason, detail)


def test_what_is_not_quite_as_usual_is_no_reason_to_refuse_it() -> None:
    assert said(enis(eni(single("10.0.1.11", Address=None)))).attached == 1
    assert said(enis(eni(single(), ID=..., SubnetID=""))) == IpamdEni(id="eni-0a1", attached=1)
    assert said(json.dumps({"ENIIPPools": OLD}).encode()).attached == 1
    assert parse_enis(b'{"TotalIPs":0,"ENIs":null}', NOW).enis == ()
    assert parse_enis(b'{"0":{"ENIs":{}}}', NOW).enis == ()


def test_a_body_may_have_just_as_many() -> None:
    assert len(parse_enis(MANY_ENIS.replace(b'"eni-0":{"IPv6Cidrs":{}},', b""), NOW).enis) == 256
    just: Json = {f"10.0.{n >> 8}.{n & 255}/32": {"IPAddresses": {}} for n in range(20_000)}
    assert said(enis(eni(just))).attached == 20_000


def used(count: int) -> bytes:
    """A node with so many addresses that all have pods."""
    key = {"networkName": "aws-cni", "containerID": "", "ifName": ""}
    pod = {"k8sPodNamespace": "default", "k8sPodName": "web-7d9f8c9b5d-abcde"}
    ips = [f"10.0.{number >> 8}.{number & 255}" for number in range(count)]
    cidrs = [single(ip, IPAMKey=key, IPAMMetadata=pod, AssignedTime=iso(99.0)) for ip in ips]
    return enis(*(eni(*cidrs[n : n + 29], id=f"eni-{n:017x}") for n in range(0, count, 29)))


def test_a_body_of_250_addresses_takes_well_below_a_millisecond() -> None:
    what = used(250)
    seconds = min(timeit.repeat(lambda: parse_enis(what, NOW), number=10, repeat=20)) / 10
    # Some 0.4 ms on a quiet machine of 2026.
    assert seconds < 0.005


def test_what_is_kept_of_a_body_is_small() -> None:
    what = used(250)
    parse_enis(what, NOW)
    tracemalloc.start()
    kept = [parse_enis(what, NOW) for _ in range(20)]
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept[0].enis) == 9
    assert grown / 20 < 4_000


@pytest.mark.parametrize(
    ("what", "name"),
    [
        pytest.param(b'"default"', "default", id="since v1.8"),
        pytest.param(b'"eu-west-1a"', "eu-west-1a", id="a zone"),
        pytest.param(
            b'{"ENI":{"a":{"subnet":"subnet-1"}},"MyENI":"a","EniConfigLabelDef":"x"}',
            "a",
            id="until v1.7",
        ),
        pytest.param(b'"' + b"a" * 253 + b'"', "a" * 253, id="as long as a name can be"),
    ],
)
def test_the_chosen_eniconfig_is_its_name(what: bytes, name: str) -> None:
    assert decode_eniconfig(what) == name


@pytest.mark.parametrize(
    ("what", "reason", "detail"),
    [
        pytest.param(
            b'{"AvailableCommands":[]}',
            Reason.MALFORMED,
            "'' is no name of an ENIConfig",
            id="paths",
        ),
        pytest.param(b'""', Reason.MALFORMED, "'' is no name of an ENIConfig", id="none"),
        pytest.param(b'"a b"', Reason.MALFORMED, "'a b' is no name of an ENIConfig", id="no name"),
        pytest.param(
            b'"' + b"a" * 254 + b'"',
            Reason.MALFORMED,
            f"'{'a' * 60}…' is no name of an ENIConfig",
            id="too long",
        ),
        pytest.param(b'{"MyENI":7}', Reason.MALFORMED, "Expected", id="a number"),
        pytest.param(b"7", Reason.MALFORMED, "Expected", id="another shape"),
        pytest.param(b'"defau', Reason.INCOMPLETE, "cut off", id="half of it"),
        pytest.param(b"Not Found", Reason.MALFORMED, "JSON is malformed", id="no JSON"),
    ],
)
def test_what_names_no_eniconfig_is_refused(what: bytes, reason: Reason, detail: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        decode_eniconfig(what)
    assert caught.value.reason is reason
    assert caught.value.detail.startswith(detail)
