"""Who else has tokens of the simulated API: those who call the exporter, and what they may get.

Tokens end at their time, or when they are revoked; permissions are paths that are no resources,
for a user or a group, as a ClusterRole with `nonResourceURLs` gives them.
"""

import math
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# What every token of the API is good for, as the API server fills it in.
_AUDIENCE = "https://kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose a token is, and until when (Unix seconds)."""

    user: str
    groups: tuple[str, ...]
    until: float

    def shown(self) -> dict[str, object]:
        """Return the user as a review tells of it."""
        return {
            "username": self.user,
            "uid": f"uid-of-{self.user}",
            "groups": [*self.groups, "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=sim"]},
        }


@dataclass(slots=True)
class Callers:
    """The tokens there are, and the paths that may be read."""

    clock: Callable[[], float] = time.time
    _tokens: dict[str, Caller] = field(default_factory=dict)
    _paths: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def issue(self, user: str, groups: Iterable[str] = (), *, seconds: float | None = None) -> str:
        """Make a token for a user, which ends after some seconds or never."""
        token = f"sim-caller-{secrets.token_urlsafe(24)}"
        until = math.inf if seconds is None else self.clock() + seconds
        self._tokens[token] = Caller(user, tuple(groups), until)
        return token

    def revoke(self, token: str) -> None:
        """Make a token unknown."""
        del self._tokens[token]

    def permit(self, subject: str, paths: Iterable[str]) -> None:
        """Let a user or a group get these paths from now on, and no others."""
        self._paths[subject] = set(paths)

    def identity(self, spec: Mapping[str, Any]) -> dict[str, object]:
        """Return the status of a TokenReview."""
        caller = self._tokens.get(spec.get("token", ""))
        if caller is None:
            return {"user": {}, "error": "[invalid bearer token, unknown token]"}
        if caller.until <= self.clock():
            expired = "[invalid bearer token, service account token has expired]"
            return {"user": {}, "error": expired}
        return {"authenticated": True, "user": caller.shown(), "audiences": [_AUDIENCE]}

    def access(self, spec: Mapping[str, Any]) -> dict[str, object]:
        """Return the status of a SubjectAccessReview; resources are nobody's here."""
        asked = spec.get("nonResourceAttributes") or {}
        subjects = (spec.get("user", ""), *(spec.get("groups") or ()))
        for subject in subjects if asked.get("verb") == "get" else ():
            if asked.get("path") in self._paths.get(subject, ()):
                return {"allowed": True, "reason": f"RBAC: allowed to {subject}"}
        return {"allowed": False}
