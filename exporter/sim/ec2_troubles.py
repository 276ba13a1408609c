"""EC2's words for the troubles that are refusals."""

from collections.abc import Mapping

from exporter.sim.ec2_protocol import Refused
from exporter.sim.troubles import Trouble

_REFUSALS: Mapping[Trouble, tuple[int, str, str]] = {
    Trouble.THROTTLED: (503, "RequestLimitExceeded", "Request limit exceeded."),
    Trouble.ERROR_500: (500, "InternalError", "An internal error has occurred"),
    Trouble.UNAVAILABLE: (503, "Unavailable", "The service is temporarily unavailable"),
    Trouble.DENIED: (
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
    ),
    Trouble.EXPIRED: (400, "RequestExpired", "Request has expired."),
    Trouble.EXPIRED_TOKEN: (
        400,
        "ExpiredToken",
        "The security token included in the request is expired",
    ),
    Trouble.AUTH_FAILURE: (
        401,
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
    ),
}


def refuse(trouble: Trouble) -> None:
    """Raise the refusal that a trouble is, if it is one."""
    if trouble in _REFUSALS:
        status, code, message = _REFUSALS[trouble]
        raise Refused(code, message, status=status)
