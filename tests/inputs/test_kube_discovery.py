"""The door as a whole: what is discovered, from what may be read, while the API comes and goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.core.model import Identity, Node, Target
from exporter.inputs.kube import KubeConfig, SourceState, connect
from tests.inputs.fake_kube import (
    CNINODES,
    COLLECTIONS,
    DAEMONSETS,
    ENICONFIGS,
    NODES,
    PODS,
    VERSION,
    FakeKube,
    Json,
    event,
    fake_kube,
    hangs,
    refuses,
    says,
    streams,
)
from tests.inputs.kube_parts import (
    LINUX,
    SOURCES,
    WHOLE,
    VirtualTime,
    a_cluster,
    a_cninode,
    a_node,
    a_pod,
    all_up,
    an_eniconfig,
    discovering,
    node,
    until,
)


def test_selected_nodes_are_discovered_with_their_pods(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            fake_kube(a_cluster()) as fake,
            discovering(fake, tmp_path) as (kube, told),
        ):
            assert kube.discover() is None
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            assert sorted(told) == sorted((source, True, "") for source in SOURCES)
            assert {it.last_success for it in kube.sources()} == {1_800_000_000.0}

    asyncio.run(scenario())


def test_while_nothing_changes_the_same_object_is_discovered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_kube(a_cluster()) as fake, discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            found = kube.discover()
            assert kube.discover() is found

            heartbeat: Json = {"conditions": [{"type": "Ready", "lastHeartbeatTime": "later"}]}
            fake.put(NODES, a_node("n1", labels=LINUX, status=heartbeat))
            fake.put(PODS, a_pod("aws-node-9", "a node that is gone"))
            await kube.changed()
            assert kube.discover() is found

            fake.put(NODES, a_node("n3", labels=LINUX))
            await kube.changed()
            assert kube.discover() == replace(
                WHOLE, targets=(*WHOLE.targets, Target(node("n3"), None, 0))
            )

    asyncio.run(scenario())


@pytest.mark.parametrize("path", COLLECTIONS)
def test_nothing_is_known_before_each_source_has_answered(path: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[path, "list"].append(hangs)
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: sum(it.up for it in kube.sources()) == 5)
            assert kube.discover() is None

    asyncio.run(scenario())


def test_a_daemonset_that_is_deleted_leaves_the_nodes_that_have_a_pod(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            fake.drop(DAEMONSETS, "aws-node", "kube-system")
            await kube.changed()
            assert kube.discover() == replace(
                WHOLE, targets=WHOLE.targets[:1], others=(node("n2"), *WHOLE.others)
            )

    asyncio.run(scenario())


def test_the_nodes_that_are_not_expected_are_told_beside_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            fargate: Json = {"eks.amazonaws.com/compute-type": "fargate"}
            address: Json = {"addresses": [{"type": "InternalIP", "address": "10.0.0.77"}]}
            fake.put(NODES, a_node("fargate", labels=fargate, status=address))
            await kube.changed()
            there = Node(name="fargate", fargate=True, addresses=("10.0.0.77",))
            both = replace(WHOLE, others=(*WHOLE.others, there))
            assert kube.discover() == both

            fake.put(PODS, a_pod("aws-node-w", "windows"))
            await kube.changed()
            found = kube.discover()
            assert found is not None
            assert [it.node.name for it in found.targets] == ["n1", "n2", "windows"]
            assert found.others == (there,)

    asyncio.run(scenario())


async def until_asked(fake: FakeKube, times: int) -> None:
    async with asyncio.timeout(10):
        while len(fake.verbs(VERSION)) < times:
            await fake.news()


def named(name: str, node: str, cluster: str, image: str = "") -> Json:
    env = [{"name": "CLUSTER_NAME", "value": cluster}]
    spec = {"nodeName": node, "containers": [{"name": "aws-node", "image": image, "env": env}]}
    return {**a_pod(name, node), "spec": spec}


IRELAND = "1.dkr.ecr.eu-west-1.amazonaws.com/cni:v1"
OREGON = "1.dkr.ecr.us-west-2.amazonaws.com/cni:v1"


@pytest.mark.parametrize(
    ("regions", "pods", "identity"),
    [
        pytest.param([], [], Identity(), id="nothing is known"),
        pytest.param(
            ["eu-west-1"],
            [named("a", "n0", "blue", OREGON), named("b", "n0", "", OREGON)],
            Identity("blue", "eu-west-1"),
            id="all that have a name agree, and nodes tell the region first",
        ),
        pytest.param(
            [""],
            [named("a", "n0", "blue", IRELAND), named("b", "n0", "green", IRELAND)],
            Identity("", "eu-west-1"),
            id="names differ, and the image tells the region",
        ),
        pytest.param(
            ["us-west-2", "eu-west-1", "us-west-2"], [], Identity("", "us-west-2"), id="most nodes"
        ),
        pytest.param(["us-west-2", "eu-west-1"], [], Identity("", "eu-west-1"), id="a draw"),
    ],
)
def test_the_cluster_is_identified_by_what_its_objects_say(
    regions: list[str], pods: list[Json], identity: Identity, tmp_path: Path
) -> None:
    async def scenario() -> None:
        fake = FakeKube()
        fake.always[VERSION, "get"] = says(b"not found", 404)
        label = "topology.kubernetes.io/region"
        fake.put(NODES, *(a_node(f"n{i}", labels={label: it}) for i, it in enumerate(regions)))
        fake.put(PODS, *pods)
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube))
            found = kube.discover()
            assert found is not None
            assert found.identity == identity

    asyncio.run(scenario())


def test_the_version_is_asked_for_again_with_each_watch_of_the_pods(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[VERSION, "get"].extend((refuses(500, "etcd"), says(b"<html>")))
        bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "100"}})
        fake.answers[PODS, "watch"].extend((streams(bookmark), streams(bookmark)))
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            found = kube.discover()
            asked = fake.verbs(VERSION)
            fake.hang_up()
            await until_asked(fake, len(asked) + 1)
            assert kube.discover() is found
            fake.version = "v1.32.0"
            fake.hang_up()
            newer = Identity(region="eu-west-1", kubernetes_version="v1.32.0")
            await until(kube, lambda: kube.discover() == replace(WHOLE, identity=newer))
            assert len(told) == 6

    asyncio.run(scenario())


def test_the_subnets_of_eniconfigs_follow_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            a, b = "eu-west-1a", "eu-west-1b"
            for name, subnet, known in (
                (b, "subnet-2", {a: "subnet-1", b: "subnet-2"}),
                ("spare", "subnet-2", {a: "subnet-1", b: "subnet-2", "spare": "subnet-2"}),
                (a, "subnet-3", {a: "subnet-3", b: "subnet-2", "spare": "subnet-2"}),
                ("spare", "", {a: "subnet-3", b: "subnet-2"}),
            ):
                fake.put(ENICONFIGS, an_eniconfig(name, subnet))
                await kube.changed()
                assert kube.discover() == replace(WHOLE, eniconfigs=known)
            fake.drop(ENICONFIGS, b)
            await kube.changed()
            assert kube.discover() == replace(WHOLE, eniconfigs={a: "subnet-3"})

    asyncio.run(scenario())


def test_trunks_follow_the_cninodes(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, _):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)

            async def trunks() -> list[bool]:
                await kube.changed()
                found = kube.discover()
                assert found is not None
                return [it.trunk for it in found.targets]

            fake.put(CNINODES, a_cninode("n2", "SecurityGroupsForPods"))
            assert await trunks() == [True, True]
            fake.put(CNINODES, a_cninode("n1", "CustomNetworking"))
            assert await trunks() == [False, True]
            fake.drop(CNINODES, "n2")
            assert await trunks() == [False, False]

    asyncio.run(scenario())


def test_without_a_listener_the_sources_are_told_on_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = KubeConfig(kubeconfig=str(tmp_path / "none"))
        async with connect(config, timing=VirtualTime(naps=1).timing()) as kube:
            assert kube.sources() == tuple(SourceState(source) for source in SOURCES)
            running = asyncio.create_task(kube.run())
            await until(kube, lambda: "kubeconfig" in kube.sources()[3].reason)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            reason = f"credentials: no service account and no kubeconfig at {tmp_path / 'none'}"
            assert kube.sources() == tuple(SourceState(it, False, reason) for it in SOURCES)

    asyncio.run(scenario())
