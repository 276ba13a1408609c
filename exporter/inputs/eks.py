"""The door to EKS: a cluster and its add-ons, read beside the event loop.

The only place that calls EKS. What may not be asked is left out and told; anything else that goes
wrong is `Unavailable` as a whole, since the next read is soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from exporter.aws import Account, Requests, Service, Threads, UnderWay, Use
from exporter.aws.errors import Malformed, Missing, Refused
from exporter.core.eks import (
    ADDON_ISSUES,
    ADDON_STATES,
    ADDONS,
    CLUSTER_ISSUES,
    OTHER,
    Addon,
    EksCluster,
    EksReport,
    counted,
    minor_version,
    newest,
)
from exporter.core.model import ControlPlane, Unavailable

T = TypeVar("T")

SYSTEM = "eks"
OPERATIONS = ("DescribeAddon", "DescribeAddonVersions", "DescribeCluster")

_CLOSE_SECONDS = 2.0
# EKS API reference, CreateCluster. Nothing else is asked for, whoever says it is the name.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
# What becomes a label.
_WORD = re.compile(r"[\w.+-]{1,64}", re.ASCII)
# What goes into a filter of EC2's, where * and ? stand for any text.
_SUBNET = re.compile(r"subnet-[0-9a-z]+")
_VPC = re.compile(r"vpc-[0-9a-z]+")
_ANY_PLATFORM = "*"
_MAX_PAGES = 20


class Eks:
    """Reads EKS; it raises `Unavailable` alone, and the next call starts afresh."""

    def __init__(self, account: Account, *, read_seconds: float = 60.0) -> None:
        """Read as an account; a whole read, repeated requests included, has a time limit."""
        self._read_seconds = read_seconds
        self._threads = Threads(SYSTEM)
        self._service = Service(account, Use(service=SYSTEM, operations=OPERATIONS))

    @property
    def requests(self) -> Requests:
        """How many requests there were, by service, operation and outcome."""
        return self._service.requests()

    async def close(self) -> None:
        """Close idle connections; calls under way are left to end by themselves."""
        await self._threads.run(lambda _: self._service.close(), seconds=_CLOSE_SECONDS)

    async def read(self, cluster: str, version: str) -> EksReport:
        """Return what EKS says of a cluster and its add-ons.

        `version` is what the API server says of itself, for where EKS may not be asked.
        """
        if not _NAME.fullmatch(cluster):
            raise Unavailable(SYSTEM, "the cluster's name is none that a cluster of EKS can have")
        return await self._threads.run(
            lambda under_way: _Read(self._service, cluster, under_way).report(version),
            seconds=self._read_seconds,
        )


class _Read:
    """One read of one cluster; it blocks."""

    def __init__(self, service: Service, cluster: str, under_way: UnderWay) -> None:
        self._service = service
        self._cluster = cluster
        self._under_way = under_way
        self._refused: list[str] = []

    def report(self, version: str) -> EksReport:
        """Return all that may be asked, and why what may not is missing."""
        cluster = self._allowed(self._describe)
        addons = self._allowed(self._addons) or ()
        known = minor_version(version) if cluster is None else cluster.version
        platform = "" if cluster is None else cluster.platform
        asked = addons if known else ()
        latest = self._allowed(
            lambda: {it.name: self._newest(it.name, known, platform) for it in asked}
        )
        told = tuple(replace(it, latest=(latest or {}).get(it.name, "")) for it in addons)
        return EksReport(cluster, told, tuple(self._refused))

    def _allowed(self, call: Callable[[], T]) -> T | None:
        """Return what a call returns, None where it may not be made."""
        try:
            return call()
        except Refused as error:
            self._refused.append(error.reason)
            return None

    def _describe(self) -> EksCluster:
        try:
            answer = self._call("DescribeCluster", name=self._cluster)
        except Missing as error:
            reason = "EKS knows no cluster of this name in this region"
            raise Unavailable(SYSTEM, reason) from error
        return _parsed("DescribeCluster", _cluster, answer)

    def _addons(self) -> tuple[Addon, ...]:
        """Return the add-ons that are installed as EKS's."""
        found = []
        for name in ADDONS:
            with suppress(Missing):
                answer = self._call("DescribeAddon", clusterName=self._cluster, addonName=name)
                found.append(_parsed("DescribeAddon", partial(_addon, name), answer))
        return tuple(found)

    def _newest(self, addon: str, version: str, platform: str) -> str:
        """Return the newest version that works with a version of Kubernetes, if there is one."""
        try:
            return newest(self._versions(addon, version, platform))
        except Missing:
            return ""

    def _versions(self, addon: str, version: str, platform: str) -> Iterator[str]:
        """Yield the versions of an add-on that work with a version of Kubernetes."""
        request = {"addonName": addon, "kubernetesVersion": version}
        for _ in range(_MAX_PAGES):
            answer = self._call("DescribeAddonVersions", **request)
            yield from _parsed(
                "DescribeAddonVersions", partial(_compatible, version, platform), answer
            )
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]
        raise Malformed(SYSTEM, "DescribeAddonVersions: pages without an end")

    def _call(self, operation: str, **request: str) -> Mapping[str, Any]:
        if self._under_way.given_up:
            raise Unavailable(SYSTEM, "given up")
        return self._service.call(operation, **request)


def _parsed(
    operation: str, parse: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]
) -> T:
    """Return what an answer says; botocore lets any JSON stand for any other."""
    try:
        return parse(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Malformed(SYSTEM, f"{operation}: malformed answer") from error


def _cluster(answer: Mapping[str, Any]) -> EksCluster:
    said = answer["cluster"]
    network = said.get("resourcesVpcConfig") or {}
    return EksCluster(
        version=_word(said["version"]),
        platform=said.get("platformVersion") or "",
        control_plane=ControlPlane(
            _vpc(network.get("vpcId") or ""),
            frozenset(it for it in network.get("subnetIds") or () if _SUBNET.fullmatch(it)),
        ),
        issues=_issues(said, CLUSTER_ISSUES),
    )


def _addon(name: str, answer: Mapping[str, Any]) -> Addon:
    said = answer["addon"]
    status = said["status"]
    return Addon(
        name=name,
        version=_word(said["addonVersion"]),
        status=status if status in ADDON_STATES else OTHER,
        issues=_issues(said, ADDON_ISSUES),
    )


def _issues(said: Mapping[str, Any], known: tuple[str, ...]) -> Mapping[str, int]:
    """Return the issues by code; where all is well, EKS may leave any part of them out."""
    issues = (said.get("health") or {}).get("issues") or ()
    return counted((it.get("code", OTHER) for it in issues), known)


def _compatible(version: str, platform: str, answer: Mapping[str, Any]) -> list[str]:
    return [
        _word(it["addonVersion"])
        for addon in answer["addons"]
        for it in addon["addonVersions"]
        if any(_fits(fit, version, platform) for fit in it["compatibilities"])
    ]


def _fits(said: Mapping[str, Any], version: str, platform: str) -> bool:
    platforms = said.get("platformVersions") or (_ANY_PLATFORM,)
    known = not platform or platform in platforms or _ANY_PLATFORM in platforms
    return bool(said["clusterVersion"] == version) and known


def _vpc(text: str) -> str:
    return text if _VPC.fullmatch(text) else ""


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(text)
    return text
