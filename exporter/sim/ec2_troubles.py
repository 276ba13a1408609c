"""What can be wrong with EC2's answers: each trouble, for which action, how often and from when.

Refusals are told here in EC2's words; what cuts an answer or keeps it back is done in `ec2_api`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from exporter.sim.ec2_protocol import Refused

ANY = "*"


class Trouble(StrEnum):
    """Every trouble an action can be given."""

    THROTTLED = "throttled"
    ERROR_500 = "error_500"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    EXPIRED = "expired"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105  # a kind of trouble, not a secret
    AUTH_FAILURE = "auth_failure"
    SLOW = "slow"
    HANG = "hang"
    RESET = "reset"
    CUT_OFF = "cut_off"
    MALFORMED = "malformed"
    RUBBISH = "rubbish"
    EMPTY_PAGE = "empty_page"


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


@dataclass(slots=True)
class Plan:
    """A trouble of one action: after so many good answers, so often (none is for ever)."""

    trouble: Trouble
    times: int | None = None
    after: int = 0
    seconds: float = 1.0


class Troubles:
    """The troubles of all actions; a plan for an action comes before one for any."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}

    def set(self, action: str, plan: Plan | None) -> None:
        """Give an action a trouble in place of the one it had; healing any action heals all."""
        if plan is not None:
            self._plans[action] = plan
        elif action == ANY:
            self._plans.clear()
        else:
            self._plans.pop(action, None)

    def next(self, action: str) -> Plan | None:
        """Return what is wrong with the answer to this request, and count the request."""
        name = action if action in self._plans else ANY
        plan = self._plans.get(name)
        if plan is None:
            return None
        if plan.after:
            plan.after -= 1
            return None
        if plan.times is not None:
            plan.times -= 1
            if plan.times <= 0:
                del self._plans[name]
        return plan

    def current(self) -> dict[str, str]:
        """Return the trouble of each action that has one."""
        return {action: str(plan.trouble) for action, plan in self._plans.items()}


def refuse(trouble: Trouble) -> None:
    """Raise the refusal that a trouble is, if it is one."""
    if trouble in _REFUSALS:
        status, code, message = _REFUSALS[trouble]
        raise Refused(code, message, status=status)
