"""Which proxy stands between us and the API server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exporter.core.model import Unavailable
from exporter.inputs.kube import KubeConfig
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.credentials import Credentials
from exporter.inputs.kube.proxy import proxy_for
from tests.inputs.fake_kube import FakeKube, Json, fake_kube
from tests.inputs.kube_parts import VirtualTime, kubeconfig

API = "https://10.100.0.1:443"
NAMED = "https://x.gr7.eu-west-1.eks.amazonaws.com"
PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        pytest.param(API, {}, None, id="nothing set"),
        pytest.param(API, {"HTTPS_PROXY": PROXY}, PROXY, id="upper case"),
        pytest.param(API, {"https_proxy": PROXY}, PROXY, id="lower case"),
        pytest.param(API, {"https_proxy": "a:1", "HTTPS_PROXY": "b:1"}, "http://a:1", id="both"),
        pytest.param(API, {"HTTPS_PROXY": "", "NO_PROXY": ""}, None, id="empty"),
        pytest.param(API, {"HTTP_PROXY": PROXY}, None, id="for another scheme"),
        pytest.param("http://api:80", {"HTTP_PROXY": PROXY}, PROXY, id="for this scheme"),
        pytest.param(API, {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.100.0.1"}, None, id="address"),
        pytest.param(API, {"HTTPS_PROXY": PROXY, "NO_PROXY": "a, 10.0.0.0/8"}, None, id="network"),
        pytest.param(API, {"HTTPS_PROXY": PROXY, "NO_PROXY": "172.16.0.0/12"}, PROXY, id="other"),
        pytest.param(API, {"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, PROXY, id="IPv6 network"),
        pytest.param(
            "https://[fd00::1]:443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, None, id="IPv6"
        ),
        pytest.param(API, {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None, id="all"),
        pytest.param(
            NAMED, {"HTTPS_PROXY": PROXY, "NO_PROXY": ".eks.amazonaws.com"}, None, id="suffix"
        ),
        pytest.param(
            NAMED, {"HTTPS_PROXY": PROXY, "NO_PROXY": "EKS.amazonaws.com"}, None, id="domain"
        ),
        pytest.param(
            NAMED, {"HTTPS_PROXY": PROXY, "NO_PROXY": "*.eks.amazonaws.com"}, None, id="wildcard"
        ),
        pytest.param(
            "https://eks.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".eks.com"}, PROXY, id="below"
        ),
        pytest.param(
            "https://eks.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "eks.com"}, None, id="itself"
        ),
        pytest.param(
            "https://noteks.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "eks.com"}, PROXY, id="part"
        ),
        pytest.param("https://127.0.0.1", {"HTTPS_PROXY": PROXY}, None, id="loopback"),
        pytest.param("https://localhost", {"HTTPS_PROXY": PROXY}, None, id="localhost"),
    ],
)
def test_the_environment_names_a_proxy(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(url, environ) == proxy


async def ask(config: KubeConfig) -> None:
    client = Client(Credentials(config, VirtualTime().timing()))
    try:
        await client.get("/version", {}, seconds=5)
    finally:
        await client.close()


def test_the_kubeconfigs_proxy_goes_before_the_environments(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_kube() as fake:
            user: Json = {"token": fake.token}
            path = kubeconfig(tmp_path, "http://10.9.9.9:80", user, **{"proxy-url": fake.url})
            await ask(KubeConfig(kubeconfig=path, environ={"HTTP_PROXY": "http://127.0.0.1:1"}))
            assert [it.headers["Host"] for it in fake.asked] == ["10.9.9.9"]

    asyncio.run(scenario())


def test_the_environments_proxy_is_used_where_the_kubeconfig_names_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_kube() as fake:
            path = kubeconfig(tmp_path, "http://10.9.9.9:80", {"token": fake.token})
            await ask(KubeConfig(kubeconfig=path, environ={"HTTP_PROXY": fake.url}))
            assert [it.headers["Host"] for it in fake.asked] == ["10.9.9.9"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "proxy", "reason"),
    [
        pytest.param("https://10.9.9.9", "refusing", "the proxy answered HTTP 404", id="refuses"),
        pytest.param("http://10.9.9.9", "http://127.0.0.1:1", "Connection refused", id="away"),
    ],
)
def test_a_proxy_that_is_of_no_use_is_the_reason(
    url: str, proxy: str, reason: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with fake_kube(FakeKube(token="other")) as fake:
            via = fake.url if proxy == "refusing" else proxy
            path = kubeconfig(tmp_path, url, {"token": "mine"}, **{"proxy-url": via})
            with pytest.raises(Unavailable) as failed:
                await ask(KubeConfig(kubeconfig=path))
            assert failed.value.reason == reason

    asyncio.run(scenario())
