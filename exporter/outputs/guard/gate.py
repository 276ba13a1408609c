"""Who may see the pages: one look at every request, before it is known whether the page exists.

Where there are users or tokens, one of them is needed; where client certificates are verified,
they are needed besides. What cannot be decided is not answered.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.core.access import Verdict
from exporter.core.model import Unavailable
from exporter.outputs.guard.limits import Busy
from exporter.outputs.guard.passwords import Passwords
from exporter.outputs.guard.rules import Rules
from exporter.outputs.guard.tls import objection
from exporter.outputs.guard.tokens import Tokens

_REALM: Final = 'realm="vpc-cni-exporter"'
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750's b64token
_RETRY: Final = {"Retry-After": "1"}


@dataclass(slots=True)
class Gate:
    """Lets requests through to the pages, or refuses them; `rules` may be replaced at any time.

    Probes come with no credentials, so that `open_paths` need none.
    """

    rules: Rules
    tokens: Tokens | None = None
    open_paths: frozenset[str] = frozenset()
    passwords: Passwords = field(default_factory=Passwords)
    now: Callable[[], float] = time.time

    @property
    def schemes(self) -> tuple[str, ...]:
        """The kinds of credentials of which one is needed; none where all may see the pages."""
        basic = ("Basic",) if self.rules.config.users else ()
        return (*basic, "Bearer") if self.tokens is not None else basic

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or refuse to."""
        answer: web.StreamResponse | None = await self._refusal(request)
        if answer is None:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                error.headers.update(self.rules.config.headers)
                raise
        answer.headers.update(self.rules.config.headers)
        if _context(request) is not self.rules.context:
            answer.force_close()  # The handshake was by rules that hold no more.
        return answer

    async def _refusal(self, request: web.Request) -> web.Response | None:
        tls = self.rules.config.tls
        if tls is not None and (wrong := objection(tls, _peer(request), self.now())):
            return _refused(HTTPStatus.FORBIDDEN, wrong)
        if request.path in self.open_paths or not self.schemes:
            return None
        try:
            return await self._judged(request)
        except Busy:
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, "too many are asking", _RETRY)
        except Unavailable:
            # Why is in the log; a stranger need not know.
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "nobody can be asked now", _RETRY)

    async def _judged(self, request: web.Request) -> web.Response | None:
        given = request.headers.getall("Authorization", ())
        scheme, _, value = (given[0] if len(given) == 1 else "").partition(" ")
        remote = request.remote or ""
        match scheme.lower():
            case "basic" if users := self.rules.config.users:
                name, colon, password = _decoded(value).partition(":")
                right = bool(colon) and await self.passwords.right(
                    users, name, password.encode(), remote=remote
                )
                return None if right else self._challenge()
            case "bearer" if self.tokens is not None and _TOKEN.fullmatch(token := value.strip()):
                return self._on(await self.tokens.verdict(token, remote=remote))
            case _:
                return self._challenge()

    def _on(self, verdict: Verdict) -> web.Response | None:
        match verdict:
            case Verdict.ALLOWED:
                return None
            case Verdict.FORBIDDEN:
                return _refused(HTTPStatus.FORBIDDEN, "you may not get /metrics")
            case Verdict.UNKNOWN:
                return self._challenge()

    def _challenge(self) -> web.Response:
        answer = _refused(HTTPStatus.UNAUTHORIZED, "credentials are needed")
        for scheme in self.schemes:
            charset = ', charset="UTF-8"' if scheme == "Basic" else ""
            answer.headers.add("WWW-Authenticate", f"{scheme} {_REALM}{charset}")
        return answer


def _refused(
    status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)


def _decoded(value: str) -> str:
    """Return what a Basic header holds, nothing where it is malformed."""
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _peer(request: web.Request) -> ssl.SSLObject | None:
    found = _told(request, "ssl_object")
    return found if isinstance(found, ssl.SSLObject) else None


def _context(request: web.Request) -> ssl.SSLContext | None:
    found = _told(request, "sslcontext")
    return found if isinstance(found, ssl.SSLContext) else None


def _told(request: web.Request, name: str) -> object:
    transport = request.transport
    return None if transport is None else transport.get_extra_info(name)
