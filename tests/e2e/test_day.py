"""A day in the exporter's life: it starts, reads, loses things, finds them again, and stops."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.world import (
    clean_environment,
    daemon,
    eventually,
    expected,
    key,
    published,
    simulation,
    started,
)


def test_the_figures_of_a_cluster_in_good_health_equal_the_truth(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "12") as sim, daemon(tmp_path, sim) as exporter:
        truth = sim.truth()
        assert published(exporter.cycle_after(truth["advanced_at"])) == expected(truth)
        assert exporter.get("/healthz") == (200, "ok\n")
        assert exporter.get("/readyz") == (200, "ok\n")
        assert exporter.stop() == 0


def test_a_node_that_stops_answering_costs_only_itself_and_is_logged_once(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "6") as sim, daemon(tmp_path, sim) as exporter:
        exporter.cycle_after(sim.truth()["advanced_at"])
        node = sim.control("/state")["nodes"][0]["name"]
        sim.control("/faults", {"nodes": [node], "fault": "refuse"})
        for _ in range(3):
            truth = sim.truth()
            samples = exporter.cycle_after(max(truth["advanced_at"], time.time()))
            assert published(samples) == expected(truth)
        assert samples[key("vpc_cni_cluster_unread_nodes", reason="unreachable")] == 1
        lines = exporter.logged("node is not read")
        assert [(line["node"], line["reason"]) for line in lines] == [(node, "unreachable")]


def test_without_the_api_server_the_last_targets_are_read_until_it_is_back(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "6") as sim, daemon(tmp_path, sim) as exporter:
        exporter.cycle_after(sim.truth()["advanced_at"])
        up = key("vpc_cni_exporter_source_up", source="kubernetes")
        sim.control("/api", {"trouble": "down"})
        eventually(lambda: exporter.scrape()[up] == 0, "the API server counts as down")
        truth = sim.truth()
        samples = exporter.cycle_after(time.time())
        assert published(samples) == expected(truth)
        assert exporter.get("/readyz")[0] == 200
        sim.control("/api", {"trouble": None})
        eventually(lambda: exporter.scrape()[up] == 1, "the API server is back")
        assert len(exporter.logged("source is down")) <= 4  # one for each collection


def test_without_the_api_server_at_start_it_waits_and_is_not_ready(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "6") as sim:
        sim.control("/api", {"trouble": "down"})
        with daemon(tmp_path, sim) as exporter:
            eventually(lambda: exporter.logged("source is down"), "it says that it waits")
            status, body = exporter.get("/readyz")
            assert (status, body.splitlines()[0]) == (503, "no report")
            assert published(exporter.scrape()) == {}
            sim.control("/api", {"trouble": None})
            eventually(lambda: exporter.get("/readyz")[0] == 200, "it is ready")
            truth = sim.truth()
            assert published(exporter.cycle_after(time.time())) == expected(truth)


def test_sigterm_in_the_middle_of_a_cycle_ends_it_within_seconds(tmp_path: Path) -> None:
    with (
        simulation(tmp_path, "--nodes", "6") as sim,
        daemon(tmp_path, sim, EXPORTER_SCRAPE_TIMEOUT="60") as exporter,
    ):
        exporter.cycle_after(sim.truth()["advanced_at"])
        nodes = [node["name"] for node in sim.control("/state")["nodes"]]
        sim.control("/faults", {"nodes": nodes, "fault": "hang"})
        seen = sum(sim.control("/requests")["connections"].values())
        eventually(
            lambda: sum(sim.control("/requests")["connections"].values()) > seen, "a cycle hangs"
        )
        began = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - began < 5


def test_the_incumbents_variables_and_rights_are_enough(tmp_path: Path) -> None:
    # Its manifest knows one port of ipamd and one of its own.
    world = ("--nodes", "6", "--profile", "incumbent", "--listen-port", "61678")
    with simulation(tmp_path, *world, "--address-base", "127.99.0.0") as sim:
        incumbent = {
            "USE_CLOUDWATCH": "false",
            "AWS_CLUSTER_ID": "theirs",
            "METRIC_UPDATE_INTERVAL": "1",
            "AWS_VPC_K8S_CNI_LOGLEVEL": "DEBUG",
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
        }
        with started(tmp_path / "exporter.log", incumbent) as exporter:
            truth = expected(sim.truth())
            samples = exporter.cycle_after(0)
            assert len(exporter.logged("through the API server")) == 1
        up = {
            source: samples[key("vpc_cni_exporter_source_up", source=source)]
            for source in ("ipamd", "kubernetes", "pods", "nodes", "daemonsets", "eniconfigs")
        }
        right = dict.fromkeys(("ipamd", "kubernetes", "pods"), 1)
        assert up == right | dict.fromkeys(("nodes", "daemonsets", "eniconfigs"), 0)
        same = [
            key("vpc_cni_cluster_ip_addresses", state="assigned"),
            key("vpc_cni_cluster_ip_addresses", state="warm"),
            key("vpc_cni_cluster_enis"),
            key("vpc_cni_cluster_nodes", state="read"),
        ]
        assert {found: samples[found] for found in same} == {found: truth[found] for found in same}
        assert not [name for name, _ in samples if name.startswith("vpc_cni_zone")]


def test_wrong_settings_are_all_told_and_the_status_is_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "--interval", "0"],
        env={**clean_environment(), "EXPORTER_SCRAPE_VIA": "carrier pigeon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)
    assert "--interval" in done.stderr
    assert "EXPORTER_SCRAPE_VIA" in done.stderr


def test_a_redirect_of_a_node_is_never_followed(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "3") as sim, daemon(tmp_path, sim) as exporter:
        node = sim.control("/state")["nodes"][0]["name"]
        sim.control("/faults", {"nodes": [node], "fault": "redirect"})
        samples = exporter.cycle_after(time.time())
        assert samples[key("vpc_cni_cluster_unread_nodes", reason="http_status")] == 1
        assert sim.control("/requests")["redirects_followed"] == 0


def test_the_page_for_people_shows_the_sums(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "3") as sim, daemon(tmp_path, sim) as exporter:
        samples = exporter.cycle_after(sim.truth()["advanced_at"])
        status, page = exporter.get("/")
        assigned = samples[key("vpc_cni_cluster_ip_addresses", state="assigned")]
        assert (status, f"<b>{assigned:,.0f}</b>assigned to pods" in page) == (200, True)


def test_when_the_api_server_last_told_news_is_told_while_all_is_well(tmp_path: Path) -> None:
    world = ("--nodes", "3", "--bookmarks", "0.2")
    with simulation(tmp_path, *world) as sim, daemon(tmp_path, sim) as exporter:
        news = key("vpc_cni_exporter_last_success_timestamp_seconds", source="nodes")
        first = exporter.cycle_after(0)[news]
        assert eventually(lambda: exporter.scrape()[news] > first, "bookmarks count as news")
