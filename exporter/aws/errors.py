"""What can go wrong on the way to AWS, in the core's own words.

Only `Unavailable` and its kinds here leave a door. Their texts are our own: what the library or
AWS says may hold credentials, and differs from one time to the next.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as urllib3

from exporter.core.model import Invalid, Unanswered, Unavailable


class Outcome(StrEnum):
    """How one request to AWS ended; a label of the metric that counts them."""

    OK = "ok"
    THROTTLED = "throttled"
    REFUSED = "refused"
    FAILED = "failed"


class Refused(Unavailable):
    """AWS knows who asks, and does not allow or know the call."""


class Untrusted(Unavailable):
    """There are no credentials, or AWS does not take them; others may be there next time."""


class Missing(Unavailable):
    """AWS does not have what was asked for, which is an answer too."""


class Malformed(Unanswered):
    """The answer does not have the form it should."""


_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# The last two: an endpoint that is not AWS's, or a partition without the operation.
_NOT_ALLOWED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "OptInRequired",
        "UnauthorizedOperation",
        "InvalidAction",
        "UnsupportedOperation",
    }
)
_MISSING = frozenset({"ResourceNotFoundException"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NOT_TAKEN = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# What is wrong with a request in itself; as a status, 413 has no code everywhere.
_NOT_ACCEPTABLE = frozenset(
    {
        "InvalidFormat",
        "InvalidParameterCombination",
        "InvalidParameterCombinationException",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MissingParameter",
        "MissingRequiredParameterException",
        "RequestEntityTooLarge",
        "SerializationException",
        "ValidationError",
        "ValidationException",
    }
)
_TOO_LARGE = 413
# What can happen to a request on its way, and those of it that it does not survive.
_ON_ITS_WAY = (aws.HTTPClientError, aws.IncompleteReadError, OSError)
_NEVER_SENT = (
    aws.ConnectTimeoutError,
    aws.EndpointConnectionError,
    aws.ProxyConnectionError,
    aws.SSLError,
)

# The most special kinds first.
_TEXTS: tuple[tuple[type[Exception], str], ...] = (
    (aws.NoCredentialsError, "no credentials"),
    (aws.PartialCredentialsError, "the credentials are incomplete"),
    (aws.CredentialRetrievalError, "the credentials cannot be obtained"),
    (aws.MetadataRetrievalError, "the credentials cannot be obtained"),
    (aws.TokenRetrievalError, "the credentials cannot be obtained"),
    (aws.SSOError, "the credentials cannot be obtained"),
    (aws.LoginError, "the credentials cannot be obtained"),
    (aws.ProfileNotFound, "the AWS profile does not exist"),
    (aws.NoRegionError, "no region is known"),
    (aws.InvalidRegionError, "the region's name is not valid"),
    (aws.ParamValidationError, "the request is not acceptable"),
    (aws.ConnectTimeoutError, "timed out"),
    (aws.ReadTimeoutError, "timed out"),
    (aws.ProxyConnectionError, "the proxy cannot be reached"),
    (aws.ConnectionClosedError, "the connection was closed"),
    (aws.ResponseStreamingError, "the answer was cut off or broken"),
    (aws.IncompleteReadError, "the answer was cut off or broken"),
)
_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.MetadataRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
    aws.LoginError,
)
# What its parsers raise over answers; that of JSON takes any JSON for what it should be.
_PARSER_ERRORS = (
    ResponseParserError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RecursionError,
)
# What the library raises over files that people write, and over an agent's strange answers.
_LOADER_ERRORS = (OSError, ValueError, TypeError, AttributeError, LookupError)


@contextmanager
def credentials_read(system: str) -> Iterator[None]:
    """Turn whatever raises while credentials are looked for, or renewed, into `Unavailable`."""
    try:
        yield
    except aws.ClientError as error:  # of STS
        code = _code(error.response) or f"HTTP {_status(error.response)}"
        raise Untrusted(system, f"the credentials cannot be obtained ({code})") from error
    except aws.BotoCoreError as error:
        raise _own(system, error) from error
    except _LOADER_ERRORS as error:
        said = f" ({_said(error)})" if isinstance(error, OSError) else ""
        raise Untrusted(system, f"the credentials cannot be obtained{said}") from error


@contextmanager
def opened(system: str) -> Iterator[None]:
    """Turn whatever raises while a client is opened into `Unavailable`."""
    try:
        yield
    except aws.BotoCoreError as error:
        raise _own(system, error) from error
    except ValueError as error:
        raise Unavailable(system, "the endpoint's address is no URL") from error
    except OSError as error:
        raise _own(system, error) from error


@contextmanager
def translated(system: str, operation: str) -> Iterator[None]:
    """Turn whatever a call of AWS raises into `Unavailable`."""
    try:
        yield
    except aws.ClientError as error:
        raise refusal(system, operation, error.response) from error
    except (aws.BotoCoreError, OSError) as error:
        raise _of_call(system, error) from error
    except _PARSER_ERRORS as error:
        raise Malformed(system, f"{operation}: malformed answer") from error


def refusal(system: str, operation: str, answer: Any) -> Unavailable:
    """Return the error that an answer which is no success stands for."""
    code = _code(answer)
    if code in _EXPIRED or code in _NOT_TAKEN:
        trouble = "have expired" if code in _EXPIRED else "are not accepted"
        return Untrusted(system, f"the credentials {trouble} ({code})")
    if code in _NOT_ALLOWED:
        return Refused(system, f"{operation} is not allowed ({code})")
    if code in _THROTTLED:
        return Unavailable(system, f"{operation} was throttled ({code})")
    if code in _MISSING:
        return Missing(system, f"{operation} found nothing ({code})")
    if code in _NOT_ACCEPTABLE or _status(answer) == _TOO_LARGE:
        return Invalid(system, f"{operation} is not acceptable ({code or _TOO_LARGE})")
    told = f"HTTP {_status(answer)}"
    return Unavailable(system, f"{operation} failed ({told} {code})".replace(" )", ")"))


def outcome(answer: Any) -> Outcome:
    """Return how a request ended, of its parsed answer; None is none at all."""
    if answer is None:
        return Outcome.FAILED
    if _status(answer) < 300:
        return Outcome.OK
    code = _code(answer)
    if code in _MISSING:
        return Outcome.OK
    if code in _THROTTLED:
        return Outcome.THROTTLED
    known = code in _NOT_ALLOWED or code in _EXPIRED or code in _NOT_TAKEN
    return Outcome.REFUSED if known else Outcome.FAILED


def _own(system: str, error: Exception) -> Unavailable:
    kind = Untrusted if isinstance(error, _CREDENTIALS) else Unavailable
    return kind(system, _reason(error))


def _of_call(system: str, error: Exception) -> Unavailable:
    """Return what an error stands for that came after the credentials were there."""
    if isinstance(error, aws.ParamValidationError):
        return Invalid(system, _reason(error))
    if isinstance(error, _ON_ITS_WAY) and not isinstance(error, _NEVER_SENT):
        return Unanswered(system, _reason(error))
    return _own(system, error)


def _reason(error: Exception) -> str:
    for kind, text in _TEXTS:
        if isinstance(error, kind):
            return text
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(cause, urllib3.NameResolutionError | socket.gaierror):
        return "the endpoint's name does not resolve"
    if isinstance(error, aws.EndpointConnectionError):
        return "the endpoint cannot be reached"
    if isinstance(error, aws.SSLError):
        return f"TLS: {_tls(cause)}"
    return _said(error)


def _tls(cause: object) -> str:
    seen: object = cause
    while isinstance(seen, urllib3.HTTPError) and seen.args:
        seen = seen.args[-1]
    if isinstance(seen, ssl.SSLError):
        return str(getattr(seen, "verify_message", None) or seen.reason)
    return "no connection"


def _said(error: Exception) -> str:
    """Return the system's words for it, or what kind of error it is."""
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return type(error).__name__


def _code(answer: Any) -> str:
    """Return an error code; it is anyone's text where the endpoint is not AWS's."""
    code = str(answer.get("Error", {}).get("Code", ""))[:60]
    return code if re.fullmatch(r"[A-Za-z][\w.]*", code) else ""


def _status(answer: Any) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
