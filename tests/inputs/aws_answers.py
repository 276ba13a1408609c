"""What the stand-ins for AWS's services have in common: answers over HTTP, and who asks them."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from exporter.aws import Account, AwsConfig

GOOD_KEY = "AKIDGOOD"
SECRET = "not-to-be-told"
REGION = "eu-central-1"


@dataclass(frozen=True)
class Reply:
    """What is sent: of `body` only `sent` bytes where given, after `pause` seconds."""

    status: int
    body: bytes
    sent: int | None = None
    pause: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


class Fake(Protocol):
    """A service that is served on loopback, and in which regions it was asked."""

    url: str
    regions: list[str]


class Door(Protocol):
    """A door to a service."""

    async def close(self) -> None:
        """Close it."""


T = TypeVar("T")
AnyFake = TypeVar("AnyFake", bound=Fake)
AnyDoor = TypeVar("AnyDoor", bound=Door)


class Handler(BaseHTTPRequestHandler):
    """Sends replies, and notes who signed a request for which region."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def signed(self, fake: Fake) -> str:
        """Note the region; return the key."""
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
        fake.regions.append(scope[2] if len(scope) > 2 else "")
        return scope[0]

    def send(self, reply: Reply, content_type: str) -> None:
        """Send a reply, as far and as soon as it says."""
        if reply.pause:
            time.sleep(reply.pause)
        self.send_response(reply.status)
        self.send_header("Content-Type", content_type)
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
def served(fake: AnyFake, handler: type[Handler]) -> Iterator[AnyFake]:
    """Serve it on a port of loopback."""
    with _Server(("127.0.0.1", 0), type("Handler", (handler,), {"fake": fake})) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with credentials and a region, and none of the caller's AWS files."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", GOOD_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", REGION)
    return monkeypatch


@pytest.fixture
def role(aws: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An IAM role for the pod's service account; returns where its token is mounted."""
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    aws.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/exporter")
    aws.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    return tmp_path / "token"


def asked(
    opened: Callable[..., AnyDoor], call: Callable[[AnyDoor], Awaitable[T]], **config: Any
) -> T:
    """Return what a call of a door returns; its account waits briefly and tries once.

    `config` is the account's where it has such a field, and else the door's.
    """
    limits = {"connect_seconds": 1.0, "silence_seconds": 1.0, "attempts": 1, "retries": "standard"}
    its_own = {it.name: config.pop(it.name) for it in fields(AwsConfig) if it.name in config}

    async def main() -> T:
        door = opened(Account(AwsConfig(**{**limits, **its_own})), **config)
        try:
            return await call(door)
        finally:
            await door.close()

    return asyncio.run(main())
