"""A small EKS on loopback that speaks rest-json, with every trouble a door can meet."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from exporter.inputs.eks import Eks
from tests.inputs.aws_answers import SECRET, Handler, Reply, asked, served

T = TypeVar("T")
Said = Mapping[str, Any]
Call = tuple[str, Mapping[str, str]]

CLUSTER, ADDON, VERSIONS = "DescribeCluster", "DescribeAddon", "DescribeAddonVersions"
MISSING = "ResourceNotFoundException"


def error(code: str, status: int = 400) -> Reply:
    """An error of EKS's; its message names what must not reach anyone's log."""
    body = json.dumps({"message": f"{SECRET}: see {code}"}).encode()
    return Reply(status, body, headers={"x-amzn-ErrorType": f"{code}:http://example.invalid/"})


def ok(said: object) -> Reply:
    return Reply(200, json.dumps(said).encode())


def cluster(**said: Any) -> dict[str, Any]:
    return {
        "name": "prod",
        "arn": "arn:aws:eks:eu-central-1:111122223333:cluster/prod",
        "createdAt": 1768204800.123,
        "version": "1.33",
        "platformVersion": "eks.14",
        "status": "ACTIVE",
        "resourcesVpcConfig": {
            "subnetIds": ["subnet-1a", "subnet-2b"],
            "securityGroupIds": ["sg-1"],
            "vpcId": "vpc-1",
        },
        "health": {"issues": []},
    } | said


def addon(name: str = "vpc-cni", version: str = "v1.19.2-eksbuild.1", **said: Any) -> Said:
    return {
        "addonName": name,
        "clusterName": "prod",
        "status": "ACTIVE",
        "addonVersion": version,
        "health": {"issues": []},
    } | said


def issue(code: str) -> Said:
    return {"code": code, "message": SECRET, "resourceIds": ["i-1"]}


def release(version: str, *clusters: str, platforms: Sequence[str] = ("*",)) -> Said:
    fits = [
        {"clusterVersion": it, "platformVersions": list(platforms), "defaultVersion": False}
        for it in clusters or ("1.33",)
    ]
    return {"addonVersion": version, "architecture": ["amd64"], "compatibilities": fits}


@dataclass
class FakeEks:
    """What there is in EKS, what it answers instead, and what it was asked."""

    cluster: Said = field(default_factory=cluster)
    addons: Mapping[str, Said] = field(default_factory=dict)
    releases: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    page_size: int = 100
    instead: dict[str, list[Reply]] = field(default_factory=dict)
    always: dict[str, Reply] = field(default_factory=dict)
    asked: list[Call] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    url: str = ""

    def reply(self, path: str) -> Reply:
        parts = urlsplit(path)
        call, given = self._call([unquote(it) for it in parts.path.strip("/").split("/")])
        given |= dict(parse_qsl(parts.query))
        self.asked.append((call, given))
        if self.instead.get(call):
            return self.instead[call].pop(0)
        return self.always.get(call) or self._answer(call, given)

    @staticmethod
    def _call(path: list[str]) -> tuple[str, dict[str, str]]:
        match path:
            case ["clusters", name]:
                return CLUSTER, {"name": name}
            case ["clusters", name, "addons", it]:
                return ADDON, {"name": name, "addon": it}
            case ["addons", "supported-versions"]:
                return VERSIONS, {}
        raise AssertionError(path)

    def _answer(self, call: str, given: Mapping[str, str]) -> Reply:
        if call == VERSIONS:
            found = self.releases.get(given["addonName"], ())
            start = int(given.get("nextToken", "0"))
            end = start + self.page_size
            page = {"addonName": given["addonName"], "addonVersions": list(found[start:end])}
            return ok({"addons": [page], **({"nextToken": str(end)} if end < len(found) else {})})
        if given["name"] != self.cluster.get("name"):
            return error(MISSING, 404)
        if call == CLUSTER:
            return ok({"cluster": self.cluster})
        it = self.addons.get(given["addon"])
        return error(MISSING, 404) if it is None else ok({"addon": it})


class _Handler(Handler):
    fake: FakeEks

    def do_GET(self) -> None:
        self.signed(self.fake)
        self.send(self.fake.reply(self.path), "application/json")


def serving(eks: FakeEks) -> AbstractContextManager[FakeEks]:
    """Serve it on a port of loopback."""
    return served(eks, _Handler)


def use(
    eks: FakeEks,
    aws: pytest.MonkeyPatch,
    call: Callable[[Eks], Awaitable[T]],
    **config: Any,
) -> T:
    """Return what a call of the door returns, against this EKS."""
    aws.setenv("AWS_ENDPOINT_URL_EKS", eks.url)
    return asked(Eks, call, **config)
