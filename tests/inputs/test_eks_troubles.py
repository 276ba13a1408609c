"""What the door makes of everything that EKS and the way there can do wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from exporter.core.eks import EksReport
from exporter.core.model import Unavailable
from exporter.inputs.eks import Eks
from tests.inputs.aws_answers import SECRET, Reply, aws
from tests.inputs.eks_answers import (
    ADDON,
    CLUSTER,
    VERSIONS,
    FakeEks,
    addon,
    cluster,
    error,
    ok,
    release,
    serving,
    use,
)

__all__ = ["aws"]

SERVER = "v1.32.1-eks-99d6cc0"


def whole() -> FakeEks:
    return FakeEks(
        addons={"vpc-cni": addon(), "adot": addon("adot", "v0.1.0-eksbuild.1")},
        releases={
            "vpc-cni": [
                release("v1.20.0-eksbuild.1", "1.33"),
                release("v1.18.0-eksbuild.1", "1.32"),
            ]
        },
    )


GOOD = json.dumps({"cluster": cluster()}).encode()
TROUBLES = {
    "throttles": (
        error("ThrottlingException", 429),
        "DescribeCluster was throttled (ThrottlingException)",
        "throttled",
    ),
    "has a fault": (
        error("ServerException", 500),
        "DescribeCluster failed (HTTP 500 ServerException)",
        "failed",
    ),
    "is not there": (
        error("ServiceUnavailableException", 503),
        "DescribeCluster failed (HTTP 503 ServiceUnavailableException)",
        "failed",
    ),
    "finds the credentials expired": (
        error("ExpiredTokenException", 403),
        "the credentials have expired (ExpiredTokenException)",
        "refused",
    ),
    "does not know the credentials": (
        error("UnrecognizedClientException", 403),
        "the credentials are not accepted (UnrecognizedClientException)",
        "refused",
    ),
    "does not like the signature": (
        error("InvalidSignatureException", 403),
        "the credentials are not accepted (InvalidSignatureException)",
        "refused",
    ),
    "does not like the request": (
        error("InvalidParameterException", 400),
        "DescribeCluster failed (HTTP 400 InvalidParameterException)",
        "failed",
    ),
    "is hidden behind a web page": (
        Reply(502, b"<html><body>Bad Gateway</body></html>"),
        "DescribeCluster failed (HTTP 502)",
        "failed",
    ),
    "fails without a word": (Reply(503, b""), "DescribeCluster failed (HTTP 503)", "failed"),
    "fails with a list": (Reply(500, b"[1]"), "DescribeCluster: malformed answer", "failed"),
    "is silent": (Reply(200, GOOD, pause=0.8), "timed out", "failed"),
    "ends in the middle": (
        Reply(200, GOOD, sent=len(GOOD) // 2),
        "DescribeCluster: malformed answer",
        "ok",
    ),
    "sends no JSON": (Reply(200, b"OK"), "DescribeCluster: malformed answer", "ok"),
    "sends nothing": (Reply(200, b""), "DescribeCluster: malformed answer", "ok"),
    "sends a list": (Reply(200, b"[1]"), "DescribeCluster: malformed answer", "failed"),
    "sends a number": (Reply(200, b"1"), "DescribeCluster: malformed answer", "failed"),
    "sends what is no text": (
        Reply(200, b"\xff\xfe\x00"),
        "DescribeCluster: malformed answer",
        "failed",
    ),
    "sends a list without a bottom": (
        Reply(200, b"[" * 200_000),
        "DescribeCluster: malformed answer",
        "failed",
    ),
}


@pytest.mark.parametrize(
    ("reply", "reason", "ended"), [pytest.param(*it, id=name) for name, it in TROUBLES.items()]
)
def test_eks_that_misbehaves_is_unavailable_and_the_next_read_is_well(
    reply: Reply, reason: str, ended: str, aws: pytest.MonkeyPatch
) -> None:
    eks = whole()
    eks.instead[CLUSTER] = [reply]
    found: list[object] = []

    async def read(door: Eks) -> EksReport:
        with pytest.raises(Unavailable) as raised:
            await door.read("prod", SERVER)
        found.extend([raised.value.system, raised.value.reason, dict(door.requests)])
        return await door.read("prod", SERVER)

    with serving(eks):
        report = use(eks, aws, read, silence_seconds=0.4)
    assert found == ["eks", reason, {("eks", CLUSTER, ended): 1}]
    assert SECRET not in reason
    assert (report.refused, len(report.addons)) == ((), 2)


MALFORMED: dict[str, tuple[str, Any]] = {
    "no cluster": (CLUSTER, {}),
    "no cluster but a word": (CLUSTER, {"cluster": "prod"}),
    "no version": (CLUSTER, {"cluster": {"name": "prod"}}),
    "a version that is a number": (CLUSTER, {"cluster": cluster(version=1.33)}),
    "a version that is no word": (CLUSTER, {"cluster": cluster(version="1.33\n")}),
    "a version that is a tale": (CLUSTER, {"cluster": cluster(version="1" * 65)}),
    "subnets that are numbers": (
        CLUSTER,
        {"cluster": cluster(resourcesVpcConfig={"subnetIds": [1]})},
    ),
    "a VPC that is a number": (CLUSTER, {"cluster": cluster(resourcesVpcConfig={"vpcId": 1})}),
    "issues that are words": (CLUSTER, {"cluster": cluster(health={"issues": ["bad"]})}),
    "no addon": (ADDON, {}),
    "an addon without a version": (ADDON, {"addon": {"status": "ACTIVE"}}),
    "an addon without a state": (ADDON, {"addon": {"addonVersion": "v1"}}),
    "an addon of a strange version": (ADDON, {"addon": addon(version='"')}),
    "no versions": (VERSIONS, {}),
    "versions of nothing": (VERSIONS, {"addons": [{"addonName": "vpc-cni"}]}),
    "versions of a strange form": (VERSIONS, {"addons": [{"addonVersions": [release("a b")]}]}),
    "versions for no cluster": (
        VERSIONS,
        {"addons": [{"addonVersions": [{"addonVersion": "v1", "compatibilities": [{}]}]}]},
    ),
}


@pytest.mark.parametrize(
    ("call", "said"), [pytest.param(*it, id=name) for name, it in MALFORMED.items()]
)
def test_an_answer_that_is_not_whole_is_malformed(
    call: str, said: Any, aws: pytest.MonkeyPatch
) -> None:
    eks = whole()
    eks.always[call] = ok(said)
    with serving(eks), pytest.raises(Unavailable) as raised:
        use(eks, aws, lambda door: door.read("prod", SERVER))
    assert str(raised.value) == f"eks: {call}: malformed answer"


@pytest.mark.parametrize("call", [ADDON, VERSIONS])
@pytest.mark.parametrize(
    "reply", [error("ThrottlingException", 429), error("ServerException", 500)]
)
def test_a_trouble_with_one_call_is_one_of_the_whole_read(
    call: str, reply: Reply, aws: pytest.MonkeyPatch
) -> None:
    """What was read before stands until the next read, which is soon."""
    eks = whole()
    eks.always[call] = reply
    with serving(eks), pytest.raises(Unavailable, match=f"eks: {call} (failed|was throttled)"):
        use(eks, aws, lambda door: door.read("prod", SERVER))


DENIED = error("AccessDeniedException", 403)


def refused(*calls: str) -> tuple[str, ...]:
    return tuple(f"{call} is not allowed (AccessDeniedException)" for call in calls)


class TestAPermissionThatIsMissing:
    def read(self, aws: pytest.MonkeyPatch, *calls: str, version: str = SERVER) -> EksReport:
        eks = whole()
        eks.always = dict.fromkeys(calls, DENIED)
        with serving(eks):
            self.asked = eks.asked
            return use(eks, aws, lambda door: door.read("prod", version))

    def test_costs_what_it_is_for(self, aws: pytest.MonkeyPatch) -> None:
        report = self.read(aws, ADDON)
        assert report.cluster is not None
        assert (report.addons, report.refused) == ((), refused(ADDON))
        assert [call for call, _ in self.asked] == [CLUSTER, ADDON]

    def test_to_list_versions_costs_the_latest_ones(self, aws: pytest.MonkeyPatch) -> None:
        report = self.read(aws, VERSIONS)
        assert [(it.name, it.latest, it.outdated) for it in report.addons] == [
            ("vpc-cni", "", None),
            ("adot", "", None),
        ]
        assert report.refused == refused(VERSIONS)
        assert [call for call, _ in self.asked].count(VERSIONS) == 1

    @pytest.mark.parametrize(
        ("version", "latest"),
        [
            pytest.param(SERVER, "v1.18.0-eksbuild.1", id="the API server tells its version"),
            pytest.param("", "", id="nobody does"),
        ],
    )
    def test_to_describe_the_cluster_leaves_its_addons(
        self, version: str, latest: str, aws: pytest.MonkeyPatch
    ) -> None:
        report = self.read(aws, CLUSTER, version=version)
        assert (report.cluster, report.refused) == (None, refused(CLUSTER))
        assert report.addons[0].latest == latest
        asked = [given["kubernetesVersion"] for call, given in self.asked if call == VERSIONS]
        assert asked == (["1.32", "1.32"] if version else [])

    def test_at_all_leaves_nothing_but_the_reasons(self, aws: pytest.MonkeyPatch) -> None:
        report = self.read(aws, CLUSTER, ADDON, VERSIONS)
        assert report == EksReport(None, (), refused(CLUSTER, ADDON))


def test_an_addon_that_eks_has_no_versions_of_is_told_without_the_latest(
    aws: pytest.MonkeyPatch,
) -> None:
    eks = whole()
    eks.instead[VERSIONS] = [error("ResourceNotFoundException", 404)]
    eks.releases = {"adot": [release("v0.2.0-eksbuild.1")]}
    with serving(eks):
        report = use(eks, aws, lambda door: door.read("prod", SERVER))
    assert [it.latest for it in report.addons] == ["", "v0.2.0-eksbuild.1"]
    assert report.refused == ()


def test_pages_without_an_end_are_refused(aws: pytest.MonkeyPatch) -> None:
    eks = whole()
    eks.always[VERSIONS] = ok({"addons": [], "nextToken": "again"})
    reason = "eks: DescribeAddonVersions: pages without an end"
    with serving(eks), pytest.raises(Unavailable, match=reason):
        use(eks, aws, lambda door: door.read("prod", SERVER))
    assert len(eks.asked) == 1 + 4 + 20


def test_a_burst_of_throttling_is_waited_out(aws: pytest.MonkeyPatch) -> None:
    eks = whole()
    eks.instead[CLUSTER] = [error("ThrottlingException", 429)]
    with serving(eks):
        report = use(eks, aws, lambda door: door.read("prod", SERVER), attempts=3)
    assert report.cluster is not None


def test_what_takes_too_long_is_given_up_and_asks_no_more(aws: pytest.MonkeyPatch) -> None:
    eks = whole()
    eks.always[CLUSTER] = Reply(200, GOOD, pause=0.4)

    async def read(door: Eks) -> None:
        with pytest.raises(Unavailable, match="eks: took too long"):
            await door.read("prod", SERVER)
        await asyncio.sleep(0.6)

    with serving(eks):
        use(eks, aws, read, read_seconds=0.1)
        assert [call for call, _ in eks.asked] == [CLUSTER]


def test_without_credentials_nobody_is_asked(aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with serving(whole()) as eks:
        with pytest.raises(Unavailable, match="eks: no credentials"):
            use(eks, aws, lambda door: door.read("prod", SERVER))
        assert eks.asked == []
