"""EC2 and ipamd as one world: every address of every subnet, through the whole program."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.world import (
    Daemon,
    Samples,
    Simulation,
    began,
    clocks,
    daemon,
    differences,
    ended,
    eventually,
    expected,
    key,
    published,
    simulation,
)

PARTITION = ("vpc_cni_subnet_ip_addresses", "vpc_cni_subnet_prefix_blocks", "vpc_cni_subnet_enis")
ALWAYS = (
    "vpc_cni_subnet_size",
    "vpc_cni_subnet_free_ip_addresses",
    "vpc_cni_subnet_utilization_ratio",
)


@contextlib.contextmanager
def world(
    folder: Path, *arguments: str, period: str = "0.3", steps: int = 0
) -> Iterator[tuple[Simulation, Daemon]]:
    """A living cluster, that has lived so long already, and the exporter, with EC2 read several
    times a second."""
    with simulation(folder, "--living", *arguments) as sim:
        sim.control("/step", {"count": steps})
        settings = {
            "EXPORTER_SOURCES": "ipamd,ec2",
            "EXPORTER_EC2_SUBNETS_INTERVAL": period,
            "EXPORTER_EC2_ENIS_INTERVAL": period,
            **sim.facts["aws_environment"],
        }
        with daemon(folder, sim, **settings) as exporter:
            yield sim, exporter


def survey_after(exporter: Daemon, instant: float) -> Samples:
    """Return the figures of a survey of the ENIs that began after an instant (Unix seconds)."""
    exporter.cycle_after(instant)
    now = time.time()

    def look() -> bool:
        told = clocks(exporter.page())
        enis, subnets = (ended(told, it) for it in ("ec2_enis", "ec2_subnets"))
        return began(told, "ec2_enis") > now and subnets > enis

    eventually(look, f"a survey that began after {instant}")
    # The survey's account is published right after its subnets were read; the names of the nodes'
    # subnets come with the cycle after it.
    return exporter.cycle_after(time.time() + 0.2)


def names(samples: Samples) -> set[str]:
    return {name for name, _ in samples}


@pytest.mark.parametrize(
    "counting", [(), ("--count-reserved",)], ids=["reserved addresses apart", "reserved as free"]
)
def test_every_figure_of_a_living_cluster_equals_the_truth(
    counting: tuple[str, ...], tmp_path: Path
) -> None:
    with world(tmp_path, "--nodes", "40", "--seed", "5", *counting) as (sim, exporter):
        for _ in range(4):
            samples = survey_after(exporter, sim.truth()["advanced_at"])
            truth = expected(sim.truth())
            assert differences(truth, published(samples)) == []
            assert set(PARTITION) | set(ALWAYS) <= names(samples)
            sim.control("/step", {"count": 20})
        assert exporter.stop() == 0


def test_the_uses_of_a_subnet_sum_to_its_size(tmp_path: Path) -> None:
    with world(tmp_path, "--nodes", "20") as (sim, exporter):
        samples = survey_after(exporter, sim.truth()["advanced_at"])
    sizes = {
        dict(labels)["subnet_id"]: value
        for (name, labels), value in samples.items()
        if name == "vpc_cni_subnet_size"
    }
    sums = dict.fromkeys(sizes, 0.0)
    blocks = dict.fromkeys(sizes, 0.0)
    for (name, labels), value in samples.items():
        if name == "vpc_cni_subnet_ip_addresses":
            sums[dict(labels)["subnet_id"]] += value
        if name == "vpc_cni_subnet_prefix_blocks":
            blocks[dict(labels)["subnet_id"]] += value
    assert sums == sizes
    assert blocks == {subnet: size / 16 for subnet, size in sizes.items()}


def test_without_credentials_everything_else_is_served(tmp_path: Path) -> None:
    with (
        simulation(tmp_path, "--nodes", "5") as sim,
        daemon(
            tmp_path,
            sim,
            EXPORTER_SOURCES="ipamd,ec2",
            EXPORTER_EC2_SUBNETS_INTERVAL="0.3",
            AWS_EC2_METADATA_DISABLED="true",
            HOME=str(tmp_path),
        ) as exporter,
    ):
        eventually(lambda: exporter.logged("source is down") or None, "it says EC2 is down")
        truth = sim.truth()
        samples = exporter.cycle_after(time.time())
        assert published(samples) == expected(truth)
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_enis")] == 0
        lines = exporter.logged("source is down")
        assert [line["source"] for line in lines] == ["ec2_enis"]
        assert "credentials" in lines[0]["message"]
        assert exporter.get("/readyz")[0] == 200


@pytest.mark.parametrize("trouble", ["denied", "throttled", "malformed", "cut_off", "expired"])
def test_where_enis_are_not_told_the_partition_goes_and_the_rest_stays(
    trouble: str, tmp_path: Path
) -> None:
    with world(tmp_path, "--nodes", "10") as (sim, exporter):
        survey_after(exporter, sim.truth()["advanced_at"])
        sim.control("/ec2", {"action": "DescribeNetworkInterfaces", "trouble": trouble})
        eventually(
            lambda: not names(exporter.scrape()) & set(PARTITION), "the partition is withdrawn"
        )
        down = key("vpc_cni_exporter_source_up", source="ec2_enis")
        eventually(lambda: exporter.scrape()[down] == 0, "the source is down")
        samples = exporter.scrape()
        assert set(ALWAYS) <= names(samples)
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_subnets")] == 1
        assert "vpc_cni_cluster_ip_addresses" in names(samples)
        sim.control("/ec2", {"action": "DescribeNetworkInterfaces", "trouble": None})
        # After throttling, botocore asks slowly for a while, and a slow survey is soon too old.
        eventually(
            lambda: not differences(expected(sim.truth()), published(exporter.scrape())),
            "every figure is the truth again",
        )
        assert len(exporter.logged("source is down")) == 1


def test_a_subnet_that_only_an_eniconfig_names_appears_and_goes_by_itself(tmp_path: Path) -> None:
    with world(tmp_path, "--nodes", "10") as (sim, exporter):
        survey_after(exporter, sim.truth()["advanced_at"])
        spare = sim.control("/subnets", {"cidr": "10.9.0.0/24"})["subnet"]
        role = key("vpc_cni_subnet_role", subnet_id=spare, role="pod")
        sim.control("/eniconfigs", {"name": "eu-central-1a", "subnet": spare})
        eventually(lambda: role in exporter.scrape(), "the subnet is told of")
        samples = survey_after(exporter, time.time())
        assert differences(expected(sim.truth()), published(samples)) == []
        assert samples[key("vpc_cni_subnet_free_ip_addresses", subnet_id=spare)] == 251
        assert samples[key("vpc_cni_exporter_source_up", source="eniconfigs")] == 1
        sim.control("/eniconfigs", {"name": "eu-central-1a", "subnet": None})
        eventually(lambda: role not in exporter.scrape(), "the subnet is told of no longer")
        samples = survey_after(exporter, time.time())
        assert differences(expected(sim.truth()), published(samples)) == []


def told(samples: Samples, name: str, **labels: str) -> dict[str, float]:
    """The samples of a node's metric that have these labels, by node."""
    return {
        dict(found)["node"]: value
        for (it, found), value in samples.items()
        if it == name and labels.items() <= dict(found).items()
    }


def wanting(samples: Samples, info: Mapping[str, str]) -> str | None:
    """What the node's own subnet lacks for its pods, by the subnet's own figures."""
    of = {"subnet_id": info["subnet_id"]}
    uses, blocks = "vpc_cni_subnet_ip_addresses", "vpc_cni_subnet_prefix_blocks"
    free = samples[key(uses, **of, use="free")]
    if info["ip_mode"] == "secondary":
        return None if free else "subnet_exhausted"
    if not free + samples[key(uses, **of, use="prefix_reserved_free")]:
        return "subnet_exhausted"
    whole = sum(samples[key(blocks, **of, state=it)] for it in ("free", "free_reserved"))
    return None if whole else "no_free_prefix"


def test_in_a_subnet_that_ran_out_the_nodes_with_nothing_warm_are_blocked_by_that(
    tmp_path: Path,
) -> None:
    arguments = ("--nodes", "12", "--seed", "3", "--scenario", "exhaustion")
    with world(tmp_path, *arguments, steps=30) as (sim, exporter):
        samples = survey_after(exporter, sim.truth()["advanced_at"])
    infos = [dict(labels) for name, labels in samples if name == "vpc_cni_node_info"]
    warm = told(samples, "vpc_cni_node_ip_addresses", state="warm")
    starving = [info for info in infos if warm.get(info["node"]) == 0]
    lacks = {(it["node"], lack) for it in starving if (lack := wanting(samples, it))}
    # The exporter came later than the errors: what it knows of the subnets is EC2's word.
    blocked = {
        (dict(labels)["node"], dict(labels)["reason"])
        for name, labels in samples
        if name == "vpc_cni_node_blocked"
    }
    assert {it for it in blocked if it[1] not in ("eni_limit", "max_pods")} == lacks
    assert lacks


def test_the_branch_enis_of_the_nodes_are_those_in_the_subnets(tmp_path: Path) -> None:
    with world(tmp_path, "--nodes", "40", "--seed", "5") as (sim, exporter):
        samples = survey_after(exporter, sim.truth()["advanced_at"])
    by_node = told(samples, "vpc_cni_node_pod_enis")
    assert by_node.keys() == told(samples, "vpc_cni_node_pod_eni_capacity").keys()
    assert sum(by_node.values()) == sum(
        value
        for (name, labels), value in samples.items()
        if name == "vpc_cni_subnet_enis" and dict(labels)["owner"] == "pod_branch"
    )
    assert sum(by_node.values()) > 0
