"""Whatever the library below raises, the door raises `Unavailable`, and tells no secret."""

from __future__ import annotations

import builtins
import inspect
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from string import Formatter
from types import ModuleType

import pytest
import urllib3.exceptions
from botocore import exceptions, parsers

from exporter.aws.errors import Untrusted, credentials_read, opened, outcome, translated
from exporter.core.model import Invalid, Unanswered, Unavailable

SECRET = "AKIDTOLD"
# Of waiters, of which there are none here, and of unfinished programs.
ELSEWHERE = (exceptions.WaiterError, NotImplementedError, Warning)


def exceptions_of(module: ModuleType, below: type[Exception]) -> Iterator[type[Exception]]:
    for _, it in sorted(vars(module).items()):
        if inspect.isclass(it) and issubclass(it, below) and not issubclass(it, ELSEWHERE):
            yield it


def raised(kind: type[Exception]) -> Exception:
    """Return an error of this kind as its library would make it, with a secret in every field."""
    if issubclass(kind, exceptions.BotoCoreError):
        names = {field for _, field, _, _ in Formatter().parse(getattr(kind, "fmt", "")) if field}
        return kind(**dict.fromkeys(names, SECRET))
    if kind is json.JSONDecodeError:
        return json.JSONDecodeError(SECRET, SECRET, 0)
    return kind(SECRET)


LIBRARY = [*exceptions_of(exceptions, exceptions.BotoCoreError), parsers.ResponseParserError]
SYSTEM = [*exceptions_of(builtins, OSError), *exceptions_of(ssl, ssl.SSLError), socket.gaierror]


def reason(error: Exception, guard: AbstractContextManager[None]) -> str:
    with pytest.raises(Unavailable) as told, guard:
        raise error
    assert told.value.__cause__ is error
    assert told.value.system == "ec2"
    return told.value.reason


PARSERS = [
    ValueError,
    json.JSONDecodeError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    RecursionError,
]


@pytest.mark.parametrize("kind", [*LIBRARY, *SYSTEM, *PARSERS])
def test_every_error_of_a_call_is_translated(kind: type[Exception]) -> None:
    told = reason(raised(kind), translated("ec2", "DescribeSubnets"))
    assert told
    assert SECRET not in told


@pytest.mark.parametrize("kind", [*LIBRARY[:-1], *SYSTEM, ValueError])
def test_every_error_while_a_client_is_opened_is_translated(kind: type[Exception]) -> None:
    assert SECRET not in reason(raised(kind), opened("ec2"))


@pytest.mark.parametrize(
    "kind",
    [*LIBRARY[:-1], *SYSTEM, ValueError, TypeError, AttributeError, KeyError, IndexError],
)
def test_every_error_over_credentials_is_translated(kind: type[Exception]) -> None:
    assert SECRET not in reason(raised(kind), credentials_read("ec2"))


def refused(code: str, status: int = 400) -> Exception:
    said = {"Code": code, "Message": SECRET}
    answer = {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = exceptions.ClientError(answer, "AssumeRole")
    return error


def test_a_role_that_may_not_be_assumed_is_told_by_its_code() -> None:
    with pytest.raises(Untrusted) as told, credentials_read("ec2"):
        raise refused("AccessDenied", 403)
    assert told.value.reason == "the credentials cannot be obtained (AccessDenied)"
    with pytest.raises(Untrusted) as told, credentials_read("ec2"):
        raise refused("<html>", 502)
    assert told.value.reason == "the credentials cannot be obtained (HTTP 502)"


def unresolved() -> Exception:
    cause = urllib3.exceptions.NameResolutionError("ec2.example", None, socket.gaierror(-2, "no"))  # type: ignore[arg-type]
    error: Exception = exceptions.EndpointConnectionError(endpoint_url="https://x", error=cause)
    return error


def of_tls(cause: Exception) -> Exception:
    error: Exception = exceptions.SSLError(endpoint_url="https://x", error=cause)
    return error


def unverified() -> Exception:
    cause = ssl.SSLCertVerificationError("no")
    cause.verify_message = "self-signed certificate"
    return urllib3.exceptions.SSLError(cause)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(unresolved(), "the endpoint's name does not resolve", id="a name"),
        pytest.param(of_tls(unverified()), "TLS: self-signed certificate", id="a certificate"),
        pytest.param(of_tls(ValueError("?")), "TLS: no connection", id="TLS and no more"),
        pytest.param(
            exceptions.ConnectTimeoutError(endpoint_url="x"), "timed out", id="no connection"
        ),
        pytest.param(
            exceptions.ProxyConnectionError(proxy_url=SECRET),
            "the proxy cannot be reached",
            id="a proxy",
        ),
        pytest.param(PermissionError(13, SECRET), "Permission denied", id="the system"),
        pytest.param(
            exceptions.InvalidConfigError(error_msg=SECRET), "InvalidConfigError", id="another"
        ),
    ],
)
def test_an_error_is_told_in_words_for_people(error: Exception, told: str) -> None:
    assert reason(error, translated("ec2", "DescribeSubnets")) == told


@pytest.mark.parametrize(
    "guard",
    [
        lambda: opened("ec2"),
        lambda: credentials_read("ec2"),
        lambda: translated("ec2", "DescribeSubnets"),
    ],
)
def test_a_bug_is_not_a_trouble_of_ec2(guard: Callable[[], AbstractContextManager[None]]) -> None:
    with pytest.raises(AssertionError), guard():
        raise AssertionError


ON_ITS_WAY = [
    exceptions.HTTPClientError,
    exceptions.ReadTimeoutError,
    exceptions.ConnectionClosedError,
    exceptions.ResponseStreamingError,
    exceptions.IncompleteReadError,
    ConnectionResetError,
    parsers.ResponseParserError,
]
NEVER_SENT = [
    exceptions.ConnectTimeoutError,
    exceptions.EndpointConnectionError,
    exceptions.ProxyConnectionError,
    exceptions.SSLError,
    exceptions.NoCredentialsError,
    exceptions.ParamValidationError,
]


def told(error: Exception, guard: AbstractContextManager[None]) -> Unavailable:
    with pytest.raises(Unavailable) as found, guard:
        raise error
    return found.value


@pytest.mark.parametrize("kind", [*ON_ITS_WAY, *NEVER_SENT])
def test_what_may_have_been_done_is_told_apart_from_what_was_never_asked(
    kind: type[Exception],
) -> None:
    found = told(raised(kind), translated("cloudwatch", "PutMetricData"))
    assert isinstance(found, Unanswered) is (kind in ON_ITS_WAY)


@pytest.mark.parametrize("kind", [it for it in ON_ITS_WAY if it is not parsers.ResponseParserError])
def test_what_goes_wrong_before_a_call_never_stands_for_one(kind: type[Exception]) -> None:
    for guard in (credentials_read("cloudwatch"), opened("cloudwatch")):
        assert not isinstance(told(raised(kind), guard), Unanswered)


@pytest.mark.parametrize(
    ("error", "invalid"),
    [
        pytest.param(refused("InvalidParameterValue"), True, id="a value"),
        pytest.param(refused("InvalidParameterCombination"), True, id="a combination"),
        pytest.param(refused("MissingParameter"), True, id="a missing one"),
        pytest.param(refused("ValidationException"), True, id="validation"),
        pytest.param(refused("RequestEntityTooLarge", 413), True, id="too large"),
        pytest.param(refused("", 413), True, id="too large for whoever is in between"),
        pytest.param(raised(exceptions.ParamValidationError), True, id="botocore's own"),
        pytest.param(refused("Throttling"), False, id="throttled"),
        pytest.param(refused("AccessDenied", 403), False, id="not allowed"),
        pytest.param(refused("ExpiredToken", 403), False, id="expired"),
        pytest.param(refused("InternalServiceError", 500), False, id="a fault"),
    ],
)
def test_only_what_is_wrong_in_itself_is_invalid(error: Exception, invalid: bool) -> None:
    found = told(error, translated("cloudwatch", "PutMetricData"))
    assert isinstance(found, Invalid) is invalid


def test_no_answer_is_a_failed_request() -> None:
    assert outcome(None) == "failed"
