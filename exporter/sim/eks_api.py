"""EKS over HTTP on loopback: paths in, JSON out, and every trouble that the way there can have.

What is told is in `eks_state`, and how it is sent in `wire`; signatures are not checked, only asked
for.
"""

import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from exporter.sim.eks_state import RELEASES, Eks, Installed, Release
from exporter.sim.troubles import Plan, Trouble, Troubles
from exporter.sim.wire import sent, troubled

CLUSTER, ADDON, VERSIONS = "DescribeCluster", "DescribeAddon", "DescribeAddonVersions"
ACTIONS = (CLUSTER, ADDON, VERSIONS)
Json = Mapping[str, Any]

_REFUSALS: Mapping[Trouble, tuple[int, str, str]] = {
    Trouble.THROTTLED: (429, "ThrottlingException", "Rate exceeded"),
    Trouble.ERROR_500: (500, "ServerException", "An internal error has occurred"),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailableException", "The service is unavailable"),
    Trouble.DENIED: (403, "AccessDeniedException", "User is not authorized to perform this"),
    Trouble.EXPIRED: (403, "InvalidSignatureException", "Signature expired"),
    Trouble.EXPIRED_TOKEN: (403, "ExpiredTokenException", "The security token is expired"),
    Trouble.AUTH_FAILURE: (
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
}
_UNSIGNED = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")


class Refused(Exception):
    """The request is answered by an error of this code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class EksApi:
    """The requests to one EKS: served, troubled and counted by action and outcome."""

    def __init__(self, eks: Eks, *, clock: Callable[[], float] = time.time) -> None:
        self.eks = eks
        self.first_told: float | None = None
        self.troubles = Troubles()
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._clock = clock

    def summary(self) -> dict[str, dict[str, int]]:
        """Return how often each action was asked for, by how it ended."""
        return {action: dict(ended) for action, ended in self.requests.items()}

    def application(self) -> web.Application:
        """Return EKS as an aiohttp application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/addons/supported-versions", self._served(VERSIONS, self._versions)),
                web.get("/clusters/{name}", self._served(CLUSTER, self._cluster)),
                web.get("/clusters/{name}/addons/{addon}", self._served(ADDON, self._addon)),
            ]
        )
        return app

    def _served(
        self, action: str, find: Callable[[web.Request, Plan | None], Json]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            plan = self.troubles.next(action)
            try:
                _refuse(request, plan)
                body = json.dumps(find(request, plan)).encode()
            except Refused as refused:
                self.requests[action][refused.code] += 1
                body = json.dumps({"message": str(refused)}).encode()
                return await sent(request, _headed(refused.status, refused.code), body)
            self.requests[action][plan.trouble if plan is not None else "ok"] += 1
            if plan is None and action == CLUSTER and self.first_told is None:
                self.first_told = self._clock()
            return await troubled(request, _headed(), body, plan=plan)

        return answer

    def _cluster(self, request: web.Request, _plan: Plan | None) -> Json:
        self._known(request)
        return {"cluster": _cluster(self.eks)}

    def _addon(self, request: web.Request, _plan: Plan | None) -> Json:
        self._known(request)
        name, eks = request.match_info["addon"], self.eks
        if name not in eks.addons:
            message = f"No addon: {name} found in cluster: {eks.name}"
            raise Refused(404, "ResourceNotFoundException", message)
        return {"addon": _addon(eks, name, eks.addons[name])}

    def _known(self, request: web.Request) -> None:
        name = request.match_info["name"]
        if name != self.eks.name:
            message = f"No cluster found for name: {name}."
            raise Refused(404, "ResourceNotFoundException", message)

    def _versions(self, request: web.Request, plan: Plan | None) -> Json:
        """Return one page; how many add-ons that is was asked for, or is a hundred."""
        wanted, version = (request.query.get(it) for it in ("addonName", "kubernetesVersion"))
        names = [name for name in RELEASES if wanted in (None, name)]
        if not names:
            message = f"Addon specified is not supported: {wanted}"
            raise Refused(400, "InvalidParameterException", message)
        start, most = _number(request, "nextToken", 0), _number(request, "maxResults", 100)
        end = start if plan is not None and plan.trouble is Trouble.EMPTY_PAGE else start + most
        told = [_supported(name, version) for name in names[start:end]]
        return {"addons": told, **({"nextToken": str(end)} if end < len(names) else {})}


def _refuse(request: web.Request, plan: Plan | None) -> None:
    if not request.headers.get("Authorization"):
        raise Refused(*_UNSIGNED)
    if plan is not None and plan.trouble in _REFUSALS:
        raise Refused(*_REFUSALS[plan.trouble])


def _headed(status: int = 200, code: str = "") -> web.StreamResponse:
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
    if code:
        headers["x-amzn-ErrorType"] = f"{code}:http://internal.amazon.com/coral/"
    return web.StreamResponse(status=status, headers=headers)


def _number(request: web.Request, name: str, otherwise: int) -> int:
    text = request.query.get(name, str(otherwise))
    if not text.isdecimal():
        raise Refused(400, "InvalidParameterException", f"{name} is not valid")
    return int(text)


def _cluster(eks: Eks) -> Json:
    return {
        "name": eks.name,
        "arn": f"arn:aws:eks:eu-central-1:111122223333:cluster/{eks.name}",
        "createdAt": 1768204800.123,
        "version": eks.version,
        "endpoint": "https://0123456789ABCDEF.gr7.eu-central-1.eks.amazonaws.com",
        "resourcesVpcConfig": {
            "subnetIds": eks.subnets,
            "securityGroupIds": [],
            "clusterSecurityGroupId": "sg-0a1b2c3d4e5f60718",
            "vpcId": eks.vpc,
            "endpointPublicAccess": True,
            "endpointPrivateAccess": True,
        },
        "status": "ACTIVE",
        "platformVersion": eks.platform,
        "health": {"issues": _issues(eks.issues)},
    }


def _addon(eks: Eks, name: str, addon: Installed) -> Json:
    version = eks.installed_version(name)
    return {
        "addonName": name,
        "clusterName": eks.name,
        "status": addon.status,
        "addonVersion": version,
        "health": {"issues": _issues(addon.issues)},
        "addonArn": f"arn:aws:eks:eu-central-1:111122223333:addon/{eks.name}/{name}/1",
        "createdAt": 1768204860.456,
        "modifiedAt": 1768204920.789,
        "tags": {},
    }


def _issues(codes: list[str]) -> list[Json]:
    return [{"code": code, "message": f"about {code}", "resourceIds": []} for code in codes]


def _supported(name: str, version: str | None) -> Json:
    shown = [_release(release, version) for release in RELEASES[name]]
    return {
        "addonName": name,
        "type": "networking",
        "publisher": "eks",
        "owner": "aws",
        "addonVersions": [it for it in shown if it["compatibilities"]],
    }


def _release(release: Release, version: str | None) -> Json:
    """Show a release with the versions of Kubernetes it works with, or with the one asked for."""
    minors = [it for it in range(release.last, release.first - 1, -1) if release.fits(it)]
    return {
        "addonVersion": release.version,
        "architecture": ["amd64", "arm64"],
        "computeTypes": ["ec2"],
        "compatibilities": [
            {
                "clusterVersion": f"1.{minor}",
                "platformVersions": list(release.platforms),
                "defaultVersion": minor in release.default,
            }
            for minor in minors
            if version in (None, f"1.{minor}")
        ],
        "requiresConfiguration": False,
    }
