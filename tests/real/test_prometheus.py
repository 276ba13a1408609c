"""A real Prometheus scrapes the exporter and answers queries with the truth."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.test_eks import read_after
from tests.e2e.test_eks import world as eks_world
from tests.e2e.test_headroom import rested
from tests.e2e.test_subnets import survey_after, world
from tests.e2e.world import (
    Daemon,
    Samples,
    daemon,
    differences,
    eventually,
    expected,
    free_port,
    key,
    published,
    request,
    simulation,
)
from tests.parts import part

pytestmark = pytest.mark.real

# What promtool says of metrics that it has nothing to say about.
CONTENT = (0, "", "")


@contextlib.contextmanager
def prometheus(
    folder: Path, target: str, jobs: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[str]:
    """Run Prometheus with one target, scraped every other second by each job; give its URL."""
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [target]}], **options}
            for name, options in (jobs or {"exporter": {}}).items()
        ],
    }
    with prometheus_with(folder, config) as url:
        yield url


@contextlib.contextmanager
def prometheus_with(folder: Path, config: Mapping[str, object], *flags: str) -> Iterator[str]:
    """Run Prometheus with a configuration and further flags; give its URL."""
    port = free_port()
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        part("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def query(url: str, expression: str) -> list[tuple[dict[str, str], float]] | None:
    """Return what Prometheus answers, None while it does not."""
    try:
        status, text = request(f"{url}/api/v1/query?query={urllib.parse.quote(expression)}")
    except OSError:
        return None
    if status != 200:
        return None
    rows = json.loads(text)["data"]["result"]
    return [(row["metric"], float(row["value"][1])) for row in rows]


def scraped(url: str, after: float) -> bool:
    """Whether Prometheus has taken a cycle that ended after an instant."""
    found = query(url, 'vpc_cni_exporter_last_success_timestamp_seconds{source="ipamd"}')
    return bool(found) and found[0][1] > after if found else False


@pytest.fixture(name="running")
def _running(
    tmp_path: Path,
) -> Iterator[tuple[Daemon, str, dict[tuple[str, frozenset[tuple[str, str]]], float]]]:
    with (
        simulation(tmp_path, "--nodes", "30", "--seed", "3", "--faults", "0.1") as sim,
        daemon(tmp_path, sim) as exporter,
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as url,
    ):
        sim.step()
        truth = sim.truth()
        cycle = exporter.cycle_after(truth["advanced_at"])
        done = cycle[key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")]
        eventually(lambda: scraped(url, done), "Prometheus scraped the figures")
        yield exporter, url, dict(expected(truth))


def test_prometheus_is_up_and_its_query_api_returns_the_truth(
    running: tuple[Daemon, str, dict[tuple[str, frozenset[tuple[str, str]]], float]],
) -> None:
    _, url, truth = running
    assert [value for _, value in query(url, "up") or []] == [1.0]
    answered, told = answers(url), without_empty(truth)
    assert {found: answered.get(found) for found in told} == pytest.approx(told)


def answers(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all of ours that Prometheus has now."""
    return {
        (labels.pop("__name__"), frozenset(set(labels.items()) - _target(labels))): value
        for labels, value in query(url, '{__name__=~"vpc_cni_.+"}') or []
    }


def without_empty(samples: Samples) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return samples as Prometheus sees them: an empty label is none."""
    return {
        (name, frozenset((label, value) for label, value in labels if value)): value
        for (name, labels), value in samples.items()
    }


def _target(labels: dict[str, str]) -> set[tuple[str, str]]:
    return {(name, labels[name]) for name in ("job", "instance")}


def test_promtool_is_content_with_what_is_served(
    running: tuple[Daemon, str, dict[tuple[str, frozenset[tuple[str, str]]], float]],
) -> None:
    exporter, _, _ = running
    assert linted(exporter) == CONTENT


def linted(exporter: Daemon) -> tuple[int, str, str]:
    """Return the exit status of promtool over what is served now, and what it prints."""
    _, text = exporter.get("/metrics")
    ours = text[: text.index("# HELP process_")] if "# HELP process_" in text else text
    done = subprocess.run(
        [part("promtool"), "check", "metrics"],
        input=ours,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_prometheus_answers_with_the_truth_of_two_hundred_nodes_and_their_subnets(
    tmp_path: Path,
) -> None:
    with (
        world(tmp_path, "--nodes", "200", "--scenario", "discovery", "--uvloop", period="2") as (
            sim,
            exporter,
        ),
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as url,
    ):
        sim.control("/step", {"count": 20})
        samples = survey_after(exporter, sim.truth()["advanced_at"])
        truth = expected(sim.truth())
        assert differences(truth, published(samples)) == []
        done = samples[key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")]
        eventually(lambda: scraped(url, done), "Prometheus scraped the figures")
        answered = answers(url)
        subnets = {
            f: value for f, value in without_empty(truth).items() if "subnet_id" in dict(f[1])
        }
        assert {found: answered.get(found) for found in subnets} == pytest.approx(subnets)
        assert sum(name == "vpc_cni_subnet_info" for name, _ in subnets) == 6
        modes = {
            dict(labels).get("ip_mode") for name, labels in truth if name.endswith("node_info")
        }
        assert modes >= {"prefix", "secondary"}
        assert {name for name, _ in subnets} >= {
            "vpc_cni_subnet_info",
            "vpc_cni_subnet_ip_addresses",
            "vpc_cni_subnet_prefix_blocks",
            "vpc_cni_leaked_enis",
        }


def test_prometheus_answers_how_many_more_pods_fit_and_the_cluster_then_takes_them(
    tmp_path: Path,
) -> None:
    arguments = ("--nodes", "30", "--seed", "2", "--env", "ENABLE_PREFIX_DELEGATION=false")
    with (
        world(tmp_path, *arguments, steps=20) as (sim, exporter),
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as url,
    ):
        samples = survey_after(exporter, rested(sim))
        done = samples[key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")]
        eventually(lambda: scraped(url, done), "Prometheus scraped the figures")
        joined = "vpc_cni_node_pod_headroom * on(node) group_left(zone) vpc_cni_node_info"
        asked = (
            "vpc_cni_cluster_pod_headroom",
            "sum(vpc_cni_zone_pod_headroom)",
            "count(vpc_cni_node_pod_headroom_limit == 1)",
            "sum(vpc_cni_subnet_node_headroom)",
            f"min({joined})",
        )
        found = [[value for _, value in query(url, it) or []] for it in asked]
        tried = sim.control("/room")
    fresh = [count for types in tried["subnets"].values() for count in types.values()]
    # No subnet is in two zones.
    wanted = (tried["cluster"], tried["cluster"], len(tried["nodes"]), sum(fresh))
    assert found == [[it] for it in (*wanted, min(tried["nodes"].values()))]


def test_prometheus_answers_with_the_truth_of_eks_and_of_the_settings(tmp_path: Path) -> None:
    told = ("vpc_cni_addon_", "vpc_cni_setting", "vpc_cni_cluster_health", "vpc_cni_cluster_upg")
    with (
        eks_world(tmp_path, "--env", "WARM_IP_TARGET=7", EXPORTER_EKS_INTERVAL="1") as (
            sim,
            exporter,
        ),
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as url,
    ):
        degraded = {"status": "DEGRADED", "issues": ["AccessDenied"]}
        sim.control("/eks", {"addons": {"vpc-cni": degraded}, "issues": ["VpcNotFound"]})
        samples = read_after(exporter, sim.truth()["now"])
        truth = expected(sim.truth())
        assert differences(truth, published(samples)) == []
        done = samples[key("vpc_cni_exporter_last_success_timestamp_seconds", source="ipamd")]
        eventually(lambda: scraped(url, done), "Prometheus scraped the figures")
        answered = answers(url)
        wanted = {f: n for f, n in without_empty(truth).items() if f[0].startswith(told)}
        assert {found: answered.get(found) for found in wanted} == wanted
        assert {name for name, _ in wanted} == {
            "vpc_cni_addon_health_issues",
            "vpc_cni_addon_info",
            "vpc_cni_addon_update_available",
            "vpc_cni_cluster_health_issues",
            "vpc_cni_cluster_upgrade_addresses_ready",
            "vpc_cni_setting",
            "vpc_cni_setting_value",
        }
        assert sum(n for (name, _), n in wanted.items() if name.endswith("health_issues")) == 2
        assert linted(exporter) == CONTENT
