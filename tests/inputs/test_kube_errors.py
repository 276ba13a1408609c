"""Whatever the libraries below raise, the door raises `Unavailable`."""

from __future__ import annotations

import builtins
import inspect
import socket
import ssl
from collections.abc import Iterator
from types import ModuleType

import aiohttp
import msgspec
import pytest
from aiohttp import http_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from exporter.core.model import Unavailable
from exporter.inputs.kube import errors

# Of servers and WebSockets, of which there are none here, and warnings.
_ELSEWHERE = (
    aiohttp.WebSocketError,
    aiohttp.WSMessageTypeError,
    aiohttp.WSServerHandshakeError,
    Warning,
)

KEY = ConnectionKey("10.0.0.1", 443, True, True, None, None, None)
INFO = RequestInfo(URL("https://10.0.0.1"), "GET", CIMultiDictProxy(CIMultiDict()), URL())


def exceptions_of(module: ModuleType, below: type[BaseException]) -> Iterator[type[BaseException]]:
    for _, it in sorted(vars(module).items()):
        if inspect.isclass(it) and issubclass(it, below) and not issubclass(it, _ELSEWHERE):
            yield it


# How the libraries make those errors that want more than a text, the most special kind first.
MAKERS: tuple[tuple[type[BaseException], tuple[object, ...]], ...] = (
    (aiohttp.ClientConnectorCertificateError, (KEY, ssl.SSLCertVerificationError("no"))),
    (aiohttp.ClientConnectorError, (KEY, OSError(111, "Connect call failed ('10.0.0.1', 443)"))),
    (aiohttp.ClientResponseError, (INFO, ())),
    (aiohttp.ServerFingerprintMismatch, (b"a", b"b", "10.0.0.1", 443)),
    (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "no")),
    (UnicodeEncodeError, ("utf-8", "\xff", 0, 1, "no")),
    (UnicodeTranslateError, ("\xff", 0, 1, "no")),
    (http_exceptions.LineTooLong, (b"line", 10)),
    (http_exceptions.InvalidHeader, (b"line",)),
    (http_exceptions.BadHttpMessage, ("no",)),
    (http_exceptions.HttpProcessingError, ()),
)


def raised(kind: type[BaseException]) -> BaseException:
    """Return an error of this kind as its library would make it."""
    arguments = next((given for base, given in MAKERS if issubclass(kind, base)), ("no",))
    return kind(*arguments)


TRANSPORT = sorted(
    {
        *exceptions_of(aiohttp, Exception),
        *exceptions_of(http_exceptions, Exception),
        *exceptions_of(ssl, Exception),
        *exceptions_of(socket, OSError),
        *exceptions_of(builtins, OSError),
        *exceptions_of(builtins, EOFError),
        *exceptions_of(builtins, ValueError),
    },
    key=lambda kind: kind.__name__,
)
DECODING = sorted(
    {*exceptions_of(msgspec, Exception), UnicodeDecodeError, RecursionError},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", TRANSPORT)
def test_every_error_of_the_transport_is_translated(kind: type[BaseException]) -> None:
    cause = raised(kind)
    with pytest.raises(Unavailable) as failed, errors.translated():
        raise cause

    assert failed.value.system == "kubernetes"
    assert 0 < len(failed.value.reason) <= 200
    assert "10.0.0.1" not in failed.value.reason
    assert failed.value.__cause__ is cause


@pytest.mark.parametrize("kind", DECODING)
def test_every_error_of_the_decoder_is_translated(kind: type[BaseException]) -> None:
    cause = raised(kind)
    with pytest.raises(errors.Malformed) as failed, errors.well_formed():
        raise cause

    assert failed.value.reason.startswith("malformed answer: ")
    assert failed.value.__cause__ is cause


@pytest.mark.parametrize("bug", [TypeError, KeyError, AttributeError, AssertionError])
def test_a_bug_is_no_error_of_the_outside(bug: type[Exception]) -> None:
    with pytest.raises(bug), errors.translated():
        raise bug
    with pytest.raises(bug), errors.well_formed():
        raise bug


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(TimeoutError(), "timed out", id="time"),
        pytest.param(aiohttp.SocketTimeoutError("x"), "timed out", id="silence"),
        pytest.param(aiohttp.ServerDisconnectedError(), "the connection was closed", id="closed"),
        pytest.param(
            aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
            "the server's name does not resolve",
            id="name",
        ),
        pytest.param(
            aiohttp.ClientConnectorError(KEY, OSError(113, "Connect call failed ('10.0.0.1',)")),
            "No route to host",
            id="route",
        ),
        pytest.param(
            aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: ('10.0.0.1',)")),
            "OSError",
            id="several addresses",
        ),
        pytest.param(aiohttp.InvalidURL("x"), "the server's address is no URL", id="URL"),
        pytest.param(ConnectionResetError(104, "x"), "Connection reset by peer", id="reset"),
        pytest.param(
            ssl.SSLError(1, "wrong version number"),
            "TLS: SSLError",
            id="no TLS",
        ),
    ],
)
def test_a_reason_is_the_same_while_the_trouble_is(error: Exception, reason: str) -> None:
    assert errors.reason(error) == reason


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        pytest.param(403, b'{"kind":"Status","message":"no"}', errors.Refused, "HTTP 403: no"),
        pytest.param(404, b"404 page not found", errors.Missing, "HTTP 404"),
        pytest.param(410, b'{"kind":"Status","message":null}', errors.Gone, "HTTP 410"),
        pytest.param(500, b'{"kind":"Pod","message":"no"}', Unavailable, "HTTP 500"),
        pytest.param(500, b'{"kind":7}', Unavailable, "HTTP 500"),
        pytest.param(502, b"<html>", Unavailable, "HTTP 502"),
        pytest.param(
            500,
            b'{"kind":"Status","message":"' + b"x" * 300 + b'"}',
            Unavailable,
            "HTTP 500: " + "x" * 190,
        ),
    ],
)
def test_an_answer_that_is_no_success_tells_what_the_api_says(
    status: int, body: bytes, kind: type[Unavailable], reason: str
) -> None:
    error = errors.refusal(status, body)

    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        pytest.param(b'{"code":410}', errors.Gone, "HTTP 410"),
        pytest.param(b'{"kind":"Status","message":"no"}', Unavailable, "HTTP 500: no"),
    ],
)
def test_an_error_in_a_watch_is_its_status(
    body: bytes, kind: type[Unavailable], reason: str
) -> None:
    error = errors.watch_error(body)

    assert (type(error), error.reason) == (kind, reason)
