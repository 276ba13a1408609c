"""EKS as boto3 and a plain client meet it: what it tells, its refusals, and every trouble."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.config import Config

from exporter.sim.eks_api import ADDON, CLUSTER, VERSIONS, EksApi
from exporter.sim.eks_state import RELEASES, Eks
from exporter.sim.listener import Listener
from exporter.sim.troubles import ANY, Plan, Trouble
from tests.sim.ec2_parts import CREDENTIALS

_SESSION = boto3.Session(
    aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    region_name=CREDENTIALS["AWS_REGION"],
)
SUBNETS = ["subnet-1", "subnet-2"]


@dataclass
class Served:
    """EKS on a port."""

    api: EksApi
    url: str

    @property
    def eks(self) -> Eks:
        return self.api.eks

    def client(self, **config: Any) -> Any:
        """Return boto3's client for it, which tries once unless told otherwise."""
        settings = {"retries": {"total_max_attempts": 1}, "read_timeout": 5, **config}
        return _SESSION.client("eks", endpoint_url=self.url, config=Config(**settings))

    def get(self, path: str, *, signed: bool = True) -> tuple[int, Any, dict[str, str]]:
        """Return what a plain GET is answered: status, JSON and headers."""
        headers = {"Authorization": "signed"} if signed else {}
        sent = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(sent, timeout=5) as answer:
                return answer.status, json.load(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error), dict(error.headers)


@contextlib.contextmanager
def served() -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    eks = Eks("sim", "vpc-1", list(SUBNETS), aws_node=lambda: "v1.23.1-eksbuild.1")
    api = EksApi(eks, clock=lambda: 5.0)
    listener = Listener(api.application())
    try:
        asyncio.run_coroutine_threadsafe(listener.start(), loop).result(5)
        yield Served(api, listener.url)
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def refused(call: Callable[..., Any], **given: str) -> tuple[int, str, str]:
    """Return status, code and message of the error that a call ends in."""
    with pytest.raises(exceptions.ClientError) as raised:
        call(**given)
    answer = raised.value.response
    error = answer["Error"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


class TestWhatItTells:
    def test_of_a_cluster_is_its_version_and_what_it_was_given(self) -> None:
        with served() as eks:
            eks.eks.issues = ["Ec2SubnetNotFound"]
            told = eks.client().describe_cluster(name="sim")["cluster"]
        network = told["resourcesVpcConfig"]
        assert (told["version"], told["platformVersion"], told["status"]) == (
            "1.33",
            "eks.14",
            "ACTIVE",
        )
        assert (network["vpcId"], network["subnetIds"]) == ("vpc-1", SUBNETS)
        assert [it["code"] for it in told["health"]["issues"]] == ["Ec2SubnetNotFound"]

    def test_of_an_addon_is_its_version_its_state_and_its_issues(self) -> None:
        with served() as eks:
            eks.eks.install("coredns", "", status="DEGRADED", issues=["ConfigurationConflict"])
            told = eks.client().describe_addon(clusterName="sim", addonName="coredns")["addon"]
        assert (told["addonVersion"], told["status"]) == ("v1.11.4-eksbuild.14", "DEGRADED")
        assert [it["code"] for it in told["health"]["issues"]] == ["ConfigurationConflict"]

    def test_of_vpc_cni_is_the_release_of_aws_node(self) -> None:
        with served() as eks:
            told = eks.client().describe_addon(clusterName="sim", addonName="vpc-cni")["addon"]
        assert told["addonVersion"] == "v1.23.1-eksbuild.1"

    def test_of_versions_are_those_for_the_version_of_kubernetes_asked_for(self) -> None:
        with served() as eks:
            client = eks.client()
            told = client.describe_addon_versions(addonName="coredns", kubernetesVersion="1.33")
            every = client.describe_addon_versions(addonName="coredns")
        (addon,) = told["addons"]
        fits = {
            it["addonVersion"]: [fit["clusterVersion"] for fit in it["compatibilities"]]
            for it in addon["addonVersions"]
        }
        assert fits == {"v1.12.1-eksbuild.2": ["1.33"], "v1.11.4-eksbuild.14": ["1.33"]}
        assert len(every["addons"][0]["addonVersions"]) == len(RELEASES["coredns"])
        defaults = [
            it["addonVersion"]
            for it in addon["addonVersions"]
            if it["compatibilities"][0]["defaultVersion"]
        ]
        assert defaults == ["v1.12.1-eksbuild.2"]

    def test_of_all_addons_comes_in_pages(self) -> None:
        with served() as eks:
            pages = list(
                eks.client()
                .get_paginator("describe_addon_versions")
                .paginate(PaginationConfig={"PageSize": 3})
            )
        found = [[it["addonName"] for it in page["addons"]] for page in pages]
        assert found == [list(RELEASES)[:3], list(RELEASES)[3:]]


class TestWhatIsNotThere:
    def test_is_not_found(self) -> None:
        with served() as eks:
            client = eks.client()
            code = "ResourceNotFoundException"
            assert refused(client.describe_cluster, name="other") == (
                404,
                code,
                "No cluster found for name: other.",
            )
            assert refused(client.describe_addon, clusterName="sim", addonName="adot") == (
                404,
                code,
                "No addon: adot found in cluster: sim",
            )
            assert refused(client.describe_addon, clusterName="other", addonName="adot")[1] == code
            assert eks.api.summary() == {CLUSTER: {code: 1}, ADDON: {code: 2}}
            assert eks.api.first_told is None

    def test_is_no_addon_at_all(self) -> None:
        with served() as eks:
            status, code, _ = refused(eks.client().describe_addon_versions, addonName="nonsense")
        assert (status, code) == (400, "InvalidParameterException")

    def test_is_a_page_of_no_number(self) -> None:
        with served() as eks:
            status, said, headers = eks.get("/addons/supported-versions?nextToken=x")
        assert (status, said) == (400, {"message": "nextToken is not valid"})
        assert headers["x-amzn-ErrorType"].startswith("InvalidParameterException:")


REFUSALS = [
    (Trouble.THROTTLED, 429, "ThrottlingException"),
    (Trouble.ERROR_500, 500, "ServerException"),
    (Trouble.UNAVAILABLE, 503, "ServiceUnavailableException"),
    (Trouble.DENIED, 403, "AccessDeniedException"),
    (Trouble.EXPIRED, 403, "InvalidSignatureException"),
    (Trouble.EXPIRED_TOKEN, 403, "ExpiredTokenException"),
    (Trouble.AUTH_FAILURE, 403, "UnrecognizedClientException"),
]


class TestTroubles:
    @pytest.mark.parametrize(("trouble", "status", "code"), REFUSALS)
    def test_that_are_refusals_come_with_status_and_code(
        self, trouble: Trouble, status: int, code: str
    ) -> None:
        with served() as eks:
            eks.api.troubles.set(CLUSTER, Plan(trouble, times=1))
            client = eks.client()
            assert refused(client.describe_cluster, name="sim")[:2] == (status, code)
            told = [eks.api.first_told]
            client.describe_cluster(name="sim")
            assert [*told, eks.api.first_told] == [None, 5.0]
            assert eks.api.summary() == {CLUSTER: {code: 1, "ok": 1}}

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [
            (Trouble.HANG, exceptions.ReadTimeoutError),
            (Trouble.RESET, exceptions.ConnectionClosedError),
        ],
    )
    def test_that_break_the_way_there_are_met_as_such(
        self, trouble: Trouble, error: type[Exception]
    ) -> None:
        with served() as eks:
            eks.api.troubles.set(ANY, Plan(trouble))
            with pytest.raises(error):
                eks.client(read_timeout=0.3).describe_cluster(name="sim")

    @pytest.mark.parametrize("trouble", [Trouble.MALFORMED, Trouble.CUT_OFF, Trouble.RUBBISH])
    def test_that_break_the_answer_leave_nothing_of_it(self, trouble: Trouble) -> None:
        with served() as eks:
            eks.api.troubles.set(ADDON, Plan(trouble))
            answer = eks.client().describe_addon(clusterName="sim", addonName="vpc-cni")
        assert "addon" not in answer

    def test_that_are_slow_are_whole_and_an_empty_page_has_one_after_it(self) -> None:
        with served() as eks:
            eks.api.troubles.set(CLUSTER, Plan(Trouble.SLOW, seconds=0.05))
            assert eks.client().describe_cluster(name="sim")["cluster"]["name"] == "sim"
            eks.api.troubles.set(VERSIONS, Plan(Trouble.EMPTY_PAGE, times=1))
            pages = list(
                eks.client().get_paginator("describe_addon_versions").paginate(addonName="adot")
            )
            assert [len(page["addons"]) for page in pages] == [0, 1]

    def test_are_all_of_a_kind_that_is_tested_here(self) -> None:
        others = {Trouble.HANG, Trouble.RESET, Trouble.CUT_OFF, Trouble.MALFORMED}
        others |= {Trouble.RUBBISH, Trouble.SLOW, Trouble.EMPTY_PAGE}
        assert {trouble for trouble, *_ in REFUSALS} | others == set(Trouble)

    def test_are_met_by_whoever_does_not_sign(self) -> None:
        with served() as eks:
            status, _, headers = eks.get("/clusters/sim", signed=False)
        assert status == 403
        assert headers["x-amzn-ErrorType"].startswith("MissingAuthenticationTokenException:")


def test_an_addon_that_is_not_installed_needs_a_version_and_a_name_that_there_is() -> None:
    eks = Eks("sim", "vpc-1", [], aws_node=lambda: "v1")
    with pytest.raises(ValueError, match="no add-on 'nonsense'; there are vpc-cni"):
        eks.install("nonsense", "v1", status="ACTIVE", issues=[])
    with pytest.raises(ValueError, match="adot is not installed, so a version is needed"):
        eks.install("adot", "", status="ACTIVE", issues=[])
    eks.install("adot", "v0.117.0-eksbuild.1", status="CREATING", issues=[])
    eks.install("adot", "", status="ACTIVE", issues=[])
    assert eks.installed_version("adot") == "v0.117.0-eksbuild.1"
