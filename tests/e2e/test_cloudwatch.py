"""CloudWatch through the whole program: processes, sockets, signals, and its absence."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.e2e.minutes import UP, outcomes, settings, taken
from tests.e2e.published import INCUMBENTS
from tests.e2e.world import Daemon, Simulation, daemon, eventually, key, simulation, started


@contextlib.contextmanager
def world(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[Simulation, Daemon]]:
    with (
        simulation(folder, *arguments) as sim,
        daemon(folder, sim, **settings(sim, **more)) as exporter,
    ):
        yield sim, exporter


def test_the_incumbents_variables_and_rights_publish_its_names(tmp_path: Path) -> None:
    # The sim's rights are those of its ClusterRole: get, list and watch pods and pods/proxy.
    arguments = ("--nodes", "4", "--profile", "incumbent", "--listen-port", "61678")
    with simulation(tmp_path, *arguments, "--address-base", "127.98.0.0") as sim:
        incumbent = {
            "AWS_CLUSTER_ID": "theirs",
            "USE_PROMETHEUS": "false",
            "METRIC_UPDATE_INTERVAL": "1",
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            **sim.facts["cloudwatch_environment"],
        }
        # It would wait for a minute, listen where another may, and read as the incumbent does.
        quick = {
            "EXPORTER_LISTEN_ADDRESS": "127.0.0.1:0",
            "EXPORTER_CLOUDWATCH_INTERVAL": "1",
            "EXPORTER_SCRAPE_VIA": "apiserver",
        }
        with started(tmp_path / "exporter.log", {**incumbent, **quick}) as exporter:
            eventually(lambda: outcomes(exporter)["accepted"] > 30, "points are taken")
            assert exporter.scrape()[UP] == 1
            assert exporter.stop() == 0
        told, state = taken(sim, "theirs")
    names = {name for _, name in told.values}
    assert names >= INCUMBENTS - {"awsAPILatency"}  # there was none
    assert {(it["namespace"], it["unit"]) for it in state["data"] if it["name"] in INCUMBENTS} == {
        ("Kubernetes", "Count")
    }
    found = told.by_minute()
    whole = [point for point in found.values() if "nodesExpected" in point]
    assert {(it["nodesExpected"], it["nodesRead"], it["coveragePercent"]) for it in whole} == {
        (4, 4, 100)
    }


def test_without_a_name_cloudwatch_waits_and_prometheus_is_served(tmp_path: Path) -> None:
    with world(tmp_path, "--nodes", "3", "--env", "CLUSTER_NAME=") as (sim, exporter):
        eventually(lambda: bool(exporter.logged("name is not known")), "it says that it waits")
        samples = exporter.cycle_after(time.time())
        assert samples[UP] == 0
        assert samples[key("vpc_cni_cluster_nodes", state="read")] == 3
        assert exporter.get("/readyz")[0] == 200
        lines = exporter.logged("source is down")
        assert [line["source"] for line in lines if "name" in line["message"]] == ["cloudwatch"]
        assert sim.control("/cloudwatch")["requests"] == {}
        assert exporter.stop() == 0


def test_the_region_comes_from_the_nodes_where_nothing_else_tells_it(tmp_path: Path) -> None:
    with simulation(tmp_path, "--nodes", "3") as sim:
        given = {it: v for it, v in settings(sim).items() if "REGION" not in it}
        with daemon(tmp_path, sim, **given) as exporter:
            # A request for another region would be refused.
            accepted = eventually(lambda: outcomes(exporter)["accepted"], "points are taken")
            assert accepted > 0
            assert [it for it in exporter.environment if "REGION" in it] == []
            assert exporter.logged("source is down") == []


def test_a_cloudwatch_that_hangs_holds_nothing_else_up_and_the_end_comes_in_time(
    tmp_path: Path,
) -> None:
    with world(tmp_path, "--nodes", "3", EXPORTER_CLOUDWATCH_GRACE="0.5") as (sim, exporter):
        sim.control("/cloudwatch", {"trouble": "hang"})
        eventually(lambda: sim.control("/cloudwatch")["requests"].get("hang"), "a call hangs")
        for _ in range(3):
            began = time.monotonic()
            exporter.cycle_after(time.time())
            assert time.monotonic() - began < 2
        began = time.monotonic()
        assert exporter.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 5
        assert exporter.logged("points that CloudWatch has not taken")


def test_subnets_are_published_where_that_is_asked_for(tmp_path: Path) -> None:
    more = {
        "EXPORTER_CLOUDWATCH_SUBNETS": "true",
        "EXPORTER_SOURCES": "ipamd,ec2",
        "EXPORTER_EC2_SUBNETS_INTERVAL": "0.3",
        "EXPORTER_EC2_ENIS_INTERVAL": "0.3",
    }
    with simulation(tmp_path, "--living", "--nodes", "6") as sim:
        environment = {**sim.facts["aws_environment"], **settings(sim, **more)}
        with daemon(tmp_path, sim, **environment) as exporter:

            def look() -> list[Mapping[str, object]] | None:
                data = sim.control("/cloudwatch")["data"]
                found = [it for it in data if it["name"] == "subnetFreePrefixes"]
                return data if len(found) >= 6 else None

            data = eventually(look, "free prefixes are told of")
            samples = exporter.scrape()
    ids = {dict(labels)["subnet_id"] for name, labels in samples if name == "vpc_cni_subnet_size"}
    for name in ("subnetFreeIPs", "subnetFreePrefixes", "subnetUtilizationPercent"):
        dimensions = [it["dimensions"] for it in data if it["name"] == name]
        assert {it["CLUSTER_ID"] for it in dimensions} == {"sim"}  # type: ignore[index]
        assert {it["SubnetId"] for it in dimensions} == ids  # type: ignore[index]
    free = {
        it["dimensions"]["SubnetId"]: it["value"]  # type: ignore[index]
        for it in data
        if it["name"] == "subnetFreeIPs"
    }
    assert free == {
        it: samples[key("vpc_cni_subnet_free_ip_addresses", subnet_id=it)] for it in ids
    }
