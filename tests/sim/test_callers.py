from __future__ import annotations

from typing import Any

import pytest

from exporter.sim import Simulation
from tests.sim.client import ACCESS_REVIEWS, TOKEN_REVIEWS, on_loop, review, small
from tests.sim.test_control import Remote

PROMETHEUS = "system:serviceaccount:monitoring:prometheus"
GET_METRICS = {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}


async def status_of(sim: Simulation, path: str, spec: object) -> dict[str, Any]:
    code, body = await review(sim, path, spec)
    assert code == 201
    assert body["spec"] == spec
    status: dict[str, Any] = body["status"]
    return status


@on_loop
async def test_a_token_is_its_users_until_it_ends_or_is_revoked() -> None:
    async with small(1) as sim:
        now = 1_000.0
        sim.callers.clock = lambda: now
        short = sim.callers.issue(PROMETHEUS, ["system:serviceaccounts"], seconds=60)
        lasting = sim.callers.issue("alice")
        found = await status_of(sim, TOKEN_REVIEWS, {"token": short})
        assert found == {
            "authenticated": True,
            "user": {
                "username": PROMETHEUS,
                "uid": f"uid-of-{PROMETHEUS}",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=sim"]},
            },
            "audiences": ["https://kubernetes.default.svc"],
        }
        now += 60
        expired = await status_of(sim, TOKEN_REVIEWS, {"token": short})
        assert expired == {
            "user": {},
            "error": "[invalid bearer token, service account token has expired]",
        }
        assert (await status_of(sim, TOKEN_REVIEWS, {"token": lasting}))["authenticated"]
        sim.callers.revoke(lasting)
        revoked = await status_of(sim, TOKEN_REVIEWS, {"token": lasting})
        assert revoked == {"user": {}, "error": "[invalid bearer token, unknown token]"}
        assert sim.traffic.reviews == {"tokenreviews": 4}


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({"user": PROMETHEUS, **GET_METRICS}, True, id="a user"),
        pytest.param({"user": "x", "groups": ["scrapers"], **GET_METRICS}, True, id="a group"),
        pytest.param({"user": "x", "groups": ["others"], **GET_METRICS}, False, id="others"),
        pytest.param({"user": "x", "groups": None, **GET_METRICS}, False, id="no groups"),
        pytest.param(
            {"user": PROMETHEUS, "nonResourceAttributes": {"path": "/", "verb": "get"}},
            False,
            id="another path",
        ),
        pytest.param(
            {"user": PROMETHEUS, "nonResourceAttributes": {"path": "/metrics", "verb": "post"}},
            False,
            id="another verb",
        ),
        pytest.param(
            {"user": PROMETHEUS, "resourceAttributes": {"resource": "pods", "verb": "get"}},
            False,
            id="a resource",
        ),
    ],
)
@on_loop
async def test_a_user_may_get_the_paths_that_he_or_his_group_was_given(
    spec: dict[str, Any], allowed: bool
) -> None:
    async with small(1) as sim:
        sim.callers.permit(PROMETHEUS, ["/metrics"])
        sim.callers.permit("scrapers", ["/metrics"])
        assert (await status_of(sim, ACCESS_REVIEWS, spec))["allowed"] is allowed


@on_loop
async def test_what_is_no_review_is_refused_and_so_is_whoever_may_not_ask() -> None:
    async with small(1) as sim:
        code, body = await review(sim, TOKEN_REVIEWS, None)
        assert (code, body["reason"]) == (400, "BadRequest")
        code, body = await review(sim, TOKEN_REVIEWS, {}, token=sim.token("full"))
        assert code == 403
        assert body["message"] == (
            'tokenreviews.authentication.k8s.io is forbidden: User "system:serviceaccount:'
            'monitoring:full" cannot create resource "tokenreviews" in API group '
            '"authentication.k8s.io" at the cluster scope'
        )
        assert sim.traffic.forbidden == {"tokenreviews": 1}


@on_loop
async def test_callers_are_made_allowed_and_revoked_over_the_control() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        call = remote.call
        _, made = await call("POST", "/callers", do="issue", user="a", groups=["g"], seconds=60)
        assert (await call("POST", "/callers", do="permit", subject="g", paths=["/metrics"]))[
            0
        ] == 200
        found = await status_of(sim, TOKEN_REVIEWS, made)
        assert found["user"]["groups"] == ["g", "system:authenticated"]
        access = {"user": "a", "groups": ["g"], **GET_METRICS}
        assert (await status_of(sim, ACCESS_REVIEWS, access))["allowed"]
        assert (await call("POST", "/callers", do="revoke", token=made["token"]))[0] == 200
        assert "error" in await status_of(sim, TOKEN_REVIEWS, made)
        assert (await call("POST", "/callers", do="dance"))[0] == 400
        assert (await call("POST", "/callers", do="revoke", token="none"))[0] == 400
