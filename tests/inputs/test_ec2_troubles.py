"""What the door makes of everything that EC2, the network and credentials can do wrong."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from exporter.aws import Account, AwsConfig, UnderWay
from exporter.core.model import Unavailable
from exporter.inputs.ec2 import Ec2, types_on_file
from exporter.inputs.ec2.calls import Calls
from tests.inputs.aws_answers import REGION, SECRET, Reply, aws, role
from tests.inputs.ec2_answers import (
    FakeEc2,
    document,
    eni,
    error,
    instance_type,
    serving,
    subnet,
    use,
)

__all__ = ["aws", "role"]

GOOD = document("DescribeSubnets", {"subnetSet": [subnet()]})
LOST = {key: it for key, it in subnet().items() if key != "availableIpAddressCount"}
NOT_IPV4 = subnet(cidrBlock="2001:db8::/64")


def ok(body: bytes) -> Reply:
    return Reply(200, body)


def said(*subnets: object, **more: object) -> Reply:
    return ok(document("DescribeSubnets", {"subnetSet": list(subnets), **more}))


MALFORMED = "DescribeSubnets: malformed answer"
TROUBLES = {
    "refuses the call": (
        error("UnauthorizedOperation", 403),
        "DescribeSubnets is not allowed (UnauthorizedOperation)",
        "refused",
    ),
    "does not know the call": (
        error("InvalidAction"),
        "DescribeSubnets is not allowed (InvalidAction)",
        "refused",
    ),
    "finds the credentials expired": (
        error("RequestExpired"),
        "the credentials have expired (RequestExpired)",
        "refused",
    ),
    "does not know the credentials": (
        error("AuthFailure", 401),
        "the credentials are not accepted (AuthFailure)",
        "refused",
    ),
    "throttles": (
        error("RequestLimitExceeded", 503),
        "DescribeSubnets was throttled (RequestLimitExceeded)",
        "throttled",
    ),
    "has a fault": (
        error("InternalError", 500),
        "DescribeSubnets failed (HTTP 500 InternalError)",
        "failed",
    ),
    "is hidden behind a web page": (
        Reply(502, b"<html><body>Bad Gateway</body></html>"),
        "DescribeSubnets failed (HTTP 502)",
        "failed",
    ),
    "fails without a word": (Reply(503, b""), "DescribeSubnets failed (HTTP 503)", "failed"),
    "sends elsewhere": (
        Reply(301, b"", headers={"Location": "http://192.0.2.1/"}),
        MALFORMED,
        "failed",
    ),
    "names its error strangely": (
        error(f"{SECRET} <secret>&"),
        "DescribeSubnets failed (HTTP 400)",
        "failed",
    ),
    "is silent": (Reply(200, GOOD, pause=0.8), "timed out", "failed"),
    "ends in the middle": (Reply(200, GOOD, sent=len(GOOD) // 2), MALFORMED, "failed"),
    "sends nothing": (ok(b""), MALFORMED, "failed"),
    "sends no XML": (ok(b"OK"), MALFORMED, "failed"),
    "sends a web page": (
        ok(b"<html><body>Sign in</body></html>"),
        MALFORMED,
        "ok",
    ),
    "leaves a figure out": (said(LOST), MALFORMED, "ok"),
    "sends a figure that is none": (
        said(subnet(availableIpAddressCount="many")),
        MALFORMED,
        "failed",
    ),
    "sends a network that is none": (said(NOT_IPV4), MALFORMED, "ok"),
}


@pytest.mark.parametrize(
    ("reply", "reason", "ended"), [pytest.param(*it, id=name) for name, it in TROUBLES.items()]
)
def test_ec2_that_misbehaves_is_unavailable_and_the_next_read_is_well(
    reply: Reply, reason: str, ended: str, aws: pytest.MonkeyPatch
) -> None:
    ec2 = FakeEc2(subnets=[subnet()], instead={"DescribeSubnets": [reply]})
    found: list[object] = []

    async def read(door: Ec2) -> None:
        with pytest.raises(Unavailable) as raised:
            await door.read_subnets(["subnet-1"])
        found.extend([raised.value.system, raised.value.reason, dict(door.requests)])
        assert len(await door.read_subnets(["subnet-1"])) == 1

    with serving(ec2):
        use(ec2, aws, read, silence_seconds=0.4)
    assert found == ["ec2", reason, {("ec2", "DescribeSubnets", ended): 1}]


def test_enis_that_are_cut_off_are_no_enis(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(enis=[eni(number) for number in range(9)], page_size=3)
    second = ec2.answer(
        {"Action": "DescribeNetworkInterfaces", "MaxResults": "3", "NextToken": "page-3"}
    )

    async def read(door: Ec2) -> list[str]:
        first = ec2.answer({"Action": "DescribeNetworkInterfaces", "MaxResults": "3"})
        cut = Reply(200, second, sent=len(second) - 200)
        ec2.instead["DescribeNetworkInterfaces"] = [ok(first), cut]
        with pytest.raises(Unavailable, match="DescribeNetworkInterfaces: malformed answer"):
            await door.read_enis(vpc_ids=["vpc-1"])
        assert door.requests == {
            ("ec2", "DescribeNetworkInterfaces", "ok"): 1,
            ("ec2", "DescribeNetworkInterfaces", "failed"): 1,
        }
        return [it.id for it in await door.read_enis(vpc_ids=["vpc-1"])]

    with serving(ec2):
        assert use(ec2, aws, read) == [f"eni-{number}" for number in range(9)]


@pytest.mark.parametrize(
    "reservation",
    [
        pytest.param({"cidr": "10.0.1.16/28"}, id="no kind"),
        pytest.param({"cidr": "10.0.1.1/28", "reservationType": "prefix"}, id="no network"),
    ],
)
def test_a_reservation_that_is_not_whole_is_malformed(
    reservation: dict[str, str], aws: pytest.MonkeyPatch
) -> None:
    ec2 = FakeEc2(subnets=[subnet()], reservations={"subnet-1": [reservation]})
    reason = "GetSubnetCidrReservations: malformed answer"
    with serving(ec2), pytest.raises(Unavailable, match=reason):
        use(ec2, aws, lambda door: door.read_subnets(["subnet-1"]))


@pytest.mark.parametrize("part", ["networkInfo", "vCpuInfo", "instanceType"])
def test_a_type_that_is_not_whole_is_read_from_the_file(part: str, aws: pytest.MonkeyPatch) -> None:
    whole = instance_type()
    ec2 = FakeEc2(types=[whole])
    broken = {key: it for key, it in whole.items() if key != part}
    answer = document("DescribeInstanceTypes", {"instanceTypeSet": [broken]})
    ec2.always["DescribeInstanceTypes"] = ok(answer)
    with serving(ec2):
        found = use(ec2, aws, lambda door: door.read_instance_types(["m5.large"]))
    assert found == {"m5.large": types_on_file()["m5.large"]}


def test_nothing_is_asked_for_a_read_that_was_given_up(aws: pytest.MonkeyPatch) -> None:
    under_way = UnderWay()
    pages = Calls(Account(AwsConfig())).pages(under_way, "DescribeSubnets")
    under_way.give_up()
    with pytest.raises(Unavailable, match="ec2: given up"):
        next(pages)


def test_an_error_on_a_page_of_enis_is_told_as_ec2_names_it(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(always={"DescribeNetworkInterfaces": error("UnauthorizedOperation", 403)})
    with (
        serving(ec2),
        pytest.raises(Unavailable, match=r"DescribeNetworkInterfaces is not allowed \(Unauth"),
    ):
        use(ec2, aws, lambda door: door.read_enis(vpc_ids=["vpc-1"]))


def test_pages_that_lead_back_to_one_another_are_refused(aws: pytest.MonkeyPatch) -> None:
    again = said(subnet(), nextToken="page-0")
    ec2 = FakeEc2(always={"DescribeSubnets": again})
    with serving(ec2), pytest.raises(Unavailable, match="DescribeSubnets: pages without an end"):
        use(ec2, aws, lambda door: door.read_subnets(["subnet-1"]))


def test_pages_that_never_come_to_an_end_are_refused(aws: pytest.MonkeyPatch) -> None:
    aws.setattr("exporter.inputs.ec2.calls._MOST_PAGES", 3)
    ec2 = FakeEc2(subnets=[subnet(it) for it in range(4)], page_size=1)
    with serving(ec2):
        assert len(use(ec2, aws, lambda door: door.read_subnets([], ["vpc-1"]))) == 0
        found = use(ec2, aws, lambda door: door.read_subnets([f"subnet-{it}" for it in range(4)]))
        assert len(found) == 4
        ec2.subnets = [subnet(it) for it in range(5)]
        with pytest.raises(Unavailable, match="DescribeSubnets: pages without an end"):
            use(ec2, aws, lambda door: door.read_subnets([f"subnet-{it}" for it in range(5)]))


@pytest.mark.parametrize("retries", ["standard", "adaptive"])
def test_a_burst_of_throttling_is_waited_out(retries: str, aws: pytest.MonkeyPatch) -> None:
    throttled = error("RequestLimitExceeded", 503)
    ec2 = FakeEc2(subnets=[subnet()], instead={"DescribeSubnets": [throttled]})

    async def read(door: Ec2) -> None:
        assert len(await door.read_subnets(["subnet-1"], ["vpc-9"])) == 1
        assert dict(door.requests) == {
            ("ec2", "DescribeSubnets", "throttled"): 1,
            ("ec2", "DescribeSubnets", "ok"): 2,
            ("ec2", "GetSubnetCidrReservations", "ok"): 1,
        }

    with serving(ec2):
        ec2.always["GetSubnetCidrReservations"] = ok(
            document("GetSubnetCidrReservations", {"subnetIpv4CidrReservationSet": []})
        )
        use(ec2, aws, read, attempts=3, retries=retries)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(error("Unavailable", 503), id="is not ready"),
        pytest.param(Reply(500, b"<html></html>"), id="is hidden behind a web page"),
        pytest.param(Reply(200, GOOD, pause=0.8), id="is silent"),
    ],
)
def test_what_may_pass_is_tried_again_at_once(reply: Reply, aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(subnets=[subnet()], instead={"DescribeSubnets": [reply]})
    with serving(ec2):
        found = use(
            ec2,
            aws,
            lambda door: door.read_subnets(["subnet-1"]),
            attempts=2,
            silence_seconds=0.4,
        )
    assert len(found) == 1


def endpoint(url: str, aws: pytest.MonkeyPatch) -> str:
    """Return why reading from this endpoint fails."""
    ec2 = FakeEc2(url=url)
    with pytest.raises(Unavailable) as raised:
        use(ec2, aws, lambda door: door.read_subnets(["subnet-1"]))
    return raised.value.reason


def test_an_endpoint_that_is_not_there_is_told_apart_from_a_silent_one(
    aws: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert endpoint(f"http://127.0.0.1:{port}", aws) == "the endpoint cannot be reached"


def test_an_endpoint_that_speaks_no_tls_is_a_trouble_of_tls(aws: pytest.MonkeyPatch) -> None:
    with serving(FakeEc2()) as ec2:
        assert endpoint(ec2.url.replace("http:", "https:"), aws).startswith("TLS: ")


def test_an_endpoint_that_is_no_url_is_told(aws: pytest.MonkeyPatch) -> None:
    assert endpoint("nonsense", aws) == "the endpoint's address is no URL"


def test_an_endpoint_that_speaks_no_http_ends_the_connection(aws: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        async def read(door: Ec2) -> None:
            reading = asyncio.ensure_future(door.read_subnets(["subnet-1"]))
            connection, _ = await asyncio.to_thread(server.accept)
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
            with pytest.raises(Unavailable, match="ec2: the connection was closed"):
                await reading

        use(FakeEc2(url=f"http://127.0.0.1:{server.getsockname()[1]}"), aws, read)


def test_without_a_region_there_is_nobody_to_ask(aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_REGION")
    assert endpoint("http://127.0.0.1:9", aws) == "no region is known"


def test_a_region_of_a_strange_form_is_told(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_REGION", "eu/central")
    assert endpoint("http://127.0.0.1:9", aws) == "the region's name is not valid"


NODES = ["", "eu-west-1", "eu-west-1", "eu-west-2", ""]


@pytest.mark.parametrize(
    ("variable", "regions"),
    [
        pytest.param("AWS_REGION", [REGION] * 5, id="the environment's"),
        pytest.param("AWS_DEFAULT_REGION", [REGION] * 5, id="the environment's other"),
        pytest.param("", ["no region is known", *NODES[1:4], "eu-west-2"], id="the nodes'"),
    ],
)
def test_the_environments_region_counts_before_the_nodes(
    variable: str, regions: list[str], aws: pytest.MonkeyPatch
) -> None:
    aws.delenv("AWS_REGION")
    if variable:
        aws.setenv(variable, REGION)
    told, found = list(NODES), []

    async def read(door: Ec2) -> None:
        while told:
            try:
                await door.read_subnets(["subnet-1"])
            except Unavailable as trouble:
                found.append(trouble.reason)
            else:
                found.append(ec2.regions[-1])
            told.pop(0)

    with serving(FakeEc2()) as ec2:
        use(ec2, aws, read, region=lambda: told[0])
    assert found == regions


def test_requests_are_signed_for_no_longer_than_credentials_last(
    aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials of a file are read anew once AWS finds them expired."""
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    ec2 = FakeEc2(subnets=[subnet()], expired_keys=frozenset({"AKIDOLD"}))

    def write(key: str) -> None:
        text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n"
        (tmp_path / "credentials").write_text(text)

    async def read(door: Ec2) -> list[str]:
        reasons = []
        for key in ("", "AKIDOLD", "AKIDNEW"):
            if key:
                write(key)
            try:
                await door.read_subnets(["subnet-1"])
            except Unavailable as trouble:
                reasons.append(trouble.reason)
        return reasons

    with serving(ec2):
        reasons = use(ec2, aws, read)
    assert reasons == ["no credentials", "the credentials have expired (RequestExpired)"]
    assert ec2.keys == ["AKIDOLD", *["AKIDNEW"] * 3]


def test_a_role_is_assumed_as_soon_as_it_may_be(aws: pytest.MonkeyPatch, role: Path) -> None:
    ec2 = FakeEc2(subnets=[subnet()])
    ec2.instead["AssumeRoleWithWebIdentity"] = [error("AccessDenied", 403)]

    def mount() -> None:
        role.write_text("a token")

    async def read(door: Ec2) -> list[str]:
        reasons = []
        for _ in range(3):
            try:
                await door.read_subnets(["subnet-1"])
            except Unavailable as trouble:
                reasons.append(trouble.reason)
            mount()
        return reasons

    with serving(ec2):
        reasons = use(ec2, aws, read)
    assert reasons == [
        "the credentials cannot be obtained (No such file or directory)",
        "the credentials cannot be obtained (AccessDenied)",
    ]
    assert ec2.keys[-1] == "AKIDROLE"


def test_half_of_the_credentials_are_none(aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    assert endpoint("http://127.0.0.1:9", aws) == "the credentials are incomplete"


def test_a_profile_that_does_not_exist_is_told(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_PROFILE", "nobody")
    assert endpoint("http://127.0.0.1:9", aws) == "the AWS profile does not exist"


@pytest.mark.parametrize(
    ("disabled", "key"),
    [
        pytest.param(None, "", id="by default"),
        pytest.param("true", "", id="where it is forbidden"),
        pytest.param("false", "AKIDNODE", id="unless it is asked for"),
    ],
)
def test_the_instance_metadata_is_not_asked_for_credentials(
    disabled: str | None, key: str, aws: pytest.MonkeyPatch
) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    if disabled:
        aws.setenv("AWS_EC2_METADATA_DISABLED", disabled)
    reasons = []

    async def read(door: Ec2) -> None:
        try:
            await door.read_enis(vpc_ids=["vpc-1"])
        except Unavailable as trouble:
            reasons.append(trouble.reason)

    with serving(FakeEc2()) as ec2:
        aws.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", ec2.url)
        use(ec2, aws, read)
    assert ec2.keys == ([key] if key else [])
    assert bool(ec2.metadata_asked) is bool(key)
    assert reasons == ([] if key else ["no credentials"])


Read = Callable[[Ec2], Awaitable[object]]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda door: door.read_subnets(["subnet-1"]), id="subnets"),
        pytest.param(lambda door: door.read_enis(vpc_ids=["vpc-1"]), id="ENIs"),
    ],
)
def test_what_takes_too_long_is_given_up(read: Read, aws: pytest.MonkeyPatch) -> None:
    silent = Reply(200, b"", pause=1.0)
    ec2 = FakeEc2(always={"DescribeSubnets": silent, "DescribeNetworkInterfaces": silent})
    with serving(ec2), pytest.raises(Unavailable, match="ec2: took too long"):
        use(ec2, aws, read, page_seconds=0.2)


def test_each_page_gives_a_reading_as_much_time_again(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(enis=[eni(it) for it in range(6)], page_size=2)
    told: list[int] = []

    def gone_on() -> None:
        told.append(ec2.count("DescribeNetworkInterfaces"))

    with serving(ec2):
        aws.setenv("AWS_ENDPOINT_URL", ec2.url)
        calls = Calls(Account(AwsConfig()))
        under_way = UnderWay(gone_on)
        pages = calls.filtered(under_way, "DescribeNetworkInterfaces", "vpc-id", ["vpc-1"])
        assert len(list(pages)) == 3
        calls.close()
    assert told == [1, 2, 3]


def test_reads_that_hang_do_not_pile_up(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(always={"DescribeSubnets": Reply(200, GOOD, pause=1.0)})

    async def read(door: Ec2) -> None:
        reads = (door.read_subnets(["subnet-1"]) for _ in range(20))
        done = await asyncio.gather(*reads, return_exceptions=True)
        assert sorted({str(it) for it in done}) == [
            "ec2: earlier calls have not come to an end",
            "ec2: took too long",
        ]

    with serving(ec2):
        aws.setenv("AWS_ENDPOINT_URL", ec2.url)
        asyncio.run(_open_and(read))
    assert ec2.count("DescribeSubnets") <= 8


async def _open_and(read: Read) -> None:
    await read(Ec2(Account(AwsConfig(silence_seconds=0.4, attempts=1)), page_seconds=0.2))


def test_a_read_that_is_cancelled_ends_at_once(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(always={"DescribeSubnets": Reply(200, GOOD, pause=1.0)})

    async def read(door: Ec2) -> float:
        reading = asyncio.ensure_future(door.read_subnets(["subnet-1"]))
        await asyncio.to_thread(ec2.heard.wait, 5)
        began = time.monotonic()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return time.monotonic() - began

    with serving(ec2):
        assert use(ec2, aws, read) < 0.6


PROGRAM = """
import asyncio
from exporter.aws import Account, AwsConfig
from exporter.inputs.ec2 import Ec2

async def main():
    door = Ec2(Account(AwsConfig(silence_seconds=60)))
    reading = asyncio.ensure_future(door.read_subnets(["subnet-1"]))
    await asyncio.to_thread(input)
    reading.cancel()

asyncio.run(main())
"""


def test_a_program_ends_though_a_read_hangs(aws: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE) as program:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(10)
                began = time.monotonic()
                program.communicate(b"\n", timeout=10)
                assert time.monotonic() - began < 3
    assert program.returncode == 0
