from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from exporter.core.access import Verdict
from exporter.outputs.guard import Front, FrontConfig, WebConfigError, serving
from exporter.outputs.guard.front import POLL_SECONDS
from exporter.outputs.guard.rules import load
from exporter.outputs.web import Pages
from tests.certificates import Authority, Issued
from tests.outputs.guard_parts import (
    CLIENTS,
    TLS,
    World,
    basic,
    bearer,
    client,
    users,
)
from tests.outputs.test_web import NO_PROCESS, Fixed

Runner = Callable[[Coroutine[None, None, Any]], Any]

OTHER = Authority("other")
STAYS = "; what was read before stays in force"


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.issue()
    return world


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"], name="run")
def _run(request: pytest.FixtureRequest) -> Runner:
    """TLS is each loop's own."""
    runner: Runner = request.param
    return runner


def here(world: World, name: str) -> str:
    return str(world.folder / name)


async def told(
    front: Front, tls: ssl.SSLContext | None, password: str = ""
) -> tuple[int, bool] | None:
    """Ask for the metrics over a new connection: status and whether figures came, None for none."""
    headers = basic("alice", password) if password else {}
    async with client(front.pages.address, tls) as ask:
        try:
            return (await ask(headers=headers)).told
        except aiohttp.ClientError:
            return None


async def shown(front: Front, tls: ssl.SSLContext) -> bytes:
    """Return the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection(*front.pages.address, ssl=tls)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    await writer.wait_closed()
    return certificate


class TestTheHandshake:
    def test_by_the_right_authority_is_followed_by_the_pages(
        self, world: World, run: Runner
    ) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with (
                world.serving() as front,
                client(front.pages.address, world.authority.trusting()) as ask,
            ):
                assert [(await ask(path)).status for path in ("/metrics", "/", "/healthz")] == [
                    200,
                    200,
                    200,
                ]
                answer = await ask()
                assert answer.figures
                assert "Connection" not in answer.headers  # It is kept.

        run(scenario())

    def test_is_needed(self, world: World, run: Runner) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                assert await told(front, None) is None

        run(scenario())

    def test_shows_a_certificate_that_a_client_of_another_authority_does_not_trust(
        self, world: World, run: Runner
    ) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                assert await told(front, Authority("other").trusting()) is None

        run(scenario())

    @pytest.mark.parametrize(
        ("version", "highest", "answered"),
        [
            pytest.param("TLS13", ssl.TLSVersion.TLSv1_2, False, id="too low"),
            pytest.param("TLS13", ssl.TLSVersion.TLSv1_3, True, id="the lowest that is taken"),
            pytest.param("TLS12", ssl.TLSVersion.TLSv1_2, True, id="TLS 1.2"),
        ],
    )
    def test_needs_a_version_that_is_taken(
        self, version: str, highest: ssl.TLSVersion, answered: bool, world: World, run: Runner
    ) -> None:
        world.says(TLS, f"  min_version: {version}\n")
        context = world.authority.trusting()
        context.maximum_version = highest

        async def scenario() -> None:
            async with world.serving() as front:
                assert await told(front, context) == ((200, True) if answered else None)

        run(scenario())

    @pytest.mark.parametrize(
        ("who", "alert"),
        [
            pytest.param("nobody", "CERTIFICATE_REQUIRED", id="none"),
            pytest.param("expired", "CERTIFICATE_EXPIRED", id="an expired one"),
            pytest.param("stranger", "ALERT_UNKNOWN_CA", id="one by another authority"),
        ],
    )
    def test_that_fails_tells_the_client_why(
        self, who: str, alert: str, world: World, run: Runner
    ) -> None:
        world.says(TLS, CLIENTS)
        certificates: dict[str, Issued | None] = {
            "nobody": None,
            "expired": world.authority.issue("p", expired=True),
            "stranger": OTHER.issue("p"),
        }
        context = world.authority.trusting(certificates[who], world.folder)

        async def scenario() -> None:
            async with world.serving(health=True) as front:
                reader, writer = await asyncio.open_connection(*front.pages.address, ssl=context)
                with pytest.raises(ssl.SSLError, match=alert):
                    await reader.read()
                writer.close()

        run(scenario())

    def test_that_never_comes_keeps_nobody_else_waiting(self, world: World, run: Runner) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                silent = [socket.create_connection(front.pages.address) for _ in range(50)]
                assert await told(front, world.authority.trusting()) == (200, True)
                for it in silent:
                    it.close()

        run(scenario())


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        pytest.param("prometheus", (200, True), id="the right one"),
        pytest.param("nobody", None, id="none"),
        pytest.param("expired", None, id="an expired one"),
        pytest.param("stranger", None, id="one by another authority"),
        pytest.param("grafana", (403, False), id="one with another name"),
        pytest.param("nameless", (403, False), id="one without a name"),
    ],
)
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_needs_a_certificate_of_the_authority_with_an_allowed_name(
    who: str, answer: tuple[int, bool] | None, highest: ssl.TLSVersion, world: World, run: Runner
) -> None:
    world.says(TLS, CLIENTS, "  client_allowed_sans: [prometheus.monitoring]\n")
    certificates: dict[str, Issued | None] = {
        "prometheus": world.authority.issue("p", "a.example", "prometheus.monitoring"),
        "nobody": None,
        "expired": world.authority.issue("p", "prometheus.monitoring", expired=True),
        "stranger": OTHER.issue("p", "prometheus.monitoring"),
        "grafana": world.authority.issue("prometheus.monitoring", "grafana.monitoring"),
        "nameless": world.authority.issue("prometheus.monitoring"),
    }
    context = world.authority.trusting(certificates[who], world.folder)
    context.maximum_version = highest

    async def scenario() -> None:
        async with world.serving(health=True) as front:
            assert await told(front, context) == answer
            assert front.health is not None
            async with client(front.health.address) as ask:
                assert (await ask("/readyz")).status == 200

    run(scenario())


def test_a_client_certificate_is_no_password_and_a_password_no_certificate(
    world: World, run: Runner
) -> None:
    world.says(TLS, CLIENTS, users(alice="open sesame"))
    known = world.authority.trusting(world.authority.issue("p"), world.folder)

    async def scenario() -> None:
        async with world.serving(health=True) as front:
            assert await told(front, known) == (401, False)
            assert await told(front, known, "wrong") == (401, False)
            assert await told(front, world.authority.trusting(), "open sesame") is None
            assert await told(front, known, "open sesame") == (200, True)

    run(scenario())


class TestANewCertificate:
    def test_is_shown_to_the_next_connection_and_idle_ones_of_the_old_end(
        self, world: World, run: Runner
    ) -> None:
        world.says(TLS)
        trusting = world.authority.trusting()

        async def scenario() -> None:
            async with world.serving() as front:
                before = await shown(front, trusting)
                reader, writer = await asyncio.open_connection(*front.pages.address, ssl=trusting)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"ok\n")
                await front.look()
                assert await shown(front, trusting) == before
                world.issue()
                await front.look()
                assert await shown(front, trusting) != before
                assert await reader.read() == b""
                writer.close()
                assert await told(front, trusting) == (200, True)
                assert world.notes == ["", ""]

        run(scenario())

    def test_ends_a_connection_whose_handshake_it_overtook_after_one_answer(
        self, world: World, run: Runner
    ) -> None:
        world.says(TLS)
        trusting = world.authority.trusting()
        asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

        async def scenario() -> bytes:
            async with world.serving() as front:
                # It was accepted by the old context and has not shaken hands yet.
                raw = socket.create_connection(front.pages.address)
                await told(front, trusting)
                world.issue()
                await front.look()
                raw.setblocking(False)
                reader, writer = await asyncio.open_connection(
                    sock=raw, ssl=trusting, server_hostname="localhost"
                )
                writer.write(asked)
                answer = await reader.read()
                writer.close()
                return answer

        answer = run(scenario())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer

    def test_lets_an_answer_that_is_on_its_way_arrive(self, world: World, run: Runner) -> None:
        world.says(TLS)

        async def scenario() -> None:
            asked, go = asyncio.Event(), asyncio.Event()

            async def slow(_: str) -> Verdict:
                asked.set()
                await go.wait()
                return Verdict.ALLOWED

            async with (
                world.serving(review=slow) as front,
                client(front.pages.address, world.authority.trusting()) as ask,
            ):
                before = await shown(front, world.authority.trusting())
                answer = asyncio.create_task(ask(headers=bearer("good")))
                await asked.wait()
                world.issue()
                looking = asyncio.create_task(front.look())
                while await shown(front, world.authority.trusting()) == before:
                    assert not looking.done()
                go.set()
                assert (await answer).told == (200, True)
                await looking

        run(scenario())

    def test_arrives_by_the_links_of_a_mounted_secret(self, world: World, run: Runner) -> None:
        def swap(number: int) -> None:
            """As the kubelet does: a new folder, and one link to it that is replaced."""
            data = world.folder / f"..{number}"
            data.mkdir()
            world.authority.issue("s", "127.0.0.1").written(data, "server")
            (world.folder / "..new").symlink_to(data.name)
            os.replace(world.folder / "..new", world.folder / "..data")

        for name in ("server.pem", "server.key"):
            (world.folder / name).unlink()
            (world.folder / name).symlink_to(f"..data/{name}")
        swap(1)
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                before = await shown(front, world.authority.trusting())
                swap(2)
                await front.look()
                assert await shown(front, world.authority.trusting()) != before

        run(scenario())


class TestABrokenFile:
    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            pytest.param(
                "server.key",
                "none\n",
                "{0}/web.yml:3: tls_server_config.key_file: {0}/server.key cannot be used with "
                "{0}/server.pem",
                id="the key",
            ),
            pytest.param(
                "server.pem",
                "none\n",
                "{0}/web.yml:2: tls_server_config.cert_file: {0}/server.pem holds no certificate",
                id="the certificate",
            ),
            pytest.param(
                "ca.pem",
                "",
                "{0}/web.yml:5: tls_server_config.client_ca_file: {0}/ca.pem holds no certificate",
                id="the authority",
            ),
            pytest.param(
                "web.yml",
                "tls_server_config:\n  cert_fle: x\n",
                "{0}/web.yml:1: tls_server_config.cert_file: is missing: TLS needs cert_file and "
                "key_file; {0}/web.yml:1: tls_server_config.key_file: is missing: TLS needs "
                "cert_file and key_file; {0}/web.yml:2: tls_server_config.cert_fle: is no key of "
                "a web-config",
                id="the web-config",
            ),
            pytest.param(
                "web.yml", "", "{0}/web.yml: is empty; {{}} says that nothing is guarded", id="none"
            ),
            pytest.param(
                "web.yml",
                "{}\n",
                "{0}/web.yml: TLS and passwords are switched on and off by a restart only",
                id="no guard",
            ),
            pytest.param(
                "web.yml",
                TLS + CLIENTS,
                "{0}/web.yml: TLS and passwords are switched on and off by a restart only",
                id="no users",
            ),
        ],
    )
    def test_leaves_everything_as_it_was_until_it_is_mended(
        self, name: str, content: str, problem: str, world: World, run: Runner
    ) -> None:
        world.says(TLS, CLIENTS, users(alice="open sesame"))
        known = world.authority.trusting(world.authority.issue("p"), world.folder)
        whole = (world.folder / name).read_bytes()

        async def scenario() -> None:
            async with world.serving(health=True) as front:
                before = await shown(front, known)
                (world.folder / name).write_text(content)
                for _ in range(2):
                    await front.look()
                    assert await told(front, known, "open sesame") == (200, True)
                    assert await told(front, known) == (401, False)
                    assert await told(front, world.authority.trusting(), "open sesame") is None
                    assert await shown(front, known) == before
                (world.folder / name).write_bytes(whole)
                await front.look()
                await front.look()
                assert await told(front, known, "open sesame") == (200, True)

        run(scenario())
        assert world.notes == ["", *[problem.format(world.folder) + STAYS] * 2, ""]

    def test_that_is_gone_is_told_of(self, world: World, run: Runner) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                world.path.unlink()
                await front.look()
                assert await told(front, world.authority.trusting()) == (200, True)

        run(scenario())
        missing = f"{world.path}: cannot be read: No such file or directory"
        assert world.notes == ["", missing + STAYS]

    def test_is_not_the_only_thing_that_may_fail(self, world: World, run: Runner) -> None:
        world.says(TLS)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        async def scenario() -> None:
            async with world.serving() as front:
                before = await shown(front, world.authority.trusting())
                context = load(world.path, health_apart=True).context
                assert context is not None
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                try:
                    with pytest.raises(OSError, match="Too many open files"):
                        await front.pages.renew(context)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert await shown(front, world.authority.trusting()) == before

        run(scenario())

    def test_that_would_keep_the_probes_out_is_not_taken(self, world: World, run: Runner) -> None:
        world.says(TLS)

        async def scenario() -> None:
            async with world.serving() as front:
                world.says(TLS, CLIENTS)
                await front.look()
                assert await told(front, world.authority.trusting()) == (200, True)

        run(scenario())
        assert world.notes[1].endswith("set EXPORTER_HEALTH_ADDRESS" + STAYS)


class TestANewRule:
    def test_on_users_holds_from_the_next_request_on_a_kept_connection(
        self, world: World, run: Runner
    ) -> None:
        world.says(users(alice="open sesame", bob="hush"))

        async def scenario() -> list[int]:
            async with world.serving() as front, client(front.pages.address) as ask:
                found = [(await ask(headers=basic("alice", "open sesame"))).status]
                world.says(users(alice="changed"))
                await front.look()
                for name, password in (
                    ("alice", "open sesame"),
                    ("bob", "hush"),
                    ("alice", "changed"),
                ):
                    found.append((await ask(headers=basic(name, password))).status)
                return found

        assert run(scenario()) == [200, 401, 401, 200]

    def test_on_the_authority_of_clients_lets_the_old_ones_in_no_more(
        self, world: World, run: Runner
    ) -> None:
        world.says(TLS, CLIENTS)
        old = world.authority.trusting(world.authority.issue("p"), world.folder)
        new = world.authority.trusting(OTHER.issue("p"), world.folder)

        async def scenario() -> None:
            async with (
                world.serving(health=True) as front,
                client(front.pages.address, old) as kept,
            ):
                assert (await kept()).told == (200, True)
                assert await told(front, new) is None
                (world.folder / "ca.pem").write_bytes(OTHER.certificate)
                await front.look()
                assert await told(front, new) == (200, True)
                assert await told(front, old) is None
                with pytest.raises(aiohttp.ClientError):
                    await kept()  # neither over what is kept nor by resuming its session

        run(scenario())

    def test_on_names_holds_at_once(self, world: World, run: Runner) -> None:
        world.says(TLS, CLIENTS, "  client_allowed_sans: [one]\n")
        one = world.authority.trusting(world.authority.issue("p", "one"), world.folder)

        async def scenario() -> None:
            async with world.serving(health=True) as front:
                assert await told(front, one) == (200, True)
                world.says(TLS, CLIENTS, "  client_allowed_sans: [two]\n")
                await front.look()
                assert await told(front, one) == (403, False)

        run(scenario())


def test_the_files_are_looked_at_every_few_seconds(world: World, run: Runner) -> None:
    world.says(users(alice="first"))
    naps: list[float] = []

    async def scenario() -> None:
        async with world.serving() as front:

            async def sleep(seconds: float) -> None:
                naps.append(seconds)
                if len(naps) == 2:
                    world.says(users(alice="second"))
                if len(naps) == 4:
                    raise asyncio.CancelledError

            with pytest.raises(asyncio.CancelledError):
                await front.watch(sleep)
            assert await told(front, None, "second") == (200, True)

    run(scenario())
    assert naps == [POLL_SECONDS] * 4
    assert world.notes == ["", ""]


def test_without_a_web_config_there_is_nothing_to_look_at(world: World, run: Runner) -> None:
    async def scenario() -> None:
        async with world.serving(guarded=False) as front:
            world.says("broken: yes")
            await front.look()
            assert await told(front, None) == (200, True)

    run(scenario())
    assert world.notes == []


class TestTheStart:
    def test_is_refused_with_a_broken_web_config(self, world: World, run: Runner) -> None:
        world.says("tls_server_config:\n  cert_file: server.pem\n  key_file: ca.pem\n")

        async def scenario() -> None:
            async with world.serving():
                raise AssertionError("it serves")

        with pytest.raises(WebConfigError) as refused:
            run(scenario())
        assert str(refused.value) == (
            f"{world.path}:3: tls_server_config.key_file: {here(world, 'ca.pem')} cannot be used "
            f"with {here(world, 'server.pem')}"
        )
        assert world.notes == []

    def test_fails_where_an_address_is_taken_and_leaves_nothing_open(
        self, world: World, run: Runner
    ) -> None:
        async def scenario() -> None:
            with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                first = free.getsockname()
                free.close()
                config = FrontConfig(place=first, health=taken.getsockname())
                with pytest.raises(OSError, match="address already in use"):
                    async with serving(config, Pages(Fixed(), NO_PROCESS)):
                        raise AssertionError("it serves")
                with socket.create_server(first):
                    pass

        run(scenario())

    def test_says_that_http2_is_not_spoken(
        self, world: World, run: Runner, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.says("http_server_config:\n  http2: true\n")

        async def scenario() -> None:
            async with world.serving():
                pass

        run(scenario())
        assert [it.getMessage() for it in caplog.records] == [
            f"{world.path}: http_server_config.http2: HTTP/2 is not spoken here; clients that "
            "offer it agree on HTTP/1.1"
        ]


def test_on_all_addresses_it_listens_by_both_protocols_and_renews_both(
    world: World, run: Runner
) -> None:
    world.says(TLS)
    trusting = world.authority.trusting()
    trusting.check_hostname = False

    async def scenario() -> None:
        config = FrontConfig(place=(None, 0), web_config=world.path, note=world.notes.append)
        async with serving(config, Pages(Fixed(), NO_PROCESS)) as front:
            count = len(front.pages.addresses)
            world.issue()
            await front.look()
            assert len(front.pages.addresses) == count
            for host, port in front.pages.addresses:
                local = "::1" if ":" in host else "127.0.0.1"
                _, writer = await asyncio.open_connection(local, port, ssl=trusting)
                writer.close()
                await writer.wait_closed()

    run(scenario())
