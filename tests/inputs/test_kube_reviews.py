"""Bearer tokens: what is asked of the API server, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from exporter.core.access import Verdict
from exporter.core.model import Unavailable
from exporter.inputs.kube import KubeConfig, Timing, connect
from exporter.inputs.kube.reviews import WHETHER, WHO
from tests.inputs.fake_kube import Answer, FakeKube, Json, fake_kube, hangs, hangs_up, refuses
from tests.inputs.fake_kube import says as body
from tests.inputs.kube_parts import kubeconfig

USER: Json = {
    "username": "system:serviceaccount:monitoring:prometheus",
    "uid": "7",
    "groups": ["system:serviceaccounts", "system:authenticated"],
    "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
}
KNOWN: Json = {"authenticated": True, "user": USER, "audiences": ["https://kubernetes.default"]}


class Reviews:
    """The two reviews of an API server, as a test wants them answered."""

    def __init__(self, who: Json | Answer, whether: Json | Answer | None = None) -> None:
        self.asked: list[tuple[str, str, Json]] = []
        self.answers = {WHO: who, WHETHER: {"allowed": True} if whether is None else whether}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        self.asked.append((request.method, request.path, asked))
        answer = self.answers[request.path]
        if not isinstance(answer, dict):
            return await answer(request)
        return web.json_response({**asked, "status": answer}, status=201)


async def reviewed(
    reviews: Reviews, folder: Path, *, token: str = "secret", seconds: float = 5.0
) -> Verdict:
    fake = FakeKube(token=token)
    fake.always = {(path, "create"): reviews for path in (WHO, WHETHER)}
    async with fake_kube(fake):
        config = KubeConfig(kubeconfig=kubeconfig(folder, fake.url, {"token": "secret"}))
        async with connect(config, timing=Timing(review_seconds=seconds)) as kube:
            return await kube.review("the-token")


@pytest.mark.parametrize(
    ("who", "whether", "verdict"),
    [
        pytest.param(KNOWN, {"allowed": True, "reason": "RBAC"}, Verdict.ALLOWED, id="allowed"),
        pytest.param(KNOWN, {"allowed": False}, Verdict.FORBIDDEN, id="not allowed"),
        pytest.param(KNOWN, {}, Verdict.FORBIDDEN, id="no opinion"),
        pytest.param(KNOWN, {"allowed": True, "denied": True}, Verdict.FORBIDDEN, id="denied"),
        pytest.param(
            KNOWN,
            {"allowed": False, "evaluationError": "a role is missing"},
            Verdict.FORBIDDEN,
            id="not allowed, as far as could be seen",
        ),
        pytest.param({"user": {}, "error": "expired"}, None, Verdict.UNKNOWN, id="unknown"),
        pytest.param({"authenticated": False, "user": USER}, None, Verdict.UNKNOWN, id="refused"),
        pytest.param({"authenticated": True, "user": {}}, None, Verdict.UNKNOWN, id="nameless"),
        pytest.param({"authenticated": True}, None, Verdict.UNKNOWN, id="no user"),
    ],
)
def test_a_token_is_its_owners_who_may_or_may_not_get_metrics(
    who: Json, whether: Json | None, verdict: Verdict, tmp_path: Path
) -> None:
    reviews = Reviews(who, whether)
    assert asyncio.run(reviewed(reviews, tmp_path)) is verdict
    assert [path for _, path, _ in reviews.asked] == [WHO] if whether is None else [WHO, WHETHER]


def test_the_owner_is_handed_on_as_he_was_told(tmp_path: Path) -> None:
    reviews = Reviews(KNOWN)
    asyncio.run(reviewed(reviews, tmp_path))
    assert reviews.asked == [
        (
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": "the-token"},
            },
        ),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "system:serviceaccount:monitoring:prometheus",
                    "uid": "7",
                    "groups": ["system:serviceaccounts", "system:authenticated"],
                    "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
                    "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
                },
            },
        ),
    ]


def test_an_owner_without_groups_is_asked_about_all_the_same(tmp_path: Path) -> None:
    reviews = Reviews({"authenticated": True, "user": {"username": "x", "groups": None}})
    assert asyncio.run(reviewed(reviews, tmp_path)) is Verdict.ALLOWED
    spec = reviews.asked[1][2]["spec"]
    assert isinstance(spec, dict)
    assert (spec["groups"], spec["extra"]) == ([], {})


async def redirected(_: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/version")


FORBIDDEN = "tokenreviews is forbidden"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(refuses(403, FORBIDDEN), f"HTTP 403: {FORBIDDEN}", id="forbidden to us"),
        pytest.param(refuses(429, "wait"), "HTTP 429: wait", id="too many requests"),
        pytest.param(refuses(500, "etcd"), "HTTP 500: etcd", id="out of order"),
        pytest.param(redirected, "HTTP 307", id="a redirect, which is not followed"),
        pytest.param(body(b"{}", 200), "HTTP 200", id="not created"),
        pytest.param(body(b"no json", 201), "malformed answer", id="no JSON"),
        pytest.param(body(b"{}", 201), "malformed answer", id="no status"),
        pytest.param(
            body(b'{"status": {"authenticated": "true", "allowed": "true"}}', 201),
            "malformed answer",
            id="no boolean",
        ),
        pytest.param(
            body(b'{"status": {"authenticated": 1, "allowed": 1}}', 201),
            "malformed answer",
            id="a number",
        ),
        pytest.param(hangs, "timed out", id="none at all"),
        pytest.param(hangs_up, "the connection was closed", id="cut off"),
    ],
)
@pytest.mark.parametrize("where", [WHO, WHETHER])
def test_what_is_no_answer_lets_nobody_in(
    answer: Answer, reason: str, where: str, tmp_path: Path
) -> None:
    reviews = Reviews(answer) if where == WHO else Reviews(KNOWN, answer)
    with pytest.raises(Unavailable, match=reason):
        asyncio.run(reviewed(reviews, tmp_path, seconds=0.2 if answer is hangs else 5.0))


def test_without_credentials_of_our_own_nobody_is_let_in(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="HTTP 401: Unauthorized"):
        asyncio.run(reviewed(Reviews(KNOWN), tmp_path, token="another"))
