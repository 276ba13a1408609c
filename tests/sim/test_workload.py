"""Pods of a living cluster: how many there should be, where they go, and when they leave."""

import random

from exporter.sim.cluster import Cluster
from exporter.sim.living.host import Time
from exporter.sim.living.kubelets import LivingNode, place
from exporter.sim.living.story import Living
from exporter.sim.living.workload import CronJob, Deployment, Pod, Workload

START = 1_800_000_000.0
HOUR = 3600.0


def workload() -> tuple[Workload, Time]:
    time = Time()
    return Workload(time, random.Random(1)), time


def ticks(found: Workload, time: Time, seconds: float) -> None:
    for _ in range(round(seconds / 5)):
        time.now += 5
        found.tick()


def run(found: Workload) -> list[Pod]:
    """Bind every pending pod somewhere and give it an address."""
    pods, found.pending = found.pending, []
    for pod in pods:
        pod.node = "somewhere"
        found.started(pod)
    return pods


def living(nodes: int = 6, seconds: float = 60) -> tuple[Living, Cluster]:
    cluster = Cluster(lambda: START)
    story = Living(nodes, seconds=seconds)
    story.begin(cluster)
    return story, cluster


def crowd(cpu: int, number: int, zone: str = "") -> list[Pod]:
    return [Pod(f"pod-{i}", cpu, zone) for i in range(number)]


def machines(story: Living) -> list[LivingNode]:
    return list(story.world.nodes.values())


def test_a_deployment_follows_the_time_of_day() -> None:
    day = Deployment("web", 100, base=100, swing=0.5)
    by_hour = [day.replicas(hour * HOUR) for hour in range(24)]
    assert by_hour.index(max(by_hour)) in {5, 6, 7}
    assert max(by_hour) > 140
    assert min(by_hour) < 60


def test_scaling_down_stops_the_newest_pods() -> None:
    found, time = workload()
    found.deploy(Deployment("web", 100, base=0, extra=5))
    ticks(found, time, 5)
    pods = run(found)
    found.deployments["web"].extra = 3
    ticks(found, time, 5)
    assert found.leaving == pods[3:]
    assert found.deployments["web"].pods == pods[:3]


def test_a_pod_that_was_never_placed_just_vanishes() -> None:
    found, time = workload()
    found.deploy(Deployment("web", 100, base=0, extra=5))
    ticks(found, time, 5)
    found.deployments["web"].extra = 0
    ticks(found, time, 5)
    assert (found.pending, found.leaving) == ([], [])


def test_a_rollout_replaces_every_pod_a_tenth_at_a_time() -> None:
    found, time = workload()
    found.deploy(Deployment("web", 100, base=0, extra=20))
    ticks(found, time, 5)
    old = set(run(found))
    found.deployments["web"].roll_out()
    ticks(found, time, 5)
    assert (len(found.leaving), len(found.pending)) == (2, 2)
    ticks(found, time, 30)
    assert len(found.leaving) == 2  # the first two wait for an address
    for _ in range(10):
        run(found)
        ticks(found, time, 5)
    assert set(found.leaving) == old
    assert not old & set(found.deployments["web"].pods)
    assert len(found.deployments["web"].pods) == 20


def test_a_cron_job_comes_in_bursts_and_ends_by_itself() -> None:
    found, time = workload()
    found.jobs.append(CronJob("report", every=600, burst=4, lasts=60))
    ticks(found, time, 595)
    assert found.pending == []
    ticks(found, time, 5)
    pods = run(found)
    assert len(pods) == 4
    ticks(found, time, 25)
    assert found.leaving == []
    ticks(found, time, 70)
    assert set(found.leaving) == set(pods)
    ticks(found, time, 505)
    assert len(found.pending) == 4


def test_pods_go_to_the_least_loaded_node() -> None:
    story, _ = living()
    nodes = machines(story)
    before = {node.node.name: len(node.pods) for node in nodes}
    place(crowd(10, 100), nodes)
    filled = [node.load for node in nodes if len(node.pods) > before[node.node.name]]
    assert len(filled) > 1
    assert max(filled) - min(node.load for node in nodes) < 0.01


def test_no_node_takes_more_than_its_cpu_and_its_pods() -> None:
    story, _ = living()
    nodes = machines(story)
    left = place(crowd(20, 2000), nodes)
    assert left
    for node in nodes:
        pods = len(node.pods) + node.node.host_network_pods
        assert pods == node.node.machine.max_pods or node.used_cpu + 20 > node.cpu


def test_a_pod_bound_to_a_zone_goes_there_or_nowhere() -> None:
    story, _ = living()
    nodes = machines(story)
    here = nodes[0].zone
    for pod in crowd(1000, 50, here):
        place([pod], nodes)
        assert pod.node in {"", *(node.node.name for node in nodes if node.zone == here)}
    assert place(crowd(1000, 1, here), nodes)
    assert not place(crowd(50, 1), nodes)


def test_cordoned_draining_and_unready_nodes_take_nothing() -> None:
    story, _ = living(3)
    first, second, third = machines(story)
    first.node.cordoned = second.draining = True
    third.ready = False
    assert len(place(crowd(10, 3), [first, second, third])) == 3


def test_pods_without_room_bring_new_nodes_which_leave_when_they_stand_empty() -> None:
    story, cluster = living(6)
    world = story.world
    world.workload.deploy(Deployment("surge", 500, base=0, extra=60))
    for _ in range(12):
        story.step(cluster)
    most = len(world.nodes)
    assert most > 6
    assert world.workload.pending == []
    assert all(node.ready for node in world.nodes.values())
    world.workload.deployments["surge"].extra = 0
    for _ in range(80):
        story.step(cluster)
    assert len(world.nodes) < most
    assert world.nodes.keys() == cluster.nodes.keys()
    assert world.vpc.instances.keys() >= {n.node.instance_id for n in world.nodes.values()}
    ours = {eni.attachment.instance for eni in world.vpc.enis.values() if eni.attachment} & {
        node.node.instance_id for node in world.nodes.values()
    }
    assert len(ours) == len(world.nodes)


def test_the_pods_of_a_lost_node_are_made_anew_elsewhere() -> None:
    story, cluster = living(6)
    world = story.world
    lost = machines(story)[0]
    names = set(lost.pods)
    cluster.remove(lost.node)
    story.step(cluster)
    there = {name for node in world.nodes.values() for name in node.pods}
    assert not names & there
    for deployment in world.workload.deployments.values():
        assert abs(len(deployment.pods) - deployment.replicas(world.time.now)) == 0
    assert world.kubelets.waiting == []


def test_a_pod_is_taken_down_only_once_ipamd_answers() -> None:
    story, _ = living(3)
    world = story.world
    node = max(machines(story), key=lambda found: len(found.pods))
    pod = next(iter(node.pods.values()))
    running, node.node.process = node.node.process, None
    world.workload.stop([pod])
    world.tick()
    assert world.workload.leaving == [pod]
    assert pod.name in node.pods
    node.node.process = running
    world.tick()
    assert pod.name not in node.pods
    assert world.workload.leaving == []
