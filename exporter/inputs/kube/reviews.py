"""What Kubernetes says of a bearer token: whose it is, and whether that one may get /metrics.

Two reviews, as kube-rbac-proxy and controller-runtime ask for them: TokenReview, and then
SubjectAccessReview for the path that is no resource.
"""

from __future__ import annotations

from typing import Final

import msgspec

from exporter.core.access import Verdict
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.errors import well_formed

WHO: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
WHETHER: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class _User(msgspec.Struct):
    """Whose token it is; handed on as it came."""

    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


async def review(client: Client, token: str, *, seconds: float) -> Verdict:
    """Return what is known of a token, each review within so many seconds.

    Raises `Unavailable` where the API server cannot say.
    """
    user = await _user(client, token, seconds)
    if user is None:
        return Verdict.UNKNOWN
    return Verdict.ALLOWED if await _may_get_metrics(client, user, seconds) else Verdict.FORBIDDEN


async def _user(client: Client, token: str, seconds: float) -> _User | None:
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    body = await client.post(WHO, msgspec.json.encode(asked), seconds=seconds)
    with well_formed():
        status = msgspec.json.decode(body, type=_TokenReview).status
    return status.user if status.authenticated and status.user.username else None


async def _may_get_metrics(client: Client, user: _User, seconds: float) -> bool:
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups or [],
            "extra": user.extra or {},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        },
    }
    body = await client.post(WHETHER, msgspec.json.encode(asked), seconds=seconds)
    with well_formed():
        status = msgspec.json.decode(body, type=_AccessReview).status
    return status.allowed and not status.denied
