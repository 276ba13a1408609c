"""What the scenarios promise: exhaustion and relief, a rollout, a day, and words for all of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from exporter.sim.cluster import LATEST, Cluster
from exporter.sim.facts import series
from exporter.sim.living.scenarios import SCENARIOS, Exhaustion, subnet_size
from exporter.sim.living.story import Living
from exporter.sim.vpc import ReservationKind

ROOT = Path(__file__).parents[2]
OUT = series("awscni_no_available_ip_addresses")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def told(name: str, *, nodes: int = 12, seconds: float = 60) -> Iterator[Living]:
    """Step for step, a story of this scenario."""
    cluster = Cluster(Clock())
    story = Living(nodes, scenario=name, seconds=seconds)
    story.begin(cluster)
    while True:
        yield story
        story.step(cluster)


def failures(story: Living, zone: str) -> float:
    pages = [node.ipamd.page() for node in story.world.zones()[zone] if node.ipamd]
    return sum(page.facts.counters.get(OUT, 0) for page in pages)


def released(story: Living) -> set[str]:
    pods = (node.node.serving for node in story.world.nodes.values())
    return {pod.version for pod in pods if pod is not None}


def test_in_normal_life_every_pod_soon_has_an_address() -> None:
    for step, story in enumerate(told("normal")):
        assert "normal life" in story.told
        world = story.world
        assert all(world.time.now - pod.born < 120 for pod in world.kubelets.waiting)
        if step == 60:
            break
    assert {kind for kind in Exhaustion.releases} <= released(story)


@pytest.mark.long
@pytest.mark.parametrize(("name", "breathes"), [("normal", True), ("steady", False)])
def test_only_in_steady_life_there_are_as_many_pods_at_night_as_by_day(
    name: str, breathes: bool
) -> None:
    pods = {}
    for story in told(name, seconds=3_600):
        world = story.world
        wanted = [deployment.replicas for deployment in world.workload.deployments.values()]
        # The ripple is left out by a whole number of its waves.
        waves = range(0, 700, 70)
        pods[world.time.now // 3_600] = sum(
            it(world.time.now + at) for it in wanted for at in waves
        )
        if len(pods) == 24:
            break
    counts = pods.values()
    assert (max(counts) > 1.2 * min(counts)) is breathes
    assert max(counts) > 0


@pytest.mark.parametrize("nodes", [6, 12, 30])
def test_one_zones_subnet_runs_out_pods_fail_there_alone_and_then_there_is_relief(
    nodes: int,
) -> None:
    zone = Exhaustion.zone
    phases = []
    least: dict[str, float] = {}
    failed = before = 0.0
    for step, story in enumerate(told("exhaustion", nodes=nodes)):
        text = story.told
        phases.append(next((word for word in ("up", "wait for", "down") if word in text), "normal"))
        for other in story.world.zones():
            found = story.world.subnet(other).available
            least[other] = min(least.get(other, found), found)
        before = before or failures(story, zone)
        failed = max(failed, failures(story, zone))
        if step > 10 and phases[-1] == "normal":
            break
        assert step < 60
    order = [phase for i, phase in enumerate(phases) if i == 0 or phases[i - 1] != phase]
    assert order == ["normal", "up", "wait for", "down", "normal"]
    assert least[zone] == 0
    assert min(left for other, left in least.items() if other != zone) > 0
    assert failed - before > 20
    assert all(failures(story, other) < failed / 10 for other in least if other != zone)
    assert story.world.kubelets.waiting == []


def test_exhaustion_comes_and_goes_within_two_minutes_of_a_demonstration() -> None:
    steps = 0
    for steps, story in enumerate(told("exhaustion", nodes=30, seconds=30)):
        if steps > 20 and "normal" in story.told:
            break
    assert steps * 2 <= 120  # a demonstration takes a step every two seconds


def test_a_rollout_brings_every_node_from_one_release_to_the_next() -> None:
    seen = []
    for step, story in enumerate(told("rollout")):
        seen.append(released(story))
        if step == 30:
            break
    assert seen[0] == {"v1.18.2-eksbuild.1"}
    assert {"v1.18.2-eksbuild.1", LATEST} in seen
    assert seen[-1] == {LATEST}
    assert story.told.startswith(f"aws-node: {len(story.world.nodes)} on v1.23.1")
    assert story.world.cluster.plan.image_tag == LATEST
    (daemonset,) = story.world.cluster.store.everything("daemonsets", lambda _: True)
    assert f"amazon-k8s-cni:{LATEST}".encode() in daemonset.after


@pytest.mark.long
def test_a_day_goes_through_every_release_and_ends_with_the_latest() -> None:
    seen: set[str] = set()
    for step, story in enumerate(told("day", nodes=18, seconds=1200)):
        seen |= released(story)
        if step == 85:
            break
    assert seen == set(SCENARIOS["day"].releases) | {SCENARIOS["day"].release}
    assert released(story) == {LATEST}


def test_subnets_are_as_large_as_their_nodes_need() -> None:
    assert subnet_size(1, 0.6) == 256
    assert subnet_size(10, 0.6) == 2048
    assert subnet_size(10, 0.9) == 1024
    assert subnet_size(100_000, 0.5) == 65_536


def test_zones_differ_in_their_reservations_and_in_who_owns_the_subnet() -> None:
    story = next(told("normal"))
    found = {
        subnet.zone[-1]: [reservation.kind for reservation in subnet.reservations]
        for subnet in story.vpc.subnets.values()
    }
    prefix, explicit = ReservationKind.PREFIX, ReservationKind.EXPLICIT
    assert found == {"a": [prefix, explicit], "b": [prefix], "c": [prefix]}
    owners = {subnet.zone[-1]: subnet.owner for subnet in story.vpc.subnets.values()}
    assert (owners["a"], owners["b"]) == (story.vpc.account, story.vpc.account)
    assert owners["c"] != story.vpc.account


def test_every_kind_of_neighbour_lives_in_the_subnets() -> None:
    story = next(told("normal"))
    uses = {eni.use for eni in story.vpc.enis.values()}
    assert uses == {
        "node",
        "load_balancer",
        "nat_gateway",
        "vpc_endpoint",
        "lambda",
        "database",
        "eks_control_plane",
        "fargate",
        "pod_branch",
        "other_cluster",
        "leaked",
        "other",
        "unattributed",
    }
    unseen = {eni.id for eni in story.vpc.enis.values()} - {e.id for e in story.vpc.visible_enis()}
    assert {story.vpc.eni(eni).use for eni in unseen} == {"unattributed"}
    leaked = [eni for eni in story.vpc.enis.values() if eni.use == "leaked"]
    assert {eni.status for eni in leaked} == {"available"}
    assert all(eni.description.startswith("aws-K8S-i-") for eni in leaked)


@pytest.mark.parametrize("scenario", [None, "exhaustion"])
def test_a_living_cluster_runs_as_a_process(scenario: str | None) -> None:
    chosen = ["--scenario", scenario] if scenario else ["--living"]
    command = [sys.executable, "-m", "exporter.sim", "--nodes", "3", *chosen, "--speed", "120"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        where = json.loads(running.stdout.readline())

        def asked(path: str, body: object = None) -> dict[str, object]:
            data = None if body is None else json.dumps(body).encode()
            with urlopen(Request(where["control"] + path, data), timeout=5) as reply:
                found: dict[str, object] = json.load(reply)
                return found

        before = asked("/state")
        assert asked("/step", {"seconds": 300}) == {"step": 2}
        after = asked("/state")
        assert float(str(after["simulated"])) - float(str(before["simulated"])) == 300
        assert after["story"]
        assert asked("/truth")["samples"]
        running.terminate()
        assert running.wait(5) == 0
