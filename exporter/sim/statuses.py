"""The API's own words for refusals: Status objects, as exceptions that become responses."""

import msgspec
from aiohttp import web

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    410: "Expired",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    """The request is answered by a Status of this code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def status(code: int, message: str) -> dict[str, object]:
    """Return a Status object for a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS[code],
        "code": code,
    }


def response(code: int, message: str) -> web.Response:
    """Return a Status as an HTTP response."""
    body = msgspec.json.encode(status(code, message))
    return web.Response(body=body, status=code, content_type="application/json")
