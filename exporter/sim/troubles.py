"""What can be wrong with AWS's answers: each trouble, for which action, how often and from when.

Refusals are told in a service's own words elsewhere; what cuts an answer or keeps it back is done
in `wire`.
"""

from dataclasses import dataclass
from enum import StrEnum

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
