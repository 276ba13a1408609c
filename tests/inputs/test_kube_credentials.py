"""Who we are to the API server, where that is read, and when it is read again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import ConfigNode

from exporter.core.model import Unavailable
from exporter.inputs.kube import KubeConfig
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.credentials import Credentials
from exporter.inputs.kube.exec_plugin import run_plugin
from tests.inputs.fake_kube import FakeKube, Json, fake_kube
from tests.inputs.kube_parts import VirtualTime, kubeconfig

BETA = "client.authentication.k8s.io/v1beta1"


@asynccontextmanager
async def client_for(config: KubeConfig, time: VirtualTime | None = None) -> AsyncIterator[Client]:
    client = Client(Credentials(config, (time or VirtualTime()).timing()))
    try:
        yield client
    finally:
        await client.close()


async def ask(client: Client) -> bytes:
    return await client.get("/version", {}, seconds=5)


def tokens(fake: FakeKube) -> list[str]:
    return [it.authorization for it in fake.asked]


@pytest.mark.parametrize(
    ("user", "header"),
    [
        pytest.param({"token": "t1"}, "Bearer t1", id="token"),
        pytest.param({"token": "t1\n"}, "Bearer t1", id="token with a newline"),
        pytest.param({"tokenFile": "token"}, "Bearer from-file", id="token file, beside it"),
        pytest.param({"username": "u", "password": "p"}, "Basic dTpw", id="password"),
        pytest.param({}, "", id="nobody"),
    ],
)
def test_a_kubeconfig_says_who_we_are(user: Json, header: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "token").write_text("from-file\n")
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, user)
            async with client_for(KubeConfig(kubeconfig=path)) as client:
                await ask(client)
            assert tokens(fake) == [header]

    asyncio.run(scenario())


@pytest.mark.parametrize("users", [[], [{"name": "another", "user": {"token": "t"}}]])
def test_a_context_whose_user_is_not_there_is_nobodys(users: list[Json], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, {})
            written = json.loads((tmp_path / "kubeconfig").read_text())
            (tmp_path / "kubeconfig").write_text(json.dumps({**written, "users": users}))
            async with client_for(KubeConfig(kubeconfig=path)) as client:
                await ask(client)
            assert tokens(fake) == [""]

    asyncio.run(scenario())


def test_several_kubeconfigs_are_merged_and_those_that_do_not_exist_left_out(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with fake_kube() as fake:
            one = kubeconfig(tmp_path, fake.url, {"token": "secret"})
            paths = f"{tmp_path / 'none'}:{one}"
            async with client_for(KubeConfig(kubeconfig=paths)) as client:
                await ask(client)
            assert tokens(fake) == ["Bearer secret"]

    asyncio.run(scenario())


def test_without_cluster_and_setting_the_kubeconfig_is_that_of_the_home(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / ".kube").mkdir()
        async with fake_kube() as fake:
            path = kubeconfig(tmp_path, fake.url, {"token": "secret"})
            os.rename(path, tmp_path / ".kube" / "config")
            config = KubeConfig(environ={"HOME": str(tmp_path)})
            async with client_for(config) as client:
                await ask(client)
            assert tokens(fake) == ["Bearer secret"]

    asyncio.run(scenario())


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        token = tmp_path / "token"
        token.write_text("one")
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, {"tokenFile": str(token)})
            async with client_for(KubeConfig(kubeconfig=path), time) as client:
                await ask(client)
                token.write_text("two")
                time.now += 59
                await ask(client)
                time.now += 1
                await ask(client)
            assert tokens(fake) == ["Bearer one", "Bearer one", "Bearer two"]

    asyncio.run(scenario())


def test_a_token_file_that_is_away_for_a_moment_is_used_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        token = tmp_path / "token"
        token.write_text("one")
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, {"tokenFile": str(token)})
            async with client_for(KubeConfig(kubeconfig=path), time) as client:
                await ask(client)
                token.unlink()
                time.now += 60
                await ask(client)
                token.write_text("two")
                time.now += 9
                await ask(client)
                time.now += 1
                await ask(client)
            assert tokens(fake) == ["Bearer one", "Bearer one", "Bearer one", "Bearer two"]

    asyncio.run(scenario())


def test_refused_credentials_are_read_again_once_and_then_left_for_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        async with fake_kube(FakeKube(token="one")) as fake:
            path = kubeconfig(tmp_path, fake.url, {"token": "one"})
            async with client_for(KubeConfig(kubeconfig=path), time) as client:
                await ask(client)
                fake.token = "two"
                fake.asked.clear()
                kubeconfig(tmp_path, fake.url, {"token": "two"})
                await asyncio.gather(ask(client), ask(client))
                assert sorted(tokens(fake)) == ["Bearer one"] * 2 + ["Bearer two"] * 2

                fake.token = "three"
                fake.asked.clear()
                kubeconfig(tmp_path, fake.url, {"token": "three"})
                with pytest.raises(Unavailable, match="HTTP 401: Unauthorized"):
                    await ask(client)
                time.now += 10
                await ask(client)
                assert tokens(fake) == ["Bearer two", "Bearer two", "Bearer three"]

    asyncio.run(scenario())


def plugin(folder: Path, body: str, **config: object) -> Json:
    """Return a user with an exec plugin, a Python script that counts its runs in a file."""
    script = folder / "plugin.py"
    script.write_text(
        f"import json, os, sys\nfolder = {str(folder)!r}\n"
        "open(folder + '/runs', 'a').write('x')\n"
        "count = len(open(folder + '/runs').read())\n"
        "def give(version='" + BETA + "', **status):\n"
        "    print(json.dumps({'apiVersion': version, 'kind': 'ExecCredential',"
        " 'status': status}))\n" + body
    )
    return {
        "exec": {
            "apiVersion": BETA,
            "command": sys.executable,
            "args": ["-S", str(script)],
            **config,
        }
    }


def test_an_exec_plugin_is_run_again_before_its_token_expires(tmp_path: Path) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        # An hour after the virtual clock's start, 2027-01-15 08:00 UTC.
        user = plugin(
            tmp_path, "give(token=f't{count}', expirationTimestamp='2027-01-15T09:00:00Z')"
        )
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, user)
            async with client_for(KubeConfig(kubeconfig=path), time) as client:
                for later in (0, 3000, 539, 1, 9, 1):
                    time.now += later
                    await ask(client)
            # A token that is as old again is not asked for at each request.
            assert tokens(fake) == [f"Bearer t{count}" for count in (1, 1, 1, 2, 2, 3)]

    asyncio.run(scenario())


def test_an_exec_plugin_that_names_no_expiry_is_run_again_when_its_token_is_refused(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        async with fake_kube(FakeKube(token="t1")) as fake:
            path = kubeconfig(tmp_path, fake.url, plugin(tmp_path, "give(token=f't{count}')"))
            async with client_for(KubeConfig(kubeconfig=path), time) as client:
                await asyncio.gather(ask(client), ask(client))
                fake.asked.pop()
                time.now += 10 * 24 * 3600
                await ask(client)
                fake.token = "t2"
                await ask(client)
            assert tokens(fake) == ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2"]

    asyncio.run(scenario())


def test_an_exec_plugin_that_fails_after_a_refusal_is_the_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        user = plugin(tmp_path, "give(token='t1') if count == 1 else sys.exit('log in first')")
        async with fake_kube(FakeKube(token="t2")) as fake:
            path = kubeconfig(tmp_path, fake.url, user)
            async with client_for(KubeConfig(kubeconfig=path)) as client:
                for _ in range(2):
                    with pytest.raises(Unavailable, match=r"credentials: .* log in first"):
                        await ask(client)
            assert (tmp_path / "runs").read_text() == "xx"

    asyncio.run(scenario())


BAD_PLUGINS = {
    "fails": ("sys.exit('first\\nlast words')", "exited with 1: last words"),
    "says nothing": ("", "Input data was truncated"),
    "says no JSON": ("print('hello')", "JSON is malformed"),
    "speaks another version": ("give('v1', token='x')", "speaks v1, not " + BETA),
    "gives nothing": ("give()", "gave neither a token nor a certificate"),
    "gives a token no header may hold": ("give(token='a\\nb')", "that no header may"),
}


@pytest.mark.parametrize(("body", "reason"), BAD_PLUGINS.values(), ids=BAD_PLUGINS.keys())
def test_there_are_no_credentials_when_the_plugin(body: str, reason: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = kubeconfig(tmp_path, "http://127.0.0.1:1", plugin(tmp_path, body))
        async with client_for(KubeConfig(kubeconfig=path)) as client:
            for _ in range(2):
                with pytest.raises(Unavailable, match=reason):
                    await ask(client)
        assert (tmp_path / "runs").read_text() == "x"

    asyncio.run(scenario())


def test_a_plugin_that_hangs_is_ended() -> None:
    async def scenario() -> None:
        user = {"apiVersion": BETA, "command": "sleep", "args": ["60"]}
        config = ConfigNode("exec", user)  # type: ignore[no-untyped-call]
        with pytest.raises(ConfigException, match=r"gave nothing within 0\.2 s"):
            await run_plugin(config, seconds=0.2)

    asyncio.run(scenario())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_plugin_is_given_its_environment(tmp_path: Path) -> None:
    async def scenario() -> None:
        env = [{"name": "WHO", "value": "me"}]
        body = (
            "give(token=os.environ['WHO'] + json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'])"
        )
        async with fake_kube(FakeKube(token="")) as fake:
            path = kubeconfig(tmp_path, fake.url, plugin(tmp_path, body, env=env))
            async with client_for(KubeConfig(kubeconfig=path)) as client:
                await ask(client)
            assert tokens(fake) == ["Bearer meExecCredential"]

    asyncio.run(scenario())


BAD_KUBECONFIGS = {
    "is empty": ("", "credentials: "),
    "is no YAML": ("{", "credentials: while parsing"),
    "is a list": ("[]", "credentials: "),
    "names no context": ("clusters: []", "credentials: Invalid kube-config file"),
    "names another context": (
        "current-context: a\ncontexts: []",
        "credentials: Invalid kube-config file. Expected object with name a",
    ),
    "is no text": ("\x00", "credentials: "),
}


@pytest.mark.parametrize(("text", "reason"), BAD_KUBECONFIGS.values(), ids=BAD_KUBECONFIGS.keys())
def test_there_are_no_credentials_when_the_kubeconfig(
    text: str, reason: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        path = tmp_path / "kubeconfig"
        path.write_text(text)
        async with client_for(KubeConfig(kubeconfig=str(path))) as client:
            with pytest.raises(Unavailable, match=reason) as failed:
                await ask(client)
            assert failed.value.__cause__ is not None

    asyncio.run(scenario())


def test_a_plugin_that_is_not_installed_is_the_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        user: Json = {"exec": {"apiVersion": BETA, "command": str(tmp_path / "aws")}}
        path = kubeconfig(tmp_path, "http://127.0.0.1:1", user)
        async with client_for(KubeConfig(kubeconfig=path)) as client:
            with pytest.raises(Unavailable, match="No such file or directory"):
                await ask(client)

    asyncio.run(scenario())
