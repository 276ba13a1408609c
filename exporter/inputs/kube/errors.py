"""What can go wrong on the way to the API server, in the core's own words.

Only `Unavailable` and its kinds here leave the door; each names its cause in a text that stays
the same while the trouble does, so that it can be logged once.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from exporter.core.model import Unavailable
from exporter.inputs.kube.config import SYSTEM

_MAX_REASON = 200

# A server name, a proxy or a header that makes no sense is a ValueError of the client.
_TRANSPORT = (aiohttp.ClientError, aiohttp.EofStream, HttpProcessingError, OSError, EOFError)
_MALFORMED = (msgspec.MsgspecError, UnicodeError, RecursionError)

_TEXTS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), "the server's name does not resolve"),
    ((TimeoutError,), "timed out"),
    ((aiohttp.ServerDisconnectedError, aiohttp.EofStream), "the connection was closed"),
    ((aiohttp.ClientPayloadError, HttpProcessingError), "the answer was cut off or broken"),
    ((EOFError,), "the answer was cut off or broken"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), "the server's address is no URL"),
)


class Refused(Unavailable):
    """The API server knows who asks, and does not allow it (403)."""


class Missing(Unavailable):
    """The API server does not know what it is asked for (404)."""


class Gone(Unavailable):
    """The resource version or the page token is too old (410); only a new list helps."""


class Malformed(Unavailable):
    """The API server's answer does not have the form it should."""


class _Status(msgspec.Struct):
    kind: str = ""
    message: str | None = None
    code: int | None = None


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever the HTTP client raises into `Unavailable`."""
    try:
        yield
    except (*_TRANSPORT, ValueError) as error:
        raise Unavailable(SYSTEM, reason(error)) from error


@contextmanager
def well_formed() -> Iterator[None]:
    """Turn whatever the JSON decoder raises into `Malformed`."""
    try:
        yield
    except _MALFORMED as error:
        raise Malformed(SYSTEM, f"malformed answer: {error}"[:_MAX_REASON]) from error


def reason(error: BaseException) -> str:
    """Return a short text for an error of the HTTP client, without addresses that may rotate."""
    for kinds, text in _TEXTS:
        if isinstance(error, kinds):
            return text
    return _own_text(error)[:_MAX_REASON]


def _own_text(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered HTTP {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is no HTTP"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "verify_message", None) or getattr(error, "reason", None)
        return f"TLS: {said or type(error).__name__}"
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)  # asyncio's own text names the address
    if isinstance(error, ValueError):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def status_message(body: bytes) -> str | None:
    """Return the message of a Kubernetes Status, None where the body is something else."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except _MALFORMED:
        return None
    return (status.message or "").strip() if status.kind == "Status" else None


def refusal(status: int, body: bytes) -> Unavailable:
    """Return the error that an answer other than 200 stands for."""
    text = f"HTTP {status}"
    if message := status_message(body):
        text = f"{text}: {message}"[:_MAX_REASON]
    kind = {403: Refused, 404: Missing, 410: Gone}.get(status, Unavailable)
    return kind(SYSTEM, text)


def watch_error(body: bytes) -> Unavailable:
    """Return the error that an ERROR event's Status stands for."""
    with well_formed():
        status = msgspec.json.decode(body, type=_Status)
    return refusal(status.code or 500, body)
