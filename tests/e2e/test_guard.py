"""The exporter behind TLS, passwords and tokens, as a process: who gets in, and who does not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.e2e.world import (
    Daemon,
    Samples,
    Simulation,
    clean_environment,
    daemon,
    eventually,
    expected,
    key,
    parse,
    published,
    simulation,
)
from tests.outputs.guard_parts import basic, bearer, users

PROMETHEUS = "system:serviceaccount:monitoring:prometheus"
TLS = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.monitoring]
"""
UP = key("vpc_cni_exporter_source_up", source="web_config")
REVIEWS_UP = key("vpc_cni_exporter_source_up", source="reviews")


def get(
    url: str, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> tuple[int, str]:
    """Return status and body of an answer; raise OSError without one."""
    sent = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(sent, timeout=15, context=tls) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scraped(
    exporter: Daemon, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Samples:
    status, text = get(f"{exporter.url}/metrics", headers, tls)
    assert status == 200
    return parse(text)


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    made = Authority()
    made.issue("server", "127.0.0.1").written(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(made.certificate)
    return made


@pytest.fixture(name="sim")
def _sim(tmp_path: Path) -> Iterator[Simulation]:
    with simulation(tmp_path, "--nodes", "5", "--profile", "full_reviews") as sim:
        yield sim


def web_config(folder: Path, *sections: str) -> dict[str, str]:
    """Write a web-config, and return the settings that name it."""
    (folder / "web.yml").write_text("".join(sections))
    return {
        "EXPORTER_WEB_CONFIG": str(folder / "web.yml"),
        "EXPORTER_HEALTH_ADDRESS": "127.0.0.1:0",
    }


def refused(exporter: Daemon, tls: ssl.SSLContext) -> bool:
    """Whether a handshake fails, or what follows it."""
    try:
        get(f"{exporter.url}/metrics", tls=tls)
    except OSError:
        return True
    return False


def test_behind_tls_and_client_certificates_the_figures_are_the_truth_and_probes_pass(
    sim: Simulation, authority: Authority, tmp_path: Path
) -> None:
    known = authority.trusting(authority.issue("p", "prometheus.monitoring"), tmp_path)
    other = authority.trusting(authority.issue("p", "grafana.monitoring"), tmp_path)
    expired = authority.trusting(
        authority.issue("p", "prometheus.monitoring", expired=True), tmp_path
    )
    with daemon(tmp_path, sim, **web_config(tmp_path, TLS)) as exporter:
        truth = sim.truth()
        done = key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")

        def read_after_the_truth() -> Samples | None:
            samples = scraped(exporter, tls=known)
            return samples if samples.get(done, 0) > truth["advanced_at"] + 0.5 else None

        samples = eventually(read_after_the_truth, "a cycle after the truth")
        assert published(samples) == expected(truth)
        assert samples[UP] == 1
        for stranger in (authority.trusting(), expired):
            assert refused(exporter, stranger)
        assert get(f"{exporter.url}/metrics", tls=other) == (
            403,
            "the client certificate bears none of the names that are allowed\n",
        )
        assert get(f"{exporter.health}/healthz") == (200, "ok\n")
        assert get(f"{exporter.health}/readyz") == (200, "ok\n")
        assert get(f"{exporter.health}/metrics")[0] == 404
        (listening,) = exporter.logged("listening")[:1]
        assert (listening["tls"], listening["credentials"]) == (True, [])
        assert exporter.stop() == 0


def test_a_new_certificate_is_taken_over_and_a_broken_one_is_told_of_and_left_alone(
    sim: Simulation, authority: Authority, tmp_path: Path
) -> None:
    known = authority.trusting(authority.issue("p", "prometheus.monitoring"), tmp_path)

    def certificate() -> bytes:
        host, port = exporter.url.removeprefix("https://").split(":")
        with (
            socket.create_connection((host, int(port))) as raw,
            known.wrap_socket(raw, server_hostname=host) as it,
        ):
            return it.getpeercert(True) or b""

    with daemon(tmp_path, sim, **web_config(tmp_path, TLS)) as exporter:
        first = certificate()
        authority.issue("server", "127.0.0.1").written(tmp_path, "server")
        second = eventually(
            lambda: found if (found := certificate()) != first else None, "the new certificate"
        )
        (tmp_path / "server.key").write_text("none\n")
        eventually(lambda: scraped(exporter, tls=known)[UP] == 0, "the broken key is told of")
        assert certificate() == second
        (line,) = exporter.logged("cannot be used")
        assert line["source"] == "web_config"
        assert line["message"] == (
            f"source is down: {tmp_path}/web.yml:3: tls_server_config.key_file: {tmp_path}/"
            f"server.key cannot be used with {tmp_path}/server.pem; what was read before stays in "
            "force"
        )
        authority.issue("server", "127.0.0.1").written(tmp_path, "server")
        eventually(lambda: scraped(exporter, tls=known)[UP] == 1, "all is well again")
        assert certificate() not in (first, second)
        assert get(f"{exporter.health}/healthz") == (200, "ok\n")


def test_a_token_is_what_kubernetes_says_of_it(
    sim: Simulation, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "web.yml").write_text(TLS.partition("  client_auth_type")[0])
    tls = authority.trusting()
    issue = {"do": "issue", "user": PROMETHEUS}
    sim.control("/callers", {"do": "permit", "subject": PROMETHEUS, "paths": ["/metrics"]})
    good = sim.control("/callers", issue)["token"]
    late = sim.control("/callers", issue)["token"]
    expired = sim.control("/callers", {**issue, "seconds": -1})["token"]
    known = sim.control("/callers", {"do": "issue", "user": "nobody"})["token"]
    settings = {
        "EXPORTER_WEB_CONFIG": str(tmp_path / "web.yml"),
        "EXPORTER_TOKEN_AUTH": "true",
    }
    with daemon(tmp_path, sim, **settings) as exporter:

        def status(token: str) -> int:
            code, text = get(f"{exporter.url}/metrics", bearer(token) if token else {}, tls)
            assert ("vpc_cni_" in text) is (code == 200)
            return code

        unknown = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
        asked = (good, expired, known, unknown, "")
        assert [status(token) for token in asked] == [200, 401, 403, 401, 401]
        eventually(lambda: get(f"{exporter.url}/readyz", tls=tls)[0] == 200, "it is ready")
        assert get(f"{exporter.url}/healthz", tls=tls) == (200, "ok\n")
        assert status(good) == 200
        reviews = sim.control("/requests")["reviews"]
        assert reviews == {"tokenreviews": 4, "subjectaccessreviews": 2}
        sim.control("/api", {"trouble": "error_500"})
        assert [status(token) for token in (good, late)] == [200, 503]
        samples = scraped(exporter, bearer(good), tls)
        assert samples[REVIEWS_UP] == 0
        sim.control("/api", {"trouble": None})
        assert [status(token) for token in (late, good)] == [200, 200]
        assert scraped(exporter, bearer(good), tls)[REVIEWS_UP] == 1


@pytest.mark.parametrize(
    ("profile", "resource"),
    [
        pytest.param("no_token_reviews", "tokenreviews.authentication.k8s.io", id="tokens"),
        pytest.param("no_access_reviews", "subjectaccessreviews.authorization.k8s.io", id="access"),
    ],
)
def test_without_the_right_to_ask_tokens_open_nothing_and_a_line_and_a_metric_say_so(
    profile: str, resource: str, tmp_path: Path
) -> None:
    settings = {**web_config(tmp_path, users(alice="open sesame")), "EXPORTER_TOKEN_AUTH": "yes"}
    with (
        simulation(tmp_path, "--nodes", "2", "--profile", profile) as sim,
        daemon(tmp_path, sim, **settings) as exporter,
    ):
        sim.control("/callers", {"do": "permit", "subject": "a", "paths": ["/metrics"]})
        token = sim.control("/callers", {"do": "issue", "user": "a"})["token"]
        alice = basic("alice", "open sesame")
        assert REVIEWS_UP not in scraped(exporter, alice)
        for _ in range(2):
            assert get(f"{exporter.url}/metrics", bearer(token)) == (
                503,
                "nobody can be asked now\n",
            )
        assert scraped(exporter, alice)[REVIEWS_UP] == 0
        (line,) = exporter.logged(f"source is down: HTTP 403: {resource} is forbidden")
        assert line["source"] == "reviews"
        assert exporter.logged("credentials cross the network in the clear")


def test_a_flood_of_wrong_passwords_keeps_neither_the_cycles_nor_the_scrapes_waiting(
    sim: Simulation, tmp_path: Path
) -> None:
    alice = basic("alice", "open sesame")
    ended: list[int] = []
    over = threading.Event()

    def attack(number: int) -> None:
        attempt = 0
        while not over.is_set():
            attempt += 1
            headers = basic("alice", f"{number} {attempt}")
            ended.append(get(f"{exporter.url}/metrics", headers)[0])

    with daemon(
        tmp_path, sim, **web_config(tmp_path, users(cost=10, alice="open sesame"))
    ) as exporter:
        scraped(exporter, alice)
        attackers = [threading.Thread(target=attack, args=(number,)) for number in range(16)]
        for attacker in attackers:
            attacker.start()
        try:
            done = key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")
            cycles, slowest = set[float | None](), 0.0
            while len(cycles) < 10:
                begun = time.monotonic()
                cycles.add(scraped(exporter, alice).get(done))
                slowest = max(slowest, time.monotonic() - begun)
                assert get(f"{exporter.health}/healthz") == (200, "ok\n")
        finally:
            over.set()
            for attacker in attackers:
                attacker.join()
    assert set(ended) <= {401, 429}
    assert slowest < 5.0  # What is known is not checked again; a scrape's own limit is 10 s.


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(
            "tls_server_config:\n  cert_file: server.pem\n",
            ":1: tls_server_config.key_file: is missing: TLS needs cert_file and key_file",
            id="no key",
        ),
        pytest.param(
            "basic_auth_users:\n  alice: open sesame\n",
            ":2: basic_auth_users.alice: is no bcrypt hash, such as htpasswd -nBC 10 NAME writes",
            id="a password in the clear",
        ),
        pytest.param(
            TLS,
            ":4: tls_server_config.client_auth_type: keeps out the probes, which have no "
            "certificate: set EXPORTER_HEALTH_ADDRESS",
            id="no way in for probes",
        ),
    ],
)
def test_a_web_config_that_cannot_be_used_ends_the_start_with_status_2_and_says_where(
    content: str, problem: str, authority: Authority, tmp_path: Path
) -> None:
    assert authority.common == "authority"
    path = tmp_path / "web.yml"
    path.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "--web-config", str(path), "--listen-address", ":0"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert told == [f"vpc-cni-exporter: {path}{problem}"]
