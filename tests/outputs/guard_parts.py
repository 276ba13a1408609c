"""What tests of the guard share: a front over figures that never change, and a client of it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp
import bcrypt
from prometheus_client import CollectorRegistry

from exporter.outputs.guard import Front, FrontConfig, Review, serving
from exporter.outputs.web import Pages
from tests.certificates import Authority
from tests.outputs.test_web import Fixed

LOOPBACK = ("127.0.0.1", 0)
# No answer to someone who may not see them holds these.
FIGURES = b"vpc_cni_"


@dataclass
class World:
    """A front with the files that it reads, and what it noted."""

    folder: Path
    notes: list[str] = field(default_factory=list)
    authority: Authority = field(default_factory=Authority)

    @property
    def path(self) -> Path:
        return self.folder / "web.yml"

    def issue(self) -> None:
        """Write a new certificate for the server, and the authority of the clients."""
        self.authority.issue("server", "localhost", "127.0.0.1").written(self.folder, "server")
        (self.folder / "ca.pem").write_bytes(self.authority.certificate)

    def says(self, *sections: str) -> None:
        """Write the web-config."""
        self.path.write_text("".join(sections))

    @asynccontextmanager
    async def serving(
        self, *, health: bool = False, review: Review | None = None, guarded: bool = True
    ) -> AsyncIterator[Front]:
        """Serve by the web-config, where there is one."""
        config = FrontConfig(
            place=LOOPBACK,
            health=LOOPBACK if health else None,
            web_config=self.path if guarded else None,
            review=review,
            note=self.notes.append,
        )
        async with asyncio.timeout(20), serving(config, Pages(Fixed(), CollectorRegistry())) as it:
            yield it


TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


def users(*, cost: int = 4, **passwords: str) -> str:
    """Return a section with users and hashes of their passwords."""
    lines = (
        f"  {name}: {bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}\n"
        for name, password in passwords.items()
    )
    return "".join(("basic_auth_users:\n", *lines))


def basic(name: str, password: str) -> dict[str, str]:
    """Return a header with a name and a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """Return a header with a token."""
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Answer:
    """An answer, and whether it has figures in it."""

    status: int
    headers: Mapping[str, str]
    challenges: tuple[str, ...]
    body: bytes

    @property
    def figures(self) -> bool:
        return FIGURES in self.body

    @property
    def told(self) -> tuple[int, bool]:
        return self.status, self.figures


class Ask(Protocol):
    """A request over a client's connection."""

    async def __call__(
        self, path: str = "/metrics", headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """Return the answer, or raise `aiohttp.ClientError` where there is none."""


@asynccontextmanager
async def client(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> AsyncIterator[Ask]:
    """Give a way to ask an address, by TLS or plain, over a connection that may be kept."""
    connector = aiohttp.TCPConnector(ssl=tls or True, limit=1)
    scheme = "https" if tls else "http"
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(
            path: str = "/metrics", headers: Mapping[str, str] | None = None, method: str = "GET"
        ) -> Answer:
            url = f"{scheme}://{address[0]}:{address[1]}{path}"
            async with session.request(
                method, url, headers=headers, allow_redirects=False
            ) as answer:
                challenges = tuple(answer.headers.getall("WWW-Authenticate", ()))
                return Answer(answer.status, answer.headers, challenges, await answer.read())

        yield ask
