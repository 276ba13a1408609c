"""A real Prometheus scrapes the guarded exporter: with the right credentials, and without them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.test_guard import PROMETHEUS, TLS, web_config
from tests.e2e.world import Daemon, daemon, eventually, request, simulation
from tests.outputs.guard_parts import users
from tests.real.test_prometheus import prometheus, query

pytestmark = pytest.mark.real

SERVER_ONLY = TLS.partition("  client_auth_type")[0]
Jobs = dict[str, Mapping[str, object]]


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    made = Authority()
    made.issue("server", "127.0.0.1").written(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(made.certificate)
    return made


def by_tls(folder: Path, certificate: str = "") -> Mapping[str, object]:
    """Return what a job says to trust our authority, and to show a certificate."""
    known: dict[str, object] = {"ca_file": str(folder / "ca.pem")}
    if certificate:
        known["cert_file"] = str(folder / f"{certificate}.pem")
        known["key_file"] = str(folder / f"{certificate}.key")
    return {"scheme": "https", "tls_config": known}


def told(url: str, jobs: Jobs) -> dict[str, str] | None:
    """Return each job's latest error, as soon as every job has scraped."""
    status, text = request(f"{url}/api/v1/targets")
    if status != 200:
        return None  # It is still starting.
    targets: list[dict[str, Any]] = json.loads(text)["data"]["activeTargets"]
    found = {it["labels"]["job"]: it["lastError"] for it in targets if it["health"] != "unknown"}
    return found if found.keys() == jobs.keys() else None


def outcomes(folder: Path, exporter: Daemon, jobs: Jobs) -> dict[str, str]:
    """Run Prometheus until every job has scraped; return the errors, and check who has figures."""
    with prometheus(folder, exporter.url.partition("://")[2], jobs) as url:

        def scraped() -> dict[str, str] | None:
            try:
                return told(url, jobs)
            except OSError:
                return None

        errors = eventually(scraped, "every job has scraped")
        welcome = {job for job, error in errors.items() if not error}
        eventually(lambda: figures(url) == welcome, "the figures of those who may see them")
        up = {labels["job"]: value for labels, value in query(url, "up") or []}
        assert up == {job: float(job in welcome) for job in jobs}
        return errors


def figures(url: str) -> set[str]:
    """Return the jobs that brought any figure of ours."""
    rows = query(url, '{__name__=~"vpc_cni_.+"}') or []
    return {labels["job"] for labels, _ in rows}


def test_with_a_client_certificate(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority("other")
    authority.issue("p", "prometheus.monitoring").written(tmp_path, "right")
    authority.issue("p", "grafana.monitoring").written(tmp_path, "name")
    authority.issue("p", "prometheus.monitoring", expired=True).written(tmp_path, "expired")
    stranger.issue("p", "prometheus.monitoring").written(tmp_path, "stranger")
    jobs: Jobs = {it: by_tls(tmp_path, it) for it in ("right", "name", "expired", "stranger")}
    jobs |= {"none": by_tls(tmp_path), "plain": {}}
    with (
        simulation(tmp_path, "--nodes", "5") as sim,
        daemon(tmp_path, sim, **web_config(tmp_path, TLS)) as exporter,
    ):
        errors = outcomes(tmp_path, exporter, jobs)
        assert request(f"{exporter.health}/readyz") == (200, "ok\n")
    assert errors["right"] == ""
    assert errors["name"] == "server returned HTTP status 403 Forbidden"
    alerts = {job: errors[job].partition("remote error: ")[2] for job in errors}
    assert {job: alert for job, alert in alerts.items() if alert} == {
        "expired": "tls: expired certificate",
        "stranger": "tls: unknown certificate authority",
        "none": "tls: certificate required",
    }
    assert errors["plain"]


def test_with_a_password(authority: Authority, tmp_path: Path) -> None:
    assert authority.certificate
    served = by_tls(tmp_path)
    (tmp_path / "password").write_text("open sesame")
    jobs: Jobs = {
        "right": {
            **served,
            "basic_auth": {"username": "alice", "password_file": str(tmp_path / "password")},
        },
        "wrong": {**served, "basic_auth": {"username": "alice", "password": "open"}},
        "unknown": {**served, "basic_auth": {"username": "bob", "password": "open sesame"}},
        "none": served,
    }
    guarded = web_config(tmp_path, SERVER_ONLY, users(cost=10, alice="open sesame"))
    with (
        simulation(tmp_path, "--nodes", "5") as sim,
        daemon(tmp_path, sim, **guarded) as exporter,
    ):
        errors = outcomes(tmp_path, exporter, jobs)
        assert request(f"{exporter.health}/readyz") == (200, "ok\n")
    unauthorized = "server returned HTTP status 401 Unauthorized"
    assert errors == {
        "right": "",
        "wrong": unauthorized,
        "unknown": unauthorized,
        "none": unauthorized,
    }


def test_with_a_token(authority: Authority, tmp_path: Path) -> None:
    assert authority.certificate
    guarded = {**web_config(tmp_path, SERVER_ONLY), "EXPORTER_TOKEN_AUTH": "true"}
    with (
        simulation(tmp_path, "--nodes", "5", "--profile", "full_reviews") as sim,
        daemon(tmp_path, sim, **guarded) as exporter,
    ):
        sim.control("/callers", {"do": "permit", "subject": PROMETHEUS, "paths": ["/metrics"]})
        issued: dict[str, dict[str, object]] = {
            "right": {"user": PROMETHEUS},
            "expired": {"user": PROMETHEUS, "seconds": -1},
            "forbidden": {"user": "system:serviceaccount:default:default"},
        }
        jobs: Jobs = {"none": by_tls(tmp_path)}
        tokens = {
            job: sim.control("/callers", {"do": "issue", **it})["token"]
            for job, it in issued.items()
        }
        for job, token in {**tokens, "wrong": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}.items():
            (tmp_path / f"{job}.token").write_text(token)
            given = {"type": "Bearer", "credentials_file": str(tmp_path / f"{job}.token")}
            jobs[job] = {**by_tls(tmp_path), "authorization": given}
        errors = outcomes(tmp_path, exporter, jobs)
        assert request(f"{exporter.health}/readyz") == (200, "ok\n")
    unauthorized = "server returned HTTP status 401 Unauthorized"
    assert errors == {
        "right": "",
        "forbidden": "server returned HTTP status 403 Forbidden",
        "expired": unauthorized,
        "wrong": unauthorized,
        "none": unauthorized,
    }
