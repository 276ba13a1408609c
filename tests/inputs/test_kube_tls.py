"""TLS to the API server as kubeconfig and service account ask for it.

The certificates are of a made-up authority that names no key identifiers, as that of EKS does not;
they are valid until 2120.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.core.model import Unavailable
from exporter.inputs.kube import KubeConfig
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.credentials import Credentials
from tests.inputs.fake_kube import FakeKube, Json, fake_kube
from tests.inputs.kube_parts import VirtualTime, kubeconfig

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBLTCB1aADAgECAgIQADAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAVMRMwEQYDVQQD
DAprdWJlcm5ldGVzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJ0ip9ykiJYPb
woPqgkRHKZUDR12ANE1TcBEYA9iya44iju8jryytLF5EAKAYurPHC1JBCh7m5S78
w0WwNM1feqMTMBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAa
3iDxqB1NiSMqw/NYzg7fUNX/WY+rtsOhEAMLSEsW0QIgJP76hLbiEZmZ+3ERz2do
qkBs6cuX8kRzHkftKSI5NVs=
-----END CERTIFICATE-----
"""
# For 127.0.0.1 and kubernetes.default.
SERVER = """\
-----BEGIN CERTIFICATE-----
MIIBSTCB8KADAgECAgIQATAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjARMQ8wDQYDVQQD
DAZzZXJ2ZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT+mqkrZ0w3EvPETHqa
Fy3Eq9sA9KzBXOYq90r9TZVI4LvBg8U+Ikw2zu7KZa99E089CiHXVtOnMidcHta1
YWstozIwMDAJBgNVHRMEAjAAMCMGA1UdEQQcMBqCEmt1YmVybmV0ZXMuZGVmYXVs
dIcEfwAAATAKBggqhkjOPQQDAgNIADBFAiEA1oaril0S57fjFPw1pxMMstgs5rkV
cfHY4EfytfOGQIoCIBlsx2hADlU8JTfFjGBoXztsom6iMFZfWAeQgZxlQKl8
-----END CERTIFICATE-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEINVxZ0bwM/G17pmQPmlH4bPPzDbJpTIQQOkPmoLkDMb8oAoGCCqGSM49
AwEHoUQDQgAE/pqpK2dMNxLzxEx6mhctxKvbAPSswVzmKvdK/U2VSOC7wYPFPiJM
Ns7uymWvfRNPPQoh11bTpzInXB7WtWFrLQ==
-----END EC PRIVATE KEY-----
"""
# For kubernetes.default alone.
NAMED = """\
-----BEGIN CERTIFICATE-----
MIIBQjCB6aADAgECAgIQAjAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAQMQ4wDAYDVQQD
DAVuYW1lZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhPcKKDByimpCOHUAFG
rMRtA8jhUsxdXsS8nJT/9NH/5laV/ymxLYqDyHsF2oKRFHYNRYH7Pioy17rs/+Sl
Yk6jLDAqMAkGA1UdEwQCMAAwHQYDVR0RBBYwFIISa3ViZXJuZXRlcy5kZWZhdWx0
MAoGCCqGSM49BAMCA0gAMEUCIHKXaG18cOhLX7oL8TfTe0yI2C7hZv8KBuwI9b5F
CkdiAiEAjP28f1mScIRhmOpUx5wk7UBrU+P+/rL6r80uTMjO120=
-----END CERTIFICATE-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHyIbGmhmz+YrP7KoqP4O96/hS21CpMGToHBQGkFi0SPoAoGCCqGSM49
AwEHoUQDQgAE2E9wooMHKKakI4dQAUasxG0DyOFSzF1exLyclP/00f/mVpX/KbEt
ioPIewXagpEUdg1Fgfs+KjLXuuz/5KViTg==
-----END EC PRIVATE KEY-----
"""
CLIENT = """\
-----BEGIN CERTIFICATE-----
MIIBIzCBy6ADAgECAgIQAzAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjARMQ8wDQYDVQQD
DAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASDSdvEG6/7gSoS2gc8
O1j0k3lVpEGiJP+5kucZbSB8Za2nc8c14IfbHWGIWtBOZHTUHs9ho+9T5wDviWDC
W0Eaow0wCzAJBgNVHRMEAjAAMAoGCCqGSM49BAMCA0cAMEQCIHY7BJkRIQhezQ8+
9S5+odYcrDiiT5Z4EyRlz4Lwemp7AiA5XhgcySaweskRo4+hNxuzSL0MiPLA4OAP
DS2thZ/V5w==
-----END CERTIFICATE-----
"""
CLIENT_KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICZKk+j8fc15tK7Kgo3EzQqUknqVidqOU6JojpU18cbdoAoGCCqGSM49
AwEHoUQDQgAEg0nbxBuv+4EqEtoHPDtY9JN5VaRBoiT/uZLnGW0gfGWtp3PHNeCH
2x1hiFrQTmR01B7PYaPvU+cA74lgwltBGg==
-----END EC PRIVATE KEY-----
"""


def serving(folder: Path, certificate: str, *, ask_client: bool = False) -> ssl.SSLContext:
    (folder / "server.pem").write_text(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY)
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED if ask_client else ssl.CERT_NONE
    return context


async def ask(config: KubeConfig, time: VirtualTime | None = None) -> None:
    client = Client(Credentials(config, (time or VirtualTime()).timing()))
    try:
        await client.get("/version", {}, seconds=5)
    finally:
        await client.close()


def written(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


AUTHORITY_FILE: Json = {"certificate-authority": "authority"}
SELF_SIGNED = "self-signed certificate in certificate chain"
WRONG_NAME = "IP address mismatch, certificate is not valid for '127.0.0.1'."


@pytest.mark.parametrize(
    ("certificate", "cluster", "reason"),
    [
        pytest.param(SERVER, AUTHORITY_FILE, None, id="trusted"),
        pytest.param(SERVER, {}, f"TLS: {SELF_SIGNED}", id="not trusted"),
        pytest.param(SERVER, {"insecure-skip-tls-verify": True}, None, id="not checked"),
        pytest.param(NAMED, AUTHORITY_FILE, f"TLS: {WRONG_NAME}", id="another name"),
        pytest.param(
            NAMED,
            {**AUTHORITY_FILE, "tls-server-name": "kubernetes.default"},
            None,
            id="the name that is asked for",
        ),
    ],
)
def test_the_certificate_of_the_server_is_checked_as_the_kubeconfig_says(
    certificate: str, cluster: Mapping[str, object], reason: str | None, tmp_path: Path
) -> None:
    async def scenario() -> None:
        written(tmp_path, authority=AUTHORITY)
        async with fake_kube(tls=serving(tmp_path, certificate)) as fake:
            user: Json = {"token": fake.token}
            config = KubeConfig(kubeconfig=kubeconfig(tmp_path, fake.url, user, **cluster))
            if reason is None:
                await ask(config)
            else:
                with pytest.raises(Unavailable) as failed:
                    await ask(config)
                assert failed.value.reason == reason

    asyncio.run(scenario())


def test_a_client_certificate_says_who_we_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        written(tmp_path, authority=AUTHORITY, crt=CLIENT, key=CLIENT_KEY)
        tls = serving(tmp_path, SERVER, ask_client=True)
        async with fake_kube(FakeKube(token=""), tls=tls) as fake:
            user: Json = {"client-certificate": "crt", "client-key": "key"}
            await ask(KubeConfig(kubeconfig=kubeconfig(tmp_path, fake.url, user, **AUTHORITY_FILE)))
            assert [it.path for it in fake.asked] == ["/version"]

    asyncio.run(scenario())


def test_an_exec_plugin_may_give_a_client_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        version = "client.authentication.k8s.io/v1"
        status = {"clientCertificateData": CLIENT, "clientKeyData": CLIENT_KEY}
        given = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        written(tmp_path, authority=AUTHORITY, given=json.dumps(given))
        args = ["-S", "-c", f"print(open({str(tmp_path / 'given')!r}).read())"]
        user: Json = {"exec": {"apiVersion": version, "command": sys.executable, "args": args}}
        tls = serving(tmp_path, SERVER, ask_client=True)
        async with fake_kube(FakeKube(token=""), tls=tls) as fake:
            await ask(KubeConfig(kubeconfig=kubeconfig(tmp_path, fake.url, user, **AUTHORITY_FILE)))
            assert [it.path for it in fake.asked] == ["/version"]

    asyncio.run(scenario())


def service_account(folder: Path, url: str) -> KubeConfig:
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": url.rpartition(":")[2],
    }
    return KubeConfig(service_account=folder, environ=environ)


def test_in_a_cluster_the_service_account_says_who_we_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        written(tmp_path, **{"token": "secret\n", "ca.crt": AUTHORITY})
        async with fake_kube(tls=serving(tmp_path, SERVER)) as fake:
            await ask(service_account(tmp_path, fake.url))
            assert [it.authorization for it in fake.asked] == ["bearer secret"]

    asyncio.run(scenario())


def test_a_kubeconfig_that_is_named_goes_before_the_service_account(tmp_path: Path) -> None:
    async def scenario() -> None:
        written(tmp_path, **{"token": "secret", "ca.crt": AUTHORITY})
        async with fake_kube(FakeKube(token="mine")) as fake:
            path = kubeconfig(tmp_path, fake.url, {"token": "mine"})
            environ = service_account(tmp_path, fake.url).environ
            await ask(KubeConfig(kubeconfig=path, environ=environ, service_account=tmp_path))
            assert [it.authorization for it in fake.asked] == ["Bearer mine"]

    asyncio.run(scenario())


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_a_service_account_that_is_not_whole_is_the_reason(missing: str, tmp_path: Path) -> None:
    files = {"token": "secret", "ca.crt": AUTHORITY}
    del files[missing]
    written(tmp_path, **files)

    with pytest.raises(Unavailable, match=r"credentials: Service .* does not exist"):
        asyncio.run(ask(service_account(tmp_path, "https://127.0.0.1:1")))


def test_a_new_authority_in_the_service_account_is_trusted_a_minute_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        written(tmp_path, **{"token": "secret", "ca.crt": CLIENT})
        time = VirtualTime()
        async with fake_kube(tls=serving(tmp_path, SERVER)) as fake:
            config = service_account(tmp_path, fake.url)
            client = Client(Credentials(config, time.timing()))
            try:
                with pytest.raises(Unavailable, match="TLS: "):
                    await client.get("/version", {}, seconds=5)
                written(tmp_path, **{"ca.crt": AUTHORITY})
                time.now += 60
                await client.get("/version", {}, seconds=5)
                written(tmp_path, **{"ca.crt": CLIENT})
                time.now += 60
                with pytest.raises(Unavailable, match="TLS: "):
                    await client.get("/version", {}, seconds=5)
            finally:
                await client.close()

    asyncio.run(scenario())
