"""A small EKS on loopback that speaks rest-json, with every trouble a door can meet."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from exporter.inputs.eks import Eks, EksConfig
from tests.inputs.ec2_answers import SECRET, Reply

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    eks: FakeEks

    def do_GET(self) -> None:
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
        self.eks.regions.append(scope[2] if len(scope) > 2 else "")
        reply = self.eks.reply(self.path)
        if reply.pause:
            time.sleep(reply.pause)
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body[: reply.sent])
        if reply.sent is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(eks: FakeEks) -> Iterator[FakeEks]:
    """Serve it on a port of loopback."""
    handler = type("Handler", (_Handler,), {"eks": eks})
    with _Server(("127.0.0.1", 0), handler) as server:
        eks.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield eks
        finally:
            server.shutdown()
            thread.join()


def use(
    eks: FakeEks,
    aws: pytest.MonkeyPatch,
    call: Callable[[Eks], Awaitable[T]],
    **config: Any,
) -> T:
    """Return what a call of the door returns, against this EKS."""
    aws.setenv("AWS_ENDPOINT_URL_EKS", eks.url)
    limits = {"connect_seconds": 1.0, "silence_seconds": 1.0, "attempts": 1, "retries": "standard"}

    async def main() -> T:
        door = Eks(EksConfig(**{**limits, **config}))
        try:
            return await call(door)
        finally:
            await door.close()

    return asyncio.run(main())
